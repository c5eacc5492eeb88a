"""State of the Responses API that the gateway holds on any upstream (PROTOCOLS 2.1, 5.7, 6.10)."""

import json
import threading
import time

import openai
import pytest

from harness import key, wire
from harness.stand import place

PATH = "/v1/responses"
CHAT = "openai-compatible"
MODEL = "gpt-4.1"


def body(text="hello", **more):
    return {"model": MODEL, "input": text, **more}


def bearer(who):
    return {"authorization": f"Bearer {who}"}


def ask(gate, sent, headers=None, status=200):
    got = gate.ask("POST", PATH, sent, headers)
    assert got.status == status, got
    return got


def last_response(got):
    done = [e for e in got.events if e.event == "response.completed"]
    assert len(done) == 1, got
    return json.loads(done[0].data)["response"]


def said(request):
    """(role, text) of what an upstream of Chat was asked."""
    out = []
    for message in request.json["messages"]:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        out.append((message["role"], content))
    return out


@pytest.mark.parametrize("stream", [False, True])
def test_previous_response_is_put_in(to_chat_only, stream):
    """A chain of three turns arrives whole; instructions are not inherited."""
    gate, up = to_chat_only
    first = ask(gate, body("one", instructions="be brief", stream=stream))
    response = last_response(first) if stream else first.json
    assert response["store"] is True
    second = ask(gate, body("two", previous_response_id=response["id"], stream=stream))
    response2 = last_response(second) if stream else second.json
    assert response2["previous_response_id"] == response["id"]
    assert said(up.last) == [("user", "one"), ("assistant", "first answer"), ("user", "two")]
    ask(gate, body([{"role": "user", "content": "three"}], previous_response_id=response2["id"]))
    assert said(up.last) == [("user", "one"), ("assistant", "first answer"), ("user", "two"),
                             ("assistant", "first answer"), ("user", "three")]


def test_calls_and_results_go_on_by_id(to_chat_only):
    """An agent that sends only the result: the call comes from the stored response."""
    gate, up = to_chat_only
    up.handler = wire.whole(wire.chat_answer(None, calls=[wire.call(id="call_7")]))
    tools = [{"type": "function", "name": "get_weather", "parameters": wire.WEATHER}]
    first = ask(gate, body("weather?", tools=tools)).json
    call = [i for i in first["output"] if i["type"] == "function_call"][0]
    up.handler = wire.both("chat", "sunny")
    ask(gate, body([{"type": "function_call_output", "call_id": call["call_id"], "output": "21"}],
                   tools=tools, previous_response_id=first["id"]))
    messages = up.last.json["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]


def test_item_references(to_chat_only):
    gate, up = to_chat_only
    first = ask(gate, body("one")).json
    item = first["output"][0]["id"]
    ask(gate, body([{"role": "user", "content": "one"}, {"type": "item_reference", "id": item},
                    {"role": "user", "content": "two"}]))
    assert said(up.last) == [("user", "one"), ("assistant", "first answer"), ("user", "two")]
    got = ask(gate, body([{"type": "item_reference", "id": "msg_nobody"}]), status=404)
    assert "msg_nobody" in got.json["error"]["message"]


def test_another_caller_finds_nothing(to_chat_only):
    """By no way: not to read, to delete, to list, to cancel, nor to go on from."""
    gate, up = to_chat_only
    mine, yours = bearer(key("mine")), bearer(key("yours"))
    first = ask(gate, body("secret"), mine).json
    place_ = f"{PATH}/{first['id']}"
    asked = len(up.requests)
    for method, path in (("GET", place_), ("DELETE", place_), ("GET", place_ + "/input_items"),
                         ("POST", place_ + "/cancel")):
        got = gate.ask(method, path, None, yours)
        assert got.status == 404, (method, path, got)
        assert got.json["error"]["code"] == "response_not_found"
    got = ask(gate, body("two", previous_response_id=first["id"]), yours, status=404)
    assert got.json["error"]["code"] == "previous_response_not_found"
    assert got.json["error"]["param"] == "previous_response_id"
    got = ask(gate, body([{"type": "item_reference", "id": first["output"][0]["id"]}]), yours, status=404)
    assert len(up.requests) == asked
    assert gate.get(place_, mine).status == 200
    same = ask(gate, body("two", previous_response_id="resp_never"), yours, status=404)
    assert same.json["error"]["message"].replace("resp_never", first["id"]) == \
        f"Previous response with id '{first['id']}' not found."


def test_get_list_delete(to_chat_only):
    gate, _ = to_chat_only
    first = ask(gate, body([{"role": "user", "content": "a"}, {"role": "user", "content": "b"},
                            {"role": "user", "content": "c"}]))
    made = first.json
    assert gate.get(f"{PATH}/{made['id']}").json == made
    page = gate.get(f"{PATH}/{made['id']}/input_items?limit=2").json
    assert page["object"] == "list" and page["has_more"] is True
    assert [i["content"][0]["text"] for i in page["data"]] == ["c", "b"]
    rest = gate.get(f"{PATH}/{made['id']}/input_items?limit=2&after={page['last_id']}").json
    assert [i["content"][0]["text"] for i in rest["data"]] == ["a"] and rest["has_more"] is False
    up = gate.get(f"{PATH}/{made['id']}/input_items?order=asc").json
    assert [i["content"][0]["text"] for i in up["data"]] == ["a", "b", "c"]
    assert len({i["id"] for i in up["data"]}) == 3 and up["first_id"] == up["data"][0]["id"]
    assert gate.get(f"{PATH}/{made['id']}/input_items?limit=0").status == 400
    got = gate.ask("DELETE", f"{PATH}/{made['id']}")
    assert got.status == 200
    assert got.json == {"id": made["id"], "object": "response", "deleted": True}
    assert gate.get(f"{PATH}/{made['id']}").status == 404
    assert ask(gate, body("x", previous_response_id=made["id"]), status=404)


def test_not_stored(to_chat_only):
    gate, _ = to_chat_only
    made = ask(gate, body("one", store=False)).json
    assert made["store"] is False
    assert gate.get(f"{PATH}/{made['id']}").status == 404
    assert ask(gate, body("x", previous_response_id=made["id"]), status=404)


@pytest.mark.p("P-133")
def test_nothing_is_stored_when_it_is_off(gateway, upstream):
    """P-133: then state is refused with the parameter's name."""
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, upstream, dialects=["chat"])], "recall": {"responses": 0}})
    made = ask(gate, body("one")).json
    assert made["store"] is False
    assert gate.get(f"{PATH}/{made['id']}").status == 404
    got = ask(gate, body("x", previous_response_id=made["id"]), status=400)
    assert got.json["error"]["param"] == "previous_response_id"
    assert len(upstream.requests) == 1


def test_a_cut_stream_is_not_stored(to_chat_only):
    gate, up = to_chat_only

    def cut(request, reply):
        frames = wire.stream("chat", "half an answer", " and")
        reply.sse(frames[:2], finish=False)
        reply.close()

    up.handler = cut
    got = gate.ask("POST", PATH, body("one", stream=True))
    ids = {json.loads(e.data)["response"]["id"] for e in got.events if "response" in json.loads(e.data)}
    for made in ids:
        assert gate.get(f"{PATH}/{made}").status == 404


def test_what_is_remembered_is_measured(to_chat_only):
    """Entries, bytes, hits and misses of each table are in /metrics."""
    gate, _ = to_chat_only
    id = ask(gate, body("one")).json["id"]
    gate.get(f"{PATH}/{id}")
    gate.get(f"{PATH}/resp_none")
    lines = dict(line.rsplit(" ", 1) for line in gate.get("/metrics").text.splitlines() if line.startswith("anyrouter_recall"))
    assert lines['anyrouter_recall_entries{table="responses"}'] == "1", lines
    assert int(lines['anyrouter_recall_bytes{table="responses"}']) >= 256
    assert lines['anyrouter_recall_hits_total{table="responses"}'] == "1"
    assert lines['anyrouter_recall_misses_total{table="responses"}'] == "1"
    assert lines['anyrouter_recall_evicted_total{table="responses"}'] == "0"
    assert lines['anyrouter_recall_entries{table="signatures"}'] == "0"
    assert lines['anyrouter_recall_bytes{table="tapes"}'] == "0"


def test_a_store_is_bounded(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"upstreams": [place(CHAT, upstream, dialects=["chat"])], "recall": {"responses": 10}})
    made = [ask(gate, body(str(n))).json["id"] for n in range(30)]
    kept = [id for id in made if gate.get(f"{PATH}/{id}").status == 200]
    assert 1 <= len(kept) <= 10 and made[-1] in kept


@pytest.mark.workers
def test_workers_share_it(gateway, upstream):
    upstream.handler = wire.both("chat")
    gate = gateway({"workers": 4, "upstreams": [place(CHAT, upstream, dialects=["chat"])]})
    before = None
    for n in range(20):  # each on a connection of its own
        sent = body(str(n)) if before is None else body(str(n), previous_response_id=before)
        before = ask(gate, sent).json["id"]
    assert len(upstream.last.json["messages"]) == 39


# ---------------------------------------------------------------- background

def wait_done(gate, id, seconds=5):
    until = time.monotonic() + seconds
    while True:
        got = gate.get(f"{PATH}/{id}").json
        if got["status"] not in ("queued", "in_progress") or time.monotonic() > until:
            return got
        time.sleep(0.05)


def test_a_background_run(to_chat_only):
    gate, up = to_chat_only

    def slow(request, reply):
        time.sleep(0.5)
        wire.both("chat", "done")(request, reply)

    up.handler = slow
    begun = time.monotonic()
    made = ask(gate, body("work", background=True)).json
    assert time.monotonic() - begun < 0.4
    assert made["status"] in ("queued", "in_progress") and made["background"] is True
    assert ask(gate, body("x", previous_response_id=made["id"]), status=400)
    done = wait_done(gate, made["id"])
    assert done["status"] == "completed" and done["id"] == made["id"]
    assert done["output"][0]["content"][0]["text"] == "done"
    ask(gate, body("next", previous_response_id=made["id"]))
    assert said(up.last) == [("user", "work"), ("assistant", "done"), ("user", "next")]
    again = gate.ask("POST", f"{PATH}/{made['id']}/cancel")
    assert again.status == 200 and again.json["status"] == "completed"


def test_a_background_run_is_cancelled(to_chat_only):
    gate, up = to_chat_only
    gone = []

    def never(request, reply):
        gone.append(reply.wait_gone(5))

    up.handler = never
    made = ask(gate, body("work", background=True)).json
    up.wait(1)
    got = gate.ask("POST", f"{PATH}/{made['id']}/cancel")
    assert got.status == 200 and got.json["status"] == "cancelled"
    until = time.monotonic() + 3
    while not gone and time.monotonic() < until:
        time.sleep(0.05)
    assert gone and gone[0] is not None, "the upstream's request goes on"
    assert gate.get(f"{PATH}/{made['id']}").json["status"] == "cancelled"


def test_a_background_run_fails(to_chat_only):
    gate, up = to_chat_only
    up.handler = wire.fail("chat", 400, message="no such thing")
    made = ask(gate, body("work", background=True)).json
    done = wait_done(gate, made["id"])
    assert done["status"] == "failed"
    assert "no such thing" in done["error"]["message"]


def test_only_background_runs_are_cancelled(to_chat_only):
    gate, _ = to_chat_only
    made = ask(gate, body("one")).json
    got = gate.ask("POST", f"{PATH}/{made['id']}/cancel")
    assert got.status == 400


# ---------------------------------------------------------------- an upstream's own state

def native(answers):
    """Speaks Responses; answers with ids of its own."""
    def run(request, reply):
        id = f"resp_native{len(answers)}"
        answers.append((request.key, request.method, request.path, request.body))
        made = {"id": id, "object": "response", "created_at": 1700000000, "status": "completed", "error": None,
                "incomplete_details": None, "model": "up-model", "parallel_tool_calls": True, "tools": [],
                "output": [{"id": f"msg_{id}", "type": "message", "role": "assistant", "status": "completed",
                            "content": [{"type": "output_text", "text": "native", "annotations": []}]}],
                "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
                          "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2}}
        if request.method == "POST" and request.json.get("stream"):
            frames = []
            for n, (name, status) in enumerate((("response.created", "in_progress"),
                                                ("response.completed", "completed"))):
                event = {"type": name, "sequence_number": n, "response": {**made, "status": status}}
                frames.append(f"event: {name}\ndata: {wire.dump(event)}\n\n".encode())
            reply.sse(frames)
        else:
            reply.body(wire.dump(made).encode())
    return run


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstreams_id_goes_back_to_its_key(gateway, upstream, stream):
    answers = []
    upstream.handler = native(answers)
    keys = [key(f"k{i}") for i in range(4)]
    gate = gateway({"upstreams": [place(CHAT, upstream, keys=keys, dialects=["responses"])]})
    mine = bearer(key("mine"))
    for _ in range(3):
        first = ask(gate, body("one", stream=stream), mine)
        id = last_response(first)["id"] if stream else first.json["id"]
        made_by = answers[-1][0]
        for _ in range(3):
            ask(gate, body("two", previous_response_id=id, stream=stream), mine)
            assert answers[-1][0] == made_by
            assert json.loads(answers[-1][3])["previous_response_id"] == id  # passed as it is
        got = gate.get(f"{PATH}/{id}", mine)
        assert got.status == 200, got
        assert answers[-1][:3] == (made_by, "GET", f"{PATH}/{id}")
        count = len(answers)
        yours = bearer(key("yours"))
        assert gate.get(f"{PATH}/{id}", yours).status == 404
        assert ask(gate, body("two", previous_response_id=id), yours, status=404)
        assert len(answers) == count


# ---------------------------------------------------------------- thinking that clients drop

@pytest.mark.p("P-104")
def test_thinking_of_claude_comes_back_to_a_chat_client(gateway, upstream):
    """The client sends its call back bare; the upstream gets thinking and signature before it."""
    seen = []
    think = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"}

    def claude(request, reply):
        seen.append(request.json)
        use = wire.use(id=f"toolu_{len(seen)}")
        wire.whole(wire.claude_answer(think, use))(request, reply)

    upstream.handler = claude
    gate = gateway({"upstreams": [place("anthropic-compatible", upstream)]})
    sent = wire.ask("chat", "weather?", model="claude-opus-4-1", reasoning_effort="high",
                    tools=[wire.tool("chat")])
    first = gate.chat(sent).json["choices"][0]["message"]
    history = sent["messages"] + [
        {"role": "assistant", "content": None, "tool_calls": first["tool_calls"]},
        {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "21"}]
    assert gate.chat({**sent, "messages": history}).status == 200
    blocks = seen[1]["messages"][1]["content"]
    assert blocks[0] == think and blocks[1]["type"] == "tool_use"
    again = gate.chat({**sent, "messages": history})
    assert again.status == 200 and seen[2]["messages"] == seen[1]["messages"]
    other = gate.chat({**sent, "messages": history}, bearer(key("yours")))
    assert other.status == 200
    assert [b["type"] for b in seen[3]["messages"][1]["content"]] == ["tool_use"]


# ---------------------------------------------------------------- conversations

def test_a_conversation(to_chat_only):
    """Made with items; each response in it sees all before and becomes a part of it."""
    gate, up = to_chat_only
    path = "/v1/conversations"
    made = gate.ask("POST", path, {"metadata": {"topic": "demo"}, "items": [
        {"type": "message", "role": "user", "content": "zero"}]})
    assert made.status == 200, made
    talk = made.json
    assert talk["object"] == "conversation" and talk["metadata"] == {"topic": "demo"}
    ask(gate, body("one", conversation=talk["id"]))
    ask(gate, body("two", conversation={"id": talk["id"]}))
    assert said(up.last) == [("user", "zero"), ("user", "one"), ("assistant", "first answer"), ("user", "two")]
    added = gate.ask("POST", f"{path}/{talk['id']}/items", {"items": [{"role": "user", "content": "aside"}]})
    assert added.status == 200 and added.json["data"][0]["content"][0]["text"] == "aside"
    items = gate.get(f"{path}/{talk['id']}/items?order=asc").json
    assert [i["role"] for i in items["data"]] == ["user", "user", "assistant", "user", "assistant", "user"]
    one = gate.get(f"{path}/{talk['id']}/items/{items['data'][2]['id']}")
    assert one.json["content"][0]["text"] == "first answer"
    assert gate.get(f"{path}/{talk['id']}").json == talk
    changed = gate.ask("POST", f"{path}/{talk['id']}", {"metadata": {"topic": "other"}}).json
    assert changed == {**talk, "metadata": {"topic": "other"}}
    yours = bearer(key("yours"))
    for method, more in (("GET", ""), ("DELETE", ""), ("GET", "/items")):
        assert gate.ask(method, f"{path}/{talk['id']}{more}", None, yours).status == 404
    asked = len(up.requests)
    refused = ask(gate, body("x", conversation=talk["id"]), yours, status=404).json["error"]
    assert refused["param"] == "conversation" and len(up.requests) == asked
    gone = gate.ask("DELETE", f"{path}/{talk['id']}")
    assert gone.json == {"id": talk["id"], "object": "conversation.deleted", "deleted": True}
    assert gate.get(f"{path}/{talk['id']}").status == 404
    assert ask(gate, body("x", conversation=talk["id"], previous_response_id="resp_x"), status=400)


@pytest.mark.workers
def test_a_conversation_loses_no_turn(gateway, upstream):
    """Responses that end at the same time are both in it."""
    upstream.handler = lambda request, reply: (time.sleep(0.05), wire.both("chat", "said")(request, reply))
    gate = gateway({"workers": 4, "upstreams": [place(CHAT, upstream, dialects=["chat"])]})
    talk = gate.ask("POST", "/v1/conversations", {}).json["id"]
    threads = [threading.Thread(target=lambda n=n: ask(gate, body(f"turn {n}", conversation=talk))) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    items = gate.get(f"/v1/conversations/{talk}/items?limit=100").json["data"]
    texts = [c["text"] for i in items if i["role"] == "user" for c in i["content"]]
    assert sorted(texts) == sorted(f"turn {n}" for n in range(12))
    assert len(items) == 24


def test_a_conversation_on_an_upstream_of_the_dialect(gateway, upstream):
    """The gateway's conversation works there too: the items are sent, the answer is kept."""
    answers = []
    upstream.handler = native(answers)
    gate = gateway({"upstreams": [place(CHAT, upstream, dialects=["responses"])]})
    talk = gate.ask("POST", "/v1/conversations", {}).json["id"]
    for text in ("one", "two"):
        ask(gate, body(text, conversation=talk))
    sent = json.loads(answers[-1][3])
    assert "conversation" not in sent and len(sent["input"]) == 3
    assert len(gate.get(f"/v1/conversations/{talk}/items").json["data"]) == 4


def test_the_sdk(to_chat_only):
    """The vendor's own client: create, go on, retrieve, list, delete, conversations, background."""
    gate, _ = to_chat_only
    client = openai.OpenAI(api_key=key("sdk"), base_url=gate.url + "/v1", max_retries=0)
    first = client.responses.create(model=MODEL, input="one")
    second = client.responses.create(model=MODEL, input="two", previous_response_id=first.id)
    assert second.previous_response_id == first.id and second.output_text == "first answer"
    assert client.responses.retrieve(first.id).output_text == "first answer"
    items = client.responses.input_items.list(first.id)
    assert items.data[0].content[0].text == "one"
    with client.responses.stream(model=MODEL, input="three", previous_response_id=second.id) as stream:
        third = stream.get_final_response()
    assert client.responses.retrieve(third.id).id == third.id
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    talk = client.conversations.create(metadata={"a": "b"})
    client.responses.create(model=MODEL, input="hi", conversation=talk.id)
    assert len(client.conversations.items.list(talk.id).data) == 2
    assert client.conversations.delete(talk.id).deleted
    run = client.responses.create(model=MODEL, input="work", background=True)
    until = time.monotonic() + 5
    while run.status in ("queued", "in_progress") and time.monotonic() < until:
        time.sleep(0.05)
        run = client.responses.retrieve(run.id)
    assert run.status == "completed" and run.output_text == "first answer"
    assert client.responses.input_tokens.count(model=MODEL, input="how many").input_tokens > 0


# ---------------------------------------------------------------- compaction

def test_compact_where_no_upstream_has_it(to_chat_only):
    """The model sums up; the item goes back in as that summary, on any upstream."""
    gate, up = to_chat_only
    up.handler = wire.both("chat", "They said \"hello\" — ünïcode.")
    got = gate.ask("POST", PATH + "/compact", {"model": MODEL, "instructions": "be brief", "input": [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]})
    assert got.status == 200, got
    assert got.json["object"] == "response.compaction" and got.json["usage"]["input_tokens"] == 11
    item, = got.json["output"]
    assert item["type"] == "compaction" and "hello" not in item["encrypted_content"]
    asked = up.last.json["messages"]
    assert [m["role"] for m in asked] == ["system", "user", "assistant", "user"] or \
        [m["role"] for m in asked] == ["developer", "user", "assistant", "user"]
    ask(gate, body([item, {"role": "user", "content": "three"}]))
    sent = said(up.last)
    assert [role for role, _ in sent] == ["user", "user"]
    assert sent[0][1].endswith("They said \"hello\" — ünïcode.") and sent[1][1] == "three"


def test_compact_goes_on_from_a_stored_response(to_chat_only):
    gate, up = to_chat_only
    first = ask(gate, body("one")).json
    got = gate.ask("POST", PATH + "/compact", {"model": MODEL, "previous_response_id": first["id"]})
    assert got.status == 200, got
    assert [text for _, text in said(up.last)][:2] == ["one", "first answer"]


def test_compact_fails_as_the_upstream_does(to_chat_only):
    gate, up = to_chat_only
    up.handler = wire.fail("chat", 400, message="too long for me")
    got = gate.ask("POST", PATH + "/compact", {"model": MODEL, "input": "x"})
    assert got.status == 400 and "too long for me" in got.json["error"]["message"]
    assert gate.ask("POST", PATH + "/compact", {"input": "x"}).status == 400


def test_compact_is_passed_to_an_upstream_of_the_dialect(gateway, upstream):
    answers = []
    upstream.handler = native(answers)
    gate = gateway({"upstreams": [place(CHAT, upstream, dialects=["responses"])]})
    got = gate.ask("POST", PATH + "/compact", {"model": MODEL, "input": "x"})
    assert got.status == 200 and answers[-1][1:3] == ("POST", PATH + "/compact")
    assert json.loads(answers[-1][3]) == {"model": MODEL, "input": "x"}


def gemini(seen, parts):
    def run(request, reply):
        seen.append(request.json)
        reply.body(wire.dump({"candidates": [{"content": {"role": "model", "parts": parts(len(seen))},
                                              "finishReason": "STOP", "index": 0}],
                              "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2,
                                                "totalTokenCount": 5}, "modelVersion": "gemini-3-pro"}).encode())
    return run


@pytest.mark.p("P-104")
@pytest.mark.p("P-105")
def test_a_signature_of_gemini_comes_back_to_a_chat_client(gateway, upstream):
    """The client sends its two calls back bare; the first gets its signature, the second has none."""
    seen = []

    def parts(n):
        call = lambda city: {"functionCall": {"name": "get_weather", "args": {"city": city}}}
        return [{**call("Rome"), "thoughtSignature": "c2lnLW9mLWdlbWluaQ=="}, call("Oslo")]

    upstream.handler = gemini(seen, parts)
    gate = gateway({"upstreams": [place("gemini", upstream)]})
    sent = wire.ask("chat", "weather?", model="gemini-3-pro-preview", tools=[wire.tool("chat")])
    first = gate.chat(sent)
    assert first.status == 200, first
    calls = [{k: c[k] for k in ("id", "type", "function")} for c in first.json["choices"][0]["message"]["tool_calls"]]
    assert len(calls) == 2
    history = sent["messages"] + [{"role": "assistant", "content": None, "tool_calls": calls}] + [
        {"role": "tool", "tool_call_id": c["id"], "content": "21"} for c in calls]

    def sent_parts(n):
        turn, = [c for c in seen[n]["contents"] if c["role"] == "model"]
        return [p.get("thoughtSignature") for p in turn["parts"]]

    assert gate.chat({**sent, "messages": history}).status == 200
    assert sent_parts(1) == ["c2lnLW9mLWdlbWluaQ==", None]
    assert gate.chat({**sent, "messages": history}, bearer(key("yours"))).status == 200
    assert sent_parts(2) == ["skip_thought_signature_validator", None]
    assert gate.chat({**sent, "messages": history}).status == 200
    assert seen[3]["contents"] == seen[1]["contents"]  # decided once


@pytest.mark.p("P-106")
def test_a_refused_signature_stays_out(gateway, upstream):
    """One retry without it; from then on the history goes without at once."""
    seen = []
    think = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmF0dXJl"}

    def claude(request, reply):
        seen.append(request.json)
        if any(b.get("type") == "thinking" for m in request.json["messages"] if isinstance(m["content"], list)
               for b in m["content"]):
            wire.fail("anthropic", 400, message="messages.1.content.0: Invalid `signature` in `thinking` block")(
                request, reply)
        else:
            wire.whole(wire.claude_answer(think, wire.use(id=f"toolu_{len(seen)}")))(request, reply)

    upstream.handler = claude
    gate = gateway({"upstreams": [place("anthropic-compatible", upstream)]})
    sent = wire.ask("chat", "weather?", model="claude-opus-4-1", reasoning_effort="high",
                    tools=[wire.tool("chat")])
    call = gate.chat(sent).json["choices"][0]["message"]["tool_calls"]
    history = sent["messages"] + [{"role": "assistant", "content": None, "tool_calls": call},
                                  {"role": "tool", "tool_call_id": call[0]["id"], "content": "21"}]
    assert gate.chat({**sent, "messages": history}).status == 200
    assert len(seen) == 3  # refused, then without
    assert gate.chat({**sent, "messages": history}).status == 200
    assert len(seen) == 4


def test_a_stored_response_as_a_stream(to_chat_only):
    """GET with stream=true gives the events of the stream again; starting_after leaves out those seen."""
    gate, up = to_chat_only
    up.handler = wire.streamed(wire.stream("chat", "several ", "pieces"))
    first = ask(gate, body("one", stream=True, instructions="as asked"))
    made = last_response(first)
    got = gate.get(f"{PATH}/{made['id']}?stream=true")
    assert got.status == 200 and got.header("content-type").startswith("text/event-stream")
    told = [e.json for e in got.events]
    assert [e["sequence_number"] for e in told] == list(range(len(told)))
    assert {e["type"] for e in told} == {e.json["type"] for e in first.events if e.data}
    assert told[-1] == {"type": "response.completed", "sequence_number": len(told) - 1, "response": made}
    assert "".join(e["delta"] for e in told if e["type"] == "response.output_text.delta") == "several pieces"
    assert told[0]["response"]["id"] == made["id"]
    rest = gate.get(f"{PATH}/{made['id']}?stream=true&starting_after=2")
    assert [e.json for e in rest.events] == told[3:]
