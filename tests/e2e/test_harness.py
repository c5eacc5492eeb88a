"""The harness's own pieces: what would make other tests lie is tested here, without a gateway."""

import ssl
import subprocess
import threading

import pytest

from harness import Client, SseError, Upstream, parse_sse, request, wire
from harness.canary import CANARY, Watch
from harness.sse import loose_sse

pytestmark = pytest.mark.harness


def test_a_request_arrives_as_sent():
    with Upstream(wire.whole({"ok": 1})) as up:
        got = request(up.port, "POST", "/x?y=1", b'{"a": 1}', {"X-Two": ["1", "2"]})
        assert got.json == {"ok": 1} and got.framing == "length" and got.complete
        seen = up.last
        assert (seen.method, seen.path, seen.body) == ("POST", "/x?y=1", b'{"a": 1}')
        assert [v for k, v in seen.headers if k == "x-two"] == ["1", "2"]


@pytest.mark.parametrize("how", ["length", "chunked", "close"])
def test_the_three_framings(how):
    with Upstream(wire.whole({"ok": 1}, how=how)) as up:
        got = request(up.port, "GET", "/")
        assert got.framing == how and got.complete and got.json == {"ok": 1}


def test_split_bytes_and_keep_alive():
    frames = wire.chat_stream("a", "é")
    with Upstream(lambda q, r: r.open_chunks(200, {"content-type": "text/event-stream"})
                  .split(b"".join(b"%x\r\n%s\r\n" % (len(f.encode()), f.encode()) for f in frames))
                  .finish()) as up:
        with Client(up.port) as client:
            first, second = client.ask("POST", "/", {}), client.ask("POST", "/", {})
        assert first.body == second.body == "".join(frames).encode()
        assert up.connections == 1 and up.last.turn == 2
        assert [e.data for e in first.events][-1] == "[DONE]"


@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_truncated_answer_is_seen(end):
    def run(_, reply):
        reply.sse(["data: 1\n\n"], finish=False)
        getattr(reply, end)()

    with Upstream(run) as up:
        got = request(up.port, "GET", "/")
        assert got.status == 200 and not got.complete and got.failure


def test_early_answer_and_wait_gone():
    seen = []

    def run(_, reply):
        reply.body({"error": 1}, 413)
        seen.append(reply.wait_gone(5))
        reply.keep = False

    run.early = True
    with Upstream(run) as up:
        with Client(up.port) as client:
            client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
            assert client.answer().status == 413
        for _ in range(200):
            if seen:
                break
            threading.Event().wait(0.01)
        assert seen and seen[0] is not None


def test_tls(tls_files):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls_files.cert, tls_files.key)
    with Upstream(wire.whole({"ok": 1}), tls=server) as up:
        trust = ssl.create_default_context(cafile=str(tls_files.cert))
        assert request(up.port, "GET", "/", tls=trust).json == {"ok": 1}


def test_script_answers_in_turn():
    with Upstream() as up:
        up.script(wire.whole({"n": 1}), wire.whole({"n": 2}))
        assert [request(up.port, "GET", "/").json["n"] for _ in range(3)] == [1, 2, 2]
        assert len(up.requests) == 3


@pytest.mark.parametrize("bad", [
    b"data: 1\n", b"data: 1\r\n\r\n", b"data:1\n\n", b"event: a\n\n", b"id: 3\ndata: 1\n\n",
    b"data: 1\n\n\n\n", b"data: 1\ndata: 2\n\n", b"event: a\nevent: b\ndata: 1\n\n"])
def test_the_strict_reader_refuses(bad):
    with pytest.raises(SseError):
        parse_sse(bad)


def test_the_readers_read():
    raw = b": hello\nevent: a\ndata: {\"x\":1}\n\ndata: [DONE]\n\n"
    one, two = parse_sse(raw)
    assert (one.event, one.json, one.comments) == ("a", {"x": 1}, ["hello"]) and two.data == "[DONE]"
    assert [e.data for e in loose_sse(b"data:1\r\rdata: 2\r\n\r\n:c\ndata: 3\ndata: 4")] == ["1", "2", "3\n4"]


def test_the_canary_is_found():
    watch = Watch()
    watch.see("x", b"a" * 100)
    assert not watch.leaks
    watch.see("x", f"key sk-{CANARY}-1 was refused")
    assert len(watch.leaks) == 1


def test_the_clean_environment(monkeypatch):
    from harness.gateway import clean_env
    for name in ("OPENAI_API_KEY", "ANYROUTER_BASE_URL", "https_proxy", "PORT"):
        monkeypatch.setenv(name, "x")
    env = clean_env({"MINE": "1"})
    assert env["MINE"] == "1" and not {"OPENAI_API_KEY", "ANYROUTER_BASE_URL", "https_proxy", "PORT"} & set(env)
    assert subprocess.run(["true"], env=env, check=False).returncode == 0
