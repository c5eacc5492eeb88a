"""Statements of PROTOCOLS 11 that hold for every pair of dialects: stop reasons, usage, refusals, errors, streams, thinking, ids."""

import json
import threading
import time

import pytest

from harness import Upstream, canon, wire
from harness.stand import place
from matrix import DIALECTS
from matrix.cells import ORDER
from matrix.neutral import TOOLS, dump
from matrix.stand import HELLO, MODELS, OPTIONS, Line, broken, events, frames_of, read, saying, whole

p, r = pytest.mark.p, pytest.mark.r
PAIRS = [(c, u) for c in ORDER for u in ORDER if c != u]
EVERY = [(c, u) for c in ORDER for u in ORDER]
HOWS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=["-".join(x) for x in PAIRS])
every = pytest.mark.parametrize(("client", "upstream"), EVERY, ids=["-".join(x) for x in EVERY])
LONG = {"items": [{"text": "some words, \u00e9\U0001f30d\u4e2d and more"}], "stop": "end"}
CALLS = {"items": [{"text": "looking"}, {"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}},
                   {"call": "call_a2", "name": "screenshot", "args": {}}], "stop": "tool_use"}
THOUGHT = {"items": [{"think": "let me see"}, {"text": "four"}], "stop": "end"}


def body(client, ask=None, model=None):
    """A client's body for a neutral request, without what Line adds."""
    _, made, _ = DIALECTS[client].request({"turns": [{"user": [{"text": "hello"}]}], **(ask or {})}, model or "m", False)
    return {k: v for k, v in made.items() if k not in ("model", "stream", "stream_options")}


def ids_aside(client, value):
    """A whole answer without what differs from one request to the next."""
    if isinstance(value, dict):
        return {k: ids_aside(client, v) for k, v in value.items() if k not in ("id", "created", "created_at", "completed_at", "responseId", "item_id")}
    return [ids_aside(client, v) for v in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- stop reasons and refusals


@p("P-135")
@pairs
@HOWS
def test_a_call_is_the_reason(line, client, upstream, stream):
    _, got = line(upstream).carry(client, body(client, {"tools": list(TOOLS)}), say=CALLS, stream=stream)
    told = read(client, got)
    assert told.stop == "tool_use" and [c[1:] for c in told.calls] == [("get_weather", {"city": "Oslo"}), ("screenshot", {})]


@p("P-136")
@pairs
@HOWS
def test_the_limit_is_the_reason(line, client, upstream, stream):
    _, got = line(upstream).carry(client, body(client), say={**LONG, "stop": "max_tokens"}, stream=stream)
    assert read(client, got).stop == "max_tokens"


@p("P-137")
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_a_full_context_is_the_limit(line, client):
    _, got = line("anthropic").carry(client, body(client), handler=wire.whole(wire.claude_answer("x", stop="model_context_window_exceeded")))
    assert read(client, got).stop == "max_tokens"


@p("P-138")
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
@HOWS
def test_a_refusal_is_one(line, client, stream):
    def handler(request, reply):
        if stream:
            reply.sse(wire.claude_stream("I will not", stop="refusal"))
        else:
            reply.body(wire.claude_answer("I will not", stop="refusal"))

    _, got = line("anthropic").carry(client, body(client), handler=handler, stream=stream)
    told = whole(client, got)
    if client == "chat":
        choice = told["choices"][0]
        assert choice["message"].get("refusal") == "I will not" or choice["finish_reason"] == "content_filter"
    elif client == "responses":
        parts = [q for i in told["output"] if i["type"] == "message" for q in i["content"]]
        assert "refusal" in [q["type"] for q in parts] or told.get("incomplete_details") == {"reason": "content_filter"}
    else:
        assert told["candidates"][0]["finishReason"] == "SAFETY" if told.get("candidates") else told["promptFeedback"]["blockReason"]


@r("R-044")
@p("P-140")
@pytest.mark.parametrize(("client", "want"), [("chat", "end"), ("responses", "end"), ("gemini", "end")])
def test_a_pause_ends(line, client, want):
    _, got = line("anthropic").carry(client, body(client), handler=wire.whole(wire.claude_answer("x", stop="pause_turn")))
    assert read(client, got).stop == want


@p("P-144")
@every
@HOWS
def test_the_name_of_the_model(client, upstream, stream):
    options = {"models": [{"from": "alias", "to": MODELS[upstream]}]}
    with Line(upstream, **options) as at:
        _, got = at.carry(client, body(client), say=HELLO, stream=stream, model="alias")
        want = "up-model" if client == upstream else "alias"
        told = whole(client, got, native=client == upstream)
        assert (told["modelVersion"] if client == "gemini" else told["model"]) == want


# ---------------------------------------------------------------- usage


@r("R-051")
@r("R-052")
@p("P-145")
@p("P-146")
@p("P-149")
@p("P-150")
@pairs
@HOWS
def test_usage_by_formula(line, client, upstream, stream):
    """in holds the cached and written tokens, as far as the upstream's dialect can tell of them."""
    usage = {"in": 1210, "cached": 1000, "written": 0 if upstream == "gemini" else 200, "out": 50, "reasoning": 20}
    _, got = line(upstream).carry(client, body(client), say={**LONG, "usage": usage}, stream=stream)
    told = read(client, got).usage
    want = {**usage, "written": 0 if client == "gemini" else usage["written"]}
    assert told == want
    for key, value in numbers(whole(client, got)):
        assert value is not None and value >= 0, key


def numbers(value, path=""):
    """Every count of tokens in an answer."""
    if isinstance(value, dict):
        for k, v in value.items():
            if k.endswith(("_tokens", "TokenCount")) and not k.startswith("max_") and not isinstance(v, dict):
                yield f"{path}.{k}", v
            yield from numbers(v, f"{path}.{k}")
    elif isinstance(value, list):
        for v in value:
            yield from numbers(v, path)


@r("R-056")
@p("P-151")
@pairs
@HOWS
def test_no_usage_is_estimated(line, client, upstream, stream):
    names = ("usage", "usageMetadata")

    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in names}
        return [strip(v) for v in value] if isinstance(value, list) else value

    def handler(request, reply):
        dialect = DIALECTS[upstream]
        if not stream:
            reply.body(strip(dialect.answer(LONG)))
            return
        out = []
        for frame in dialect.frames(LONG):
            head, _, data = frame.partition("data: ")
            data = data.strip()
            out.append(f"{head}data: {data if data == '[DONE]' else dump(strip(json.loads(data)))}\n\n")
        reply.sse(out)

    _, got = line(upstream).carry(client, body(client), handler=handler, stream=stream)
    told = read(client, got).usage
    assert told["in"] >= 1 and told["out"] >= 1, told


# ---------------------------------------------------------------- thinking


@p("P-096")
@p("P-097")
@p("P-098")
@p("P-102")
@pairs
@HOWS
def test_thinking_goes_round(line, client, upstream, stream):
    """Signed by its vendor, carried by a client of another dialect, back to the vendor as it was."""
    if upstream == "chat":
        return check_plain_thinking(line, client, stream)
    at, model = line(upstream), DIALECTS[upstream].upstream({"think": True})[1]
    say = {"items": [{"think": "let me see"}, {"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}}], "stop": "tool_use"}
    first = body(client, {"think": True, "tools": ["get_weather"], "max": 8000})
    _, got = at.carry(client, first, say=say, stream=stream, model=model)
    answer = whole(client, got)
    opaque = read(client, got).opaque
    assert opaque and all(o for o in opaque), answer
    results = [{"result": "call_a1", "name": "get_weather", "items": [{"text": "3C"}]}]
    sent, _ = at.carry(client, DIALECTS[client].again(first, answer, results), say=HELLO, stream=stream, model=model)
    seen = DIALECTS[upstream].see(at.up.last.path, sent)
    assert seen.opaque == [DIALECTS[upstream].SIGNATURE]
    for other in [o for o in ORDER if o not in (upstream, client)]:
        away = line(other)
        sent, _ = away.carry(client, DIALECTS[client].again(first, answer, results), say=HELLO,
                             model=DIALECTS[other].upstream({"think": True})[1])
        text = json.dumps(sent)
        assert DIALECTS[upstream].SIGNATURE not in text and not any(o in text for o in opaque), other


def check_plain_thinking(line, client, stream):
    """Thinking without a signature is shown to clients, signed where they need one."""
    _, got = line("chat").carry(client, body(client, {"think": True, "max": 8000}), say=THOUGHT, stream=stream)
    told = read(client, got)
    assert (told.thinking, told.text) == ("let me see", "four")
    if client == "anthropic":
        assert told.opaque and all(told.opaque)


@p("P-106")
@pytest.mark.parametrize(("upstream", "message"), [
    ("anthropic", "messages.1.content.0: Invalid `signature` in `thinking` block"),
    ("gemini", "Function call is missing a thought_signature in functionCall parts")])
def test_a_refused_signature_is_tried_without(upstream, message):
    model = DIALECTS[upstream].upstream({"think": True})[1]
    dialect, bodies = DIALECTS[upstream], []
    say = {"items": [{"think": "let me see"}, {"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}}], "stop": "tool_use"}
    with Line(upstream) as at:
        first = body("chat", {"think": True, "tools": ["get_weather"], "max": 8000})
        _, got = at.carry("chat", first, say=say, model=model)
        second = DIALECTS["chat"].again(first, got.json, [{"result": "call_a1", "name": "get_weather", "items": [{"text": "3C"}]}])

        def handler(request, reply):
            bodies.append(request.json)
            if len(bodies) == 1:
                reply.body(dialect.error(400, message), 400)
            else:
                reply.body(dialect.answer(HELLO))

        got = at.send("chat", second, handler=handler, model=model)
        assert got.status == 200 and len(bodies) == 2, got
        assert dialect.SIGNATURE in json.dumps(bodies[0]) and dialect.SIGNATURE not in json.dumps(bodies[1])


# ---------------------------------------------------------------- calls, results, tools


@p("P-046")
@p("P-047")
@pairs
@HOWS
def test_names_come_back_as_they_were(line, client, upstream, stream):
    at = line(upstream)
    for name in ("files.read/one", "n" * 100):
        tools = {"chat": lambda: [wire.tool("chat", name=name)], "anthropic": lambda: [wire.tool("anthropic", name=name)],
                 "responses": lambda: [{"type": "function", "name": name, "description": "d", "parameters": wire.WEATHER}],
                 "gemini": lambda: [{"functionDeclarations": [{"name": name, "description": "d", "parametersJsonSchema": wire.WEATHER}]}]}
        asked = {**body(client), "tools": tools[client]()}
        sent, _ = at.carry(client, asked, say=HELLO)
        again, _ = at.carry(client, asked, say=HELLO)
        (there,) = [n for n, _, _ in DIALECTS[upstream].see(at.up.last.path, sent).tools]
        assert sent == again and len(there) <= 128
        if upstream != "gemini":
            assert len(there) <= 64 or upstream == "anthropic"
            assert not set(there) & set("./"), there
        say = {"items": [{"call": "call_a1", "name": there, "args": {"city": "x"}}], "stop": "tool_use"}
        _, got = at.carry(client, asked, say=say, stream=stream)
        assert [c[1] for c in read(client, got).calls] == [name]


@p("P-064")
@p("P-065")
def test_one_call_at_a_time(line):
    for client in ("chat", "responses", "anthropic"):
        for upstream in ("chat", "responses", "anthropic"):
            if client != upstream:
                at = line(upstream)
                sent, _ = at.carry(client, body(client, {"tools": ["get_weather"], "parallel": False}))
                assert DIALECTS[upstream].see(at.up.last.path, sent).parallel is False


def turns(*more, error=False):
    return {"tools": ["get_weather"], "turns": [
        {"user": [{"text": "a"}]},
        {"assistant": [{"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}}]},
        {"tool": [{"result": "call_a1", "name": "get_weather", "items": [{"text": "it rains"}], "error": error}]}, *more]}


@p("P-078")
@pytest.mark.parametrize("upstream", ["chat", "responses"])
@pytest.mark.parametrize("client", ["anthropic", "gemini"])
def test_an_error_of_a_tool(line, client, upstream):
    sent, _ = line(upstream).carry(client, body(client, turns(error=True)))
    assert "Error: it rains" in json.dumps(sent)


@p("P-079")
@pairs
def test_text_stays_after_the_results(line, client, upstream):
    at = line(upstream)
    sent, _ = at.carry(client, body(client, turns({"user": [{"text": "and now?"}]})))
    items = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [(i[0], i[1]) for i in items[-2:]] == [("tool", "result"), ("user", "text")] and items[-1][2] == "and now?"


@p("P-080")
@p("P-081")
@pairs
def test_histories_with_holes(line, client, upstream):
    at, say = line(upstream), HELLO
    orphan = {"tools": ["get_weather"], "turns": [{"user": [{"text": "a"}]}, {"tool": [
        {"result": "call_gone", "name": "get_weather", "items": [{"text": "it rains"}]}]}, {"user": [{"text": "b"}]}]}
    sent, _ = at.carry(client, body(client, orphan), say=say)
    kinds = [i[1] for i in DIALECTS[upstream].see(at.up.last.path, sent).items]
    assert "result" not in kinds and "it rains" in json.dumps(sent)
    if client == "gemini":
        return  # its calls are answered by order, not by id
    missing = turns({"user": [{"text": "b"}]})
    missing["turns"] = [t for t in missing["turns"] if "tool" not in t]
    sent, _ = at.carry(client, body(client, missing), say=say)
    results = [i for i in DIALECTS[upstream].see(at.up.last.path, sent).items if i[1] == "result"]
    assert len(results) == 1 and "not executed" in json.dumps(results).lower()


@p("P-013")
@p("P-014")
@pairs
def test_a_longer_history_starts_the_same(line, client, upstream):
    at = line(upstream)
    short, _ = at.carry(client, body(client, turns({"user": [{"text": "b"}]})))
    once_more, _ = at.carry(client, body(client, turns({"user": [{"text": "b"}]})))
    long, _ = at.carry(client, body(client, turns({"user": [{"text": "b"}]}, {"assistant": [{"text": "c"}]}, {"user": [{"text": "d"}]})))
    assert dump(short) == dump(once_more)
    key = {"chat": "messages", "responses": "input", "anthropic": "messages", "gemini": "contents"}[upstream]
    assert dump(long[key][:len(short[key])]) == dump(short[key])


# ---------------------------------------------------------------- stop strings


@p("P-122")
@pytest.mark.parametrize("client", ["chat", "anthropic", "gemini"])
@HOWS
def test_stop_strings_of_responses_are_emulated(line, client, stream):
    def handler(request, reply):
        saying("responses", {"items": [{"text": "one two STO"}, {"text": "P three"}], "stop": "end"})(request, reply)

    say = {"items": [{"text": "one two STOP three"}], "stop": "end"}  # cut into deltas of seven: "one two", " STOP t"
    asked = body(client, {"stop": ["STOP"]})
    sent, got = line("responses").carry(client, asked, say=say, stream=stream)
    assert "STOP" not in json.dumps(sent)
    told = read(client, got)
    assert told.text == "one two " and told.stop in ("end", "stop_sequence")
    if client == "anthropic":
        assert (told.stop, told.sequence) == ("stop_sequence", "STOP")
    sent, got = line("responses").carry(client, asked, handler=handler, stream=stream)
    assert "three" not in read(client, got).text


@p("P-123")
@pytest.mark.parametrize("client", ["anthropic", "gemini"])
@HOWS
def test_a_fifth_stop_string(line, client, stream):
    say = {"items": [{"text": "aaaa MARKFIVE bbbb"}], "stop": "end"}
    sent, got = line("chat").carry(client, body(client, {"stop": ["s1", "s2", "s3", "s4", "MARKFIVE"]}), say=say, stream=stream)
    assert sent["stop"] == ["s1", "s2", "s3", "s4"] and read(client, got).text == "aaaa "


@p("P-124")
@pytest.mark.parametrize("upstream", ["responses", "anthropic"])
def test_two_answers_are_refused(line, upstream):
    assert "n" in line(upstream).refuse("chat", {**body("chat"), "n": 2})
    assert "candidateCount" in line(upstream).refuse("gemini", {**body("gemini"), "generationConfig": {"candidateCount": 2}})


# ---------------------------------------------------------------- streams


@p("P-183")
@every
@pytest.mark.parametrize("say", [LONG, CALLS], ids=["text", "calls"])
def test_a_stream_folds_to_the_whole(line, client, upstream, say):
    asked = body(client, {"tools": list(TOOLS)})
    native = client == upstream
    _, streamed = line(upstream).carry(client, asked, say=say, stream=True)
    _, plain = line(upstream).carry(client, asked, say=say)
    a, b = DIALECTS[client].read(whole(client, streamed, native)), DIALECTS[client].read(plain.json)
    assert a == b
    if client == "responses":
        assert ids_aside(client, whole(client, streamed, native)["output"]) == ids_aside(client, plain.json["output"])


@r("R-021")
@p("P-184")
@p("P-185")
@every
@pytest.mark.parametrize("size", [1, 3])
def test_frames_cut_anywhere(line, client, upstream, size):
    def handler(_, reply):
        data = "".join(DIALECTS[upstream].frames(LONG)).replace("\r\n", "\n")
        if client != upstream:  # what a native client is given is what came
            data = data.replace("data: ", "data:").replace("\n", "\r\n").replace("data:", ": a comment\r\ndata:", 1)
        raw = data.encode()
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        for at in range(0, len(raw), size):
            reply.chunk(raw[at:at + size])
        reply.finish()

    if client == upstream == "gemini":
        size = 7
    _, got = line(upstream).carry(client, body(client), handler=handler, stream=True)
    if client == upstream:
        assert LONG["items"][0]["text"] == "".join(texts(client, got.body.decode()))
    else:
        assert read(client, got).text == LONG["items"][0]["text"]


def texts(client, raw):
    """Pieces of text in a native stream of any line ends."""
    for frame in raw.replace("\r\n", "\n").split("\n\n"):
        data = frame.partition("data:")[2].strip()
        if not data.startswith("{"):
            continue
        one = json.loads(data)
        if client == "chat":
            yield from (c["delta"].get("content") or "" for c in one["choices"])
        elif client == "responses" and one["type"] == "response.output_text.delta":
            yield one["delta"]
        elif client == "anthropic" and one["type"] == "content_block_delta":
            yield one["delta"].get("text", "")
        elif client == "gemini":
            yield from (q.get("text", "") for c in one["candidates"] for q in c["content"]["parts"])


@p("P-155")
@p("P-161")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
def test_interleaved_calls(line, client):
    """Fragments of two calls of a chat upstream by turns."""
    parts = [wire.piece(0, "", "call_a", "get_weather"), wire.piece(1, "", "call_b", "screenshot"), wire.piece(0, '{"city"'),
             wire.piece(1, '{"n":'), wire.piece(0, ':"Oslo"}'), wire.piece(1, "1}")]
    _, got = line("chat").carry(client, body(client, {"tools": list(TOOLS)}), handler=wire.streamed(
        wire.chat_stream(*parts, finish="tool_calls")), stream=True)
    told = read(client, got)
    assert [(c[1], c[2]) for c in told.calls] == [("get_weather", {"city": "Oslo"}), ("screenshot", {"n": 1})]


@p("P-157")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
def test_calls_without_index(line, client):
    parts = [wire.piece(None, '{"city":"Oslo"}', "call_a", "get_weather"), wire.piece(None, '{"city":"Rome"}', "call_b", "get_weather")]
    _, got = line("chat").carry(client, body(client, {"tools": ["get_weather"]}), handler=wire.streamed(
        wire.chat_stream(*parts, finish="tool_calls")), stream=True)
    assert [c[2]["city"] for c in read(client, got).calls] == ["Oslo", "Rome"]


@p("P-156")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
def test_usage_in_every_chunk_counts_once(line, client):
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    frames = [wire.ROLE, wire.chunk({"content": "a"}, usage={**usage, "completion_tokens": 3, "total_tokens": 14}), wire.chunk({"content": "b"}, usage=usage),
              wire.chunk(finish="stop", usage=usage), wire.DONE]
    _, got = line("chat").carry(client, body(client), handler=wire.streamed(frames), stream=True)
    told = read(client, got).usage
    assert (told["in"], told["out"]) == (11, 7)


@p("P-162")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_a_thought_ends_with_one_signature(line, upstream):
    model = DIALECTS[upstream].upstream({"think": True})[1]
    _, got = line(upstream).carry("anthropic", body("anthropic", {"think": True, "max": 8000}), say=THOUGHT, stream=True, model=model)
    frames = frames_of("anthropic", got)
    thinking = [f["index"] for f in frames if f["type"] == "content_block_start" and f["content_block"]["type"] == "thinking"]
    for index in thinking:
        deltas = [f["delta"] for f in frames if f["type"] == "content_block_delta" and f["index"] == index]
        assert [d["type"] for d in deltas].count("signature_delta") == 1 and deltas[-1]["type"] == "signature_delta" and deltas[-1]["signature"]
    assert thinking


@p("P-160")
@p("P-164")
@pytest.mark.parametrize("upstream", ["responses", "gemini"])
@pytest.mark.parametrize("say", [LONG, CALLS], ids=["text", "calls"])
def test_the_grammar_of_messages(line, upstream, say):
    usage = {"in": 1210, "cached": 1000, "written": 0, "out": 50, "reasoning": 0}
    _, got = line(upstream).carry("anthropic", body("anthropic", {"tools": list(TOOLS)}), say={**say, "usage": usage}, stream=True)
    canon.check_claude_grammar(events("anthropic", got))
    (delta,) = [f for f in frames_of("anthropic", got) if f["type"] == "message_delta"]
    assert (delta["usage"]["input_tokens"], delta["usage"]["cache_read_input_tokens"], delta["usage"]["output_tokens"]) == (210, 1000, 50)


@p("P-152")
@p("P-153")
@p("P-154")
@pytest.mark.parametrize("upstream", ["responses", "gemini"])
def test_the_grammar_of_chat(line, upstream):
    at = line(upstream)
    _, got = at.carry("chat", body("chat", {"tools": list(TOOLS)}), say=CALLS, stream=True)
    canon.check_chat_grammar(events("chat", got), include_usage=True)
    at.up.handler = saying(upstream, CALLS)
    bare = at.gate.post("chat", {**body("chat"), "model": MODELS[upstream], "stream": True})
    canon.check_chat_grammar(bare.events, include_usage=False)


# ---------------------------------------------------------------- failures


@p("P-158")
@p("P-167")
@p("P-176")
@p("P-188")
@every
def test_a_failure_in_the_middle(client, upstream):
    """Told in the dialect's form, with what came before; nobody else is asked."""
    dialect = DIALECTS[upstream]

    def handler(_, reply):
        frames = dialect.frames(LONG, end=False)
        reply.sse(frames + dialect.error_frames(503, "it broke", len(frames)))

    with Line(upstream, keys=2) as at:
        got = at.send(client, body(client), handler=handler, stream=True)
        assert got.status == 200
        if client == upstream == "gemini":
            assert b"it broke" in got.body
        else:
            told = broken(client, got, native=client == upstream)
            assert "it broke" in told.message and told.so_far == LONG["items"][0]["text"]
        assert b"[DONE]" not in got.body and b"message_stop" not in got.body and b"finishReason" not in got.body
        assert len([r for r in at.up.requests if r.method == "POST"]) == 1


@r("R-075")
@r("R-076")
@p("P-186")
@every
def test_an_end_too_early(client, upstream):
    with Line(upstream) as at:
        got = at.send(client, body(client), stream=True, handler=lambda _, reply: reply.sse(DIALECTS[upstream].frames(LONG, end=False)))
        assert got.status == 200
        assert broken(client, got, native=client == upstream).so_far == LONG["items"][0]["text"]


@p("P-187")
@every
@HOWS
def test_before_the_first_content_another_is_asked(client, upstream, stream):
    dialect = DIALECTS[upstream]
    with Upstream(lambda _, reply: reply.body(dialect.error(503, "down"), 503), name="bad") as bad, Line(upstream) as at:
        config = json.loads(json.dumps({"upstreams": [place(up=bad, name="bad", **OPTIONS[upstream]),
                                                      place(up=at.up, name="good", priority=2, **OPTIONS[upstream])]}))
        from harness import Gateway
        from harness.stand import base
        with Gateway({**base(), **config}) as gate:
            at.gate, kept = gate, at.gate
            try:
                _, got = at.carry(client, body(client), say=HELLO, stream=stream)
            finally:
                at.gate = kept
            assert read(client, got, native=client == upstream).text == "hi there"
            assert len([r for r in bad.requests if r.method == "POST"]) == 1 and got.header("x-anyrouter-attempts") == "2"


@p("P-010")
@p("P-189")
@p("P-190")
@every
def test_errors_before_the_answer(client, upstream):
    """The operator's key is not the caller's failure; overload has a status a dialect."""
    dialect = DIALECTS[upstream]
    for status, message, want in ((401, "bad key", (502, 503)), (402, "no money", (502, 503)), (529, "too much", {"anthropic": (529,)}.get(client, (503,)))):
        with Line(upstream) as at:
            got = at.send(client, body(client), handler=lambda _, reply, s=status, m=message: reply.body(dialect.error(s, m), s))
            assert got.status in want, (status, got)
            dialect_error = got.json
            DIALECTS[client].read_error(dialect_error)
            if status == 529 and client == "anthropic":
                assert dialect_error["error"]["type"] == "overloaded_error"
            if status == 529 and client == "gemini":
                assert dialect_error["error"]["status"] == "UNAVAILABLE"


@p("P-191")
@pytest.mark.parametrize("client", ["chat", "responses", "anthropic"])
def test_a_hint_when_to_come_back(client):
    hint = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "11.2s"}]}}
    with Line("gemini") as at:
        got = at.send(client, body(client), handler=lambda _, reply: reply.body(hint, 429))
        assert got.status == 429 and got.header("retry-after") == "12", got


@p("P-192")
@pytest.mark.parametrize(("upstream", "answer"), [
    ("chat", {"error": {"message": "too long", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}),
    ("responses", {"error": {"message": "too long", "type": "invalid_request_error", "param": "input", "code": "context_length_exceeded"}}),
    ("anthropic", {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}}),
    ("gemini", {"error": {"code": 400, "status": "INVALID_ARGUMENT",
                          "message": "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."}})])
@pytest.mark.parametrize("client", ["chat", "responses"])
def test_a_prompt_too_long(client, upstream, answer):
    with Line(upstream) as at:
        got = at.send(client, body(client), handler=lambda _, reply: reply.body(answer, 400))
        assert got.status == 400 and got.json["error"]["code"] == "context_length_exceeded", got


@p("P-011")
@p("P-012")
@pytest.mark.parametrize("client", ["chat", "gemini"])
def test_strict_refuses_what_else_is_told(line, client):
    asked = {"chat": {**body("chat"), "seed": 7}, "gemini": {**body("gemini"), "generationConfig": {"seed": 7}}}[client]
    word = {"chat": "seed", "gemini": "generationConfig.seed"}[client]
    _, got = line("responses").carry(client, asked)
    assert any(w.startswith("dropped:") and w.endswith(word.split(".")[-1]) for w in got.warnings), got.warnings
    assert line("responses").refuse(client, asked, {"X-AnyRouter-Strict": "1"})
    refused = line("responses").send(client, asked, {"X-AnyRouter-Strict": "1"})
    assert "seed" in (refused.json["error"]["param"] if client == "chat" else refused.json["error"]["message"]), refused


@p("P-017")
@every
def test_a_client_that_leaves(line, client, upstream):
    from harness.http import encode
    gone, at = threading.Event(), line(upstream)

    def handler(_, reply):
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        reply.chunk("".join(DIALECTS[upstream].frames(LONG, end=False)))
        if reply.wait_gone(5):
            gone.set()

    at.up.handler = handler
    path, made, _ = DIALECTS[client].request({"turns": [{"user": [{"text": "a"}]}]}, MODELS[upstream], True)
    with at.gate.client() as connection:
        connection.send(encode("POST", path, made))
        assert connection.head().status == 200
        assert next(connection.stream())
    begun = time.monotonic()
    assert gone.wait(4) and time.monotonic() - begun < 1.0


# ---------------------------------------------------------------- agents' loops


@p("P-177")
@pytest.mark.parametrize("upstream", ["anthropic", "gemini", "chat"])
def test_the_loop_of_codex(line, upstream):
    """Freeform patch, function and namespace, reasoning kept by the client; two steps, then an answer."""
    at = line(upstream)
    asked = {"instructions": "You are an agent.", "store": False, "include": ["reasoning.encrypted_content"], "parallel_tool_calls": True,
             "prompt_cache_key": "k", "reasoning": {"effort": "medium", "summary": "auto"}, "tool_choice": "auto",
             "tools": [{"type": "function", "name": "shell", "description": "runs", "strict": False, "parameters": {
                 "type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}}},
                 {"type": "custom", "name": "apply_patch", "description": "edits", "format": {
                     "type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
                 {"type": "web_search", "external_web_access": True}],
             "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]}]}
    steps = [{"items": [{"text": "first"}, {"call": "call_c1", "name": "shell", "args": {"command": ["ls"]}}], "stop": "tool_use"},
             {"items": [{"call": "call_c2", "name": "shell", "args": {"command": ["cat"]}}], "stop": "tool_use"},
             {"items": [{"text": "fixed"}], "stop": "end"}]
    for number, say in enumerate(steps):
        sent, got = at.carry("responses", asked, say=say, stream=True)
        assert events("responses", got)[-1].event == "response.completed"
        output = whole("responses", got)["output"]
        results = [{"type": "function_call_output", "call_id": i["call_id"], "output": f"out{number}"} for i in output if i["type"] == "function_call"]
        asked = {**asked, "input": [*asked["input"], *output, *results]}
    assert output[-1]["content"][0]["text"] == "fixed"
    names = json.dumps(sent.pop("tools"))
    assert "shell" in names and "apply_patch" in names and "start: /.+/" in names
    seen = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [i[3] for i in seen if i[1] == "result"] == [[("text", "out0")], [("text", "out1")]]
    assert [i[1] for i in seen] == ["text", "text", "call", "result", "call", "result"]


@p("P-178")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_the_loop_of_claude_code(line, upstream):
    at = line(upstream)
    asked = {"system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}], "max_tokens": 32000,
             "thinking": {"type": "enabled", "budget_tokens": 8000}, "metadata": {"user_id": "u" * 90}, "tools": [wire.tool("anthropic")],
             "messages": [{"role": "user", "content": [{"type": "text", "text": "weather", "cache_control": {"type": "ephemeral"}}]}]}
    steps = [{"items": [{"think": "hm"}, {"call": "call_c1", "name": "get_weather", "args": {"city": "Oslo"}}], "stop": "tool_use"},
             {"items": [{"call": "call_c2", "name": "get_weather", "args": {"city": "Rome"}}], "stop": "tool_use"},
             {"items": [{"text": "dry"}], "stop": "end"}]
    for number, say in enumerate(steps):
        sent, got = at.carry("anthropic", asked, {"anthropic-beta": "claude-code-20250219"}, say=say, stream=True,
                             model=DIALECTS[upstream].upstream({"think": True})[1])
        message = whole("anthropic", got)
        results = [{"type": "tool_result", "tool_use_id": b["id"], "content": f"out{number}"} for b in message["content"] if b["type"] == "tool_use"]
        asked = {**asked, "messages": [*asked["messages"], {"role": "assistant", "content": message["content"]}, {"role": "user", "content": results}]}
    assert message["content"][-1]["text"] == "dry" and message["stop_reason"] == "end_turn"
    assert at.up.last.header("anthropic-beta") is None
    seen = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [i[3] for i in seen if i[1] == "result"] == [[("text", "out0")], [("text", "out1")]]
