"""The matrix: every feature of matrix/features.yaml for every pair of dialects, whole and streamed.

A cell asks as a client of its dialect does, answers as an upstream of its dialect does, and reads both ends. What arrives
otherwise, or not at all, must be a row of matrix/losses.yaml with the warning that tells of it; a warning that no row
names fails the cell as well. docs/internals/matrix.md and docs/PAIRS.md are made from what the cells gave (tools/matrix).
"""

import json

import pytest

from matrix import DIALECTS
from matrix.cells import cells, expected, features, losses, mark
from matrix.exchange import Exchange, Pair
from matrix.neutral import CUSTOM, FORMAT, TOOLS, StreamError, usage_of

FEATURES = {f["name"]: f for f in features()}
LOSSES = losses()
CELLS = cells(LOSSES)
BREAKS = ("error", "middle", "cut")


@pytest.fixture(scope="module")
def pairs():
    made = {}

    def get(upstream, ask):
        name = f"{upstream} {DIALECTS[upstream].upstream(ask)[0]}"
        if name not in made:
            made[name] = Pair(DIALECTS[upstream], ask)
        return made[name]

    yield get
    for pair in made.values():
        pair.stop()


def script(up, upstream, feature, say, how):
    """Sets what the upstream answers."""
    dialect, kind = DIALECTS[upstream], feature["kind"]

    def run(request, reply):
        if request.method == "GET":
            reply.body({"object": "list", "data": []})
        elif kind == "error":
            reply.body(dialect.error(**feature["error"]), feature["error"]["status"])
        elif how == "stream":
            frames = dialect.frames(say, end=kind == "plain" or kind == "loop")
            if kind == "middle":
                frames += dialect.error_frames(**feature["error"], number=len(frames))
            reply.sse(frames, how="close" if kind == "cut" else "chunked")
        elif kind == "middle":
            reply.body(dialect.error(**feature["error"]))
        elif kind == "cut":
            body = json.dumps(dialect.answer(say)).encode()
            reply.head(200, {"content-type": "application/json", "content-length": str(len(body))})
            reply.send(body[:len(body) // 2]).close()
        else:
            reply.body(dialect.answer(say))

    up.handler = run


def flat(ask):
    """The items of a request as an upstream should see them."""
    out = []
    for turn in ask["turns"]:
        ((role, items),) = turn.items()
        for item in items:
            out.append(flat_item(role, item))
    return out


def flat_item(role, item):
    if "text" in item:
        return (role, "text", item["text"])
    if "image" in item:
        return (role, "image", "image/png", item["image"])
    if "document" in item:
        return (role, "document", "application/pdf", item["document"])
    if "audio" in item:
        return (role, "audio", "wav", item["audio"])
    if "call" in item:
        return (role, "call", item["call"], item["name"], item["args"])
    return ("tool", "result", item["result"], [flat_item("", i)[1:] for i in item["items"]], bool(item.get("error")))


def tuples(value):
    """YAML lists as the readers' tuples, one level of a result's parts as well."""
    return [tuple([tuple(p) for p in x] if isinstance(x, list) else x for x in item) for item in value]


def check_seen(seen, ask, more, differs, upstream):
    want = {
        "system": ask.get("system", []), "items": flat(ask) + more, "stop": ask.get("stop", []), "think": bool(ask.get("think")),
        "tools": [(n, TOOLS[n]["description"], TOOLS[n]["schema"]) for n in ask.get("tools", [])],
        "format": FORMAT if ask.get("format") else None, "settings": ask.get("settings", {}), "opaque": [], "thoughts": [],
        "search": bool(ask.get("search")), "n": ask.get("n", 1), "user": ask.get("user"), "tier": ask.get("tier"),
    }
    if ask.get("json"):
        want["format"] = "json_object"
    if ask.get("custom"):
        want["tools"] = [(CUSTOM["name"], CUSTOM["description"], None)]
    for name in ("choice", "parallel", "max"):
        if name in ask:
            want[name] = ask[name]
    want.update({k.removeprefix("seen_"): v for k, v in differs.items() if k.startswith("seen_")})
    want["items"], want["tools"] = tuples(want["items"]), [tuple(t) for t in want["tools"]]
    for name, value in want.items():
        got = getattr(seen, name)
        got = tuples(got) if name == "items" else got
        assert got == value, f"the upstream's {name}: {got}, not {value}"


def stops(say, client, upstream):
    """Why the answer ended, as far as both dialects have words for it."""
    if say["stop"] != "stop_sequence":
        return say["stop"], None
    named = DIALECTS[client].NAMES_STOP and (DIALECTS[upstream].NAMES_STOP or "emulated" in say)
    return ("stop_sequence", say["sequence"]) if named else ("end", None)


def check_got(got, say, differs, model, pair):
    items = say["items"]
    stop, sequence = stops(say, *pair)
    want = {
        "text": "".join(i["text"] for i in items if "text" in i), "thinking": "".join(i["think"] for i in items if "think" in i),
        "refusal": "".join(i["refusal"] for i in items if "refusal" in i), "stop": stop, "model": model,
        "calls": [(i["call"], i["name"], i["args"]) if "call" in i else (i["freeform"], i["name"], i["input"])
                  for i in items if "call" in i or "freeform" in i],
        "sequence": sequence, "usage": usage_of(say),
    }
    want.update({k.removeprefix("got_"): v for k, v in differs.items() if k.startswith("got_")})
    for name, value in want.items():
        if value != "any":
            assert getattr(got, name) == value, f"the client's {name}: {getattr(got, name)!r}, not {value!r}"


def check_told(exchange, cell):
    assert exchange.warnings == sorted(cell["warn"]), f"warnings {exchange.warnings}, not {sorted(cell['warn'])}"
    assert exchange.comments == sorted(cell["comment"]), f"comments {exchange.comments}, not {sorted(cell['comment'])}"


def run_plain(pair, feature, client, upstream, how, cell):
    ask, say = feature["ask"], {**feature["say"], **feature.get(upstream, {})}
    model = DIALECTS[upstream].upstream(ask)[1]
    script(pair.up, upstream, feature, {**say, "items": say.get("emulated", say["items"])}, how)
    first = Exchange(pair, client, upstream, how, DIALECTS[client].request(ask, model, how == "stream"))
    if cell["refuse"]:
        assert first.answer.status == 400 and not first.requests, first.answer
        assert cell["refuse"] in first.client.read_error(first.answer.json), first.answer
        return
    check_got(first.client.read(first.whole()), say, cell["differs"], "up-model" if first.native else model, (client, upstream))
    check_seen(first.seen(), ask, [], cell["differs"], upstream)
    check_told(first, cell)


def run_loop(pair, feature, client, upstream, how, cell):
    """Two turns: the answer goes back as it came, with the results of its calls."""
    ask, say = feature["ask"], feature["say"]
    dialect = DIALECTS[upstream]
    model = dialect.upstream(ask)[1]
    path, body, headers = DIALECTS[client].request(ask, model, how == "stream")
    script(pair.up, upstream, feature, say, how)
    first = Exchange(pair, client, upstream, how, (path, body, headers))
    whole = first.whole()
    got = first.client.read(whole)
    check_got(got, say, cell["differs"], "up-model" if first.native else model, (client, upstream))
    check_seen(first.seen(), ask, [], {k: v for k, v in cell["differs"].items() if k not in ("seen_items", "seen_opaque")}, upstream)
    check_told(first, cell)
    script(pair.up, upstream, feature, feature["then"], how)
    second = Exchange(pair, client, upstream, how, (path, first.client.again(body, whole, feature["results"]), headers))
    check_got(second.client.read(second.whole()), feature["then"], {}, "up-model" if first.native else model, (client, upstream))
    more = [flat_item("assistant", i) for i in say["items"] if "call" in i] + [flat_item("tool", r) for r in feature["results"]]
    opaque = [dialect.SIGNATURE for i in say["items"] if "think" in i or "redacted" in i]
    check_seen(second.seen(), ask, more, {"seen_opaque": opaque, "seen_thoughts": second.seen().thoughts if first.native else [],
                                                **cell["differs"]}, upstream)
    assert second.warnings == sorted(cell["warn"]), second.warnings


def run_broken(pair, feature, client, upstream, how, cell):
    """An error is one in the client's own form, before the answer by status, after its first text in the stream."""
    ask, kind = feature["ask"], feature["kind"]
    model = DIALECTS[upstream].upstream(ask)[1]
    script(pair.up, upstream, feature, feature.get("say"), how)
    got = Exchange(pair, client, upstream, how, DIALECTS[client].request(ask, model, how == "stream"))
    if how == "stream" and kind != "error":
        with pytest.raises(StreamError) as told:
            got.whole(complete=False)
        assert told.value.so_far == "some of the answer", told.value.so_far
        message = told.value.message
    else:
        assert got.answer.status == 400 if kind == "error" else got.answer.status >= 500, got.answer
        message = got.client.read_error(got.answer.json)
    assert kind == "cut" or feature["error"]["message"] in message, message
    check_told(got, cell)


RUN = {"plain": run_plain, "loop": run_loop, "error": run_broken, "middle": run_broken, "cut": run_broken}


@pytest.mark.parametrize(("name", "client", "upstream", "how"), CELLS, ids=["-".join(c) for c in CELLS])
def test_cell(pairs, record_property, name, client, upstream, how):
    feature = FEATURES[name]
    cell = expected(LOSSES, name, client, upstream, how)
    if feature["kind"] in BREAKS:
        pair = Pair(DIALECTS[upstream], feature["ask"])
        try:
            run_broken(pair, feature, client, upstream, how, cell)
        finally:
            pair.stop()
    else:
        RUN[feature["kind"]](pairs(upstream, feature["ask"]), feature, client, upstream, how, cell)
    record_property("cell", f"{name}\t{client}\t{upstream}\t{how}\t{mark(cell)}")
