"""What a request or an answer says, apart from its dialect: an independent reading of PROTOCOLS 1, 3, 7.

Requests become system texts, one flat run of (role, item), tools, choice and settings; answers become
text, thinking, calls, stop reason and usage. Nothing here is taken from the program under test.
"""

import json
import re
from dataclasses import dataclass, field

# ---------------------------------------------------------------- requests


@dataclass
class Asked:
    system: list = field(default_factory=list)
    items: list = field(default_factory=list)  # (role, kind, value…)
    tools: dict = field(default_factory=dict)  # name → (description, schema)
    choice: tuple = ("unset", None)
    parallel: bool | None = None
    settings: dict = field(default_factory=dict)


def _number(ids, id):
    return ids.setdefault(id, len(ids))


def _object(arguments):
    """6.5: arguments as an object."""
    if isinstance(arguments, dict):
        return arguments
    if not (arguments or "").strip():
        return {}
    try:
        value = json.loads(arguments)
    except ValueError:
        return {"_raw_arguments": arguments}
    return value if isinstance(value, dict) else {"value": value}


def _parts(content):
    if content is None:
        return []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _data_url(url):
    got = re.match(r"data:([^;,]*);base64,(.*)$", url, re.S)
    return (got[1].replace("image/jpg", "image/jpeg"), got[2]) if got else None


def _chat_part(role, part):
    kind = part["type"]
    if kind == "text":
        return (role, "text", part["text"])
    if kind == "refusal":
        return (role, "text", part["refusal"])
    if kind == "image_url":
        url = part["image_url"]["url"]
        return (role, "image", _data_url(url) or url)
    if kind == "file":
        data = part["file"].get("file_data")
        return (role, "file", (_data_url(data) or data) if data else part["file"].get("file_id"))
    return (role, kind, None)


def chat_request(body):
    """Reads a Chat Completions request."""
    out, ids, leading = Asked(), {}, True
    for message in body["messages"]:
        role, content = message["role"], message.get("content")
        if role in ("system", "developer") and leading:
            out.system += [p["text"] for p in _parts(content) if p["text"]]
            continue
        leading = False
        if role in ("system", "developer"):
            out.items += [("system", "text", p["text"]) for p in _parts(content)]
        elif role == "tool":
            text = "\n".join(p["text"] for p in _parts(content))
            out.items.append(("user", "result", _number(ids, message["tool_call_id"]), text))
        else:
            for part in _parts(content):
                if part["type"] not in ("thinking", "reasoning"):
                    out.items.append(_chat_part(role, part))
            if message.get("refusal"):
                out.items.append((role, "text", message["refusal"]))
            for call in message.get("tool_calls") or []:
                if call["type"] == "custom":
                    name, args = call["custom"]["name"], {"input": call["custom"]["input"]}
                else:
                    name, args = call["function"]["name"], _object(call["function"]["arguments"])
                out.items.append((role, "call", _number(ids, call["id"]), name, args))
    out.items = [i for i in out.items if not (i[1] == "text" and not i[2].strip())]
    for tool in body.get("tools") or []:
        if tool["type"] not in ("function", "custom"):
            continue
        inner = tool[tool["type"]]
        out.tools[inner["name"]] = (inner.get("description") or "", inner.get("parameters"), tool["type"],
                                    inner.get("strict"))
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        out.choice = ("named", choice[choice["type"]].get("name"))
    elif choice:
        out.choice = (choice, None)
    out.parallel = body.get("parallel_tool_calls")
    form = body.get("response_format") or {}
    stop = body.get("stop")
    out.settings = {
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
        "temperature": body.get("temperature"), "top_p": body.get("top_p"),
        "stop": [stop] if isinstance(stop, str) else stop or [],
        "stream": bool(body.get("stream")), "effort": body.get("reasoning_effort"),
        "format": form.get("type") if form.get("type") != "text" else None,
        "schema": (form.get("json_schema") or {}).get("schema"),
        "user": body.get("safety_identifier") or body.get("user"),
    }
    return out


def _claude_result(block):
    parts = _parts(block.get("content"))
    return ("\n".join(p["text"] for p in parts if p["type"] == "text"),
            [p for p in parts if p["type"] not in ("text",)])


def _source(block):
    source = block["source"]
    kind = source["type"]
    if kind == "base64":
        return (source["media_type"], source["data"])
    return source.get("url") or source.get("file_id") or source.get("data") or json.dumps(source.get("content"))


def claude_request(body):
    """Reads a Messages request. Thinking is left out: its rules have tests of their own."""
    out, ids = Asked(), {}
    out.system = [p["text"] for p in _parts(body.get("system")) if p["text"]]
    for message in body["messages"]:
        role = message["role"]
        for block in _parts(message["content"]):
            kind = block["type"]
            if kind == "text":
                if block["text"]:
                    out.items.append((role, "text", block["text"]))
            elif kind == "image":
                out.items.append((role, "image", _source(block)))
            elif kind == "document":
                out.items.append((role, "file", _source(block)))
            elif kind == "tool_use":
                out.items.append((role, "call", _number(ids, block["id"]), block["name"], block["input"]))
            elif kind == "tool_result":
                text, rest = _claude_result(block)
                out.items.append((role, "result", _number(ids, block["tool_use_id"]), text,
                                  bool(block.get("is_error")), rest))
            elif kind == "compaction" and block.get("content"):  # 6.9
                out.items.append(("user", "text", f"Summary of earlier conversation: {block['content']}"))
            elif kind not in ("thinking", "redacted_thinking"):
                out.items.append((role, "vendor", kind))
    for tool in body.get("tools") or []:
        out.tools[tool["name"] if "name" in tool else tool["type"]] = (
            tool.get("description") or "", tool.get("input_schema"), tool.get("type") or "custom",
            tool.get("strict"))
    choice = body.get("tool_choice")
    if choice:
        mode = {"any": "required", "tool": "named"}.get(choice["type"], choice["type"])
        out.choice = (mode, choice.get("name"))
        if choice.get("disable_parallel_tool_use"):
            out.parallel = False
    config = body.get("output_config") or {}
    form = config.get("format") or body.get("output_format") or {}
    thinking = body.get("thinking") or {}
    out.settings = {
        "max_tokens": body.get("max_tokens"), "temperature": body.get("temperature"),
        "top_p": body.get("top_p"), "stop": body.get("stop_sequences") or [],
        "stream": bool(body.get("stream")), "effort": config.get("effort"),
        "budget": thinking.get("budget_tokens"), "thinking": thinking.get("type"),
        "format": form.get("type"), "schema": form.get("schema"),
        "user": (body.get("metadata") or {}).get("user_id"),
    }
    return out


def budget_level(budget):
    """6.6: thresholds from a budget to a level."""
    for limit, level in ((0, "none"), (1536, "minimal"), (4096, "low"), (12288, "medium"), (20480, "high"),
                         (28672, "xhigh")):
        if budget <= limit:
            return level
    return "max"


def runs(items):
    """Groups (role, …) items: neighbouring texts of one role become one run of texts."""
    out = []
    for item in items:
        if item[1] == "text" and out and out[-1][0] == item[0] and out[-1][1] == "text":
            out[-1][2].append(item[2])
        elif item[1] == "text":
            out.append((item[0], "text", [item[2]]))
        else:
            out.append(item)
    return out


def same_texts(want, got):
    """Every wanted text is there verbatim and in order; only separators may have been added."""
    joined, at = "".join(got), 0
    for text in want:
        found = joined.find(text, at)
        if found < 0 or found - at > 4:
            return False
        at = found + len(text)
    return len(joined) - at <= 4


# ---------------------------------------------------------------- answers


@dataclass
class Said:
    text: str = ""
    thinking: str = ""
    calls: list = field(default_factory=list)  # (name, arguments as text)
    refusal: str = ""
    stop: str | None = None  # canonical: 5.4
    sequence: str | None = None
    usage: dict = field(default_factory=dict)
    error: dict | None = None
    ended: bool = False  # a stream reached its terminal marker
    unfinished: bool = False  # [DONE] came without a finish_reason
    opaque: list = field(default_factory=list)  # redacted thinking, signatures
    vendor: list = field(default_factory=list)  # blocks that only the vendor understands
    citations: list = field(default_factory=list)


FINISH = {"stop": "end", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use",
          "content_filter": "content_filter"}
STOP_REASON = {"end_turn": "end", "max_tokens": "max_tokens", "tool_use": "tool_use",
               "stop_sequence": "stop_sequence", "pause_turn": "pause", "refusal": "refusal",
               "model_context_window_exceeded": "context_window", "compaction": "compaction"}
# 7.2, columns Chat and Anthropic
TO_FINISH = {"end": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length",
             "context_window": "length", "content_filter": "content_filter", "pause": "stop",
             "compaction": "stop", "other": "stop"}
TO_STOP_REASON = {"end": "end_turn", "stop_sequence": "stop_sequence", "tool_use": "tool_use",
                  "max_tokens": "max_tokens", "context_window": "model_context_window_exceeded",
                  "refusal": "refusal", "content_filter": "refusal", "pause": "pause_turn",
                  "other": "end_turn"}


def chat_usage(raw):
    """7.3, the Chat reader."""
    if not raw:
        return {}
    prompt, done = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
    cached = prompt.get("cached_tokens")
    if cached is None:
        cached = raw.get("prompt_cache_hit_tokens", raw.get("cached_tokens"))
    return {"in_total": raw.get("prompt_tokens"), "in_cached": cached or 0,
            "in_cache_write": prompt.get("cache_write_tokens") or 0,
            "out_total": raw.get("completion_tokens"), "out_reasoning": done.get("reasoning_tokens") or 0,
            "total": raw.get("total_tokens")}


def claude_usage(raw):
    """7.3, the Anthropic reader."""
    if not raw:
        return {}
    read, made = raw.get("cache_read_input_tokens") or 0, raw.get("cache_creation_input_tokens") or 0
    return {"in_total": (raw.get("input_tokens") or 0) + read + made, "in_cached": read,
            "in_cache_write": made, "out_total": raw.get("output_tokens"),
            "out_reasoning": (raw.get("output_tokens_details") or {}).get("thinking_tokens") or 0}


def _chat_content(said, content):
    if isinstance(content, str):
        said.text += content
        return
    for part in content or []:
        if part["type"] == "text":
            said.text += part["text"]
        elif part["type"] == "thinking":
            inner = part["thinking"]
            said.thinking += inner if isinstance(inner, str) else "".join(
                p.get("text", "") for p in inner if p["type"] == "text")


def _chat_thought(message):
    for name in ("reasoning_content", "reasoning"):
        if isinstance(message.get(name), str) and message[name]:
            return message[name]
    return ""


def _chat_details(message):
    return "".join(d.get("text") or d.get("summary") or "" for d in message.get("reasoning_details") or [])


def _chat_opaque(message):
    return [d.get("data") or d.get("signature") for d in message.get("reasoning_details") or []
            if d.get("data") or d.get("signature")]


def _chat_finish(said, finish):
    """7.2, reading rules."""
    said.stop = FINISH.get(finish, "other") if finish else None
    if said.calls and said.stop == "end":
        said.stop = "tool_use"
    if not said.calls and said.stop == "tool_use":
        said.stop = "end"
    if said.refusal and said.stop == "end":
        said.stop = "refusal"


def chat_answer(body):
    """Reads a whole Chat answer; several choices: the first (7.1)."""
    said = Said(ended=True)
    if body.get("error"):
        said.error = body["error"]
        return said
    choice = body["choices"][0]
    message = choice["message"]
    _chat_content(said, message.get("content"))
    said.thinking += _chat_thought(message) or _chat_details(message)
    said.opaque = _chat_opaque(message)
    said.refusal = message.get("refusal") or ""
    said.citations = message.get("annotations") or []
    for call in message.get("tool_calls") or []:
        if call.get("type") == "custom":
            said.calls.append((call["custom"]["name"], json.dumps({"input": call["custom"]["input"]})))
        else:
            args = call["function"].get("arguments")
            said.calls.append((call["function"]["name"], args if isinstance(args, str) else json.dumps(args)))
    _chat_finish(said, choice.get("finish_reason"))
    said.usage = chat_usage(body.get("usage"))
    return said


def chat_stream(events):
    """Reads a Chat stream by 8.1, with the tolerances of 1.7."""
    said, calls, order, finish, usage, id_last = Said(), {}, [], None, None, None
    details, freeform = "", set()
    for event in events:
        if event.data is None:
            continue
        if event.data.strip() == "[DONE]":
            said.ended = True
            break
        frame = json.loads(event.data)
        if frame.get("error"):
            said.error = frame["error"]
            break
        usage = frame.get("usage") or (frame.get("x_groq") or {}).get("usage") or usage
        for choice in frame.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or {}
            _chat_content(said, delta.get("content"))
            plain, detailed = _chat_thought(delta), _chat_details(delta)
            said.thinking += plain
            details += detailed
            said.opaque += _chat_opaque(delta)
            said.refusal += delta.get("refusal") or ""
            said.citations += delta.get("annotations") or []
            for call in delta.get("tool_calls") or []:
                at = call.get("index")
                if at is None:
                    at = ("new", call["id"]) if call.get("id") and call["id"] != id_last else order[-1]
                    id_last = call.get("id") or id_last
                if at not in calls:
                    calls[at] = ["", ""]
                    order.append(at)
                inner = call.get("function") or call.get("custom") or {}
                freeform.update({at} if "custom" in call else ())
                calls[at][0] = calls[at][0] or inner.get("name") or ""
                args = inner.get("arguments", inner.get("input"))
                calls[at][1] += args if isinstance(args, str) else json.dumps(args) if args else ""
            finish = choice.get("finish_reason") or finish
    said.thinking = said.thinking or details  # the text stands in one of the two, or in both
    said.calls = [(calls[at][0], json.dumps({"input": calls[at][1]}) if at in freeform else calls[at][1])
                  for at in order]
    _chat_finish(said, finish)
    if said.ended and finish is None:  # 7.2: missing finish_reason at [DONE]
        said.unfinished = True
        said.stop = "tool_use" if said.calls else "end" if said.text else None
    said.usage = chat_usage(usage)
    said.ended = said.ended or (finish is not None and said.error is None)
    return said


def _claude_blocks(said, blocks):
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            said.text += block["text"]
            said.citations += block.get("citations") or []
        elif kind == "thinking":
            said.thinking += ("\n\n" if said.thinking and block["thinking"] else "") + block["thinking"]
            said.opaque.append(block.get("signature"))
        elif kind == "redacted_thinking":
            said.opaque.append(block["data"])
        elif kind == "tool_use":
            raw = block.get("_json")
            said.calls.append((block["name"], raw if raw else json.dumps(block["input"])))
        else:
            said.vendor.append(kind)


def _claude_stop(said, reason, sequence):
    said.stop = STOP_REASON.get(reason, "other") if reason else None
    said.sequence = sequence
    if said.stop == "end" and said.calls:
        said.stop = "end"


def claude_answer(body):
    said = Said(ended=True)
    if body.get("type") == "error":
        said.error = body["error"]
        return said
    _claude_blocks(said, body["content"])
    _claude_stop(said, body.get("stop_reason"), body.get("stop_sequence"))
    said.refusal = ((body.get("stop_details") or {}).get("explanation") or "") if said.stop == "refusal" else ""
    said.usage = claude_usage(body.get("usage"))
    return said


def claude_stream(events):
    """Reads a Messages stream by 8.1: later usage overwrites what is not null."""
    said, blocks, usage, reason, sequence, details = Said(), [], {}, None, None, {}
    for event in events:
        if event.data is None:
            continue
        frame = json.loads(event.data)
        kind = frame["type"]
        if kind == "message_start":
            usage.update({k: v for k, v in frame["message"].get("usage", {}).items() if v is not None})
        elif kind == "content_block_start":
            block = dict(frame["content_block"])
            if block["type"] == "tool_use":
                block["_json"] = json.dumps(block["input"]) if block.get("input") else ""
            blocks.append(block)
        elif kind == "content_block_delta":
            delta, block = frame["delta"], blocks[frame["index"]]
            what = delta["type"]
            if what == "text_delta":
                block["text"] += delta["text"]
            elif what == "thinking_delta":
                block["thinking"] += delta["thinking"]
            elif what == "signature_delta":
                block["signature"] = block.get("signature", "") + delta["signature"]
            elif what == "input_json_delta" and "_json" in block:
                block["_json"] += delta["partial_json"]
            elif what == "citations_delta":
                block["citations"] = (block.get("citations") or []) + [delta["citation"]]
        elif kind == "message_delta":
            usage.update({k: v for k, v in (frame.get("usage") or {}).items() if v is not None})
            reason = frame["delta"].get("stop_reason") or reason
            sequence = frame["delta"].get("stop_sequence") or sequence
            details = frame["delta"].get("stop_details") or details
        elif kind == "message_stop":
            said.ended = True
        elif kind == "error":
            said.error = frame["error"]
            break
    for block in blocks:
        if block["type"] == "tool_use" and not block["_json"]:
            block["input"] = {}
    _claude_blocks(said, blocks)
    _claude_stop(said, reason, sequence)
    said.refusal = (details.get("explanation") or "") if said.stop == "refusal" else ""
    said.usage = claude_usage(usage)
    return said


def check_chat_grammar(events, include_usage=False):
    """1.7, as a writer must keep it. Returns the chunks."""
    assert events, "no events"
    ended = events[-1].data == "[DONE]"
    chunks = [json.loads(e.data) for e in events if e.data and e.data != "[DONE]"]
    assert all(e.event is None for e in events), "a chat frame has an event line"
    if chunks and "error" in chunks[-1]:
        assert not ended, "[DONE] after an error"
        chunks = chunks[:-1]
    else:
        assert ended, "no [DONE] at the end"
    if not chunks:
        return chunks
    for name in ("id", "created", "model", "object"):
        assert len({json.dumps(c[name]) for c in chunks}) == 1, f"{name} changes: {[c[name] for c in chunks][:5]}"
    assert chunks[0]["object"] == "chat.completion.chunk"
    assert chunks[0]["choices"][0]["delta"].get("role") == "assistant", chunks[0]
    finished, seen = False, {}
    for place, c in enumerate(chunks):
        if not c["choices"]:
            assert include_usage and c.get("usage") and place == len(chunks) - 1, f"an unasked usage chunk: {c}"
            continue
        if include_usage:
            assert "usage" in c and c["usage"] is None, f"usage is not null before the last chunk: {c}"
        else:
            assert not c.get("usage"), f"usage nobody asked for: {c}"
        (choice,) = c["choices"]
        assert choice["index"] == 0 and "finish_reason" in choice, c
        assert not finished, "a chunk after the finish"
        assert place == 0 or "role" not in choice["delta"], "a second role"
        for tool in choice["delta"].get("tool_calls") or []:
            at = tool["index"]
            first = at not in seen
            assert at == len(seen) if first else at in seen, f"tool index {at} after {sorted(seen)}"
            assert first == ("id" in tool) == ("type" in tool), f"id, type outside the first fragment: {tool}"
            inner = tool.get("function") or tool.get("custom")
            assert first == ("name" in inner), f"name outside the first fragment: {tool}"
            seen[at] = True
        if choice["finish_reason"]:
            finished = True
    if ended:
        assert finished, "[DONE] without finish_reason"
        assert not include_usage or not chunks[-1]["choices"], "no usage chunk"
    return chunks


def check_claude_grammar(events):
    """3.10, as a writer must keep it. Returns the frames."""
    frames, open_at, count, state = [], None, 0, "start"
    for event in events:
        if event.data is None:
            continue
        frame = json.loads(event.data)
        kind = frame["type"]
        assert event.event == kind, f"event {event.event!r} of a {kind}"
        assert state != "over", f"{kind} after the end"
        frames.append(frame)
        if kind == "ping":
            continue
        if kind == "error":
            assert set(frame["error"]) >= {"type", "message"}, frame
            state = "over"
        elif kind == "message_start":
            assert state == "start", "a second message_start"
            message = frame["message"]
            assert message["content"] == [] and message["stop_reason"] is None and message["role"] == "assistant"
            assert all(isinstance(message["usage"][k], int) for k in ("input_tokens", "output_tokens")), message
            state = "blocks"
        elif kind == "content_block_start":
            assert state == "blocks" and open_at is None, f"{kind} while {open_at} is open ({state})"
            assert frame["index"] == count, f"index {frame['index']}, not {count}"
            open_at, count = frame["content_block"]["type"], count + 1
            signed = False
            if open_at == "tool_use":
                assert frame["content_block"]["input"] == {}, frame
        elif kind == "content_block_delta":
            assert frame["index"] == count - 1 and open_at, frame
            what = frame["delta"]["type"]
            allowed = {"text": ("text_delta", "citations_delta"), "tool_use": ("input_json_delta",),
                       "thinking": ("thinking_delta", "signature_delta")}
            assert what in allowed.get(open_at, (what,)), f"{what} in a {open_at}"
            if what == "signature_delta":
                assert not signed and frame["delta"]["signature"], "a second or an empty signature"
                signed = True
            elif open_at == "thinking":
                assert not signed, "thinking after its signature"
        elif kind == "content_block_stop":
            assert frame["index"] == count - 1 and open_at, frame
            assert open_at != "thinking" or signed, "a thinking block without a signature"
            open_at = None
        elif kind == "message_delta":
            assert open_at is None and state in ("blocks", "delta"), state
            state = "delta"
            assert isinstance(frame["usage"]["output_tokens"], int), frame
        elif kind == "message_stop":
            assert state == "delta", f"message_stop in {state}"
            state = "over"
        else:
            raise AssertionError(f"an event that no client knows: {kind}")
    assert state == "over", f"the stream just stops in {state}"
    return frames
