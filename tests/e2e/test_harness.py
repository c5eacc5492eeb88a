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


def test_the_two_readers_agree():
    """The same exchange written by hand in both dialects has one meaning."""
    from harness import canon
    chat = canon.chat_request({"model": "m", "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "w?"}]},
        {"role": "assistant", "content": None, "tool_calls": [wire.call(id="a"), wire.call(id="b")]},
        {"role": "tool", "tool_call_id": "a", "content": "sun"}, {"role": "tool", "tool_call_id": "b", "content": "rain"},
        {"role": "user", "content": "and?"}], "tools": [wire.tool("chat")], "tool_choice": "required",
        "parallel_tool_calls": False, "max_tokens": 5, "stop": "x"})
    claude = canon.claude_request({"model": "m", "system": "be brief", "messages": [
        {"role": "user", "content": "w?"}, {"role": "assistant", "content": [wire.use(id="t1"), wire.use(id="t2")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sun"},
                                     {"type": "tool_result", "tool_use_id": "t2", "content": "rain"},
                                     {"type": "text", "text": "and?"}]}], "tools": [wire.tool("anthropic")],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True}, "max_tokens": 5, "stop_sequences": ["x"]})
    assert chat.system == claude.system and chat.choice == claude.choice and chat.parallel is claude.parallel is False
    assert [i[:4] for i in chat.items] == [i[:4] for i in claude.items]
    assert {k: v[:2] for k, v in chat.tools.items()} == {k: v[:2] for k, v in claude.tools.items()}
    assert chat.settings["stop"] == claude.settings["stop"] == ["x"]


def test_streams_and_whole_answers_agree():
    from harness import canon
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hé"}, wire.use()]
    whole = canon.claude_answer(wire.claude_answer(*blocks))
    flow = canon.claude_stream(parse_sse("".join(wire.claude_stream(*blocks)).encode()))
    assert (whole.text, whole.thinking, whole.stop) == (flow.text, flow.thinking, flow.stop) == ("hé", "hm", "tool_use")
    assert [c[0] for c in whole.calls] == [c[0] for c in flow.calls] and flow.ended
    chat = canon.chat_stream(parse_sse("".join(wire.chat_stream(
        "a", "b", wire.piece(0, "", "c1", "f"), wire.piece(0, '{"x":'), wire.piece(0, "1}"),
        finish="tool_calls")).encode()))
    assert (chat.text, chat.calls, chat.stop, chat.ended) == ("ab", [("f", '{"x":1}')], "tool_use", True)
    assert chat.usage["in_total"] == 11


def test_the_grammars_refuse():
    from harness import canon
    good = wire.claude_stream("x")
    canon.check_claude_grammar(parse_sse("".join(good).encode()))
    for bad in (good[:-1], good[1:], good + [wire.PING], good[:4] + good[5:]):
        with pytest.raises(AssertionError):
            canon.check_claude_grammar(parse_sse("".join(bad).encode()))
    good = wire.chat_stream("x", usage=False)
    canon.check_chat_grammar(parse_sse("".join(good).encode()))
    for bad in (good[:-1], good[1:], good[:-2] + good[-1:], [good[0]] + good):
        with pytest.raises(AssertionError):
            canon.check_chat_grammar(parse_sse("".join(bad).encode()))


def test_texts_must_be_verbatim():
    from harness.canon import same_texts
    assert same_texts(["a b", "c"], ["a b\nc"]) and same_texts(["a"], ["a"])
    assert not same_texts(["a b"], ["a  b"]) and not same_texts(["a", "b"], ["a"]) and not same_texts(["a"], ["a", "more words"])


def test_the_corpus_is_read_and_its_rules_run():
    from corpus import SHARED, load, rules
    exchanges = load()
    if not exchanges:
        pytest.skip(f"no corpus at {SHARED}")
    assert len(exchanges) >= 149
    for exchange in exchanges:
        if exchange.body is not None:
            body = exchange.request(rules.target_model(exchange.dialect, exchange.body))
            assert all(rule.section and rule.what for rule in rules.RULES[exchange.dialect](body)), exchange.id


def test_every_recorded_answer_has_a_meaning():
    """The readers take each recorded answer; whole or streamed it says something and why it stopped."""
    from corpus import SHARED, load
    from harness import canon
    exchanges = [e for e in load() if e.status == 200]
    if not exchanges:
        pytest.skip(f"no corpus at {SHARED}")
    whole = {"chat": canon.chat_answer, "anthropic": canon.claude_answer}
    flow = {"chat": canon.chat_stream, "anthropic": canon.claude_stream}
    for exchange in exchanges:
        said = flow[exchange.dialect](loose_sse(exchange.sse)) if exchange.sse is not None else (
            whole[exchange.dialect](exchange.answer))
        assert said.error or (said.stop and said.ended), exchange.id
        assert said.error or said.stop == "refusal" or said.text or said.calls or said.thinking or (
            said.usage["out_total"] is not None), exchange.id
