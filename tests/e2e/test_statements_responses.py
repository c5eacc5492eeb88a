"""Statements of PROTOCOLS 11 about Responses: its items and tools on other upstreams, its events, its counts."""

import json

import pytest

from harness import wire
from matrix.cells import ORDER
from matrix.neutral import PNG
from matrix.stand import Line, broken, events, frames_of, saying, whole

p, r = pytest.mark.p, pytest.mark.r
OTHERS = [d for d in ORDER if d != "responses"]
HOWS = [False, True]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TEXT = {"items": [{"text": "some words, \u00e9\U0001f30d and more"}], "stop": "end"}
CALLS = {"items": [{"text": "looking"}, {"call": "call_a1", "name": "get_weather", "args": {"city": "Oslo"}},
                   {"call": "call_a2", "name": "get_weather", "args": {"city": "Rome"}}], "stop": "tool_use"}
THOUGHT = {"items": [{"think": "let me see"}, {"text": "four"}], "stop": "end"}
PATCH = {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b\n"}


def function(name="get_weather", **more):
    return {"type": "function", "name": name, "description": "Says the weather", "parameters": WEATHER, **more}


def said(name, args, id="call_n1"):
    return {"items": [{"call": id, "name": name, "args": args}], "stop": "tool_use"}


def message(text, role="user"):
    return {"type": "message", "role": role, "content": text}


# ---------------------------------------------------------------- requests


@p("P-029")
@pytest.mark.parametrize("upstream", OTHERS)
def test_a_string_input_is_one_user_message(line, upstream):
    short, _ = line(upstream).carry("responses", {"input": "hello"})
    long, _ = line(upstream).carry("responses", {"input": [message([{"type": "input_text", "text": "hello"}])]})
    assert "hello" in json.dumps(short)
    if upstream == "anthropic":  # a string and one text block are the same to it
        (only,) = short["messages"]
        only["content"] = [{"type": "text", "text": only["content"]}]
    assert short == long


@p("P-030")
def test_instructions_come_before_developer_items(line):
    body = {"instructions": "be brief", "input": [message("be kind", "developer"), message("hello")]}
    sent, _ = line("anthropic").carry("responses", body)
    assert [b["text"] for b in sent["system"]] == ["be brief", "be kind"]
    sent, _ = line("chat").carry("responses", body)
    assert [m["content"] for m in sent["messages"]] == ["be brief", "be kind", "hello"]
    assert [m["role"] for m in sent["messages"]][2] == "user"


@p("P-031")
def test_a_phase_stays_at_home(line):
    body = {"input": [message("a"), {"type": "message", "role": "assistant", "phase": "commentary", "content": [
        {"type": "output_text", "text": "b", "annotations": []}]}, message("c")], "store": False}
    sent, _ = line("responses").carry("responses", body)
    assert sent["input"][1]["phase"] == "commentary"
    for upstream in OTHERS:
        sent, _ = line(upstream).carry("responses", body)
        assert "commentary" not in json.dumps(sent) and "phase" not in json.dumps(sent)


@p("P-023")
def test_a_system_turn_becomes_a_developer_item(line):
    sent, _ = line("responses").carry("anthropic", {"messages": [
        {"role": "user", "content": "a"}, {"role": "system", "content": "now"}, {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"}]})
    assert [i["role"] for i in sent["input"]] == ["user", "developer", "assistant", "user"]


@p("P-043")
def test_an_image_in_a_tool_result(line):
    sent, _ = line("responses").carry("anthropic", {
        "tools": [wire.tool("anthropic")], "messages": [
            {"role": "user", "content": "look"}, {"role": "assistant", "content": [wire.use(id="toolu_1")]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                {"type": "text", "text": "seen"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]}]}]})
    (result,) = [i for i in sent["input"] if i["type"] == "function_call_output"]
    assert result["call_id"] == "toolu_1" and result["output"] == [
        {"type": "input_text", "text": "seen"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}]


@p("P-048")
def test_a_tool_without_strict_is_not_strict(line):
    sent, _ = line("responses").carry("chat", {"messages": [{"role": "user", "content": "a"}], "tools": [wire.tool("chat")]})
    assert sent["tools"][0]["strict"] is False and sent["tools"][0]["name"] == "get_weather"


@p("P-107")
@pytest.mark.parametrize("client", OTHERS)
def test_a_translated_request_is_not_stored(line, client):
    body = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]} if client == "gemini" else {
        "messages": [{"role": "user", "content": "a"}]}
    sent, _ = line("responses").carry(client, body, model="gpt-5.2")
    assert sent["store"] is False and sent["include"] == ["reasoning.encrypted_content"]


@p("P-134")
@pytest.mark.parametrize("upstream", OTHERS)
def test_an_unknown_include_is_let_go(line, upstream):
    sent, got = line(upstream).carry("responses", {"input": "a", "include": ["something.new", "web_search_call.results"]})
    assert "something.new" not in json.dumps(sent)
    assert got.json["status"] == "completed"


@p("P-133")
@pytest.mark.parametrize("upstream", OTHERS)
def test_an_unknown_previous_response_is_named(line, upstream):
    got = line(upstream).send("responses", {"input": "a", "previous_response_id": "resp_" + "0" * 48})
    assert got.status in (400, 404) and got.json["error"]["param"] == "previous_response_id", got
    assert not [r for r in line(upstream).up.requests if r.method == "POST"]


# ---------------------------------------------------------------- tools of its own


@p("P-053")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("stream", HOWS)
def test_a_namespace_comes_back_apart(line, upstream, stream):
    body = {"input": "a", "tools": [{"type": "namespace", "name": "mcp__desk", "description": "a desk", "tools": [function("look")]},
                                    function("look")]}
    at = line(upstream)
    sent, _ = at.carry("responses", body)
    names = [n for n in json_names(upstream, sent) if n != "look"]
    assert len(names) == 1 and "look" in names[0], names
    _, got = at.carry("responses", body, say=said(names[0], {"city": "x"}), stream=stream)
    (call,) = [i for i in whole("responses", got)["output"] if i["type"] == "function_call"]
    assert (call["name"], call["namespace"]) == ("look", "mcp__desk")
    _, got = at.carry("responses", body, say=said("look", {"city": "x"}), stream=stream)
    (call,) = [i for i in whole("responses", got)["output"] if i["type"] == "function_call"]
    assert call["name"] == "look" and not call.get("namespace")


def json_names(upstream, sent):
    if upstream == "chat":
        return [t["function"]["name"] for t in sent["tools"]]
    if upstream == "gemini":
        return [f["name"] for t in sent["tools"] for f in t["functionDeclarations"]]
    return [t["name"] for t in sent["tools"]]


@p("P-054")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("stream", HOWS)
def test_a_local_shell_call(line, upstream, stream):
    at = line(upstream)
    body = {"input": "list", "tools": [{"type": "local_shell"}]}
    sent, _ = at.carry("responses", body)
    (name,) = json_names(upstream, sent)
    _, got = at.carry("responses", body, say=said(name, {"command": ["ls", "-l"], "timeout_ms": 500}), stream=stream)
    (call,) = [i for i in whole("responses", got)["output"] if i["type"] != "message"]
    assert call["type"] == "local_shell_call" and call["call_id"] == "call_n1" and call["status"] == "completed", call
    assert call["action"]["type"] == "exec" and call["action"]["command"] == ["ls", "-l"] and call["action"]["env"] == {}
    assert call["action"]["timeout_ms"] == 500


@r("R-048")
@p("P-055")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("stream", HOWS)
def test_an_apply_patch_call(line, upstream, stream):
    at = line(upstream)
    body = {"input": "fix", "tools": [{"type": "apply_patch"}]}
    sent, _ = at.carry("responses", body)
    (name,) = json_names(upstream, sent)
    (parameters,) = [v for k, v in walk(sent["tools"]) if k in ("parameters", "input_schema", "parametersJsonSchema")]
    args = {"operation": PATCH} if "operation" in parameters["properties"] else PATCH
    _, got = at.carry("responses", body, say=said(name, args), stream=stream)
    (call,) = [i for i in whole("responses", got)["output"] if i["type"] != "message"]
    assert (call["type"], call["call_id"], call["operation"]) == ("apply_patch_call", "call_n1", PATCH)


def walk(value):
    """Every member of every object."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield k, v
            yield from walk(v)
    elif isinstance(value, list):
        for v in value:
            yield from walk(v)


@p("P-056")
@pytest.mark.parametrize("upstream", OTHERS)
def test_a_shell_result_tells_all(line, upstream):
    sent, _ = line(upstream).carry("responses", {
        "tools": [{"type": "shell"}], "input": [
            message("run"), {"type": "shell_call", "call_id": "call_s", "status": "completed", "action": {"commands": ["false"]}},
            {"type": "shell_call_output", "call_id": "call_s", "output": [
                {"stdout": "to-out", "stderr": "to-err", "outcome": {"type": "exit", "exit_code": 2}}]}]})
    result = json.dumps(result_of(upstream, sent))
    assert "to-out" in result and "to-err" in result and "2" in result.replace("call_s", ""), result


def result_of(upstream, sent):
    if upstream == "chat":
        (one,) = [m for m in sent["messages"] if m["role"] == "tool"]
        return one["content"]
    if upstream == "anthropic":
        (one,) = [b for m in sent["messages"] if isinstance(m["content"], list) for b in m["content"] if b["type"] == "tool_result"]
        return one["content"]
    (one,) = [v for k, v in walk(sent["contents"]) if k == "functionResponse"]
    return one["response"]


@p("P-057")
@pytest.mark.parametrize("upstream", OTHERS)
def test_found_tools_are_there_at_once(line, upstream):
    body = {"tools": [{"type": "tool_search", "execution": "client", "description": "finds tools", "parameters": WEATHER}],
            "input": [message("weather"),
                      {"type": "tool_search_call", "call_id": "call_t", "execution": "client", "status": "completed", "arguments": {"city": "x"}},
                      {"type": "tool_search_output", "call_id": "call_t", "execution": "client", "status": "completed", "tools": [function()]}]}
    at = line(upstream)
    sent, _ = at.carry("responses", body)
    assert "get_weather" in json_names(upstream, sent)
    _, got = at.carry("responses", body, say=said("get_weather", {"city": "Oslo"}))
    (call,) = [i for i in got.json["output"] if i["type"] == "function_call"]
    assert call["name"] == "get_weather" and json.loads(call["arguments"]) == {"city": "Oslo"}


@p("P-058")
@pytest.mark.parametrize("upstream", OTHERS)
def test_image_generation_is_dropped_and_told(line, upstream):
    sent, got = line(upstream).carry("responses", {"input": "a", "tools": [function(), {"type": "image_generation", "output_format": "png"}]})
    assert json_names(upstream, sent) == ["get_weather"]
    assert any(w.startswith("dropped:") for w in got.warnings), got.warnings


@p("P-083")
@pytest.mark.parametrize("upstream", OTHERS)
def test_a_local_shell_result_finds_its_call(line, upstream):
    sent, got = line(upstream).carry("responses", {
        "tools": [{"type": "local_shell"}], "input": [
            message("run"),
            {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_s", "status": "completed",
             "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "local_shell_call_output", "id": "call_s", "output": "{\"output\":\"file-a\"}"}]})
    assert "file-a" in json.dumps(result_of(upstream, sent)), sent
    assert "not executed" not in json.dumps(sent) and "tool result for" not in json.dumps(sent)


# ---------------------------------------------------------------- answers


@p("P-143")
def test_text_blocks_are_one_part_with_notes_moved(line):
    def cite(title):
        return {"type": "web_search_result_location", "url": f"https://e.com/{title}", "title": title, "encrypted_index": "x", "cited_text": "y"}
    blocks = [{"type": "text", "text": "First. "}, {"type": "text", "text": "Second\u00e9. ", "citations": [cite("b")]},
              {"type": "text", "text": "Third.", "citations": [cite("c")]}]
    _, got = line("anthropic").carry("responses", {"input": "a"}, handler=wire.whole(wire.claude_answer(*blocks)))
    (item,) = got.json["output"]
    (part,) = item["content"]
    assert part["text"] == "First. Second\u00e9. Third."
    spots = [(a["title"], part["text"][a["start_index"]:a["end_index"]]) for a in part["annotations"]]
    assert [t for t, _ in spots] == ["b", "c"]
    assert spots[0][1].strip() == "Second\u00e9." and spots[1][1] == "Third.", spots


@p("P-149")
@p("P-150")
@pytest.mark.parametrize("upstream", ORDER)
@pytest.mark.parametrize("stream", HOWS)
def test_usage_has_its_details(line, upstream, stream):
    _, got = line(upstream).carry("responses", {"input": "a"}, say=TEXT, stream=stream)
    usage = whole("responses", got, native=upstream == "responses")["usage"]
    assert usage["input_tokens_details"]["cached_tokens"] == 0 and usage["output_tokens_details"]["reasoning_tokens"] == 0
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (100, 20, 120)


# ---------------------------------------------------------------- the stream


@p("P-169")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("say", [TEXT, CALLS, THOUGHT], ids=["text", "calls", "thought"])
def test_numbers_have_no_gaps(line, upstream, say):
    _, got = line(upstream).carry("responses", {"input": "a", "tools": [function()]}, say=say, stream=True)
    frames = [(e.event, json.loads(e.data)) for e in events("responses", got) if e.data]
    assert [f["sequence_number"] for _, f in frames] == list(range(len(frames)))
    assert all(name == f["type"] for name, f in frames)
    assert frames[0][0] == "response.created" and frames[-1][0] == "response.completed"


@p("P-170")
@p("P-171")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("say", [TEXT, CALLS, THOUGHT], ids=["text", "calls", "thought"])
def test_items_are_added_and_done(line, upstream, say):
    body = {"input": "a", "tools": [function()], "include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}}
    _, got = line(upstream).carry("responses", body, say=say, stream=True)
    frames = frames_of("responses", got)
    added = {f["output_index"]: f["item"]["id"] for f in frames if f["type"] == "response.output_item.added"}
    done = {f["output_index"]: f["item"] for f in frames if f["type"] == "response.output_item.done"}
    assert added and added == {at: item["id"] for at, item in done.items()}
    assert frames[-1]["response"]["output"] == [done[at] for at in sorted(done)]
    assert sorted(done) == list(range(len(done)))


@p("P-172")
@pytest.mark.parametrize("upstream", OTHERS)
def test_calls_have_two_ids(line, upstream):
    _, got = line(upstream).carry("responses", {"input": "a", "tools": [function()]}, say=CALLS, stream=True)
    frames = frames_of("responses", got)
    items = [f["item"] for f in frames if f["type"] == "response.output_item.added" and f["item"]["type"] == "function_call"]
    assert [i["call_id"] for i in items] == ["call_a1", "call_a2"] and all(i["id"].startswith("fc_") for i in items)
    joined = {}
    for f in frames:
        if f["type"] == "response.function_call_arguments.delta":
            assert "call_id" not in f
            joined[f["item_id"]] = joined.get(f["item_id"], "") + f["delta"]
    assert [json.loads(joined[i["id"]]) for i in items] == [{"city": "Oslo"}, {"city": "Rome"}]


@p("P-173")
@pytest.mark.parametrize("upstream", OTHERS)
def test_joined_text_is_the_text(line, upstream):
    _, got = line(upstream).carry("responses", {"input": "a"}, say=TEXT, stream=True)
    frames = frames_of("responses", got)
    joined = "".join(f["delta"] for f in frames if f["type"] == "response.output_text.delta")
    (done,) = [f["text"] for f in frames if f["type"] == "response.output_text.done"]
    assert joined == done == TEXT["items"][0]["text"] == frames[-1]["response"]["output"][0]["content"][0]["text"]


@p("P-174")
@p("P-051")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_raw_text_of_a_custom_call(line, upstream, size):
    raw = "*** Begin \"patch\"\n\t\\x \u00e9 \U0001f600 \u2028 end"
    escaped = json.dumps({"input": raw})  # \ud83d\ude00, cut anywhere

    def handler(request, reply):
        pieces = [escaped[i:i + size] for i in range(0, len(escaped), size)]
        if upstream == "anthropic":
            block = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {}}
            frames = [wire.claude_start(), wire.event("content_block_start", index=0, content_block=block),
                      *[wire.event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": x}) for x in pieces],
                      wire.event("content_block_stop", index=0), wire.claude_delta("tool_use"), wire.STOP]
        elif upstream == "chat":
            raws = [raw[i:i + size] for i in range(0, len(raw), size)]
            first = {"index": 0, "id": "toolu_1", "type": "custom", "custom": {"name": "patch", "input": ""}}
            calls = [first, *[{"index": 0, "custom": {"input": x}} for x in raws]]
            frames = wire.chat_stream(*[wire.chunk({"tool_calls": [c]}) for c in calls], finish="tool_calls")
        else:
            body = {"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [
                {"functionCall": {"id": "toolu_1", "name": "patch", "args": {"input": raw}}}]}}], "usageMetadata": {
                    "promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}
            frames = [f"data: {json.dumps(body)}\r\n\r\n"]
        reply.sse(frames)

    tool = {"type": "custom", "name": "patch", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}
    sent, got = line(upstream).carry("responses", {"input": "a", "tools": [tool]}, handler=handler, stream=True)
    assert "start: /.+/" in json.dumps(sent["tools"])
    frames = frames_of("responses", got)
    deltas = [f["delta"] for f in frames if f["type"] == "response.custom_tool_call_input.delta"]
    (item,) = frames[-1]["response"]["output"]
    assert "".join(deltas) == raw == item["input"] and item["type"] == "custom_tool_call" and item["call_id"] == "toolu_1"
    if upstream != "gemini" and size < 6:
        assert len(deltas) > 3, "the text did not come as it arrived"


@p("P-175")
@p("P-136")
@pytest.mark.parametrize("upstream", OTHERS)
def test_a_truncated_answer_is_incomplete(line, upstream):
    say = {**TEXT, "stop": "max_tokens"}
    _, got = line(upstream).carry("responses", {"input": "a"}, say=say, stream=True)
    last = events("responses", got)[-1]
    assert last.event == "response.incomplete"
    assert last.json["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last.json["response"]["status"] == "incomplete"


@p("P-176")
@pytest.mark.parametrize("upstream", OTHERS)
@pytest.mark.parametrize(("status", "code"), [(429, "rate_limit_exceeded"), (503, "server_is_overloaded")])
def test_a_failure_in_the_middle(upstream, status, code):
    from matrix import DIALECTS
    dialect = DIALECTS[upstream]
    with Line(upstream) as at:
        def handler(_, reply):
            frames = dialect.frames(TEXT, end=False)
            reply.sse(frames + dialect.error_frames(status, "it broke", len(frames)))
        got = at.send("responses", {"input": "a"}, handler=handler, stream=True)
        assert got.status == 200
        last = events("responses", got)[-1]
        assert last.event == "response.failed", last
        assert last.json["response"]["status"] == "failed" and last.json["response"]["error"]["code"] in (
            code, "server_error", "slow_down"), last.json["response"]["error"]
        assert "it broke" in last.json["response"]["error"]["message"]
        assert broken("responses", got).so_far == TEXT["items"][0]["text"]


@p("P-186")
@pytest.mark.parametrize("upstream", ORDER)
def test_an_early_end_fails(upstream):
    from matrix import DIALECTS
    with Line(upstream) as at:
        got = at.send("responses", {"input": "a"}, stream=True, handler=lambda _, reply: reply.sse(DIALECTS[upstream].frames(TEXT, end=False)))
        assert events("responses", got)[-1].event == "response.failed"
        numbers = [f["sequence_number"] for f in frames_of("responses", got)]
        assert numbers == list(range(len(numbers)))


# ---------------------------------------------------------------- counting


@p("P-196")
@pytest.mark.parametrize("upstream", OTHERS)
def test_input_tokens(upstream):
    def handler(request, reply):
        if "count" in request.path:
            reply.body({"totalTokens": 31} if upstream == "gemini" else {"input_tokens": 31})
        else:
            saying(upstream, TEXT)(request, reply)

    with Line(upstream) as at:
        at.up.handler = handler
        body = {"model": {"chat": "gpt-4.1", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}[upstream], "input": "some words"}
        got = at.gate.ask("POST", "/v1/responses/input_tokens", body)
        assert got.status == 200 and got.json["object"] == "response.input_tokens", got
        if upstream == "chat":
            assert got.json["input_tokens"] >= 1 and "approximated:input_tokens" in got.warnings
            more = at.gate.ask("POST", "/v1/responses/input_tokens", {**body, "input": "some words " * 50})
            assert more.json["input_tokens"] > got.json["input_tokens"]
        else:
            assert got.json == {"object": "response.input_tokens", "input_tokens": 31}


