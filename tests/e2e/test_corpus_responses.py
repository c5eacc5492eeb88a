"""Every recorded exchange of Responses through the gateway: natively, and its answers to clients of other dialects."""

import json

import pytest

from corpus import SHARED, load, responses
from harness import Gateway, Upstream, canon, key, wire
from harness.stand import base, place

EXCHANGES = load({"openai.responses": "responses"})
if not EXCHANGES:
    pytest.skip(f"no corpus at {SHARED}", allow_module_level=True)

GOOD = [e for e in EXCHANGES if e.status == 200]
FAILED = [e for e in EXCHANGES if e.status != 200]
CLIENTS = {"chat": (canon.chat_answer, canon.chat_stream), "anthropic": (canon.claude_answer, canon.claude_stream)}
# vendor's tools and state that nobody else has: a request with them is refused by name (6.3, 6.10)
BOUND = {"previous_response_id", "conversation", "prompt", "tools", "tool_choice", "input", "background", "file_id", "n"}


def each(exchanges):
    return pytest.mark.parametrize("exchange", exchanges, ids=[e.id for e in exchanges])


class Place:
    def __init__(self, keys=1, provider="openai", dialect="responses"):
        self.up = Upstream()
        self.gate = Gateway({**base(), "upstreams": [place(provider, self.up, keys=keys, dialects=[dialect])]}).start()

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()

    def send(self, dialect, body, handler, headers=None):
        self.up.clear()
        self.up.handler = handler
        if dialect == "responses":
            return self.gate.ask("POST", "/v1/responses", body, headers)
        return self.gate.post(dialect, body, headers)


@pytest.fixture(scope="module")
def long_lived():
    one = Place()
    yield one
    one.stop()


@pytest.fixture
def fresh():
    """One for an exchange that fails: nothing may stay rested for the next."""
    made = []

    def get(keys):
        made.append(Place(keys))
        return made[-1]

    yield get
    for one in made:
        one.stop()


def is_refused_key(exchange):
    return exchange.status in (401, 402, 403) or b"insufficient_quota" in exchange.answer_bytes()


def asked(exchange):
    if exchange.body is None:
        return {"model": "asked-model", "input": "go on", "stream": exchange.sse is not None}
    return exchange.request()


# ---------------------------------------------------------------- native


@each(GOOD)
def test_native(exchange, long_lived, fresh):
    want = responses.read(exchange)
    if want.error or want.unfinished:
        # 8.8: nothing was shown yet, so the failure is the gateway's to tell
        got = fresh(1).send("responses", asked(exchange), exchange.play)
        assert got.status in (429, 502) and got.json["error"]["message"], got
        return
    raw = json.dumps(asked(exchange), ensure_ascii=False).encode()
    # state of an account that the gateway never saw is a matter of callers with keys of their own
    own = b'"item_reference"' in raw or bool(asked(exchange).get("previous_response_id"))
    one = fresh(0) if own else long_lived
    headers = {"authorization": f"Bearer {key('mine')}"} if own else {}
    got = one.send("responses", raw, exchange.play, headers)
    assert one.up.requests, got
    assert one.up.requests[0].path == "/v1/responses"
    assert one.up.requests[0].body == raw, "the body was changed on its way"
    assert got.status == 200, got
    assert got.body == exchange.answer_bytes(), "the answer was changed on its way"
    assert got.complete, got


@each(FAILED)
def test_native_error(exchange, fresh):
    """9.2: a caller's own key shows the upstream's answer as it is, an operator's hides a refused key."""
    own = is_refused_key(exchange)
    one = fresh(0 if own else 1)
    headers = {"authorization": f"Bearer {key('mine')}"} if own else {}
    got = one.send("responses", asked(exchange), exchange.play, headers)
    assert got.status == exchange.status, got
    assert got.body == exchange.answer_bytes(), "the answer was changed on its way"
    if own:
        hidden = fresh(1).send("responses", asked(exchange), exchange.play)
        assert (hidden.status, hidden.error) == (502, "upstream_credentials_rejected"), hidden


# ---------------------------------------------------------------- answers for other clients


def received(client, got, stream):
    whole, streamed = CLIENTS[client]
    if not stream:
        return whole(got.json)
    if client == "chat":
        canon.check_chat_grammar(got.events, include_usage=True)
    else:
        canon.check_claude_grammar(got.events)
    return streamed(got.events)


def compare(want, have, client):
    """Nothing of the recorded answer may be lost, but by rule."""
    refused = want.refusal if client == "anthropic" else ""
    assert have.text == want.text + refused
    assert have.thinking.replace("\n", "") == want.thinking.replace("\n", "")
    assert [c[0] for c in have.calls] == [c[0] for c in want.calls]
    for mine, theirs in zip(have.calls, want.calls, strict=True):
        assert canon._object(mine[1]) == canon._object(theirs[1]), (mine, theirs)
    assert len(have.opaque) >= len(want.opaque), "material that the client must send back is lost"
    table = canon.TO_STOP_REASON if client == "anthropic" else canon.TO_FINISH
    if client == "chat" and want.stop == "refusal":
        assert have.refusal == want.refusal, have
    else:
        assert table[have.stop] == table[want.stop], (have.stop, want.stop)
    there = {c.get("url") or c.get("url_citation", {}).get("url") for c in have.citations}
    assert there == {c["url"] for c in want.citations if c["type"] == "url_citation"}
    assert have.usage and all(isinstance(v, int) and v >= 0 for v in have.usage.values() if v is not None), have.usage
    if want.usage:
        both = set(want.usage) & set(have.usage)
        assert {k: have.usage[k] for k in both} == {k: want.usage[k] for k in both}


@each(GOOD)
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_translated_answer(exchange, client, long_lived, fresh):
    stream = exchange.sse is not None
    want = responses.read(exchange)
    if want.error or want.unfinished:
        got = fresh(1).send(client, exchange.plain(client), exchange.play)
        assert got.status in (429, 502) and got.json["error"]["message"], got
        return
    got = long_lived.send(client, exchange.plain(client), exchange.play)
    assert got.status == 200 and got.complete, got
    seen = long_lived.up.last.json
    assert seen["store"] is False and seen["include"] == ["reasoning.encrypted_content"], seen
    have = received(client, got, stream)
    assert have.ended and not have.error, have
    compare(want, have, client)


@each(FAILED)
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_translated_error(exchange, client, fresh):
    """The recorded error in the client's own envelope, with an honest status."""
    got = fresh(1).send(client, exchange.plain(client, stream=exchange.stream), exchange.play)
    error = got.json["error"]
    if is_refused_key(exchange):
        assert (got.status, got.error) == (502, "upstream_credentials_rejected"), got
        return
    assert got.status == exchange.status, got
    inner = exchange.answer.get("error") or exchange.answer
    assert (inner.get("message") or "")[:60] in error["message"], (inner, error)


# ---------------------------------------------------------------- requests to other upstreams


def texts(value):
    """Every text that a recorded request says."""
    if isinstance(value, str):
        return [value]
    out = []
    for item in value or []:
        if item.get("type", "message") == "message":
            content = item["content"]
            out += [content] if isinstance(content, str) else [p["text"] for p in content if p.get("text")]
        elif item["type"] in ("function_call_output", "custom_tool_call_output") and isinstance(item["output"], str):
            out.append(item["output"])
    return [t for t in out if t.strip()]


def strings(value):
    """Every string in a JSON value, joined."""
    if isinstance(value, str):
        return value + "\n"
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "".join(strings(v) for v in inner)


@pytest.fixture(scope="module")
def others():
    made = {"chat": Place(provider="openai", dialect="chat"), "anthropic": Place(provider="anthropic", dialect="anthropic")}
    yield made
    for one in made.values():
        one.stop()


@each([e for e in EXCHANGES if e.body is not None])
@pytest.mark.parametrize("upstream", sorted(CLIENTS))
def test_translated_request(exchange, upstream, others):
    one = others[upstream]
    body = exchange.request("gpt-5" if upstream == "chat" else "claude-sonnet-4-5")
    body.pop("background", None)  # the gateway would run it by itself, and answer at once
    got = one.send("responses", body, wire.both(upstream))
    if got.status in (400, 404):
        assert not one.up.requests, got
        named = got.json["error"]["param"] or got.json["error"]["message"]
        assert any(b in named for b in BOUND), got
        return
    assert got.status == 200, got
    (seen,) = one.up.requests
    said = strings(seen.json)
    for text in texts(body.get("input")) + texts(body.get("instructions") or ""):
        assert text.strip() in said, f"{text[:80]!r} did not arrive"
    again = one.send("responses", body, wire.both(upstream))
    assert again.status == 200 and one.up.last.body == seen.body, "twice the same request, two bodies"
