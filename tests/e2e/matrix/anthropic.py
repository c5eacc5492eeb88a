"""Anthropic Messages in the matrix (PROTOCOLS 3)."""

import json

from harness import canon

from .neutral import FORMAT, TOOLS, Got, Seen, StreamError, arguments, dump, pieces, usage_of

SIGNATURE = "QW50aHJvcGljL3NpZ25hdHVyZSswMDAx/w=="
STOP = {"end": "end_turn", "tool_use": "tool_use", "max_tokens": "max_tokens", "stop_sequence": "stop_sequence", "refusal": "refusal"}

NAMES_STOP = True


def upstream(ask):
    return {"provider": "anthropic"}, ask.get("model", {}).get("anthropic", "claude-sonnet-4-5")


# ---------------------------------------------------------------- facing the gateway as a client


def source(mime, data):
    return {"type": "base64", "media_type": mime, "data": data}


def block(item):
    if "text" in item:
        return {"type": "text", "text": item["text"]}
    if "image" in item:
        return {"type": "image", "source": source("image/png", item["image"])}
    if "document" in item:
        return {"type": "document", "source": source("application/pdf", item["document"])}
    if "call" in item:
        return {"type": "tool_use", "id": item["call"], "name": item["name"], "input": item["args"]}
    inner = [block(i) for i in item["items"]]
    out = {"type": "tool_result", "tool_use_id": item["result"],
           "content": inner[0]["text"] if len(inner) == 1 and inner[0]["type"] == "text" else inner}
    return {**out, "is_error": True} if item.get("error") else out


def request(ask, model, stream):
    body = {"model": model, "max_tokens": ask.get("max", 4000), **({"stream": True} if stream else {})}
    if ask.get("system"):
        body["system"] = [{"type": "text", "text": text} for text in ask["system"]]
    body["messages"] = []
    for turn in ask["turns"]:
        ((role, items),) = turn.items()
        role = "user" if role == "tool" else role
        blocks = [block(i) for i in items]
        if body["messages"] and body["messages"][-1]["role"] == role:
            body["messages"][-1]["content"] += blocks
        else:
            body["messages"].append({"role": role, "content": blocks})
    if ask.get("tools"):
        body["tools"] = [{"name": n, "description": TOOLS[n]["description"], "input_schema": TOOLS[n]["schema"]} for n in ask["tools"]]
    if "choice" in ask or "parallel" in ask:
        kind = ask.get("choice", "auto")
        choice = {"type": {"required": "any"}.get(kind, kind)} if kind in ("auto", "none", "required") else {"type": "tool", "name": kind}
        body["tool_choice"] = {**choice, **({"disable_parallel_tool_use": not ask["parallel"]} if "parallel" in ask else {})}
    if ask.get("format"):
        body["output_config"] = {"format": {"type": "json_schema", "schema": FORMAT}}
    if ask.get("search"):
        body["tools"] = [{"type": "web_search_20250305", "name": "web_search"}]
    if "user" in ask:
        body["metadata"] = {"user_id": ask["user"]}
    if "stop" in ask:
        body["stop_sequences"] = ask["stop"]
    if ask.get("think"):
        body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    body.update({k: v for k, v in ask.get("settings", {}).items() if k in ("temperature", "top_p", "top_k")})
    return "/v1/messages", body, {"anthropic-version": "2023-06-01"}


def again(body, answer, answers):
    turn = {"role": "user", "content": [block(a) for a in answers]}
    return {**body, "messages": [*body["messages"], {"role": "assistant", "content": answer["content"]}, turn]}


def read(body):
    got = Got(stop={v: k for k, v in STOP.items()}[body["stop_reason"]], sequence=body.get("stop_sequence"), model=body["model"])
    for one in body["content"]:
        kind = one["type"]
        if kind == "text":
            got.text += one["text"]
        elif kind == "thinking":
            got.thinking += one["thinking"]
            got.opaque.append(one["signature"])
            assert one["signature"], "a thinking block without a signature"
        elif kind == "redacted_thinking":
            got.opaque.append(one["data"])
        else:
            assert kind == "tool_use", one
            got.calls.append((one["id"], one["name"], one["input"]))
    if got.stop == "refusal":
        details = body.get("stop_details") or {}
        got.refusal, got.text = got.text or details.get("explanation") or "", ""
    usage = body["usage"]
    cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    got.usage = {"in": usage["input_tokens"] + cached + written, "out": usage["output_tokens"], "cached": cached, "written": written,
                 "reasoning": (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)}
    return got


def assemble(events, native=False):
    if not native:
        canon.check_claude_grammar(events)
    message, inputs = None, {}
    for event in events:
        if event.data is None:
            continue
        frame = json.loads(event.data)
        kind = frame["type"]
        if kind == "error":
            raise StreamError(frame["error"]["message"], "".join(b.get("text", "") for b in message["content"]))
        if kind == "message_start":
            message = frame["message"]
        elif kind == "content_block_start":
            message["content"].append(dict(frame["content_block"]))
        elif kind == "content_block_delta":
            add_delta(message["content"][frame["index"]], frame["delta"], inputs, frame["index"])
        elif kind == "content_block_stop":
            if message["content"][frame["index"]]["type"] == "tool_use":
                message["content"][frame["index"]]["input"] = arguments(inputs.get(frame["index"]) or "{}")
        elif kind == "message_delta":
            message.update({k: v for k, v in frame["delta"].items() if k != "container"})
            message["usage"].update({k: v for k, v in frame["usage"].items() if v is not None})
        elif kind == "message_stop":
            return message
    raise AssertionError("a stream without message_stop")


def add_delta(block, delta, inputs, index):
    if delta["type"] == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    elif delta["type"] == "signature_delta":
        block["signature"] = delta["signature"]
    else:
        name = {"text_delta": "text", "thinking_delta": "thinking"}[delta["type"]]
        block[name] += delta[name]


def read_error(body):
    assert body["type"] == "error" and set(body["error"]) >= {"type", "message"}, body
    return body["error"]["message"]


# ---------------------------------------------------------------- facing the gateway as an upstream


def blocks_of(say):
    out = []
    for item in say["items"]:
        if "text" in item:
            out.append({"type": "text", "text": item["text"], "citations": None})
        elif "think" in item:
            out.append({"type": "thinking", "thinking": item["think"], "signature": SIGNATURE})
        elif "redacted" in item:
            out.append({"type": "redacted_thinking", "data": SIGNATURE})
        elif "call" in item:
            out.append({"type": "tool_use", "id": item["call"], "name": item["name"], "input": item["args"], "caller": {"type": "direct"}})
        elif "freeform" in item:
            out.append({"type": "tool_use", "id": item["freeform"], "name": item["name"], "input": {"input": item["input"]},
                        "caller": {"type": "direct"}})
    return out


def ending(say):
    refused = [i["refusal"] for i in say["items"] if "refusal" in i]
    return {"stop_reason": STOP[say["stop"]], "stop_sequence": say.get("sequence"), "container": None,
            "stop_details": {"type": "refusal", "category": "cyber", "explanation": refused[0]} if refused else None}


def usage_body(say):
    u = usage_of(say)
    return {"input_tokens": u["in"] - u["cached"] - u["written"], "cache_creation_input_tokens": u["written"],
            "cache_read_input_tokens": u["cached"], "output_tokens": u["out"],
            "output_tokens_details": {"thinking_tokens": u["reasoning"]}}


def answer(say):
    return {"id": "msg_matrix0000000000000000001", "type": "message", "role": "assistant", "model": "up-model",
            "content": blocks_of(say), **ending(say), "usage": usage_body(say)}


def event(kind, **more):
    return f"event: {kind}\ndata: {dump({'type': kind, **more})}\n\n"


def frames(say, end=True):
    first = {**answer({**say, "items": []}), "stop_reason": None, "stop_sequence": None, "stop_details": None}
    first["usage"] = {**first["usage"], "output_tokens": 1}
    out = [event("message_start", message=first), event("ping")]
    for index, block in enumerate(blocks_of(say)):
        kind = block["type"]
        start = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}.get(kind, {})
        out.append(event("content_block_start", index=index, content_block={**block, **start}))
        if kind == "text":
            deltas = [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
        elif kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif kind == "tool_use":
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in ["", *pieces(dump(block["input"]))]]
        else:
            deltas = []
        out += [event("content_block_delta", index=index, delta=d) for d in deltas]
        if end or index + 1 < len(say["items"]):
            out.append(event("content_block_stop", index=index))
    if end:
        out += [event("message_delta", delta=ending(say), usage=usage_body(say)), event("message_stop")]
    return out


def error(status, message):
    kind = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_matrix"}


def error_frames(status, message, number):
    return [event("error", **{k: v for k, v in error(status, message).items() if k != "type"})]


def see(path, body):
    assert path.startswith("/v1/messages"), path
    seen = Seen()
    system = body.get("system") or []
    seen.system = [system] if isinstance(system, str) else [b["text"] for b in system]
    for message in body["messages"]:
        value = message["content"]
        for one in [{"type": "text", "text": value}] if isinstance(value, str) else value:
            see_block(seen, message["role"], one)
    tools = body.get("tools") or []
    seen.tools = [(t["name"], t.get("description"), t["input_schema"]) for t in tools if "input_schema" in t]
    seen.search = any(t.get("type", "").startswith("web_search_") for t in tools)
    seen.user, seen.tier = (body.get("metadata") or {}).get("user_id"), body.get("service_tier")
    choice = body.get("tool_choice") or {}
    seen.choice = choice.get("name") or {"any": "required"}.get(choice.get("type"), choice.get("type"))
    seen.parallel = not choice["disable_parallel_tool_use"] if "disable_parallel_tool_use" in choice else None
    seen.format = (body.get("output_config") or {}).get("format", {}).get("schema")
    seen.stop = body.get("stop_sequences") or []
    seen.max = body["max_tokens"]
    seen.think = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    seen.settings = {k: body[k] for k in ("temperature", "top_p", "top_k") if k in body}
    return seen


def see_block(seen, role, one):
    kind = one["type"]
    if kind == "text":
        seen.items.append((role, "text", one["text"]))
    elif kind in ("image", "document"):
        seen.items.append((role, kind, one["source"]["media_type"], one["source"]["data"]))
    elif kind == "tool_use":
        seen.items.append((role, "call", one["id"], one["name"], one["input"]))
    elif kind == "tool_result":
        value = one.get("content") or []
        inner = Seen()
        for part in [{"type": "text", "text": value}] if isinstance(value, str) else value:
            see_block(inner, "tool", part)
        seen.items.append(("tool", "result", one["tool_use_id"], [i[1:] for i in inner.items], bool(one.get("is_error"))))
    elif kind == "thinking":
        seen.opaque.append(one["signature"])
    elif kind == "redacted_thinking":
        seen.opaque.append(one["data"])
    else:
        raise AssertionError(f"an unexpected block: {one}")
