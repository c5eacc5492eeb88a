"""An upstream that speaks Gemini behind clients that do not: what the matrix of pairs does not ask."""

import base64
import json

import pytest

from harness import wire
from harness.stand import place
from matrix.gemini import DUMMY

p = pytest.mark.p
SIGNATURE = base64.b64encode(b"a signature of Google's").decode()


def parts(*list_, finish="STOP", **more):
    return {"candidates": [{"content": {"role": "model", "parts": list(list_)}, "finishReason": finish, "index": 0}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
            "modelVersion": "up-model", "responseId": "r1", **more}


def plays(*answers):
    """The answers one after the other, whole or streamed as it was asked; the last stays."""
    left = list(answers)

    def run(request, reply):
        answer = left.pop(0) if len(left) > 1 else left[0]
        status = answer["error"]["code"] if "error" in answer else 200
        if "streamGenerateContent" in request.path and status == 200:
            reply.sse(f"data: {json.dumps(answer)}\r\n\r\n".encode())
        else:
            reply.body(answer, status)
    return run


def error(code, message, status, *details):
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


HI = parts({"text": "hi"})
BAD_KEY = error(400, "API key not valid.", "INVALID_ARGUMENT",
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})


def chat(model="gemini-3-pro", *messages, **more):
    return {"model": model, "messages": list(messages) or [{"role": "user", "content": "go"}], **more}


def claude(model="gemini-3-pro", *messages, **more):
    return {"model": model, "max_tokens": 4000, "messages": list(messages) or [{"role": "user", "content": "go"}], **more}


@pytest.fixture
def one(gateway, upstreams):
    """(gateway, upstream) of one place."""
    (up,) = upstreams(1)
    up.handler = plays(HI)
    return gateway({"upstreams": [place("gemini-compatible", up)]}), up


def test_where_it_goes(one):
    gate, up = one
    for stream, verb in ((False, ":generateContent"), (True, ":streamGenerateContent?alt=sse")):
        got = gate.chat(chat(stream=stream))
        assert got.status == 200 and got.complete and "hi" in got.text, got
        assert up.last.path == "/v1beta/models/gemini-3-pro" + verb
        assert up.last.header("x-goog-api-key").startswith("sk-up-") and up.last.header("authorization") is None
        assert "model" not in up.last.json and "stream" not in up.last.json


def test_a_pro_model_has_no_least_level(one):
    gate, up = one
    for model, level in (("gemini-3-pro-preview", "LOW"), ("gemini-3.5-flash", "MINIMAL")):
        assert gate.chat(chat(model, reasoning_effort="minimal")).status == 200
        assert up.last.json["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level


@p("P-092")
@pytest.mark.parametrize("model, config", [
    ("gemini-3-pro", {"thinkingLevel": "LOW", "includeThoughts": True}),
    ("gemini-3.5-flash", {"thinkingLevel": "LOW", "includeThoughts": True}),
    ("google/gemini-2.5-pro", {"thinkingBudget": 2048, "includeThoughts": True}),
    ("gemini-2.5-flash-lite", {"thinkingBudget": 2048, "includeThoughts": True}),
    ("gemini-2.0-flash", None),
])
def test_the_model_decides_how_thinking_is_asked_for(one, model, config):
    gate, up = one
    got = gate.chat(chat(model, reasoning_effort="low"))
    assert got.status == 200, got
    assert up.last.json.get("generationConfig", {}).get("thinkingConfig") == config
    assert bool(got.warnings) is (config is None)


@p("P-141")
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_is_none_is_asked_elsewhere(gateway, upstreams, stream):
    bad, good = upstreams(2)
    bad.handler = plays(parts(finish="MALFORMED_FUNCTION_CALL"))
    good.handler = plays(HI)
    gate = gateway({"upstreams": [place("gemini-compatible", bad, "bad"), place("gemini-compatible", good, "good", priority=2)]})
    got = gate.chat(chat(stream=stream))
    assert got.status == 200 and "hi" in got.text and bad.requests, got
    good.handler = plays(parts(finish="MALFORMED_FUNCTION_CALL"))
    assert gate.chat(chat(stream=stream)).status in (502, 503)


def test_a_stream_that_is_cut(one):
    gate, up = one
    chunk = parts({"text": "half"})
    del chunk["candidates"][0]["finishReason"]
    up.handler = lambda request, reply: reply.sse(f"data: {json.dumps(chunk)}\r\n\r\n".encode())
    got = gate.chat(chat(stream=True))
    assert "half" in got.text and "[DONE]" not in got.text and '"error"' in got.text, got
    got = gate.messages(claude(stream=True))
    assert "event: error" in got.text and "message_stop" not in got.text, got


@p("P-191")
def test_how_long_to_wait(one):
    gate, up = one
    up.handler = plays(error(429, "Quota.", "RESOURCE_EXHAUSTED",
                             {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "11.2s"}))
    got = gate.chat(chat())
    assert got.status == 429 and got.header("retry-after") == "12", got


@p("P-189")
def test_a_bad_key_is_the_keys_fault(gateway, upstreams):
    (up,) = upstreams(1)
    keys = ["canary-key-one-000000", "canary-key-two-000000"]
    gate = gateway({"upstreams": [place("gemini-compatible", up, keys=keys)]})

    def run(request, reply):
        plays(BAD_KEY if request.header("x-goog-api-key") == keys[0] else HI)(request, reply)

    up.handler = run
    for _ in range(4):
        assert gate.chat(chat()).status == 200
    assert sum(r.header("x-goog-api-key") == keys[0] for r in up.requests) <= 1, "a bad key is used again"
    up.handler = plays(BAD_KEY)
    got = gate.chat(chat())
    assert got.status in (502, 503) and "API key not valid" not in got.text, got


@p("P-103")
def test_a_refused_signature_is_left_out(one):
    gate, up = one
    tool = wire.tool("chat")
    up.handler = plays(parts({"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": SIGNATURE}))
    first = gate.chat(chat(tools=[tool])).json["choices"][0]["message"]
    call = first["tool_calls"][0]
    history = [{"role": "user", "content": "go"}, first, {"role": "tool", "tool_call_id": call["id"], "content": "ok"}]
    up.clear()
    up.handler = plays(error(400, "Corrupted thought signature.", "INVALID_ARGUMENT"), HI)
    got = gate.chat(chat("gemini-3-pro", *history, tools=[tool]))
    assert got.status == 200, got
    sent = [r.json["contents"][1]["parts"][0]["thoughtSignature"] for r in up.requests]
    assert sent == [SIGNATURE, DUMMY]


@p("P-104")
def test_a_signature_that_the_client_drops_is_restored(one):
    gate, up = one
    tool = wire.tool("chat")
    up.handler = plays(parts({"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": SIGNATURE}))
    first = gate.chat(chat(tools=[tool])).json["choices"][0]["message"]
    call = {k: v for k, v in first["tool_calls"][0].items() if k != "extra_content"}
    up.handler = plays(HI)
    history = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": call["id"], "content": "ok"}]
    for _ in range(2):
        assert gate.chat(chat("gemini-3-pro", *history, tools=[tool])).status == 200
        assert up.last.json["contents"][1]["parts"][0]["thoughtSignature"] == SIGNATURE


def test_a_signature_comes_back_through_messages(one):
    """8.4.5: in an empty thinking block before the call, for a client that thinks."""
    gate, up = one
    tool = wire.tool("anthropic")
    up.handler = plays(parts({"functionCall": {"id": "c1", "name": "get_weather", "args": {}}, "thoughtSignature": SIGNATURE}))
    ask = claude(tools=[tool], thinking={"type": "enabled", "budget_tokens": 2000})
    for stream in (False, True):
        up.handler = plays(parts({"functionCall": {"id": "c1", "name": "get_weather", "args": {}}, "thoughtSignature": SIGNATURE}))
        got = gate.messages({**ask, "stream": stream})
        assert got.status == 200 and got.complete, got
        if stream:
            assert '"signature_delta"' in got.text and got.text.index('"signature_delta"') < got.text.index('"tool_use"')
            continue
        content = got.json["content"]
        assert [b["type"] for b in content] == ["thinking", "tool_use"]
        assert content[0]["thinking"] == "" and content[0]["signature"].startswith("ar1.google.")
        back = [*ask["messages"], {"role": "assistant", "content": content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]}]
        up.handler = plays(HI)
        assert gate.messages({**ask, "messages": back}).status == 200
        assert up.last.json["contents"][1] == {"role": "model", "parts": [
            {"functionCall": {"id": "c1", "name": "get_weather", "args": {}}, "thoughtSignature": SIGNATURE}]}


@p("P-035")
def test_an_image_by_url_is_fetched(gateway, upstreams):
    up, pictures = upstreams(2)
    up.handler = plays(HI)
    png = base64.b64decode(wire.PNG)
    pictures.handler = lambda request, reply: reply.body(png, 200, "image/png")
    gate = gateway({"fetch_private": True, "upstreams": [place("gemini-compatible", up)]})
    got = gate.chat(chat("gemini-3-pro", {"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": f"{pictures.url}/a.png"}},
        {"type": "image_url", "image_url": {"url": "https://youtu.be/x"}}]}))
    assert got.status == 200 and any(w.startswith("inlined") for w in got.warnings), got
    (content,) = up.last.json["contents"]
    assert content["parts"] == [{"inlineData": {"mimeType": "image/png", "data": wire.PNG}}, {"fileData": {"fileUri": "https://youtu.be/x"}}]


@p("P-194")
def test_counting(one):
    gate, up = one
    up.handler = lambda request, reply: reply.body({"totalTokens": 31})
    got = gate.messages({"model": "gemini-3-pro", "system": "S", "messages": [{"role": "user", "content": "go"}]}, None,
                        "/v1/messages/count_tokens")
    assert got.status == 200 and got.json == {"input_tokens": 31}, got
    assert up.last.path == "/v1beta/models/gemini-3-pro:countTokens"
    inner = up.last.json["generateContentRequest"]
    assert inner["model"] == "models/gemini-3-pro" and inner["systemInstruction"] == {"parts": [{"text": "S"}]}


@p("P-124")
def test_two_candidates(one):
    gate, up = one
    answer = parts({"text": "one"})
    answer["candidates"].append({**answer["candidates"][0], "content": {"role": "model", "parts": [{"text": "two"}]}, "index": 1})
    up.handler = plays(answer)
    got = gate.chat(chat(n=2))
    assert up.last.json["generationConfig"]["candidateCount"] == 2
    assert [c["message"]["content"] for c in got.json["choices"]] == ["one", "two"]


@pytest.mark.parametrize("base,want", [("/v1", "/v1beta/models/"), ("", "/v1beta/models/"), ("/proxy/v1", "/proxy/v1beta/models/")])
def test_a_base_url_with_the_version_of_another_dialect(gateway, upstream, base, want):
    """A proxy's base URL ends in /v1 for its Chat clients; Gemini's paths have a version of their own."""
    upstream.handler = wire.whole({"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]},
                                                   "finishReason": "STOP"}]})
    gate = gateway({"upstreams": [place("litellm", upstream, base_urls=[upstream.url + base], dialects=["chat", "gemini"])]})
    got = gate.ask("POST", "/v1beta/models/gemini-2.5-pro:generateContent", {"contents": [{"parts": [{"text": "x"}]}]})
    assert got.status == 200, got
    assert upstream.last.path == want + "gemini-2.5-pro:generateContent"
    upstream.handler = wire.both("chat")
    got = gate.chat({"model": "gemini-2.5-pro", "messages": [{"role": "user", "content": "x"}]})
    assert got.status == 200 and upstream.last.path == (base or "/v1") + "/chat/completions"
