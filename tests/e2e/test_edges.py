"""What must never happen: an answer cut that ends cleanly, a path that climbs, an open gateway by reload."""

import json
import signal
import subprocess
import threading
import time

import pytest

from conftest import make_certificate
from harness import wire
from harness.gateway import BINARY, SLOW, clean_env, free_port
from harness.http import encode
from harness.stand import base, place

CHAT = "openai-compatible"


def long_answer(n):
    return json.dumps(wire.chat_answer("a" * n)).encode()


def in_pieces(body, piece):
    def run(request, reply):
        reply.open_chunks(200, {"content-type": "application/json"})
        for at in range(0, len(body), piece):
            reply.chunk(body[at:at + piece])
        reply.finish()

    return run


def test_a_whole_answer_beyond_the_buffer_comes_whole(gateway, upstream):
    """Pieces that do not divide the buffer: what is kept when it is full is handed on first."""
    body = long_answer(70 << 20)
    upstream.handler = in_pieces(body, 10007)
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    got = gate.chat(wire.ask("chat"), timeout=60)
    assert got.complete and got.status == 200
    assert len(got.body) == len(body) and got.body == body


def test_a_large_whole_answer_that_is_cut_does_not_end_cleanly(gateway, upstream):
    """Framed by the end of the connection, only its JSON tells that it is not all."""
    body = long_answer(3 << 20)[:-100]
    upstream.handler = lambda q, r: r.body(body, how="close")
    gate = gateway({"upstreams": [place(CHAT, upstream)], "max_attempts": 1})
    assert not gate.chat(wire.ask("chat"), timeout=20).complete


@pytest.mark.parametrize("dialect,provider", [("chat", CHAT), ("anthropic", "anthropic-compatible")])
@pytest.mark.parametrize("late", [False, True])
def test_a_whole_answer_to_a_stream_is_told_as_a_stream(gateway, upstream, dialect, provider, late):
    """Also when the status is out already: JSON is never poured into an event stream."""

    def run(request, reply):
        time.sleep(1.5 * SLOW if late else 0)
        reply.body(wire.answer(dialect, "hello"))

    upstream.handler = run
    gate = gateway({"ping_interval": "500ms", "upstreams": [place(provider, upstream)]})
    got = gate.post(dialect, wire.ask(dialect, stream=True))
    assert got.complete and got.status == 200
    assert got.header("content-type").startswith("text/event-stream")
    assert b"hello" in got.body
    last = [e for e in got.events if e.data][-1]
    assert last.data == "[DONE]" if dialect == "chat" else last.event == "message_stop"


def test_bytes_are_never_passed_to_a_generator(gateway, upstream):
    upstream.handler = lambda q, r: r.body({"seen": q.path})
    gate = gateway({"upstreams": [{"name": "echo", "provider": "echo"}, place(CHAT, upstream)]})
    for path in ("/v1/embeddings", "/v1/moderations"):
        got = gate.ask("POST", path, {"model": "echo/text", "input": "a"})
        assert got.status == 400 and got.error == "endpoint_not_supported" and not upstream.requests, got
    assert gate.ask("POST", "/v1/embeddings", {"model": "m", "input": "a"}).status == 200
    assert gate.chat({**wire.ask("chat"), "model": "echo/text"}).status == 200


@pytest.mark.parametrize("path", ["audio/../files", "audio/./../files", "audio/%2e%2E/files", "audio/.%2e/files",
                                  "audio/..%2ffiles", "audio/x%2F..\\..%5cfiles", "audio/.."])
def test_a_path_does_not_climb(gateway, upstream, path):
    """Below a shared path, the operator's key would open what is beside it."""
    upstream.handler = lambda q, r: r.body({"seen": q.path})
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    got = gate.get("/v1/" + path)
    assert got.status == 404 and got.error == "endpoint_not_found", got
    assert not upstream.requests
    assert gate.get("/v1/audio/a..b/c").json["seen"] == "/v1/audio/a..b/c"


def test_a_reload_does_not_open_a_public_gateway(gateway, upstream):
    """The keys that the start would refuse are refused by a reload too."""
    upstream.handler = wire.both("chat")
    port = free_port()
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=0)]}, port=port, listen=False,
                   args=("--listen", f"0.0.0.0:{port}"))
    gate.write({**base(), "upstreams": [place(CHAT, upstream)]})
    gate.signal(signal.SIGHUP)
    gate.wait_log("kept the old configuration: listen has an address")
    assert gate.chat(wire.ask("chat")).status == 200
    assert not upstream.last.key


@pytest.mark.parametrize("line,says", [("limits: {idle: 0}", "limits.idle must be 1ms to 24h, not 0"),
                                       ("limits: {headers: 4294967297}", "must be 1 to 256, not 4294967297"),
                                       ("ping_interval: 0", "ping_interval must be 1ms to 1h, not 0"),
                                       ("body_limit: 0", "body_limit must be 1B to 4GiB, not 0"),
                                       ("drain_timeout: 9223372036854775807ms", "must be a time"),
                                       ("listen: []", "listen must name an address"),
                                       ("trusted_proxies: [10.0.0.1]", "no use of X-Forwarded-For yet")])
def test_options_that_could_not_work_are_refused(tmp_path, line, says):
    file = tmp_path / "a.yaml"
    file.write_text(line + "\n")
    got = subprocess.run([BINARY, "config", "check", "--config", file], env=clean_env(), capture_output=True, text=True,
                         timeout=10 * SLOW, check=False)
    assert got.returncode == 1 and says in got.stderr, got


def start_and_check(tmp_path, settings, *more):
    """What config check and serve say of a configuration that neither may take: the same."""
    file = tmp_path / "a.yaml"
    file.write_text(json.dumps({"listen": "127.0.0.1:0", **settings}))
    said = []
    for command in (["config", "check"], ["serve", "--data-dir", tmp_path / "data"]):
        got = subprocess.run([BINARY, *command, "--config", file, *more], env=clean_env(), capture_output=True, text=True,
                             timeout=10 * SLOW, check=False)
        assert got.returncode == 1, (command, got)
        said.append([line for line in got.stderr.splitlines() if line.startswith("anyrouter: ")])
    assert said[0] == said[1] and len(said[0]) == 1, said
    return said[0][0]


def test_a_token_is_not_required_while_there_is_none(tmp_path, upstream):
    said = start_and_check(tmp_path, {"require_token": True, "upstreams": [place(CHAT, upstream)]})
    assert "require_token" in said and "cannot issue one" in said
    said = start_and_check(tmp_path, {"require_token": True, "upstreams": [place(CHAT, upstream)]},
                           "--listen", "0.0.0.0:0")
    assert "require_token" in said


def test_a_reload_does_not_require_a_token_that_is_not_there(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    gate.write({**base(), "require_token": True, "upstreams": [place(CHAT, upstream)]})
    gate.signal(signal.SIGHUP)
    gate.wait_log("kept the old configuration: require_token is true")
    assert gate.chat(wire.ask("chat")).status == 200


def test_what_serve_refuses_config_check_refuses(tmp_path, upstream, tls_files, tmp_path_factory):
    places = {"upstreams": [place(CHAT, upstream)]}
    assert "--allow-open" in start_and_check(tmp_path, {**places, "listen": "0.0.0.0:0"})
    assert "--allow-open" in start_and_check(tmp_path, places, "--listen", "[::]:0")
    assert "not an address to listen on: nowhere" in start_and_check(tmp_path, {**places, "listen": "nowhere"})
    many = [f"127.0.0.1:{port}" for port in range(20001, 20018)]
    assert "17 addresses: at most 16" in start_and_check(tmp_path, {**places, "listen": many})
    cert, key = str(tls_files.cert), str(tls_files.key)
    other = make_certificate(tmp_path_factory.mktemp("other"))
    gone = str(tmp_path / "gone.pem")
    for tls, words in (({"cert": gone, "key": key}, ["certificate", gone]), ({"cert": cert, "key": gone}, ["key", gone]),
                       ({"cert": cert, "key": str(other.key)}, ["key", str(other.key)]),
                       ({"cert": key, "key": key}, ["certificate", key]), ({"cert": cert}, ["tls needs both"])):
        said = start_and_check(tmp_path, {**places, "tls": tls})
        assert all(word[-20:] in said for word in words), said
    said = start_and_check(tmp_path, {"upstreams": [place(CHAT, upstream, ca_file=gone)]})
    assert f"trusted certificates {gone}: no such file" in said
    file = tmp_path / "good.yaml"
    file.write_text(json.dumps({**places, "listen": "0.0.0.0:0", "tls": {"cert": cert, "key": key}}))
    got = subprocess.run([BINARY, "config", "check", "--config", file, "--allow-open"], env=clean_env(),
                         capture_output=True, text=True, timeout=10 * SLOW, check=False)
    assert got.returncode == 0 and got.stdout.startswith("ok: "), got


def test_a_timeout_of_zero_is_none(gateway, upstream):
    """And not one that is over at once."""
    upstream.handler = lambda q, r: (time.sleep(0.3), wire.both("chat")(q, r))
    gate = gateway({"upstreams": [place(CHAT, upstream, timeout=0, first_byte_timeout=0, stream_timeout=0,
                                        connect_timeout=0)]})
    assert gate.chat(wire.ask("chat")).status == 200
    assert gate.chat(wire.ask("chat", stream=True)).complete


def test_a_preflight_of_a_vendors_client_passes(gateway, upstream):
    gate = gateway({"cors": {"origins": ["https://page.example"]}, "upstreams": [place(CHAT, upstream)]})
    got = gate.ask("OPTIONS", "/v1/messages", None, {
        "origin": "https://page.example", "access-control-request-method": "POST",
        "access-control-request-headers": "anthropic-dangerous-direct-browser-access,x-stainless-os"})
    allowed = {h.strip() for h in got.header("access-control-allow-headers").split(",")}
    assert {"anthropic-dangerous-direct-browser-access", "x-stainless-os", "authorization"} <= allowed
    assert got.header("x-anyrouter-request-id") and got.header("access-control-allow-origin") == "https://page.example"


def test_an_endless_stream_leaves_room_for_others(gateway):
    """One that costs nothing to make, read by a client that keeps up."""
    gate = gateway({"workers": 1, "upstreams": [{"name": "echo", "provider": "echo"}]})
    over = threading.Event()
    with gate.client() as client:
        client.send(encode("POST", "/v1/chat/completions", wire.ask("chat", model="echo/forever-0", stream=True)))
        assert client.head().status == 200

        def drain():
            while not over.is_set():
                client.sock.recv(1 << 20)

        reader = threading.Thread(target=drain)
        reader.start()
        try:
            for _ in range(5):
                assert gate.get("/health", timeout=2 * SLOW).status == 200
        finally:
            over.set()
            reader.join()


def test_a_secret_in_the_query_opens_no_door(gateway, upstream):
    """A page can put ?key= into an address without being asked; only a header makes the browser ask first."""
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=1)]})
    page = {"origin": "https://evil.example"}
    got = gate.ask("POST", "/v1/chat/completions?key=x", wire.ask("chat"), page)
    assert got.status == 403 and got.error == "origin_denied", got
    assert not upstream.requests
    got = gate.ask("POST", "/v1/chat/completions", wire.ask("chat"), {**page, "x-api-key": "x"})
    assert got.status == 200, got


@pytest.mark.parametrize("model", ["echo/error-529", "echo/error-429", "echo/nosuch"])
def test_what_echo_refuses_goes_nowhere_else(gateway, upstream, model):
    """An upstream that serves every model is no stand-in for the built-in one."""
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [{"name": "echo", "provider": "echo"}, place(CHAT, upstream, keys=0)]})
    got = gate.chat(wire.ask("chat", model=model), {"x-api-key": "sk-callers-own"})
    assert got.status >= 400, got
    assert not upstream.requests


@pytest.mark.parametrize("where", ["user", "tool_result"])
def test_a_call_stands_in_assistant_messages_only(gateway, upstream, where):
    """As the vendor has it; another dialect could not be told."""
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    content = [call] if where == "user" else [{"type": "tool_result", "tool_use_id": "c0", "content": [call]}]
    got = gate.messages({**wire.ask("anthropic"), "messages": [{"role": "user", "content": content}]})
    assert got.status == 400 and "assistant message" in got.json["error"]["message"] and not upstream.requests, got


@pytest.mark.parametrize(("path", "member", "value"), [
    ("/v1/chat/completions", "n", 0), ("/v1/completions", "n", 0), ("/v1/chat/completions", "max_tokens", -1),
    ("/v1/chat/completions", "max_completion_tokens", 0), ("/v1/chat/completions", "top_logprobs", -1), ("/v1/responses", "max_output_tokens", 0)])
def test_numbers_out_of_range_are_refused(gateway, upstream, path, member, value):
    """As OpenAI does; another dialect has no word for them."""
    gate = gateway({"upstreams": [place("gemini-compatible", upstream)]})
    got = gate.ask("POST", path, {**wire.ask("chat"), "prompt": "Hi", "input": "Hi", member: value})
    assert got.status == 400 and got.json["error"]["param"] == member and not upstream.requests, got


@pytest.mark.parametrize("kind", ["image", "audio"])
@pytest.mark.parametrize("client", ["chat", "responses"])
def test_no_media_type_is_refused(gateway, upstream, client, kind):
    """What could end the head of a data URL early never reaches a vendor."""
    gate = gateway({"upstreams": [place("gemini-compatible", upstream)]})
    url = "data:image/p\x7fng;base64,AAAA"
    part = {"type": "image_url", "image_url": {"url": url}} if client == "chat" else {"type": "input_image", "image_url": url}
    if kind == "audio":
        part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "w,v"}}
    member = "messages" if client == "chat" else "input"
    path = "/v1/chat/completions" if client == "chat" else "/v1/responses"
    got = gate.ask("POST", path, {"model": "m", member: [{"role": "user", "content": [part]}]})
    assert got.status == 400 and not upstream.requests, got
    assert ("data: URL" if kind == "image" else "a format like wav") in got.json["error"]["message"], got
