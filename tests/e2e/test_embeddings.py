"""Embeddings: natively, and OpenAI's and Gemini's forms as each other."""

import base64
import json
import struct

from harness.stand import place

TEXTS = ["one", 'two "quoted"']
VECTORS = [[0.25, -1.5], [1e-3, 2]]


def post(gate, path, body):
    return gate.ask("POST", path, body)


def ask(gate, body):
    return post(gate, "/v1/embeddings", body)


def openai_answer(q, r):
    data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(VECTORS[: len(q.json["input"])])]
    r.body({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 9, "total_tokens": 9}})


def gemini_answer(q, r):
    r.body({"embeddings": [{"values": v} for v in VECTORS[: len(q.json["requests"])]]})


def test_openai_natively(gateway, upstream):
    upstream.handler = openai_answer
    gate = gateway({"upstreams": [place("openai", upstream, models=[{"from": "small", "to": "text-embedding-3-small"}])]})
    got = ask(gate, {"model": "small", "input": TEXTS, "future": 1})
    assert got.status == 200 and got.json["data"][1]["embedding"] == VECTORS[1]
    assert upstream.last.path.endswith("/v1/embeddings")
    assert upstream.last.json == {"model": "text-embedding-3-small", "input": TEXTS, "future": 1}
    metrics = gate.get("/metrics").text
    assert any(line.startswith("anyrouter_input_tokens_total{") and line.endswith(" 9") for line in metrics.splitlines()), metrics


def test_openai_to_gemini(gateway, upstream):
    upstream.handler = gemini_answer
    gate = gateway({"upstreams": [place("gemini", upstream, models=["*"])]})
    got = ask(gate, {"model": "gemini-embedding-001", "input": TEXTS, "dimensions": 2, "user": "u"})
    assert got.status == 200, got
    assert upstream.last.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    asked = upstream.last.json["requests"]
    assert [a["content"]["parts"][0]["text"] for a in asked] == TEXTS
    assert all(a["model"] == "models/gemini-embedding-001" and a["outputDimensionality"] == 2 for a in asked)
    assert [d["embedding"] for d in got.json["data"]] == VECTORS
    assert [d["index"] for d in got.json["data"]] == [0, 1]
    assert got.json["model"] == "gemini-embedding-001" and got.json["usage"]["prompt_tokens"] > 0


def test_openai_to_gemini_in_base64(gateway, upstream):
    """What the official SDKs ask for when nobody says how."""
    upstream.handler = gemini_answer
    gate = gateway({"upstreams": [place("gemini", upstream)]})
    got = ask(gate, {"model": "g", "input": "one", "encoding_format": "base64"})
    raw = base64.b64decode(got.json["data"][0]["embedding"])
    assert list(struct.unpack("<2f", raw)) == VECTORS[0]


def test_token_numbers_cannot_cross(gateway, upstream):
    gate = gateway({"upstreams": [place("gemini", upstream)]})
    got = ask(gate, {"model": "g", "input": [[1, 2], [3]]})
    assert got.status == 400 and "token numbers" in got.json["error"]["message"]
    assert not upstream.requests


def test_gemini_to_openai(gateway, upstream):
    upstream.handler = openai_answer
    gate = gateway({"upstreams": [place("openai", upstream)]})
    body = {"content": {"parts": [{"text": "one"}, {"text": " more"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}
    got = post(gate, "/v1beta/models/text-embedding-3-small:embedContent", body)
    assert got.status == 200, got
    assert upstream.last.json == {"model": "text-embedding-3-small", "input": ["one more"], "encoding_format": "float", "dimensions": 2}
    assert got.json == {"embedding": {"values": VECTORS[0]}}
    assert "dropped:taskType" in got.warnings


def test_gemini_batch_to_openai(gateway, upstream):
    upstream.handler = openai_answer
    gate = gateway({"upstreams": [place("openai", upstream)]})
    body = {"requests": [{"model": "models/e", "content": {"parts": [{"text": t}]}} for t in TEXTS]}
    got = post(gate, "/v1beta/models/e:batchEmbedContents", body)
    assert got.json == {"embeddings": [{"values": v} for v in VECTORS]}


def test_gemini_natively(gateway, upstream):
    upstream.handler = lambda q, r: r.body({"embedding": {"values": VECTORS[0]}})
    gate = gateway({"upstreams": [place("gemini", upstream, models=[{"from": "e", "to": "gemini-embedding-001"}])]})
    body = {"content": {"parts": [{"text": "x"}]}, "taskType": "CLUSTERING"}
    got = post(gate, "/v1beta/models/e:embedContent", body)
    assert got.json == {"embedding": {"values": VECTORS[0]}}
    assert upstream.last.path == "/v1beta/models/gemini-embedding-001:embedContent" and upstream.last.json == body


def test_the_model_is_read_whatever_the_type_says(gateway, upstreams):
    """curl -d sends a form's content-type: it must not lead to somebody else's key."""
    one, two = upstreams(2)
    one.handler = two.handler = lambda q, r: r.body({"object": "list", "data": [], "model": "b", "usage": {}})
    gate = gateway({"upstreams": [place("openai-compatible", one, name="one", models=("a",)),
                                  place("openai-compatible", two, name="two", models=("b",))]})
    form = {"content-type": "application/x-www-form-urlencoded"}
    got = gate.ask("POST", "/v1/embeddings", {"model": "b", "input": "x"}, form)
    assert got.status == 200 and not one.requests and len(two.requests) == 1, got
    got = gate.ask("POST", "/v1/embeddings", {"input": "x"}, form)
    assert got.status == 400 and "model" in got.json["error"]["message"] and not one.requests, got


def test_nobody_embeds(gateway, upstream):
    gate = gateway({"upstreams": [place("anthropic", upstream)]})
    got = ask(gate, {"model": "claude-x", "input": "a"})
    assert got.status == 400 and got.error == "endpoint_not_supported" and not upstream.requests, got


def test_nonsense_is_not_an_answer(gateway, upstream):
    upstream.handler = lambda q, r: r.body({"surprise": True})
    gate = gateway({"upstreams": [place("gemini", upstream)]})
    got = ask(gate, {"model": "g", "input": "a"})
    assert got.status == 502, got


def test_a_vector_that_is_missing_is_no_answer(gateway, upstream):
    """Two texts, one vector: whose it is nobody could say."""
    upstream.handler = lambda q, r: r.body({"embeddings": [{"values": VECTORS[0]}]})
    gate = gateway({"upstreams": [place("gemini", upstream, models=["*"])]})
    assert ask(gate, {"model": "gemini-embedding-001", "input": TEXTS}).status >= 500


def test_the_next_upstream_after_a_failure(gateway, upstreams):
    bad, good = upstreams(2)
    bad.handler = lambda q, r: r.body({"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}, 503)
    good.handler = openai_answer
    gate = gateway({"upstreams": [place("gemini", bad, name="a", priority=1), place("openai", good, name="b", priority=2)]})
    got = ask(gate, {"model": "e", "input": ["a"]})
    assert got.status == 200 and json.loads(got.body)["data"][0]["embedding"] == VECTORS[0]
