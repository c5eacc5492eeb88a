"""A gateway in front of one scripted upstream: the usual set-up of a translation test."""

import json

from . import wire
from .canary import key
from .gateway import Gateway
from .upstream import Upstream

DIALECT = {"anthropic": "anthropic", "anthropic-compatible": "anthropic"}


def dialect_of(provider):
    return DIALECT.get(provider, "chat")


def base():
    """Settings that make tests quick; a test's own win."""
    return {"workers": 1, "drain_timeout": "2s", "log": {"level": "debug", "access": True}}


def place(provider, up, name="up", keys=1, models=("*",), **more):
    """An `upstreams` entry for a scripted upstream. keys: a count, a list, or 0 for pass-through."""
    urls = [u.url for u in (up if isinstance(up, (list, tuple)) else [up])]
    out = {"name": name, "provider": provider, "base_urls": urls}
    if isinstance(keys, int):
        keys = [key(name) for _ in range(keys)]
    if keys:
        out["keys"] = keys
    if models:
        out["models"] = list(models)
    return {**out, **more}


class Stand:
    """Keeps what the last exchange was."""

    def __init__(self, provider, env=None, top=None, args=(), **options):
        self.provider, self.dialect = provider, dialect_of(provider)
        self.up = Upstream(wire.both(self.dialect), name=provider)
        config = {**base(), **json.loads(top or "{}"),
                  "upstreams": [place(provider, self.up, provider, **options)]}
        self.gate = Gateway(config, env=env, args=args).start()

    def fresh(self):
        self.up.clear()
        self.up.handler = wire.both(self.dialect)
        return self

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()

    def client(self):
        """The dialect that makes it translate."""
        return wire.OTHER[self.dialect]

    def send(self, body, headers=None, dialect=None, handler=None):
        """One request in the other dialect (or the given one); returns its answer."""
        if handler is not None:
            self.up.handler = handler
        return self.gate.post(dialect or self.client(), body, headers)

    def carry(self, body, headers=None, dialect=None, handler=None):
        """Sends and returns (body that the upstream got, answer); the answer must be a 200."""
        before = len(self.up.requests)
        got = self.send(body, headers, dialect, handler)
        assert got.status == 200, got
        assert got.complete, got
        seen = self.up.requests[before:]
        assert len(seen) == 1, f"{len(seen)} upstream requests: {[r.path for r in seen]}"
        return seen[0].json, got

    def refuse(self, body, headers=None, dialect=None, status=400):
        """Sends; the gateway must refuse by itself, without asking the upstream."""
        before = len(self.up.requests)
        got = self.send(body, headers, dialect)
        assert got.status == status, got
        assert len(self.up.requests) == before, "the upstream was asked"
        assert got.error, f"no x-anyrouter-error: {got}"
        return got
