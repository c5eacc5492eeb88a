"""Builders of requests and answers in both dialects, written from PROTOCOLS 1 and 3."""

import json

IDS = {"chat": "chatcmpl-e2e0000000000000000000000001", "anthropic": "msg_e2e000000000000000000001"}
PATHS = {"chat": "/v1/chat/completions", "anthropic": "/v1/messages"}
OTHER = {"chat": "anthropic", "anthropic": "chat"}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_MODEL = "gpt-4.1"
CLAUDE = "claude-sonnet-4-5"
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
       "Jggg==")


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- requests

def ask(dialect, text="hello", model=None, **more):
    """A plain request."""
    body = {"model": model or (CHAT_MODEL if dialect == "chat" else CLAUDE)}
    if dialect == "anthropic":
        body["max_tokens"] = 1000
    body["messages"] = [{"role": "user", "content": text}]
    body.update(more)
    return {k: v for k, v in body.items() if v is not ...}


def tool(dialect, name="get_weather", description="Says the weather", schema=WEATHER, **more):
    if dialect == "chat":
        function = {"name": name, "description": description, "parameters": schema, **more}
        return {"type": "function", "function": {k: v for k, v in function.items() if v is not ...}}
    return {"name": name, "description": description, "input_schema": schema, **more}


def call(name="get_weather", arguments='{"city":"Paris"}', id="call_1"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def use(name="get_weather", input=None, id="toolu_1"):
    return {"type": "tool_use", "id": id, "name": name, "input": {"city": "Paris"} if input is None else input}


# --- whole answers

def chat_answer(text="hi there", calls=None, finish=None, usage=None, **message):
    message = {"role": "assistant", "content": text, "refusal": None, **message}
    if calls:
        message["tool_calls"] = calls
    return {
        "id": IDS["chat"], "object": "chat.completion", "created": 1700000000, "model": "up-model",
        "choices": [{"index": 0, "message": message, "logprobs": None,
                     "finish_reason": finish or ("tool_calls" if calls else "stop")}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        if usage is None else usage,
    }


def claude_answer(*blocks, stop=None, usage=None, **more):
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks or ("hi there",)]
    used = any(b["type"] == "tool_use" for b in blocks)
    return {
        "id": IDS["anthropic"], "type": "message", "role": "assistant", "model": "up-model",
        "content": blocks, "stop_reason": stop or ("tool_use" if used else "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 7} if usage is None else usage, **more,
    }


def answer(dialect, text="hi there", **more):
    return chat_answer(text, **more) if dialect == "chat" else claude_answer(text, **more)


def error(dialect, status=500, message="it broke", type=None, code=None):
    if dialect == "chat":
        return {"error": {"message": message, "type": type or "server_error", "param": None, "code": code}}
    kinds = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
             403: "permission_error", 404: "not_found_error", 413: "request_too_large",
             429: "rate_limit_error", 529: "overloaded_error", 504: "timeout_error"}
    return {"type": "error", "error": {"type": type or kinds.get(status, "api_error"), "message": message},
            "request_id": "req_e2e"}


# --- streams: lists of frames (str), one event each

def chunk(delta=None, finish=None, choices=None, index=0, **more):
    """One frame of a chat stream."""
    body = {"id": IDS["chat"], "object": "chat.completion.chunk", "created": 1700000000, "model": "up-model",
            "choices": [{"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}]
            if choices is None else choices, **more}
    return f"data: {dump(body)}\n\n"


DONE = "data: [DONE]\n\n"
ROLE = chunk({"role": "assistant", "content": "", "refusal": None})


def piece(index, arguments=None, id=None, name=None):
    """A tool call fragment; index None leaves it out."""
    out = {} if index is None else {"index": index}
    if id:
        out.update(id=id, type="function")
    function = {}
    if name:
        function["name"] = name
    if arguments is not None:
        function["arguments"] = arguments
    out["function"] = function
    return chunk({"tool_calls": [out]})


def chat_usage(prompt=11, completion=7, **more):
    return chunk(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": completion,
                                    "total_tokens": prompt + completion, **more})


def chat_stream(*parts, finish="stop", usage=True, done=True, role=True):
    """parts: text, or ready frames."""
    frames = [ROLE] if role else []
    for part in parts or ("hi ", "there"):
        frames.append(part if part.startswith(("data:", "event:", ":")) else chunk({"content": part}))
    if finish:
        frames.append(chunk(finish=finish))
    if usage:
        frames.append(chat_usage())
    if done:
        frames.append(DONE)
    return frames


def event(type, **more):
    """One frame of an anthropic stream."""
    return f"event: {type}\ndata: {dump({'type': type, **more})}\n\n"


def claude_start(usage=None, **more):
    return event("message_start", message={
        "id": IDS["anthropic"], "type": "message", "role": "assistant", "model": "up-model", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": usage or {"input_tokens": 11, "output_tokens": 1}, **more})


PING = event("ping")
STOP = event("message_stop")


def claude_delta(stop="end_turn", usage=None, sequence=None, **more):
    return event("message_delta", delta={"stop_reason": stop, "stop_sequence": sequence, **more},
                 usage=usage or {"output_tokens": 7})


def claude_block(index, block, pieces=None):
    """Frames of a whole block: text and thinking are cut into the given pieces."""
    kind = block["type"]
    if kind == "text":
        start, deltas = {"type": "text", "text": ""}, [
            {"type": "text_delta", "text": p} for p in pieces or [block["text"]]]
    elif kind == "thinking":
        start = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces or [block["thinking"]]]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif kind == "tool_use":
        start = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": p}
                  for p in pieces or ["", dump(block["input"])]]
    else:
        start, deltas = block, []
    return [event("content_block_start", index=index, content_block=start),
            *[event("content_block_delta", index=index, delta=d) for d in deltas],
            event("content_block_stop", index=index)]


def claude_stream(*blocks, stop=None, usage=None, start_usage=None, end=True):
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in blocks or ("hi there",)]
    frames = [claude_start(start_usage), PING]
    for index, block in enumerate(blocks):
        frames += claude_block(index, block)
    used = any(b["type"] == "tool_use" for b in blocks)
    frames.append(claude_delta(stop or ("tool_use" if used else "end_turn"), usage))
    return frames + ([STOP] if end else [])


def stream(dialect, *texts):
    return chat_stream(*texts) if dialect == "chat" else claude_stream(*texts)


# --- handlers of scripted upstreams

def whole(body, status=200, **how):
    return lambda request, reply: reply.body(body, status, **how)


def streamed(frames, **how):
    return lambda request, reply: reply.sse(frames, **how)


def both(dialect, text="hi there"):
    """Answers whole or streamed as it was asked; the gateway's own question for models with none."""
    def run(request, reply):
        if request.method == "GET":
            reply.body({"object": "list", "data": []})
        elif request.json.get("stream"):
            reply.sse(stream(dialect, *([text] if text else [])))
        else:
            reply.body(answer(dialect, text))
    return run


def fail(dialect, status, headers=None, **more):
    return lambda request, reply: reply.body(error(dialect, status, **more), status, headers=headers)
