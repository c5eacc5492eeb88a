"""Chat Completions in the matrix (PROTOCOLS 1)."""

import json

from harness import canon

from .neutral import CUSTOM, FORMAT, TOOLS, Got, Seen, StreamError, arguments, dump, pieces, usage_of

ID = "chatcmpl-matrix00000000000000000000001"
NAMES_STOP = False  # a stop string that matched is no reason of its own

# OpenRouter is the chat upstream where thinking must come back: the only one of this dialect that signs it.
SIGNATURE = "Q2hhdC9zaWduYXR1cmUrMDAwMQ=="
FINISH = {"end": "stop", "tool_use": "tool_calls", "max_tokens": "length", "stop_sequence": "stop", "refusal": "stop",
          "filter": "content_filter"}


def upstream(ask):
    if ask.get("think"):
        return {"provider": "openrouter", "dialects": ["chat"]}, "anthropic/claude-sonnet-4.5"
    return {"provider": "openai", "dialects": ["chat"]}, ask.get("model", {}).get("chat", "gpt-4.1")


# ---------------------------------------------------------------- facing the gateway as a client


def part(item):
    if "text" in item:
        return {"type": "text", "text": item["text"]}
    if "image" in item:
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{item['image']}"}}
    if "audio" in item:
        return {"type": "input_audio", "input_audio": {"data": item["audio"], "format": "wav"}}
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{item['document']}"}}


def content(items):
    return items[0]["text"] if len(items) == 1 and "text" in items[0] else [part(i) for i in items]


def results(items):
    """Tool results; images cannot be in a tool message, so a client of this dialect shows them in the next user message."""
    out, images = [], []
    for item in items:
        text = " ".join(p["text"] for p in item["items"] if "text" in p)
        shown = [part(p) for p in item["items"] if "image" in p]
        images += shown
        out.append({"role": "tool", "tool_call_id": item["result"],
                    "content": ("Error: " if item.get("error") else "") + (text or "see the image below")})
    return out + ([{"role": "user", "content": images}] if images else [])


def request(ask, model, stream):
    messages = [{"role": "system", "content": text} for text in ask.get("system", [])]
    for turn in ask["turns"]:
        ((role, items),) = turn.items()
        if role == "tool":
            messages += results(items)
            continue
        calls = [i for i in items if "call" in i]
        rest = [i for i in items if "call" not in i]
        message = {"role": role, "content": content(rest) if rest else None}
        if calls:
            message["tool_calls"] = [{"id": c["call"], "type": "function", "function": {
                "name": c["name"], "arguments": dump(c["args"])}} for c in calls]
        messages.append(message)
    body = {"model": model, "messages": messages, **({"stream": True, "stream_options": {"include_usage": True}} if stream else {})}
    if ask.get("tools"):
        body["tools"] = [{"type": "function", "function": {
            "name": n, "description": TOOLS[n]["description"], "parameters": TOOLS[n]["schema"]}} for n in ask["tools"]]
    if "choice" in ask:
        body["tool_choice"] = ask["choice"] if ask["choice"] in ("auto", "none", "required") else {
            "type": "function", "function": {"name": ask["choice"]}}
    if "parallel" in ask:
        body["parallel_tool_calls"] = ask["parallel"]
    if ask.get("format"):
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "town", "strict": True, "schema": FORMAT}}
    if ask.get("json"):
        body["response_format"] = {"type": "json_object"}
    if ask.get("custom"):
        body["tools"] = [{"type": "custom", "custom": CUSTOM}]
    if ask.get("search"):
        body["web_search_options"] = {}
    body.update({k: ask[v] for k, v in (("n", "n"), ("safety_identifier", "user"), ("service_tier", "tier")) if v in ask})
    if "max" in ask:
        body["max_completion_tokens"] = ask["max"]
    if "stop" in ask:
        body["stop"] = ask["stop"]
    if ask.get("think"):
        body["reasoning_effort"] = "medium"
    body.update({k: v for k, v in ask.get("settings", {}).items() if k in ("temperature", "top_p", "seed")})
    return "/v1/chat/completions", body, {}


def again(body, answer, answers):
    """The next request of a conversation, as a client that keeps what it was given."""
    message = {k: v for k, v in answer["choices"][0]["message"].items() if v is not None or k == "content"}
    return {**body, "messages": [*body["messages"], message, *results(answers)]}


def read(body):
    choice = body["choices"][0]
    message = choice["message"]
    calls = message.get("tool_calls") or []
    usage = body["usage"]
    details = usage.get("prompt_tokens_details") or {}
    opaque = [d.get("signature") or d.get("data") for d in message.get("reasoning_details") or []]
    opaque += [c["extra_content"]["google"]["thought_signature"] for c in calls if "extra_content" in c]
    stop = {v: k for k, v in FINISH.items() if k not in ("stop_sequence", "refusal")}[choice["finish_reason"]]
    return Got(
        text=message["content"] or "", thinking=message.get("reasoning_content") or message.get("reasoning") or "",
        refusal=message.get("refusal") or "", model=body["model"],
        calls=[call_of(c) for c in calls],
        stop="refusal" if message.get("refusal") or stop == "filter" else stop, opaque=[o for o in opaque if o],
        usage={"in": usage["prompt_tokens"], "out": usage["completion_tokens"], "cached": details.get("cached_tokens", 0),
               "written": details.get("cache_write_tokens", 0),
               "reasoning": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)})


def call_of(call):
    if call["type"] == "custom":
        return call["id"], call["custom"]["name"], call["custom"]["input"]
    return call["id"], call["function"]["name"], arguments(call["function"]["arguments"])


def assemble(events, native=False):
    """A stream's chunks as the whole answer."""
    if not native:
        canon.check_chat_grammar(events, include_usage=True)
    message = {"role": "assistant", "content": None, "refusal": None}
    finish, usage, model, ended = None, None, None, False
    for event in events:
        if event.data in (None, "[DONE]"):
            ended = ended or event.data == "[DONE]"
            continue
        chunk = json.loads(event.data)
        if chunk.get("error"):
            raise StreamError(chunk["error"]["message"], message["content"] or "")
        model, usage = chunk["model"], chunk.get("usage") or usage
        for choice in chunk["choices"]:
            finish = choice.get("finish_reason") or finish
            delta = choice["delta"]
            for name in ("content", "refusal", "reasoning_content", "reasoning"):
                if delta.get(name):
                    message[name] = (message.get(name) or "") + delta[name]
            for detail in delta.get("reasoning_details") or []:
                add_detail(message.setdefault("reasoning_details", []), detail)
            for tool in delta.get("tool_calls") or []:
                add_call(message.setdefault("tool_calls", []), tool)
    assert ended and finish, "a stream without its end"
    return {"model": model, "choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def add_detail(details, fragment):
    """OpenRouter sends one item in pieces, joined by its index."""
    same = [d for d in details if "index" in d and (d["index"], d["type"]) == (fragment.get("index"), fragment["type"])]
    if not same:
        details.append(dict(fragment))
        return
    for name in ("text", "data"):
        if fragment.get(name):
            same[0][name] = (same[0].get(name) or "") + fragment[name]
    same[0].update({k: v for k, v in fragment.items() if k == "signature" and v})


def add_call(calls, fragment):
    if fragment["index"] == len(calls):
        kind, inner = fragment["type"], "input" if fragment["type"] == "custom" else "arguments"
        calls.append({"id": fragment["id"], "type": kind, kind: {"name": fragment[kind]["name"], inner: ""}})
    call = calls[fragment["index"]]
    kind, inner = call["type"], "input" if call["type"] == "custom" else "arguments"
    call[kind][inner] += fragment.get(kind, {}).get(inner) or ""
    if "extra_content" in fragment:
        call["extra_content"] = fragment["extra_content"]


def read_error(body):
    assert set(body) == {"error"} and set(body["error"]) >= {"message", "type", "param", "code"}, body
    return body["error"]["message"]


# ---------------------------------------------------------------- facing the gateway as an upstream


def message_of(say):
    items = say["items"]
    text = "".join(i["text"] for i in items if "text" in i)
    message = {"role": "assistant", "content": text or None, "refusal": None}
    details = []
    for item in items:
        if "think" in item:
            message["reasoning"] = item["think"]
            details.append({"type": "reasoning.text", "text": item["think"], "signature": SIGNATURE,
                            "format": "anthropic-claude-v1", "index": 0})
        elif "redacted" in item:
            details.append({"type": "reasoning.encrypted", "data": SIGNATURE, "format": "anthropic-claude-v1", "index": 0})
        elif "refusal" in item:
            message["refusal"] = item["refusal"]
        elif "call" in item:
            message.setdefault("tool_calls", []).append({"id": item["call"], "type": "function", "function": {
                "name": item["name"], "arguments": dump(item["args"])}})
        elif "freeform" in item:
            message.setdefault("tool_calls", []).append({"id": item["freeform"], "type": "custom", "custom": {
                "name": item["name"], "input": item["input"]}})
    if details:
        message["reasoning_details"] = details
    return message


def usage_body(say):
    u = usage_of(say)
    return {"prompt_tokens": u["in"], "completion_tokens": u["out"], "total_tokens": u["in"] + u["out"],
            "prompt_tokens_details": {"cached_tokens": u["cached"], "cache_write_tokens": u["written"]},
            "completion_tokens_details": {"reasoning_tokens": u["reasoning"]}}


def answer(say):
    return {"id": ID, "object": "chat.completion", "created": 1700000000, "model": "up-model",
            "choices": [{"index": 0, "message": message_of(say), "logprobs": None, "finish_reason": FINISH[say["stop"]]}],
            "usage": usage_body(say)}


def chunk(delta=None, finish=None, **more):
    body = {"id": ID, "object": "chat.completion.chunk", "created": 1700000000, "model": "up-model",
            "choices": [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}], **more}
    return f"data: {dump(body)}\n\n"


def frames(say, end=True):
    message = message_of(say)
    out = [chunk({"role": "assistant", "content": "", "refusal": None})]
    for detail in message.get("reasoning_details", []):
        plain = {k: v for k, v in detail.items() if k not in ("text", "signature")}
        for piece in pieces(detail["text"]) if detail["type"] == "reasoning.text" else []:
            out.append(chunk({"reasoning": piece, "reasoning_details": [{**plain, "text": piece}]}))
        out.append(chunk({"reasoning_details": [{k: v for k, v in detail.items() if k != "text"}]}))
    for name in ("content", "refusal"):
        out += [chunk({name: p}) for p in pieces(message[name])] if message[name] else []
    for index, call in enumerate(message.get("tool_calls", [])):
        kind, inner = call["type"], "input" if call["type"] == "custom" else "arguments"
        start = {"index": index, "id": call["id"], "type": kind, kind: {"name": call[kind]["name"], inner: ""}}
        out.append(chunk({"tool_calls": [start]}))
        out += [chunk({"tool_calls": [{"index": index, kind: {inner: p}}]}) for p in pieces(call[kind][inner])]
    if end:
        out += [chunk(finish=FINISH[say["stop"]]), chunk(choices=[], usage=usage_body(say)), "data: [DONE]\n\n"]
    return out


def error(status, message):
    return {"error": {"message": message, "type": "invalid_request_error" if status == 400 else "server_error", "param": None, "code": None}}


def error_frames(status, message, number):
    return [f"data: {dump(error(status, message))}\n\n"]


def see(path, body):
    """What the gateway asked of this upstream."""
    assert path.endswith("/chat/completions"), path
    seen = Seen()
    for message in body["messages"]:
        see_message(seen, message)
    for tool in body.get("tools") or []:
        function = tool[tool["type"]]
        seen.tools.append((function["name"], function.get("description"), function.get("parameters")))
    choice = body.get("tool_choice")
    seen.choice = choice["function"]["name"] if isinstance(choice, dict) else choice
    seen.parallel = body.get("parallel_tool_calls")
    shape = body.get("response_format") or {}
    seen.format = shape["json_schema"]["schema"] if shape.get("type") == "json_schema" else shape.get("type")
    stop = body.get("stop") or []
    seen.stop = [stop] if isinstance(stop, str) else stop
    seen.max = body.get("max_completion_tokens", body.get("max_tokens"))
    seen.think = bool(body.get("reasoning_effort") or body.get("reasoning"))
    seen.search, seen.n = "web_search_options" in body, body.get("n", 1)
    seen.user, seen.tier = body.get("safety_identifier", body.get("user")), body.get("service_tier")
    seen.settings = {k: body[k] for k in ("temperature", "top_p", "seed") if k in body}
    return seen


def see_message(seen, message):
    role, value = message["role"], message.get("content")
    if role in ("system", "developer"):
        seen.system += [value] if isinstance(value, str) else [p["text"] for p in value]
        return
    seen.opaque += [d.get("signature") or d.get("data") for d in message.get("reasoning_details") or []]
    if role == "tool":
        text = value if isinstance(value, str) else "\n".join(p["text"] for p in value)
        seen.items.append(("tool", "result", message["tool_call_id"], [("text", text.removeprefix("Error: "))], text.startswith("Error: ")))
        return
    if isinstance(value, str):
        seen.items += [(role, "text", value)] if value else []
    for one in value if isinstance(value, list) else []:
        if one["type"] == "text":
            seen.items.append((role, "text", one["text"]))
        elif one["type"] == "image_url":
            head, _, data = one["image_url"]["url"].partition(",")
            seen.items.append((role, "image", head.removeprefix("data:").removesuffix(";base64"), data))
        elif one["type"] == "input_audio":
            seen.items.append((role, "audio", one["input_audio"]["format"], one["input_audio"]["data"]))
        else:
            head, _, data = one["file"]["file_data"].partition(",")
            seen.items.append((role, "document", head.removeprefix("data:").removesuffix(";base64"), data))
    for call in message.get("tool_calls") or []:
        seen.items.append((role, "call", call["id"], call["function"]["name"], arguments(call["function"]["arguments"])))
