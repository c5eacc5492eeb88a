"""Background runs of the gateway's own as streams: told while they run, told again, resumed by number."""

import json
import random
import signal
import threading
import time

import openai
import pytest

from harness import wire
from harness.http import encode
from harness.stand import base, place

PATH = "/v1/responses"
MODEL = "gpt-4.1"
WHO = {"authorization": "Bearer any"}  # as the SDK says


def body(text="work", **more):
    return {"model": MODEL, "input": text, "background": True, **more}


class Paced:
    """An upstream that gives out one piece of its answer each time it is told to."""

    def __init__(self):
        self.steps = threading.Semaphore(0)

    def __call__(self, request, reply):
        frames = wire.chat_stream("one", " two", " three")
        if not request.json.get("stream"):
            return wire.whole(wire.chat_answer("one two three"))(request, reply)
        reply.open_chunks(headers={"content-type": "text/event-stream"})
        for frame in frames:
            assert self.steps.acquire(timeout=10)
            reply.chunk(frame)
        reply.finish()

    def go(self, n=1):
        for _ in range(n):
            self.steps.release()


@pytest.fixture
def paced(gateway, upstream):
    upstream.handler = Paced()
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    yield gate, upstream, upstream.handler
    upstream.handler.go(100)


def read_events(gate, path, timeout=10):
    got = gate.get(path, WHO, timeout=timeout)
    assert got.status == 200, got
    return [(e.event, json.loads(e.data)) for e in got.events if e.data]


def text_of(events):
    return "".join(d["delta"] for n, d in events if n == "response.output_text.delta")


def numbers(events):
    return [d["sequence_number"] for _, d in events]


def sdk(gate, who=None):
    return openai.OpenAI(base_url=f"{gate.url}/v1", api_key=who or "any", max_retries=0)


def test_a_streamed_run_goes_on_without_its_client(paced):
    """The client leaves in the middle; the run ends, is stored, and is told from any number on."""
    gate, up, pace = paced
    stream = sdk(gate).responses.create(**body(), stream=True)
    events = iter(stream)
    first = next(events)
    assert first.type == "response.created" and first.sequence_number == 0
    assert first.response.status == "in_progress" and first.response.background is True
    id = first.response.id
    assert next(events).type == "response.in_progress"
    pace.go(2)
    seen = [first.sequence_number, 1]
    for event in events:
        seen.append(event.sequence_number)
        if event.type == "response.output_text.delta":
            assert event.delta == "one"
            break
    stream.close()
    time.sleep(0.3)
    assert gate.get(f"{PATH}/{id}", WHO).json["status"] == "in_progress"
    pace.go(100)
    rest = list(sdk(gate).responses.retrieve(id, stream=True, starting_after=seen[-1]))
    assert rest[-1].type == "response.completed"
    assert rest[-1].response.id == id and rest[-1].response.output_text == "one two three"
    assert [e.sequence_number for e in rest] == list(range(seen[-1] + 1, seen[-1] + 1 + len(rest)))
    assert "".join(e.delta for e in rest if e.type == "response.output_text.delta") == " two three"
    again = read_events(gate, f"{PATH}/{id}?stream=true")
    assert numbers(again) == list(range(len(again))) and text_of(again) == "one two three"
    assert again[0][0] == "response.created" and again[-1][0] == "response.completed"
    assert gate.get(f"{PATH}/{id}", WHO).json["status"] == "completed"
    assert len(up.requests) == 1


@pytest.mark.workers
def test_many_readers_of_a_run(paced):
    """Readers that come before, in the middle and after see the same events, numbers included."""
    gate, _, pace = paced
    stream = sdk(gate).responses.create(**body(), stream=True)
    events = iter(stream)
    id = next(events).response.id
    found = []

    def read():
        found.append(read_events(gate, f"{PATH}/{id}?stream=true"))

    readers = []
    for _ in range(4):
        reader = threading.Thread(target=read)
        reader.start()
        readers.append(reader)
        pace.go(1)
        time.sleep(0.1)
    pace.go(100)
    own = [event.sequence_number for event in events]
    for reader in readers:
        reader.join(10)
    read()
    assert len(found) == 5 and all(f == found[0] for f in found)
    assert numbers(found[0]) == [0] + own
    assert found[0][-1][0] == "response.completed"


def test_a_silent_run_is_kept_alive(gateway, upstream):
    """Comments go out while the upstream says nothing."""
    upstream.handler = Paced()
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])],
                    "ping_interval": "1s"})
    client = gate.client(timeout=5)
    client.send(encode("POST", PATH, body(stream=True)))
    assert client.head().status == 200
    until = time.monotonic() + 4
    buf = b""
    while b"\n:" not in buf and not buf.startswith(b":") and time.monotonic() < until:
        buf += client.sock.recv(65536)
    assert b"\n:" in buf, buf
    client.close()
    upstream.handler.go(100)


def test_a_streamed_run_fails(gateway, upstream):
    """The failure is an event with the next number, while it runs and after."""
    upstream.handler = wire.fail("chat", 400, message="no such thing")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    events = list(sdk(gate).responses.create(**body(), stream=True))
    assert [e.type for e in events] == ["response.created", "response.in_progress", "response.failed"]
    assert [e.sequence_number for e in events] == [0, 1, 2]
    failed = events[-1].response
    assert failed.status == "failed" and "no such thing" in failed.error.message
    assert failed.error.code == "server_error"
    again = read_events(gate, f"{PATH}/{failed.id}?stream=true&starting_after=1")
    assert [n for n, _ in again] == ["response.failed"] and numbers(again) == [2]


def test_a_streamed_run_breaks_off(gateway, upstream):
    """The upstream dies in the middle: response.failed is last, and what is stored says why."""
    def dies(request, reply):
        reply.open_chunks(headers={"content-type": "text/event-stream"})
        for frame in wire.chat_stream("one", " two")[:2]:
            reply.chunk(frame)
        time.sleep(0.2)
        reply.reset()

    upstream.handler = dies
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    events = list(sdk(gate).responses.create(**body(), stream=True))
    assert events[-1].type == "response.failed"
    assert [e.sequence_number for e in events] == list(range(len(events)))
    got = gate.get(f"{PATH}/{events[0].response.id}", WHO).json
    assert got["status"] == "failed" and got["error"]["message"]


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_a_streamed_run_is_ended(paced, verb):
    """Its readers come to a clean end; nothing of a deleted one is left."""
    gate, up, pace = paced
    stream = sdk(gate).responses.create(**body(), stream=True)
    events = iter(stream)
    id = next(events).response.id
    pace.go(2)
    up.wait(1)
    if verb == "cancel":
        assert gate.ask("POST", f"{PATH}/{id}/cancel", None, WHO).json["status"] == "cancelled"
    else:
        assert gate.ask("DELETE", f"{PATH}/{id}", None, WHO).json["deleted"] is True
    assert "response.completed" not in [e.type for e in events]
    pace.go(100)
    got = gate.get(f"{PATH}/{id}?stream=true", WHO)
    if verb == "cancel":
        assert got.status == 200 and got.events[0].event == "response.created"
    else:
        assert got.status == 404, got


def test_a_streamed_run_is_the_callers_own(gateway, upstream):
    upstream.handler = Paced()
    place_ = place("openai-compatible", upstream, dialects=["chat"])
    gate = gateway({"upstreams": [place_]})
    stream = sdk(gate, "sk-first-caller").responses.create(**body(), stream=True)
    id = next(iter(stream)).response.id
    got = gate.get(f"{PATH}/{id}?stream=true", {"authorization": "Bearer sk-second-caller"})
    assert got.status == 404, got
    upstream.handler.go(100)
    stream.close()


def test_a_run_that_was_not_streamed(paced):
    """In progress there is nothing to be streamed; when it has ended the answer is."""
    gate, _, pace = paced
    hold = threading.Event()

    def slow(request, reply):
        hold.wait(5)
        wire.whole(wire.chat_answer("whole"))(request, reply)

    paced[1].handler = slow
    id = gate.ask("POST", PATH, body(), WHO).json["id"]
    got = gate.get(f"{PATH}/{id}?stream=true", WHO)
    assert got.status == 400 and "stream: true" in got.json["error"]["message"]
    hold.set()
    until = time.monotonic() + 5
    while gate.get(f"{PATH}/{id}", WHO).json["status"] == "in_progress" and time.monotonic() < until:
        time.sleep(0.05)
    assert text_of(read_events(gate, f"{PATH}/{id}?stream=true")) == "whole"
    paced[1].handler = pace


def test_a_failed_run_is_streamed(gateway, upstream):
    upstream.handler = wire.fail("chat", 400, message="no such thing")
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    id = gate.ask("POST", PATH, body(), WHO).json["id"]
    until = time.monotonic() + 5
    while gate.get(f"{PATH}/{id}", WHO).json["status"] == "in_progress" and time.monotonic() < until:
        time.sleep(0.05)
    events = read_events(gate, f"{PATH}/{id}?stream=true")
    assert events[-1][0] == "response.failed" and "no such thing" in events[-1][1]["response"]["error"]["message"]


def test_what_a_client_says_of_status_is_not_the_status(gateway, upstream):
    """Metadata named as members of a response are metadata: the replayed end is that of the answer, and nothing ran behind."""
    upstream.handler = lambda request, reply: wire.whole(wire.chat_answer("fine"))(request, reply)
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    tool = {"type": "function", "name": "t", "parameters": {"type": "object", "properties": {"background": True}}, "strict": False}
    asked = {"model": MODEL, "input": "hi", "metadata": {"status": "failed"}, "tools": [tool]}
    compact = json.dumps(asked, separators=(",", ":")).encode()  # as clients spell it
    id = gate.ask("POST", PATH, compact, WHO).json["id"]
    events = read_events(gate, f"{PATH}/{id}?stream=true")
    assert events[-1][0] == "response.completed" and text_of(events) == "fine"
    assert gate.ask("POST", f"{PATH}/{id}/cancel", {}, WHO).status == 400


def test_a_run_over_its_memory_says_so(gateway, upstream):
    """The events of a run are bounded by recall.response_memory; its reader is not told that it is complete."""
    def much(request, reply):
        reply.sse(wire.chat_stream(*["x" * 30000] * 80))

    upstream.handler = much
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])],
                    "recall": {"response_memory": "1MiB"}})
    with pytest.raises(Exception):
        events = list(sdk(gate).responses.create(**body(), stream=True))
        assert events[-1].type == "response.completed", events[-1].type


def test_a_reload_while_a_run_is_streamed(gateway, upstream):
    """The run and its reader go on."""
    upstream.handler = Paced()
    config = {**base(), "upstreams": [place("openai-compatible", upstream, dialects=["chat"])]}
    gate = gateway(config)
    stream = sdk(gate).responses.create(**body(), stream=True)
    events = iter(stream)
    id = next(events).response.id
    gate.write({**config, "default_max_tokens": 777})
    gate.signal(signal.SIGHUP)
    time.sleep(0.5)
    upstream.handler.go(100)
    assert [e.type for e in events][-1] == "response.completed"
    assert gate.get(f"{PATH}/{id}", WHO).json["status"] == "completed"


def test_a_stop_while_a_run_is_streamed(gateway, upstream):
    """A drain waits for the run; its reader sees the end."""
    upstream.handler = Paced()
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]})
    stream = sdk(gate).responses.create(**body(), stream=True)
    events = iter(stream)
    next(events)
    upstream.wait(1)
    gate.signal(signal.SIGTERM)
    time.sleep(0.3)
    upstream.handler.go(100)
    assert [e.type for e in events][-1] == "response.completed"
    gate.wait()


def test_a_stop_at_once_while_runs_are_read(gateway, upstream):
    """At the drain's deadline: no reader takes what it has for complete, and the process ends cleanly."""
    upstream.handler = Paced()
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])], "drain_timeout": "1s"})
    made = sdk(gate).responses.create(**body(), stream=True)
    events = iter(made)
    id = next(events).response.id
    upstream.wait(1)
    upstream.handler.go(2)
    late = gate.client()
    late.send(encode("GET", f"{PATH}/{id}?stream=true", None, WHO))
    assert late.head().status == 200
    plain = gate.ask("POST", PATH, body(), WHO)
    assert plain.status == 200
    gate.signal(signal.SIGTERM)
    rest = []
    try:
        rest = [e.type for e in events]
    except Exception:  # the connection is cut
        pass
    assert "response.completed" not in rest
    got = late.buf
    while part := late.sock.recv(65536):
        got += part
    assert b"response.completed" not in got and not got.endswith(b"0\r\n\r\n"), got[-200:]
    assert gate.wait() == 0
    upstream.handler.go(100)


def test_a_run_is_never_native(gateway, upstreams):
    """The first upstream has the dialect and fails, the second is translated: so the run starts here; when the
    first is well again the run may go there, but what it says is kept under the run's id."""
    native, chat = upstreams(2)
    seen = []

    def fails_once(request, reply):
        seen.append(request.json)
        if len(seen) == 1:
            return wire.fail("responses", 500)(request, reply)
        assert not request.json.get("background"), request.json
        wire.both("responses", "native answer")(request, reply)

    native.handler = fails_once
    chat.handler = wire.both("chat", "chat answer")
    gate = gateway({"upstreams": [place("openai-compatible", native, name="first", dialects=["responses"]),
                                  place("openai-compatible", chat, name="second", dialects=["chat"])]})
    made = gate.ask("POST", PATH, body(), WHO)
    assert made.status == 200, made
    until = time.monotonic() + 5
    while (got := gate.get(f"{PATH}/{made.json['id']}", WHO).json)["status"] == "in_progress" and time.monotonic() < until:
        time.sleep(0.05)
    assert got["status"] == "completed" and got["id"] == made.json["id"], got


def test_runs_are_bounded(gateway, upstream):
    """As many go on as there may be connections; one more is told to wait, and may come when one has ended."""
    free = threading.Event()

    def slow(request, reply):
        free.wait(10)
        wire.whole(wire.chat_answer("done"))(request, reply)

    upstream.handler = slow
    gate = gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])],
                    "limits": {"connections": 8}})
    ids = []
    for _ in range(8):
        got = gate.ask("POST", PATH, body(), WHO)
        assert got.status == 200, got
        ids.append(got.json["id"])
    assert "anyrouter_background_runs 8" in gate.get("/metrics").text
    got = gate.ask("POST", PATH, body(), WHO)
    assert got.status == 429 and got.header("retry-after"), got
    free.set()
    until = time.monotonic() + 5
    while "anyrouter_background_runs 0" not in gate.get("/metrics").text and time.monotonic() < until:
        time.sleep(0.05)
    assert [gate.get(f"{PATH}/{id}", WHO).json["status"] for id in ids] == ["completed"] * 8
    assert gate.ask("POST", PATH, body(), WHO).status == 200


@pytest.mark.workers
def test_everything_at_once(gateway, upstream):
    """Runs, readers, cancels, deletes, turns of a conversation, clients that leave and reloads: each answer is one
    that the moment allows, and nothing is left when all is over."""
    def brief(request, reply):
        if request.json.get("stream"):
            return reply.sse(wire.chat_stream(*["a"] * 5), pause=0.01)
        time.sleep(0.02)
        wire.whole(wire.chat_answer("whole"))(request, reply)

    upstream.handler = brief
    config = {**base(), "upstreams": [place("openai-compatible", upstream, dialects=["chat"])], "workers": 3,
              "recall": {"response_memory": "2MiB", "responses": 300}}
    gate = gateway(config)
    talk = gate.ask("POST", "/v1/conversations", {}).json["id"]
    stop, ids, odd = time.monotonic() + 4, [], []

    def make(dice):
        more = {"background": dice.random() < 0.7, "stream": dice.random() < 0.5}
        if dice.random() < 0.3:
            more["conversation"] = talk
        elif ids and dice.random() < 0.5:
            more["previous_response_id"] = dice.choice(ids)
        got = gate.ask("POST", PATH, body(**more))
        if got.status == 200:
            ids.append(json.loads(got.events[0].data)["response"]["id"] if more["stream"] else got.json["id"])
        return got

    def leave(dice):
        client = gate.client()
        client.send(encode("POST", PATH, body(stream=True)))
        time.sleep(dice.random() * 0.05)
        client.reset()

    def look(dice):
        id = dice.choice(ids[-30:])
        method, path = dice.choice([("GET", ""), ("GET", "?stream=true&starting_after=2"), ("POST", "/cancel"),
                                    ("DELETE", ""), ("GET", "/input_items")])
        return gate.ask(method, f"{PATH}/{id}{path}")

    def act(seed):
        dice = random.Random(seed)
        while time.monotonic() < stop:
            got = dice.choice([make, leave, look, look] if ids else [make])(dice)
            if got is not None and got.status not in (200, 400, 404, 409):
                odd.append(got)

    threads = [threading.Thread(target=act, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for n in range(6):
        time.sleep(0.6)
        gate.write({**config, "recall": {"response_memory": "2MiB", "responses": [0, 300, 20][n % 3]}})
        gate.signal(signal.SIGHUP)
    for thread in threads:
        thread.join()
    assert not odd and ids
    until = time.monotonic() + 5
    while "anyrouter_background_runs 0" not in (text := gate.get("/metrics").text) and time.monotonic() < until:
        time.sleep(0.05)
    assert "anyrouter_background_runs 0" in text and 'anyrouter_recall_bytes{table="tapes"} 0' in text, text
