"""Amazon Bedrock: signatures, the invoke route and its event stream, the OpenAI-compatible route."""

import base64
import json

import pytest

from clouds import check_sigv4, chunk, chunks, exception, message
from harness import key, wire
from harness.stand import place

REGION = "eu-west-1"
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATH = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"
STREAM = PATH + "-with-response-stream"
TYPE = "application/vnd.amazon.eventstream"


def aws_key(session=None):
    id, secret = "AKIATEST00000000", key("aws")
    return id, secret, ":".join([id, secret] + ([session] if session else []))


def bedrock(up, secret, **more):
    return {"upstreams": [place("bedrock", up, keys=[secret], models=None, region=REGION, **more)]}


def streams(messages, **how):
    def run(request, reply):
        reply.open_chunks(200, {"content-type": TYPE})
        for one in messages:
            reply.chunk(one)
        reply.finish()
    return run


@pytest.mark.parametrize("session", [None, "session/token+with="])
@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_a_whole_answer(gateway, upstream, client, session):
    """The model in the path, the version in the body, the whole signed."""
    session = session and session + key("session")
    id, secret, full = aws_key(session)
    upstream.handler = wire.whole(wire.claude_answer("Bonjour"))
    gate = gateway(bedrock(upstream, full))
    got = gate.post(client, wire.ask(client, model=CLAUDE))
    assert got.status == 200, got
    assert "Bonjour" in got.text
    seen = upstream.last
    assert (seen.method, seen.path) == ("POST", PATH)
    check_sigv4(seen, id, secret, REGION)
    assert seen.header("x-amz-security-token") == session
    assert seen.header("anthropic-version") is None and seen.header("x-api-key") is None
    body = seen.json
    assert body["anthropic_version"] == "bedrock-2023-05-31"
    assert "model" not in body and "stream" not in body and "anthropic_beta" not in body
    assert "hello" in json.dumps(body["messages"])


@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_a_stream(gateway, upstream, client):
    """The binary framing becomes the client's stream; betas that Bedrock knows go into the body."""
    id, secret, full = aws_key()
    frames = wire.claude_stream("Hé ", {"type": "tool_use", "id": "toolu_1", "name": "get_weather",
                                        "input": {"city": "Paris"}})
    upstream.handler = streams(chunks(frames))
    gate = gateway(bedrock(upstream, full))
    head = {"anthropic-beta": "context-1m-2025-08-07,claude-code-20250219"} if client == "anthropic" else {}
    got = gate.post(client, wire.ask(client, model=CLAUDE, stream=True, tools=[wire.tool(client)]), head)
    assert got.status == 200 and got.complete, got
    assert "Hé " in got.text and "get_weather" in got.text and got.events
    assert got.header("content-type").startswith("text/event-stream")
    seen = upstream.last
    assert seen.path == STREAM and seen.header("accept") == TYPE
    check_sigv4(seen, id, secret, REGION)
    assert "stream" not in seen.json
    assert seen.header("anthropic-beta") is None
    if client == "anthropic":
        assert seen.json["anthropic_beta"] == ["context-1m-2025-08-07"]
        assert [e.event for e in got.events] == [f.split("\n")[0][7:] for f in frames]
        assert [json.loads(e.data) for e in got.events] == [json.loads(f.split("data: ")[1]) for f in frames]


def test_a_stream_cut_at_every_kind_of_place(gateway, upstream):
    """Messages do not come in packets of their own."""
    _, _, full = aws_key()
    data = b"".join(chunks(wire.claude_stream("Hello")))

    def run(request, reply):
        reply.head(200, {"content-type": TYPE, "content-length": str(len(data))}).split(data, 7)

    upstream.handler = run
    gate = gateway(bedrock(upstream, full))
    got = gate.messages(wire.ask("anthropic", model=CLAUDE, stream=True))
    assert got.complete and got.events[-1].event == "message_stop"


BROKEN = {
    "damaged": lambda frames: [frames[0], frames[1][:-1] + bytes([frames[1][-1] ^ 1]), *frames[2:]],
    "cut inside a message": lambda frames: [*frames[:-3], frames[-3][:40]],
    "without its end": lambda frames: frames[:-3],
    "an exception": lambda frames: [*frames[:4], exception("modelStreamErrorException", "it broke inside")],
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_a_stream_that_does_not_end_well(gateway, upstream, client, how):
    """Never looks complete."""
    _, _, full = aws_key()
    upstream.handler = streams(BROKEN[how](chunks(wire.claude_stream("Hello ", "there"))))
    gate = gateway(bedrock(upstream, full, max_retries=0))
    got = gate.post(client, wire.ask(client, model=CLAUDE, stream=True))
    assert "message_stop" not in got.text and "[DONE]" not in got.text
    assert got.status != 200 or not got.complete or "error" in got.text
    if how == "an exception":
        assert "it broke inside" in got.text


def test_an_exception_before_the_answer_fails_over(gateway, upstreams):
    one, two = upstreams(2)
    one.handler = streams([exception("throttlingException", "Too many tokens")])
    two.handler = streams(chunks(wire.claude_stream("from the other")))
    keys = [aws_key()[2] for _ in range(2)]
    gate = gateway({"upstreams": [
        place("bedrock", one, name="one", keys=keys[:1], models=None, region=REGION),
        place("bedrock", two, name="two", keys=keys[1:], models=None, region=REGION, priority=2)]})
    got = gate.messages(wire.ask("anthropic", model=CLAUDE, stream=True))
    assert got.status == 200 and "from the other" in got.text
    assert got.header("x-anyrouter-upstream") == "two"


def test_messages_of_other_kinds_are_passed_over(gateway, upstream):
    _, _, full = aws_key()
    other = message({":event-type": "initial-response", ":message-type": "event"}, b"{}")
    upstream.handler = streams([other, *chunks(wire.claude_stream("Hello"))])
    gate = gateway(bedrock(upstream, full))
    got = gate.messages(wire.ask("anthropic", model=CLAUDE, stream=True))
    assert got.complete and got.events[0].event == "message_start"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_an_api_key_is_a_bearer(gateway, upstream, client, stream):
    secret = key("bedrock-api-key")
    frames = chunks(wire.claude_stream("Hello"))
    upstream.handler = streams(frames) if stream else wire.whole(wire.claude_answer("Hello"))
    gate = gateway(bedrock(upstream, secret))
    got = gate.post(client, wire.ask(client, model=CLAUDE, stream=stream))
    assert got.status == 200, got
    assert upstream.last.header("authorization") == f"Bearer {secret}"
    assert upstream.last.header("x-amz-date") is None


@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_open_models_go_to_the_chat_route(gateway, upstream, client):
    id, secret, full = aws_key()
    upstream.handler = wire.both("chat")
    gate = gateway(bedrock(upstream, full))
    got = gate.post(client, wire.ask(client, model="openai.gpt-oss-120b-1:0"))
    assert got.status == 200, got
    seen = upstream.last
    assert seen.path == "/openai/v1/chat/completions"
    assert seen.json["model"] == "openai.gpt-oss-120b-1:0" and "anthropic_version" not in seen.json
    check_sigv4(seen, id, secret, REGION)


def test_names_of_ones_own_and_profiles_by_arn(gateway, upstream):
    """A mapped model is sent by its name; an ARN is one segment of the path."""
    id, secret, full = aws_key()
    arn = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-1-20250805-v1:0"
    upstream.handler = wire.whole(wire.claude_answer("Hello"))
    gate = gateway({"upstreams": [place("bedrock", upstream, keys=[full], region=REGION,
                                        models=[{"from": "opus", "to": arn}])]})
    assert gate.chat(wire.ask("chat", model="opus")).status == 200
    seen = upstream.last
    segment = arn.replace(":", "%3A").replace("/", "%2F")
    assert seen.path == f"/model/{segment}/invoke"
    check_sigv4(seen, id, secret, REGION)


def test_errors_are_the_clients_own(gateway, upstream):
    """Bedrock's envelope is no dialect's; a refused key is the operator's matter, and nothing of it shows."""
    _, secret, full = aws_key()
    gate = gateway(bedrock(upstream, full, max_retries=0))
    upstream.handler = wire.whole({"message": f"1 validation error, {secret}: max_tokens"}, 400)
    got = gate.messages(wire.ask("anthropic", model=CLAUDE))
    assert got.status == 400 and got.json["type"] == "error"
    assert "validation error" in got.json["error"]["message"] and secret not in got.text
    upstream.handler = wire.whole({"message": "The security token included in the request is invalid."}, 403)
    got = gate.chat(wire.ask("chat", model=CLAUDE))
    assert got.status == 502 and got.error == "upstream_credentials_rejected"


def test_the_environment_stands_in(gateway, upstream):
    """Keys and region that the upstream does not say; only for an upstream of this cloud."""
    upstream.handler = wire.whole(wire.claude_answer("Hello"))
    secret = key("env")
    env = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "tok",
           "AWS_REGION": "ap-south-1"}
    gate = gateway({"upstreams": [{"name": "bedrock", "base_urls": [upstream.url]}]}, env=env)
    assert gate.messages(wire.ask("anthropic", model=CLAUDE)).status == 200
    check_sigv4(upstream.last, "AKIAENV", secret, "ap-south-1")
    assert upstream.last.header("x-amz-security-token") == "tok"


def test_a_chunk_that_is_no_event(gateway, upstream):
    _, _, full = aws_key()
    bad = message({":event-type": "chunk", ":message-type": "event"}, b'{"bytes":"%%%"}')
    upstream.handler = streams([chunk({"type": "ping"}), bad])
    gate = gateway(bedrock(upstream, full, max_retries=0))
    got = gate.chat(wire.ask("chat", model=CLAUDE, stream=True))
    assert got.status == 502 and got.error == "upstream_error"


def test_mantle_has_the_vendors_own_paths(gateway, upstream):
    """The same keys; bodies as they are."""
    id, secret, full = aws_key()
    gate = gateway({"upstreams": [place("bedrock-mantle", upstream, keys=[full], models=None, region=REGION)]})
    upstream.handler = wire.both("anthropic")
    assert gate.messages(wire.ask("anthropic", model="anthropic.claude-opus-4-8")).status == 200
    assert upstream.last.path == "/anthropic/v1/messages"
    assert upstream.last.json["model"] == "anthropic.claude-opus-4-8"
    check_sigv4(upstream.last, id, secret, REGION)
    upstream.handler = wire.both("chat")
    assert gate.chat(wire.ask("chat", model="openai.gpt-oss-120b")).status == 200
    assert upstream.last.path == "/v1/chat/completions"


def test_pictures_by_url_are_fetched_first(gateway, upstream):
    """Bedrock takes them inline only."""
    _, _, full = aws_key()

    def run(request, reply):
        if request.method == "GET":
            reply.body(base64.b64decode(wire.PNG), type="image/png")
        else:
            reply.body(wire.claude_answer("a dot"))

    upstream.handler = run
    gate = gateway({**bedrock(upstream, full), "fetch_private": True})
    content = [{"type": "text", "text": "what is this"},
               {"type": "image_url", "image_url": {"url": upstream.url + "/dot.png"}}]
    got = gate.chat({"model": CLAUDE, "messages": [{"role": "user", "content": content}]})
    assert got.status == 200, got
    assert upstream.last.json["messages"][0]["content"][1]["source"]["type"] == "base64"


@pytest.mark.parametrize("status,text,client_status,code", [
    (400, "Input is too long for requested model.", 400, "context_length_exceeded"),
    (400, "The provided model identifier is invalid.", 400, "model_not_found"),
    (400, "Invocation of model ID x with on-demand throughput isn't supported.", 400, "model_not_found"),
    (424, "The model failed.", 502, "upstream_error"),
    (429, "Too many requests, please wait before trying again.", 429, "upstream_rate_limited"),
])
def test_what_bedrock_says_is_understood(gateway, upstream, status, text, client_status, code):
    _, _, full = aws_key()
    upstream.handler = wire.whole({"message": text}, status)
    gate = gateway(bedrock(upstream, full, max_retries=0))
    got = gate.chat(wire.ask("chat", model=CLAUDE))
    assert got.status == client_status, got
    assert code in (got.error, got.json["error"].get("code")), got
