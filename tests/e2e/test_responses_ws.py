"""Responses over a WebSocket (RFC 6455): the transport, and the turns of one connection."""

import base64
import hashlib
import json
import os
import signal
import socket
import struct
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from harness import key, watch, wire
from harness.stand import base, place

PATH = "/v1/responses"
MODEL = "gpt-4.1"


@pytest.fixture
def gate_up(gateway, upstream):
    upstream.handler = wire.both("chat", "an answer")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    return gate, upstream


def open_socket(gate, headers=None, **how):
    return connect(f"ws://127.0.0.1:{gate.port}{PATH}", additional_headers=headers or {}, **how)


def events(ws, timeout=10):
    """Up to the end of the response."""
    got = []
    while True:
        text = ws.recv(timeout=timeout)
        assert isinstance(text, str)
        watch.see("websocket", text)
        got.append(json.loads(text))
        if got[-1]["type"] in ("response.completed", "response.incomplete", "response.failed", "error"):
            return got


def create(ws, text, **more):
    ws.send(json.dumps({"type": "response.create", "model": MODEL, "input": text, **more}))
    return events(ws)


def said(request):
    return [m["content"] for m in request.json["messages"]]


def test_a_response_is_the_events_of_the_stream(gate_up):
    """The same event grammar as over SSE, one message an event."""
    gate, up = gate_up
    with open_socket(gate) as ws:
        got = create(ws, "one")
    assert up.last.json["stream"] is True
    over_http = gate.ask("POST", PATH, {"model": MODEL, "input": "one", "stream": True}).events
    assert [e["type"] for e in got] == [json.loads(e.data)["type"] for e in over_http]
    assert [e["sequence_number"] for e in got] == list(range(len(got)))
    assert got[-1]["response"]["output"][0]["content"][0]["text"] == "an answer"


def test_turns_go_on_without_being_stored(gate_up):
    """store: false and previous_response_id on one connection, as agents do it."""
    gate, up = gate_up
    with open_socket(gate) as ws:
        first = create(ws, "one", store=False)[-1]["response"]
        second = create(ws, "two", store=False, previous_response_id=first["id"])[-1]["response"]
        assert said(up.last) == ["one", "an answer", "two"]
        create(ws, [{"role": "user", "content": "three"}], store=False, previous_response_id=second["id"])
        assert said(up.last) == ["one", "an answer", "two", "an answer", "three"]
        lost = create(ws, "x", previous_response_id=first["id"])[-1]  # only the last one is held
        assert lost["type"] == "error" and lost["status"] == 404
        assert lost["error"]["code"] == "previous_response_not_found"
        assert create(ws, "after an error")[-1]["type"] == "response.completed"
    assert gate.get(f"{PATH}/{second['id']}").status == 404
    with open_socket(gate) as ws:
        assert create(ws, "x", previous_response_id=second["id"])[-1]["type"] == "error"


def test_a_stored_response_goes_on_anywhere(gate_up):
    gate, up = gate_up
    with open_socket(gate) as ws:
        first = create(ws, "one")[-1]["response"]
    assert gate.get(f"{PATH}/{first['id']}").json["id"] == first["id"]
    with open_socket(gate) as ws:
        create(ws, "two", previous_response_id=first["id"])
    assert said(up.last) == ["one", "an answer", "two"]


def test_history_without_an_answer(gate_up):
    """generate: false takes the items and asks no model."""
    gate, up = gate_up
    with open_socket(gate) as ws:
        taken = create(ws, "one", generate=False)
        assert [e["type"] for e in taken] == ["response.created", "response.completed"]
        assert not up.requests
        create(ws, "two", previous_response_id=taken[-1]["response"]["id"])
        assert said(up.last) == ["one", "two"]


def test_errors_are_events(gate_up):
    gate, up = gate_up
    with open_socket(gate) as ws:
        for text in ("no json", "[]", '{"type":"response.steer"}', '{"type":"what"}', "{}"):
            ws.send(text)
            got = json.loads(ws.recv(timeout=5))
            assert got["type"] == "error" and got["status"] == 400 and got["error"]["message"], got
        up.handler = wire.fail("chat", 400, message="that is wrong")
        got = create(ws, "one")[-1]
        assert (got["type"], got["status"]) == ("error", 400) and "that is wrong" in got["error"]["message"]
        up.handler = wire.both("chat", "fine")
        assert create(ws, "one")[-1]["type"] == "response.completed"


def test_one_response_at_a_time(gate_up):
    gate, up = gate_up

    def slow(request, reply):
        time.sleep(0.5)
        wire.both("chat", "slow")(request, reply)

    up.handler = slow
    with open_socket(gate) as ws:
        ws.send(json.dumps({"type": "response.create", "model": MODEL, "input": "one"}))
        up.wait(1)
        second = create(ws, "two")
        assert second[-1]["error"]["code"] == "response_in_progress"
        assert events(ws)[-1]["type"] == "response.completed"
    assert len(up.requests) == 1


def test_who_asks_is_checked_at_the_handshake(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    for headers in ({"authorization": "Bearer sk-ar-v1-no"}, {"origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus) as refused:
            open_socket(gate, headers).close()
        assert refused.value.response.status_code in (401, 403)


def test_a_callers_own_key_is_used(gateway, upstream):
    upstream.handler = wire.both("chat")
    mine = key("mine")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, keys=0, dialects=["chat"])]})
    with open_socket(gate, {"authorization": f"Bearer {mine}"}) as ws:
        create(ws, "one")
    assert upstream.last.key == mine


def test_a_client_that_leaves_cancels(gate_up):
    gate, up = gate_up
    gone = []
    up.handler = lambda request, reply: gone.append(reply.wait_gone(5))
    with open_socket(gate) as ws:
        ws.send(json.dumps({"type": "response.create", "model": MODEL, "input": "one"}))
        up.wait(1)
    until = time.monotonic() + 3
    while not gone and time.monotonic() < until:
        time.sleep(0.02)
    assert gone and gone[0] is not None


def test_a_large_answer_and_a_large_request(gate_up):
    gate, up = gate_up
    text = "x" * 3_000_000
    up.handler = wire.both("chat", text)
    with open_socket(gate, max_size=None) as ws:
        got = create(ws, text)
        assert got[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert up.last.json["messages"][0]["content"] == text


def test_a_drain_closes_between_responses(gate_up):
    gate, up = gate_up
    with open_socket(gate) as ws:
        create(ws, "one")
        gate.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=5)
        assert closed.value.rcvd.code == 1001
    gate.wait()


# ---------------------------------------------------------------- frames by hand

class Raw:
    """A client that may break the rules."""

    def __init__(self, port, head=None, upgrade=True):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.key = base64.b64encode(os.urandom(16)).decode()
        head = head or (f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n"
                        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.key}\r\n\r\n")
        self.sock.sendall(head.encode())
        self.buf = b""
        while b"\r\n\r\n" not in self.buf:
            got = self.sock.recv(65536)
            assert got, self.buf
            self.buf += got
        self.head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        if upgrade:
            assert self.head.startswith(b"HTTP/1.1 101 "), self.head

    def need(self, n):
        while len(self.buf) < n:
            got = self.sock.recv(65536)
            if not got:
                return False
            self.buf += got
        return True

    def frame(self):
        """(opcode, payload), or None at the end."""
        if not self.need(2):
            return None
        op, n, at = self.buf[0] & 15, self.buf[1], 2
        if n == 126:
            assert self.need(4)
            n, at = struct.unpack(">H", self.buf[2:4])[0], 4
        elif n == 127:
            assert self.need(10)
            n, at = struct.unpack(">Q", self.buf[2:10])[0], 10
        assert self.need(at + n)
        payload, self.buf = self.buf[at:at + n], self.buf[at + n:]
        return op, payload

    def send(self, op, payload=b"", fin=True, mask=True, rsv=0, length=None):
        n = len(payload) if length is None else length
        out = bytes([(0x80 if fin else 0) | rsv << 4 | op])
        bit = 0x80 if mask else 0
        out += bytes([bit | n]) if n < 126 else \
            bytes([bit | 126]) + struct.pack(">H", n) if n < 65536 else bytes([bit | 127]) + struct.pack(">Q", n)
        if mask:
            m = os.urandom(4)
            out += m
            payload = bytes(b ^ m[i % 4] for i, b in enumerate(payload))
        self.sock.sendall(out + payload)

    def close_code(self):
        while True:
            got = self.frame()
            assert got is not None, "closed without a close frame"
            if got[0] == 8:
                return struct.unpack(">H", got[1][:2])[0] if got[1] else None


def test_the_handshake(gate_up):
    gate, _ = gate_up
    raw = Raw(gate.port)
    want = base64.b64encode(hashlib.sha1((raw.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    assert b"sec-websocket-accept: " + want in raw.head.lower().replace(want.lower(), want)
    raw.send(8, struct.pack(">H", 1000))
    assert raw.close_code() == 1000
    assert raw.frame() is None  # and the connection ends
    base = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    for more, status in (("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b" 426 "),
                         ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", b" 400 "),
                         ("Sec-WebSocket-Version: 13\r\n", b" 400 ")):
        assert status in Raw(gate.port, base + more + "\r\n", upgrade=False).head.split(b"\r\n")[0]
    elsewhere = base.replace(PATH, "/v1/chat/completions")
    assert b" 426 " in Raw(gate.port, elsewhere + "\r\n", upgrade=False).head.split(b"\r\n")[0]


@pytest.mark.parametrize("fault,code", [("unmasked", 1002), ("rsv", 1002), ("opcode", 1002), ("long ping", 1002),
                                        ("split ping", 1002), ("continuation", 1002), ("binary", 1003),
                                        ("utf-8", 1007), ("too big", 1009)])
def test_faults_end_the_connection(gate_up, fault, code):
    gate, up = gate_up
    raw = Raw(gate.port)
    {"unmasked": lambda: raw.send(1, b"{}", mask=False), "rsv": lambda: raw.send(1, b"{}", rsv=4),
     "opcode": lambda: raw.send(3, b"{}"), "long ping": lambda: raw.send(9, b"x" * 126),
     "split ping": lambda: raw.send(9, b"x", fin=False), "continuation": lambda: raw.send(0, b"x"),
     "binary": lambda: raw.send(2, b"{}"), "utf-8": lambda: raw.send(1, b"\xff\xfe"),
     "too big": lambda: raw.send(1, b"x" * 10, length=1 << 40)}[fault]()
    assert raw.close_code() == code
    assert not up.requests


def test_fragments_and_pings_between(gate_up):
    gate, up = gate_up
    raw = Raw(gate.port)
    text = json.dumps({"type": "response.create", "model": MODEL, "input": "in pieces ü"}, ensure_ascii=False).encode()
    raw.send(1, text[:10], fin=False)
    raw.send(9, b"are you there")
    assert raw.frame() == (10, b"are you there")
    for i in range(10, len(text)):
        raw.send(0, text[i:i + 1], fin=i == len(text) - 1)
    types = []
    while not types or types[-1] != "response.completed":
        op, payload = raw.frame()
        assert op == 1
        types.append(json.loads(payload)["type"])
    assert said(up.last) == ["in pieces ü"]


def test_a_frame_in_single_bytes_and_many_at_once(gate_up):
    gate, _ = gate_up
    raw = Raw(gate.port)
    sent = []
    raw.sock, real = type("S", (), {"sendall": lambda self, b: sent.append(b)})(), raw.sock
    for n in range(5):
        raw.send(1, json.dumps({"type": f"what{n}"}).encode())
    raw.sock = real
    for byte in b"".join(sent):
        real.sendall(bytes([byte]))
    real.sendall(b"".join(sent))
    for _ in range(10):
        op, payload = raw.frame()
        assert op == 1 and json.loads(payload)["type"] == "error"


def test_idle_connections_are_pinged(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])], "ping_interval": "100ms"})
    raw = Raw(gate.port)
    assert raw.frame()[0] == 9 and raw.frame()[0] == 9


def test_an_upstream_of_the_dialect(gateway, upstream):
    """Natively: its events as they are, nothing of the WebSocket's handshake reaches it, and turns go on."""
    def answer(request, reply):
        assert request.method == "POST" and request.json["stream"] is True
        text = f"turn {len(upstream.requests)}"
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}]}
        made = {"id": f"resp_up{len(upstream.requests)}", "object": "response", "created_at": 1, "status": "completed",
                "model": "m", "output": [item], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}
        frames = []
        for n, (name, more) in enumerate((("response.created", {"response": {**made, "output": []}}),
                                          ("response.output_text.delta", {"delta": text, "item_id": "msg_1",
                                                                          "output_index": 0, "content_index": 0}),
                                          ("response.vendor.special", {"kept": True}),
                                          ("response.completed", {"response": made}))):
            event = wire.dump({"type": name, "sequence_number": n, **more})
            frames.append(f"event: {name}\ndata: {event}\n\n".encode())
        reply.sse(frames)

    upstream.handler = answer
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["responses"])]})
    with open_socket(gate) as ws:
        first = create(ws, "one", store=False)
        assert [e["type"] for e in first] == ["response.created", "response.output_text.delta",
                                              "response.vendor.special", "response.completed"]
        create(ws, "two", store=False, previous_response_id=first[-1]["response"]["id"])
    sent = upstream.last
    assert "previous_response_id" not in sent.json and len(sent.json["input"]) == 3
    assert sent.json["input"][1]["content"][0]["text"] == "turn 1"
    names = {name for name, _ in sent.headers}
    assert not [n for n in names if n.startswith("sec-") or n in ("upgrade",)], names
    assert sent.header("content-type", "").startswith("application/json")
    assert sent.header("connection", "keep-alive").lower() != "upgrade"


def test_a_stop_while_everything_runs(gate_up):
    """At the end of the drain a response, a run without client and a compaction are under way: all are cut."""
    gate, up = gate_up
    up.handler = lambda request, reply: reply.wait_gone(15)
    compacting = gate.client()
    with open_socket(gate) as ws:
        ws.send(json.dumps({"type": "response.create", "model": MODEL, "input": "one"}))
        assert gate.ask("POST", PATH, {"model": MODEL, "input": "two", "background": True}).status == 200
        compacting.send(b"POST /v1/responses/compact HTTP/1.1\r\nHost: localhost\r\nContent-Length: 31\r\n\r\n"
                        b'{"model":"gpt-4.1","input":"x"}')
        up.wait(3)
        gate.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            while True:
                ws.recv(timeout=10)
    compacting.close()
    assert gate.wait() == 0


def test_input_of_a_wrong_type(gate_up):
    """Told as an event; the connection serves on."""
    gate, up = gate_up
    with open_socket(gate) as ws:
        for bad in (5, {}, [5], [None]):
            got = create(ws, bad)[-1]
            assert got["type"] == "error" and "input" in got["error"]["message"], got
        assert not up.requests
        assert create(ws, "hello")[-1]["type"] == "response.completed"


def test_a_client_that_only_talks(gate_up):
    """Answers to pings and to nonsense pile up only so far; then it is not listened to until it reads."""
    gate, _ = gate_up
    raw = Raw(gate.port)
    raw.sock.settimeout(1)
    raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    mask = b"abcd"
    ping = bytes([0x89, 0x80 | 125]) + mask + b"x" * 125
    nonsense = bytes([0x81, 0x80 | 2]) + mask + bytes(a ^ b for a, b in zip(b"{}", mask))
    sent = 0
    with pytest.raises(TimeoutError):  # far less than the answers to it would be
        while sent < 50 << 20:
            sent += raw.sock.send((ping + nonsense) * 1000)
    assert sent > 1 << 16
    assert gate.get("/health").status == 200


def test_a_reload_reaches_an_open_connection(gateway, upstream):
    """The next thing that happens on it is under the new configuration."""
    upstream.handler = wire.both("chat", "hello there")
    config = {**base(), "upstreams": [place("openai-compatible", upstream, dialects=["chat"])]}
    gate = gateway({**config, "ping_interval": "60s"})
    raw = Raw(gate.port)
    gate.write({**config, "ping_interval": "1s"})
    gate.signal(signal.SIGHUP)
    time.sleep(0.5)
    raw.send(9, b"wake")
    assert raw.frame() == (10, b"wake")
    assert raw.frame()[0] == 9, "no ping within the new interval"


def test_the_next_message_right_behind_the_end(gateway, upstream):
    """The upstream's stream is open for a while after its last event: the next response is not refused."""
    def slow_end(request, reply):
        made = {"id": f"resp_up{len(upstream.requests)}", "object": "response", "created_at": 1, "status": "completed",
                "model": "m", "output": [], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}
        reply.open_chunks(headers={"content-type": "text/event-stream"})
        for n, name in enumerate(("response.created", "response.completed")):
            event = wire.dump({"type": name, "sequence_number": n, "response": made})
            reply.chunk(f"event: {name}\ndata: {event}\n\n")
        time.sleep(0.3)
        reply.finish()

    upstream.handler = slow_end
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["responses"])]})
    with open_socket(gate) as ws:
        for i in range(3):
            got = create(ws, f"turn {i}", store=False)
            assert got[-1]["type"] == "response.completed", got
    assert len(upstream.requests) == 3
