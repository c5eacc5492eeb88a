"""Plays every recorded exchange of one dialect: natively, its answers to clients of other dialects, its requests to others.

A test file makes a class of Cases with its side (sides.py).
"""

import json
import re

import pytest

from harness import Gateway, Upstream, canon, wire
from harness.stand import base, place

from . import SHARED, load

CLIENTS = {"chat": (canon.chat_answer, canon.chat_stream), "anthropic": (canon.claude_answer, canon.claude_stream)}
WARNING = re.compile(r"(dropped|clamped|emulated|approximated|inlined|renamed|truncated)(:|$)")


def parametrize(metafunc, exchanges, name="exchange"):
    metafunc.parametrize(name, exchanges, ids=[e.id for e in exchanges])


class Place:
    """A gateway in front of one upstream."""

    def __init__(self, provider, keys=1, **options):
        self.up = Upstream()
        self.gate = Gateway({**base(), "upstreams": [place(provider, self.up, keys=keys, **options)]}).start()

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.up.stop()

    def ask(self, path, body, handler, headers=None):
        self.up.clear()
        self.up.handler = handler
        return self.gate.ask("POST", path, body, headers)

    def post(self, dialect, body, handler):
        self.up.clear()
        self.up.handler = handler
        return self.gate.post(dialect, body)


def received(client, got, stream):
    """Reads what the client got, after checking it against the grammar of its dialect."""
    whole, streamed = CLIENTS[client]
    if not stream:
        return whole(got.json)
    if client == "chat":
        canon.check_chat_grammar(got.events, include_usage=True)
    else:
        canon.check_claude_grammar(got.events)
    return streamed(got.events)


def compare(side, want, have, client):
    """Nothing of the recorded answer may be lost, but by rule."""
    refused = want.refusal if client == "anthropic" else ""
    assert have.text == want.text + refused
    assert have.thinking.replace("\n", "") == want.thinking.replace("\n", "")
    assert [c[0] for c in have.calls] == [c[0] for c in want.calls]
    for mine, theirs in zip(have.calls, want.calls, strict=True):
        assert canon._object(mine[1]) == canon._object(theirs[1]), (mine, theirs)
    if side.keeps_opaque:
        assert len(have.opaque) >= len(want.opaque), "material that the client must send back is lost"
    side.check_stop(want, have, client)
    there = {c.get("url") or c.get("url_citation", {}).get("url") for c in have.citations}
    assert there == side.urls(want)
    assert have.usage and all(isinstance(v, int) and v >= 0 for v in have.usage.values() if v is not None), have.usage
    if want.usage:
        both = set(want.usage) & set(have.usage)
        assert {k: have.usage[k] for k in both} == {k: want.usage[k] for k in both}


def strings(value):
    """Every string in a JSON value, joined."""
    if isinstance(value, str):
        return value + "\n"
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "".join(strings(v) for v in inner)


class Cases:
    side = None

    @classmethod
    def exchanges(cls):
        made = load(cls.side.folders)
        if not made:
            pytest.skip(f"no corpus at {SHARED}", allow_module_level=True)
        return made

    def pytest_generate_tests(self, metafunc):
        """`good`: an exchange that was answered; `failed`; `said`: one whose request was recorded."""
        kinds = {"good": lambda e: e.status == 200, "failed": lambda e: e.status != 200, "said": lambda e: e.body is not None}
        for name in kinds.keys() & set(metafunc.fixturenames):
            parametrize(metafunc, [e for e in self.exchanges() if kinds[name](e)], name)

    @pytest.fixture(scope="class")
    @classmethod
    def long_lived(cls):
        one = Place(cls.side.provider, **cls.side.options)
        yield one
        one.stop()

    @pytest.fixture
    def fresh(self):
        """One for an exchange that fails: nothing may stay rested for the next."""
        made = []

        def get(keys=1):
            made.append(Place(self.side.provider, keys, **self.side.options))
            return made[-1]

        yield get
        for one in made:
            one.stop()

    @pytest.fixture(scope="class")
    @classmethod
    def others(cls):
        made = {"chat": Place("openai", dialects=["chat"]), "anthropic": Place("anthropic", dialects=["anthropic"])}
        yield made
        for one in made.values():
            one.stop()

    def is_refused_key(self, exchange):
        return exchange.status in (401, 402, 403) or self.side.refused_key in exchange.answer_bytes()

    def is_failure(self, exchange, want, got):
        """8.8: nothing was shown yet, so the failure is the gateway's to tell."""
        if not (want.error or want.unfinished):
            return False
        assert self.side.may_fail, want
        got = got()
        assert got.status in (429, 502) and got.json["error"]["message"], got
        return True

    def test_native(self, good, long_lived, fresh):
        side, body, form = self.side, self.side.asked(good), self.side.form(good)
        if self.is_failure(good, side.read(good), lambda: fresh().ask(side.path(form), body, good.play)):
            return
        raw = json.dumps(body, ensure_ascii=False).encode()
        own = side.needs_account(body)
        one = fresh(0) if own else long_lived
        got = one.ask(side.path(form), raw, side.play(good), side.own_key() if own else None)
        (seen,) = one.up.requests
        wanted = side.path(form and "sse")
        assert seen.path.split("?")[0] == wanted.split("?")[0], seen.path
        assert seen.body == raw, "the body was changed on its way"
        assert got.status == 200 and got.complete, got
        side.check_whole(good, got)

    def test_native_error(self, failed, fresh):
        """9.2: a caller's own key shows the upstream's answer as it is, an operator's hides a refused key."""
        side, path = self.side, self.side.path("sse" if failed.stream else None)
        own = self.is_refused_key(failed)
        got = fresh(0 if own else 1).ask(path, side.asked(failed), failed.play, side.own_key() if own else None)
        side.check_error(failed, got)
        if own:
            hidden = fresh().ask(path, side.asked(failed), failed.play)
            assert (hidden.status, hidden.error) == (502, "upstream_credentials_rejected"), hidden

    @pytest.mark.parametrize("client", sorted(CLIENTS))
    def test_translated_answer(self, good, client, long_lived, fresh):
        stream = self.side.form(good) is not None
        body, want = good.plain(client, stream=stream), self.side.read(good)
        if self.is_failure(good, want, lambda: fresh().post(client, body, good.play)):
            return
        got = long_lived.post(client, body, self.side.play(good))
        assert got.status == 200 and got.complete, got
        self.side.check_asked(long_lived.up.last.json)
        have = received(client, got, stream)
        assert have.ended and not have.error, have
        compare(self.side, want, have, client)

    @pytest.mark.parametrize("client", sorted(CLIENTS))
    def test_translated_error(self, failed, client, fresh):
        """The recorded error in the client's own envelope, with an honest status."""
        got = fresh().post(client, failed.plain(client, stream=failed.stream), failed.play)
        error = got.json["error"]
        if self.is_refused_key(failed):
            assert (got.status, got.error) == (502, "upstream_credentials_rejected"), got
            return
        assert got.status == failed.status, got
        inner = failed.answer.get("error") or failed.answer
        assert (inner.get("message") or "")[:60] in error["message"], (inner, error)
        if failed.status == 429:
            assert int(got.header("retry-after")) >= 1, got

    @pytest.mark.parametrize("upstream", sorted(CLIENTS))
    def test_translated_request(self, said, upstream, others):
        one, path = others[upstream], self.side.path("sse" if said.stream else None)
        body = self.side.request_for(said, upstream)
        got = one.ask(path, body, wire.both(upstream))
        if got.status in self.side.refuses:
            assert not one.up.requests, got
            named = got.json["error"].get("param") or got.json["error"]["message"]
            assert any(b in named for b in self.side.bound), got
            return
        assert got.status == 200, got
        (seen,) = one.up.requests
        arrived = strings(seen.json)
        for text in self.side.texts(body):
            assert text.strip() in arrived, f"{text[:80]!r} did not arrive"
        for warning in got.warnings:
            assert WARNING.match(warning), warning
        again = one.ask(path, body, wire.both(upstream))
        assert again.status == 200 and one.up.last.body == seen.body, "twice the same request, two bodies"
