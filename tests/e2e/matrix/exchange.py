"""One request through a gateway between a client and an upstream of two dialects, and what both ends made of it."""

from harness import Gateway, Upstream, parse_sse
from harness.stand import base, place

from . import DIALECTS


class Pair:
    """A gateway in front of an upstream of one dialect and provider."""

    def __init__(self, dialect, ask):
        options, _ = dialect.upstream(ask)
        self.up = Upstream(name=dialect.__name__)
        self.gate = Gateway({**base(), "upstreams": [place(up=self.up, name="up", **options)]}).start()

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()


def gemini_frames(raw):
    """A stream for Gemini clients with plain line ends; before a frame it may have a blank line (a keep-alive), never a comment."""
    frames = [f.lstrip(b"\r\n") for f in raw.split(b"\r\n\r\n")]
    assert all(f.startswith(b"data: ") for f in frames[:-1]) and not frames[-1], frames
    return b"\n\n".join(frames)


class Exchange:
    """One request through the gateway and what both ends made of it."""

    def __init__(self, pair, client, upstream, how, asked):
        path, body, headers = asked
        before = len(pair.up.requests)
        self.pair = pair
        self.client, self.how, self.native = DIALECTS[client], how, client == upstream
        self.body = body
        self.answer = pair.gate.ask("POST", path, body, headers)
        self.requests = [r for r in pair.up.requests[before:] if r.method == "POST"]
        self.upstream = DIALECTS[upstream]

    @property
    def warnings(self):
        return sorted(self.answer.warnings)

    @property
    def events(self):
        raw = self.answer.body
        if self.client is DIALECTS["gemini"]:
            assert raw.endswith(b"\r\n\r\n") and b"\n\n" not in raw.replace(b"\r\n", b""), raw[-80:]
            raw = gemini_frames(raw)
        assert (self.answer.header("content-type") or "").startswith("text/event-stream"), self.answer
        return parse_sse(raw)

    @property
    def comments(self):
        if self.how == "whole" or self.answer.status != 200:
            return []
        said = [c for e in self.events for c in e.comments if c.startswith("x-anyrouter-warnings")]
        return sorted(w.strip() for c in said for w in c.removeprefix("x-anyrouter-warnings").strip(" :").split(","))

    def seen(self):
        assert len(self.requests) == 1, f"{len(self.requests)} upstream requests"
        return self.upstream.see(self.requests[0].path, self.requests[0].json)

    def whole(self, complete=True):
        assert self.answer.status == 200, self.answer
        assert self.answer.complete or not complete, self.answer
        return self.client.assemble(self.events, self.native) if self.how == "stream" else self.answer.json
