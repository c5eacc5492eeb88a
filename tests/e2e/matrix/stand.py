"""A gateway in front of one scripted upstream of any dialect, for tests that write their own bodies."""

import json
import re

from harness import Gateway, Upstream, parse_sse
from harness.stand import base, place

from . import DIALECTS
from .neutral import StreamError, dump

OPTIONS = {
    "chat": {"provider": "openai", "dialects": ["chat"]},
    "responses": {"provider": "openai", "dialects": ["responses"]},
    "anthropic": {"provider": "anthropic"},
    "gemini": {"provider": "gemini"},
}
MODELS = {"chat": "gpt-4.1", "responses": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
HELLO = {"items": [{"text": "hi there"}], "stop": "end"}


def saying(upstream, say):
    """A handler: the upstream says so, whole or streamed as it was asked."""
    dialect = DIALECTS[upstream]

    def run(request, reply):
        if request.method == "GET":
            reply.body({"object": "list", "data": []})
        elif "stream" in request.path or request.json.get("stream"):
            reply.sse(dialect.frames(say))
        else:
            reply.body(dump(dialect.answer(say)).encode())
    return run


class Line:
    """One upstream, every client."""

    def __init__(self, upstream, top=None, keys=1, **more):
        self.upstream = upstream
        self.up = Upstream(saying(upstream, HELLO), name=upstream)
        options = {**OPTIONS[upstream], **more}
        self.gate = Gateway({**base(), **(top or {}), "upstreams": [place(up=self.up, name="up", keys=keys, **options)]}).start()

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def fresh(self):
        self.up.clear()
        self.up.handler = saying(self.upstream, HELLO)
        return self

    def send(self, client, body, headers=None, say=None, handler=None, model=None, stream=False):
        """One request of a client's own body, its model in the path where the dialect has it there."""
        if say is not None or handler is not None:
            self.up.handler = handler or saying(self.upstream, say)
        model = model or MODELS[self.upstream]
        if client == "gemini":
            path = f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
        else:
            path = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages"}[client]
            body = {"model": model, **({"max_tokens": 4000} if client == "anthropic" else {}), **body,
                    **({"stream": True} if stream else {})}
            if client == "chat" and stream:
                body.setdefault("stream_options", {"include_usage": True})
        return self.gate.ask("POST", path, body, headers)

    def carry(self, client, body, headers=None, **how):
        """Sends; gives (body that the upstream got, answer), which must be a complete 200."""
        before = len(self.up.requests)
        got = self.send(client, body, headers, **how)
        assert got.status == 200 and got.complete, got
        (seen,) = [r for r in self.up.requests[before:] if r.method == "POST"]
        return seen.json, got

    def refuse(self, client, body, headers=None, **how):
        """Sends; the gateway must answer 400 by itself."""
        before = len(self.up.requests)
        got = self.send(client, body, headers, **how)
        assert got.status == 400 and got.error, got
        assert not [r for r in self.up.requests[before:] if r.method == "POST"], "the upstream was asked"
        return DIALECTS[client].read_error(got.json)


def events(client, got):
    """The frames of a stream, by the rules of the client's dialect."""
    raw = got.body
    if client == "gemini":
        assert b"\n" not in raw.replace(b"\r\n", b""), "a bare LF"
        raw = re.sub(b"(\r\n){3,}", b"\r\n\r\n", raw).lstrip(b"\r\n").replace(b"\r\n", b"\n")  # a blank line is its keep-alive
    return parse_sse(raw)


def whole(client, got, native=False):
    """The answer as a whole body: a stream's assembled."""
    if (got.header("content-type") or "").startswith("text/event-stream"):
        return DIALECTS[client].assemble(events(client, got), native)
    return got.json


def read(client, got, native=False):
    return DIALECTS[client].read(whole(client, got, native))


def frames_of(client, got):
    """The JSON of each frame."""
    return [json.loads(e.data) for e in events(client, got) if e.data and e.data != "[DONE]"]


def broken(client, got, native=False):
    """Error and text so far of a stream that must have told of an error."""
    try:
        whole(client, got, native)
    except StreamError as told:
        return told
    raise AssertionError("no error in the stream")
