"""OpenAI Responses in the matrix (PROTOCOLS 2)."""

import json

from .neutral import CUSTOM, FORMAT, TOOLS, Got, Seen, StreamError, arguments, dump, pieces, usage_of

SIGNATURE = "gAAAAABmatrix/ZW5jcnlwdGVk+cmVhc29uaW5n=="
ID = "resp_" + "0123456789abcdef" * 3

NAMES_STOP = False


def upstream(ask):
    model = "gpt-5" if ask.get("think") else ask.get("model", {}).get("responses", "gpt-4.1")
    return {"provider": "openai", "dialects": ["responses"]}, model


# ---------------------------------------------------------------- facing the gateway as a client


def part(item):
    if "text" in item:
        return {"type": "input_text", "text": item["text"]}
    if "image" in item:
        return {"type": "input_image", "image_url": f"data:image/png;base64,{item['image']}", "detail": "auto"}
    if "audio" in item:
        return {"type": "input_audio", "input_audio": {"data": item["audio"], "format": "wav"}}
    return {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{item['document']}"}


def result(item):
    parts = [part(i) for i in item["items"]]
    text = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "input_text" else None
    return {"type": "function_call_output", "call_id": item["result"],
            "output": parts if text is None else ("Error: " if item.get("error") else "") + text}


def input_items(role, items):
    if role == "tool":
        return [result(i) for i in items]
    out = []
    plain = [i for i in items if "call" not in i]
    if plain:
        out.append({"type": "message", "role": role, "content": [
            {"type": "output_text", "text": i["text"], "annotations": []} if role == "assistant" else part(i) for i in plain]})
    out += [{"type": "function_call", "call_id": i["call"], "name": i["name"], "arguments": dump(i["args"])} for i in items if "call" in i]
    return out


def request(ask, model, stream):
    body = {"model": model, "store": False, **({"stream": True} if stream else {})}
    first, *others = ask.get("system") or [None]
    if first:
        body["instructions"] = first
    body["input"] = [{"role": "developer", "content": text} for text in others]
    for turn in ask["turns"]:
        ((role, items),) = turn.items()
        body["input"] += input_items(role, items)
    if ask.get("tools"):
        body["tools"] = [{"type": "function", "name": n, "description": TOOLS[n]["description"], "parameters": TOOLS[n]["schema"],
                          "strict": False} for n in ask["tools"]]
    if "choice" in ask:
        body["tool_choice"] = ask["choice"] if ask["choice"] in ("auto", "none", "required") else {"type": "function", "name": ask["choice"]}
    if "parallel" in ask:
        body["parallel_tool_calls"] = ask["parallel"]
    if ask.get("format"):
        body["text"] = {"format": {"type": "json_schema", "name": "town", "strict": True, "schema": FORMAT}}
    if ask.get("json"):
        body["text"] = {"format": {"type": "json_object"}}
    if ask.get("custom"):
        body["tools"] = [{"type": "custom", **CUSTOM}]
    if ask.get("search"):
        body["tools"] = [{"type": "web_search"}]
    body.update({k: ask[v] for k, v in (("safety_identifier", "user"), ("service_tier", "tier")) if v in ask})
    if "max" in ask:
        body["max_output_tokens"] = ask["max"]
    if ask.get("think"):
        body["reasoning"] = {"effort": "medium", "summary": "auto"}
        body["include"] = ["reasoning.encrypted_content"]
    body.update({k: v for k, v in ask.get("settings", {}).items() if k in ("temperature", "top_p")})
    return "/v1/responses", body, {}


def again(body, answer, answers):
    return {**body, "input": [*body["input"], *answer["output"], *[result(a) for a in answers]]}


def read(body):
    assert body["object"] == "response", body
    got = Got(model=body["model"])
    for item in body["output"]:
        if item["type"] == "message":
            for one in item["content"]:
                if one["type"] == "output_text":
                    got.text += one["text"]
                else:
                    got.refusal += one["refusal"]
        elif item["type"] == "reasoning":
            got.thinking += "\n\n".join(s["text"] for s in item["summary"])
            got.opaque += [item["encrypted_content"]] if item.get("encrypted_content") else []
        elif item["type"] == "custom_tool_call":
            got.calls.append((item["call_id"], item["name"], item["input"]))
        else:
            assert item["type"] == "function_call", item
            got.calls.append((item["call_id"], item["name"], arguments(item["arguments"])))
    if body["status"] == "incomplete":
        got.stop = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}[body["incomplete_details"]["reason"]]
    else:
        assert body["status"] == "completed", body["status"]
        got.stop = "refusal" if got.refusal else "tool_use" if got.calls else "end"
    usage = body["usage"]
    got.usage = {"in": usage["input_tokens"], "out": usage["output_tokens"], "cached": usage["input_tokens_details"]["cached_tokens"],
                 "written": usage["input_tokens_details"].get("cache_write_tokens", 0),
                 "reasoning": usage["output_tokens_details"]["reasoning_tokens"]}
    assert usage["total_tokens"] == got.usage["in"] + got.usage["out"], usage
    return got


def assemble(events, native=False):
    """Checks the grammar of 2.6 and gives the response of the terminal event."""
    done, added, deltas, number, last = {}, {}, {}, 0, None
    for event in events:
        if event.data is None:
            continue
        frame = json.loads(event.data)
        kind = frame["type"]
        assert event.event == kind, f"event {event.event!r} of a {kind}"
        assert frame["sequence_number"] == number, f"{kind}: number {frame['sequence_number']}, not {number}"
        assert last is None, f"{kind} after the end"
        number += 1
        if number == 1:
            assert kind == "response.created", kind
        if kind == "response.output_item.added":
            assert frame["output_index"] == len(added), frame
            added[frame["output_index"]] = frame["item"]
        elif kind == "response.output_item.done":
            at = frame["output_index"]
            assert at in added and added[at]["id"] == frame["item"]["id"], f"item {at} done, never added so"
            done[at] = frame["item"]
        elif kind == "response.output_text.delta":
            deltas[frame["item_id"]] = deltas.get(frame["item_id"], "") + frame["delta"]
        elif kind == "response.function_call_arguments.delta":
            assert frame["item_id"] == added[frame["output_index"]]["id"], frame
            deltas[frame["item_id"]] = deltas.get(frame["item_id"], "") + frame["delta"]
        elif kind == "response.custom_tool_call_input.delta":
            deltas[frame["item_id"]] = deltas.get(frame["item_id"], "") + frame["delta"]
        elif kind in ("response.completed", "response.incomplete"):
            last = frame["response"]
        elif kind == "response.failed":
            raise StreamError(frame["response"]["error"]["message"], "".join(deltas.values()))
        elif kind == "error":
            raise StreamError(frame["message"], "".join(deltas.values()))
    assert last is not None, "a stream without its terminal event"
    if not native:
        check_items(last, done, added, deltas)
    return last


def check_items(last, done, added, deltas):
    assert set(done) == set(added), "an item was never done"
    assert [done[i] for i in sorted(done)] == last["output"], "the terminal event says other items than were done"
    for item in last["output"]:
        if item["type"] == "message":
            text = "".join(p.get("text", "") for p in item["content"])
            assert deltas.get(item["id"], "") == text, "deltas and item differ"
        elif item["type"] == "function_call":
            assert deltas.get(item["id"], "") == item["arguments"], "deltas and arguments differ"
        elif item["type"] == "custom_tool_call":
            assert deltas.get(item["id"], "") == item["input"], "deltas and input differ"


def read_error(body):
    assert set(body["error"]) >= {"message", "type", "param", "code"}, body
    return body["error"]["message"]


# ---------------------------------------------------------------- facing the gateway as an upstream


def items_of(say):
    out = []
    for number, item in enumerate(say["items"]):
        tail = f"{number:024x}"
        if "text" in item or "refusal" in item:
            one = {"type": "output_text", "text": item["text"], "annotations": [], "logprobs": []} if "text" in item else {
                "type": "refusal", "refusal": item["refusal"]}
            out.append({"id": "msg_" + tail, "type": "message", "status": "completed", "role": "assistant", "content": [one]})
        elif "call" in item:
            out.append({"id": "fc_" + tail, "type": "function_call", "status": "completed", "call_id": item["call"],
                        "name": item["name"], "arguments": dump(item["args"])})
        elif "freeform" in item:
            out.append({"id": "ctc_" + tail, "type": "custom_tool_call", "status": "completed", "call_id": item["freeform"],
                        "name": item["name"], "input": item["input"]})
        else:
            text = item.get("think")
            out.append({"id": "rs_" + tail, "type": "reasoning", "encrypted_content": SIGNATURE,
                        "summary": [{"type": "summary_text", "text": text}] if text else []})
    return out


def usage_body(say):
    u = usage_of(say)
    return {"input_tokens": u["in"], "input_tokens_details": {"cached_tokens": u["cached"], "cache_write_tokens": u["written"]},
            "output_tokens": u["out"], "output_tokens_details": {"reasoning_tokens": u["reasoning"]}, "total_tokens": u["in"] + u["out"]}


def shell(status, output=(), usage=None, **more):
    return {"id": ID, "object": "response", "created_at": 1700000000, "status": status, "error": None, "incomplete_details": None,
            "instructions": None, "metadata": {}, "model": "up-model", "output": list(output), "parallel_tool_calls": True,
            "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [], "usage": usage, **more}


def answer(say):
    if say["stop"] == "max_tokens":
        return shell("incomplete", items_of(say), usage_body(say), incomplete_details={"reason": "max_output_tokens"})
    return shell("completed", items_of(say), usage_body(say))


def frames(say, end=True):
    out, number = [], [0]

    def put(kind, **more):
        out.append(f"event: {kind}\ndata: {dump({'type': kind, **more, 'sequence_number': number[0]})}\n\n")
        number[0] += 1

    put("response.created", response=shell("in_progress"))
    put("response.in_progress", response=shell("in_progress"))
    items = items_of(say)
    for at, item in enumerate(items):
        put_item(put, at, item, end or at + 1 < len(items))
    if end:
        whole = answer(say)
        put(f"response.{whole['status']}", response=whole)
    return out


def put_item(put, at, item, end):
    where = {"item_id": item["id"], "output_index": at}
    if item["type"] == "message":
        (one,) = item["content"]
        put("response.output_item.added", output_index=at, item={**item, "status": "in_progress", "content": []})
        name = "text" if one["type"] == "output_text" else "refusal"
        kind = "response.output_text" if name == "text" else "response.refusal"
        put("response.content_part.added", **where, content_index=0, part={**one, name: ""})
        for piece in pieces(one[name]):
            put(f"{kind}.delta", **where, content_index=0, delta=piece, **({"logprobs": []} if name == "text" else {}))
        if not end:
            return
        put(f"{kind}.done", **where, content_index=0, **{name: one[name]}, **({"logprobs": []} if name == "text" else {}))
        put("response.content_part.done", **where, content_index=0, part=one)
    elif item["type"] == "function_call":
        put("response.output_item.added", output_index=at, item={**item, "status": "in_progress", "arguments": ""})
        for piece in pieces(item["arguments"]):
            put("response.function_call_arguments.delta", **where, delta=piece)
        put("response.function_call_arguments.done", **where, arguments=item["arguments"], name=item["name"])
    elif item["type"] == "custom_tool_call":
        put("response.output_item.added", output_index=at, item={**item, "status": "in_progress", "input": ""})
        for piece in pieces(item["input"]):
            put("response.custom_tool_call_input.delta", **where, delta=piece)
        put("response.custom_tool_call_input.done", **where, input=item["input"])
    else:
        put("response.output_item.added", output_index=at, item={**item, "summary": [], "encrypted_content": "gAAAAearly"})
        for index, part in enumerate(item["summary"]):
            spot = {**where, "summary_index": index}
            put("response.reasoning_summary_part.added", **spot, part={"type": "summary_text", "text": ""})
            for piece in pieces(part["text"]):
                put("response.reasoning_summary_text.delta", **spot, delta=piece)
            put("response.reasoning_summary_text.done", **spot, text=part["text"])
            put("response.reasoning_summary_part.done", **spot, part=part)
    put("response.output_item.done", output_index=at, item=item)


def error(status, message):
    return {"error": {"message": message, "type": "invalid_request_error" if status == 400 else "server_error", "param": None, "code": None}}


def error_frames(status, message, number):
    """In the middle: the failed response."""
    body = {"type": "response.failed", "response": shell("failed", error={"code": "server_error", "message": message}), "sequence_number": number}
    return [f"event: response.failed\ndata: {dump(body)}\n\n"]


def see(path, body):
    assert path.endswith("/responses"), path
    seen = Seen()
    seen.system = [body["instructions"]] if body.get("instructions") else []
    value = body["input"]
    for item in [{"role": "user", "content": value}] if isinstance(value, str) else value:
        see_item(seen, item)
    tools = body.get("tools") or []
    seen.tools = [(t["name"], t.get("description"), t.get("parameters")) for t in tools if "name" in t]
    seen.search = any(t["type"] == "web_search" for t in tools)
    seen.user, seen.tier = body.get("safety_identifier", body.get("user")), body.get("service_tier")
    choice = body.get("tool_choice")
    seen.choice = choice["name"] if isinstance(choice, dict) else choice
    seen.parallel = body.get("parallel_tool_calls")
    shape = (body.get("text") or {}).get("format") or {}
    seen.format = shape.get("schema") or shape.get("type")
    seen.max = body.get("max_output_tokens")
    seen.think = bool((body.get("reasoning") or {}).get("effort"))
    seen.settings = {k: body[k] for k in ("temperature", "top_p") if k in body}
    return seen


def see_parts(role, value):
    out = []
    for one in [{"type": "input_text", "text": value}] if isinstance(value, str) else value:
        if one["type"] in ("input_text", "output_text"):
            out.append((role, "text", one["text"]))
        elif one["type"] == "input_image":
            head, _, data = one["image_url"].partition(",")
            out.append((role, "image", head.removeprefix("data:").removesuffix(";base64"), data))
        elif one["type"] == "input_audio":
            out.append((role, "audio", one["input_audio"]["format"], one["input_audio"]["data"]))
        elif one["type"] == "input_file":
            head, _, data = one["file_data"].partition(",")
            out.append((role, "document", head.removeprefix("data:").removesuffix(";base64"), data))
        else:
            raise AssertionError(f"an unexpected part: {one}")
    return out


def see_item(seen, item):
    kind = item.get("type", "message")
    if kind == "message":
        parts = see_parts(item["role"], item["content"])
        if item["role"] in ("system", "developer"):
            seen.system += [p[2] for p in parts]
        else:
            seen.items += parts
    elif kind == "reasoning":
        seen.opaque.append(item.get("encrypted_content"))
    elif kind == "function_call":
        seen.items.append(("assistant", "call", item["call_id"], item["name"], arguments(item["arguments"])))
    else:
        assert kind == "function_call_output", item
        inner = [p[1:] for p in see_parts("tool", item["output"])]
        failed = bool(inner) and inner[0][0] == "text" and inner[0][1].startswith("Error: ")
        if failed:
            inner[0] = ("text", inner[0][1].removeprefix("Error: "))
        seen.items.append(("tool", "result", item["call_id"], inner, failed))
