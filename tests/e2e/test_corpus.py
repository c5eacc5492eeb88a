"""Every recorded exchange of both dialects through the gateway: natively, and to the other dialect."""

import json
import re

import pytest

from corpus import SHARED, load, rules
from harness import Upstream, canon, key, wire
from harness.gateway import Gateway
from harness.sse import loose_sse
from harness.stand import base, place

EXCHANGES = load()
if not EXCHANGES:
    pytest.skip(f"no corpus at {SHARED}", allow_module_level=True)

ASKED = [e for e in EXCHANGES if e.body is not None]
GOOD = [e for e in EXCHANGES if e.status == 200]
PROVIDER = {"chat": "openai-compatible", "anthropic": "anthropic-compatible"}
READ = {"chat": (canon.chat_answer, canon.chat_stream), "anthropic": (canon.claude_answer, canon.claude_stream)}
PREFIX = {"chat": "chatcmpl-", "anthropic": "msg_"}


def each(exchanges):
    return pytest.mark.parametrize("exchange", exchanges, ids=[e.id for e in exchanges])


@pytest.fixture
def tell(request, record_property):
    """Counts a case in the summary, with the rules that decided it."""
    def begin(suite):
        state = {"suite": suite, "kind": "failed"}
        tell.state = state
        return state

    def rule(section, what):
        record_property("summary", f"{tell.state['suite']}\trule\t{section}: {what}")

    def ok():
        tell.state["kind"] = "ok"

    tell = type("Tell", (), {})()
    tell.begin, tell.rule, tell.ok = begin, rule, ok
    yield tell
    state = tell.state
    # teardown runs before the call's report is lost to xdist: the property goes into the item itself
    request.node.user_properties.append(("summary", f"{state['suite']}\t{state['kind']}\t"))


@pytest.fixture
def fresh():
    """A gateway of its own for an exchange that fails: nothing may stay rested for the next."""
    made = []

    def get(provider, **options):
        up = Upstream()
        gate = Gateway({**base(), "upstreams": [place(provider, up, **options)]}).start()
        made.append((gate, up))
        return gate, up

    yield get
    for gate, up in made:
        gate.stop()
        up.stop()


def read(dialect, got):
    """The canonical reading of a recorded or received answer."""
    whole, stream = READ[dialect]
    if got.sse is not None:
        return stream(loose_sse(got.sse))
    return whole(got.answer)


# ---------------------------------------------------------------- native


@each(EXCHANGES)
def test_native(exchange, stand, fresh, tell):
    tell.begin("corpus native")
    body = exchange.request() if exchange.body is not None else exchange.plain(exchange.dialect)
    if exchange.body is None:
        tell.rule("corpus", "no request recorded: a plain one is sent")
    elif "model" not in exchange.body:
        tell.rule("1.2, 3.2", "model is required; it stood in the recorded URL")
    raw = json.dumps(body, ensure_ascii=False).encode()
    headers = {k: v for k, v in exchange.headers.items() if k.lower().startswith("anthropic-")}
    provider = PROVIDER[exchange.dialect]
    if exchange.status == 200:
        one = stand(provider)
        gate, up = one.gate, one.up
    else:
        own = exchange.status in (401, 402, 403)
        gate, up = fresh(provider, keys=0 if own else 1)
        if own:
            headers["authorization"] = f"Bearer {key('mine')}"
            tell.rule("9.2", "a refused key of the caller's own shows the upstream's answer")
    up.handler = exchange.play
    up.clear()
    got = gate.post(exchange.dialect, raw, headers)
    assert up.requests, got
    assert up.requests[0].body == raw, "the body was changed on its way"
    if exchange.status == 429 or exchange.status >= 500:
        if got.error:
            tell.rule("INTERFACE 4", f"{exchange.status} of every candidate is the gateway's own {got.error}")
            assert got.status == (429 if exchange.status == 429 else 502), got
            assert exchange.status != 429 or int(got.header("retry-after")) >= 1, got
            assert got.json["error"]["message"], got
            tell.ok()
            return
    assert got.status == exchange.status, got
    assert got.body == exchange.answer_bytes(), "the answer was changed on its way"
    if exchange.status == 200 and read(exchange.dialect, exchange).error:
        tell.rule("8.8", "an error inside a stream: the bytes as they are, then no clean end")
    else:
        assert got.complete, got
    tell.ok()


@each([e for e in EXCHANGES if e.status in (401, 402, 403)])
def test_native_operators_key_is_refused(exchange, fresh, tell):
    tell.begin("corpus native, operator's key refused")
    gate, up = fresh(PROVIDER[exchange.dialect])
    up.handler = exchange.play
    got = gate.post(exchange.dialect, exchange.request())
    tell.rule("9.2", "a refused key of the operator's is 502 upstream_credentials_rejected")
    assert (got.status, got.error) == (502, "upstream_credentials_rejected"), got
    if exchange.dialect == "chat":
        assert set(got.json["error"]) == {"message", "type", "param", "code"}, got
    else:
        assert got.json["type"] == "error" and got.json["error"]["type"] == "api_error", got
    tell.ok()


# ---------------------------------------------------------------- requests


CAPABLE = {"chat": "anthropic", "anthropic": "openai"}  # the provider behind the other dialect
CHECK = {"chat": rules.check_to_anthropic, "anthropic": rules.check_to_chat}


def named(words, text):
    return not words or any(w in text for w in words)


@each(ASKED)
def test_translated_request(exchange, stand, tell):
    tell.begin("corpus translated requests")
    model = rules.target_model(exchange.dialect, exchange.body)
    body = exchange.request(model)
    apply = rules.RULES[exchange.dialect](body)
    one = stand(CAPABLE[exchange.dialect])
    headers = {k: v for k, v in exchange.headers.items() if k.lower().startswith("anthropic-")}
    got = one.send(body, headers, exchange.dialect)
    must = [r for r in apply if r.fate == "refuse"]
    may = [r for r in apply if r.fate == "may_refuse"]
    if must or (may and got.status != 200):
        for rule in must or may:
            tell.rule(rule.section, f"refused: {rule.what}")
        assert any(got.status in r.statuses for r in must + may), (got, must, may)
        assert got.error and not one.up.requests, got
        message = got.json["error"]["message"]
        assert any(named(r.words, message + str(got.json["error"].get("param"))) for r in must + may), message
        tell.ok()
        return
    assert got.status == 200, (got, apply)
    (seen,) = one.up.requests
    assert seen.path == ("/v1/messages" if exchange.dialect == "chat" else "/v1/chat/completions"), seen.path
    warnings = got.header("x-anyrouter-warnings") or ""
    for rule in (r for r in apply if r.fate == "warn"):
        tell.rule(rule.section, f"warned: {rule.what}")
        assert named(rule.words, warnings), (rule, warnings)
    for warning in got.warnings:
        assert re.match(r"(dropped|clamped|emulated|approximated|inlined|renamed|truncated)(:|$)", warning), warning
        allowed = [r for r in apply if r.fate in ("warn", "may_warn") and named(r.words, warning)]
        assert allowed or warning == "truncated", f"a warning that no rule explains: {warning}"
    CHECK[exchange.dialect](body, seen.json)
    again = one.send(body, headers, exchange.dialect)
    assert again.status == 200 and one.up.requests[1].body == seen.body, "twice the same request, two bodies"
    tell.ok()


# ---------------------------------------------------------------- answers


def received(dialect, got, stream):
    """Reads what the client got, after checking it against the grammar of its dialect."""
    if not stream:
        assert got.header("content-type").startswith("application/json"), got
        return READ[dialect][0](got.json)
    events = got.events
    if dialect == "chat":
        canon.check_chat_grammar(events, include_usage=True)
    else:
        canon.check_claude_grammar(events)
    return READ[dialect][1](events)


def compare(exchange, want, have, client, tell):
    """Nothing of the recorded answer may be lost, but by rule."""
    if want.text.startswith("<think>") and have.text != want.text:
        tell.rule("10a", "think tags in the text may become thinking")
        joined = have.thinking + have.text
        assert re.sub(r"\s|</?think>", "", want.text) == re.sub(r"\s", "", joined)
    elif client == "anthropic" and want.refusal:
        assert have.text == want.text + want.refusal, (have.text, want)
    else:
        assert have.text == want.text
    if not want.text.startswith("<think>"):
        assert have.thinking.replace("\n", "") == want.thinking.replace("\n", "")
    assert [c[0] for c in have.calls] == [c[0] for c in want.calls]
    for mine, theirs in zip(have.calls, want.calls, strict=True):
        assert json.loads(mine[1] or "{}") == canon._object(theirs[1]), (mine, theirs)
        if exchange.sse is not None and theirs[1].strip() and mine[1]:
            assert mine[1] == theirs[1], "the arguments were rewritten"
    compare_stop(want, have, client, tell)
    compare_usage(want, have, tell)
    urls = {c.get("url") or c.get("url_citation", {}).get("url") for c in want.citations
            if c.get("type") in ("url_citation", "web_search_result_location")}
    there = {c.get("url") or c.get("url_citation", {}).get("url") for c in have.citations}
    assert urls == there, (urls, there)
    for kind in sorted(set(want.vendor)):
        tell.rule("7.1", f"{kind}: server tool blocks are skipped")


def compare_stop(want, have, client, tell):
    if client == "anthropic":
        expected = canon.TO_STOP_REASON[want.stop]
        back = {v: k for k, v in canon.TO_STOP_REASON.items() if k not in ("other", "content_filter")}
        assert have.stop == back[expected], (have.stop, want.stop)
        return
    if want.stop == "refusal":
        tell.rule("7.2", "a refusal without text is message.refusal, with text content_filter")
        if want.text:
            assert have.stop == "content_filter", have
        else:
            assert have.stop == "refusal" and (have.refusal == want.refusal or not want.refusal), have
        return
    if want.stop == "end" and want.calls:
        tell.rule("7.2", "end_turn with calls: stop or tool_calls")
        assert have.stop in ("end", "tool_use")
        return
    expected = canon.TO_FINISH[want.stop]
    assert canon.TO_FINISH[have.stop] == expected, (have.stop, want.stop)


def compare_usage(want, have, tell):
    assert have.usage and all(isinstance(v, int) and v >= 0 for v in have.usage.values() if v is not None), have.usage
    if not want.usage or want.usage.get("in_total") is None:
        tell.rule("7.3", "no usage recorded: an estimate")
        return
    both = set(want.usage) & set(have.usage) - {"total"}
    wanted = {k: want.usage[k] for k in both}
    got = {k: have.usage[k] for k in both}
    if wanted["out_reasoning"] > wanted["out_total"]:
        tell.rule("5.4", "out_total is at least out_reasoning")
        wanted["out_total"] = got["out_total"] if got["out_total"] >= wanted["out_reasoning"] else -1
    assert got == wanted
    if "total" in have.usage:
        assert have.usage["total"] == have.usage["in_total"] + have.usage["out_total"]


@each(GOOD)
def test_translated_answer(exchange, stand, tell):
    tell.begin("corpus translated answers")
    client = wire.OTHER[exchange.dialect]
    one = stand(PROVIDER[exchange.dialect])
    got = one.send(exchange.plain(client), None, client, exchange.play)
    stream = exchange.sse is not None
    want = read(exchange.dialect, exchange)
    if want.error:
        tell.rule("8.8", "an error inside a stream")
        assert got.status >= 400 or stream, got
        if got.status == 200:
            have = received(client, got, stream)
            assert have.error and not have.ended and want.error["message"] in have.error["message"], have
            assert (have.text, have.thinking) == (want.text, want.thinking)
        tell.ok()
        return
    if want.unfinished and not want.text and (got.status == 502 or b'"error"' in got.body):
        tell.rule("7.2", "[DONE] without finish_reason and without text is an upstream error")
        tell.ok()
        return
    assert got.status == 200 and got.complete, got
    have = received(client, got, stream)
    assert have.ended and not have.error, have
    compare(exchange, want, have, client, tell)
    if not stream:
        assert got.json["id"].startswith(PREFIX[client]), got.json["id"]
        assert got.json["model"] == "asked-model"
    tell.ok()


@each([e for e in EXCHANGES if e.status != 200])
def test_translated_error(exchange, fresh, tell):
    """The recorded error in the client's own envelope, with an honest status."""
    tell.begin("corpus translated answers")
    client = wire.OTHER[exchange.dialect]
    gate, up = fresh(PROVIDER[exchange.dialect])
    up.handler = exchange.play
    got = gate.post(client, exchange.plain(client, stream=exchange.stream))
    error = got.json["error"]
    if client == "chat":
        assert set(error) == {"message", "type", "param", "code"}, got
    else:
        assert got.json["type"] == "error" and set(error) >= {"type", "message"}, got
        assert got.json["request_id"] and got.header("request-id"), got
    expected = {400: (400,), 404: (404,), 429: (429,), 500: (500, 502)}.get(exchange.status, (502,))
    assert got.status in expected, got
    if exchange.status in (401, 402, 403):
        tell.rule("9.2", "a refused key of the operator's is 502 upstream_credentials_rejected")
        assert got.error == "upstream_credentials_rejected", got
    else:
        recorded = exchange.answer
        inner = recorded.get("error") if isinstance(recorded.get("error"), dict) else recorded
        text = inner.get("message") or ""
        if exchange.status in (400, 404) or not got.error:
            assert text[:60] in error["message"] or error.get("code") == "context_length_exceeded" or (
                "prompt is too long" in error["message"]), (text, error)
    if exchange.status == 429:
        assert int(got.header("retry-after")) >= 1, got
    tell.ok()


# ---------------------------------------------------------------- whole answers for clients that stream


@each([e for e in GOOD if e.sse is None])
@pytest.mark.parametrize("way", ["native", "translated"])
def test_unfolded_answer(exchange, way, stand, tell):
    tell.begin(f"corpus unfolded answers, {way}")
    client = exchange.dialect if way == "native" else wire.OTHER[exchange.dialect]
    one = stand(PROVIDER[exchange.dialect], force_non_stream=True)
    got = one.send(exchange.plain(client, stream=True), None, client, exchange.play)
    assert got.status == 200 and got.complete, got
    assert not one.up.last.json.get("stream"), "the upstream was asked for a stream"
    have = received(client, got, True)
    assert have.ended and not have.error, have
    want = read(exchange.dialect, exchange)
    compare(exchange, want, have, client, tell)
    tell.ok()
