"""The process: start, drain, reload, environment, commands."""

import json
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness import Gateway, key, wire
from harness.gateway import BINARY, SLOW, clean_env
from harness.http import encode
from harness.stand import base, place

BODY = wire.ask("chat")
STREAM = {**BODY, "stream": True}


def run(*args, env=None, cwd=None):
    return subprocess.run([str(BINARY), *args], capture_output=True, text=True, timeout=20, env=clean_env(env), cwd=cwd,
                          stdin=subprocess.DEVNULL)


def held(free, started):
    """A stream that goes on when `free` is set."""
    def handler(request, reply):
        reply.sse([wire.ROLE, wire.chunk({"content": "a"})], finish=False)
        started.set()
        free.wait(20)
        reply.chunk(wire.chunk({"content": "b"})).chunk(wire.chunk(finish="stop")).chunk(wire.DONE).finish()
    return handler


@pytest.mark.workers
@pytest.mark.parametrize("workers", [1, 2])
def test_drain(gateway, upstream, workers):
    """SIGTERM: the stream finishes, new connections are refused, then exit 0."""
    free, started = threading.Event(), threading.Event()
    upstream.handler = held(free, started)
    gate = gateway({"workers": workers, "drain_timeout": "15s", "upstreams": [place("openai-compatible", upstream)]})
    idle = gate.client()
    assert idle.ask("GET", "/health").status == 200
    with gate.client() as client:
        client.send(encode("POST", "/v1/chat/completions", STREAM))
        assert client.head().status == 200
        assert started.wait(5)
        gate.signal(signal.SIGTERM)
        end = time.monotonic() + 5
        while True:
            try:
                gate.client(timeout=1).close()
                assert time.monotonic() < end, "still takes connections"
                time.sleep(0.02)
            except OSError:
                break
        assert gate.process.poll() is None, "it left a stream behind"
        free.set()
        body = b"".join(client.stream())
    assert body.endswith(b"data: [DONE]\n\n")
    assert gate.wait() == 0
    idle.close()


def test_drain_has_a_deadline(gateway, upstream):
    free, started = threading.Event(), threading.Event()
    upstream.handler = held(free, started)
    gate = gateway({"drain_timeout": "1s", "upstreams": [place("openai-compatible", upstream)]})
    with gate.client() as client:
        client.send(encode("POST", "/v1/chat/completions", STREAM))
        assert client.head().status == 200 and started.wait(5)
        start = time.monotonic()
        gate.signal(signal.SIGTERM)
        code = gate.wait(10 * SLOW)
        assert 0.7 < time.monotonic() - start < 4 * SLOW and code == 0
        rest = client.buf + b"".join(iter(lambda: client.sock.recv(65536), b""))
        assert b"[DONE]" not in rest
    free.set()


@pytest.mark.parametrize("stream", [False, True])
def test_who_has_no_answer_yet_is_told(gateway, upstream, stream):
    """At the drain's deadline a request that waits for its upstream gets a whole 503, in its dialect."""
    free = threading.Event()
    upstream.handler = lambda request, reply: free.wait(10)
    gate = gateway({"drain_timeout": "1s", "upstreams": [place("openai-compatible", upstream)]})
    for dialect, sent in (("/v1/chat/completions", wire.ask("chat", stream=stream)),
                          ("/v1/messages", wire.ask("anthropic", stream=stream))):
        client = gate.client()
        client.send(encode("POST", dialect, sent))
        upstream.wait(1)
        if dialect.endswith("messages"):
            anthropic = client
        else:
            chat = client
    time.sleep(0.2)
    gate.signal(signal.SIGTERM)
    got, other = chat.answer(), anthropic.answer()
    assert got.status == 503 and got.complete and got.json["error"]["message"], got
    assert other.status == 503 and other.complete and other.json["type"] == "error", other
    assert gate.wait(10 * SLOW) == 0
    free.set()


def test_two_signals_in_one_breath_are_one(gateway, upstream):
    """As `timeout` sends them: to the process, and to its group."""
    free, started = threading.Event(), threading.Event()
    upstream.handler = held(free, started)
    gate = gateway({"drain_timeout": "15s", "upstreams": [place("openai-compatible", upstream)]})
    with gate.client() as client:
        client.send(encode("POST", "/v1/chat/completions", STREAM))
        assert client.head().status == 200 and started.wait(5)
        gate.signal(signal.SIGTERM)
        gate.signal(signal.SIGINT)
        time.sleep(0.3)
        free.set()
        body = b"".join(client.stream())
    assert body.endswith(b"data: [DONE]\n\n") and gate.wait() == 0


def test_a_second_sigterm_stops_at_once(gateway, upstream):
    free, started = threading.Event(), threading.Event()
    upstream.handler = held(free, started)
    gate = gateway({"drain_timeout": "30s", "upstreams": [place("openai-compatible", upstream)]})
    with gate.client() as client:
        client.send(encode("POST", "/v1/chat/completions", STREAM))
        assert client.head().status == 200 and started.wait(5)
        gate.signal(signal.SIGTERM)
        time.sleep(0.8)
        assert gate.process.poll() is None
        gate.signal(signal.SIGTERM)
        gate.wait(3 * SLOW)
    gate.checked = True  # whatever the code, it was asked to stop at once
    free.set()


# ---------------------------------------------------------------- reload


def config(up, **more):
    return {**base(), "upstreams": [place("openai-compatible", up, **more)]}


def until(ask, wanted, seconds=5 * SLOW):
    end = time.monotonic() + seconds
    while True:
        got = ask()
        if wanted(got) or time.monotonic() > end:
            return got
        time.sleep(0.05)


@pytest.mark.workers
@pytest.mark.parametrize("how", ["signal", "file"])
def test_reload(gateway, upstreams, how):
    one, two = upstreams(2)
    one.handler = two.handler = wire.both("chat")
    gate = gateway(config(one, name="first"))
    assert gate.chat(BODY).header("x-anyrouter-upstream") == "first"
    gate.write(config(two, name="second"))
    if how == "signal":
        gate.signal(signal.SIGHUP)
    got = until(lambda: gate.chat(BODY), lambda g: g.header("x-anyrouter-upstream") == "second")
    assert got.header("x-anyrouter-upstream") == "second" and two.requests


def test_a_bad_file_is_kept_out(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway(config(upstream, name="first"))
    for bad in ("upstreams: [", "upstreams:\n  - nmae: x\n    provider: openai\n", "listen: 5\nupstreams: 7\n"):
        count = len(gate.lines)
        gate.write(bad)
        gate.signal(signal.SIGHUP)
        end = time.monotonic() + 5 * SLOW
        while not any("anyrouter.yaml" in line for line in gate.lines[count:]) and time.monotonic() < end:
            time.sleep(0.02)
        assert any("anyrouter.yaml" in line for line in gate.lines[count:]), gate.log
        assert gate.chat(BODY).header("x-anyrouter-upstream") == "first"


@pytest.mark.workers
def test_reload_under_load(gateway, upstreams):
    """Requests go on through ten reloads; none fails."""
    one, two = upstreams(2)
    one.handler = two.handler = wire.both("chat")
    gate = gateway({**config(one, name="first"), "workers": 2})
    failed, stop = [], threading.Event()

    def load():
        with gate.client() as client:
            while not stop.is_set():
                got = client.ask("POST", "/v1/chat/completions", STREAM if len(failed) % 2 else BODY)
                if got.status != 200 or not got.complete:
                    failed.append(got)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(10):
        gate.write({**config((one, two)[turn % 2], name=("first", "second")[turn % 2]), "workers": 2})
        gate.signal(signal.SIGHUP)
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
    assert two.requests


# ---------------------------------------------------------------- start


def test_a_port_in_use_is_an_error(gateway, upstream):
    gate = gateway(config(upstream))
    second = Gateway({**base()}, port=gate.port)
    got = run("serve", "--config", str(second.file), "--listen", f"127.0.0.1:{gate.port}", "--data-dir",
              str(second.dir / "d"))
    assert got.returncode == 1 and str(gate.port) in got.stderr, got


def test_open_with_keys_on_a_public_address_is_refused(upstream, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(json.dumps(config(upstream)))
    got = run("serve", "--config", str(file), "--listen", "0.0.0.0:0", "--data-dir", str(tmp_path / "d"))
    assert got.returncode != 0 and "--allow-open" in got.stderr, got


@pytest.mark.parametrize(("text", "words"), [
    ("upstream: []\n", ["upstream", "upstreams"]),
    ("upstreams:\n  - name: a\n    provder: openai\n", ["3", "provder", "provider"]),
    ("upstreams:\n  - name: a\n    provider: openia\n", ["openia"]),
    ("body_limit: lots\n", ["body_limit"]),
    ("upstreams:\n  - name: a\n    provider: openai\n    keys: [\"${NO_SUCH_VARIABLE}\"]\n", ["NO_SUCH_VARIABLE"]),
    ("keys: [${X}]\n", ['"${X}"']),
    ("a: [1\n", ["a.yaml"]),
    ("workers: many\n", ["workers"]),
])
def test_a_bad_file_is_explained(text, words):
    """In a folder with a short name: messages are cut at 160 bytes."""
    tmp_path = Path(tempfile.mkdtemp(prefix="ar"))
    file = tmp_path / "a.yaml"
    file.write_text(text)
    for command in (["config", "check", "--config", str(file)],
                    ["serve", "--config", str(file), "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path / "d")]):
        got = run(*command)
        assert got.returncode == 1, (command, got)
        for word in [*words, "a.yaml"]:
            assert word in got.stderr + got.stdout, (command, word, got)


def test_config_show_masks_secrets(tmp_path, upstream):
    file = tmp_path / "a.yaml"
    mine = key("hidden")
    file.write_text(json.dumps(config(upstream, keys=[mine])))
    for more in ([], ["--sources"], ["--json"]):
        got = run("config", "show", "--config", str(file), *more)
        assert got.returncode == 0 and mine not in got.stdout + got.stderr, got
        assert "openai-compatible" in got.stdout
    got = run("config", "show", "--sources", "--config", str(file), env={"DEFAULT_MAX_TOKENS": "777"})
    assert "777" in got.stdout and "DEFAULT_MAX_TOKENS" in got.stdout and "a.yaml" in got.stdout


def test_commands_explain_themselves():
    for args in (["help"], ["--help"], ["serve", "--help"], ["config", "--help"], ["models", "--help"],
                 ["version", "--help"]):
        got = run(*args)
        assert got.returncode == 0 and got.stdout, (args, got)
    got = run("version")
    assert got.returncode == 0 and re.search(r"\d+\.\d+", got.stdout)
    assert json.loads(run("version", "--json").stdout)
    for args in (["nothing"], ["serve", "--nothing"], ["config", "nothing"]):
        got = run(*args)
        assert got.returncode == 2 and len(got.stderr.strip().splitlines()) <= 3 and got.stderr, (args, got)


def test_models_command(tmp_path, upstream):
    file = tmp_path / "a.yaml"
    file.write_text(json.dumps(config(upstream, models=["one-model", "two-model"])))
    with Gateway(config(upstream, models=["one-model", "two-model"])) as gate:
        listen = f"127.0.0.1:{gate.port}"
        got = run("models", "--config", str(file), "--listen", listen)
        assert got.returncode == 0 and "one-model" in got.stdout, got
        listed = json.loads(run("models", "--config", str(file), "--listen", listen, "--json").stdout)
        assert "two-model" in json.dumps(listed)
    got = run("models", "--config", str(file), "--listen", listen)
    assert got.returncode == 1 and "anyrouter serve" in got.stderr, "no gateway: the error names the next command"


# ---------------------------------------------------------------- environment only


def test_environment_only_openai_client_to_anthropic_upstream(gateway, upstream):
    upstream.handler = wire.both("anthropic")
    mine = key("env")
    gate = gateway(None, env={"ANYROUTER_BASE_URL": upstream.url, "ANYROUTER_API_KEY": mine})
    got = gate.chat({**BODY, "model": "claude-sonnet-4-5"})
    assert got.status == 200 and upstream.last.path.startswith("/v1/messages") and upstream.last.key == mine
    assert "ANYROUTER_BASE_URL" in gate.log


def test_environment_only_pass_through(gateway, upstream):
    upstream.handler = wire.both("anthropic")
    gate = gateway(None, env={"ANYROUTER_BASE_URL": upstream.url})
    mine = key("mine")
    got = gate.messages(wire.ask("anthropic"), {"x-api-key": mine})
    assert got.status == 200 and upstream.last.key == mine


def test_keys_switch_their_providers_on(gateway):
    gate = gateway(None, env={"OPENAI_API_KEY": key("o"), "ANTHROPIC_API_KEY": key("a"), "GEMINI_API_KEY": key("g")})
    got = gate.get("/health/ready")
    assert got.status == 200
    names = run("config", "show", env={"OPENAI_API_KEY": key("o"), "ANTHROPIC_API_KEY": key("a")}).stdout
    assert "openai" in names and "anthropic" in names


def test_old_port_names(gateway, upstream):
    """They add listeners to those of the file; a flag would win over both."""
    from harness import free_port, request
    port, main = free_port(), free_port()
    gate = gateway({**config(upstream), "listen": [f"127.0.0.1:{main}"]}, env={"OPENAI_PROXY_PORT": str(port)},
                   port=main, listen=False)
    assert request(port, "GET", "/health").status == 200
    assert "OPENAI_PROXY_PORT" in gate.log


# ---------------------------------------------------------------- echo


@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_echo(gateway, dialect, stream):
    from harness import canon
    gate = gateway({"upstreams": [{"name": "echo", "provider": "echo"}]})
    got = gate.post(dialect, wire.ask(dialect, "say hello", model="echo/text", stream=stream))
    assert got.status == 200, got
    if dialect == "chat":
        said = canon.chat_stream(got.events) if stream else canon.chat_answer(got.json)
        if stream:
            canon.check_chat_grammar(got.events)
    else:
        said = canon.claude_stream(got.events) if stream else canon.claude_answer(got.json)
        if stream:
            canon.check_claude_grammar(got.events)
    assert "say hello" in said.text and said.stop == "end"
    got = gate.post(dialect, wire.ask(dialect, model="echo/tools", stream=stream, tools=[wire.tool(dialect)]))
    assert got.status == 200 and b"get_weather" in got.body, got
    got = gate.post(dialect, wire.ask(dialect, model="echo/thinking", stream=stream))
    assert got.status == 200 and (b"reasoning_content" if dialect == "chat" else b"thinking") in got.body, got
    got = gate.post(dialect, wire.ask(dialect, model="echo/error-529", stream=stream))
    assert got.status == (503 if dialect == "chat" else 529), got
