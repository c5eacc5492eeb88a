"""GET /v1/models: what the upstreams list, with whose key, by which way, and for whom it is kept."""

import collections
import time

from harness import key, wire
from harness.stand import place

CHAT, CLAUDE = "openai-compatible", "anthropic-compatible"


def lists(*names, headers=None):
    data = [{"id": n, "object": "model"} for n in names]
    return lambda q, r: r.body({"object": "list", "data": data}, headers=headers)


def fails(status):
    return lambda q, r: r.body(wire.error("chat", status), status)


def by_key(table):
    return lambda q, r: table.get(q.key, fails(401))(q, r)


def ids(gate, *secrets, path="/v1/models"):
    got = gate.get(path, {"authorization": "Bearer " + ",".join(secrets)} if secrets else {})
    assert got.status == 200, got
    return [m["id"] for m in got.json["data"]]


def test_the_next_key_is_asked(gateway, upstream):
    keys = [key(f"k{i}") for i in range(3)]
    upstream.handler = by_key({keys[0]: fails(401), keys[1]: fails(429), keys[2]: lists("m")})
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=keys)]})
    assert ids(gate) == ["m"]
    assert [r.key for r in upstream.requests] == keys


def test_the_next_base_is_asked(gateway, upstreams):
    dead, broken, fine = upstreams(3)
    dead.stop()
    broken.handler = fails(503)
    fine.handler = lists("m")
    gate = gateway({"upstreams": [place(CHAT, [dead, broken, fine])]})
    assert ids(gate) == ["m"]
    assert len(broken.requests) == 1 and broken.last.key == fine.last.key


def test_a_base_that_hangs_does_not_hide_the_next(gateway, upstreams):
    hangs, fine, other = upstreams(3)
    hangs.handler = lambda q, r: r.wait_gone(10)
    fine.handler = lists("m")
    other.handler = lists("n")
    gate = gateway({"upstreams": [place(CHAT, [hangs, fine], name="one"), place(CHAT, other, name="two")]})
    assert sorted(ids(gate)) == ["m", "n"]


def test_every_upstream_is_asked_and_one_that_fails_is_left_out(gateway, upstreams):
    many = upstreams(40)
    for i, one in enumerate(many):
        one.handler = lists(f"m{i}") if i != 7 else fails(404)
    gate = gateway({"upstreams": [place(CHAT, one, name=f"u{i}") for i, one in enumerate(many)]})
    assert sorted(ids(gate)) == sorted(f"m{i}" for i in range(40) if i != 7)


def test_a_list_with_a_hole_is_not_kept_long(gateway, upstreams, secret):
    """Who was away for a moment is not left out for minutes: asked again after seconds."""
    one, two = upstreams(2)
    one.handler, two.handler = lists("a"), fails(500)
    gate = gateway({"upstreams": [place(CHAT, one, name="one"), place(CHAT, two, name="two")]})
    assert ids(gate) == ["a"]
    two.handler = lists("b")
    assert ids(gate) == ["a"], "asked again at once: every caller could make us ask"
    time.sleep(5.5)
    assert sorted(ids(gate)) == ["a", "b"]


def test_the_configured_headers_travel(gateway, upstream):
    upstream.handler = lists("m")
    gate = gateway({"upstreams": [place(CHAT, upstream, headers={"X-Title": "mine", "User-Agent": "me/1"})]})
    assert ids(gate) == ["m"]
    assert upstream.last.header("x-title") == "mine" and upstream.last.header("user-agent") == "me/1"


def test_messages_upstreams_are_asked_for_all(gateway, upstream):
    """Their pages have 20 by themselves, and they want a version; others are not told about either."""
    upstream.handler = lists("claude-x")
    gate = gateway({"upstreams": [place(CLAUDE, upstream)]})
    assert ids(gate) == ["claude-x"]
    assert upstream.last.path == "/v1/models?limit=1000" and upstream.last.header("anthropic-version") == "2023-06-01"
    upstream.clear()
    other = gateway({"upstreams": [place(CHAT, upstream)]})
    assert ids(other) == ["claude-x"]
    assert upstream.last.path == "/v1/models" and upstream.last.header("anthropic-version") is None


def test_a_callers_own_key_lists_what_it_may_use(gateway, upstream):
    """Each caller sees what his key sees, nobody another's; and each list is kept."""
    mine = [key(f"caller{i}") for i in range(6)]
    upstream.handler = by_key({k: lists(f"m{i}", "all") for i, k in enumerate(mine)})
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=0)]})
    for _ in range(3):
        for i, one in enumerate(mine):
            assert ids(gate, one) == [f"m{i}", "all"]
    assert ids(gate) == []
    assert gate.get("/v1/models/m1", {"x-api-key": mine[1]}).status == 200
    assert collections.Counter(r.key for r in upstream.requests) == {**{k: 1 for k in mine}, None: 1}


def test_a_callers_key_goes_to_one_upstream_only(gateway, upstreams):
    """The first, or the one he names; and the next of his keys when the first is refused."""
    one, two = upstreams(2)
    bad, good = key("bad"), key("good")
    one.handler = by_key({bad: fails(401), good: lists("a")})
    two.handler = by_key({good: lists("b")})
    gate = gateway({"upstreams": [place(CHAT, one, name="one", keys=0), place(CHAT, two, name="two", keys=0)]})
    assert ids(gate, bad, good) == ["a"]
    assert not [r for r in two.requests if r.key]
    got = gate.get("/v1/models", {"x-api-key": good, "x-anyrouter-provider": "two"})
    assert [m["id"] for m in got.json["data"]] == ["b"] and two.last.key == good


def test_lists_of_many_callers_are_bounded(gateway, upstream):
    """More callers than lists: the oldest goes, all get theirs."""
    mine = [key(f"c{i}") for i in range(40)]
    upstream.handler = by_key({k: lists(f"m{i}") for i, k in enumerate(mine)})
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=0)]})
    for i, one in enumerate(mine):
        assert ids(gate, one) == [f"m{i}"]
    assert ids(gate, mine[-1]) == ["m39"] and ids(gate, mine[30]) == ["m30"]
    assert len(upstream.requests) == 40
    assert ids(gate, mine[0]) == ["m0"] and len(upstream.requests) == 41


def test_names_of_gemini_are_no_paths(gateway, upstream):
    """Google lists models/NAME; NAME is what a client asks for."""
    upstream.handler = lambda request, reply: reply.body(
        {"models": [{"name": "models/gemini-2.5-pro"}, {"name": "models/embedding-001"}, {"name": "models/other"}]})
    gate = gateway({"upstreams": [place("gemini", upstream, models=None)]})
    assert ids(gate) == ["gemini-2.5-pro", "embedding-001"]
    assert upstream.last.path == "/v1beta/models?pageSize=1000"
    assert upstream.last.header("x-goog-api-key")


def test_clouds_that_list_nothing_are_not_asked(gateway, upstream):
    gate = gateway({"upstreams": [place("bedrock", upstream, models=None), place("vertex", upstream, name="v", models=None,
                                                                                 project="p")]})
    assert ids(gate) == []
    assert not upstream.requests
