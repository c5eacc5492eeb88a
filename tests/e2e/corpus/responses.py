"""Recorded Responses answers, read for comparison: an independent reading of PROTOCOLS 2, 7."""

import json

from harness.canon import Said
from harness.sse import loose_sse

REASONS = {"max_output_tokens": "max_tokens", "max_messages": "max_tokens", "content_filter": "content_filter"}
NATIVE = {"local_shell_call": "action", "shell_call": "action", "apply_patch_call": "operation", "tool_search_call": "arguments"}


def usage(raw):
    """7.3, the Responses reader."""
    if not raw:
        return {}
    taken, made = raw.get("input_tokens_details") or {}, raw.get("output_tokens_details") or {}
    return {"in_total": raw["input_tokens"], "in_cached": taken.get("cached_tokens") or 0,
            "in_cache_write": taken.get("cache_write_tokens") or 0, "out_total": raw["output_tokens"],
            "out_reasoning": made.get("reasoning_tokens") or 0}


def native_call(said, item):
    action = item[NATIVE[item["type"]]]
    if item["type"] == "local_shell_call":
        action = {k: v for k, v in action.items() if k != "type"}
    said.calls.append((item["type"].removesuffix("_call"), json.dumps(action)))


def add(said, item):
    kind = item["type"]
    if kind == "message":
        for part in item["content"]:
            said.text += part.get("text", "")
            said.refusal += part.get("refusal", "")
            said.citations += part.get("annotations") or []
    elif kind == "reasoning":
        texts = [p["text"] for p in item.get("summary") or []] or [p["text"] for p in item.get("content") or []]
        said.thinking += "\n\n".join(texts)
        said.opaque += [item["encrypted_content"]] if item.get("encrypted_content") else []
    elif kind == "function_call":
        said.calls.append((item["name"], item["arguments"]))
    elif kind == "custom_tool_call":
        said.calls.append((item["name"], json.dumps({"input": item["input"]})))
    elif kind in NATIVE:
        native_call(said, item)
    else:
        said.vendor.append(kind)


def whole(body):
    said = Said(ended=True)
    if body.get("error"):
        said.error = body["error"]
        return said
    for item in body["output"]:
        add(said, item)
    if body["status"] == "incomplete":
        said.stop = REASONS[body["incomplete_details"]["reason"]]
    else:
        said.stop = "tool_use" if said.calls else "refusal" if said.refusal and not said.text else "end"
    said.usage = usage(body.get("usage"))
    return said


def stream(raw):
    """A stream by its terminal event, whose list of items is that of the done ones."""
    done, last = [], None
    for event in loose_sse(raw):
        if not event.data or event.data == "[DONE]":
            continue
        frame = json.loads(event.data)
        kind = frame.get("type")
        if kind == "error":
            return Said(error=frame.get("error") or frame)
        if kind == "response.output_item.done":
            done.append(frame["item"])
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            last = frame["response"]
    if last is None:
        return Said(unfinished=True)
    return whole({**last, "output": last["output"] or done})


def read(exchange):
    return stream(exchange.sse) if exchange.sse is not None else whole(exchange.answer)


def texts(value):
    """Every text that a part of a recorded request says."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    out = []
    for item in value or []:
        if item.get("type", "message") == "message":
            content = item["content"]
            out += [content] if isinstance(content, str) else [p["text"] for p in content if p.get("text")]
        elif item["type"] in ("function_call_output", "custom_tool_call_output") and isinstance(item["output"], str):
            out.append(item["output"])
    return [t for t in out if t.strip()]
