"""Google Vertex AI: tokens of a service account, project and location in the path, Claude's raw routes."""

import json
import threading
import time

import pytest

from clouds import TokenEndpoint, service_account
from harness import Gateway, key, wire
from harness.stand import base, place

CLAUDE = "claude-sonnet-4-5@20250929"
ROOT = "/v1/projects/proj-1/locations/europe-west1/publishers"
PATH = f"{ROOT}/anthropic/models/{CLAUDE}"


def vertex(up, tokens, account=None, **more):
    secret = json.dumps(account or service_account(tokens.url + "/token"))
    return place("vertex", up, **{"keys": [secret], "models": None, "region": "europe-west1", **more})


@pytest.fixture
def cloud(upstreams):
    """(the model's place, the token endpoint, its handler)."""
    up, tokens = upstreams(2)
    tokens.handler = TokenEndpoint()
    up.handler = wire.both("anthropic")
    return up, tokens, tokens.handler


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_claude(gateway, cloud, client, stream):
    up, tokens, endpoint = cloud
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    for _ in range(3):
        got = gate.post(client, wire.ask(client, model=CLAUDE, stream=stream), {})
        assert got.status == 200 and got.complete and "hi there" in got.text, got
    seen = up.last
    assert seen.path == PATH + (":streamRawPredict" if stream else ":rawPredict")
    assert seen.header("authorization") == f"Bearer {endpoint.tokens[0]}"
    assert seen.json["anthropic_version"] == "vertex-2023-10-16"
    assert "model" not in seen.json and seen.header("anthropic-version") is None
    assert seen.json.get("stream", False) is stream
    assert len(endpoint.claims) == 1, "the token is kept"
    claims = endpoint.claims[0]
    assert claims["iss"] == "svc@proj-1.iam.gserviceaccount.com" and claims["aud"] == tokens.url + "/token"
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["exp"] - claims["iat"] == 3600 and abs(claims["iat"] - time.time()) < 60


def test_betas_go_into_the_body(gateway, cloud):
    """Those that it knows; as a header some are refused (1M context)."""
    up, tokens, _ = cloud
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    assert gate.messages(wire.ask("anthropic", model=CLAUDE), {"anthropic-beta": "context-1m-2025-08-07,claude-code-20250219"}).status == 200
    assert up.last.header("anthropic-beta") is None
    assert up.last.json["anthropic_beta"] == ["context-1m-2025-08-07"]


def test_count_tokens(gateway, cloud):
    up, tokens, _ = cloud
    up.handler = wire.whole({"input_tokens": 42})
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    got = gate.messages({"model": CLAUDE, "messages": [{"role": "user", "content": "x"}]},
                        path="/v1/messages/count_tokens")
    assert got.status == 200 and got.json["input_tokens"] == 42
    assert up.last.path == f"{ROOT}/anthropic/models/count-tokens:rawPredict"
    assert up.last.json["model"] == CLAUDE


def test_one_fetch_for_all_that_wait(gateway, cloud):
    """Twelve requests at once, one token request."""
    up, tokens, endpoint = cloud
    endpoint.pause = lambda: time.sleep(0.3)
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    got = []
    threads = [threading.Thread(target=lambda: got.append(gate.chat(wire.ask("chat", model=CLAUDE)).status))
               for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [200] * 12
    assert len(endpoint.claims) == 1


def test_a_token_is_renewed_before_it_ends(gateway, cloud):
    """In the second half of its life it serves, and the next is fetched, without anybody waiting for it."""
    up, tokens, endpoint = cloud
    endpoint.lives = 6
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    endpoint.lives = 3600
    endpoint.pause = lambda: time.sleep(0.3)
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert len(endpoint.claims) == 1
    time.sleep(3.1)
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert up.last.header("authorization") == f"Bearer {endpoint.tokens[0]}", "nobody waits for the next"
    end = time.monotonic() + 5
    while len(endpoint.tokens) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    for _ in range(3):
        assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert len(endpoint.tokens) == 2
    assert up.last.header("authorization") == f"Bearer {endpoint.tokens[1]}"


def test_a_token_is_never_used_late(gateway, cloud):
    """One whose time is over is waited for, not sent."""
    up, tokens, endpoint = cloud
    endpoint.lives = 1
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    time.sleep(1.2)
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert len(endpoint.tokens) == 2
    assert up.last.header("authorization") == f"Bearer {endpoint.tokens[1]}"


@pytest.mark.parametrize("status", [400, 401, 503])
def test_no_token_is_a_fault_of_the_key(gateway, upstreams, status):
    """The next key serves; alone, it is the operator's matter and says why."""
    up, good, bad = upstreams(3)
    up.handler = wire.both("anthropic")
    good.handler = TokenEndpoint()
    why = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    bad.handler = wire.whole(why, status)
    keys = [json.dumps(service_account(u.url + "/token", email=f"{n}@x")) for n, u in (("bad", bad), ("good", good))]
    gate = gateway({"upstreams": [vertex(up, None, keys=keys, account={"x": 1})]})
    got = gate.chat(wire.ask("chat", model=CLAUDE))
    assert got.status == 200 and got.header("x-anyrouter-attempts") == "2", got
    alone = gateway({"upstreams": [vertex(up, bad)]})
    got = alone.chat(wire.ask("chat", model=CLAUDE))
    assert got.status == 502
    assert got.error == ("upstream_error" if status == 503 else "upstream_credentials_rejected"), got
    before = len(bad.requests)
    assert alone.chat(wire.ask("chat", model=CLAUDE)).status == 502
    assert len(bad.requests) == before, "a failure is remembered for some seconds"


def test_a_silent_token_endpoint(gateway, cloud):
    """It costs no more than the attempt's own time."""
    up, tokens, endpoint = cloud
    hold = threading.Event()
    endpoint.pause = hold.wait
    gate = gateway({"upstreams": [vertex(up, tokens, timeout="500ms", max_retries=0)]})
    began = time.monotonic()
    got = gate.chat(wire.ask("chat", model=CLAUDE))
    hold.set()
    assert got.status in (502, 504) and time.monotonic() - began < 5, got
    assert not up.requests


def test_a_client_that_leaves_does_not_stop_the_fetch(gateway, cloud):
    up, tokens, endpoint = cloud
    gate_open = threading.Event()
    endpoint.pause = lambda: gate_open.wait(10)
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    with gate.client() as client:
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n")
        body = json.dumps(wire.ask("chat", model=CLAUDE)).encode()
        client.send(b"content-length: %d\r\n\r\n" % len(body) + body)
        tokens.wait(1)
    time.sleep(0.1)
    gate_open.set()
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert len(endpoint.claims) == 1


def test_a_refused_token_is_the_operators_matter(gateway, cloud):
    """The place's own 401; the token shows nowhere, also when the place repeats it."""
    up, tokens, endpoint = cloud
    up.handler = lambda request, reply: reply.body(
        {"error": {"code": 400, "message": f"bad {request.header('authorization')}", "status": "INVALID_ARGUMENT"}}, 400)
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    got = gate.messages(wire.ask("anthropic", model=CLAUDE))
    assert got.status == 400 and got.json["type"] == "error"
    assert endpoint.tokens[0] not in got.text and "***" in got.text


def test_a_caller_brings_a_token_never_a_service_account(gateway, cloud):
    """What a caller sends is a bearer; an address in it is never asked."""
    up, tokens, endpoint = cloud
    gate = gateway({"upstreams": [vertex(up, tokens, keys=0, project="proj-1")]})
    token = "ya29." + key("theirs")
    got = gate.chat(wire.ask("chat", model=CLAUDE), {"authorization": f"Bearer {token}"})
    assert got.status == 200, got
    assert up.last.header("authorization") == f"Bearer {token}"
    account = json.dumps({**service_account(tokens.url + "/token"), "private_key": "x"}).replace(",", ";")
    gate.chat(wire.ask("chat", model=CLAUDE), {"authorization": f"Bearer {account}"})
    assert not endpoint.claims and not tokens.requests


def test_files_and_environment(gateway, cloud, tmp_path):
    """The customary variables; the project is the account's when nobody says another."""
    up, tokens, endpoint = cloud
    file = tmp_path / "account.json"
    file.write_text(json.dumps(service_account(tokens.url + "/token")))
    env = {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "GOOGLE_CLOUD_LOCATION": "us-east5"}
    gate = gateway({"upstreams": [{"name": "vertex", "base_urls": [up.url]}]}, env=env)
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert up.last.path.startswith("/v1/projects/proj-1/locations/us-east5/publishers/anthropic/")
    env["GOOGLE_CLOUD_PROJECT"] = "other-2"
    gate = gateway({"upstreams": [{"name": "vertex", "base_urls": [up.url], "keys": [str(file)]}]}, env=env)
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert up.last.path.startswith("/v1/projects/other-2/")


def test_a_signed_in_users_credentials(gateway, cloud):
    up, tokens, _ = cloud
    seen = []

    def endpoint(request, reply):
        seen.append(request.body.decode())
        reply.body({"access_token": "ya29." + key("user"), "expires_in": 3599})

    tokens.handler = endpoint
    user = {"type": "authorized_user", "client_id": "id&1", "client_secret": "s", "refresh_token": "r/1",
            "token_uri": tokens.url + "/token"}
    gate = gateway({"upstreams": [vertex(up, tokens, account=user, project="proj-1")]})
    assert gate.chat(wire.ask("chat", model=CLAUDE)).status == 200
    assert seen == ["grant_type=refresh_token&client_id=id%261&client_secret=s&refresh_token=r%2F1"]


def test_open_models_go_to_the_chat_route(gateway, cloud):
    up, tokens, _ = cloud
    up.handler = wire.both("chat")
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    got = gate.messages(wire.ask("anthropic", model="meta/llama-4-maverick-17b-128e-instruct-maas"))
    assert got.status == 200, got
    assert up.last.path == "/v1/projects/proj-1/locations/europe-west1/endpoints/openapi/chat/completions"
    assert up.last.json["model"] == "meta/llama-4-maverick-17b-128e-instruct-maas"


GEMINI_ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hi there"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
    "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["anthropic", "chat", "gemini"])
def test_gemini(gateway, cloud, client, stream):
    """Google's own models are spoken to in their dialect, whatever the client's."""
    up, tokens, endpoint = cloud
    model = "gemini-2.5-flash"
    up.handler = (wire.streamed([f"data: {json.dumps(GEMINI_ANSWER)}\r\n\r\n"]) if stream
                  else wire.whole(GEMINI_ANSWER))
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    if client == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        got = gate.ask("POST", f"/v1beta/models/{model}:{verb}",
                       {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]})
    else:
        got = gate.post(client, wire.ask(client, model=model, stream=stream))
    assert got.status == 200 and got.complete and "hi there" in got.text, got
    seen = up.last
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    assert seen.path == f"{ROOT}/google/models/{model}:{verb}"
    assert seen.header("authorization") == f"Bearer {endpoint.tokens[0]}"
    assert "anthropic_version" not in seen.json and "model" not in seen.json


def test_tokens_of_gemini_are_counted(gateway, cloud):
    up, tokens, _ = cloud
    up.handler = wire.whole({"totalTokens": 42})
    gate = gateway({"upstreams": [vertex(up, tokens)]})
    got = gate.messages({"model": "gemini-2.5-pro", "system": "Be brief.",
                         "messages": [{"role": "user", "content": "x"}]}, path="/v1/messages/count_tokens")
    assert got.status == 200 and got.json["input_tokens"] == 42, got
    assert up.last.path == f"{ROOT}/google/models/gemini-2.5-pro:countTokens"
    assert "systemInstruction" in up.last.json and "generateContentRequest" not in up.last.json


class Metadata:
    """The metadata server of a machine of Google's."""

    def __init__(self, status=200):
        self.status, self.tokens = status, []

    def __call__(self, request, reply):
        assert request.method == "GET", request.method
        assert request.path == "/computeMetadata/v1/instance/service-accounts/default/token", request.path
        assert request.header("metadata-flavor") == "Google"
        if self.status != 200:
            return reply.body({"error": "no account"}, self.status)
        self.tokens.append("ya29." + key("metadata"))
        reply.body({"access_token": self.tokens[-1], "expires_in": 3599, "token_type": "Bearer"})


def test_the_machines_own_account(gateway, upstreams):
    """keys: [metadata] asks the metadata server, once."""
    up, server = upstreams(2)
    server.handler = Metadata()
    up.handler = wire.both("anthropic")
    gate = gateway({"upstreams": [place("vertex", up, keys=["metadata"], models=None, region="europe-west1",
                                        project="proj-1")]},
                   env={"GCE_METADATA_HOST": server.url.removeprefix("http://"), "HTTP_PROXY": "http://127.0.0.1:9"})
    for _ in range(3):
        got = gate.messages(wire.ask("anthropic", model=CLAUDE), {})
        assert got.status == 200, got
    assert up.last.header("authorization") == f"Bearer {server.handler.tokens[0]}"
    assert len(server.requests) == 1
    server.clear()


def test_a_machine_without_an_account(gateway, upstreams):
    up, server = upstreams(2)
    server.handler = Metadata(404)
    gate = gateway({"upstreams": [place("vertex", up, keys=["metadata"], models=None, region="europe-west1",
                                        project="proj-1")]},
                   env={"GCE_METADATA_HOST": server.url.removeprefix("http://")})
    assert gate.messages(wire.ask("anthropic", model=CLAUDE), {}).status >= 500
    assert not up.requests


def test_a_caller_names_no_metadata_server(gateway, upstreams):
    """A caller's key is a token and nothing else, whatever it looks like."""
    up, server = upstreams(2)
    up.handler = wire.both("anthropic")
    secret = "metadata:" + server.url.removeprefix("http://")
    gate = gateway({"upstreams": [place("vertex", up, keys=None, models=None, region="europe-west1", project="proj-1",
                                        passthrough="true")]})
    gate.messages(wire.ask("anthropic", model=CLAUDE), {"authorization": f"Bearer {secret}"})
    assert not server.requests


def test_a_private_key_that_is_none_is_told_at_the_start():
    """By the check and by the start, not by the first request."""
    account = {**service_account("http://127.0.0.1:1/token"), "private_key": "-----BEGIN PRIVATE KEY-----\nnonsense\n"}
    gate = Gateway({**base(), "upstreams": [{"provider": "vertex", "keys": [json.dumps(account)]}]})
    gate.spawn()
    assert gate.wait() != 0
    assert "private key" in gate.log and "nonsense" not in gate.log, gate.log
