"""Clients that speak Gemini: keys, both framings of a stream, counting, the official SDK on a long stream."""

import json
import random

import pytest
from google import genai
from google.genai import types

from harness import key, wire
from harness.stand import place

p = pytest.mark.p
HI = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
WHOLE = "/v1beta/models/claude-x:generateContent"
ARRAY = "/v1beta/models/claude-x:streamGenerateContent"
EVENTS = ARRAY + "?alt=sse"
COUNT = "/v1beta/models/claude-x:countTokens"


def texts(objects):
    """The visible text of chunks."""
    found = [part.get("text", "") for o in objects for c in o.get("candidates", []) for part in c["content"]["parts"]]
    return "".join(found)


@pytest.fixture
def one(gateway, upstreams):
    """(gateway, upstream): Claude behind a key of the operator's."""
    (up,) = upstreams(1)
    up.handler = wire.both("anthropic")
    return gateway({"upstreams": [place("anthropic", up)]}), up


@p("P-004")
@pytest.mark.parametrize("form", ["x-goog-api-key", "query", "authorization"])
@pytest.mark.parametrize("provider, model", [("gemini", "gemini-x"), ("anthropic", "claude-x")])
def test_a_key_comes_in_three_ways(gateway, upstreams, provider, model, form):
    (up,) = upstreams(1)
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}],
              "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}
    up.handler = wire.both("anthropic") if provider == "anthropic" else wire.whole(answer)
    gate = gateway({"upstreams": [place(provider, up, keys=0)]})
    mine, path, headers = key("mine"), f"/v1beta/models/{model}:generateContent", {}
    if form == "query":
        path += f"?key={mine}"
    else:
        headers = {form: f"Bearer {mine}" if form == "authorization" else mine}
    got = gate.ask("POST", path, HI, headers)
    assert got.status == 200 and got.json["candidates"], got
    sent = up.last
    assert mine not in sent.path
    assert mine in [sent.header("x-goog-api-key"), sent.header("x-api-key"), sent.header("authorization", "")[7:]]
    assert mine not in gate.log
    missing = gate.ask("POST", f"/v1beta/models/{model}:generateContent", HI)
    assert missing.status == 401 and missing.json["error"]["status"] == "UNAUTHENTICATED", missing


@p("P-007", "P-180")
def test_events_or_an_array(one):
    gate, _ = one
    got = gate.ask("POST", EVENTS, HI)
    assert got.status == 200 and got.header("content-type").startswith("text/event-stream") and got.complete
    assert got.body.endswith(b"\r\n\r\n") and b"DONE" not in got.body
    frames = [f.strip() for f in got.body.split(b"\r\n\r\n") if f.strip()]
    assert all(f.startswith(b"data: {") for f in frames)
    events = [json.loads(f[6:]) for f in frames]
    got = gate.ask("POST", ARRAY, HI)
    assert got.status == 200 and got.header("content-type").startswith("application/json") and got.complete
    assert isinstance(got.json, list) and texts(got.json) == texts(events) == "hi there"
    for last in (events[-1], got.json[-1]):
        assert last["candidates"][0]["finishReason"] == "STOP" and last["usageMetadata"]["totalTokenCount"] > 0


@p("P-182")
@pytest.mark.parametrize("how", ["error", "cut"])
def test_an_array_stays_json_after_a_failure(one, how):
    gate, up = one
    frames = [wire.claude_start(), *wire.claude_block(0, {"type": "text", "text": "Half"})[:2]]
    if how == "error":
        frames = [*frames, wire.event("error", error={"type": "overloaded_error", "message": "Overloaded"})]
    up.handler = lambda request, reply: reply.sse(frames, how="close" if how == "cut" else "chunked")
    got = gate.ask("POST", ARRAY, HI)
    assert got.status == 200, got
    assert texts(got.json[:-1]) == "Half"
    assert got.json[-1]["error"]["status"] == ("UNAVAILABLE" if how == "error" else "INTERNAL")


@p("P-005", "P-190")
def test_errors_have_googles_shape(one):
    gate, up = one
    up.handler = wire.fail("anthropic", 529)
    for path in (WHOLE, EVENTS, ARRAY):
        got = gate.ask("POST", path, HI)
        error = (got.json[0] if path == ARRAY else got.json)["error"]
        assert got.status == 503 and error["status"] == "UNAVAILABLE" and error["code"] == 503, got
    got = gate.ask("POST", "/v1beta/nonsense", HI)
    assert got.status == 404 and got.json["error"]["status"] == "NOT_FOUND"
    got = gate.ask("POST", WHOLE, b"{")
    assert got.status == 400 and got.json["error"]["status"] == "INVALID_ARGUMENT"


@p("P-195")
@pytest.mark.parametrize("body", [HI, {"generateContentRequest": {"model": "models/claude-x", **HI}}], ids=["flat", "wrapped"])
def test_tokens_are_counted(one, body):
    gate, up = one
    up.handler = wire.whole({"input_tokens": 42})
    got = gate.ask("POST", COUNT, body)
    assert got.status == 200 and got.json["totalTokens"] == 42, got
    assert up.last.path.startswith("/v1/messages/count_tokens")
    assert up.last.json["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]


def pieces(count):
    """Deltas with letters of one to four bytes, quotes and line ends."""
    letters = ["a", "\u00e9", "\u6f22", "\U0001f600", '"', "\\", "\n", "data: ", "}\r\n"]
    return [letters[i % len(letters)] + str(i) for i in range(count)]


def google_stream(words):
    def chunk(text, **more):
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}]}
    return "".join(f"data: {json.dumps(chunk(w), ensure_ascii=False)}\r\n\r\n" for w in words) + \
        f"data: {json.dumps({**chunk('', finishReason='STOP'), 'usageMetadata': {'totalTokenCount': 2}})}\r\n\r\n"


def claude_pieces(words):
    block = wire.claude_block(0, {"type": "text", "text": ""}, words)
    frames = [wire.claude_start(), *block, wire.claude_delta(), wire.event("message_stop")]
    return "".join(f if isinstance(f, str) else f.decode() for f in frames)


@p("P-181", "P-184")
@pytest.mark.parametrize("provider, model", [("gemini", "gemini-x"), ("anthropic", "claude-x")])
def test_the_sdk_reads_ten_thousand_chunks_cut_anywhere(gateway, upstreams, provider, model):
    (up,) = upstreams(1)
    words = pieces(10_000)
    body = (google_stream(words) if provider == "gemini" else claude_pieces(words)).encode()
    cut = random.Random(7)

    def run(request, reply):
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        at = 0
        while at < len(body):
            size = cut.choice([1, 2, 3, 7, 100, 1000, 5000])
            reply.chunk(body[at:at + size])
            at += size
        reply.finish()

    up.handler = run
    gate = gateway({"upstreams": [place(provider, up)]})
    client = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=gate.url))
    got, last, count = [], None, 0
    for chunk in client.models.generate_content_stream(model=model, contents="go"):
        got.append(chunk.text or "")
        last, count = chunk, count + 1
    assert "".join(got) == "".join(words)
    assert count >= 10_000 or provider != "gemini"
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
