"""A real server as the upstream, in both of its dialects, natively and translated. Numbers are those of upstream/README.md."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Gateway, HttpError, key
from llama_support import REPLY, SECRET, THOUGHT, Llama, config, gates, servers  # noqa: F401

DIALECTS = ["chat", "anthropic"]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
           "required": ["city", "days"]}
ARGUMENTS = {"city": "value", "days": 4}


@pytest.fixture(params=[(c, u) for c in DIALECTS for u in [*DIALECTS, "responses"]], ids=lambda p: f"{p[0]}-client-{p[1]}-upstream")
def pair(request, gates):
    """Every pair of dialects, clients of Responses left out."""
    return Pair(*request.param, gates)


class Pair:
    def __init__(self, client, upstream, gates):
        self.client, self.upstream, self.gates = client, upstream, gates

    @property
    def native(self):
        return self.client == self.upstream

    def body(self, prompt="hi", **more):
        got = {"model": "some-model", "temperature": 0, "messages": [{"role": "user", "content": prompt}], **more}
        if self.client == "anthropic":
            got.setdefault("max_tokens", 200)
        return got

    def tools(self):
        if self.client == "chat":
            return [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": WEATHER}}]
        return [{"name": "weather", "description": "d", "input_schema": WEATHER}]

    def ask(self, model="tiny-chat", prompt="hi", **more):
        return self.gates(self.upstream, model).post(self.client, self.body(prompt, **more))

    def good(self, *args, **more):
        got = self.ask(*args, **more)
        assert got.status == 200 and got.complete, got
        return Said(self.client, got)


class Said:
    """What an answer says, whole or streamed, in either dialect."""

    def __init__(self, dialect, answer):
        self.answer, self.text, self.thinking, self.calls, self.usage = answer, "", "", [], None
        self.stop = None
        streamed = (answer.header("content-type") or "").startswith("text/event-stream")
        getattr(self, dialect + ("_stream" if streamed else ""))()

    def chat(self):
        got = self.answer.json
        choice = got["choices"][0]
        self.id, self.model, self.stop, self.usage = got["id"], got["model"], choice["finish_reason"], got["usage"]
        message = choice["message"]
        self.text, self.thinking = message["content"] or "", message.get("reasoning_content") or ""
        self.calls = [(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or []]

    def chat_stream(self):
        *events, last = self.answer.events
        assert last.data == "[DONE]"
        calls = {}
        for e in (e.json for e in events if e.data):
            self.id, self.model, self.usage = e["id"], e["model"], e.get("usage") or self.usage
            for choice in e["choices"]:
                delta = choice["delta"]
                self.text += delta.get("content") or ""
                self.thinking += delta.get("reasoning_content") or ""
                self.stop = choice["finish_reason"] or self.stop
                for c in delta.get("tool_calls") or []:
                    call = calls.setdefault(c["index"], ["", ""])
                    call[0] += c["function"].get("name") or ""
                    call[1] += c["function"].get("arguments") or ""
        self.calls = [tuple(c) for c in calls.values()]

    def anthropic(self):
        got = self.answer.json
        self.id, self.model, self.stop, self.usage = got["id"], got["model"], got["stop_reason"], got["usage"]
        self.stop_sequence = got["stop_sequence"]
        for block in got["content"]:
            if block["type"] == "tool_use":
                self.calls.append((block["name"], json.dumps(block["input"])))
            self.text += block.get("text", "")
            self.thinking += block.get("thinking", "")

    def anthropic_stream(self):
        blocks = {}
        self.blocks, self.order = blocks, []
        events = self.answer.events
        assert events[0].event == "message_start" and events[-1].event == "message_stop"
        for e in (e.json for e in events if e.data):
            if e["type"] == "message_start":
                self.id, self.model, self.usage = e["message"]["id"], e["message"]["model"], e["message"]["usage"]
            elif e["type"] == "content_block_start":
                blocks[e["index"]] = {**e["content_block"], "json": "", "signature": ""}
            elif e["type"] == "content_block_delta":
                d, block = e["delta"], blocks[e["index"]]
                self.order.append(e["index"])
                self.text += d.get("text", "")
                self.thinking += d.get("thinking", "")
                block["json"] += d.get("partial_json", "")
                block["signature"] += d.get("signature", "")
            elif e["type"] == "message_delta":
                self.stop, self.stop_sequence = e["delta"]["stop_reason"], e["delta"]["stop_sequence"]
                self.usage = {**self.usage, **{k: v for k, v in e["usage"].items() if v is not None}}
        self.calls = [(b["name"], b["json"]) for b in blocks.values() if b["type"] == "tool_use"]

    @property
    def input_total(self):
        u = self.usage
        if "prompt_tokens" in u:
            return u["prompt_tokens"]
        return u["input_tokens"] + (u.get("cache_read_input_tokens") or 0) + (u.get("cache_creation_input_tokens") or 0)


END = {"chat": "stop", "anthropic": "end_turn"}
TOOL = {"chat": "tool_calls", "anthropic": "tool_use"}


def stream_options(pair, streamed):
    if not streamed:
        return {}
    return {"stream": True, **({"stream_options": {"include_usage": True}} if pair.client == "chat" else {})}


@pytest.mark.parametrize("streamed", [False, True])
def test_text(pair, streamed):
    said = pair.good(**stream_options(pair, streamed))
    assert said.text == REPLY and said.stop == END[pair.client]
    assert said.input_total == 10
    assert said.usage.get("completion_tokens", said.usage.get("output_tokens")) == 10


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_and_its_result(pair, streamed):
    how = {"tools": pair.tools(), **stream_options(pair, streamed)}
    first = pair.good(**how)
    assert [(n, json.loads(a)) for n, a in first.calls] == [("weather", ARGUMENTS)]
    assert first.stop == TOOL[pair.client]
    if pair.client == "chat":
        call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(ARGUMENTS)}}
        turns = [{"role": "assistant", "content": None, "tool_calls": [call]},
                 {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}]
    else:
        turns = [{"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": ARGUMENTS}]},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}]}]
    second = pair.good(messages=[{"role": "user", "content": "hi"}, *turns], **how)
    assert second.text == REPLY and not second.calls


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking(pair, streamed):
    said = pair.good("tiny-think", **stream_options(pair, streamed))
    assert said.text == REPLY and said.thinking.strip() == THOUGHT


def test_structured_output(pair):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    if pair.client == "chat":
        how = {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}}
    else:
        how = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    direct_format = pair.upstream == "chat"  # its Messages endpoint knows no output_config
    said = pair.good(**how)
    if direct_format:
        assert set(json.loads(said.text)) == {"city"}


def test_01_connections_that_die_after_a_stream(pair):
    """A stream, then a whole answer, again and again: the closed connection must never be seen."""
    def one(i):
        return pair.good(**stream_options(pair, i % 2 == 0)).text

    assert [one(i) for i in range(30)] == [REPLY] * 30
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(80))) == [REPLY] * 80


def test_02_errors_are_in_the_clients_shape(pair):
    got = pair.ask(prompt="one two " * 9000)
    assert got.status == 400
    check_shape(pair.client, got)


def check_shape(client, got):
    body = got.json
    if client == "anthropic":
        assert body["type"] == "error" and isinstance(body["error"]["type"], str) and body["error"]["message"]
    else:
        assert "type" not in body
        error = body["error"]
        assert isinstance(error["message"], str) and isinstance(error["type"], str)


def test_02_no_max_tokens(gates):
    body = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": "hi"}]}
    got = gates("anthropic").messages(body)
    assert got.status == 200 and got.json["content"][0]["text"] == REPLY, "native: the upstream decides"


def test_02_no_messages(pair):
    body = pair.body()
    del body["messages"]
    got = pair.gates(pair.upstream).post(pair.client, body)
    assert got.status in ((400, 500, 502) if pair.native else (400,)), got
    check_shape(pair.client, got)


@pytest.mark.parametrize("streamed", [False, True])
def test_03_stop_sequence(pair, streamed):
    how = {"stop": [" tiny"]} if pair.client == "chat" else {"stop_sequences": [" tiny"]}
    said = pair.good(**how, **stream_options(pair, streamed))
    assert said.text == "Hello! I am a"
    if pair.client == "chat":
        assert said.stop == "stop"
    elif pair.native:
        assert (said.stop, said.stop_sequence) == ("end_turn", " tiny"), "native: as the upstream says it"
    else:
        assert (said.stop, said.stop_sequence) in [("end_turn", None), ("stop_sequence", " tiny")]


def test_03_ids(pair):
    said = pair.good()
    assert said.id.startswith("chatcmpl-" if pair.native or pair.client == "chat" else "msg_")


def test_04_interleaved_blocks(pair):
    said = pair.good("tiny-think", tools=pair.tools(), **stream_options(pair, True))
    assert said.thinking.strip() == THOUGHT
    assert [(n, json.loads(a)) for n, a in said.calls] == [("weather", ARGUMENTS)]
    assert said.stop == TOOL[pair.client]
    if pair.client == "anthropic" and not pair.native:
        assert said.order == sorted(said.order), "one block at a time"
        assert all(b["signature"] for b in said.blocks.values() if b["type"] == "thinking")


def test_05_cached_tokens(pair):
    prompt = "The weather in the city is sunny and the wind is from the west."
    first, second = pair.good(prompt=prompt), pair.good(prompt=prompt)
    assert first.input_total == second.input_total > 10
    if pair.client == "chat":
        assert second.usage["prompt_tokens_details"]["cached_tokens"] > 0 or pair.native
    else:
        assert second.usage["input_tokens"] < second.input_total or pair.native


def test_07_two_choices(gates):
    body = {"model": "m", "n": 2, "temperature": 1, "seed": 3, "messages": [{"role": "user", "content": "hi"}]}
    got = gates("chat").chat(body)
    assert got.status == 200 and len(got.json["choices"]) == 2
    refused = gates("anthropic").chat(body)
    assert refused.status == 400 and refused.error == "lossy_translation", refused
    assert refused.json["error"]["param"] == "n"


def test_08_tool_choice_none(pair):
    choice = "none" if pair.client == "chat" else {"type": "none"}
    said = pair.good(tools=pair.tools(), tool_choice=choice)
    if pair.upstream == "chat":
        assert not said.calls and said.stop == END[pair.client]
    else:  # it calls all the same; what it does is told as it is
        assert said.stop == (TOOL if said.calls else END)[pair.client]


def test_09_the_answers_model(pair):
    said = pair.good()
    assert said.answer.header("x-anyrouter-model") == "some-model"
    assert said.model == ("tiny-chat" if pair.native else "some-model")
    assert said.answer.header("x-anyrouter-upstream") == "llama"


def test_10_context_overflow(pair):
    got = pair.ask(prompt="one two " * 9000)
    assert got.status == 400
    if pair.client == "anthropic":  # natively as well: the upstream's own error is not of this dialect
        assert "prompt is too long" in got.json["error"]["message"]
    elif pair.native:
        assert got.json["error"]["message"].startswith("request (")
    else:
        assert got.json["error"]["code"] == "context_length_exceeded"


def test_10_image_for_a_text_model(pair):
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"
    if pair.client == "chat":
        part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + png}}
    else:
        part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}}
    with Gateway(config(pair.gates.servers["tiny-chat"].url, pair.upstream)) as gate:
        got = gate.post(pair.client, pair.body(messages=[{"role": "user", "content": [part]}]))
    assert got.status in (500, 502), got
    check_shape(pair.client, got)
    assert "image input is not supported" in got.text


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("client", DIALECTS)
def test_11_bad_key(servers, client, upstream):
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with Gateway(config(servers["tiny-chat"].url, upstream, keys=[key("wrong")])) as gate:
        got = gate.post(client, body)
        assert got.status == 502 and got.error == "upstream_credentials_rejected", got
    with Gateway(config(servers["tiny-chat"].url, upstream, keys=[], passthrough=True)) as gate:
        for header in ({"authorization": f"Bearer {SECRET}"}, {"x-api-key": SECRET}):
            assert gate.post(client, body, header).status == 200
        got = gate.post(client, body, {"authorization": f"Bearer {key('wrong')}"})
        assert got.status == 401, got
        check_shape(client, got)


def test_11_arguments_by_the_character(pair):
    said = pair.good(tools=pair.tools(), **stream_options(pair, True))
    assert [(n, json.loads(a)) for n, a in said.calls] == [("weather", ARGUMENTS)]
    pieces = [e for e in said.answer.events if "partial_json" in (e.data or "") or '"arguments"' in (e.data or "")]
    assert len(pieces) > 10, "streamed, not collected"


def wait_for_slots(server, busy, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (server.busy_slots({"authorization": f"Bearer {SECRET}"}) > 0) == busy:
            return True
        time.sleep(0.02)
    return False


def begin_forever(gate, client):
    """A stream that does not end by itself, after its first pieces: the open connection."""
    body = {"model": "m", "temperature": 0, "max_tokens": 4000, "stream": True,
            "messages": [{"role": "user", "content": "Go on forever"}]}
    path = "/v1/chat/completions" if client == "chat" else "/v1/messages"
    data = json.dumps(body).encode()
    connection = gate.client()
    connection.send(f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(data)}\r\n\r\n".encode() + data)
    assert connection.head().status == 200
    pieces = connection.stream()
    for _ in range(5):
        next(pieces)
    return connection, pieces


def test_12_client_gone(pair, servers):
    server = servers["tiny-chat"]
    assert wait_for_slots(server, False, 5)
    connection, _ = begin_forever(pair.gates(pair.upstream), pair.client)
    assert wait_for_slots(server, True, 1)
    connection.close()
    left = time.monotonic()
    assert wait_for_slots(server, False, 3), "the upstream went on after the client had left"
    assert time.monotonic() - left < 1.0


@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("client", DIALECTS)
def test_12_upstream_killed(client, upstream):
    with Llama("tiny-chat", ["--api-key", SECRET, "-n", "100000"]) as server, Gateway(config(server.url, upstream)) as gate:
        connection, pieces = begin_forever(gate, client)
        server.kill()
        rest = b""
        try:
            for piece in pieces:
                rest += piece
        except (HttpError, ConnectionError):
            pass  # cut, so that nobody can take it for the end
        assert b'"error"' in rest, f"no error event: {rest[-300:]!r}"
        assert b"[DONE]" not in rest and b"message_stop" not in rest
        connection.close()
        again = gate.post(client, {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
        assert again.status in (502, 503, 529), again
        check_shape(client, again)


def test_13_fields_of_its_own(pair):
    got = pair.good().answer
    assert ("timings" in got.text) == (pair.native and pair.client == "chat")
    if not pair.native:
        assert "system_fingerprint" not in got.text
    assert got.header("access-control-allow-origin") != ""


@pytest.mark.parametrize("upstream", DIALECTS)
def test_13_models(gates, upstream):
    gate = gates(upstream)
    openai = gate.get("/v1/models")
    assert openai.status == 200 and set(openai.json) == {"object", "data"}
    assert "tiny-chat" in [m["id"] for m in openai.json["data"]]
    claude = gate.get("/v1/models", {"anthropic-version": "2023-06-01"})
    assert claude.status == 200 and {"data", "has_more", "first_id", "last_id"} <= set(claude.json)
    assert "tiny-chat" in [m["id"] for m in claude.json["data"]]
    assert gate.get("/v1/models/tiny-chat").json["id"] == "tiny-chat"


@pytest.mark.parametrize("upstream", DIALECTS)
def test_count_tokens(gates, servers, upstream):
    def count(words):
        body = {"model": "m", "messages": [{"role": "user", "content": "the weather " * words}]}
        got = gates(upstream).messages(body, path="/v1/messages/count_tokens")
        assert got.status == 200, got
        direct = servers["tiny-chat"].call("POST", "/v1/messages/count_tokens", body, {"x-api-key": SECRET})[1]
        return got, got.json["input_tokens"], direct["input_tokens"]

    short, few, few_direct = count(2)
    _, many, many_direct = count(200)
    if upstream == "anthropic":
        assert (few, many) == (few_direct, many_direct)
        assert not short.warnings
    else:
        assert 1 <= few < many
        assert "approximated:input_tokens" in short.warnings
