"""What travels with an answer that is not the usual one: errors, HEAD, slow readers, cut streams."""

import json
import signal
import threading
import time

import pytest

from harness import key, wire
from harness.gateway import SLOW
from harness.http import encode
from harness.stand import place

CHAT, CLAUDE = "openai-compatible", "anthropic-compatible"
HINTS = {"anthropic": {"request-id": "req_up", "x-should-retry": "false", "anthropic-ratelimit-requests-remaining": "7",
                       "anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:00Z"},
         "chat": {"x-request-id": "req_up", "x-should-retry": "false", "x-ratelimit-remaining-requests": "7",
                  "openai-processing-ms": "12", "retry-after-ms": "1500"}}


# ---------------------------------------------------------------- an upstream's own error


@pytest.mark.parametrize("dialect,provider", [("anthropic", CLAUDE), ("chat", CHAT)])
@pytest.mark.parametrize("status", [400, 429])
def test_an_upstreams_error_keeps_its_headers(gateway, upstream, dialect, provider, status):
    """To the caller's own key, as the body does: retry hints, ids, his own limits, the type; nothing of the link."""
    said = wire.error(dialect, status, "no")
    upstream.handler = lambda q, r: r.body(said, status, "application/json; charset=utf-8", {
        **HINTS[dialect], "retry-after": "12", "x-internal": "secret", "set-cookie": "a=b", "server": "up"})
    gate = gateway({"upstreams": [place(provider, upstream, keys=0)]})
    got = gate.post(dialect, wire.ask(dialect), {"x-api-key": key("mine")})
    assert got.status == status and got.json == said, got
    for name, value in HINTS[dialect].items():
        assert got.header(name) == value, (name, got.headers)
    assert got.header("content-type") == "application/json; charset=utf-8"
    assert got.header("retry-after") == ("2" if dialect == "chat" else "12")
    assert not got.header("x-internal") and not got.header("set-cookie") and not got.header("server")
    assert not got.error, "it is not the gateway's own"


@pytest.mark.parametrize("dialect,provider", [("anthropic", CLAUDE), ("chat", CHAT)])
@pytest.mark.parametrize("status", [200, 400])
def test_the_operators_limits_stay_here(gateway, upstream, dialect, provider, status):
    """x-ratelimit headers are about the caller's limits: those of the operator's key are not his business."""
    body = wire.answer(dialect) if status == 200 else wire.error(dialect, status, "no")
    upstream.handler = lambda q, r: r.body(body, status, headers=HINTS[dialect])
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(dialect, wire.ask(dialect))
    assert got.status == status and got.json == body, got
    assert got.header("x-should-retry") == "false"
    assert got.header("request-id" if dialect == "anthropic" else "x-request-id") == "req_up"
    assert not [name for name, _ in got.headers if "ratelimit" in name]


@pytest.mark.parametrize("dialect,provider", [("anthropic", CLAUDE), ("chat", CHAT)])
def test_a_callers_own_limits_travel(gateway, upstream, dialect, provider):
    upstream.handler = lambda q, r: r.body(wire.answer(dialect), headers=HINTS[dialect])
    gate = gateway({"upstreams": [place(provider, upstream, keys=0)]})
    got = gate.post(dialect, wire.ask(dialect), {"x-api-key": key("mine")})
    assert got.status == 200
    assert {v for k, v in got.headers if "ratelimit" in k} == {v for k, v in HINTS[dialect].items() if "ratelimit" in k}


@pytest.mark.parametrize("dialect,provider", [("anthropic", CLAUDE), ("chat", CHAT)])
def test_a_page_is_no_error_of_the_dialect(gateway, upstream, dialect, provider):
    """A proxy's HTML with a status of the caller's fault: the dialect's envelope, the upstream's status."""
    upstream.handler = lambda q, r: r.body(b"<html>nginx says no</html>", 400, "text/html")
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(dialect, wire.ask(dialect))
    assert got.status == 400 and got.header("content-type") == "application/json", got
    assert got.json["error"]["message"]


def test_the_error_of_one_dialect_never_goes_out_under_another(gateway, upstreams):
    """The most useful fault is the first one's, the last that was asked speaks the caller's dialect."""
    one, two = upstreams(2)
    one.handler = lambda q, r: r.body(wire.error("anthropic", 404, "no such model here"), 404)
    two.handler = lambda q, r: r.body(wire.error("chat", 401, "bad key"), 401)
    gate = gateway({"upstreams": [place(CLAUDE, one, name="one", priority=1), place(CHAT, two, name="two", priority=2)]})
    got = gate.chat(wire.ask("chat"))
    assert len(one.requests) == 1 and len(two.requests) == 1
    assert got.status == 404 and "type" not in got.json and "no such model here" in got.json["error"]["message"], got


@pytest.mark.parametrize("type", ["text/plain", "application/xml"])
def test_a_passed_through_error_keeps_type_and_bytes(gateway, upstream, type):
    upstream.handler = lambda q, r: r.body(b"<no/>", 404, type)
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=0)]})
    got = gate.get("/v1/files/f1", {"x-api-key": key("mine")})
    assert got.status == 404 and got.header("content-type") == type and got.body == b"<no/>", got


# ---------------------------------------------------------------- HEAD


@pytest.mark.parametrize("status", [200, 404])
def test_head_says_how_long_the_body_would_be(gateway, upstream, status):
    upstream.handler = lambda q, r: r.head(status, {"content-length": "12345", "content-type": "audio/mpeg"})
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    with gate.client() as client:
        for _ in range(2):
            got = client.ask("HEAD", "/v1/audio/a1")
            assert got.status == status and got.header("content-type") == "audio/mpeg", got
            assert got.header("content-length") == "12345", got.headers
    assert upstream.connections == 1


def test_head_of_unknown_length_says_none(gateway, upstream):
    upstream.handler = lambda q, r: r.head(200, {"transfer-encoding": "chunked", "content-type": "audio/mpeg"})
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    with gate.client() as client:
        for _ in range(2):
            got = client.ask("HEAD", "/v1/audio/a1")
            assert got.status == 200 and got.header("content-length") is None, got.headers


# ---------------------------------------------------------------- slow readers


def sip(client, pause, piece=4096):
    """Reads a whole answer slowly, in small pieces."""
    fill = client.sock.recv

    def slow():
        time.sleep(pause)
        got = fill(piece)
        client.buf += got
        return bool(got)

    client.fill = slow
    return client.answer()


@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_slow_reader_gets_the_error_event(gateway, upstream, client, framing):
    """A stream that breaks: what was written arrives, the error too, and it never ends cleanly."""
    many = [wire.chunk({"content": "x" * 2000}) for _ in range(200)]

    def run(request, reply):
        reply.sse([wire.ROLE, *many], finish=False)
        reply.close()

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    with gate.client(rcvbuf=4096) as slow:
        asked = encode("POST", wire.PATHS[client], wire.ask(client, stream=True), {"anthropic-version": "2023-06-01"})
        slow.send(asked if framing == "chunked" else asked.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n"))
        time.sleep(0.7)
        got = sip(slow, 0.001)
    if framing == "chunked":
        assert got.body.count(b"x" * 2000) == 200 and b'"error"' in got.body[-1000:], got.body[-300:]
    assert not got.complete, "only its framing can say that it is cut"


# ---------------------------------------------------------------- silence


@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("provider,ping", [(CLAUDE, wire.PING), (CLAUDE, ": PROCESSING\n\n"), (CHAT, ": PROCESSING\n\n")])
@pytest.mark.parametrize("started", [True, False])
def test_pings_are_no_sign_of_an_answer(gateway, upstream, client, provider, ping, started):
    """An upstream that only says that it lives is as silent as one that says nothing."""
    first = {CLAUDE: [wire.claude_start(), *wire.claude_block(0, {"type": "text", "text": "a"})[:2]],
             CHAT: [wire.ROLE, wire.chunk({"content": "a"})]}[provider]

    def run(request, reply):
        reply.sse(first if started else [], finish=False)
        for _ in range(60):
            reply.chunk(ping, pause=0.1)

    upstream.handler = run
    limit = {"stream_timeout": "800ms"} if started else {"first_byte_timeout": "800ms", "max_retries": 0}
    gate = gateway({"upstreams": [place(provider, upstream, **limit)]})
    start = time.monotonic()
    got = gate.post(client, wire.ask(client, stream=True))
    assert 0.7 < time.monotonic() - start < 2.5 * SLOW
    if started:
        assert got.status == 200 and not got.complete and b'"error"' in got.body and b"a" in got.body, got
    else:
        assert got.status == 504 and got.error == "upstream_timeout", got


# ---------------------------------------------------------------- paths that are none of ours


@pytest.mark.parametrize("method,path,body,code", [
    ("POST", "/v1/nosuch/thing", {"model": "m", "input": "x"}, "scope_missing"),
    ("GET", "/v1/nosuch/thing", None, "scope_missing"),
    ("POST", "/v1/nosuch/thing", {"model": "other"}, "model_not_found"),
    ("GET", "/v1/messages/batches", None, "endpoint_not_found"),
    ("POST", "/v1/messages/batches", {}, "endpoint_not_found"),
    ("GET", "/v2/nosuch", None, "endpoint_not_found")])
def test_a_wrong_path_is_named(gateway, upstream, method, path, body, code):
    """Whoever mistyped a path hears of the path, in the dialect it belongs to, not of a model he never named."""
    gate = gateway({"upstreams": [place(CHAT, upstream, models=["m"])]})
    got = gate.ask(method, path, body)
    said = got.json["error"]["message"]
    assert got.error == code and path in said, got
    assert "model" not in said or "other" in said, said
    assert ("type" in got.json) == path.startswith("/v1/messages"), got.json
    assert not upstream.requests


# ---------------------------------------------------------------- stopping


@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("how", ["second signal", "deadline"])
def test_a_stream_that_we_cut_says_so(gateway, upstream, client, how):
    """Neither log nor client may think that the client left, or that the answer is all."""
    free, started = threading.Event(), threading.Event()

    def run(request, reply):
        reply.sse([wire.ROLE, wire.chunk({"content": "a"})], finish=False)
        started.set()
        free.wait(20)

    upstream.handler = run
    gate = gateway({"drain_timeout": "500ms" if how == "deadline" else "30s", "upstreams": [place(CHAT, upstream)]})
    with gate.client() as one:
        one.send(encode("POST", wire.PATHS[client], wire.ask(client, stream=True), {"anthropic-version": "2023-06-01"}))
        head = one.head()
        assert head.status == 200 and started.wait(5)
        gate.signal(signal.SIGTERM)
        time.sleep(0.8)
        if how == "second signal":
            gate.signal(signal.SIGTERM)
        one.body_of(head)
        gate.wait(5 * SLOW)
    free.set()
    gate.checked = True
    assert b"a" in head.body and b"the gateway was stopped" in head.body and not head.complete, head
    gate.wait_log("code=stopped")
    assert "client_closed" not in gate.log, gate.log[-1500:]


# ---------------------------------------------------------------- media that cannot be fetched


def see(url):
    return {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def chain(gateway, *places):
    return gateway({"fetch_private": True, "upstreams": [
        place(provider, up, name=f"u{i}", priority=i + 1) for i, (provider, up) in enumerate(places)]})


@pytest.mark.parametrize("how", ["404", "dead", "scheme"])
def test_who_takes_the_url_itself_is_asked_after_a_failed_fetch(gateway, upstreams, how):
    """Only the first two need the picture inline; it is asked for once, and the third gets the address."""
    pictures, one, two, three = upstreams(4)
    pictures.handler = lambda q, r: r.body(b"none", 404, "text/plain")
    for up in (one, two):
        up.handler = wire.both("anthropic")
    three.handler = wire.both("chat")
    gate = chain(gateway, (CLAUDE, one), (CLAUDE, two), (CHAT, three))
    url = {"404": f"{pictures.url}/a.png", "dead": "http://127.0.0.1:1/a.png", "scheme": "gs://bucket/a.png"}[how]
    for n in (1, 2):
        got = gate.chat(see(url))
        assert got.status == 200 and got.header("x-anyrouter-upstream") == "u2", got
        assert three.last.json["messages"][0]["content"][0]["image_url"]["url"] == url
        assert len(pictures.requests) == (n if how == "404" else 0)
    assert not one.requests and not two.requests


def test_a_failed_fetch_is_told_when_nobody_takes_the_url(gateway, upstreams):
    """And it rests nobody: the same upstream serves the next request."""
    pictures, one, two = upstreams(3)
    pictures.handler = lambda q, r: r.body(b"none", 404, "text/plain")
    one.handler = two.handler = wire.both("anthropic")
    gate = chain(gateway, (CLAUDE, one), (CLAUDE, two))
    got = gate.chat(see(f"{pictures.url}/secret.png"))
    assert got.status == 502 and got.json["error"]["param"] == "image_url", got
    assert "404" in got.json["error"]["message"] and "secret" not in got.text
    assert len(pictures.requests) == 1 and not one.requests and not two.requests
    got = gate.chat(wire.ask("chat"))
    assert got.status == 200 and got.header("x-anyrouter-upstream") == "u0", got


# ---------------------------------------------------------------- what comes where a stream was asked for


def test_a_page_without_end_is_told_at_once(gateway, upstream):
    """What is no stream by its type is not read to its end first."""
    free = threading.Event()

    def run(request, reply):
        reply.open_chunks(200, {"content-type": "text/html"}).chunk("<html>")
        free.wait(20)
        reply.finish()

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream, max_retries=0)]})
    start = time.monotonic()
    got = gate.chat(wire.ask("chat", stream=True))
    spent = time.monotonic() - start
    free.set()
    assert got.status == 502 and "no stream" in got.json["error"]["message"], got
    assert spent < 4 * SLOW, spent


@pytest.mark.parametrize("wants", [False, True])
def test_usage_is_asked_for_where_the_operator_wishes(gateway, upstream, wants):
    """ask_usage: the upstream is asked in the native body too; only a client that asked itself sees the chunk."""
    def run(request, reply):
        reply.sse(wire.chat_stream("hello", usage=bool((request.json.get("stream_options") or {}).get("include_usage"))))

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream, ask_usage=True)]})
    got = gate.chat({**wire.ask("chat", stream=True), **({"stream_options": {"include_usage": True}} if wants else {})})
    assert upstream.last.json["stream_options"] == {"include_usage": True}
    chunks = [e.json for e in got.events if e.data != "[DONE]"]
    assert got.complete and any(c.get("usage") for c in chunks) is wants, got
    used = json.loads(wire.chat_usage()[6:])["usage"]["completion_tokens"]
    assert f'anyrouter_output_tokens_total{{upstream="up"}} {used}\n' in gate.get("/metrics").text
