"""State of the Responses API under wrong input and at the wrong moment."""

import json
import signal
import threading
import time

import pytest

from harness import wire
from harness.stand import base, place

PATH = "/v1/responses"
TALK = "/v1/conversations"
MODEL = "gpt-4.1"


def body(text="hello", **more):
    return {"model": MODEL, "input": text, **more}


def ask(gate, sent, status=200, path=PATH):
    got = gate.ask("POST", path, sent)
    assert got.status == status, got
    return got.json


def wait_done(gate, id, seconds=5):
    until = time.monotonic() + seconds
    while (got := gate.get(f"{PATH}/{id}").json)["status"] == "in_progress" and time.monotonic() < until:
        time.sleep(0.05)
    return got


def items(gate, talk):
    got = gate.get(f"{TALK}/{talk}/items?order=asc&limit=100")
    assert got.status == 200, got
    return got.json["data"]


def text(item):
    content = item["content"]
    return content if isinstance(content, str) else content[0]["text"]


@pytest.mark.parametrize("bad,param", [(5, "input"), ({}, "input"), (True, "input"), ([{"role": "user", "content": "x"}, 5],
                                                                                     "input[1]"), ([None], "input[0]")])
def test_input_of_a_wrong_type_behind_a_history(to_chat_only, bad, param):
    """It is named as the client's own, and nothing is asked of a model."""
    gate, up = to_chat_only
    id = ask(gate, body("one"))["id"]
    before = len(up.requests)
    error = ask(gate, body(bad, previous_response_id=id), status=400)["error"]
    assert error["param"] == param, error
    talk = ask(gate, {}, path=TALK)["id"]
    assert ask(gate, body(bad, conversation=talk), status=400)["error"]["param"] == param
    assert len(up.requests) == before
    assert items(gate, talk) == []


def test_a_fault_deep_in_this_turn_is_where_the_client_put_it(to_chat_only):
    """Not where it is behind the history."""
    gate, up = to_chat_only
    id = ask(gate, body("one"))["id"]
    before = len(up.requests)
    bad = [{"role": "user", "content": "two"}, {"role": "user", "content": [{"type": "input_text", "text": 5}]}]
    alone = ask(gate, body(bad), status=400)["error"]
    behind = ask(gate, body(bad, previous_response_id=id), status=400)["error"]
    assert alone["param"].startswith("input[1]") and behind == alone
    assert len(up.requests) == before


@pytest.mark.parametrize("field,bad", [("conversation", 5), ("conversation", {}), ("conversation", {"id": 5}),
                                       ("conversation", ""), ("previous_response_id", "")])
def test_state_of_a_wrong_type(to_chat_only, field, bad):
    gate, up = to_chat_only
    error = ask(gate, body(**{field: bad}), status=400)["error"]
    assert error["param"] == field and "must be" in error["message"], error
    assert not up.requests


def test_paths_that_are_none(to_chat_only):
    gate, _ = to_chat_only
    id = ask(gate, body("one"))["id"]
    assert gate.get(f"{PATH}/{id}/input_items/more").status == 404
    assert gate.get(f"{PATH}/compact").status == 404
    assert gate.get(f"{PATH}/{id}/input_items?order=sideways").status == 400
    assert gate.ask("POST", f"{PATH}/{id}/cancel/more").status == 404
    assert ask(gate, {"model": MODEL, "input": 5}, status=400, path=f"{PATH}/compact")


@pytest.mark.parametrize("bad", ["x", [5], [None], {"a": 1}])
def test_items_that_are_none(to_chat_only, bad):
    """A conversation never holds what no request could be made of."""
    gate, _ = to_chat_only
    ask(gate, {"items": bad}, status=400, path=TALK)
    talk = ask(gate, {}, path=TALK)["id"]
    ask(gate, {"items": bad}, status=400, path=f"{TALK}/{talk}/items")
    assert items(gate, talk) == []


def test_a_background_run_in_a_conversation(to_chat_only):
    """What it says is a turn like any other."""
    gate, up = to_chat_only
    talk = ask(gate, {"items": [{"role": "user", "content": "zero"}]}, path=TALK)["id"]
    made = ask(gate, body("one", conversation=talk, background=True))
    assert wait_done(gate, made["id"])["status"] == "completed"
    assert [text(i) for i in items(gate, talk)] == ["zero", "one", "first answer"]
    ask(gate, body("two", conversation=talk))
    assert len(up.last.json["messages"]) == 4


def test_a_turn_that_is_not_stored(to_chat_only):
    """store: false keeps the response from being found, and the conversation goes on all the same."""
    gate, up = to_chat_only
    talk = ask(gate, {}, path=TALK)["id"]
    made = ask(gate, body("one", conversation=talk, store=False))
    assert made["store"] is False
    assert gate.get(f"{PATH}/{made['id']}").status == 404
    ask(gate, body("two", previous_response_id=made["id"]), status=404)
    assert [text(i) for i in items(gate, talk)] == ["one", "first answer"]
    ask(gate, body("two", conversation=talk))
    assert len(up.last.json["messages"]) == 3


def test_items_have_one_id(to_chat_only):
    """The same when they are put in, listed, asked for one by one, and after others were taken out."""
    gate, up = to_chat_only
    talk = ask(gate, {"items": [{"role": "user", "content": "zero"}]}, path=TALK)["id"]
    added = ask(gate, {"items": [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]},
                path=f"{TALK}/{talk}/items")["data"]
    made = ask(gate, body("three", conversation=talk))
    listed = items(gate, talk)
    assert [text(i) for i in listed] == ["zero", "one", "two", "three", "first answer"]
    assert {i["id"] for i in added} == {i["id"] for i in listed[1:3]}
    assert len({i["id"] for i in listed}) == 5
    assert gate.get(f"{PATH}/{made['id']}/input_items").json["data"][0]["id"] == listed[3]["id"]
    for item in listed:
        assert gate.get(f"{TALK}/{talk}/items/{item['id']}").json == item
    for at in (1, 4):
        got = gate.ask("DELETE", f"{TALK}/{talk}/items/{listed[at]['id']}")
        assert got.status == 200 and got.json["id"] == talk, got
        assert gate.ask("DELETE", f"{TALK}/{talk}/items/{listed[at]['id']}").status == 404
    assert items(gate, talk) == [listed[0], listed[2], listed[3]]
    ask(gate, body("four", conversation=talk))
    assert [m["content"] if isinstance(m["content"], str) else m["content"][0]["text"]
            for m in up.last.json["messages"]] == ["zero", "two", "three", "four"]
    assert gate.get(f"{PATH}/{made['id']}").json["output"], "the response itself stays what it was"


def test_a_short_message_is_told_in_full(to_chat_only):
    """Parts, status and type, as clients of the vendor expect; what else it had stays."""
    gate, up = to_chat_only
    short = [{"role": "user", "content": "zero ü"}, {"role": "assistant", "content": "yes", "phase": "final_answer"}]
    talk = ask(gate, {"items": short}, path=TALK)["id"]
    user, assistant = items(gate, talk)
    assert user == {"id": user["id"], "type": "message", "status": "completed", "role": "user",
                    "content": [{"type": "input_text", "text": "zero ü"}]}
    assert assistant == {"id": assistant["id"], "type": "message", "status": "completed", "role": "assistant",
                         "phase": "final_answer",
                         "content": [{"type": "output_text", "text": "yes", "annotations": []}]}
    made = ask(gate, body([*short, {"role": "user", "content": "one"}]))
    listed = gate.get(f"{PATH}/{made['id']}/input_items?order=asc").json["data"]
    assert [i["content"][0]["text"] for i in listed] == ["zero ü", "yes", "one"]
    ask(gate, body("two", conversation=talk))
    assert [m["role"] for m in up.last.json["messages"]] == ["user", "assistant", "user"]


@pytest.mark.workers
def test_metadata_and_turns_at_once(gateway, upstream):
    """A change of the metadata never loses the turn that ends at the same moment."""
    upstream.handler = wire.both("chat", "yes")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])], "workers": 2})
    talk = ask(gate, {}, path=TALK)["id"]
    stop = threading.Event()
    failed = []

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            got = gate.ask("POST", f"{TALK}/{talk}", {"metadata": {"n": str(n)}})
            if got.status != 200:
                failed.append(got)

    threads = [threading.Thread(target=change) for _ in range(2)]
    for t in threads:
        t.start()
    for i in range(30):
        ask(gate, body(f"turn {i}", conversation=talk))
    stop.set()
    for t in threads:
        t.join()
    assert not failed
    assert [text(i) for i in items(gate, talk)][0::2] == [f"turn {i}" for i in range(30)]


def test_the_store_is_taken_away(gateway, upstream):
    """Switched off by a reload: nothing is kept or told, and a run that nobody could ask for ends."""
    gone = []

    def never(request, reply):
        if "quick" in json.dumps(request.json):
            return wire.both("chat", "yes")(request, reply)
        gone.append(reply.wait_gone(10))

    upstream.handler = never
    config = {**base(), "upstreams": [place("openai-compatible", upstream, dialects=["chat"])]}
    gate = gateway(config)
    stored = ask(gate, body("quick"))["id"]
    run = ask(gate, body("slow", background=True))["id"]
    upstream.wait(2)
    gate.write({**config, "recall": {"responses": 0}})
    gate.signal(signal.SIGHUP)
    until = time.monotonic() + 5
    while gate.get(f"{PATH}/{stored}").status == 200 and time.monotonic() < until:
        time.sleep(0.05)
    assert gate.get(f"{PATH}/{stored}").status == 404
    assert gate.get(f"{PATH}/{run}").status == 404
    while not gone and time.monotonic() < until:
        time.sleep(0.05)
    assert gone, "the run goes on for nobody"
