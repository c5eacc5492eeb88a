"""What users of gateways report: one behaviour a test, r("R-nnn") by its number in the list of reports."""

import json
import threading
import time

import pytest

from harness import canon, wire
from harness.http import encode
from matrix import DIALECTS
from matrix.cells import ORDER
from matrix.neutral import PNG, TOOLS, dump
from matrix.stand import HELLO, MODELS, Line, broken, events, frames_of, read, saying, whole
from test_statements_pairs import HOWS, body, turns

r = pytest.mark.r
THINKING = [wire.chunk({"reasoning_content": "let "}), wire.chunk({"reasoning_content": "me"}), "four"]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
DATA_URL = f"data:image/png;base64,{PNG}"


def starts(frames, type="tool_use"):
    return [f["content_block"] for f in frames if f["type"] == "content_block_start" and f["content_block"]["type"] == type]


# ---------------------------------------------------------------- streams and tool calls


@r("R-001")
@r("R-002")
@r("R-003")
@r("R-011")
@r("R-025")
@pytest.mark.parametrize("tail", [[], [wire.piece(0, '{"city":"x"}', "call_1", "get_weather")]], ids=["text", "call"])
def test_thinking_has_blocks_of_its_own(line, tail):
    _, got = line("chat").carry("anthropic", body("anthropic", {"think": True, "max": 8000, "tools": ["get_weather"]}), stream=True,
                                handler=wire.streamed(wire.chat_stream(*THINKING, *tail, finish="tool_calls" if tail else "stop")))
    canon.check_claude_grammar(events("anthropic", got))
    frames = frames_of("anthropic", got)
    assert [f["type"] for f in frames].count("message_start") == 1
    kinds = {f["index"]: f["content_block"]["type"] for f in frames if f["type"] == "content_block_start"}
    for f in frames:
        if f["type"] == "content_block_delta":
            assert (kinds[f["index"]], f["delta"]["type"]) in {
                ("thinking", "thinking_delta"), ("thinking", "signature_delta"), ("text", "text_delta"), ("tool_use", "input_json_delta")}
    assert read("anthropic", got).thinking == "let me" and read("anthropic", got).text == "four"


@r("R-025")
def test_a_whole_answer_has_its_thinking(line):
    _, got = line("chat").carry("anthropic", body("anthropic", {"think": True, "max": 8000}), handler=wire.whole(
        wire.chat_answer("four", reasoning_content="let me")))
    first = got.json["content"][0]
    assert (first["type"], first["thinking"]) == ("thinking", "let me") and first["signature"]


@r("R-004")
@r("R-050")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_the_first_and_last_frames_are_anthropics(line, upstream):
    _, got = line(upstream).carry("anthropic", body("anthropic"), stream=True)
    frames = frames_of("anthropic", got)
    message = frames[0]["message"]
    assert set(message) >= {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}
    assert message["usage"]["input_tokens"] > 0 and isinstance(message["usage"]["output_tokens"], int)
    assert frames[-1] == {"type": "message_stop"}


@r("R-005")
@r("R-006")
@pytest.mark.parametrize("client", ["chat", "anthropic", "gemini"])
@HOWS
def test_arguments_that_come_only_at_the_end(line, client, stream):
    say = {"items": [{"call": "call_1", "name": "get_weather", "args": {"city": "Oslo"}}], "stop": "tool_use"}

    def handler(_, reply):
        frames = [f for f in DIALECTS["responses"].frames(say) if "arguments.delta" not in f]
        assert len(frames) < len(DIALECTS["responses"].frames(say))
        number = [0]

        def again(frame):
            head, _, data = frame.partition("data: ")
            out = {**json.loads(data), "sequence_number": number[0]}
            number[0] += 1
            return f"{head}data: {dump(out)}\n\n"
        if stream:
            reply.sse([again(f) for f in frames])
        else:
            reply.body(DIALECTS["responses"].answer(say))

    _, got = line("responses").carry(client, body(client, {"tools": ["get_weather"]}), handler=handler, stream=stream)
    assert [c[2] for c in read(client, got).calls] == [{"city": "Oslo"}]


@r("R-007")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
def test_a_name_in_every_chunk_is_one_call(line, client):
    parts = [wire.piece(0, a, "call_1", "get_weather") for a in ('{"ci', 'ty":"Os')]
    last = wire.chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "get_weather", "arguments": 'lo"}'}}]}, finish="tool_calls")
    frames = [wire.ROLE, *parts, last, wire.DONE]
    _, got = line("chat").carry(client, body(client, {"tools": ["get_weather"]}), handler=wire.streamed(frames), stream=True)
    assert [(c[1], c[2]) for c in read(client, got).calls] == [("get_weather", {"city": "Oslo"})]


@r("R-008")
@r("R-009")
@r("R-010")
@r("R-012")
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_calls_behind_a_preamble(line, client):
    say = {"items": [{"think": "hm"}, {"text": "looking"}, {"call": "call_1", "name": "get_weather", "args": {"city": "Oslo"}},
                     {"call": "call_2", "name": "screenshot", "args": {}}], "stop": "tool_use"}
    _, got = line("anthropic").carry(client, body(client, {"tools": list(TOOLS), "think": True, "max": 8000}), say=say, stream=True)
    assert [(c[0], c[1]) for c in read(client, got).calls] == [("call_1", "get_weather"), ("call_2", "screenshot")]
    if client == "chat":
        indexes = [c["index"] for f in frames_of("chat", got) for o in f["choices"] for c in o["delta"].get("tool_calls") or [] if c.get("id")]
        assert indexes == [0, 1]


@r("R-009")
@r("R-010")
@r("R-014")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
def test_fragments_without_id_belong_to_their_index(line, client):
    parts = [wire.piece(0, "", "call_1", "get_weather"), wire.piece(1, "", "call_2", "get_weather"),
             *[wire.piece(i, a) for a0, a1 in [('{"city":', '{"city":'), ('"Oslo"', '"Rome"'), ("}", "}")] for i, a in ((0, a0), (1, a1))]]
    _, got = line("chat").carry(client, body(client, {"tools": ["get_weather"]}), stream=True,
                                handler=wire.streamed(wire.chat_stream(*parts, finish="tool_calls")))
    assert [c[2]["city"] for c in read(client, got).calls] == ["Oslo", "Rome"]


@r("R-013")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
def test_two_calls_of_one_index(line, client):
    parts = [wire.piece(0, '{"city":"Oslo"}', "call_1", "get_weather"), wire.piece(0, '{"city":"Rome"}', "call_2", "get_weather")]
    _, got = line("chat").carry(client, body(client, {"tools": ["get_weather"]}), stream=True,
                                handler=wire.streamed(wire.chat_stream(*parts, finish="tool_calls")))
    assert [c[2]["city"] for c in read(client, got).calls] == ["Oslo", "Rome"]


@r("R-015")
@r("R-016")
@pytest.mark.parametrize("upstream", ["responses", "anthropic", "gemini"])
def test_a_tool_without_parameters_stays(line, upstream):
    tool = {"type": "function", "function": {"name": "now"}}
    at = line(upstream)
    sent, _ = at.carry("chat", {**body("chat"), "tools": [tool, wire.tool("chat")]})
    tools = DIALECTS[upstream].see(at.up.last.path, sent).tools
    assert [t[0] for t in tools] == ["now", "get_weather"] and tools[1][2] == wire.WEATHER
    if upstream == "anthropic":
        assert tools[0][2]["type"] == "object"


@r("R-017")
def test_allowed_tools_and_one_at_a_time(line):
    sent, _ = line("anthropic").carry("chat", {
        **body("chat"), "tools": [wire.tool("chat"), wire.tool("chat", name="other")], "parallel_tool_calls": False,
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "other"}}]}}})
    assert [t["name"] for t in sent["tools"]] == ["other"]
    assert sent["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}


@r("R-018")
def test_results_are_one_turn_and_first(line):
    calls = [wire.call(id="call_1"), wire.call(id="call_2")]
    sent, _ = line("anthropic").carry("chat", {"tools": [wire.tool("chat")], "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"}, {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": DATA_URL}}, {"type": "text", "text": "and?"}]}]})
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert [b["type"] for b in sent["messages"][2]["content"]] == ["tool_result", "tool_result", "image", "text"]


@r("R-018")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_images_do_not_split_results(line, upstream):
    at = line(upstream)
    results = [{"type": "tool_result", "tool_use_id": i, "content": [{"type": "text", "text": i}, IMAGE]} for i in ("call_1", "call_2")]
    sent, _ = at.carry("anthropic", {"tools": [wire.tool("anthropic")], "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [wire.use(id="call_1"), wire.use(id="call_2")]},
        {"role": "user", "content": [*results, {"type": "text", "text": "and?"}]}]})
    kinds = [(i[0], i[1]) for i in DIALECTS[upstream].see(at.up.last.path, sent).items]
    first = kinds.index(("tool", "result"))
    assert kinds[first:first + 2] == [("tool", "result")] * 2 and dump(sent).count(PNG) == 2


@r("R-019")
@pytest.mark.parametrize("upstream", ORDER[1:])
def test_an_open_call_does_not_wedge(line, upstream):
    at = line(upstream)
    asked = turns({"user": [{"text": "go on"}]})
    asked["turns"] = [t for t in asked["turns"] if "tool" not in t]
    sent, _ = at.carry("chat", body("chat", asked))
    items = DIALECTS[upstream].see(at.up.last.path, sent).items
    kinds = [i[1] for i in items]
    assert kinds == ["text", "call", "result", "text"], kinds


@r("R-020")
def test_texts_of_messages_to_chat(line):
    sent, _ = line("chat").carry("anthropic", {"tools": [wire.tool("anthropic")], "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}, wire.use(id="call_1")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "d"}, {"type": "text", "text": "e"}]}]})
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool", "user"]
    assert [q["text"] for q in sent["messages"][0]["content"]] == ["a", "b"]
    assert (sent["messages"][1]["content"], sent["messages"][2]["content"], sent["messages"][3]["content"]) == ("c", "d", "e")


@r("R-022")
@r("R-068")
@pytest.mark.parametrize("client", ORDER)
@pytest.mark.parametrize("status", [200, 502])
def test_a_page_instead_of_an_answer(client, status):
    with Line("chat") as at:
        got = at.send(client, body(client), handler=lambda _, reply: reply.body(b"<html><h1>Bad gateway</h1></html>", status, type="text/html"))
        assert got.status in (502, 503), got
        message = DIALECTS[client].read_error(got.json)
        assert message and "None" not in got.text and "null" not in message
        if client == "anthropic":
            assert got.json["type"] == "error" and got.json["error"]["type"] in ("api_error", "overloaded_error")


@r("R-023")
@pytest.mark.parametrize("upstream", ORDER)
@pytest.mark.parametrize("client", ORDER)
def test_nothing_is_held_back(line, client, upstream):
    """The first text is with the client while the upstream has not said the second."""
    go_on, at = threading.Event(), line(upstream)
    frames = DIALECTS[upstream].frames({"items": [{"text": "some words and more of them"}], "stop": "end"})
    first = next(i for i, f in enumerate(frames) if "some" in f) + 1

    def handler(_, reply):
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        reply.chunk("".join(frames[:first]))
        go_on.wait(5)
        reply.chunk("".join(frames[first:])).finish()

    at.up.handler = handler
    path, made, _ = DIALECTS[client].request({"turns": [{"user": [{"text": "a"}]}]}, MODELS[upstream], True)
    with at.gate.client() as connection:
        connection.send(encode("POST", path, made))
        assert connection.head().status == 200
        begun, seen = time.monotonic(), b""
        for piece in connection.stream():
            seen += piece
            if b"some" in seen and not go_on.is_set():
                assert time.monotonic() - begun < 2
                go_on.set()
    assert go_on.is_set()


# ---------------------------------------------------------------- thinking


@r("R-024")
@r("R-026")
def test_replayed_thinking_is_not_touched(line):
    """Order, empty texts, odd escapes and the client's own display setting."""
    raw = ('{"model":"claude-opus-4-8","max_tokens":9000,"thinking":{"type":"adaptive","display":"omitted"},"messages":['
           '{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"c2ln\\u002b1"},'
           '{"type":"redacted_thinking","data":"ZGF0YQ=="},{"type":"text","text":" "},{"signature":"czI=","type":"thinking","thinking":"\\u003cb"}'
           ',{"type":"text","text":"b"}]},{"role":"user","content":"c"}]}')
    at = line("anthropic")
    got = at.gate.ask("POST", "/v1/messages", raw)
    assert got.status == 200 and at.up.last.body == raw.encode()


@r("R-027")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_thinking_is_no_content_elsewhere(line, upstream):
    at = line(upstream)
    sent, _ = at.carry("anthropic", {"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "secret thought", "signature": "c2ln"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c"}]})
    assert "secret thought" not in dump(sent) and "c2ln" not in dump(sent)
    items = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [i[:3] for i in items] == [("user", "text", "a"), ("assistant", "text", "b"), ("user", "text", "c")]


@r("R-028")
@r("R-029")
@pytest.mark.parametrize("upstream", ["chat", "anthropic", "gemini"])
def test_a_reasoning_item_is_nobodys_message(line, upstream):
    at = line(upstream)
    sent, _ = at.carry("responses", {"input": [
        {"role": "user", "content": "a"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hidden"}], "content": None, "encrypted_content": None, "status": None},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"role": "user", "content": "c"}]})
    items = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [i[:3] for i in items] == [("user", "text", "a"), ("assistant", "text", "b"), ("user", "text", "c")]


@r("R-030")
@r("R-031")
@r("R-032")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@HOWS
def test_refused_reasoning_is_tried_once_without(client, stream):
    """One answer, whole or streamed, never an error object before it."""
    responses, bodies = DIALECTS["responses"], []
    say = {"items": [{"think": "hm"}, {"call": "call_1", "name": "get_weather", "args": {"city": "Oslo"}}], "stop": "tool_use"}
    with Line("responses") as at:
        first = body(client, {"think": True, "tools": ["get_weather"], "max": 8000})
        _, got = at.carry(client, first, say=say, model="gpt-5")
        second = DIALECTS[client].again(first, got.json, [{"result": "call_1", "name": "get_weather", "items": [{"text": "3C"}]}])

        def handler(request, reply):
            bodies.append(request.json)
            if len(bodies) == 1:
                reply.body({"error": {"message": "The encrypted content for item rs_1 could not be verified.", "type": "invalid_request_error",
                                      "param": None, "code": "invalid_encrypted_content"}}, 400)
            else:
                saying("responses", HELLO)(request, reply)

        got = at.send(client, second, handler=handler, model="gpt-5", stream=stream)
        assert got.status == 200 and len(bodies) == 2 and read(client, got).text == "hi there"
        assert responses.SIGNATURE in dump(bodies[0]) and responses.SIGNATURE not in dump(bodies[1])


@r("R-033")
@pytest.mark.parametrize("upstream", ["chat", "responses"])
def test_thinking_is_not_asked_of_who_has_none(line, upstream):
    sent, got = line(upstream).carry("anthropic", {**body("anthropic"), "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000}}, model="gpt-4.1")
    assert "reasoning_effort" not in sent and "effort" not in dump(sent.get("reasoning") or {})


# ---------------------------------------------------------------- messages, media, system, schema, stop reasons


@r("R-035")
@r("R-036")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_an_image_arrives_with_its_text(line, upstream):
    at = line(upstream)
    sent, _ = at.carry("anthropic", {"messages": [{"role": "user", "content": [
        {"type": "text", "text": "one"}, IMAGE, {"type": "text", "text": "two"}]}]})
    items = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [i[1] for i in items] == ["text", "image", "text"] and items[1][3] == PNG


@r("R-037")
def test_four_shapes_of_images(line):
    at = line("chat")
    sent, _ = at.carry("anthropic", {"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}}]}]})
    assert sent["messages"][0]["content"][0]["image_url"]["url"] == "https://e.com/a.png"
    sent, _ = at.carry("responses", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://e.com/b.png"}]}]})
    assert sent["messages"][0]["content"][0]["image_url"]["url"] == "https://e.com/b.png"
    sent, _ = line("anthropic").carry("chat", {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://e.com/c.png"}}]}]})
    assert sent["messages"][0]["content"][0]["source"] == {"type": "url", "url": "https://e.com/c.png"}
    sent, _ = at.carry("anthropic", {"tools": [wire.tool("anthropic")], "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [wire.use(id="call_1")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": [IMAGE]}]}]})
    assert PNG in dump(sent)


@r("R-038")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_a_system_turn_in_the_middle_is_not_the_assistants(line, upstream):
    at = line(upstream)
    sent, _ = at.carry("anthropic", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                                                  {"role": "user", "content": "c"}, {"role": "system", "content": "rule"}]})
    said = [i for i in DIALECTS[upstream].see(at.up.last.path, sent).items if i[0] == "assistant"]
    assert [i[2] for i in said] == ["b"] and "rule" in dump(sent)


@r("R-039")
@pytest.mark.parametrize("upstream", ["responses", "anthropic", "gemini"])
def test_every_system_message_arrives(line, upstream):
    sent, _ = line(upstream).carry("chat", {"messages": [{"role": "system", "content": f"rule {i}"} for i in range(3)] + [{"role": "user", "content": "a"}]})
    places = [dump(sent).find(f"rule {i}") for i in range(3)]
    assert places == sorted(places) and -1 not in places


@r("R-040")
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_nothing_empty_reaches_anthropic(line, client):
    asked = {"chat": {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "b"}]},
             "responses": {"input": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "b"}]},
             "gemini": {"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": ""}]}, {"role": "user", "parts": [{"text": "b"}]}]}}
    sent, _ = line("anthropic").carry(client, asked[client])
    for message in sent["messages"]:
        content = message["content"]
        assert content and all(b.get("text", "x") for b in content if isinstance(b, dict)), sent


@r("R-041")
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_a_schema_reaches_anthropic(line, client):
    sent, _ = line("anthropic").carry(client, body(client, {"format": True}))
    assert sent["output_config"]["format"]["type"] == "json_schema" and "people" in dump(sent["output_config"])


@r("R-042")
@r("R-043")
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
@pytest.mark.parametrize("stop", ["max_tokens", "model_context_window_exceeded", "refusal"])
@HOWS
def test_a_cut_call_is_not_complete(line, client, stop, stream):
    def handler(_, reply):
        if stream:
            pieces = [wire.event("content_block_start", index=0, content_block=wire.use(input={})),
                      wire.event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"ci'}),
                      wire.event("content_block_stop", index=0)]
            reply.sse([wire.claude_start(), *pieces, wire.claude_delta(stop), wire.STOP])
        else:
            reply.body(wire.claude_answer(wire.use(input={}), stop=stop))

    _, got = line("anthropic").carry(client, body(client, {"tools": ["get_weather"]}), handler=handler, stream=stream)
    told = dump(whole(client, got))
    names = {"chat": ('"finish_reason":"length"', '"finish_reason":"content_filter"', '"refusal":"'), "responses": ('"status":"incomplete"', '"refusal"'),
             "gemini": ('"MAX_TOKENS"', '"SAFETY"', "blockReason")}[client]
    assert any(n in told for n in names) and '"finish_reason":"tool_calls"' not in told, told


@r("R-045")
@pytest.mark.parametrize("client", ["responses", "anthropic", "gemini"])
@HOWS
def test_a_call_that_ends_with_stop(line, client, stream):
    frames = wire.chat_stream(wire.piece(0, '{"city":"x"}', "call_1", "get_weather"), finish="stop")
    handler = wire.streamed(frames) if stream else wire.whole(wire.chat_answer(None, [wire.call()], finish="stop"))
    _, got = line("chat").carry(client, body(client, {"tools": ["get_weather"]}), handler=handler, stream=stream)
    assert read(client, got).stop == "tool_use"


@r("R-046")
@r("R-047")
@pytest.mark.parametrize(("client", "tool"), [
    ("anthropic", {"type": "web_search_20250305", "name": "web_search"}), ("anthropic", {"type": "web_fetch_20250910", "name": "web_fetch"}),
    ("responses", {"type": "web_search"}), ("gemini", {"googleSearch": {}})])
def test_a_search_tool_does_not_break_chat(line, client, tool):
    sent, got = line("chat").carry(client, {**body(client), "tools": [tool]})
    assert not sent.get("tools") and any(w.startswith("dropped:tools") for w in got.warnings), got.warnings


@r("R-049")
@pytest.mark.parametrize("upstream", ["chat", "gemini"])
def test_a_list_of_results_is_text(line, upstream):
    sent, _ = line(upstream).carry("responses", {"input": [
        {"role": "user", "content": "a"}, {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "x"}, {"type": "input_text", "text": "y"}]}]})
    if upstream == "chat":
        assert sent["messages"][2]["content"] in ("x\ny", [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}])
    else:
        assert sent["contents"][2]["parts"][0]["functionResponse"]["response"] == {"output": "x\ny"}


# ---------------------------------------------------------------- usage and counting


@r("R-053")
@r("R-054")
@r("R-055")
@pytest.mark.parametrize("client", ORDER)
@pytest.mark.parametrize("upstream", ORDER)
def test_one_record_with_all_tokens(client, upstream):
    with Line(upstream) as at:
        usage = {"in": 1210, "cached": 1000, "written": 0, "out": 50, "reasoning": 0}
        at.carry(client, body(client), say={**HELLO, "usage": usage}, stream=True)
        at.gate.wait_log("event=request.*tokens=1210/50")
        served = [row for row in at.gate.log.splitlines() if "event=request" in row and f"dialect={client}" in row]
        assert len(served) == 1, served


@r("R-057")
@r("R-058")
@r("R-059")
@r("R-060")
@pytest.mark.parametrize("query", ["", "?beta=true"])
def test_counts_hold_system_and_tools_and_nothing_else(line, query):
    def count(**more):
        got = line("chat").gate.ask("POST", "/v1/messages/count_tokens" + query, {
            "model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}], **more})
        assert got.status == 200, got
        return got.json["input_tokens"]

    bare = count()
    assert 1 <= bare < 30
    assert count(system="rule " * 200) > bare + 150
    assert count(tools=[{**wire.tool("anthropic"), "description": "word " * 200}]) > bare + 150


# ---------------------------------------------------------------- state, framing, errors, silence


@r("R-061")
@r("R-067")
@pytest.mark.parametrize("upstream", ["chat", "anthropic", "gemini"])
def test_a_response_is_gone_on_from(line, upstream):
    at = line(upstream)
    _, first = at.carry("responses", {"input": "my name is Ada"})
    sent, second = at.carry("responses", {"input": "who am I?", "previous_response_id": first.json["id"]})
    items = DIALECTS[upstream].see(at.up.last.path, sent).items
    assert [i[2] for i in items] == ["my name is Ada", "hi there", "who am I?"]
    assert second.json["previous_response_id"] == first.json["id"]


@r("R-062")
@r("R-063")
def test_a_history_moves_when_its_place_is_down():
    from harness import Gateway, Upstream
    from harness.stand import base, place
    from matrix.stand import OPTIONS
    with Upstream(saying("anthropic", HELLO), name="one") as one, Upstream(saying("chat", HELLO), name="two") as two:
        ups = [place(up=one, name="one", models=[{"from": "m", "to": "claude-sonnet-4-5"}], **OPTIONS["anthropic"]),
               place(up=two, name="two", priority=2, models=[{"from": "m", "to": "gpt-4.1"}], **OPTIONS["chat"])]
        with Gateway({**base(), "upstreams": ups}) as gate:
            first = gate.ask("POST", "/v1/responses", {"model": "m", "input": "my name is Ada"})
            assert first.status == 200 and first.header("x-anyrouter-upstream") == "one"
            one.handler = lambda _, reply: reply.body(wire.error("anthropic", 529), 529)
            second = gate.ask("POST", "/v1/responses", {"model": "m", "input": "who am I?", "previous_response_id": first.json["id"]})
            assert second.status == 200 and second.header("x-anyrouter-upstream") == "two"
            assert "my name is Ada" in dump(two.last.json)


@r("R-064")
@r("R-065")
def test_a_websocket_is_taken(line):
    head = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with line("chat").gate.client() as connection:
        connection.send(encode("GET", "/v1/responses", None, head))
        got = connection.head()
        assert got.status == 101 and got.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@r("R-066")
@pytest.mark.parametrize("upstream", ["chat", "anthropic", "gemini"])
def test_every_event_says_its_type(line, upstream):
    _, got = line(upstream).carry("responses", {"input": "a"}, stream=True)
    assert all(f["type"].startswith("response.") for f in frames_of("responses", got))


@r("R-069")
@r("R-070")
@r("R-071")
@pytest.mark.parametrize("upstream", ORDER)
@pytest.mark.parametrize("client", ORDER)
def test_silence_is_filled_between_events(client, upstream):
    """Before the first frame, in the middle of the one with the first content, and of a later one."""
    frames = DIALECTS[upstream].frames({"items": [{"text": "some words"}], "stop": "end"})
    data = "".join(frames).encode()
    first, later = data.find(b"some") + 2, data.rfind(b"rds") + 1
    assert 1 < first < later

    def handler(_, reply):
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        for piece in (data[:first], data[first:later], data[later:]):
            time.sleep(1.2)
            reply.chunk(piece)
        reply.finish()

    with Line(upstream, top={"ping_interval": "400ms"}) as at:
        _, got = at.carry(client, body(client), handler=handler, stream=True)
        assert read(client, got, native=client == upstream).text == "some words"
        gaps = [b - a for (a, _), (b, _) in zip(got.arrivals, got.arrivals[1:])]
        assert len(got.arrivals) > 6 and max(gaps) < 1.0, gaps


@r("R-072")
@r("R-073")
@pytest.mark.parametrize("client", ORDER)
@HOWS
def test_a_client_that_leaves_before_the_answer(line, client, stream):
    gone, asked, at = threading.Event(), threading.Event(), line("chat")

    def handler(_, reply):
        asked.set()
        if reply.wait_gone(5):
            gone.set()

    at.up.handler = handler
    path, made, _ = DIALECTS[client].request({"turns": [{"user": [{"text": "a"}]}]}, "gpt-4.1", stream)
    with at.gate.client() as connection:
        connection.send(encode("POST", path, made))
        assert asked.wait(3)
    begun = time.monotonic()
    assert gone.wait(4) and time.monotonic() - begun < 1.5


@r("R-074")
@pytest.mark.parametrize("client", ORDER)
def test_an_error_in_a_stream_is_no_success(client):
    with Line("anthropic") as at:
        frames = [*wire.claude_stream("some words", end=False)[:-1], wire.event("error", error={"type": "overloaded_error", "message": "Overloaded"})]
        got = at.send(client, body(client), handler=wire.streamed(frames), stream=True)
        assert "Overloaded" in broken(client, got, native=client == "anthropic").message
        at.gate.wait_log("event=request.*upstream=up")
        row = [x for x in at.gate.log.splitlines() if "event=request" in x and "upstream=up" in x][-1]
        assert "outcome=served" not in row, row


@r("R-077")
@pytest.mark.parametrize("client", ORDER)
def test_a_missing_end_mark_is_no_failure(line, client):
    _, got = line("chat").carry(client, body(client), handler=wire.streamed(wire.chat_stream("some words", done=False)), stream=True)
    told = read(client, got, native=client == "chat") if client != "chat" else None
    if told:
        assert (told.text, told.stop) == ("some words", "end")
    else:
        assert "some words" in got.text and "error" not in got.text
