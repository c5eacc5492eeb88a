"""Keys, places and models: who is asked next, who rests, what a client may and may not see."""

import collections
import threading
import time

import pytest

from harness import key, wire
from harness.stand import place

BODY = wire.ask("chat")
CHAT = "openai-compatible"


def by_key(answers, otherwise=None):
    """Answers by the secret a request came with."""
    otherwise = otherwise or wire.both("chat")
    return lambda request, reply: answers.get(request.key, otherwise)(request, reply)


def counts(upstream):
    return collections.Counter(r.key for r in upstream.requests)


# ---------------------------------------------------------------- keys


@pytest.mark.workers
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("whose", ["operator", "caller"])
def test_three_keys_and_300_calls(gateway, upstream, workers, whose):
    """100 each, whoever's they are: a comma-separated list of the caller's is a pool of its own."""
    upstream.handler = wire.both("chat")
    keys = [key(f"k{i}") for i in range(3)]
    config = {"workers": workers, "upstreams": [place(CHAT, upstream, keys=keys if whose == "operator" else 0)]}
    gate = gateway(config)
    head = {"authorization": "Bearer " + ",".join(keys)} if whose == "caller" else {}
    failed = []

    def load(client):
        with gate.client() as connection:
            for _ in range(75):
                got = connection.ask("POST", "/v1/chat/completions", BODY, head)
                if got.status != 200:
                    failed.append(got)

    threads = [threading.Thread(target=load, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
    assert sorted(counts(upstream).values()) == [100, 100, 100], counts(upstream)


@pytest.mark.parametrize("whose", ["operator", "caller"])
def test_a_key_with_429_rests(gateway, upstream, whose):
    """No client sees it; it is asked again only after Retry-After."""
    keys = [key(f"k{i}") for i in range(3)]
    upstream.handler = by_key({keys[0]: wire.fail("chat", 429, {"retry-after": "2"})})
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=keys if whose == "operator" else 0)]})
    head = {"authorization": "Bearer " + ",".join(keys)} if whose == "caller" else {}
    for _ in range(60):
        got = gate.chat(BODY, head)
        assert got.status == 200, got
    seen = counts(upstream)
    assert seen[keys[0]] == 1 and min(seen[keys[1]], seen[keys[2]]) >= 15, seen
    upstream.handler = wire.both("chat")
    upstream.clear()
    time.sleep(2.3)
    for _ in range(30):
        assert gate.chat(BODY, head).status == 200
    assert counts(upstream)[keys[0]] >= 5, counts(upstream)


@pytest.mark.parametrize("status", [401, 402, 403, 429])
@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_a_bad_key_moves_to_the_next_on_the_same_place(gateway, upstreams, status, client):
    one, two = upstreams(2)
    keys = [key("bad"), key("good")]
    one.handler = two.handler = by_key({keys[0]: wire.fail("chat", status)})
    gate = gateway({"upstreams": [place(CHAT, [one, two], keys=keys)]})
    for _ in range(4):
        assert gate.post(client, wire.ask(client)).status == 200
    seen = counts(one) + counts(two)
    assert seen == {keys[0]: 1, keys[1]: 4}, seen
    both = sorted(one.requests + two.requests, key=lambda r: r.at)
    failed = [r.key for r in both].index(keys[0])
    assert (both[failed] in one.requests) == (both[failed + 1] in one.requests), "the place changed, not only the key"


def test_a_bad_request_about_the_key_moves_too(gateway, upstream):
    """400s that mean auth or billing are the key's fault, not the caller's."""
    keys = [key("spent"), key("good")]
    upstream.handler = by_key({keys[0]: wire.fail("anthropic", 400, message="Your credit balance is too low to "
                                                  "access the Anthropic API.")}, wire.both("anthropic"))
    gate = gateway({"upstreams": [place("anthropic-compatible", upstream, keys=keys)]})
    assert gate.messages(wire.ask("anthropic")).status == 200 and len(upstream.requests) == 2


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_all_keys_refused(gateway, upstream, client):
    upstream.handler = wire.fail("chat", 401)
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=3)]})
    got = gate.post(client, wire.ask(client))
    assert (got.status, got.error) == (502, "upstream_credentials_rejected"), got
    assert len(upstream.requests) == 3


def test_the_operator_learns_what_was_said_of_a_key(gateway, upstream):
    """In the log, with the key's fingerprint, though another key served; clients never read it."""
    keys = [key("spent"), key("good")]
    upstream.handler = by_key({keys[0]: wire.fail("chat", 402, message="Your balance is empty.")})
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=keys)]})
    for _ in range(2):
        got = gate.chat(BODY)
        assert got.status == 200 and "balance" not in got.text
    gate.wait_log("event=key_refused")
    line = [x for x in gate.log.splitlines() if "event=key_refused" in x]
    assert len(line) == 1 and "status=402" in line[0] and "Your balance is empty." in line[0], line
    assert keys[0] not in gate.log


def test_a_failure_without_words_names_upstream_and_status(gateway, upstream):
    upstream.handler = lambda request, reply: reply.body(b"<html>bad gateway</html>", 502, "text/html")
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    got = gate.chat(BODY)
    assert got.status == 502 and "up answered with status 502" in got.json["error"]["message"], got
    gate.wait_log("dialect=chat")
    refused, access = (next(x for x in gate.log.splitlines() if part in x) for part in ("event=refused", "dialect=chat"))
    assert "upstream_status=502" in refused and "doing=pick" in refused, refused
    assert "doing=pick" in access and "tokens=" not in access and 'left="up:upstream_error up:upstream_error"' in access, access
    assert 'step="pick"' in gate.get("/metrics").text


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_all_keys_limited(gateway, upstream, client):
    """Every candidate's 429: the caller's 429, with the shortest wait; while all rest nobody is asked."""
    upstream.handler = wire.fail("chat", 429, {"retry-after": "30"})
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=2)]})
    got = gate.post(client, wire.ask(client))
    assert (got.status, got.error) == (429, "upstream_rate_limited"), got
    assert 25 <= int(got.header("retry-after")) <= 30 and len(upstream.requests) == 2
    kind = got.json["error"]["type"]
    assert kind == "rate_limit_error"
    got = gate.post(client, wire.ask(client))
    assert got.status in (429, 503, 529) and int(got.header("retry-after")) >= 20, got
    assert len(upstream.requests) == 2, "a resting key was asked"


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_nothing_left_to_ask(gateway, upstream, client):
    upstream.handler = wire.fail("chat", 503)
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    got = [gate.post(client, wire.ask(client)) for _ in range(4)][-1]
    if client == "chat":
        assert got.status == 503 and got.json["error"]["code"] == "server_is_overloaded", got
    else:
        assert got.status == 529 and got.json["error"]["type"] == "overloaded_error", got
    assert got.error == "no_upstream_available" and int(got.header("retry-after")) >= 1, got


# ---------------------------------------------------------------- places


def dead_port():
    from harness import free_port
    return f"http://127.0.0.1:{free_port()}"


@pytest.mark.parametrize("how", ["refused", "500", "502", "529", "408", "close", "reset", "truncated", "html",
                                 "garbage", "head-cut"])
def test_a_bad_place_moves_to_the_next_with_the_same_key(gateway, upstreams, how):
    one, two = upstreams(2)
    two.handler = wire.both("chat")
    full = wire.dump(wire.chat_answer("x")).encode()
    scripts = {
        "close": lambda q, r: r.close(), "reset": lambda q, r: r.reset(),
        "truncated": lambda q, r: r.head(200, {"content-type": "application/json", "content-length": "500"})
        .send(full[:50]).close(),
        "html": wire.whole(b"<html>oops</html>", type="text/html"),
        "garbage": lambda q, r: r.send(b"SSH-2.0-OpenSSH\r\n\r\n").close(),
        "head-cut": lambda q, r: r.send(b"HTTP/1.1 200 OK\r\ncontent-le").close(),
    }
    one.handler = scripts.get(how) or wire.fail("chat", int(how) if how.isdigit() else 500)
    urls = [dead_port() if how == "refused" else one.url, two.url]
    mine = key("one")
    entry = place(CHAT, two, keys=[mine, key("two")])
    entry["base_urls"] = urls
    gate = gateway({"upstreams": [entry]})
    got = gate.chat(BODY)
    assert got.status == 200 and got.header("x-anyrouter-attempts") == "2", got
    assert counts(two) in ({mine: 1}, {entry["keys"][1]: 1})
    if how != "refused":
        assert one.last.key == two.last.key, "the key changed although the place failed"


def test_a_slow_place_times_out_and_moves(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = lambda q, r: r.wait_gone(5)
    two.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, [one, two], first_byte_timeout="300ms", timeout="500ms")]})
    for body in (BODY, {**BODY, "stream": True}):
        start = time.monotonic()
        assert gate.chat(body).status == 200
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_a_timeout_with_nobody_left(gateway, upstream, client):
    upstream.handler = lambda q, r: r.wait_gone(5)
    gate = gateway({"upstreams": [place(CHAT, upstream, timeout="300ms", max_retries=0)]})
    got = gate.post(client, wire.ask(client))
    assert (got.status, got.error) == (504, "upstream_timeout"), got
    assert got.json["error"]["type"] == ("server_error" if client == "chat" else "timeout_error")


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_a_refused_connection_with_nobody_left(gateway, upstream, client):
    entry = place(CHAT, upstream)
    entry["base_urls"] = [dead_port()]
    gate = gateway({"upstreams": [entry]})
    got = gate.post(client, wire.ask(client))
    assert got.status in (502, 503, 529) and got.error in ("upstream_error", "no_upstream_available"), got


def test_a_place_that_failed_rests(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = wire.fail("chat", 500)
    two.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, [one, two])]})
    for _ in range(20):
        assert gate.chat(BODY).status == 200
    assert len(one.requests) <= 5 and len(two.requests) == 20


# ---------------------------------------------------------------- models and upstreams


def test_a_model_that_is_not_there_moves_to_the_next_upstream(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = wire.fail("chat", 404, code="model_not_found", message="The model does not exist")
    two.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, one, "first", keys=3, priority=1),
                                  place(CHAT, two, "second", priority=2)]})
    got = gate.chat(BODY)
    assert got.status == 200 and got.header("x-anyrouter-upstream") == "second", got
    assert len(one.requests) == 1, "other keys were tried although the model is missing"


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_a_chain_mixes_dialects(gateway, upstreams, client):
    one, two = upstreams(2)
    one.handler, two.handler = wire.fail("chat", 500), wire.both("anthropic")
    gate = gateway({"upstreams": [place(CHAT, one, "first", priority=1),
                                  place("anthropic-compatible", two, "second", priority=2)]})
    for stream in (False, True):
        got = gate.post(client, wire.ask(client, stream=stream))
        assert got.status == 200 and got.header("x-anyrouter-upstream") == "second", got


def test_priority_and_balance(gateway, upstreams):
    ups = upstreams(3)
    for up in ups:
        up.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, ups[0], "a", priority=1), place(CHAT, ups[1], "b", priority=1),
                                  place(CHAT, ups[2], "c", priority=2)]})
    for _ in range(20):
        assert gate.chat(BODY).status == 200
    assert [len(up.requests) for up in ups] == [10, 10, 0]


def test_max_attempts(gateway, upstreams):
    ups = upstreams(4)
    for up in ups:
        up.handler = wire.fail("chat", 500)
    gate = gateway({"max_attempts": 3, "upstreams": [
        place(CHAT, up, f"u{i}", keys=2, priority=i) for i, up in enumerate(ups)]})
    got = gate.chat(BODY)
    assert got.status >= 500 and sum(len(up.requests) for up in ups) == 3, got


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_client_faults_do_not_move_on(gateway, upstreams, status, client):
    one, two = upstreams(2)
    one.handler, two.handler = wire.fail("chat", status, message="your fault"), wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, one, "first", keys=2, priority=1),
                                  place(CHAT, two, "second", priority=2)]})
    got = gate.post(client, wire.ask(client))
    assert got.status == status and "your fault" in got.json["error"]["message"], got
    assert len(one.requests) == 1 and not two.requests
    assert gate.post(client, wire.ask(client)).status == status, "the key rests for the client's fault"


def test_a_client_that_left_does_not_move_on(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = lambda q, r: (r.wait_gone(3), r.close())
    two.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, one, "first", keys=2, priority=1),
                                  place(CHAT, two, "second", priority=2)]})
    client = gate.client()
    from harness.http import encode
    client.send(encode("POST", "/v1/chat/completions", BODY))
    one.wait(1)
    client.close()
    time.sleep(0.5)
    assert len(one.requests) == 1 and not two.requests


def test_a_pin_has_no_failover(gateway, upstreams):
    one, two = upstreams(2)
    one.handler, two.handler = wire.fail("chat", 500), wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, one, "first", priority=1), place(CHAT, two, "second", priority=2)]})
    got = gate.chat(BODY, {"x-anyrouter-provider": "first"})
    assert got.status >= 500 and not two.requests, got
    assert gate.chat(BODY, {"x-anyrouter-provider": "second"}).status == 200
    got = gate.chat(wire.ask("chat", model="second/some-model"))
    assert got.status == 200 and two.last.json["model"] in ("some-model", "second/some-model")


def test_a_callers_own_key_stays_with_one_vendor(gateway, upstreams):
    one, two = upstreams(2)
    one.handler, two.handler = wire.fail("chat", 500), wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, one, "first", keys=0, priority=1),
                                  place(CHAT, two, "second", keys=0, priority=2)]})
    mine = key("mine")
    got = gate.chat(BODY, {"x-api-key": mine})
    assert one.requests and all(mine.encode() in r.head for r in one.requests), got
    assert not any(mine.encode() in r.head for r in two.requests), got  # a local place may serve, without the key


def test_a_callers_own_key_then_the_operators(gateway, upstreams):
    """The next upstream has keys of its own: it may serve, with those."""
    one, two = upstreams(2)
    one.handler, two.handler = wire.fail("chat", 500), wire.both("chat")
    operators = key("operator")
    gate = gateway({"upstreams": [place(CHAT, one, "first", keys=0, priority=1),
                                  place(CHAT, two, "second", keys=[operators], priority=2)]})
    mine = key("mine")
    got = gate.chat(BODY, {"x-api-key": mine})
    assert got.status == 200, got
    assert two.last.key == operators and mine.encode() not in two.last.head


def test_routing_wishes_of_the_body(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = two.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, one, "first", priority=1), place(CHAT, two, "second", priority=2)]})
    got = gate.chat({**BODY, "provider": {"only": ["second"]}})
    assert got.status == 200 and two.requests and not one.requests, got
    assert "provider" not in two.last.json
    got = gate.chat({**BODY, "provider": {"order": ["second", "first"]}, "models": ["x"]})
    assert got.status == 200 and len(two.requests) == 2
    got = gate.chat({**BODY, "provider": {"ignore": ["first", "second"]}})
    assert got.status in (404, 503, 400), got


def test_openrouter_gets_its_wishes_untouched(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openrouter", upstream)]})
    body = {**BODY, "provider": {"only": ["elsewhere"]}, "models": ["a", "b"]}
    got = gate.chat(body)
    assert got.status == 200 and upstream.last.json == body, got


# ---------------------------------------------------------------- the commit point


@pytest.mark.p("P-187")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("speaks", ["chat", "anthropic"])
@pytest.mark.parametrize("how", ["error", "close", "reset", "eof"])
def test_before_content_a_stream_fails_over(gateway, upstreams, client, speaks, how):
    """The role chunk (message_start, ping) is held; what the client sees is the second upstream's."""
    one, two = upstreams(2)
    head = [wire.ROLE] if speaks == "chat" else [wire.claude_start(), wire.PING]

    def run(request, reply):
        reply.sse(head, finish=False)
        time.sleep(0.05)
        if how == "error":
            frame = wire.dump(wire.error(speaks, 529, type="overloaded_error"))
            reply.chunk(f"data: {frame}\n\n" if speaks == "chat" else f"event: error\ndata: {frame}\n\n").finish()
        elif how == "eof":
            reply.finish()
        else:
            getattr(reply, how)()

    one.handler, two.handler = run, wire.both(speaks, "second")
    provider = CHAT if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, one, "first", priority=1),
                                  place(provider, two, "second", priority=2)]})
    got = gate.post(client, wire.ask(client, stream=True))
    assert got.status == 200 and got.complete and b"second" in got.body, got
    assert got.header("x-anyrouter-upstream") == "second" and got.header("x-anyrouter-attempts") == "2"
    text = got.body.decode()
    assert text.count("message_start") == (2 if client == "anthropic" else 0) or client == "chat"
    assert text.count('"role":"assistant"') == 1


@pytest.mark.p("P-188")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("content", ["text", "tool", "thinking"])
def test_the_first_content_commits(gateway, upstreams, client, content):
    """After it: the status is out, no fail-over, an error event and no clean end."""
    one, two = upstreams(2)
    frame = {"text": wire.chunk({"content": "a"}), "tool": wire.piece(0, "", "c1", "f"),
             "thinking": wire.chunk({"reasoning_content": "hm"})}[content]

    def run(request, reply):
        reply.sse([wire.ROLE, frame], finish=False)
        time.sleep(0.1)
        reply.close()

    one.handler, two.handler = run, wire.both("chat", "second")
    gate = gateway({"upstreams": [place(CHAT, one, "first", priority=1), place(CHAT, two, "second", priority=2)]})
    got = gate.post(client, wire.ask(client, stream=True))
    assert got.status == 200 and not two.requests, got
    assert b"[DONE]" not in got.body and b"message_stop" not in got.body
    assert (client == "chat" and not got.complete) or b'"error"' in got.body, got


def test_the_role_chunk_is_held_and_content_is_not(stand):
    """The head goes out with the first content, at once, not at the end."""
    from harness.http import encode
    one = stand("openai")
    go, more = threading.Event(), threading.Event()

    def run(request, reply):
        reply.sse([wire.ROLE], finish=False)
        go.wait(5)
        reply.chunk(wire.chunk({"content": "a"}))
        more.wait(5)
        for frame in wire.chat_stream("b", role=False):
            reply.chunk(frame)
        reply.finish()

    one.up.handler = run
    for path in ("/v1/chat/completions", "/v1/messages"):
        go.clear(), more.clear()
        with one.gate.client(timeout=5) as client:
            client.send(encode("POST", path, wire.ask("chat" if "chat" in path else "anthropic", stream=True)))
            client.sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.head()
            client.sock.settimeout(5)
            go.set()
            assert client.head().status == 200
            seen = b""
            for piece in client.stream():
                seen += piece
                if b'"a"' in seen:
                    more.set()
            assert more.is_set() and (b"[DONE]" in seen or b"message_stop" in seen)


def test_a_silent_upstream_mid_stream_times_out(gateway, upstream):
    def run(request, reply):
        reply.sse([wire.ROLE, wire.chunk({"content": "a"})], finish=False)
        reply.wait_gone(5)

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream, stream_timeout="500ms")]})
    for client in ("chat", "anthropic"):
        start = time.monotonic()
        got = gate.post(client, wire.ask(client, stream=True))
        assert got.status == 200 and time.monotonic() - start < 3
        assert b"[DONE]" not in got.body and b"message_stop" not in got.body and b'"error"' in got.body, got


# ---------------------------------------------------------------- connections


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_a_dead_reused_connection_is_retried_unseen(gateway, upstream, client):
    """The upstream closes after each answer without saying so, as llama-server does."""
    def run(request, reply):
        wire.both("chat")(request, reply)
        reply.keep = False

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream, max_retries=0)]})
    for turn in range(20):
        got = gate.post(client, wire.ask(client, stream=turn % 2 == 0))
        assert got.status == 200 and got.complete, got
        assert got.header("x-anyrouter-attempts") == "1"
    assert len(upstream.requests) == 20


def test_a_connection_that_dies_under_a_request_is_retried_once(gateway, upstream):
    """Closed when the second request arrives on it: sent again on a new one, once, not for ever."""
    def run(request, reply):
        if request.turn > 1:
            reply.reset()
        else:
            wire.both("chat")(request, reply)

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream, max_retries=0)]})
    for _ in range(6):
        got = gate.chat(BODY)
        assert got.status == 200 and got.header("x-anyrouter-attempts") == "1", got
    assert upstream.connections >= 4


def test_connections_are_kept(gateway, upstream):
    """Also after a stream, when its end came together with its last event."""
    def run(request, reply):
        if request.json.get("stream"):
            raw = "".join(wire.stream("chat", "a")).encode()
            reply.open_chunks(200, {"content-type": "text/event-stream"})
            reply.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(raw), raw))
        else:
            reply.body(wire.chat_answer())

    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    for turn in range(30):
        assert gate.chat({**BODY, "stream": turn % 3 == 0}).status == 200
    assert upstream.connections == 1


def test_an_early_answer_during_the_upload(gateway, upstream):
    """The upstream refuses before it read the body."""
    def run(request, reply):
        reply.body(wire.error("chat", 413, "too much"), 413)
        time.sleep(0.2)
        reply.close()

    run.early = True
    upstream.handler = run
    gate = gateway({"upstreams": [place(CHAT, upstream)]})
    got = gate.chat(wire.ask("chat", "x" * 4_000_000))
    assert got.status == 413 and "too much" in got.text, got


def test_a_huge_head_of_an_upstream(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = lambda q, r: r.body(wire.chat_answer(), headers={"x-big": "a" * 300_000})
    two.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, [one, two])]})
    got = gate.chat(BODY)
    assert got.status == 200 and len(got.header("x-big") or "") < 300_000, got


@pytest.mark.workers
def test_many_at_once(gateway, upstream):
    """200 streams at once over two workers, all whole."""
    def run(request, reply):
        reply.sse(wire.chat_stream(*["word "] * 20), pause=0.005)

    upstream.handler = run
    gate = gateway({"workers": 2, "upstreams": [place(CHAT, upstream, keys=3)]})
    got = []

    def one(client):
        got.append(gate.post(client, wire.ask(client, stream=True)))

    threads = [threading.Thread(target=one, args=(("chat", "anthropic")[i % 2],)) for i in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 200 and all(g.status == 200 and g.complete for g in got)
    assert all(g.body.count(b"word ") == 20 for g in got)
