"""What only its vendor can read (signatures, encrypted reasoning): back to the vendor byte for byte, to nobody else.

A conversation of two turns with a tool is led in each dialect by a client that keeps what it was given. The upstream that
thought stays, or fails so that the second turn goes to one of another vendor.
"""

import json

import pytest

from harness import Upstream
from harness.stand import place
from matrix import DIALECTS
from matrix.cells import ORDER

ORIGINS = ["anthropic", "responses", "gemini"]
ASK = {"turns": [{"user": [{"text": "Weather in Oslo?"}]}], "tools": ["get_weather"], "think": True, "max": 8000}
SAY = {"items": [{"think": "I should look it up."}, {"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}}], "stop": "tool_use"}
HIDDEN = {**SAY, "items": [{"redacted": True}, SAY["items"][1]]}
THEN = {"items": [{"text": "3C."}], "stop": "end"}
RESULTS = [{"result": "call_a1", "name": "get_weather", "items": [{"text": "3C"}]}]
HOWS = ["whole", "stream"]


def answer(dialect, say, how):
    def run(request, reply):
        if request.method == "GET":
            reply.body({"object": "list", "data": []})
        elif how == "stream":
            reply.sse(dialect.frames(say))
        else:
            reply.body(dialect.answer(say))
    return run


def broken(request, reply):
    reply.body({"error": {"message": "down", "type": "server_error", "code": 503, "status": "UNAVAILABLE"}}, 503)


class Talk:
    """A client's side of one conversation."""

    def __init__(self, gate, client, how):
        self.gate, self.client, self.how = gate, DIALECTS[client], how
        self.path, self.body, self.headers = self.client.request(ASK, "m", how == "stream")

    def turn(self):
        got = self.gate.ask("POST", self.path, self.body, self.headers)
        assert got.status == 200, got
        if self.how == "whole":
            return got.json
        from harness import parse_sse
        return self.client.assemble(parse_sse(got.body.replace(b"\r\n\r\n\r\n", b"\r\n\r\n").lstrip().replace(b"\r\n", b"\n")), native=True)

    def keep(self, whole):
        self.body = self.client.again(self.body, whole, RESULTS)


def upstream_of(dialect, up, name, priority):
    options, model = DIALECTS[dialect].upstream(ASK)
    if dialect == "chat":  # not the Claude behind OpenRouter, which is the same vendor
        options, model = {"provider": "openai", "dialects": ["chat"]}, "gpt-5"
    return place(up=up, name=name, priority=priority, models=[{"from": "m", "to": model}], **options)


@pytest.fixture
def ups():
    made = [Upstream(name="thinks"), Upstream(name="other")]
    yield made
    for up in made:
        up.stop()
        assert not up.errors, up.errors


def posts(up):
    return [r for r in up.requests if r.method == "POST"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("say", [SAY, HIDDEN], ids=["signed", "hidden"])
@pytest.mark.parametrize("client", ORDER)
@pytest.mark.parametrize("origin", ORIGINS)
def test_back_to_its_vendor_byte_for_byte(gateway, ups, origin, client, say, how):
    up, dialect = ups[0], DIALECTS[origin]
    gate = gateway({"upstreams": [upstream_of(origin, up, "thinks", 1)]})
    talk = Talk(gate, client, how)
    up.handler = answer(dialect, say, how)
    talk.keep(talk.turn())
    up.handler = answer(dialect, THEN, how)
    talk.turn()
    sent = posts(up)[-1]
    assert dialect.see(sent.path, sent.json).opaque == [dialect.SIGNATURE]
    assert b"ar1." not in sent.body


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("client", ORDER)
@pytest.mark.parametrize(("origin", "other"), [(a, b) for a in ORIGINS for b in ORDER if a != b])
def test_never_to_another_vendor(gateway, ups, origin, client, other, how):
    """The second turn fails over: who answers it sees the call and its result, and nothing of the thought."""
    first, second = ups
    dialect, foreign = DIALECTS[origin], DIALECTS[other]
    gate = gateway({"upstreams": [upstream_of(origin, first, "thinks", 1), upstream_of(other, second, "other", 2)]})
    talk = Talk(gate, client, how)
    first.handler, second.handler = answer(dialect, SAY, how), answer(foreign, THEN, how)
    talk.keep(talk.turn())
    assert not posts(second)
    first.handler = broken
    talk.turn()
    (sent,) = posts(second)
    seen = foreign.see(sent.path, sent.json)
    assert [i[1] for i in seen.items] == ["text", "call", "result"], seen.items
    for secret in (dialect.SIGNATURE.encode(), b"ar1.", b"YXIxL"):  # as it is, in an envelope, in an envelope as Gemini has it
        assert secret not in sent.body, sent.body
    assert client == other or b"look it up" not in sent.body
    # the vendor itself gets it again, when it is back: by another gateway, as this one lets it rest
    again = gateway({"upstreams": [upstream_of(origin, first, "thinks", 1)]})
    talk.gate = again
    first.clear()
    first.handler = answer(dialect, THEN, how)
    talk.turn()
    (sent,) = posts(first)
    assert dialect.see(sent.path, sent.json).opaque == [dialect.SIGNATURE], json.dumps(sent.json)[:2000]
