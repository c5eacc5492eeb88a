"""HTTP itself: routes, methods, framing, limits, encodings, pipelining, TLS, CORS."""

import gzip
import json
import socket
import ssl
import struct
import time
import zlib

import pytest

from harness import Client, HttpError, key, wire
from harness.gateway import SLOW
from harness.http import encode
from harness.stand import place

BODY = wire.ask("chat")


def raw_chat(head=b"", body=None, path=b"/v1/chat/completions", host=b"host: 127.0.0.1\r\n"):
    """A hand-written request."""
    body = json.dumps(BODY).encode() if body is None else body
    return b"POST " + path + b" HTTP/1.1\r\n" + host + b"content-type: application/json\r\n" + head + b"\r\n" + body


def sent(gate, data, timeout=5 * SLOW):
    """Sends raw bytes and reads one answer."""
    with gate.client(timeout=timeout) as client:
        client.send(data)
        return client.answer()


# ---------------------------------------------------------------- routes and methods


@pytest.mark.parametrize("prefix", ["", "/api", "/gateway"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/v1/chat/completions"])
def test_prefixes(to_chat, prefix, path):
    got = to_chat.gate.chat(BODY, path=prefix + path)
    assert got.status == 200 and to_chat.up.last.path == "/v1/chat/completions", got


@pytest.mark.parametrize("prefix", ["", "/api", "/gateway"])
def test_prefixes_of_messages_and_models(to_chat, prefix):
    assert to_chat.gate.messages(wire.ask("anthropic"), path=f"{prefix}/v1/v1/messages").status == 200
    assert to_chat.gate.get(f"{prefix}/v1/models").status == 200


@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/messages"), ("DELETE", "/v1/messages"), ("POST", "/health"),
                                              ("PATCH", "/v1/chat/completions"), ("POST", "/metrics")])
def test_405_names_what_is_allowed(to_chat, method, path):
    got = to_chat.gate.ask(method, path, b"{}")
    assert got.status == 405 and got.error == "method_not_allowed", got
    assert got.header("allow"), got
    assert method not in got.header("allow")


def test_404_outside_v1(to_chat):
    got = to_chat.gate.get("/no/such/thing")
    assert got.status == 404 and got.error == "endpoint_not_found"
    assert got.json["error"]["type"] == "invalid_request_error"


def test_websocket_is_426_elsewhere(to_chat):
    """Only Responses has that transport (test_responses_ws.py)."""
    head = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    got = to_chat.gate.get("/v1/chat/completions", head)
    assert got.status == 426, got


def test_every_answer_has_a_request_id(to_chat):
    ids = [to_chat.gate.get("/health"), to_chat.gate.chat(BODY), to_chat.gate.get("/nothing"),
           to_chat.gate.chat(b"{")]
    ids = [got.header("x-anyrouter-request-id") for got in ids]
    assert all(ids) and len(set(ids)) == 4


def test_served_by_headers(to_chat):
    got = to_chat.gate.chat(BODY, {"x-anyrouter-trace-id": "trace-1"})
    assert got.header("x-anyrouter-upstream") == "openai" and got.header("x-anyrouter-model") == BODY["model"]
    assert got.header("x-anyrouter-attempts") == "1" and got.header("x-anyrouter-trace-id") == "trace-1"
    assert int(got.header("x-anyrouter-overhead-us")) >= 0


def test_gateway_headers_stay_here(to_chat):
    head = {"x-anyrouter-trace-id": "t", "connection": "keep-alive, x-hop", "x-hop": "1", "te": "trailers",
            "proxy-authorization": "x", "x-client": "kept"}
    assert to_chat.gate.chat(BODY, head).status == 200
    names = {k for k, _ in to_chat.up.last.headers}
    assert not names & {"x-hop", "te", "proxy-authorization", "x-anyrouter-trace-id"}, names
    assert to_chat.up.last.header("host") == f"127.0.0.1:{to_chat.up.port}"


def test_pass_through_of_other_paths(gateway, upstream):
    upstream.handler = lambda q, r: r.body({"seen": q.path})
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=0)]})
    head = {"authorization": f"Bearer {key('mine')}"}
    got = gate.ask("POST", "/v1/embeddings?x=1&key=zzz", {"model": "m", "input": "a"}, head)
    assert got.status == 200 and got.json["seen"] == "/v1/embeddings?x=1", got
    got = gate.get("/v1/files/f1", head)
    assert got.status == 200 and upstream.last.method == "GET"


def test_pass_through_with_the_operators_key_is_limited(gateway, upstream):
    upstream.handler = lambda q, r: r.body({"seen": q.path})
    gate = gateway({"upstreams": [place("openai-compatible", upstream)]})
    assert gate.ask("POST", "/v1/embeddings", {"model": "m", "input": "a"}).status == 200
    got = gate.get("/v1/files/f1")
    assert got.status == 403 and got.error == "scope_missing", got


# ---------------------------------------------------------------- who is asking


@pytest.mark.parametrize("form", [{"x-api-key": "K"}, {"authorization": "Bearer K"}, {"x-goog-api-key": "K"},
                                  {"api-key": "K"}])
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_every_form_of_a_key_on_every_path(gateway, upstream, form, dialect):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=0)]})
    mine = key("mine")
    head = {k: v.replace("K", mine) for k, v in form.items()}
    assert gate.post(dialect, wire.ask(dialect), head).status == 200
    assert upstream.last.header("authorization") == f"Bearer {mine}"
    assert not [k for k, _ in upstream.last.headers if k in ("x-api-key", "x-goog-api-key", "api-key")]


def test_a_key_in_the_query(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=0)]})
    mine = key("mine")
    assert gate.chat(BODY, path=f"/v1/chat/completions?key={mine}").status == 200
    assert upstream.last.key == mine and mine not in upstream.last.path


def test_x_api_key_wins(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=0)]})
    one, two = key("one"), key("two")
    gate.chat(BODY, {"authorization": f"Bearer {two}", "x-api-key": one})
    assert upstream.last.key == one


def test_the_operators_key_hides_the_callers(gateway, upstream):
    upstream.handler = wire.both("chat")
    mine, other = key("operator"), key("caller")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=[mine])]})
    gate.chat(BODY, {"x-api-key": other})
    assert upstream.last.key == mine and other.encode() not in upstream.last.head


def test_a_token_of_our_own_is_never_sent_on(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=0)]})
    got = gate.chat(BODY, {"authorization": "Bearer sk-ar-v1-" + "a" * 46})
    assert got.status == 401 and got.error == "key_invalid" and not upstream.requests
    assert "sk-ar-v1-aaaa" not in got.text


def test_origins_that_may_not_spend(to_chat):
    got = to_chat.gate.chat(BODY, {"origin": "https://evil.example"})
    assert got.status == 403 and got.error == "origin_denied", got
    got = to_chat.gate.chat(BODY, {"host": "evil.example"})
    assert got.status == 403 and got.error == "origin_denied", got
    assert not to_chat.up.requests
    for host in ("localhost:1", "127.0.0.1", "[::1]:80"):
        assert to_chat.gate.chat(BODY, {"host": host}).status == 200, host
    assert to_chat.gate.chat(BODY, {"origin": "https://evil.example", "x-api-key": key()}).status == 200


def test_cors(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"cors": {"origins": ["https://good.example"], "headers": ["x-extra"], "max_age": "600s"},
                    "upstreams": [place("openai-compatible", upstream)]})
    ask = {"origin": "https://good.example", "access-control-request-method": "POST",
           "access-control-request-headers": "content-type, x-extra"}
    got = gate.ask("OPTIONS", "/v1/chat/completions", None, ask)
    assert got.status in (200, 204), got
    assert got.header("access-control-allow-origin") == "https://good.example"
    assert "POST" in got.header("access-control-allow-methods")
    assert "x-extra" in got.header("access-control-allow-headers").lower()
    assert got.header("access-control-max-age") == "600"
    got = gate.chat(BODY, {"origin": "https://good.example"})
    assert got.status == 200 and got.header("access-control-allow-origin") == "https://good.example"
    got = gate.ask("OPTIONS", "/v1/chat/completions", None, {**ask, "origin": "https://evil.example"})
    assert got.header("access-control-allow-origin") is None


# ---------------------------------------------------------------- framing


@pytest.mark.parametrize("head", [
    b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
    b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    b"content-length: 5\r\ncontent-length: 6\r\n",
    b"content-length: 5, 6\r\n",
    b"content-length: -5\r\n",
    b"content-length: +5\r\n",
    b"content-length: 0x5\r\n",
    b"content-length: 99999999999999999999\r\n",
    b"content-length : 5\r\n",
    b"transfer-encoding: chunked, identity\r\n",
    b"transfer-encoding: xchunked\r\n",
    b"transfer-encoding:\x0bchunked\r\n",
    b"x-folded: a\r\n b\r\ncontent-length: 5\r\n",
    b"x\x00y: a\r\ncontent-length: 5\r\n",
    b"x: a\x00b\r\ncontent-length: 5\r\n",
    b"no colon here\r\ncontent-length: 5\r\n",
    b"content-length: 5\n",
], ids=range(17))
def test_ambiguous_framing_is_refused(to_chat, head):
    """Refused with 400 and the connection closed; nothing reaches the upstream; no second answer."""
    with to_chat.gate.client(timeout=5 * SLOW) as client:
        client.send(raw_chat(head, b"0\r\n\r\nGET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"))
        got = client.answer()
        assert got.status in (400, 413), got
        assert client.at_end(), "the connection goes on after a bad head"
    assert not to_chat.up.requests


@pytest.mark.parametrize("chunks", [
    b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
    b"5;a\x00=b\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
    b"0x5\r\nhello\r\n0\r\n\r\n"], ids=range(7))
def test_bad_chunks_are_refused(to_chat, chunks):
    with to_chat.gate.client(timeout=5 * SLOW) as client:
        client.send(raw_chat(b"transfer-encoding: chunked\r\n", chunks))
        got = client.answer()
        assert got.status in (400, 413), got
        assert client.at_end()
    assert not to_chat.up.requests


@pytest.mark.parametrize("line", [b"GET /health HTTP/1.1 x", b"GET  /health HTTP/1.1", b"GET /health HTTP/3.0",
                                  b"G\x00T /health HTTP/1.1", b"get\t/health HTTP/1.1", b"\x16\x03\x01\x02\x00"])
def test_bad_request_lines(to_chat, line):
    with to_chat.gate.client(timeout=5 * SLOW) as client:
        client.send(line + b"\r\nhost: 127.0.0.1\r\n\r\n")
        try:
            got = client.answer()
            assert got.status in (400, 505), got
        except (HttpError, ConnectionError):
            pass  # closed without a word is fine too
        assert client.at_end()


def test_two_hosts_are_refused(to_chat):
    got = sent(to_chat.gate, b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil\r\n\r\n")
    assert got.status == 400


def test_a_head_in_single_bytes(to_chat):
    with to_chat.gate.client() as client:
        body = json.dumps(BODY).encode()
        client.send_slowly(raw_chat(b"content-length: %d\r\n" % len(body), body))
        assert client.answer().status == 200
    assert to_chat.up.last.body == body


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_chunked_body(to_chat, size):
    body = json.dumps(wire.ask("chat", "é" * 500)).encode()
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(body[at:at + size]), body[at:at + size])
                      for at in range(0, len(body), size))
    got = sent(to_chat.gate, raw_chat(b"transfer-encoding: chunked\r\n", chunks + b"0\r\nx-trailer: 1\r\n\r\n"))
    assert got.status == 200 and to_chat.up.last.body == body


@pytest.mark.workers
def test_pipelining(to_chat):
    """Five requests in one packet: five answers, in order."""
    to_chat.up.handler = lambda q, r: (time.sleep(0.05 if "1" in q.json["messages"][0]["content"] else 0),
                                       r.body(wire.chat_answer(q.json["messages"][0]["content"])))
    with to_chat.gate.client() as client:
        client.send(b"".join(encode("POST", "/v1/chat/completions", wire.ask("chat", f"n{i}")) for i in range(5)))
        got = [client.answer().json["choices"][0]["message"]["content"] for _ in range(5)]
    assert got == [f"n{i}" for i in range(5)]


def test_keep_alive_mixes_routes(to_chat):
    with to_chat.gate.client() as client:
        for _ in range(3):
            assert client.ask("GET", "/health").status == 200
            assert client.ask("POST", "/v1/chat/completions", BODY).status == 200
            assert client.ask("POST", "/v1/chat/completions", {**BODY, "stream": True}).complete
            assert client.ask("GET", "/nothing").status == 404
            assert client.ask("POST", "/v1/chat/completions", b"{").status == 400


def test_http_1_0_and_connection_close(to_chat):
    with to_chat.gate.client() as client:
        client.send(b"GET /health HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n")
        assert client.answer().status == 200 and client.at_end()
    with to_chat.gate.client() as client:
        assert client.ask("GET", "/health", headers={"connection": "close"}).status == 200 and client.at_end()


def test_a_stream_to_http_1_0(to_chat):
    body = json.dumps({**BODY, "stream": True}).encode()
    with to_chat.gate.client() as client:
        client.send(raw_chat(b"content-length: %d\r\n" % len(body), body).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        got = client.answer()
    assert got.status == 200 and got.framing == "close" and got.body.endswith(b"data: [DONE]\n\n")


def test_head_requests(to_chat):
    with to_chat.gate.client() as client:
        got = client.ask("HEAD", "/health")
        assert got.status == 200 and not got.body
        assert client.ask("GET", "/health").status == 200


def test_expect_100_continue(to_chat):
    body = json.dumps(BODY).encode()
    with to_chat.gate.client() as client:
        client.send(raw_chat(b"expect: 100-continue\r\ncontent-length: %d\r\n" % len(body), b""))
        got = client.head()
        assert got.status == 100
        client.send(body)
        assert client.answer().status == 200
    with to_chat.gate.client() as client:
        client.send(raw_chat(b"expect: something\r\ncontent-length: %d\r\n" % len(body), body))
        assert client.answer().status in (200, 417)


def test_expect_with_a_body_too_large_is_refused_at_once(gateway, upstream):
    gate = gateway({"body_limit": "64KiB", "upstreams": [place("openai-compatible", upstream)]})
    with gate.client() as client:
        client.send(raw_chat(b"expect: 100-continue\r\ncontent-length: 9999999\r\n", b""))
        got = client.answer()
    assert got.status == 413 and not got.informational


# ---------------------------------------------------------------- encodings


def zstd_raw(data):
    """A zstd frame of raw blocks, made by hand: magic, descriptor, window, blocks."""
    out = struct.pack("<I", 0xFD2FB528) + bytes([0x00, 0x58])
    blocks = [data[at:at + 65536] for at in range(0, len(data), 65536)] or [b""]
    for place_, block in enumerate(blocks):
        out += struct.pack("<I", (len(block) << 3) | (place_ == len(blocks) - 1))[:3] + block
    return out


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_encoded_bodies(to_chat, coding, framing):
    body = json.dumps(wire.ask("chat", "word " * 20000)).encode()
    raw = {"gzip": gzip.compress, "zstd": zstd_raw, "identity": bytes}[coding](body)
    head = f"content-encoding: {coding}\r\n".encode()
    if framing == "length":
        data = raw_chat(head + b"content-length: %d\r\n" % len(raw), raw)
    else:
        data = raw_chat(head + b"transfer-encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw))
    got = sent(to_chat.gate, data)
    assert got.status == 200, got
    assert to_chat.up.last.body == body and to_chat.up.last.header("content-encoding") in (None, "identity")


@pytest.mark.parametrize(("coding", "raw"), [
    ("gzip", gzip.compress(b"{}")[:-4]), ("gzip", b"\x1f\x8b junk"), ("gzip", b""), ("zstd", b"\x28\xb5\x2f\xfd junk"),
    ("zstd", zstd_raw(b"{}")[:-1]), ("br", b"x"), ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
    ("deflate", zlib.compress(b"{}"))], ids=range(8))
def test_bad_encodings(to_chat, coding, raw):
    got = to_chat.gate.chat(raw, {"content-encoding": coding})
    assert got.status in (400, 415), got
    assert got.json["error"]["message"] and not to_chat.up.requests


def test_a_bomb_is_stopped_by_the_limit(gateway, upstream):
    gate = gateway({"body_limit": "1MiB", "upstreams": [place("openai-compatible", upstream)]})
    bomb = gzip.compress(b" " * 50_000_000)
    got = gate.chat(bomb, {"content-encoding": "gzip"})
    assert got.status == 413 and got.error == "request_too_large", got


# ---------------------------------------------------------------- limits


@pytest.fixture
def tight(gateway, upstream):
    upstream.handler = wire.both("chat")
    return gateway({"limits": {"head": "8KiB", "headers": 30, "head_time": "1s", "body_time": "1s", "idle": "1s",
                               "connections": 20}, "body_limit": "64KiB",
                    "upstreams": [place("openai-compatible", upstream)]})


def test_a_head_too_large(tight):
    for head in ({"x-big": "a" * 9000}, {f"x-{i}": "1" for i in range(40)}):
        got = tight.get("/health", head)
        assert got.status in (413, 431), got


def test_a_path_too_long(tight):
    with tight.client() as client:
        client.send(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert client.answer().status in (413, 414, 431)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_too_large(tight, framing):
    body = b" " * 70_000
    head = b"content-length: 70000\r\n" if framing == "length" else b"transfer-encoding: chunked\r\n"
    with tight.client() as client:
        try:
            client.send(raw_chat(head, body if framing == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (70000, body)))
        except ConnectionError:
            pass
        got = client.answer()
    assert got.status == 413 and got.error == "request_too_large", got


def test_a_slow_head_and_a_slow_body_time_out(tight):
    with tight.client(timeout=5) as client:
        start = time.monotonic()
        client.send(b"GET /health HTTP/1.1\r\nhost: 127")
        try:
            assert client.answer().status == 408
        except HttpError:
            pass  # closed without a word
        assert time.monotonic() - start < 3 and client.at_end()
    with tight.client(timeout=5) as client:
        start = time.monotonic()
        client.send(raw_chat(b"content-length: 500\r\n", b"{"))
        got = client.answer()
        assert got.status == 408 and got.error == "request_timeout", got
        assert 0.5 < time.monotonic() - start < 3 and client.at_end()


def test_idle_connections_are_closed(tight):
    with tight.client(timeout=5) as client:
        assert client.ask("GET", "/health").status == 200
        start = time.monotonic()
        assert client.at_end(4) and 0.5 < time.monotonic() - start < 3


def test_too_many_connections(tight):
    held, refused = [tight.client() for _ in range(20)], False
    try:
        for _ in range(5):  # the probe of the start may have counted when these were accepted
            client = tight.client(timeout=3)
            held.append(client)
            try:
                refused = refused or client.ask("GET", "/health").status == 503
            except (HttpError, ConnectionError):
                refused = True
        assert refused, "25 connections with a limit of 20"
    finally:
        for client in held:
            client.close()
    for _ in range(50):
        try:
            if tight.get("/health").status == 200:
                return
        except (HttpError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError("the connections were not given back")


# ---------------------------------------------------------------- backpressure


@pytest.mark.workers
@pytest.mark.parametrize("way", ["native", "translated"])
def test_a_slow_reader_stops_the_upstream(stand, way):
    """The upstream wants to send 64 MB; a client that does not read lets only buffers fill."""
    one = stand("openai")
    client = "chat" if way == "native" else "anthropic"
    piece = wire.chunk({"content": "x" * 16000}).encode()
    state = {"sent": 0}

    def run(request, reply):
        reply.sock.settimeout(30)
        reply.sse([wire.ROLE], finish=False)
        for _ in range(4000):
            reply.chunk(piece)
            state["sent"] += len(piece)
        reply.chunk(wire.chunk(finish="stop")).chunk(wire.DONE).finish()

    one.up.handler = run
    with one.gate.client(rcvbuf=16384) as slow:
        slow.send(encode("POST", wire.PATHS[client], wire.ask(client, stream=True), {"anthropic-version": "2023-06-01"}))
        assert slow.head().status == 200
        last = -1
        for _ in range(40):
            time.sleep(0.1)
            if state["sent"] == last:
                break
            last = state["sent"]
        assert last < 24_000_000, f"{last} bytes went to a client that does not read"
        assert one.gate.get("/health").status == 200
    one.gate.get("/health")


# ---------------------------------------------------------------- facts


def test_health_and_ready(to_chat):
    assert to_chat.gate.get("/health").status == 200
    assert to_chat.gate.get("/health/ready").status == 200
    got = to_chat.gate.get("/")
    assert got.status == 200 and got.body


def test_not_ready_when_nothing_can_serve(gateway, upstream):
    gate = gateway({"upstreams": [place("openai-compatible", upstream, enabled=False)]})
    assert gate.get("/health").status == 200
    assert gate.get("/health/ready").status == 503


def parse_metrics(text):
    """Prometheus text, read strictly enough: name{labels} value."""
    out, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"two TYPE lines of {name}"
            types[name] = kind
        elif line and not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            assert series not in out, f"twice: {series}"
            name = series.split("{")[0]
            family = name
            for tail in ("_bucket", "_sum", "_count"):
                if name.endswith(tail) and name[:-len(tail)] in types:
                    family = name[:-len(tail)]
            assert family in types, f"{name} has no TYPE"
            out[series] = float(value)
    return out, types


def test_metrics(stand):
    one = stand("openai")
    one.gate.chat(BODY)
    one.gate.messages(wire.ask("anthropic", stream=True))
    got = one.gate.get("/metrics")
    assert got.status == 200 and got.header("content-type").startswith("text/plain")
    series, types = parse_metrics(got.text)
    assert {"counter", "gauge", "histogram"} <= set(types.values())
    assert all(name.startswith("anyrouter_") for name in types), types
    joined = "\n".join(series)
    for word in ("request", "attempt", "token", "overhead", "first_byte", "connection"):
        assert word in joined, f"no metric about {word}"
    assert 'upstream="openai"' in joined and 'status="200"' in joined
    buckets = [(s, v) for s, v in series.items() if "_bucket{" in s]
    assert buckets and any('le="+Inf"' in s for s, _ in buckets)


# ---------------------------------------------------------------- TLS


def server_context(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    return context


def test_tls_to_the_upstream(gateway, tls_files):
    from harness import Upstream
    with Upstream(wire.both("chat"), tls=server_context(tls_files)) as up:
        good = gateway({"upstreams": [place("openai-compatible", up, ca_file=str(tls_files.cert))]})
        for body in (BODY, {**BODY, "stream": True}):
            assert good.chat(body).status == 200
        assert good.messages(wire.ask("anthropic", stream=True)).complete
        blind = gateway({"upstreams": [place("openai-compatible", up, insecure=True)]})
        assert blind.chat(BODY).status == 200
        strict = gateway({"upstreams": [place("openai-compatible", up)]})
        got = strict.chat(BODY)
        assert got.status in (502, 503) and not [r for r in up.requests[4:]], got


def test_tls_to_the_client(gateway, upstream, tls_files):
    upstream.handler = wire.both("chat")
    trust = ssl.create_default_context(cafile=str(tls_files.cert))
    gate = gateway({"tls": {"cert": str(tls_files.cert), "key": str(tls_files.key)},
                    "upstreams": [place("openai-compatible", upstream)]}, tls=trust)
    assert gate.chat(BODY).status == 200
    assert gate.chat({**BODY, "stream": True}).complete
    with socket.create_connection(("127.0.0.1", gate.port)) as plain:
        plain.settimeout(5)
        plain.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        try:
            assert b"HTTP/1.1 200" not in plain.recv(100)
        except ConnectionError:
            pass


def test_proxies(gateway, upstream):
    """An upstream behind an HTTP CONNECT proxy and behind a SOCKS5 proxy."""
    import threading
    upstream.handler = wire.both("chat")
    listener = socket.create_server(("127.0.0.1", 0))
    seen = []

    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(sock,), daemon=True).start()

    def one(sock):
        first = sock.recv(4096)
        if first[:1] == b"\x05":
            sock.sendall(b"\x05\x00")
            ask = sock.recv(4096)
            seen.append(("socks5", ask[3]))
            port = struct.unpack(">H", ask[-2:])[0]
            sock.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        else:
            while b"\r\n\r\n" not in first:
                first += sock.recv(4096)
            seen.append(("http", first.split(b" ")[0].decode()))
            port = int(first.split(b" ")[1].rsplit(b":", 1)[1])
            sock.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
        far = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=pump, args=(far, sock), daemon=True).start()
        pump(sock, far)

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    for scheme, want in (("http", ("http", "CONNECT")), ("socks5", ("socks5", 1))):
        seen.clear()
        gate = gateway({"upstreams": [place("openai-compatible", upstream, proxy=f"{scheme}://127.0.0.1:{port}")]})
        got = gate.chat(BODY)
        assert got.status == 200, got
        assert seen and seen[0][0] == want[0] and (scheme != "http" or seen[0][1] == "CONNECT"), seen
    listener.close()


def test_client_sends_only_part_and_leaves(to_chat):
    for cut in (10, 60, 150):
        client = Client(to_chat.gate.port)
        client.send(raw_chat(b"content-length: 500\r\n", b"{")[:cut])
        client.reset()
    assert to_chat.gate.get("/health").status == 200 and not to_chat.up.requests
