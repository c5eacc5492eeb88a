"""Requests and answers of benchmarks, made by hand: a 2 KB exchange, a stream of 50 pieces, a coding agent's 193 KB request.

Nothing here is random: the same call gives the same bytes.
"""
import json

MARK = "END-OF-ANSWER"
SENTENCE = "The gateway reads each request, picks a route, sends it on and streams the answer back piece by piece. "


def prose(n):
    """About n characters of plain text, ending with the mark."""
    return (SENTENCE * (n // len(SENTENCE) + 1))[: max(0, n - len(MARK) - 1)] + " " + MARK


# ---- answers


def chat_whole(n=1700):
    return {
        "id": "chatcmpl-bench0001",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "bench-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": prose(n), "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 400,
            "completion_tokens": 350,
            "total_tokens": 750,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def messages_whole(n=1700):
    return {
        "id": "msg_bench0001",
        "type": "message",
        "role": "assistant",
        "model": "bench-model",
        "content": [{"type": "text", "text": prose(n)}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 400,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 350,
            "service_tier": "standard",
        },
    }


def responses_whole(n=1700, status="completed"):
    part = {"type": "output_text", "text": prose(n), "annotations": [], "logprobs": []}
    item = {"id": "msg_bench0001", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "id": "resp_bench0001",
        "object": "response",
        "created_at": 1767225600,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "bench-model",
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 0.2,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "store": False,
        "usage": {
            "input_tokens": 400,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 350,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 750,
        },
    }


def gemini_chunk(text, finish=None, tokens=350):
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 400, "candidatesTokenCount": tokens, "totalTokenCount": 400 + tokens}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "bench-model", "responseId": "bench0001"}


def frame(data, event=None):
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return (f"event: {event}\n" if event else "") + f"data: {text}\n\n"


def pieces(count):
    return [f" piece {i:03d} of it" for i in range(count - 1)] + [" " + MARK]


def chat_stream(count=50):
    base = {"id": "chatcmpl-bench0001", "object": "chat.completion.chunk", "created": 1767225600, "model": "bench-model"}

    def chunk(delta, finish=None):
        return frame({**base, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    usage = {"prompt_tokens": 400, "completion_tokens": count, "total_tokens": 400 + count}
    return "".join(
        [chunk({"role": "assistant", "content": "", "refusal": None})]
        + [chunk({"content": p}) for p in pieces(count)]
        + [chunk({}, "stop"), frame({**base, "choices": [], "usage": usage}), frame("[DONE]")]
    )


def messages_stream(count=50):
    usage = {"input_tokens": 400, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    start = {**messages_whole(0), "content": [], "stop_reason": None, "usage": usage}

    def event(name, **fields):
        return frame({"type": name, **fields}, name)

    return "".join(
        [event("message_start", message=start)]
        + [event("content_block_start", index=0, content_block={"type": "text", "text": ""})]
        + [event("content_block_delta", index=0, delta={"type": "text_delta", "text": p}) for p in pieces(count)]
        + [event("content_block_stop", index=0)]
        + [event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": count})]
        + [event("message_stop")]
    )


def responses_stream(count=50):
    number = iter(range(1000))
    open_item = {"id": "msg_bench0001", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    text = "".join(pieces(count))
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {**open_item, "status": "completed", "content": [part]}
    at = {"item_id": "msg_bench0001", "output_index": 0, "content_index": 0}
    running = {**responses_whole(0, "in_progress"), "output": [], "usage": None}
    done = {**responses_whole(0), "output": [item]}

    def event(name, **fields):
        return frame({"type": name, "sequence_number": next(number), **fields}, name)

    return "".join(
        [event("response.created", response=running), event("response.in_progress", response=running)]
        + [event("response.output_item.added", output_index=0, item=open_item)]
        + [event("response.content_part.added", **at, part={**part, "text": ""})]
        + [event("response.output_text.delta", **at, delta=p, logprobs=[]) for p in pieces(count)]
        + [event("response.output_text.done", **at, text=text, logprobs=[])]
        + [event("response.content_part.done", **at, part=part)]
        + [event("response.output_item.done", output_index=0, item=item)]
        + [event("response.completed", response=done)]
    )


def gemini_stream(count=50):
    last = count - 1
    return "".join(frame(gemini_chunk(p, "STOP" if i == last else None, i + 1)) for i, p in enumerate(pieces(count)))


# ---- requests


def chat_small(stream=False, n=1700):
    body = {
        "model": "bench-model",
        "messages": [
            {"role": "system", "content": "You answer in plain English and in few words."},
            {"role": "user", "content": prose(n)},
        ],
        "max_completion_tokens": 512,
        "temperature": 0.2,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def messages_small(stream=False, n=1700):
    body = {
        "model": "bench-model",
        "max_tokens": 512,
        "system": "You answer in plain English and in few words.",
        "messages": [{"role": "user", "content": prose(n)}],
        "temperature": 0.2,
    }
    if stream:
        body["stream"] = True
    return body


def responses_small(stream=False, n=1700):
    body = {
        "model": "bench-model",
        "instructions": "You answer in plain English and in few words.",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": prose(n)}]}],
        "max_output_tokens": 512,
        "temperature": 0.2,
        "store": False,
    }
    if stream:
        body["stream"] = True
    return body


def gemini_small(stream=False, n=1700):
    del stream  # the path says it
    return {
        "systemInstruction": {"parts": [{"text": "You answer in plain English and in few words."}]},
        "contents": [{"role": "user", "parts": [{"text": prose(n)}]}],
        "generationConfig": {"maxOutputTokens": 512, "temperature": 0.2},
    }


SMALL = {"chat": chat_small, "messages": messages_small, "responses": responses_small, "gemini": gemini_small}

TOOL_NAMES = [
    "run_command", "read_file", "write_file", "edit_file", "list_folder", "search_text", "find_files", "fetch_page",
    "ask_user", "make_plan", "update_plan", "start_task", "task_output", "stop_task", "open_notebook", "edit_notebook",
    "search_web", "remember", "recall", "show_diff", "apply_patch", "run_tests",
]  # fmt: skip


def tool_schema(i):
    text = {"type": "string", "description": SENTENCE.strip()}
    return {
        "type": "object",
        "properties": {
            "path": text,
            "command": {**text, "minLength": 1},
            "timeout_ms": {"type": "integer", "exclusiveMinimum": 0, "maximum": 600000, "default": 120000 + i},
            "mode": {"type": "string", "enum": ["read", "write", "append"], "description": "How the file is opened."},
            "edits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"old": text, "new": text, "all": {"type": "boolean", "default": False}},
                    "required": ["old", "new"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["path", "command"],
        "additionalProperties": False,
    }


def tool_description(name):
    return f"{name.replace('_', ' ').capitalize()}.\n\nUsage:\n" + "".join(f"- Rule {k}: {SENTENCE}\n" for k in range(12))


def source_text(turn, lines):
    return "".join(
        f'{n:6d}\tstatic int step_{turn}_{n}(struct state *s, const char *name)\t{{ return put(s, "{n}\\t%s\\n", name); }}\n'
        for n in range(1, lines + 1)
    )


def agent_messages(size=193 * 1024, stream=False):
    """A coding agent's request in the Messages dialect: 22 tools, a long system prompt, a history of tool calls."""
    tools = [{"name": n, "description": tool_description(n), "input_schema": tool_schema(i)} for i, n in enumerate(TOOL_NAMES)]
    system = [
        {"type": "text", "text": "You are a coding agent that works in a terminal."},
        {"type": "text", "text": "# How to work\n" + SENTENCE * 120, "cache_control": {"type": "ephemeral"}},
    ]
    messages = [{"role": "user", "content": [{"type": "text", "text": "Please make the failing test of the parser pass."}]}]
    body = {
        "model": "bench-model",
        "max_tokens": 32000,
        "system": system,
        "messages": messages,
        "tools": tools,
        "metadata": {"user_id": '{"device_id":"d","session_id":"s"}'},
    }
    if stream:
        body["stream"] = True

    def length():
        return len(json.dumps(body, separators=(",", ":")))

    turn = 0
    while length() < size - 6000:
        turn += 1
        call = f"toolu_bench{turn:04d}"
        use = {"type": "tool_use", "id": call, "name": "read_file", "input": {"path": f"src/part_{turn}.c", "command": "cat"}}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": SENTENCE.strip()}, use]})
        result = {"type": "tool_result", "tool_use_id": call, "content": source_text(turn, 40)}
        messages.append({"role": "user", "content": [result]})
    last = {"type": "text", "text": "Go on. ", "cache_control": {"type": "ephemeral"}}
    messages[-1]["content"].append(last)
    last["text"] += (SENTENCE * 100)[: max(0, size - length())]
    return body


WHOLE = {"chat": chat_whole, "messages": messages_whole, "responses": responses_whole}
STREAM = {"chat": chat_stream, "messages": messages_stream, "responses": responses_stream, "gemini": gemini_stream}
WHOLE["gemini"] = lambda n=1700: gemini_chunk(prose(n), "STOP")


def write_answers(folder, count=50):
    """What bench_mock answers."""
    for name, whole in WHOLE.items():
        (folder / f"{name}.json").write_text(json.dumps(whole()))
        (folder / f"{name}.sse").write_text(STREAM[name](count))


PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
AUTH = {"messages": "x-api-key: {}\r\nanthropic-version: 2023-06-01\r\n", "gemini": "x-goog-api-key: {}\r\n"}


def path_of(dialect, stream):
    if dialect == "gemini":
        return "/v1beta/models/bench-model:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return PATHS[dialect]


def http_request(dialect, body, stream=False, key="sk-bench-not-a-secret"):
    """The bytes of a whole HTTP request."""
    data = json.dumps(body, separators=(",", ":")).encode()
    auth = AUTH.get(dialect, "authorization: Bearer {}\r\n").format(key)
    head = (
        f"POST {path_of(dialect, stream)} HTTP/1.1\r\nhost: 127.0.0.1\r\n{auth}content-type: application/json\r\n"
        f"accept: */*\r\nuser-agent: bench/1\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data
