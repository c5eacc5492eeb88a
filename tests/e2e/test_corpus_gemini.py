"""Every recorded exchange of Gemini through the gateway: natively, its requests to other places, its answers to others."""

import json
import re

import pytest

from corpus import SHARED, gemini, load
from harness import Gateway, Upstream, canon, key, wire
from harness.stand import base, place

EXCHANGES = load({"gemini.generate": "gemini"})
if not EXCHANGES:
    pytest.skip(f"no corpus at {SHARED}", allow_module_level=True)

GOOD = [e for e in EXCHANGES if e.status == 200]
FAILED = [e for e in EXCHANGES if e.status != 200]
CLIENTS = {"chat": (canon.chat_answer, canon.chat_stream), "anthropic": (canon.claude_answer, canon.claude_stream)}
# what nobody else has: a request with it is refused by name (6.2, 6.3, 6.9)
BOUND = ("cachedContent", "responseModalities", "tools", "file", "video", "audio", "image", "input_audio", "candidateCount",
         "safetySettings", "toolConfig", "tool_choice", "messages", "generationConfig")


def each(exchanges):
    return pytest.mark.parametrize("exchange", exchanges, ids=[e.id for e in exchanges])


class Place:
    def __init__(self, keys=1, provider="gemini-compatible", dialect=None):
        self.up = Upstream()
        more = {"dialects": [dialect]} if dialect else {}
        self.gate = Gateway({**base(), "upstreams": [place(provider, self.up, keys=keys, **more)]}).start()

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()

    def send(self, dialect, body, handler, headers=None, stream=None):
        self.up.clear()
        self.up.handler = handler
        if dialect == "gemini":
            verb = {None: "generateContent", "sse": "streamGenerateContent?alt=sse",
                    "array": "streamGenerateContent"}[stream]
            return self.gate.ask("POST", f"/v1beta/models/gemini-asked:{verb}", body, headers)
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

    def get(keys=1):
        made.append(Place(keys))
        return made[-1]

    yield get
    for one in made:
        one.stop()


def is_array(exchange):
    return isinstance(exchange.answer, list)


def play(exchange):
    """The upstream is always asked for events: arrays are played as such."""
    if not is_array(exchange):
        return exchange.play
    body = "".join(f"data: {json.dumps(c)}\r\n\r\n" for c in exchange.answer).encode()
    return lambda request, reply: reply.sse(body, exchange.status)


def asked(exchange):
    return exchange.body or {"contents": [{"role": "user", "parts": [{"text": "go on"}]}]}


def form(exchange):
    return "array" if is_array(exchange) else "sse" if exchange.sse is not None else None


def is_refused_key(exchange):
    return exchange.status in (401, 402, 403) or b"API_KEY_INVALID" in exchange.answer_bytes()


# ---------------------------------------------------------------- native


@each(GOOD)
def test_native(exchange, long_lived):
    raw = json.dumps(asked(exchange), ensure_ascii=False).encode()
    got = long_lived.send("gemini", raw, play(exchange), stream=form(exchange))
    (seen,) = long_lived.up.requests
    assert seen.path.split("?")[0].endswith(":streamGenerateContent" if form(exchange) else ":generateContent"), seen.path
    assert seen.body == raw, "the body was changed on its way"
    assert got.status == 200 and got.complete, got
    if is_array(exchange):
        assert got.json == exchange.answer
    else:
        assert got.body == exchange.answer_bytes(), "the answer was changed on its way"


@each(FAILED)
def test_native_error(exchange, fresh):
    """9.2: a caller's own key shows the upstream's answer as it is, an operator's hides a refused key."""
    own = is_refused_key(exchange)
    one = fresh(0 if own else 1)
    headers = {"x-goog-api-key": key("mine")} if own else {}
    got = one.send("gemini", asked(exchange), exchange.play, headers, "sse" if exchange.stream else None)
    if exchange.status == 429:
        assert got.status == 429 and int(got.header("retry-after")) >= 1, got
        assert got.json["error"]["status"] == "RESOURCE_EXHAUSTED", got
    else:
        assert got.status == exchange.status, got
        assert got.json["error"]["message"] == exchange.answer["error"]["message"], got
    if own:
        hidden = fresh(1).send("gemini", asked(exchange), exchange.play, None, "sse" if exchange.stream else None)
        assert (hidden.status, hidden.error) == (502, "upstream_credentials_rejected"), hidden


# ---------------------------------------------------------------- counting


COUNTS = load({"gemini.count_tokens": "gemini"})


@pytest.mark.p("P-195")
@each(COUNTS)
def test_counting(exchange, fresh):
    """Natively byte for byte; for a client of Messages the number alone."""
    raw = json.dumps(exchange.body, ensure_ascii=False).encode()
    one = fresh()
    one.up.handler = exchange.play
    got = one.gate.ask("POST", "/v1beta/models/gemini-asked:countTokens", raw)
    assert one.up.last.path == "/v1beta/models/gemini-asked:countTokens" and one.up.last.body == raw
    assert got.status == 200, got
    if exchange.status != 200:  # 10.1: a place that cannot count leaves an estimate
        assert got.json["totalTokens"] >= 1 and "approximated:input_tokens" in got.warnings, got
        return
    assert got.body == exchange.answer_bytes()
    body = {"model": "gemini-asked", "messages": [{"role": "user", "content": "go"}]}
    got = one.gate.messages(body, None, "/v1/messages/count_tokens")
    assert got.json == {"input_tokens": exchange.answer["totalTokens"]}, got


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
    assert have.text == want.text
    assert have.thinking.replace("\n", "") == want.thinking.replace("\n", "")
    assert [c[0] for c in have.calls] == [c[0] for c in want.calls]
    for mine, theirs in zip(have.calls, want.calls, strict=True):
        assert canon._object(mine[1]) == canon._object(theirs[1]), (mine, theirs)
    table = canon.TO_STOP_REASON if client == "anthropic" else canon.TO_FINISH
    if client == "chat" and want.stop == "refusal":
        assert have.stop in ("end", "refusal", "content_filter"), have
    elif want.stop == "other" and want.calls:  # 7.2: a call nobody declared, then malformed_tool
        assert have.stop in ("end", "tool_use"), have.stop
    else:
        assert table[have.stop] == table[want.stop], (have.stop, want.stop)
    sources = want.grounding.get("groundingChunks", [])
    supports = want.grounding.get("groundingSupports", [])
    used = {i for s in supports for i in s.get("groundingChunkIndices", [])} if supports else range(len(sources))
    urls = {sources[i]["web"]["uri"] for i in used if "web" in sources[i]}
    there = {c.get("url") or c.get("url_citation", {}).get("url") for c in have.citations}
    assert there == (urls if want.text else set()), (there, urls)
    assert have.usage and all(isinstance(v, int) and v >= 0 for v in have.usage.values() if v is not None), have.usage
    if want.usage:
        both = set(want.usage) & set(have.usage)
        assert {k: have.usage[k] for k in both} == {k: want.usage[k] for k in both}


@each(GOOD)
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_translated_answer(exchange, client, long_lived):
    stream = form(exchange) is not None
    want = gemini.read(exchange)
    assert not want.error and not want.unfinished, want
    got = long_lived.send(client, exchange.plain(client, stream=stream), play(exchange))
    assert got.status == 200 and got.complete, got
    assert long_lived.up.last.json["contents"], long_lived.up.last.json
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
    assert exchange.answer["error"]["message"][:60] in error["message"], (exchange.answer, error)
    if exchange.status == 429:
        assert int(got.header("retry-after")) >= 1, got


# ---------------------------------------------------------------- requests to other upstreams


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
    got = one.send("gemini", exchange.body, wire.both(upstream), stream="sse" if exchange.stream else None)
    if got.status == 400:
        assert not one.up.requests, got
        message = got.json["error"]["message"]
        assert any(b in message for b in BOUND), message
        return
    assert got.status == 200, got
    (seen,) = one.up.requests
    said = strings(seen.json)
    for text in gemini.texts(exchange.body):
        assert text.strip() in said, f"{text[:80]!r} did not arrive"
    for warning in got.warnings:
        assert re.match(r"(dropped|clamped|emulated|approximated|inlined|renamed|truncated)(:|$)", warning), warning
    again = one.send("gemini", exchange.body, wire.both(upstream), stream="sse" if exchange.stream else None)
    assert again.status == 200 and one.up.last.body == seen.body, "twice the same request, two bodies"
