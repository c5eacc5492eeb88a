"""Statements of PROTOCOLS 11 about answers: content, stop reasons, usage, streams in both dialects."""

import json
import re
import threading
import time

import pytest

from harness import canon, parse_sse, wire
from harness.stand import place

p = pytest.mark.p
THOUGHT = {"type": "thinking", "thinking": "let me see", "signature": "c2ln"}
THINK = {"type": "enabled", "budget_tokens": 2000}


def ask(client, stream=False, **more):
    if client == "chat" and stream:
        more.setdefault("stream_options", {"include_usage": True})
    if client == "anthropic":
        more.setdefault("max_tokens", 9000)
    return wire.ask(client, stream=stream, model="claude-sonnet-4-5" if client == "chat" else "gpt-5",
                    **more)


def read(client, got, stream=True):
    """Reads an answer strictly."""
    if not stream:
        return (canon.chat_answer if client == "chat" else canon.claude_answer)(got.json)
    events = got.events
    if client == "chat":
        canon.check_chat_grammar(events, include_usage=True)
        return canon.chat_stream(events)
    canon.check_claude_grammar(events)
    return canon.claude_stream(events)


def stopped(reason, text="x", stream=False):
    """A chat upstream that ends so."""
    return wire.streamed(wire.chat_stream(text, finish=reason)) if stream else wire.whole(
        wire.chat_answer(text, finish=reason))


# ---------------------------------------------------------------- stop reasons


@p("P-135")
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_says_so(to_anthropic, to_chat, stream):
    handler = wire.streamed(wire.claude_stream("a", wire.use())) if stream else wire.whole(
        wire.claude_answer("a", wire.use()))
    _, got = to_anthropic.carry(ask("chat", stream), handler=handler)
    assert read("chat", got, stream).stop == "tool_use"
    handler = wire.streamed(wire.chat_stream("a", wire.piece(0, "{}", "c1", "f"), finish="stop")) if stream else (
        wire.whole(wire.chat_answer("a", [wire.call()], finish="stop")))
    _, got = to_chat.carry(ask("anthropic", stream), handler=handler)
    assert read("anthropic", got, stream).stop == "tool_use"


@p("P-136")
@pytest.mark.parametrize("stream", [False, True])
def test_max_tokens_and_length(to_anthropic, to_chat, stream):
    handler = wire.streamed(wire.claude_stream("a", stop="max_tokens")) if stream else wire.whole(
        wire.claude_answer("a", stop="max_tokens"))
    _, got = to_anthropic.carry(ask("chat", stream), handler=handler)
    assert read("chat", got, stream).stop == "max_tokens"
    _, got = to_chat.carry(ask("anthropic", stream), handler=stopped("length", stream=stream))
    assert read("anthropic", got, stream).stop == "max_tokens"


@p("P-137")
@p("P-140")
@pytest.mark.parametrize(("reason", "finish"), [("model_context_window_exceeded", "length"), ("pause_turn", "stop"),
                                                ("stop_sequence", "stop"), ("something_new", "stop")])
def test_other_stop_reasons_to_chat(to_anthropic, reason, finish):
    _, got = to_anthropic.carry(ask("chat"), handler=wire.whole(wire.claude_answer("a", stop=reason)))
    assert got.json["choices"][0]["finish_reason"] == finish


@p("P-140")
def test_pause_turn_natively(to_anthropic):
    got = to_anthropic.send(ask("anthropic"), dialect="anthropic",
                            handler=wire.whole(wire.claude_answer("a", stop="pause_turn")))
    assert got.json["stop_reason"] == "pause_turn"


@p("P-138")
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_without_text(to_anthropic, stream):
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    body = wire.claude_answer(stop="refusal", stop_details=details)
    body["content"] = []
    frames = [wire.claude_start(), wire.claude_delta("refusal", stop_details=details), wire.STOP]
    _, got = to_anthropic.carry(ask("chat", stream), handler=wire.streamed(frames) if stream else wire.whole(body))
    said = read("chat", got, stream)
    assert said.refusal == "No." and not said.text and said.stop == "refusal"


@p("P-138")
def test_a_refusal_after_text(to_anthropic):
    _, got = to_anthropic.carry(ask("chat"), handler=wire.whole(wire.claude_answer("some", stop="refusal")))
    assert got.json["choices"][0]["finish_reason"] == "content_filter"


@p("P-138")
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_refusal_to_anthropic(to_chat, stream):
    handler = wire.streamed([wire.ROLE, wire.chunk({"refusal": "I "}), wire.chunk({"refusal": "won't"}),
                             wire.chunk(finish="stop"), wire.DONE]) if stream else wire.whole(
        {**wire.chat_answer(None), "choices": [{"index": 0, "finish_reason": "stop", "message": {
            "role": "assistant", "content": None, "refusal": "I won't"}}]})
    _, got = to_chat.carry(ask("anthropic", stream), handler=handler)
    said = read("anthropic", got, stream)
    assert (said.text, said.stop) == ("I won't", "refusal")


# ---------------------------------------------------------------- whole answers


@p("P-142")
@pytest.mark.parametrize("block", ["text", "tool"])
def test_content_and_refusal_are_always_there(to_anthropic, block):
    answer = wire.claude_answer("a" if block == "text" else wire.use())
    _, got = to_anthropic.carry(ask("chat"), handler=wire.whole(answer))
    message = got.json["choices"][0]["message"]
    assert message["refusal"] is None
    assert message["content"] == ("a" if block == "text" else None)
    assert ("tool_calls" in message) == (block == "tool")
    assert set(got.json) >= {"id", "object", "created", "model", "choices", "usage"}
    assert got.json["object"] == "chat.completion" and got.json["id"].startswith("chatcmpl-")


@p("P-144")
@pytest.mark.parametrize("stream", [False, True])
def test_the_model_of_the_answer(to_anthropic, to_chat, stream):
    _, got = to_anthropic.carry(ask("chat", stream))
    model = json.loads(got.events[0].data)["model"] if stream else got.json["model"]
    assert model == "claude-sonnet-4-5"
    got = to_anthropic.send(ask("anthropic", stream), dialect="anthropic")
    assert b'"up-model"' in got.body


def test_an_empty_answer(to_anthropic):
    body = {**wire.claude_answer("x"), "content": []}
    _, got = to_anthropic.carry(ask("chat"), handler=wire.whole(body))
    assert got.json["choices"][0]["message"]["content"] == "" and got.json["choices"][0]["finish_reason"] == "stop"


def test_reasoning_content_becomes_thinking(to_chat):
    _, got = to_chat.carry(ask("anthropic", thinking=THINK),
                           handler=wire.whole(wire.chat_answer("a", reasoning_content="because")))
    one, two = got.json["content"]
    assert (one["type"], one["thinking"], two["text"]) == ("thinking", "because", "a") and one["signature"]


def comments(got):
    """Places and texts of the warnings inside a stream."""
    return [(at, c) for at, e in enumerate(got.events) for c in e.comments if c.startswith("x-anyrouter-warnings")]


@p("P-012")
@pytest.mark.parametrize("stream", [False, True])
def test_losses_of_an_answer_are_told(to_anthropic, stream):
    """A block that Chat has no place for: in the header of a whole answer, in a comment of a stream."""
    block = {"type": "hologram", "data": "x"}
    handler = wire.streamed(wire.claude_stream("a", block)) if stream else wire.whole(wire.claude_answer("a", block))
    _, got = to_anthropic.carry(ask("chat", stream), handler=handler)
    assert read("chat", got, stream).text == "a"
    if stream:
        ((at, comment),) = comments(got)
        assert "dropped:content" in comment and at < len(got.events) and got.events[-1].data == "[DONE]"
    else:
        assert "dropped:content" in got.warnings


@p("P-012")
def test_broken_arguments_are_told(to_chat):
    frames = wire.chat_stream(wire.piece(0, '{"a": ', "c1", "f"), finish="tool_calls")
    _, got = to_chat.carry(ask("anthropic", True), handler=wire.streamed(frames))
    canon.check_claude_grammar(got.events)
    _, whole = to_chat.carry(ask("anthropic"), handler=wire.whole(wire.chat_answer(None, [wire.call(
        arguments='{"a": ')])))
    assert whole.json["content"][0]["input"] == {"_raw_arguments": '{"a": '}
    assert any(w.startswith("approximated") for w in whole.warnings)


# ---------------------------------------------------------------- usage


CLAUDE_USAGE = {"input_tokens": 10, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 200,
                "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}}
CHAT_USAGE = {"prompt_tokens": 1210, "completion_tokens": 50, "total_tokens": 1260,
              "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 200},
              "completion_tokens_details": {"reasoning_tokens": 20}}


@p("P-145")
@pytest.mark.parametrize("stream", [False, True])
def test_usage_to_chat(to_anthropic, stream):
    start = {**CLAUDE_USAGE, "output_tokens": 1}
    frames = wire.claude_stream("a", start_usage=start, usage={
        "output_tokens": 50, "output_tokens_details": {"thinking_tokens": 20}})
    handler = wire.streamed(frames) if stream else wire.whole(wire.claude_answer("a", usage=CLAUDE_USAGE))
    _, got = to_anthropic.carry(ask("chat", stream), handler=handler)
    usage = json.loads(got.events[-2].data)["usage"] if stream else got.json["usage"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert usage[name] == CHAT_USAGE[name]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1000
    assert usage["prompt_tokens_details"]["cache_write_tokens"] == 200
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 20


@p("P-146")
@p("P-164")
@pytest.mark.parametrize("stream", [False, True])
def test_usage_to_anthropic(to_chat, stream):
    frames = wire.chat_stream("a", usage=False, done=False) + [wire.chunk(choices=[], usage=CHAT_USAGE), wire.DONE]
    handler = wire.streamed(frames) if stream else wire.whole(wire.chat_answer("a", usage=CHAT_USAGE))
    _, got = to_chat.carry(ask("anthropic", stream), handler=handler)
    usage = [e.json for e in got.events if e.event == "message_delta"][0]["usage"] if stream else got.json["usage"]
    for name, value in CLAUDE_USAGE.items():
        assert usage[name] == value, name


@p("P-150")
@p("P-151")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_usage_that_is_missing_is_estimated(to_anthropic, to_chat, client, stream):
    one = to_anthropic if client == "chat" else to_chat
    if client == "chat":
        handler = wire.streamed(wire.claude_stream("some words", usage={"output_tokens": None},
                                                   start_usage={"input_tokens": 0, "output_tokens": 0})) if stream \
            else wire.whole({k: v for k, v in wire.claude_answer("some words").items() if k != "usage"})
    else:
        handler = wire.streamed(wire.chat_stream("some words", usage=False)) if stream else wire.whole(
            {k: v for k, v in wire.chat_answer("some words").items() if k != "usage"})
    _, got = one.carry(ask(client, stream), handler=handler)
    usage = read(client, got, stream).usage
    assert all(isinstance(v, int) and v >= 0 for v in usage.values()), usage
    if client == "anthropic" or not stream:
        assert usage["out_total"] >= 1 and usage["in_total"] >= 1, usage


@p("P-156")
@pytest.mark.parametrize("where", ["finish", "every"])
def test_usage_on_odd_chunks_is_counted_once(to_chat, where):
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    frames = [wire.ROLE, wire.chunk({"content": "a"}, **({"usage": {**usage, "completion_tokens": 1}}
                                                         if where == "every" else {})),
              wire.chunk(finish="stop", usage=usage), wire.DONE]
    _, got = to_chat.carry(ask("anthropic", True), handler=wire.streamed(frames))
    assert read("anthropic", got).usage == {"in_total": 11, "in_cached": 0, "in_cache_write": 0, "out_total": 7,
                                            "out_reasoning": 0}


# ---------------------------------------------------------------- streams to chat clients


@p("P-152")
@p("P-153")
@pytest.mark.parametrize("usage", [True, False])
def test_a_chat_stream(to_anthropic, usage):
    body = ask("chat", True)
    if not usage:
        del body["stream_options"]
    _, got = to_anthropic.carry(body, handler=wire.streamed(wire.claude_stream("one", "two")))
    chunks = canon.check_chat_grammar(got.events, include_usage=usage)
    assert got.events[-1].data == "[DONE]"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert canon.chat_stream(got.events).text == "onetwo"
    assert got.header("content-type").startswith("text/event-stream") and got.header("content-length") is None
    assert "no-cache" in got.header("cache-control") and got.header("x-accel-buffering") == "no"


@p("P-154")
@p("P-155")
def test_tool_index_counts_tools(to_anthropic):
    frames = wire.claude_stream(THOUGHT, "text", wire.use(id="a", input={"x": [1, 2]}), wire.use("two", {}, id="b"))
    _, got = to_anthropic.carry(ask("chat", True), handler=wire.streamed(frames))
    said = read("chat", got)
    assert [(n, json.loads(a or "{}")) for n, a in said.calls] == [("get_weather", {"x": [1, 2]}), ("two", {})]
    assert all(json.loads(a) is not None for _, a in said.calls), "arguments are no JSON text"
    firsts = [t for e in got.events[:-1] if e.data for c in e.json["choices"] for t in c["delta"].get("tool_calls") or []
              if "id" in t]
    assert [(t["index"], t["id"]) for t in firsts] == [(0, "a"), (1, "b")]


@p("P-157")
def test_calls_without_index(to_chat):
    frames = wire.chat_stream(wire.piece(None, '{"a":1}', "c1", "one"), wire.piece(None, '{"b":2}', "c2", "two"),
                              finish="tool_calls")
    _, got = to_chat.carry(ask("anthropic", True), handler=wire.streamed(frames))
    assert [(n, json.loads(a)) for n, a in read("anthropic", got).calls] == [("one", {"a": 1}), ("two", {"b": 2})]


@p("P-158")
@p("P-167")
@p("P-186")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("how", ["error", "close", "reset", "eof"])
@pytest.mark.parametrize("way", ["native", "translated"])
def test_a_stream_that_dies_never_ends_well(gateway, upstream, client, how, way):
    speaks = client if way == "native" else wire.OTHER[client]
    whole = wire.stream(speaks, "hello")
    upto = 3 if speaks == "chat" else 4  # text was sent, nothing after it
    head = [wire.ROLE, wire.chunk({"content": "hello"})] if speaks == "chat" else whole[:upto]

    def run(request, reply):
        reply.sse(head, finish=False)
        time.sleep(0.05)
        if how == "error":
            frame = wire.dump(wire.error(speaks, 529, "busy"))
            reply.chunk(f"data: {frame}\n\n" if speaks == "chat" else f"event: error\ndata: {frame}\n\n").finish()
        elif how == "eof":
            reply.finish()
        else:
            getattr(reply, how)()

    upstream.handler = run
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, ask(client, True))
    assert got.status == 200, got
    events = parse_sse(got.body, complete=False)
    assert "hello" in (canon.chat_stream(events).text if client == "chat" else canon.claude_stream(events).text)
    datas = [e.data for e in events]
    assert "[DONE]" not in datas and not any(e.event == "message_stop" for e in events)
    assert len(upstream.requests) == 1, "failed over after the commit point"
    if client == "chat":
        errors = [json.loads(d)["error"] for d in datas if d and "error" in json.loads(d)]
    else:
        errors = [e.json["error"] for e in events if e.event == "error"]
        assert all(e["type"] in ("overloaded_error", "api_error", "timeout_error", "rate_limit_error")
                   for e in errors)
    assert len(errors) == 1 or (way == "native" and not got.complete), got
    if way == "translated" and client == "chat":
        assert set(errors[0]) == {"message", "type", "param", "code"}
    assert not any(json.loads(d).get("choices", [{}])[0:1] and json.loads(d)["choices"][0].get("finish_reason")
                   for d in datas if d and '"choices":[{' in d), "a finish_reason in a dead stream"


# ---------------------------------------------------------------- streams to anthropic clients


@p("P-159")
@p("P-160")
@p("P-162")
def test_an_anthropic_stream(to_chat):
    frames = wire.chat_stream(wire.chunk({"reasoning_content": "be"}), wire.chunk({"reasoning_content": "cause"}),
                              "hé", "llo", wire.piece(0, "", "c1", "f"), wire.piece(0, '{"a"'),
                              wire.piece(0, ":1}"), finish="tool_calls")
    _, got = to_chat.carry(ask("anthropic", True, thinking=THINK), handler=wire.streamed(frames))
    frames = canon.check_claude_grammar(got.events)
    said = read("anthropic", got)
    assert (said.thinking, said.text, said.calls) == ("because", "héllo", [("f", '{"a":1}')])
    starts = [f["content_block"]["type"] for f in frames if f["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    assert frames[0]["message"]["model"] == "gpt-5" and frames[0]["message"]["id"].startswith("msg_")
    assert [f["type"] for f in frames[:2]] == ["message_start", "ping"]


@p("P-161")
def test_interleaved_calls_become_sequential_blocks(to_chat):
    frames = wire.chat_stream(
        wire.piece(0, "", "c1", "one"), wire.piece(1, "", "c2", "two"), wire.piece(0, '{"a":"}'),
        wire.piece(1, '{"b":'), wire.piece(0, '"}'), wire.piece(1, "[2]}"), finish="tool_calls")
    _, got = to_chat.carry(ask("anthropic", True), handler=wire.streamed(frames))
    said = read("anthropic", got)
    assert [(n, json.loads(a)) for n, a in said.calls] == [("one", {"a": "}"}), ("two", {"b": [2]})]
    ids = [e.json["content_block"]["id"] for e in got.events if e.event == "content_block_start"]
    assert ids == ["c1", "c2"]


@p("P-163")
@pytest.mark.parametrize("pieces", [[], [""], ["{}"]])
def test_a_call_without_arguments(to_chat, pieces):
    frames = wire.chat_stream(wire.piece(0, None if not pieces else "", "c1", "f"),
                              *[wire.piece(0, p) for p in pieces], finish="tool_calls")
    _, got = to_chat.carry(ask("anthropic", True), handler=wire.streamed(frames))
    joined = "".join(e.json["delta"]["partial_json"] for e in got.events if e.event == "content_block_delta")
    assert json.loads(joined or "{}") == {}
    assert [e.event for e in got.events].count("content_block_delta") >= 1


@p("P-165")
def test_message_delta_waits_for_the_usage_chunk(to_chat):
    def run(request, reply):
        reply.sse(wire.chat_stream("a", usage=False, done=False), finish=False)
        time.sleep(0.4)
        reply.chunk(wire.chat_usage(21, 9)).chunk(wire.DONE).finish()

    _, got = to_chat.carry(ask("anthropic", True), handler=run)
    assert read("anthropic", got).usage["in_total"] == 21
    assert read("anthropic", got).usage["out_total"] == 9


@p("P-165")
def test_message_delta_does_not_wait_for_ever(to_chat):
    def run(request, reply):
        reply.sse(wire.chat_stream("a", usage=False, done=False), finish=False)
        reply.note = reply.wait_gone(6)

    start = time.monotonic()
    _, got = to_chat.carry(ask("anthropic", True), handler=run)
    assert 1.5 < time.monotonic() - start < 4.5
    assert read("anthropic", got).text == "a"


@p("P-166")
def test_a_ping_in_the_silence(gateway, upstream):
    """The upstream says something, then is silent: the client hears a ping (15 s; here 1 s)."""
    free = threading.Event()

    def run(request, reply):
        reply.sse([wire.ROLE, wire.chunk({"content": "a"})], finish=False)
        free.wait(10)
        for frame in wire.chat_stream("b", role=False):
            reply.chunk(frame)
        reply.finish()

    upstream.handler = run
    gate = gateway({"ping_interval": "1s", "upstreams": [place("openai-compatible", upstream)]})
    with gate.client() as client:
        client.send(request_bytes("/v1/messages", ask("anthropic", True)))
        assert client.head().status == 200
        seen, pings, start = b"", None, time.monotonic()
        for piece in client.stream():
            seen += piece
            now = seen.count(b"event: ping")
            if b'"a"' in seen and pings is None:
                pings = now
            elif pings is not None and now > pings and not free.is_set():
                assert 0.5 < time.monotonic() - start < 3
                free.set()
    assert free.is_set(), "no ping in the silence"
    canon.check_claude_grammar(parse_sse(seen))


def request_bytes(path, body):
    from harness.http import encode
    return encode("POST", path, body, {"anthropic-version": "2023-06-01"})


@p("P-168")
def test_omitted_thinking(to_chat):
    frames = wire.chat_stream(wire.chunk({"reasoning_content": "secret thoughts"}), "a")
    _, got = to_chat.carry(ask("anthropic", True, thinking={**THINK, "display": "omitted"}),
                           handler=wire.streamed(frames))
    canon.check_claude_grammar(got.events)
    deltas = [e.json["delta"]["type"] for e in got.events if e.event == "content_block_delta"]
    assert deltas == ["signature_delta", "text_delta"] and b"secret thoughts" not in got.body


# ---------------------------------------------------------------- streams in general


BLOCKS = [THOUGHT, {"type": "text", "text": "héllo 😀 wörld"}, wire.use(input={"é": "😀\n", "n": [1.50]})]


@p("P-183")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_whole_and_streamed_say_the_same(to_anthropic, to_chat, client):
    if client == "chat":
        one, whole, frames = to_anthropic, wire.claude_answer(*BLOCKS), wire.claude_stream(*BLOCKS)
    else:
        call = wire.call(arguments='{"é":"😀\\n","n":[1.50]}')
        one = to_chat
        whole = wire.chat_answer("héllo 😀 wörld", [call], reasoning_content="let me see")
        frames = wire.chat_stream(wire.chunk({"reasoning_content": "let me see"}), "héllo 😀", " wörld",
                                  wire.piece(0, "", "call_1", "get_weather"),
                                  wire.piece(0, call["function"]["arguments"]), finish="tool_calls")
    _, got = one.carry(ask(client, False), handler=wire.whole(whole))
    a = read(client, got, False)
    _, got = one.carry(ask(client, True), handler=wire.streamed(frames))
    b = read(client, got, True)
    assert (a.text, a.thinking, a.stop) == (b.text, b.thinking, b.stop)
    assert [(n, json.loads(x)) for n, x in a.calls] == [(n, json.loads(x)) for n, x in b.calls]
    assert {k: v for k, v in a.usage.items() if k != "total"} == {k: v for k, v in b.usage.items() if k != "total"}


@p("P-184")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("way", ["native", "translated"])
@pytest.mark.parametrize("piece", [1, 2, 7])
def test_split_at_every_byte(stand, client, way, piece):
    speaks = client if way == "native" else wire.OTHER[client]
    one = stand("openai" if speaks == "chat" else "anthropic")
    frames = wire.chat_stream("héllo ", "😀", finish="stop") if speaks == "chat" else (
        wire.claude_stream("héllo 😀"))
    raw = "".join(frames).encode()
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw)

    def run(request, reply):
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        reply.split(framed, piece)

    one.up.handler = run
    got = one.gate.post(client, ask(client, True))
    assert got.status == 200 and got.complete, got
    if way == "native":
        assert got.body == raw
    else:
        assert read(client, got).text == "héllo 😀"


@p("P-185")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("shape", ["crlf", "cr", "comments", "nospace", "unknown", "split-data"])
def test_odd_frames_are_read(stand, client, shape):
    speaks = wire.OTHER[client]
    one = stand("openai" if speaks == "chat" else "anthropic")
    frames = wire.stream(speaks, "hello")
    raw = "".join(frames)
    if shape == "crlf":
        raw = raw.replace("\n", "\r\n")
    elif shape == "cr":
        raw = raw.replace("\n", "\r")
    elif shape == "comments":
        raw = ": hi\n\n" + raw.replace("\n\n", "\n\n: keep-alive\n\n")
    elif shape == "nospace":
        raw = raw.replace("data: ", "data:").replace("event: ", "event:")
    elif shape == "unknown":
        raw = raw.replace("data: ", "id: 7\nretry: 10\nwhat\ndata: ")
    else:
        raw = re.sub(r"data: \{(?!\n)", "data: {\ndata: ", raw)
    _, got = one.carry(ask(client, True), handler=wire.streamed(raw))
    assert read(client, got).text == "hello"


@p("P-187")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("way", ["native", "translated"])
@pytest.mark.parametrize("how", ["error", "close", "json"])
def test_an_error_before_content_is_a_status(gateway, upstream, client, way, how):
    """The 200 and the role chunk came, then it failed: the client never sees the 200."""
    speaks = client if way == "native" else wire.OTHER[client]
    head = [wire.ROLE] if speaks == "chat" else [wire.claude_start(), wire.PING]

    def run(request, reply):
        if how == "json":
            reply.body(wire.error(speaks, 529, "busy"), 200)
            return
        reply.sse(head, finish=False)
        if how == "close":
            reply.close()
            return
        frame = wire.dump(wire.error(speaks, 529, "busy", type="overloaded_error"))
        reply.chunk(f"data: {frame}\n\n" if speaks == "chat" else f"event: error\ndata: {frame}\n\n").finish()

    upstream.handler = run
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, ask(client, True))
    assert got.status in (500, 502, 503, 529), got
    assert got.json["error"]["message"]


@p("P-017")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("way", ["native", "translated"])
@pytest.mark.parametrize("when", ["waiting", "streaming"])
def test_a_client_that_leaves_cancels_the_upstream(stand, client, way, when):
    speaks = client if way == "native" else wire.OTHER[client]
    one = stand("openai" if speaks == "chat" else "anthropic")
    gone = []
    frames = wire.stream(speaks, "hello")[:4 if speaks == "anthropic" else 2]

    def run(request, reply):
        if when == "streaming":
            reply.sse(frames, finish=False)
        gone.append(reply.wait_gone(4))
        reply.keep = False

    one.up.handler = run
    connection = one.gate.client()
    connection.send(request_bytes(wire.PATHS[client], ask(client, True)))
    if when == "streaming":
        assert connection.head().status == 200
    else:
        one.up.wait(1)
    connection.close()
    for _ in range(500):
        if gone:
            break
        time.sleep(0.01)
    assert gone and gone[0] is not None and gone[0] < 1.2, gone


def test_a_large_whole_answer(stand):
    """Over the 1 MiB that is held before the commit point."""
    text = "word " * 600_000
    for client in ("chat", "anthropic"):
        for speaks in ("chat", "anthropic"):
            one = stand("openai" if speaks == "chat" else "anthropic")
            got = one.send(ask(client), None, client, wire.whole(wire.answer(speaks, text)))
            assert got.status == 200 and got.complete
            assert read(client, got, False).text == text


def test_a_gzip_answer(stand):
    import gzip
    for client in ("chat", "anthropic"):
        for speaks in ("chat", "anthropic"):
            one = stand("openai" if speaks == "chat" else "anthropic")
            raw = json.dumps(wire.answer(speaks, "hello")).encode()
            got = one.send(ask(client), None, client,
                           wire.whole(gzip.compress(raw), headers={"content-encoding": "gzip"}))
            assert got.status == 200, got
            body = gzip.decompress(got.body) if got.header("content-encoding") == "gzip" else got.body
            assert (canon.chat_answer if client == "chat" else canon.claude_answer)(json.loads(body)).text == "hello"


@pytest.mark.parametrize("how", ["length", "close"])
def test_other_framings_of_a_stream(stand, how):
    """A stream by content-length, or ended by closing, is a stream all the same."""
    for client in ("chat", "anthropic"):
        for speaks in ("chat", "anthropic"):
            one = stand("openai" if speaks == "chat" else "anthropic")
            raw = "".join(wire.stream(speaks, "hello")).encode()
            got = one.send(ask(client, True), None, client, wire.whole(raw, type="text/event-stream", how=how))
            assert got.status == 200 and got.complete, got
            assert read(client, got).text == "hello" if client != speaks else b"hello" in got.body


def test_a_stream_that_was_asked_for_but_is_no_stream(stand):
    """Upstreams that ignore `stream` answer whole: the client gets a stream all the same."""
    for client in ("chat", "anthropic"):
        speaks = wire.OTHER[client]
        one = stand("openai" if speaks == "chat" else "anthropic")
        got = one.send(ask(client, True), None, client, wire.whole(wire.answer(speaks, "hello")))
        assert got.status == 200, got
        assert read(client, got).text == "hello"


def test_a_big_stream_is_carried_whole(stand):
    """100 MB native, 20 MB translated: every byte, in order."""
    text = "0123456789abcdef" * 4096
    for client, speaks, count in (("chat", "chat", 1600), ("chat", "anthropic", 320), ("anthropic", "chat", 320)):
        one = stand("openai" if speaks == "chat" else "anthropic")
        frames = wire.stream(speaks, "X")
        big = [f.replace('"X"', f'"{text}"') for f in frames if '"X"' in f][0].encode()
        before, after = "".join(frames).split([f for f in frames if '"X"' in f][0])

        def run(request, reply, big=big, before=before, after=after, count=count):
            reply.sse(before, finish=False)
            for _ in range(count):
                reply.chunk(big)
            reply.chunk(after).finish()

        one.up.handler = run
        got = one.gate.post(client, ask(client, True), timeout=60)
        assert got.status == 200 and got.complete
        assert got.body.count(text.encode()) == count
