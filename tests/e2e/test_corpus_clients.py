"""Every recorded exchange of every dialect with Responses and Gemini on the other side; test_corpus*.py have Chat and Messages there.

Answers go to clients, requests to upstreams. What is compared is read by corpus/ and harness/canon, which know nothing of
the gateway: text, thinking, calls, how it ended, what it cost. A stream is checked against the grammar of the client's dialect as well.
"""

import json
import re

import pytest

from corpus import SHARED, gemini, load, responses, sides
from corpus.runner import WARNING, Place, strings
from harness import canon, parse_sse
from harness.sse import loose_sse
from matrix import DIALECTS

SIDES = {"responses": sides.Responses(), "gemini": sides.Gemini()}
READ = {"chat": (canon.chat_answer, canon.chat_stream), "anthropic": (canon.claude_answer, canon.claude_stream)}
PLACES = {"chat": ("openai-compatible", {}), "anthropic": ("anthropic-compatible", {}),
          "responses": (sides.Responses.provider, sides.Responses.options), "gemini": (sides.Gemini.provider, sides.Gemini.options)}
LIMITS = {"max_tokens", "content_filter", "refusal"}  # an answer that ended so must never look complete


def recorded():
    out = load()
    for side in SIDES.values():
        out += load(side.folders)
    if not out:
        pytest.skip(f"no corpus at {SHARED}", allow_module_level=True)
    return [e for e in out if e.status == 200]


def pairs():
    return [pytest.param(e, client, id=f"{client}-{e.id}") for e in recorded() for client in ("responses", "gemini") if client != e.dialect]


@pytest.fixture(scope="module")
def places():
    made = {}

    def get(dialect):
        if dialect not in made:
            provider, options = PLACES[dialect]
            made[dialect] = Place(provider, **options)
        return made[dialect]

    yield get
    for one in made.values():
        one.stop()


def want_of(exchange):
    if exchange.dialect in SIDES:
        return SIDES[exchange.dialect].read(exchange)
    whole, stream = READ[exchange.dialect]
    return stream(loose_sse(exchange.sse)) if exchange.sse is not None else whole(exchange.answer)


def is_stream(exchange):
    side = SIDES.get(exchange.dialect)
    return exchange.sse is not None or (side is not None and side.form(exchange) is not None)


def ask(one, client, exchange):
    stream = is_stream(exchange)
    if client == "responses":
        body = {"model": "asked-model", "input": "go on", "stream": stream, "reasoning": {"effort": "high", "summary": "auto"}}
        path = "/v1/responses"
    else:
        body = {"contents": [{"role": "user", "parts": [{"text": "go on"}]}],
                "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
        path = "/v1beta/models/asked-model:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    side = SIDES.get(exchange.dialect)
    return one.ask(path, body, side.play(exchange) if side else exchange.play), stream


def read_answer(client, got, stream):
    """What the client got, and whether it was told of a failure."""
    if client == "responses":
        if not stream:
            return responses.whole(got.json)
        said = responses.stream(got.body)
        if not said.error and not said.unfinished:
            DIALECTS["responses"].assemble(parse_sse(got.body))
        return said
    return gemini.chunks([json.loads(e.data) for e in loose_sse(got.body) if e.data] if stream else [got.json])


@pytest.mark.parametrize(("exchange", "client"), pairs())
def test_a_recorded_answer(exchange, client, places):
    want = want_of(exchange)
    got, stream = ask(places(exchange.dialect), client, exchange)
    if want.error or want.unfinished:
        have = read_answer(client, got, stream) if got.status == 200 else None
        said = have and (have.text, [c[0] for c in have.calls]) == (want.text, [c[0] for c in want.calls]) and (have.text or have.calls)
        assert have is None or have.error or have.unfinished or (said and not want.error), "a failure looks complete"
        return
    assert got.status == 200 and got.complete, got
    have = read_answer(client, got, stream)
    assert not have.error and not have.unfinished, have
    compare(want, have, client, got)


def compare(want, have, client, got):
    if client == "gemini":  # a refusal's words are text, or the message of the finish
        assert have.text == want.text + want.refusal or (have.text == want.text and want.refusal in got.body.decode()), have
    else:
        assert have.text == want.text
        assert have.refusal == want.refusal or (want.stop == "refusal" and not want.refusal), have
    assert have.thinking.replace("\n", "") == want.thinking.replace("\n", "")
    assert [c[0] for c in have.calls] == [c[0] for c in want.calls]
    for mine, theirs in zip(have.calls, want.calls, strict=True):
        assert canon._object(mine[1]) == canon._object(theirs[1]), (mine, theirs)
    if want.stop in LIMITS:
        assert have.stop in LIMITS, (have.stop, want.stop)
    elif not want.calls:
        assert have.stop not in LIMITS, (have.stop, want.stop)
    both = set(want.usage or {}) & set(have.usage or {}) - {"total"}
    wanted = {k: want.usage[k] for k in both}
    if wanted.get("out_reasoning", 0) > wanted.get("out_total", 0):  # 5.4: out_total is at least out_reasoning
        assert have.usage["out_total"] >= wanted["out_reasoning"]
        wanted["out_total"] = have.usage["out_total"]
    assert {k: have.usage[k] for k in both} == wanted


# ---------------------------------------------------------------- requests


UPSTREAMS = {"responses": ("openai", "gpt-5", {"dialects": ["responses"]}), "gemini": ("gemini-compatible", "gemini-3-pro-preview", {})}


def asked():
    out = load()
    for side in SIDES.values():
        out += load(side.folders)
    return [pytest.param(e, up, id=f"{up}-{e.id}") for e in out if e.body is not None for up in UPSTREAMS if up != e.dialect]


@pytest.fixture(scope="module")
def upstreams():
    made = {}

    def get(dialect):
        if dialect not in made:
            provider, model, options = UPSTREAMS[dialect]
            made[dialect] = Place(provider, models=[{"from": "*", "to": model}], **options)
        return made[dialect]

    yield get
    for one in made.values():
        one.stop()


def texts(value):
    """What the messages of a Chat or Messages request say."""
    if isinstance(value, str):
        return [value]
    out = []
    for part in value if isinstance(value, list) else []:
        if isinstance(part, dict) and part.get("type", "text") == "text":
            out.append(part.get("text") or "")
    return out


def said(exchange, body):
    if exchange.dialect in SIDES:
        return SIDES[exchange.dialect].texts(body)
    return [t for m in body["messages"] for t in texts(m.get("content")) if m["role"] in ("user", "system", "developer")]


@pytest.mark.parametrize(("exchange", "upstream"), asked())
def test_a_recorded_request(exchange, upstream, upstreams):
    """Every text of the client's arrives, twice the same; or it is refused by name and nobody is asked."""
    one, side = upstreams(upstream), SIDES.get(exchange.dialect)
    body = side.request_for(exchange, "chat") if side else exchange.request()
    stream = bool(body.get("stream")) or (exchange.dialect == "gemini" and exchange.stream)
    path = {"chat": "/v1/chat/completions", "anthropic": "/v1/messages"}.get(exchange.dialect) or side.path("sse" if stream else None)
    handler = DIALECTS[upstream]
    answer = {"items": [{"text": "fine"}], "stop": "end"}

    def play(request, reply):
        reply.sse(handler.frames(answer)) if stream else reply.body(handler.answer(answer))

    headers = {"anthropic-version": "2023-06-01"} if exchange.dialect == "anthropic" else None
    got = one.ask(path, body, play, headers)
    if got.status in (400, 404):
        assert got.error and not one.up.requests and got.json["error"]["message"], got
        return
    if got.status == 502:  # a picture by URL, which Gemini does not take and nobody here can fetch
        host = re.search(r"cannot resolve ([\w.-]+)", got.json["error"]["message"])[1]
        assert upstream == "gemini" and f"://{host}" in json.dumps(body) and not one.up.requests, got
        return
    assert got.status == 200, got
    (seen,) = one.up.requests
    arrived = strings(seen.json)
    for text in said(exchange, body):
        assert text.strip() in arrived, f"{text[:80]!r} did not arrive"
    for warning in got.warnings:
        assert WARNING.match(warning), warning
    again = one.ask(path, body, play, headers)
    assert again.status == 200 and one.up.last.body == seen.body, "twice the same request, two bodies"
