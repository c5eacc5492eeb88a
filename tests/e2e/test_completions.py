"""The legacy POST /v1/completions: native where a place has it, a conversation of one turn elsewhere."""

import json

import pytest

from harness import wire
from harness.stand import place


def ask(gate, body):
    return gate.ask("POST", "/v1/completions", body)


def frames_of(*values):
    return [f"data: {v if isinstance(v, str) else json.dumps(v)}\n\n" for v in values]


def native(q, r):
    if q.json.get("stream"):
        head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
        frames = [
            {**head, "choices": [{"text": "he", "index": 0, "logprobs": None, "finish_reason": None}]},
            {**head, "choices": [{"text": "y", "index": 0, "logprobs": None, "finish_reason": None}]},
            {**head, "choices": [{"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}]},
        ]
        r.sse(frames_of(*frames, "[DONE]"))
    else:
        r.body({"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
                "choices": [{"text": "hey", "index": 0, "logprobs": None, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}})


def test_natively(gateway, upstream):
    upstream.handler = native
    gate = gateway({"upstreams": [place("openai", upstream)]})
    body = {"model": "m", "prompt": [1, 2, 3], "suffix": "end", "echo": True}
    got = ask(gate, body)
    assert got.status == 200 and got.json["choices"][0]["text"] == "hey"
    assert upstream.last.json == body and upstream.last.path.endswith("/v1/completions")


@pytest.mark.parametrize("provider", ["anthropic", "mistral"])
def test_as_a_conversation(gateway, upstream, provider):
    upstream.handler = wire.both("anthropic" if provider == "anthropic" else "chat")
    gate = gateway({"upstreams": [place(provider, upstream)]})
    got = ask(gate, {"model": "m", "prompt": "Say hey", "max_tokens": 7, "stop": ["X"], "echo": True})
    assert got.status == 200, got
    assert got.json["object"] == "text_completion" and got.json["choices"][0]["text"].startswith("Say hey")
    assert got.json["choices"][0]["finish_reason"] in ("stop", "length")
    sent = upstream.last.json
    assert sent["messages"][-1]["role"] == "user" and "Say hey" in str(sent["messages"][-1]["content"])
    assert sent.get("max_tokens", sent.get("max_completion_tokens")) == 7


def test_as_a_streamed_conversation(gateway, upstream):
    upstream.handler = wire.both("anthropic")
    gate = gateway({"upstreams": [place("anthropic", upstream)]})
    got = ask(gate, {"model": "m", "prompt": "Say hey", "stream": True, "stream_options": {"include_usage": True}})
    frames = got.events
    assert got.complete and frames[-1].data == "[DONE]"
    chunks = [f.json for f in frames[:-1]]
    assert all(c["object"] == "text_completion" for c in chunks)
    assert "".join(c["choices"][0]["text"] for c in chunks if c["choices"])
    assert chunks[-1]["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(
    "extra, field",
    [({"suffix": "end"}, "suffix"), ({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt")],
)
def test_what_only_the_endpoint_itself_can(gateway, upstream, extra, field):
    gate = gateway({"upstreams": [place("anthropic", upstream)]})
    got = ask(gate, {"model": "m", "prompt": "a", **extra})
    assert got.status == 400 and got.json["error"]["param"] == field, got
    assert not upstream.requests


def test_a_cut_native_stream_never_looks_complete(gateway, upstream):
    def cut(q, r):
        r.sse(frames_of({"id": "c", "object": "text_completion", "created": 1, "model": "m",
                   "choices": [{"text": "he", "index": 0, "logprobs": None, "finish_reason": None}]}), finish=False)
        r.close()
    upstream.handler = cut
    gate = gateway({"upstreams": [place("openai", upstream)]})
    got = ask(gate, {"model": "m", "prompt": "a", "stream": True})
    assert not got.complete and b"[DONE]" not in got.body
