"""Faults that users report of other gateways, each as a test that this one has not got it.

A test names its fault by number (design pages: PEERS 3), its first line says what must hold. tools/known_faults lists them.
"""

import json
import re
import time

import pytest

from harness import canon, parse_sse, wire
from harness.http import encode
from harness.stand import place
from matrix import DIALECTS, anthropic, chat, gemini, responses
from matrix.cells import HOWS, ORDER
from matrix.exchange import Exchange, Pair
from matrix.neutral import PNG, StreamError

fault = pytest.mark.fault
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEXT = {"items": [{"text": "hello there"}], "stop": "end"}
CALL = {"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}}
ASK = {"turns": [{"user": [{"text": "hi"}]}]}
TOOLS = {**ASK, "tools": ["get_weather"]}
THINKS = {"items": [{"think": "let me see"}, {"text": "so it is"}], "stop": "end", "usage": {"out": 50, "reasoning": 30}}
OTHERS = [(c, u) for c in ORDER for u in ORDER if c != u]


@pytest.fixture(scope="module")
def _pairs():
    made = {}
    yield made
    for pair in made.values():
        pair.stop()


@pytest.fixture
def talk(_pairs):
    """talk(client, upstream, answer, body...): one exchange. answer: frames (stream), a dict (whole) or a function."""
    def run(client, upstream, answer, body=None, ask=None, how=None, headers=None):
        ask = ask or ASK
        name = f"{upstream} {DIALECTS[upstream].upstream(ask)[0]}"
        if name not in _pairs:
            _pairs[name] = Pair(DIALECTS[upstream], ask)
        pair = _pairs[name]
        how = how or ("whole" if isinstance(answer, dict) else "stream")
        path, own, heads = DIALECTS[client].request(ask, DIALECTS[upstream].upstream(ask)[1], how == "stream")
        own.update(body or {})

        def serve(request, reply):
            if request.method == "GET":
                reply.body({"object": "list", "data": []})
            elif callable(answer):
                answer(request, reply)
            elif isinstance(answer, dict):
                reply.body(answer)
            else:
                reply.sse(answer)

        pair.up.handler = serve
        return Exchange(pair, client, upstream, how, (path, own, {**heads, **(headers or {})}))

    return run


def both(upstream, say, how):
    return DIALECTS[upstream].answer(say) if how == "whole" else DIALECTS[upstream].frames(say)


def got(exchange):
    return exchange.client.read(exchange.whole())


def sent(exchange):
    return exchange.requests[-1].json


# ---------------------------------------------------------------- streaming and tool calls


@fault(1)
@fault(2)
@fault(25)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_thinking_is_in_thinking_blocks_with_its_signature(talk, upstream, how):
    """Thinking goes to Messages clients in thinking blocks alone, one message_start, the signature by its own delta."""
    ask = {**ASK, "think": True, "max": 8000}
    say = got(talk("anthropic", upstream, both(upstream, THINKS, how), ask=ask, how=how))
    assert (say.thinking, say.text) == ("let me see", "so it is") and say.opaque


@fault(2)
def test_thinking_that_comes_again_after_text(talk):
    """Reasoning, text, reasoning, text: every delta in a block of its kind."""
    frames = [wire.ROLE, *[wire.chunk({k: v}) for k, v in [("reasoning_content", "a"), ("content", "1"), ("reasoning_content", "b"),
                                                         ("content", "2")]], wire.chunk(finish="stop"), wire.chat_usage(), wire.DONE]
    blocks = talk("anthropic", "chat", frames).whole()["content"]
    assert [b["type"] for b in blocks] == ["thinking", "text", "thinking", "text"]


@fault(3)
@pytest.mark.parametrize("first", [{"content": "hi"}, {"content": "hi", "role": "assistant"}, {"tool_calls": [
    {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}])
def test_no_delta_without_its_block(talk, first):
    """An upstream that opens with content, or with a whole call, at once."""
    frames = [wire.chunk(first), wire.chunk(finish="stop"), wire.chat_usage(), wire.DONE]
    say = got(talk("anthropic", "chat", frames, ask=TOOLS))
    assert say.text == "hi" or say.calls == [("c1", "f", {})]


@fault(4)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_the_shape_of_message_start_and_stop(talk, upstream):
    """message_start has a full message with usage, message_stop nothing but its type."""
    frames = [e.json for e in talk("anthropic", upstream, DIALECTS[upstream].frames(TEXT)).events if e.data]
    message = frames[0]["message"]
    assert set(message) >= {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"}
    assert set(message["usage"]) >= {"input_tokens", "output_tokens"} and frames[-1] == {"type": "message_stop"}


def late_arguments(where):
    """A Responses stream whose arguments come in no delta."""
    out = []
    for frame in responses.frames({"items": [CALL], "stop": "tool_use"}):
        kind = frame.split("\n")[0].removeprefix("event: ")
        if kind.endswith("arguments.delta") or (where == "item" and kind.endswith("arguments.done")):
            continue
        out.append(frame)
    return out


@fault(5)
@fault(6)
@pytest.mark.parametrize("where", ["done", "item"])
@pytest.mark.parametrize("client", ["chat", "anthropic", "gemini"])
def test_arguments_that_come_only_at_the_end(talk, client, where):
    """Arguments only in ….arguments.done, or only in the finished item, are not lost."""
    say = got(talk(client, "responses", late_arguments(where), ask=TOOLS))
    assert say.calls == [("call_a1", "get_weather", {"city": "Oslo"})] and say.stop == "tool_use"


@fault(7)
@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_the_name_in_every_chunk(talk, client):
    """A tool's name and id repeated in every chunk is one call; arguments in the finish chunk without usage count."""
    def piece(arguments):
        return [{"index": 0, "id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}]

    frames = [wire.ROLE, wire.chunk({"tool_calls": piece("{\"city\"")}), wire.chunk({"tool_calls": piece(":\"Os")}),
              wire.chunk({"tool_calls": piece("lo\"}")}, finish="tool_calls"), wire.DONE]
    say = got(talk(client, "chat", frames, ask=TOOLS))
    assert say.calls == [("c1", "get_weather", {"city": "Oslo"})]


@fault(8)
@pytest.mark.parametrize("client", ["chat"])
def test_the_index_of_calls_counts_calls(talk, client):
    """Thinking and text before a call do not move its index."""
    say = {"items": [{"think": "x"}, {"text": "y"}, CALL], "stop": "tool_use"}
    exchange = talk(client, "anthropic", anthropic.frames(say), ask={**TOOLS, "think": True, "max": 8000})
    indexes = [t["index"] for e in exchange.events if e.data and e.data != "[DONE]"
               for c in e.json["choices"] for t in c["delta"].get("tool_calls", [])]
    assert indexes and set(indexes) == {0}


THREE = [wire.ROLE, wire.piece(0, "", "c0", "get_weather"), wire.piece(1, "", "c1", "get_weather"), wire.piece(0, "{\"city\":"),
         wire.piece(2, "", "c2", "get_weather"), wire.piece(1, "{\"city\":\"B\"}"), wire.piece(2, "{\"city\":\"C\"}"), wire.piece(0, "\"A\"}"),
         wire.chunk(finish="tool_calls"), wire.chat_usage(), wire.DONE]
ABC = [("c0", "get_weather", {"city": "A"}), ("c1", "get_weather", {"city": "B"}), ("c2", "get_weather", {"city": "C"})]


@fault(9)
@fault(10)
@fault(12)
@fault(14)
@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_interleaved_calls(talk, client):
    """Three calls whose fragments interleave, later ones without id: three whole blocks in order, each opened and closed."""
    assert got(talk(client, "chat", THREE, ask=TOOLS)).calls == ABC


@fault(11)
def test_the_role_in_every_chunk(talk):
    """A role in every chunk is one message_start."""
    frames = [wire.chunk({"role": "assistant", "content": t}) for t in ("a", "b", "c")] + [wire.chunk(finish="stop"), wire.DONE]
    exchange = talk("anthropic", "chat", frames)
    assert got(exchange).text == "abc" and sum(e.event == "message_start" for e in exchange.events) == 1


@fault(13)
@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_calls_that_share_an_index(talk, client):
    """Several calls with one index and ids of their own are not joined."""
    frames = [wire.ROLE, wire.piece(0, "{\"city\":\"A\"}", "c0", "get_weather"), wire.piece(0, "{\"city\":\"B\"}", "c1", "get_weather"),
              wire.chunk(finish="tool_calls"), wire.chat_usage(), wire.DONE]
    assert got(talk(client, "chat", frames, ask=TOOLS)).calls == [
        ("c0", "get_weather", {"city": "A"}), ("c1", "get_weather", {"city": "B"})]


@fault(15)
@pytest.mark.parametrize("upstream", ["responses", "anthropic", "gemini"])
def test_a_tool_without_parameters(talk, upstream):
    """It is a tool all the same, with an empty object schema."""
    body = {"tools": [{"type": "function", "function": {"name": "now"}}]}
    seen = talk("chat", upstream, DIALECTS[upstream].answer(TEXT), body).seen()
    assert [t[0] for t in seen.tools] == ["now"]
    assert seen.tools[0][2] in ({"type": "object", "properties": {}}, None) and (seen.tools[0][2] or upstream == "gemini")


@fault(16)
@pytest.mark.parametrize("upstream", ["responses", "anthropic", "gemini"])
def test_schemas_arrive_as_they_are(talk, upstream):
    """Nested schemas with references, unions and numbers."""
    schema = {"type": "object", "$defs": {"n": {"type": "number", "minimum": 0.5}}, "required": ["a"], "additionalProperties": False,
              "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"anyOf": [{"type": "string", "enum": ["x", "y"]}, {"type": "null"}]},
                             "c": {"type": "array", "items": {"type": "object", "properties": {"d": {"const": 1}}}}}}
    body = {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}
    assert talk("chat", upstream, DIALECTS[upstream].answer(TEXT), body).seen().tools[0][2] == schema


@fault(17)
def test_allowed_tools_and_parallel_calls(talk):
    """allowed_tools and parallel_tool_calls reach the Messages request."""
    tools = [{"type": "function", "function": {"name": n, "parameters": WEATHER}} for n in ("a", "b")]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}}
    seen = talk("chat", "anthropic", anthropic.answer(TEXT), {"tools": tools, "tool_choice": allowed, "parallel_tool_calls": False}).seen()
    assert ([t[0] for t in seen.tools], seen.choice, seen.parallel) == (["b"], "required", False)


HISTORY = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": [
    wire.call(id="c1"), wire.call(id="c2")]}, {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}, {"type": "text", "text": "see"}]}]


@fault(18)
@pytest.mark.parametrize("upstream", ["anthropic", "gemini"])
def test_results_come_first_and_together(talk, upstream):
    """Results of one turn are in one user turn before anything else of it."""
    exchange = talk("chat", upstream, DIALECTS[upstream].answer(TEXT), {"messages": HISTORY})
    assert [i[1] for i in exchange.seen().items][3:] == ["result", "result", "image", "text"]
    turns = sent(exchange)["messages" if upstream == "anthropic" else "contents"]
    assert [t["role"] for t in turns][:3] == ["user", "assistant" if upstream == "anthropic" else "model", "user"]
    blocks = turns[2]["content" if upstream == "anthropic" else "parts"]
    assert sum("functionResponse" in b or b.get("type") == "tool_result" for b in blocks) == 2


@fault(19)
@pytest.mark.parametrize("upstream", ["responses", "anthropic", "gemini"])
def test_a_call_without_its_result(talk, upstream):
    """It gets a result of our own, so that the session goes on."""
    messages = [*HISTORY[:3], {"role": "user", "content": "and now?"}]
    items = talk("chat", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages}).seen().items
    assert [i[2] for i in items if i[1] == "call"] == [i[2] for i in items if i[1] == "result"] == ["c1", "c2"]


@fault(20)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_text_beside_results_stays_after_them(talk, upstream):
    """A user turn of results and texts: first all results, then every text, in order."""
    use = [wire.use(id="t1"), wire.use(id="t2")]
    result = [{"type": "tool_result", "tool_use_id": i, "content": i} for i in ("t1", "t2")]
    more = [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": use}, {"role": "user", "content": result + more}]
    items = talk("anthropic", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages}).seen().items
    assert [i[1:3] for i in items[3:]] == [("result", "t1"), ("result", "t2"), ("text", "first"), ("text", "second")]


@fault(21)
@pytest.mark.parametrize("upstream", ORDER)
def test_frames_cut_anywhere(talk, upstream):
    """Every byte of a stream in a packet of its own, characters cut in the middle."""
    raw = "".join(DIALECTS[upstream].frames({"items": [{"text": "héllo 🌍"}], "stop": "end"})).encode()

    def dribble(request, reply):
        reply.keep = False
        reply.head(200, {"content-type": "text/event-stream", "connection": "close"})
        reply.split(raw, 5)
        reply.close()

    client = "chat" if upstream != "chat" else "anthropic"
    assert got(talk(client, upstream, dribble)).text == "héllo 🌍"


@fault(22)
@fault(68)
@pytest.mark.parametrize(("client", "name"), OTHERS)
def test_a_page_instead_of_an_answer(gateway, upstream, client, name):
    """An HTML error page, or an error full of nulls, becomes an error of the client's dialect with words in it."""
    up = upstream
    for body, kind in (("<html><body>Bad gateway</body></html>", "text/html"), ('{"error":{"message":null,"type":null,"code":null}}', "application/json")):
        up.handler = lambda request, reply, body=body, kind=kind: reply.body(body.encode(), 502, kind)
        gate = gateway({"upstreams": [place(up=up, name="up", **DIALECTS[name].upstream(ASK)[0])]})
        path, ask, headers = DIALECTS[client].request(ASK, "m", False)
        answer = gate.ask("POST", path, ask, headers)
        assert answer.status == 502, answer
        message = DIALECTS[client].read_error(answer.json)
        assert message and "None" not in answer.text and "<html" not in answer.text


@fault(23)
@pytest.mark.parametrize(("client", "name"), OTHERS)
def test_a_stream_is_not_kept_back(gateway, upstream, client, name):
    """Text arrives while the upstream still writes."""
    frames = DIALECTS[name].frames({"items": [{"text": "first and then a lot more"}], "stop": "end"})
    seen = []

    def slow(request, reply):
        reply.sse(frames[:6], finish=False)
        for _ in range(400):
            if seen:
                break
            time.sleep(0.005)
        for frame in frames[6:]:
            reply.chunk(frame)
        reply.finish()

    upstream.handler = slow
    gate = gateway({"upstreams": [place(up=upstream, name="up", **DIALECTS[name].upstream(ASK)[0])]})
    path, body, headers = DIALECTS[client].request(ASK, "m", True)
    with gate.client() as connection:
        connection.send(encode("POST", path, body, headers))
        assert connection.head().status == 200
        text = b""
        for piece in connection.stream():
            text += piece
            if b"first" in text and not seen:
                seen.append(len(text))
    assert seen and seen[0] < len(text), "it came at once"


# ---------------------------------------------------------------- thinking, signatures, reasoning items


@fault(24)
def test_thinking_is_sent_back_as_it_was(talk):
    """A replayed thinking block has the same bytes, odd escapes and all."""
    raw = '{"type":"thinking","thinking":"a \\u003c b\\/c \\ud83c\\udf0d","signature":"QW50aHJvcGlj"}'
    body = ('{"model":"claude-sonnet-4-5","max_tokens":4000,"messages":[{"role":"user","content":"go"},{"role":"assistant","content":['
            + raw + ',{"type":"text","text":"x"}]},{"role":"user","content":"on"}]}')
    exchange = talk("anthropic", "anthropic", anthropic.answer(TEXT))
    exchange.pair.gate.ask("POST", "/v1/messages", body.encode(), {"content-type": "application/json", "anthropic-version": "2023-06-01"})
    assert raw.encode() in exchange.pair.up.requests[-1].body


@fault(26)
@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2000}])
def test_display_is_the_callers(talk, thinking):
    """thinking.display is not set where the caller did not."""
    exchange = talk("anthropic", "anthropic", anthropic.answer(TEXT), {"thinking": thinking})
    assert sent(exchange)["thinking"] == thinking


@fault(27)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_thinking_is_no_content_part_of_others(talk, upstream):
    """A history with thinking blocks reaches others without them."""
    turn = [{"type": "thinking", "thinking": "secret thought", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "ZGF0YQ=="},
            {"type": "text", "text": "x"}]
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": turn}, {"role": "user", "content": "b"}]
    exchange = talk("anthropic", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages})
    assert [i[2] for i in exchange.seen().items] == ["a", "x", "b"]
    assert b"secret thought" not in exchange.requests[0].body and b"thinking" not in exchange.requests[0].body


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "content": None, "encrypted_content": None,
             "status": None}


@fault(28)
@fault(29)
@pytest.mark.parametrize("upstream", ["chat", "anthropic", "gemini"])
def test_a_reasoning_item_is_nobodys_message(talk, upstream):
    """A reasoning item without role, and with null members, is read and never becomes a user's words."""
    items = [{"role": "user", "content": "a"}, REASONING, {"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "x", "annotations": None, "logprobs": None}]}, {"role": "user", "content": "b"}]
    seen = talk("responses", upstream, DIALECTS[upstream].answer(TEXT), {"input": items}).seen()
    assert [i[:3] for i in seen.items] == [("user", "text", "a"), ("assistant", "text", "x"), ("user", "text", "b")]


REFUSALS = {
    "responses": {"error": {"message": "The encrypted content gAAA could not be verified.", "type": "invalid_request_error",
                            "param": None, "code": "invalid_encrypted_content"}},
    "anthropic": anthropic.error(400, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    "gemini": gemini.error(400, "Corrupted thought signature."),
}


@fault(30)
@fault(31)
@fault(32)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("client", "name"), [(c, u) for c, u in OTHERS if u != "chat"])
def test_material_that_is_refused_is_left_out_once(gateway, upstream, client, name, how):
    """A refused signature is tried once more without it; the client sees one answer, and nothing of the first."""
    dialect, ask = DIALECTS[name], {**TOOLS, "think": True, "max": 8000}
    options, model = dialect.upstream(ask)
    gate = gateway({"upstreams": [place(up=upstream, name="up", **options)]})
    first = {"items": [{"think": "hm"}, CALL], "stop": "tool_use"}
    upstream.handler = lambda request, reply: reply.body(dialect.answer(first)) if how == "whole" else reply.sse(dialect.frames(first))
    path, body, headers = DIALECTS[client].request(ask, model, how == "stream")
    exchange = Exchange(pair_of(gate, upstream), client, name, how, (path, body, headers))
    result = [{"result": "call_a1", "name": "get_weather", "items": [{"text": "3C"}]}]
    body = DIALECTS[client].again(body, exchange.whole(), result)

    def picky(request, reply):
        if dialect.SIGNATURE.encode() in request.body:
            reply.body(REFUSALS[name], 400)
        elif how == "whole":
            reply.body(dialect.answer(TEXT))
        else:
            reply.sse(dialect.frames(TEXT))

    upstream.handler = picky
    exchange = Exchange(pair_of(gate, upstream), client, name, how, (path, body, headers))
    assert got(exchange).text == "hello there"
    assert [dialect.SIGNATURE.encode() in r.body for r in exchange.requests] == [True, False]
    assert [i[1] for i in dialect.see(exchange.requests[1].path, exchange.requests[1].json).items] == ["text", "call", "result"]


class Held:
    def __init__(self, gate, up):
        self.gate, self.up = gate, up


def pair_of(gate, up):
    return Held(gate, up)


@fault(33)
@pytest.mark.parametrize(("client", "upstream"), [(c, u) for c, u in OTHERS if u in ("chat", "responses", "anthropic")])
def test_thinking_of_a_model_that_has_none(talk, client, upstream):
    """A wish for thinking is dropped where the model has none, and the request goes through."""
    model = {"chat": "gpt-4.1", "responses": "gpt-4.1", "anthropic": "claude-3-5-haiku-latest"}[upstream]
    dialect = DIALECTS[client]
    path, body, headers = dialect.request({**ASK, "think": True, "max": 3000}, model, False)
    exchange = talk(client, upstream, DIALECTS[upstream].answer(TEXT))
    exchange = Exchange(exchange.pair, client, upstream, "whole", (path, body, headers))
    assert got(exchange).text == "hello there" and not exchange.seen().think
    assert any(w.startswith(("dropped", "approximated")) for w in exchange.warnings)


@fault(34)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("client", ["chat", "responses", "anthropic"])
def test_thought_tokens_count(talk, client, how):
    """Gemini's thoughts are in the answer's tokens, and the total adds up."""
    say = {**TEXT, "usage": {"in": 11, "out": 50, "reasoning": 30}}
    exchange = talk(client, "gemini", both("gemini", say, how), how=how)
    usage = got(exchange).usage
    assert (usage["in"], usage["out"], usage["reasoning"]) == (11, 50, 30)


# ---------------------------------------------------------------- messages, images, system, schema, stop reasons


@fault(35)
@fault(36)
@pytest.mark.parametrize(("client", "upstream"), OTHERS)
def test_parts_keep_their_images(talk, client, upstream):
    """Text, image, text arrive as three parts in order."""
    ask = {"turns": [{"user": [{"text": "a"}, {"image": PNG}, {"text": "b"}]}]}
    items = talk(client, upstream, DIALECTS[upstream].answer(TEXT), ask=ask).seen().items
    assert [i[1] for i in items] == ["text", "image", "text"] and items[1][3] == PNG


URL = "https://example.com/a.png"


@fault(37)
def test_images_by_url(talk):
    """An https URL is a URL in every dialect that has such."""
    body = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}, {"type": "text", "text": "?"}]}]}
    exchange = talk("chat", "anthropic", anthropic.answer(TEXT), body)
    assert sent(exchange)["messages"][0]["content"][0] == {"type": "image", "source": {"type": "url", "url": URL}}
    exchange = talk("chat", "responses", responses.answer(TEXT), body)
    assert sent(exchange)["input"][0]["content"][0]["image_url"] == URL
    body = {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": URL}}, {"type": "text", "text": "?"}]}]}
    exchange = talk("anthropic", "chat", chat.answer(TEXT), body)
    assert sent(exchange)["messages"][0]["content"][0]["image_url"]["url"] == URL
    exchange = talk("anthropic", "responses", responses.answer(TEXT), body)
    assert sent(exchange)["input"][0]["content"][0]["image_url"] == URL


@fault(37)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_results_that_are_no_text(talk, upstream):
    """An image in a tool result reaches the model."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": [wire.use(id="t1")]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [image]}]}]
    exchange = talk("anthropic", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages})
    assert PNG.encode() in exchange.requests[0].body and exchange.seen()


@fault(38)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_system_turns_in_the_middle(talk, upstream):
    """Messages' system turns never become the assistant's words."""
    messages = [{"role": "user", "content": "a"}, {"role": "system", "content": "be quick"}, {"role": "assistant", "content": "x"},
                {"role": "user", "content": "b"}]
    seen = talk("anthropic", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages}).seen()
    assert [i[2] for i in seen.items if i[0] == "assistant"] == ["x"]
    assert seen.system == ["be quick"] or any(i[0] == "user" and "be quick" in i[2] for i in seen.items)


@fault(39)
@pytest.mark.parametrize("upstream", ["responses", "anthropic", "gemini"])
def test_every_system_message_arrives(talk, upstream):
    """Second and later system messages, and one in the middle."""
    messages = [{"role": "system", "content": "one"}, {"role": "developer", "content": "two"}, {"role": "user", "content": "a"},
                {"role": "assistant", "content": "x"}, {"role": "user", "content": "b"}, {"role": "system", "content": "three"}]
    exchange = talk("chat", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages})
    assert exchange.seen().system[:2] == ["one", "two"] and b"three" in exchange.requests[0].body


@fault(40)
@pytest.mark.parametrize("upstream", ["anthropic", "gemini"])
def test_empty_content(talk, upstream):
    """Empty texts are never sent where they are refused."""
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": [{"type": "text", "text": ""}]},
                {"role": "assistant", "content": "", "tool_calls": [wire.call(id="c1")]}, {"role": "tool", "tool_call_id": "c1", "content": ""},
                {"role": "user", "content": "b"}]
    exchange = talk("chat", upstream, DIALECTS[upstream].answer(TEXT), {"messages": messages})
    assert b'"text":""' not in exchange.requests[0].body and got(exchange).text == "hello there"


@fault(41)
@pytest.mark.parametrize(("client", "upstream"), OTHERS)
def test_schemas_of_answers_arrive(talk, client, upstream):
    """Structured output is asked for in the upstream's own way."""
    exchange = talk(client, upstream, DIALECTS[upstream].answer(TEXT), ask={**ASK, "format": True})
    assert exchange.seen().format["properties"].keys() == {"city", "people"}


@fault(42)
@pytest.mark.parametrize(("stop", "finish", "reason"), [("refusal", "content_filter", "SAFETY"),
                                                       ("model_context_window_exceeded", "length", "MAX_TOKENS")])
def test_stop_reasons_that_others_forget(talk, stop, finish, reason):
    """refusal and model_context_window_exceeded are told, what was said before stays."""
    answer = {**anthropic.answer({"items": [{"text": "some"}, CALL], "stop": "end"}), "stop_reason": stop}
    whole = talk("chat", "anthropic", answer, ask=TOOLS).whole()
    assert whole["choices"][0]["finish_reason"] == finish
    assert whole["choices"][0]["message"]["content"] == "some" and len(whole["choices"][0]["message"]["tool_calls"]) == 1
    candidate = talk("gemini", "anthropic", answer, ask=TOOLS).whole()["candidates"][0]
    assert candidate["finishReason"] == reason and len(candidate["content"]["parts"]) == 2
    whole = talk("responses", "anthropic", answer, ask=TOOLS).whole()
    assert whole["status"] == "incomplete" and len(whole["output"]) == 2


@fault(43)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("client", "upstream"), OTHERS)
def test_a_call_that_was_cut_is_no_call(talk, client, upstream, how):
    """An answer cut by its length inside a call says so, and not that a tool is to be called."""
    say = {"items": [CALL], "stop": "max_tokens"}
    assert got(talk(client, upstream, both(upstream, say, how), ask=TOOLS, how=how)).stop == "max_tokens"


@fault(44)
def test_pause_turn(talk):
    """pause_turn reaches Messages clients; others get their content with a normal end."""
    answer = {**anthropic.answer(TEXT), "stop_reason": "pause_turn"}
    assert talk("anthropic", "anthropic", answer).whole()["stop_reason"] == "pause_turn"
    for client in ("chat", "responses", "gemini"):
        say = got(talk(client, "anthropic", answer))
        assert (say.text, say.stop) == ("hello there", "end")


@fault(45)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_a_call_that_ends_with_stop(talk, client, how):
    """A call whose upstream said `stop` is a call."""
    say = {"items": [CALL], "stop": "end"}
    assert got(talk(client, "chat", both("chat", say, how), ask=TOOLS, how=how)).stop == "tool_use"


@fault(46)
@fault(47)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_web_search_tools(talk, upstream):
    """Messages' own web search does not break a request elsewhere: it is the upstream's own, or dropped with a warning."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}, {"name": "f", "input_schema": WEATHER}]
    exchange = talk("anthropic", upstream, DIALECTS[upstream].answer(TEXT), {"tools": tools})
    assert got(exchange).text == "hello there"
    assert b"web_search_20250305" not in exchange.requests[0].body
    assert exchange.warnings or upstream == "responses"


@fault(48)
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("upstream", ["chat", "anthropic", "gemini"])
def test_apply_patch_calls(talk, upstream, how):
    """A call of apply_patch comes back as the item that the client knows."""
    args = {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b"}
    say = {"items": [{"call": "call_p1", "name": "apply_patch", "args": args}], "stop": "tool_use"}
    whole = talk("responses", upstream, both(upstream, say, how), {"tools": [{"type": "apply_patch"}]}, how=how).whole()
    (item,) = [i for i in whole["output"] if i["type"] == "apply_patch_call"]
    assert item["operation"] == args and item["call_id"] == "call_p1"


@fault(49)
def test_results_are_strings_or_parts(talk):
    """function_call_output.output is a string, or parts that the API knows."""
    messages = [*HISTORY[:2], {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "more"}]},
                HISTORY[3]]
    outputs = [i["output"] for i in sent(talk("chat", "responses", responses.answer(TEXT), {"messages": messages}))["input"]
               if i.get("type") == "function_call_output"]
    assert outputs[1] == "two"
    assert outputs[0] == "one\nmore" or [p["type"] for p in outputs[0]] == ["input_text"] * 2


# ---------------------------------------------------------------- usage, counting


@fault(50)
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_message_start_counts_the_input(talk, upstream):
    """message_start has an estimate of the input where the upstream counts at its end."""
    first = next(e.json for e in talk("anthropic", upstream, DIALECTS[upstream].frames(TEXT)).events if e.data)
    assert first["message"]["usage"]["input_tokens"] > 0


CACHED = {**TEXT, "usage": {"in": 1210, "cached": 1000, "out": 50, "reasoning": 20}}


@fault(51)
@fault(52)
@fault(53)
@pytest.mark.parametrize(("client", "upstream"), OTHERS)
def test_cached_tokens_whole_and_streamed(talk, client, upstream):
    """Cached input is told alike in whole answers and streams."""
    usages = [got(talk(client, upstream, both(upstream, CACHED, how), how=how)).usage for how in HOWS]
    assert usages[0] == usages[1] and (usages[0]["in"], usages[0]["cached"]) == (1210, 1000)


@fault(54)
@fault(55)
@pytest.mark.parametrize("client", ORDER)
def test_a_stream_is_counted_once(gateway, upstream, client):
    """One request is one record, with input and output together, however often the upstream tells its usage."""
    frames = anthropic.frames({**TEXT, "usage": {"in": 321, "out": 45}})
    upstream.handler = lambda request, reply: reply.sse([*frames[:-1], frames[-2], frames[-1]])
    gate = gateway({"upstreams": [place("anthropic", upstream)]})
    path, body, headers = DIALECTS[client].request(ASK, "claude-sonnet-4-5", True)
    before = len(upstream.requests)
    assert gate.ask("POST", path, body, headers).status == 200 and len(upstream.requests) == before + 1
    gate.wait_log(r"event=request .*dialect=" + client)
    assert len(re.findall(r"event=request .*tokens=321/45", gate.log)) == 1, gate.log


@fault(56)
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_usage_of_a_relay(talk, client):
    """An upstream that is a relay itself: zeros at the start, numbers at the end."""
    frames = anthropic.frames({**TEXT, "usage": {"in": 321, "out": 45}})
    frames[0] = frames[0].replace('"input_tokens":321', '"input_tokens":0')
    usage = got(talk(client, "anthropic", frames)).usage
    assert (usage["in"], usage["out"]) == (321, 45)


@fault(57)
@fault(58)
@fault(59)
@fault(60)
def test_counting_for_upstreams_that_cannot(talk):
    """count_tokens answers for every upstream, with system and tools, nothing of our own, with ?beta=true too."""
    gate = talk("anthropic", "chat", chat.answer(TEXT)).pair.gate

    def count(query="", **more):
        body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "hi"}], **more}
        answer = gate.ask("POST", "/v1/messages/count_tokens" + query, body, {"anthropic-version": "2023-06-01"})
        assert answer.status == 200, answer
        return answer.json["input_tokens"]

    small = count()
    assert 1 <= small < 40
    assert count("?beta=true") == small
    assert count(system="word " * 200) > small + 100
    assert count(tools=[{"name": "f", "description": "word " * 200, "input_schema": WEATHER}]) > small + 100


# ---------------------------------------------------------------- state of Responses, its transports


def tell(upstream, text="an answer"):
    say = {"items": [{"text": text}], "stop": "end"}
    return lambda request, reply: reply.body(DIALECTS[upstream].answer(say))


@fault(61)
@fault(67)
@pytest.mark.parametrize("name", ["chat", "anthropic", "gemini"])
def test_previous_response_over_http(gateway, upstream, name):
    """previous_response_id goes on over plain HTTP on any upstream."""
    upstream.handler = tell(name)
    gate = gateway({"upstreams": [place(up=upstream, name="up", **DIALECTS[name].upstream(ASK)[0])]})
    first = gate.ask("POST", "/v1/responses", {"model": "m", "input": "one"}).json
    second = gate.ask("POST", "/v1/responses", {"model": "m", "input": "two", "previous_response_id": first["id"]})
    assert second.status == 200, second
    seen = DIALECTS[name].see(upstream.last.path, upstream.last.json)
    assert [i[2] for i in seen.items] == ["one", "an answer", "two"]


@fault(62)
def test_state_goes_back_to_its_key(gateway, upstream):
    """What an upstream holds is asked for with the key that made it."""
    ids = {}

    def run(request, reply):
        if request.method == "POST" and "previous_response_id" not in request.json:
            ids[f"resp_{len(ids):048x}"] = request.key
            return reply.body({**responses.answer(TEXT), "id": list(ids)[-1]})
        return reply.body({**responses.answer(TEXT), "id": "resp_" + "f" * 48})

    upstream.handler = run
    gate = gateway({"upstreams": [place("openai", upstream, keys=3, dialects=["responses"])]})
    made = [gate.ask("POST", "/v1/responses", {"model": "gpt-4.1", "input": "x"}).json["id"] for _ in range(3)]
    assert len(set(ids.values())) > 1, "the keys take no turns"
    for one in made + made[::-1]:
        assert gate.ask("POST", "/v1/responses", {"model": "gpt-4.1", "input": "y", "previous_response_id": one}).status == 200
        assert upstream.last.key == ids[one]


@fault(63)
def test_a_history_moves_with_the_request(gateway, upstreams):
    """When the place that answered is gone, another gets the whole conversation."""
    one, two = upstreams(2)
    one.handler, two.handler = tell("anthropic"), tell("chat", "another")
    gate = gateway({"upstreams": [place("anthropic", one, "one", priority=1), place("openai-compatible", two, "two", priority=2)]})
    first = gate.ask("POST", "/v1/responses", {"model": "m", "input": "one"}).json
    one.handler = lambda request, reply: reply.body(anthropic.error(529, "overloaded"), 529)
    got_ = gate.ask("POST", "/v1/responses", {"model": "m", "input": "two", "previous_response_id": first["id"]})
    assert got_.status == 200 and got_.json["output"][0]["content"][0]["text"] == "another"
    assert [m["content"] for m in two.last.json["messages"]] == ["one", "an answer", "two"]


@fault(64)
@fault(65)
def test_a_websocket_is_taken(gateway, upstream):
    """Codex dials a WebSocket first: it works, on an upstream that has none."""
    from websockets.sync.client import connect
    upstream.handler = lambda request, reply: reply.sse(chat.frames(TEXT))
    gate = gateway({"upstreams": [place("openai-compatible", upstream)]})
    with connect(f"ws://127.0.0.1:{gate.port}/v1/responses") as ws:
        ws.send(json.dumps({"type": "response.create", "model": "m", "input": "x"}))
        kinds = []
        while not kinds or kinds[-1] not in ("response.completed", "error", "response.failed"):
            kinds.append(json.loads(ws.recv(timeout=10))["type"])
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"


@fault(66)
@pytest.mark.parametrize("upstream", ORDER)
def test_every_event_names_its_type(talk, upstream):
    """Each event of a Responses stream has its type in the data."""
    for event in talk("responses", upstream, DIALECTS[upstream].frames({"items": [{"text": "a"}, CALL], "stop": "tool_use"}), ask=TOOLS).events:
        assert event.data is None or json.loads(event.data)["type"] == event.event


# ---------------------------------------------------------------- silence, leaving, errors in streams


SLOW = {"ping_interval": "1s"}


@fault(69)
@fault(70)
@fault(71)
@pytest.mark.parametrize("client", ORDER)
@pytest.mark.parametrize("name", ["chat", "anthropic"])
def test_silence_is_filled_between_events(gateway, upstream, client, name):
    """An upstream that thinks long in the middle of a frame: something is heard, and no event is torn."""
    frames = DIALECTS[name].frames({"items": [{"text": "before and after"}], "stop": "end"})
    half = frames[4]

    def run(request, reply):
        reply.sse([*frames[:4], half[:20]], finish=False)
        time.sleep(1.7)
        reply.chunk(half[20:])
        for frame in frames[5:]:
            reply.chunk(frame)
        reply.finish()

    upstream.handler = run
    gate = gateway({**SLOW, "upstreams": [place(up=upstream, name="up", **DIALECTS[name].upstream(ASK)[0])]})
    path, body, headers = DIALECTS[client].request(ASK, "m", True)
    with gate.client() as connection:
        connection.send(encode("POST", path, body, headers))
        assert connection.head().status == 200
        raw, times = b"", [time.monotonic()]
        for piece in connection.stream():
            raw += piece
            times.append(time.monotonic())
    assert max(b - a for a, b in zip(times, times[1:])) < 1.5, "more than a second of silence"
    if client == "gemini":
        from matrix.exchange import gemini_frames
        raw = gemini_frames(raw)
    assert DIALECTS[client].read(DIALECTS[client].assemble(parse_sse(raw), native=True)).text == "before and after"


@fault(72)
@fault(73)
@pytest.mark.parametrize("how", ["whole", "stream"])
@pytest.mark.parametrize(("client", "name"), OTHERS)
def test_who_leaves_is_noticed(gateway, upstream, client, name, how):
    """A client that leaves before the first byte cancels the upstream's request, streamed or not."""
    gone = []

    def run(request, reply):
        gone.append(reply.wait_gone(4))
        reply.keep = False

    upstream.handler = run
    gate = gateway({"upstreams": [place(up=upstream, name="up", **DIALECTS[name].upstream(ASK)[0])]})
    path, body, headers = DIALECTS[client].request(ASK, "m", how == "stream")
    connection = gate.client()
    connection.send(encode("POST", path, body, headers))
    upstream.wait(1)
    connection.close()
    end = time.monotonic() + 5
    while not gone and time.monotonic() < end:
        time.sleep(0.01)
    assert gone and gone[0] is not None and gone[0] < 1.2, gone


def broken_stream(gateway, upstream, client, name, frames, how="chunked"):
    upstream.handler = lambda request, reply: reply.sse(frames, how=how)
    gate = gateway({"upstreams": [place(up=upstream, name="up", **DIALECTS[name].upstream(ASK)[0])]})
    path, body, headers = DIALECTS[client].request(ASK, "m", True)
    return gate, Exchange(pair_of(gate, upstream), client, name, "stream", (path, body, headers))


@fault(74)
@pytest.mark.parametrize(("client", "name"), OTHERS)
def test_an_error_in_a_stream_is_no_success(gateway, upstream, client, name):
    """An error event in the middle is told to the client, and logged as what it is."""
    frames = DIALECTS[name].frames(TEXT, end=False)
    frames += DIALECTS[name].error_frames(503, "overloaded", number=len(frames))
    gate, exchange = broken_stream(gateway, upstream, client, name, frames)
    with pytest.raises(StreamError):
        exchange.whole(complete=False)
    gate.wait_log(r"event=request .*outcome=(?!served)")


@fault(75)
@fault(76)
@pytest.mark.parametrize(("client", "name"), OTHERS)
def test_a_cut_stream_is_no_end(gateway, upstream, client, name):
    """A stream that just stops is an error of the client's dialect, never end_turn."""
    _, exchange = broken_stream(gateway, upstream, client, name, DIALECTS[name].frames(TEXT, end=False), how="close")
    with pytest.raises(StreamError) as told:
        exchange.whole(complete=False)
    assert told.value.so_far == "hello there"


@fault(77)
@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_a_stream_that_ends_without_its_last_word(gateway, upstream, client):
    """finish_reason without [DONE] and without usage is a good end."""
    frames = [f for f in chat.frames(TEXT) if "[DONE]" not in f and '"choices":[]' not in f]
    _, exchange = broken_stream(gateway, upstream, client, "chat", frames, how="close")
    say = exchange.client.read(exchange.whole())
    assert (say.text, say.stop) == ("hello there", "end")


@fault(77)
@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
def test_a_messages_stream_without_message_stop(gateway, upstream, client):
    """message_delta with a stop reason, and no message_stop, is a good end."""
    _, exchange = broken_stream(gateway, upstream, client, "anthropic", anthropic.frames(TEXT)[:-1], how="close")
    say = exchange.client.read(exchange.whole())
    assert (say.text, say.stop) == ("hello there", "end")


@fault(78)
@pytest.mark.parametrize("client", ORDER)
def test_the_callers_faults_do_not_cost_the_key(gateway, upstream, client):
    """After bad requests of the caller the only key still serves."""
    upstream.handler = lambda request, reply: reply.body(chat.error(400, "bad"), 400)
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=1)]})
    path, body, headers = DIALECTS[client].request(ASK, "m", False)
    for _ in range(5):
        assert gate.ask("POST", path, body, headers).status == 400
    upstream.handler = lambda request, reply: reply.body(chat.answer(TEXT))
    assert gate.ask("POST", path, body, headers).status == 200


@fault(79)
@fault(82)
def test_a_limit_of_the_place_does_not_burn_the_pool(gateway, upstream):
    """Thirty keys that are all refused with 429: one request asks at most eight times, and none twice."""
    upstream.handler = lambda request, reply: reply.body(chat.error(429, "slow down"), 429)
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=30)]})
    assert gate.chat({"model": "m", "messages": [{"role": "user", "content": "x"}]}).status == 429
    asked = [r.key for r in upstream.requests if r.method == "POST"]
    assert len(asked) == len(set(asked)) <= 8


@fault(98)
@pytest.mark.parametrize(("client", "upstream"), [(c, u) for c, u in OTHERS if u != "anthropic" and c != "anthropic"])
def test_no_limit_that_nobody_set(talk, client, upstream):
    """No limit of tokens is sent where the caller set none and the dialect wants none."""
    assert talk(client, upstream, DIALECTS[upstream].answer(TEXT)).seen().max is None


@fault(101)
@fault(103)
def test_a_key_in_the_query_is_seen_nowhere(gateway, upstream, secret):
    """Gemini's ?key= is in no log, no upstream's URL and no error."""
    mine = secret("query")
    upstream.handler = lambda request, reply: reply.body(gemini.error(429, f"quota of {mine} is spent"), 429)
    gate = gateway({"log": {"level": "debug", "access": True}, "upstreams": [place("gemini", upstream, keys=0)]})
    path, body, _ = gemini.request(ASK, "gemini-2.5-flash", False)
    answer = gate.ask("POST", f"{path}?key={mine}", body)
    assert answer.status == 429 and mine not in answer.text and mine not in gate.log
    assert mine not in upstream.last.path and upstream.last.header("x-goog-api-key") == mine


def test_the_grammar_checks_are_strict():
    """The readers of this file refuse what they should."""
    torn = parse_sse(("".join(anthropic.frames(TEXT)[:-1])).encode())
    with pytest.raises(AssertionError):
        canon.check_claude_grammar(torn)
    with pytest.raises(AssertionError):
        responses.assemble(parse_sse("".join(responses.frames(TEXT)[1:]).encode()))
