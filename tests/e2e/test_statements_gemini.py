"""Statements of PROTOCOLS 11 about Gemini: its paths and framings, its parts, thinking, counts, on other upstreams and facing one."""

import json
import threading

import pytest
from google import genai
from google.genai import types

from harness import wire
from matrix import DIALECTS
from matrix.cells import ORDER
from matrix.neutral import PNG
from matrix.stand import MODELS, Line, frames_of, read, saying, whole

p, r = pytest.mark.p, pytest.mark.r
OTHERS = [d for d in ORDER if d != "gemini"]
TEXT = {"items": [{"text": "some words, \u00e9\U0001f30d and more"}], "stop": "end"}
CALLS = {"items": [{"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}},
                   {"call": "call_a2", "name": "get_weather", "args": {"city": "Rome"}}], "stop": "tool_use"}
DUMMY = "skip_thought_signature_validator"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DECLARED = {"tools": [{"functionDeclarations": [{"name": "get_weather", "description": "d", "parametersJsonSchema": WEATHER}]}]}


def user(*parts):
    return {"role": "user", "parts": [{"text": x} if isinstance(x, str) else x for x in parts or ("hello",)]}


def model(*parts):
    return {"role": "model", "parts": list(parts)}


def ask(*contents, **more):
    return {"contents": list(contents) or [user()], **more}


def fc(id="call_a1", city="Oslo", **more):
    return {"functionCall": {"id": id, "name": "get_weather", "args": {"city": city}}, **more}


def fr(id="call_a1", response=None, name="get_weather"):
    return {"functionResponse": {"id": id, "name": name, "response": response or {"output": "3C"}}}


def history(tools=2, error=False, reverse=False):
    """A Chat history with calls and their results."""
    calls = [wire.call(id=f"call_{i}", arguments=json.dumps({"city": f"c{i}"})) for i in range(tools)]
    results = [{"role": "tool", "tool_call_id": f"call_{i}", "content": ("Error: " if error else "") + f"r{i}"} for i in range(tools)]
    return {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": calls},
                         *(results[::-1] if reverse else results)], "tools": [wire.tool("chat")]}


def results_of(sent):
    return [[q["functionResponse"] for q in c["parts"] if "functionResponse" in q] for c in sent["contents"]
            if any("functionResponse" in q for q in c["parts"])]


# ---------------------------------------------------------------- paths, keys, framings


@p("P-004")
@pytest.mark.parametrize("way", ["x-goog-api-key", "query", "bearer"])
@pytest.mark.parametrize("upstream", ["gemini", "chat"])
def test_a_key_in_three_places(upstream, way, secret):
    mine = secret("caller")
    with Line(upstream, keys=0) as at:
        path = f"/v1beta/models/{MODELS[upstream]}:generateContent" + (f"?key={mine}" if way == "query" else "")
        head = {"x-goog-api-key": {"x-goog-api-key": mine}, "query": {}, "bearer": {"authorization": f"Bearer {mine}"}}[way]
        got = at.gate.ask("POST", path, ask(), head)
        assert got.status == 200, got
        (seen,) = [r for r in at.up.requests if r.method == "POST"]
        assert mine not in seen.path
        assert mine in (seen.header("x-goog-api-key") or "") + (seen.header("authorization") or "")
        assert mine not in at.gate.log


@p("P-005")
def test_an_unknown_path_in_its_shape(line):
    got = line("gemini").gate.ask("GET", "/v1beta/nothing")
    assert got.status in (403, 404) and got.json["error"]["code"] == got.status, got
    assert got.json["error"]["status"] == {403: "PERMISSION_DENIED", 404: "NOT_FOUND"}[got.status]


@p("P-007")
@pytest.mark.parametrize("upstream", ORDER)
def test_two_framings(line, upstream):
    at = line(upstream)
    at.up.handler = saying(upstream, TEXT)
    path = f"/v1beta/models/{MODELS[upstream]}:streamGenerateContent"
    got = at.gate.ask("POST", path + "?alt=sse", ask())
    assert got.header("content-type").startswith("text/event-stream") and got.body.endswith(b"\r\n\r\n")
    assert all(f.lstrip(b"\r\n").startswith(b"data: {") for f in got.body.split(b"\r\n\r\n")[:-1]), got.body
    array = at.gate.ask("POST", path, ask())
    assert array.header("content-type").startswith("application/json"), array
    joined = "".join(q.get("text", "") for c in array.json for q in c["candidates"][0]["content"]["parts"])
    assert joined == TEXT["items"][0]["text"] and array.json[-1]["candidates"][0]["finishReason"] == "STOP"


@p("P-182")
@pytest.mark.parametrize("upstream", OTHERS)
def test_an_array_stays_json_in_an_error(upstream):
    dialect = DIALECTS[upstream]
    with Line(upstream) as at:
        def handler(_, reply):
            frames = dialect.frames(TEXT, end=False)
            reply.sse(frames + dialect.error_frames(503, "it broke", len(frames)))
        at.up.handler = handler
        got = at.gate.ask("POST", f"/v1beta/models/{MODELS[upstream]}:streamGenerateContent", ask())
        assert got.status == 200
        *chunks, last = json.loads(got.body)
        assert chunks and "it broke" in last["error"]["message"] and last["error"]["code"] >= 500, last
        assert not any("finishReason" in c["candidates"][0] for c in chunks)


@p("P-180")
@pytest.mark.parametrize("upstream", OTHERS)
def test_the_last_chunk(line, upstream):
    _, got = line(upstream).carry("gemini", ask(), say=TEXT, stream=True)
    *chunks, last = frames_of("gemini", got)
    assert last["candidates"][0]["finishReason"] == "STOP" and last["usageMetadata"]["totalTokenCount"] == 120
    assert not any("finishReason" in c["candidates"][0] for c in chunks)
    assert b"[DONE]" not in got.body and got.body.endswith(b"\r\n\r\n")


@p("P-179")
@pytest.mark.parametrize("upstream", OTHERS)
def test_calls_are_whole(line, upstream):
    _, got = line(upstream).carry("gemini", ask(**DECLARED), say=CALLS, stream=True)
    calls = [q["functionCall"] for f in frames_of("gemini", got) for q in f["candidates"][0]["content"]["parts"] if "functionCall" in q]
    assert [(c["id"], c["name"], c["args"]) for c in calls] == [
        ("call_a1", "get_weather", {"city": "Oslo"}), ("call_a2", "get_weather", {"city": "Rome"})]


@p("P-181")
def test_ten_thousand_chunks_cut_anywhere():
    words = [f"w{i}\u00e9\U0001f30d " for i in range(10_000)]

    def handler(_, reply):
        body = "".join(wire.chat_stream(*words)).encode()
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        at, size = 0, 1
        while at < len(body):
            reply.chunk(body[at:at + size])
            at, size = at + size, size * 7 % 4093 + 1
        reply.finish()

    with Line("chat") as at:
        at.up.handler = handler
        client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=at.gate.url, timeout=60_000))
        chunks = list(client.models.generate_content_stream(model="gpt-4.1", contents="go"))
        assert "".join(c.text or "" for c in chunks) == "".join(words)
        assert len(chunks) >= 10_000 and chunks[-1].usage_metadata.total_token_count == 18


# ---------------------------------------------------------------- turns, calls and results


@p("P-022")
def test_two_user_messages_are_one_content(line):
    sent, _ = line("gemini").carry("chat", {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]})
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]


@p("P-026")
def test_a_history_that_starts_with_the_model(line):
    sent, got = line("gemini").carry("chat", {"messages": [{"role": "assistant", "content": "hi"}, {"role": "user", "content": "a"}]})
    assert [c["role"] for c in sent["contents"]] == ["user", "model", "user"]
    assert got.warnings


@p("P-074")
@p("P-075")
@p("P-076")
@pytest.mark.parametrize("reverse", [False, True])
def test_parallel_results_in_one_content(line, reverse):
    sent, _ = line("gemini").carry("chat", history(reverse=reverse))
    (results,) = results_of(sent)
    assert [(r["name"], r["response"]) for r in results] == [("get_weather", {"output": "r0"}), ("get_weather", {"output": "r1"})]


@p("P-076")
@pytest.mark.parametrize("client", ["responses", "anthropic"])
def test_a_result_has_the_name_of_its_call(line, client):
    chat = history(1)
    body = {"responses": {"input": [
        {"role": "user", "content": "a"}, {"type": "function_call", "call_id": "call_0", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_0", "output": "r0"}]},
        "anthropic": {"messages": [
            {"role": "user", "content": "a"}, {"role": "assistant", "content": [wire.use(id="call_0")]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_0", "content": "r0"}]}], "tools": [wire.tool("anthropic")]}}
    sent, _ = line("gemini").carry(client, body[client])
    ((result,),) = results_of(sent)
    assert result["name"] == chat["tools"][0]["function"]["name"] == "get_weather"


@p("P-077")
def test_results_and_errors_have_their_keys(line):
    sent, _ = line("gemini").carry("anthropic", {"tools": [wire.tool("anthropic")], "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": [wire.use(id="a"), wire.use(id="b")]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "fine"},
                                     {"type": "tool_result", "tool_use_id": "b", "content": "bad", "is_error": True}]}]})
    ((fine, bad),) = results_of(sent)
    assert fine["response"] == {"output": "fine"} and bad["response"] == {"error": "bad"}
    sent, _ = line("anthropic").carry("gemini", ask(user("a"), model(fc("a"), fc("b")), user(
        fr("a", {"output": "fine"}), fr("b", {"error": "bad"})), **DECLARED))
    fine, bad = [b for b in sent["messages"][2]["content"] if b["type"] == "tool_result"]
    assert "fine" in json.dumps(fine["content"]) and not fine.get("is_error")
    assert "bad" in json.dumps(bad["content"]) and bad["is_error"] is True
    sent, _ = line("anthropic").carry("gemini", ask(user("a"), model(fc("a")), user(fr("a", {"x": [1, 2.0]})), **DECLARED))
    (other,) = [b for b in sent["messages"][2]["content"] if b["type"] == "tool_result"]
    assert '{"x":[1,2.0]}' in json.dumps(other["content"]).replace('\\"', '"'), other


@p("P-069")
@p("P-070")
def test_arguments_become_objects(line):
    body = history(3)
    for call, text in zip(body["messages"][1]["tool_calls"], ["", "{oops", "[1]"]):
        call["function"]["arguments"] = text
    sent, got = line("gemini").carry("chat", body)
    calls = [q["functionCall"]["args"] for q in sent["contents"][1]["parts"]]
    assert calls == [{}, {"_raw_arguments": "{oops"}, {"value": [1]}]
    assert got.warnings


@p("P-082")
def test_calls_without_ids_get_some(line):
    body = {"candidates": [{"index": 0, "finishReason": "STOP", "content": model(
        {"functionCall": {"name": "get_weather", "args": {}}}, {"functionCall": {"name": "get_weather", "args": {}}})}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}
    for client in OTHERS:
        asked = {"input": "a"} if client == "responses" else {"messages": [{"role": "user", "content": "a"}]}
        _, got = line("gemini").carry(client, asked, handler=wire.whole(body))
        ids = [c[0] for c in read(client, got).calls]
        assert len(set(ids)) == 2 and all(ids), ids


# ---------------------------------------------------------------- tools and output


@p("P-049")
def test_schemas_go_unchanged(line):
    schema = {"type": "object", "properties": {"a": {"oneOf": [{"const": 1}, {"$ref": "#/$defs/x"}]}}, "$defs": {"x": {"type": "string"}},
              "additionalProperties": False}
    sent, _ = line("gemini").carry("chat", {"messages": [{"role": "user", "content": "a"}], "tools": [wire.tool("chat", schema=schema)]})
    (declared,) = sent["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"] == schema and "parameters" not in declared


@p("P-060")
@pytest.mark.parametrize(("mode", "chat", "claude"), [("AUTO", "auto", "auto"), ("ANY", "required", "any"), ("NONE", "none", "none")])
def test_choices_in_every_direction(line, mode, chat, claude):
    body = ask(**DECLARED, toolConfig={"functionCallingConfig": {"mode": mode}})
    for upstream, want in (("chat", chat), ("responses", chat)):
        sent, _ = line(upstream).carry("gemini", body)
        assert sent["tool_choice"] == want
    sent, _ = line("anthropic").carry("gemini", body)
    assert sent["tool_choice"]["type"] == claude
    for client, asked in (
            ("chat", {"messages": [{"role": "user", "content": "a"}], "tools": [wire.tool("chat")], "tool_choice": chat}),
            ("responses", {"input": "a", "tools": [{"type": "function", "name": "get_weather", "parameters": WEATHER}], "tool_choice": chat}),
            ("anthropic", {"messages": [{"role": "user", "content": "a"}], "tools": [wire.tool("anthropic")], "tool_choice": {"type": claude}})):
        sent, _ = line("gemini").carry(client, asked)
        assert sent["toolConfig"]["functionCallingConfig"]["mode"] == mode, client


@p("P-061")
def test_a_named_choice(line):
    sent, _ = line("gemini").carry("chat", {
        "messages": [{"role": "user", "content": "a"}], "tools": [wire.tool("chat"), wire.tool("chat", name="other")],
        "tool_choice": {"type": "function", "function": {"name": "other"}}})
    assert sent["toolConfig"]["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": ["other"]}


@p("P-110")
def test_a_schema_for_the_answer(line):
    sent, _ = line("gemini").carry("chat", {"messages": [{"role": "user", "content": "a"}], "response_format": {
        "type": "json_schema", "json_schema": {"name": "n", "schema": WEATHER}}})
    config = sent["generationConfig"]
    assert config["responseMimeType"] == "application/json" and config["responseJsonSchema"] == WEATHER


@p("P-120")
@pytest.mark.parametrize(("limits", "want"), [({"max_tokens": 50}, 50), ({"max_completion_tokens": 60}, 60),
                                              ({"max_tokens": 50, "max_completion_tokens": 60}, 60)])
def test_limits(line, limits, want):
    sent, _ = line("gemini").carry("chat", {"messages": [{"role": "user", "content": "a"}], **limits})
    assert sent["generationConfig"]["maxOutputTokens"] == want


@p("P-124")
@p("P-125")
def test_sampling(line):
    def handler(_, reply):
        two = [{"index": i, "finishReason": "STOP", "content": model({"text": f"t{i}"})} for i in range(2)]
        reply.body({"candidates": two, "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}})

    sent, got = line("gemini").carry("chat", {
        "messages": [{"role": "user", "content": "a"}], "n": 2, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": -0.5}, handler=handler)
    config = sent["generationConfig"]
    assert (config["candidateCount"], config["seed"], config["frequencyPenalty"], config["presencePenalty"]) == (2, 7, 0.5, -0.5)
    assert [c["message"]["content"] for c in got.json["choices"]] == ["t0", "t1"] and not got.warnings


@p("P-132")
@pytest.mark.parametrize("upstream", OTHERS)
def test_cached_content_is_refused_elsewhere(line, upstream):
    assert "cachedContent" in line(upstream).refuse("gemini", ask(cachedContent="cachedContents/x"))


@p("P-041")
def test_audio_becomes_inline_data(line):
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    sent, _ = line("gemini").carry("chat", {"messages": [{"role": "user", "content": [sound]}]})
    assert sent["contents"][0]["parts"] == [{"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}]


@p("P-035")
def test_an_image_by_url_is_fetched():
    import base64

    from harness import Upstream
    with Upstream(lambda _, reply: reply.body(base64.b64decode(PNG), type="image/png")) as media, Line(
            "gemini", top={"fetch_private": True}) as at:
        sent, got = at.carry("chat", {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": f"{media.url}/a.png"}}]}]})
        assert sent["contents"][0]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PNG}}]
        assert "inlined:image_url" in got.warnings


# ---------------------------------------------------------------- thinking


@p("P-091")
@pytest.mark.parametrize(("config", "effort"), [({"thinkingLevel": "LOW"}, "low"), ({"thinkingBudget": 0}, "none")])
def test_levels_become_efforts(line, config, effort):
    body = ask(generationConfig={"thinkingConfig": config})
    sent, _ = line("chat").carry("gemini", body, model="gpt-5.5")
    assert sent["reasoning_effort"] == effort
    sent, _ = line("responses").carry("gemini", body, model="gpt-5.5")
    assert sent["reasoning"]["effort"] == effort


@p("P-091")
def test_a_dynamic_budget_is_adaptive(line):
    sent, _ = line("anthropic").carry("gemini", ask(generationConfig={"thinkingConfig": {"thinkingBudget": -1}}), model="claude-opus-4-8")
    assert sent["thinking"]["type"] == "adaptive"


@p("P-092")
@pytest.mark.parametrize(("name", "key", "other"), [("gemini-3-pro", "thinkingLevel", "thinkingBudget"),
                                                    ("gemini-2.5-flash", "thinkingBudget", "thinkingLevel")])
def test_one_of_level_and_budget(line, name, key, other):
    sent, _ = line("gemini").carry("chat", {"messages": [{"role": "user", "content": "a"}], "reasoning_effort": "low"}, model=name)
    thinking = sent["generationConfig"]["thinkingConfig"]
    assert thinking[key] == {"thinkingLevel": "LOW", "thinkingBudget": 2048}[key] and other not in thinking


@p("P-103")
@p("P-105")
def test_dummies_on_the_first_call_of_a_step(line):
    body = history(2)
    body["messages"] += [{"role": "assistant", "content": None, "tool_calls": [wire.call(id="call_x")]},
                         {"role": "tool", "tool_call_id": "call_x", "content": "rx"}]
    sent, _ = line("gemini").carry("chat", body, model="gemini-3-pro")
    calls = [q for c in sent["contents"] for q in c["parts"] if "functionCall" in q]
    assert [q.get("thoughtSignature") for q in calls] == [DUMMY, None, DUMMY]
    sent, _ = line("gemini").carry("chat", body, model="gemini-2.5-flash")
    assert DUMMY not in json.dumps(sent)


@p("P-104")
def test_a_signature_that_the_client_drops_comes_back(line):
    at = line("gemini")
    say = {"items": [{"redacted": True}, *CALLS["items"][:1]], "stop": "tool_use"}
    body = {"messages": [{"role": "user", "content": "a"}], "tools": [wire.tool("chat")]}
    _, got = at.carry("chat", body, say=say, model="gemini-3-pro")
    (call,) = got.json["choices"][0]["message"]["tool_calls"]
    kept = {k: call[k] for k in ("id", "type", "function")}
    body["messages"] += [{"role": "assistant", "content": None, "tool_calls": [kept]},
                         {"role": "tool", "tool_call_id": kept["id"], "content": "3C"}]
    sent, _ = at.carry("chat", body, say=TEXT, model="gemini-3-pro")
    (part,) = [q for c in sent["contents"] for q in c["parts"] if "functionCall" in q]
    assert part["thoughtSignature"] == DIALECTS["gemini"].SIGNATURE


# ---------------------------------------------------------------- answers, counts, lists


@p("P-139")
@pytest.mark.parametrize("stream", [False, True])
def test_a_blocked_prompt_is_a_refusal(line, stream):
    _, got = line("gemini").carry("anthropic", {"messages": [{"role": "user", "content": "a"}]}, say={"items": [], "stop": "refusal"}, stream=stream)
    body = whole("anthropic", got)
    assert body["stop_reason"] == "refusal" and body["content"] == []


@p("P-141")
def test_a_malformed_call_is_no_success():
    body = {"candidates": [{"index": 0, "finishReason": "MALFORMED_FUNCTION_CALL", "content": model()}],
            "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}
    with Line("gemini") as at:
        got = at.send("chat", {"messages": [{"role": "user", "content": "a"}]}, handler=wire.whole(body))
        assert got.status == 502, got
        tries = iter([body, DIALECTS["gemini"].answer(TEXT)])
        again = at.send("chat", {"messages": [{"role": "user", "content": "a"}]}, handler=lambda _, reply: reply.body(next(tries, body)))
        assert again.status in (200, 502)
        assert again.status == 502 or again.json["choices"][0]["message"]["content"] == TEXT["items"][0]["text"]


@r("R-034")
@p("P-147")
@p("P-148")
@pytest.mark.parametrize("stream", [False, True])
def test_usage_by_formula(line, stream):
    usage = {"promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 10, "candidatesTokenCount": 30,
             "thoughtsTokenCount": 20, "totalTokenCount": 160}
    body = {**DIALECTS["gemini"].answer(TEXT), "usageMetadata": usage}
    handler = wire.streamed([f"data: {json.dumps(body)}\r\n\r\n"]) if stream else wire.whole(body)
    asked = {"messages": [{"role": "user", "content": "a"}]}
    _, got = line("gemini").carry("anthropic", asked, handler=handler, stream=stream)
    told = whole("anthropic", got)["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (70, 40, 50)
    _, got = line("gemini").carry("chat", asked, handler=handler, stream=stream)
    told = whole("chat", got)["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (110, 50, 160)
    assert told["completion_tokens_details"]["reasoning_tokens"] == 20 and told["prompt_tokens_details"]["cached_tokens"] == 40


@p("P-195")
@pytest.mark.parametrize("form", ["contents", "request"])
@pytest.mark.parametrize("upstream", OTHERS)
def test_count_tokens(upstream, form):
    inner = ask(user("some words"))
    with Line(upstream) as at:
        at.up.handler = lambda request, reply: reply.body({"object": "response.input_tokens", "input_tokens": 31})
        body = inner if form == "contents" else {"generateContentRequest": {"model": f"models/{MODELS[upstream]}", **inner}}
        got = at.gate.ask("POST", f"/v1beta/models/{MODELS[upstream]}:countTokens", body)
        assert got.status == 200, got
        if upstream == "chat":
            assert got.json["totalTokens"] >= 1
        else:
            assert got.json["totalTokens"] == 31
            (seen,) = [r for r in at.up.requests if r.method == "POST"]
            assert "some words" in json.dumps(seen.json)


@p("P-198")
def test_the_list_of_models(line):
    got = line("gemini").gate.ask("GET", "/v1beta/models")
    assert got.status == 200 and isinstance(got.json["models"], list), got


@p("P-017")
def test_a_client_that_leaves(line):
    import time

    from harness.http import encode
    gone = threading.Event()

    def handler(_, reply):
        reply.open_chunks(200, {"content-type": "text/event-stream"})
        reply.chunk("".join(wire.chat_stream("some words", finish=None, usage=False, done=False)))
        if reply.wait_gone(5):
            gone.set()

    at = line("chat")
    at.up.handler = handler
    with at.gate.client() as client:
        client.send(encode("POST", "/v1beta/models/gpt-4.1:streamGenerateContent?alt=sse", ask()))
        assert b"some words" in next(client.stream()) if client.head() else False
    begun = time.monotonic()
    assert gone.wait(3) and time.monotonic() - begun < 1.0
