"""An upstream that speaks Responses behind clients that do not: what the matrix of pairs does not ask."""

import json

import pytest

from harness import Gateway, Upstream, canon
from harness.stand import base, place
from matrix import responses as wire

p = pytest.mark.p


class Place:
    def __init__(self, **more):
        self.up = Upstream()
        self.gate = Gateway({**base(), "upstreams": [place("openai", self.up, dialects=["responses"], **more)]}).start()

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()


@pytest.fixture
def one():
    made = Place()
    yield made
    made.stop()


def says(*items, stop="end", usage=None):
    return {"items": list(items), "stop": stop, "usage": usage or {}}


def plays(say):
    """Answers whole or streamed, as it was asked."""
    def run(request, reply):
        if request.json.get("stream"):
            reply.sse("".join(wire.frames(say)).encode())
        else:
            reply.body(json.dumps(wire.answer(say)).encode())
    return run


def claude(*messages, **more):
    return {"model": "gpt-5", "max_tokens": 4000, "messages": list(messages) or [{"role": "user", "content": "go"}], **more}


def chat(*messages, **more):
    return {"model": "gpt-5", "messages": list(messages) or [{"role": "user", "content": "go"}], **more}


@p("P-107")
def test_nothing_is_stored_and_reasoning_comes_encrypted(one):
    one.up.handler = plays(says({"text": "fine"}))
    for send, body in ((one.gate.messages, claude()), (one.gate.chat, chat())):
        assert send(body).status == 200
        seen = one.up.last
        assert seen.path == "/v1/responses"
        assert (seen.json["store"], seen.json["include"]) == (False, ["reasoning.encrypted_content"])


@p("P-122")
@pytest.mark.parametrize("stream", [False, True])
def test_stop_strings_are_cut_out(one, stream):
    """The match spans deltas of seven characters."""
    one.up.handler = plays(says({"text": "one two three STOPHERE four five"}))
    got = one.gate.messages(claude(stop_sequences=["never", "STOPHERE"], stream=stream))
    assert got.status == 200, got
    said = canon.claude_stream(got.events) if stream else canon.claude_answer(got.json)
    assert said.text == "one two three "
    assert (said.stop, said.sequence) == ("stop_sequence", "STOPHERE")
    assert "stop" not in one.up.last.json and "stop_sequences" not in one.up.last.json
    assert "emulated:stop_sequences" in got.warnings


def test_tokens_are_counted_by_the_upstream(one):
    def run(request, reply):
        assert request.path == "/v1/responses/input_tokens", request.path
        reply.body(b'{"object":"response.input_tokens","input_tokens":42}')

    one.up.handler = run
    body = claude(system="S", tools=[{"name": "f", "input_schema": {"type": "object"}}])
    del body["max_tokens"]
    got = one.gate.ask("POST", "/v1/messages/count_tokens", body, {"anthropic-version": "2023-06-01"})
    assert got.status == 200 and got.json == {"input_tokens": 42}, got
    assert set(one.up.last.json) == {"model", "instructions", "input", "tools"}, one.up.last.json


def test_a_short_name_is_the_clients_again(one):
    long = "tool." + "x" * 80
    one.up.handler = lambda request, reply: plays(
        says({"call": "c1", "name": request.json["tools"][0]["name"], "args": {"a": 1}}, stop="tool_use"))(request, reply)
    tools = [{"name": long, "input_schema": {"type": "object"}}]
    for stream in (False, True):
        got = one.gate.messages(claude(tools=tools, stream=stream))
        said = canon.claude_stream(got.events) if stream else canon.claude_answer(got.json)
        assert said.calls == [(long, json.dumps({"a": 1}, separators=(",", ":")))] or said.calls[0][0] == long
        assert len(one.up.last.json["tools"][0]["name"]) <= 64


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_goes_round(one, stream):
    """What the client was shown as signed thinking comes back to the upstream as its own material."""
    one.up.handler = plays(says({"think": "let me see"}, {"call": "c1", "name": "f", "args": {}}, stop="tool_use"))
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    ask = claude(tools=tools, thinking={"type": "enabled", "budget_tokens": 2000}, stream=stream)
    got = one.gate.messages(ask)
    assert got.status == 200, got
    if stream:
        content, blocks = [], {}
        for event in got.events:
            frame = json.loads(event.data)
            if frame["type"] == "content_block_start":
                blocks[frame["index"]] = dict(frame["content_block"])
            elif frame["type"] == "content_block_delta":
                delta = frame["delta"]
                field = {"thinking_delta": "thinking", "signature_delta": "signature"}.get(delta["type"])
                if field:
                    blocks[frame["index"]][field] += delta[field]
        content = [blocks[i] for i in sorted(blocks)]
    else:
        content = got.json["content"]
    assert content[0]["thinking"] == "let me see" and content[0]["signature"].startswith("ar1.openai."), content
    again = claude(*ask["messages"], {"role": "assistant", "content": content},
                   {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]}, tools=tools)
    assert one.gate.messages(again).status == 200
    items = one.up.last.json["input"]
    (reasoning,) = [i for i in items if i["type"] == "reasoning"]
    assert reasoning["encrypted_content"] == wire.SIGNATURE
    assert reasoning["summary"] == [{"type": "summary_text", "text": "let me see"}]
    assert items[items.index(reasoning) + 1]["type"] == "function_call"


def test_material_that_is_refused_is_left_out(one):
    """9.2: on a translated path, once more without thinking."""
    def run(request, reply):
        if any(i["type"] == "reasoning" for i in request.json["input"]):
            body = {"error": {"message": "The encrypted content gAAA could not be verified.", "type": "invalid_request_error",
                              "param": None, "code": "invalid_encrypted_content"}}
            reply.body(json.dumps(body).encode(), 400)
        else:
            plays(says({"text": "fine"}))(request, reply)

    one.up.handler = run
    history = [{"role": "user", "content": "a"},
               {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "ar1.openai.encrypted...RU5DMQ"},
                                                 {"type": "text", "text": "b"}]},
               {"role": "user", "content": "c"}]
    got = one.gate.messages(claude(*history))
    assert got.status == 200 and got.json["content"][0]["text"] == "fine", got
    assert len(one.up.requests) == 2


def test_a_custom_tool_goes_round_as_it_is(one):
    """P-050, both ways: the grammar is flat upstream, the call's input raw."""
    def run(request, reply):
        assert request.json["tools"] == [{"type": "custom", "name": "patch", "format": {
            "type": "grammar", "syntax": "lark", "definition": "start: /a+/"}}]
        item = {"id": "ctc_1", "type": "custom_tool_call", "status": "completed", "call_id": "c1", "name": "patch", "input": 'a "b"\n'}
        reply.body(json.dumps(wire.shell("completed", [item], wire.usage_body(says()))).encode())

    one.up.handler = run
    tool = {"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a+/"}}}}
    got = one.gate.chat(chat(tools=[tool]))
    assert got.status == 200, got
    (call,) = got.json["choices"][0]["message"]["tool_calls"]
    assert call == {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": 'a "b"\n'}}
    assert got.json["choices"][0]["finish_reason"] == "tool_calls"


def test_a_failure_after_content_is_told_once(one):
    """8.8: an error event and the failed response after it are one failure."""
    say = says({"text": "half of an answer"}, {"text": "never"})

    def run(request, reply):
        frames = wire.frames(say, end=False)
        bad = json.dumps({"type": "error", "code": "server_error", "message": "it broke", "param": None, "sequence_number": 90})
        reply.sse(("".join(frames) + f"event: error\ndata: {bad}\n\n" + wire.error_frames(500, "it broke", 91)[0]).encode())

    one.up.handler = run
    got = one.gate.messages(claude(stream=True))
    names = [e.event for e in got.events]
    assert names.count("error") == 1 and names[-1] == "error", names
    native = one.gate.ask("POST", "/v1/responses", {"model": "gpt-5", "input": "go", "stream": True})
    kinds = [json.loads(e.data)["type"] for e in native.events]
    assert kinds[-2:] == ["error", "response.failed"], kinds


def test_a_stream_is_folded_for_who_asked_for_a_whole(one):
    """8.7: the same answer, whichever way it came."""
    say = says({"think": "hm"}, {"text": "one"}, {"call": "c1", "name": "f", "args": {"x": [1, "é"]}}, stop="tool_use",
               usage={"in": 50, "cached": 30, "out": 9, "reasoning": 4})
    one.up.handler = plays(say)
    tools = [{"type": "function", "function": {"name": "f"}}]
    whole = canon.chat_answer(one.gate.chat(chat(tools=tools)).json)
    streamed = canon.chat_stream(one.gate.chat(chat(tools=tools, stream=True, stream_options={"include_usage": True})).events)
    assert (whole.text, whole.thinking, whole.calls, whole.stop) == (streamed.text, streamed.thinking, streamed.calls, streamed.stop)
    assert {k: whole.usage[k] for k in whole.usage} == streamed.usage
    assert whole.usage["in_cached"] == 30 and whole.usage["out_reasoning"] == 4
