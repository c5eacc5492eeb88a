"""Statements of PROTOCOLS 11 about transport, routing, errors, counting and model lists."""

import gzip
import json

import pytest

from harness import key, wire
from harness.stand import place

p = pytest.mark.p
SHORT = {"cool": "2s"}


def chat_error(got, status, code=None, type=None):
    """The OpenAI envelope."""
    assert got.status == status, got
    error = got.json["error"]
    assert set(error) >= {"message", "type", "param", "code"} and set(got.json) == {"error"}, got
    assert error["message"]
    assert code is None or error["code"] == code, got
    assert type is None or error["type"] == type, got
    return error


def claude_error(got, status, type=None):
    """The Anthropic envelope, with its request id."""
    assert got.status == status, got
    assert got.json["type"] == "error" and got.json["error"]["message"], got
    assert got.json["request_id"] == got.header("request-id"), got
    assert type is None or got.json["error"]["type"] == type, got
    return got.json["error"]


@p("P-001")
def test_a_chat_key_is_bearer_and_a_missing_one_401(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place("openai", upstream, keys=0)]})
    mine = key("mine")
    assert gate.chat(wire.ask("chat"), {"authorization": f"Bearer {mine}"}).status == 200
    assert upstream.last.header("authorization") == f"Bearer {mine}"
    got = gate.chat(wire.ask("chat"))
    chat_error(got, 401, "invalid_api_key", "invalid_request_error")
    assert got.error == "key_missing" and len(upstream.requests) == 1


@p("P-002")
@pytest.mark.parametrize("form", ["x-api-key", "authorization"])
def test_a_messages_key(gateway, upstream, form):
    upstream.handler = wire.both("anthropic")
    gate = gateway({"upstreams": [place("anthropic", upstream, keys=0)]})
    mine = key("mine")
    value = mine if form == "x-api-key" else f"Bearer {mine}"
    assert gate.messages(wire.ask("anthropic"), {form: value}).status == 200
    assert upstream.last.key == mine
    claude_error(gate.messages(wire.ask("anthropic")), 403, "permission_error")


@p("P-003")
def test_versions_of_messages(to_anthropic, to_chat):
    for one in (to_anthropic, to_chat):
        got = one.gate.ask("POST", "/v1/messages", wire.ask("anthropic"))
        assert got.status == 200, got
    assert to_anthropic.up.last.header("anthropic-version") == "2023-06-01"
    head = {"anthropic-version": "2031-01-01"}
    assert to_anthropic.send(wire.ask("anthropic"), head, "anthropic").status == 200
    assert to_anthropic.up.last.header("anthropic-version") == "2031-01-01"
    claude_error(to_chat.refuse(wire.ask("anthropic"), head), 400, "invalid_request_error")


@p("P-005")
@pytest.mark.parametrize("path", ["/v1/messages/nothing/here", "/nothing", "/v2/chat/completions"])
def test_unknown_paths(to_chat, path):
    got = to_chat.gate.get(path)
    if path.startswith("/v1/messages"):
        claude_error(got, got.status, None)
        assert got.status in (403, 404), got
    else:
        chat_error(got, 404)
        assert got.error == "endpoint_not_found"


@p("P-006")
def test_beta_true_is_ignored(to_chat, to_anthropic):
    for one in (to_chat, to_anthropic):
        got = one.gate.messages(wire.ask("anthropic"), path="/v1/messages?beta=true")
        assert got.status == 200, got
    assert to_anthropic.up.last.path.split("?")[0] == "/v1/messages"


@p("P-008")
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_gzip_bodies(to_chat, dialect):
    body = wire.ask(dialect)
    raw = gzip.compress(json.dumps(body).encode())
    got = to_chat.send(raw, {"content-encoding": "gzip"}, dialect)
    assert got.status == 200, got
    assert to_chat.up.last.header("content-encoding") is None
    if dialect == "chat":
        assert to_chat.up.last.json == body
    before = len(to_chat.up.requests)
    got = to_chat.send(raw[:-9] + b"\0" * 9, {"content-encoding": "gzip"}, dialect)
    (chat_error if dialect == "chat" else claude_error)(got, 400)
    got = to_chat.send(b"no gzip at all", {"content-encoding": "gzip"}, dialect)
    (chat_error if dialect == "chat" else claude_error)(got, 400)
    assert got.error == "invalid_request" and len(to_chat.up.requests) == before


@p("P-009")
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
def test_a_body_over_the_limit(gateway, upstream, dialect):
    gate = gateway({"body_limit": "64KiB", "upstreams": [place("openai-compatible", upstream)]})
    got = gate.post(dialect, wire.ask(dialect, "x" * 70_000))
    if dialect == "chat":
        chat_error(got, 413, "request_too_large")
    else:
        claude_error(got, 413, "request_too_large")
    assert got.error == "request_too_large" and not upstream.requests


@p("P-010")
@pytest.mark.parametrize("dialect", ["chat", "anthropic"])
@pytest.mark.parametrize("raw", [
    b"", b"{", b"[]", b'"x"', b'{"model":"m","messages":[}', b'{"model":"m"} trailing', b"\xff\xfe{}",
    b'{"messages":[]}', b'{"model":5,"messages":[]}', b'{"model":"m","model":"n","messages":[{"role":"user",'
    b'"content":"x"}]}', b'{"model":"m","messages":' + b"[" * 200 + b"]" * 200 + b"}"])
def test_bodies_that_are_no_request(to_chat, to_anthropic, dialect, raw):
    for one in (to_chat, to_anthropic):
        got = one.send(raw, dialect=dialect)
        (chat_error if dialect == "chat" else claude_error)(got, 400)
        assert got.error == "invalid_request" and not one.up.requests, got


# ---------------------------------------------------------------- errors


@p("P-189")
@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("way", ["native", "translated"])
def test_the_operators_key_is_not_the_callers_fault(gateway, upstream, status, client, way):
    speaks = client if way == "native" else wire.OTHER[client]
    upstream.handler = wire.fail(speaks, status, message="your key is no good")
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, wire.ask(client))
    assert got.status in (502, 503, 529), got
    assert got.error in ("upstream_credentials_rejected", "no_upstream_available"), got
    assert status == 402 or got.error == "upstream_credentials_rejected"


@p("P-189")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("way", ["native", "translated"])
def test_the_callers_own_key_is_told(gateway, upstream, client, way):
    speaks = client if way == "native" else wire.OTHER[client]
    mine = key("mine")
    upstream.handler = wire.fail(speaks, 401, message=f"the key {mine} is no good",
                                 type="authentication_error" if speaks == "anthropic" else "invalid_request_error",
                                 **({"code": "invalid_api_key"} if speaks == "chat" else {}))
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream, keys=0)]})
    got = gate.post(client, wire.ask(client), {"authorization": f"Bearer {mine}"})
    assert got.status == 401, got
    assert "is no good" in got.json["error"]["message"] and mine not in got.text
    assert "***" in got.json["error"]["message"]


@p("P-190")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize("speaks", ["chat", "anthropic"])
def test_an_overloaded_upstream(gateway, upstream, client, speaks):
    status = 503 if speaks == "chat" else 529
    upstream.handler = wire.fail(speaks, status, message="overloaded")
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, wire.ask(client))
    if client == "chat":
        chat_error(got, 503 if client != speaks or got.error else status)
    else:
        assert got.status in (529, 503) and got.json["error"]["type"] == "overloaded_error", got


@p("P-191")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize(("status", "speaks"), [(429, "chat"), (429, "anthropic"), (503, "chat")])
def test_retry_after_is_passed(gateway, upstream, client, status, speaks):
    upstream.handler = wire.fail(speaks, status, {"retry-after": "12"})
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, wire.ask(client))
    assert got.status == status or (client == "anthropic" and got.status == 529), got
    assert 10 <= int(got.header("retry-after")) <= 12, got


@p("P-192")
@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize(("speaks", "message", "code"), [
    ("anthropic", "prompt is too long: 210000 tokens > 200000 maximum", None),
    ("chat", "This model's maximum context length is 128000 tokens.", "context_length_exceeded"),
    ("chat", "the request exceeds the maximum number of tokens allowed", None)])
def test_context_length(gateway, upstream, client, speaks, message, code):
    upstream.handler = wire.fail(speaks, 400, message=message, type="invalid_request_error",
                                 **({"code": code} if code else {}))
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, wire.ask(client))
    assert got.status == 400 and len(upstream.requests) == 1, got
    if client == speaks:
        assert got.json == wire.error(speaks, 400, message, type="invalid_request_error",
                                      **({"code": code} if code else {}))
    elif client == "chat":
        chat_error(got, 400, "context_length_exceeded")
    else:
        assert "prompt is too long" in claude_error(got, 400, "invalid_request_error")["message"]


@p("P-193")
def test_anthropic_errors_carry_their_request_id(to_chat):
    got = to_chat.send(b"{")
    claude_error(got, 400)
    assert got.header("x-anyrouter-request-id")
    second = to_chat.send(b"{")
    assert second.json["request_id"] != got.json["request_id"]


@pytest.mark.parametrize("client", ["chat", "anthropic"])
@pytest.mark.parametrize(("status", "expected"), [(400, 400), (404, 404), (413, 413), (422, 422), (500, (500, 502)),
                                                  (504, (502, 504)), (418, (400, 418, 502))])
def test_translated_errors_keep_status_and_text(gateway, upstream, client, status, expected):
    speaks = wire.OTHER[client]
    upstream.handler = wire.fail(speaks, status, message="the reason is é")
    provider = "openai-compatible" if speaks == "chat" else "anthropic-compatible"
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, wire.ask(client))
    assert got.status in (expected if isinstance(expected, tuple) else (expected,)), got
    assert "the reason is é" in got.json["error"]["message"], got
    (chat_error if client == "chat" else claude_error)(got, got.status)


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b'"text"', b'{"detail":"the reason"}',
                                  b'{"message":"the reason"}', b'{"error":"the reason"}', b'[{"error":{"message":'
                                  b'"the reason"}}]'])
@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_error_bodies_of_other_shapes(gateway, upstream, body, client):
    provider = "anthropic-compatible" if client == "chat" else "openai-compatible"
    if client == "chat" and body[:1] == b"[":
        body = b'{"error":{"message":"the reason"}}'  # only Chat-compatible places of Google's send an array
    upstream.handler = wire.whole(body, 400, type="text/html" if body[:1] == b"<" else "application/json")
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = gate.post(client, wire.ask(client))
    error = (chat_error if client == "chat" else claude_error)(got, 400)
    assert b"the reason" not in body or "the reason" in error["message"], got
    assert "<html>" not in error["message"]


# ---------------------------------------------------------------- counting


@p("P-194")
def test_count_tokens_natively(to_anthropic):
    body = {k: v for k, v in wire.ask("anthropic").items() if k != "max_tokens"}
    got = to_anthropic.gate.messages(body, path="/v1/messages/count_tokens?beta=true")
    assert to_anthropic.up.last.path.split("?")[0] == "/v1/messages/count_tokens"
    assert to_anthropic.up.last.json == body
    to_anthropic.up.handler = wire.whole({"input_tokens": 4321})
    got = to_anthropic.gate.messages(body, path="/v1/messages/count_tokens")
    assert got.status == 200 and got.json == {"input_tokens": 4321} and not got.warnings


@p("P-194")
def test_count_tokens_by_estimate(to_chat):
    def count(text):
        body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": text}]}
        got = to_chat.gate.messages(body, {"x-anyrouter-strict": "1"}, path="/v1/messages/count_tokens")
        assert got.status == 200 and set(got.json) == {"input_tokens"}, got
        assert got.warnings == ["approximated:input_tokens"], got
        return got.json["input_tokens"]

    counts = [count("word " * n) for n in (1, 2, 10, 100, 1000)]
    assert counts[0] >= 1 and counts == sorted(counts) and counts[-1] > counts[0] + 500
    assert not to_chat.up.requests


@p("P-194")
def test_count_tokens_where_the_upstream_has_none(to_anthropic):
    to_anthropic.up.handler = wire.fail("anthropic", 404)
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hello"}]}
    got = to_anthropic.gate.messages(body, path="/v1/messages/count_tokens")
    assert got.status == 200 and got.json["input_tokens"] >= 1 and "approximated:input_tokens" in got.warnings


# ---------------------------------------------------------------- models


@pytest.fixture
def listed(gateway, upstream):
    def run(request, reply):
        if request.path.startswith("/v1/models"):
            reply.body({"object": "list", "data": [{"id": "org/up-model", "object": "model", "created": 1,
                                                    "owned_by": "up"}]})
        else:
            reply.body(wire.chat_answer())

    upstream.handler = run
    return gateway({"aliases": {"quick": "mine"}, "upstreams": [
        place("openai-compatible", upstream, models=["mine", "org/name", "org/*"])]})


def eventually(ask, wanted, tries=40):
    """Upstreams' own lists come in the background."""
    import time
    for _ in range(tries):
        got = ask()
        if wanted(got):
            break
        time.sleep(0.05)
    return got


@p("P-197")
def test_the_openai_list(listed):
    got = eventually(lambda: listed.get("/v1/models"), lambda g: "org/up-model" in g.text)
    assert got.status == 200 and got.json["object"] == "list"
    ids = [m["id"] for m in got.json["data"]]
    assert {"mine", "org/name", "org/up-model"} <= set(ids) and len(ids) == len(set(ids))
    for model in got.json["data"]:
        assert model["object"] == "model" and isinstance(model["created"], int) and model["owned_by"]


@p("P-197")
def test_the_anthropic_list(listed):
    head = {"anthropic-version": "2023-06-01"}
    got = listed.get("/v1/models", head)
    assert got.status == 200 and set(got.json) >= {"data", "has_more", "first_id", "last_id"}
    for model in got.json["data"]:
        assert model["type"] == "model" and model["display_name"] and model["created_at"].endswith("Z")
    first = listed.get("/v1/models?limit=1", head).json
    assert len(first["data"]) == 1 and first["has_more"] is True and first["first_id"] == first["last_id"]
    second = listed.get(f"/v1/models?limit=1000&after_id={first['last_id']}", head).json
    assert first["last_id"] not in [m["id"] for m in second["data"]] and second["has_more"] is False


@p("P-198")
def test_the_gemini_list(listed):
    for head, path in (({"x-goog-api-client": "x"}, "/v1/models"), ({}, "/v1beta/models")):
        got = listed.get(path, head)
        assert got.status == 200, got
        assert all(m["name"].startswith("models/") and "generateContent" in m["supportedGenerationMethods"]
                   for m in got.json["models"]) and got.json["models"]


@p("P-199")
def test_a_model_with_a_slash(listed):
    got = listed.get("/v1/models/org/name")
    assert got.status == 200 and got.json["id"] == "org/name" and got.json["object"] == "model"
    got = listed.get("/v1/models/org%2Fname", {"anthropic-version": "2023-06-01"})
    assert got.status == 200 and got.json["id"] == "org/name" and got.json["type"] == "model"


def test_an_unknown_model(listed, upstream):
    got = listed.get("/v1/models/minee")
    assert got.status == 404 and got.error == "model_not_found"
    got = listed.chat(wire.ask("chat", model="minee"))
    error = chat_error(got, 404, "model_not_found")
    assert got.error == "model_not_found" and "mine" in error["message"].replace("minee", "")
    claude_error(listed.messages(wire.ask("anthropic", model="minee")), 404, "not_found_error")
    assert not [r for r in upstream.requests if r.method == "POST"]


def test_an_alias(listed, upstream):
    got = listed.chat(wire.ask("chat", model="quick"))
    assert got.status == 200, got
    assert upstream.last.json["model"] == "mine"
