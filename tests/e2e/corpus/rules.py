"""What PROTOCOLS lets a translation lose or refuse, as predicates over the request.

Each rule names its section. A refusal is expected, or (may) allowed. A loss must be in
x-anyrouter-warnings under one of its words, or (silent) may go without a word.
"""

import json
from dataclasses import dataclass

from harness import canon


@dataclass
class Rule:
    section: str
    what: str
    fate: str  # refuse, may_refuse, warn, may_warn
    words: tuple = ()  # one of them stands in the warning or the refusal
    statuses: tuple = (400,)


def _blocks(body):
    for message in body["messages"]:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            yield message["role"], block


def _result_blocks(body):
    for _, block in _blocks(body):
        if block["type"] == "tool_result" and isinstance(block.get("content"), list):
            yield from block["content"]


def _urls(body):
    return [b["image_url"]["url"] for _, b in _blocks(body) if b["type"] == "image_url"]


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


CHAT_CHOICES = ("none", "auto", "required")


def chat_to_anthropic(body):
    """Rules that apply to a Chat request bound for a Claude 4.5 model."""
    out = []

    def add(when, *rule):
        if when:
            out.append(Rule(*rule))

    tools, choice = body.get("tools"), body.get("tool_choice")
    prefill = body["messages"][-1]["role"] == "assistant"
    form = (body.get("response_format") or {}).get("type")
    temperature = body.get("temperature")
    add((body.get("n") or 1) > 1, "6.8", "n>1", "refuse", ("n",))
    add(any(u.startswith("http://") for u in _urls(body)), "6.2", "an http image is fetched, loopback refused",
        "refuse", (), (400, 502, 504))
    add(any(b["type"] == "input_audio" for _, b in _blocks(body)), "6.2", "input_audio", "refuse")
    add(any(b["type"] == "file" and b["file"].get("file_id") for _, b in _blocks(body)), "6.2",
        "file ids cannot cross providers", "refuse", ("file_id",))
    add(temperature is not None and not _number(temperature), "1.2", "temperature is no number", "refuse",
        ("temperature",))
    add(form in ("json_schema",) and prefill, "6.7", "format cannot be combined with prefill", "refuse",
        ("response_format", "prefill", "assistant"))
    add(isinstance(choice, str) and choice not in CHAT_CHOICES, "1.5", "a tool_choice outside the dialect",
        "may_refuse", ("tool_choice",))
    add(choice not in (None, "none", "auto") and not tools, "6.4", "a forced choice without tools", "refuse")
    add(_number(temperature) and temperature > 1, "6.8", "temperature is clamped to 1", "warn", ("temperature",))
    for name in ("frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs"):
        add(body.get(name), "6.8", f"{name} is dropped", "warn", (name,))
        add(name in body and not body[name], "6.8", f"{name} is dropped (a default)", "may_warn", (name,))
    add(body.get("top_p") is not None and temperature is not None, "6.8", "top_p beside temperature", "warn",
        ("top_p",))
    add(form == "json_object", "6.7", "json_object is emulated", "warn", ("response_format",))
    add(form == "json_schema", "6.7", "a schema, perhaps by the tool trick", "may_warn", ("response_format",))
    add(body.get("service_tier") in ("flex", "scale"), "6.9", "service_tier", "warn", ("service_tier",))
    add(((body.get("moderation") or {}).get("policy")), "6.9", "moderation with block policy", "warn",
        ("moderation",))
    add(body.get("verbosity"), "6.9", "verbosity", "warn", ("verbosity",))
    effort = body.get("reasoning_effort") or (body.get("reasoning") and "asked")
    called = any(m.get("tool_calls") for m in body["messages"])
    add(effort and called, "6.6", "thinking is omitted after a tool turn without its block", "may_warn",
        ("thinking", "reasoning_effort"))
    add(effort == "none", "6.6", "effort none", "may_warn", ("reasoning_effort", "thinking"))
    add(effort and effort != "none" and (temperature is not None or body.get("top_p") is not None), "6.6",
        "no sampling beside budget thinking", "may_warn", ("temperature", "top_p"))
    add(effort and (body.get("max_completion_tokens") or body.get("max_tokens") or 9999) <= 1024, "6.6",
        "no thinking within 1024 tokens", "warn", ("thinking", "reasoning_effort"))
    add(any(t["type"] not in ("function", "custom") for t in tools or []), "6.3", "a tool of another vendor's",
        "warn", ("tools",))
    roles = [m["role"] for m in body["messages"]]
    first = next((i for i, r in enumerate(roles) if r not in ("system", "developer")), 0)
    add(any(r in ("system", "developer") for r in roles[first:]), "6.1", "a later system message, for a model without",
        "warn", ("messages",))
    add(any(t["type"] == "custom" for t in tools or []), "6.3", "a freeform tool becomes a function", "may_warn",
        ("tools", "custom"))
    add(body["messages"][0]["role"] == "assistant", "6.1", "the first turn is the assistant's", "warn",
        ("messages",))
    for message in body["messages"]:
        for call in message.get("tool_calls") or []:
            args = (call.get("function") or {}).get("arguments")
            add(args is not None and "_raw_arguments" in canon._object(args), "6.5", "arguments are no JSON",
                "warn", ("arguments",))
    add(_unpaired_chat(body), "6.5", "a call without result, or a result without call", "warn",
        ("messages", "tool"))
    add("prediction" in body, "6.9", "prediction", "may_warn", ("prediction",))
    return out


def _unpaired_chat(body):
    calls = [c["id"] for m in body["messages"] for c in m.get("tool_calls") or []]
    results = [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
    return sorted(calls) != sorted(results)


def _unpaired_claude(body):
    calls = [b["id"] for _, b in _blocks(body) if b["type"] == "tool_use"]
    results = [b["tool_use_id"] for _, b in _blocks(body) if b["type"] == "tool_result"]
    return sorted(calls) != sorted(results)


VENDOR_HISTORY = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", "advisor_tool_result",
                  "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
                  "bash_code_execution_tool_result", "text_editor_code_execution_tool_result",
                  "tool_search_tool_result", "mcp_tool_listing", "fallback")


def anthropic_to_chat(body):
    """Rules that apply to a Messages request bound for an OpenAI model."""
    out = []

    def add(when, *rule):
        if when:
            out.append(Rule(*rule))

    kinds = [t.get("type") or "custom" for t in body.get("tools") or []]
    blocks = list(_blocks(body))

    def has(prefix):
        return any(k.startswith(prefix) for k in kinds)

    add(any(b["type"] in ("document", "image") and b["source"]["type"] == "file" for _, b in blocks), "6.2",
        "file ids cannot cross providers", "refuse", ("file",))
    add(any(b["type"] == "document" and b["source"]["type"] == "url" for _, b in blocks), "6.2",
        "a document by URL is fetched", "refuse", (), (400, 502, 504))
    add(any(b["type"] == "container_upload" for _, b in blocks), "6.2", "container_upload", "refuse",
        ("container", "messages"))
    add(isinstance(body.get("container"), str) or (body.get("container") or {}).get("id"), "6.9", "container id",
        "refuse", ("container",))
    add(body.get("mcp_servers") or has("mcp_toolset"), "6.3", "mcp_servers", "refuse", ("mcp",))
    add(has("code_execution"), "6.3", "code execution is off by default", "refuse", ("code_execution", "tools"))
    add(has("computer") or has("browser"), "6.3", "computer and browser toolsets", "refuse", ("computer", "tools"))
    add(any(b["type"] == "compaction" and not b.get("content") for _, b in blocks), "6.9",
        "compacted history belongs to its vendor", "refuse", ("compact",))
    add(body.get("thread"), "6.9", "thread", "refuse", ("thread",))
    add(target_model("anthropic", body) == PLAIN and (body.get("max_tokens") or 0) > MOST, "6.8",
        "a limit over what the model gives", "warn", ("max_tokens",))
    add(has("web_search"), "6.3", "web search, where the upstream has none", "may_warn", ("web_search", "tools"))
    add(has("web_fetch") or has("advisor"), "6.3", "a server tool without a counterpart", "may_refuse",
        ("web_fetch", "advisor", "tools"))
    add(has("web_fetch") or has("advisor"), "6.3", "a server tool without a counterpart", "may_warn",
        ("web_fetch", "advisor", "tools"))
    add(has("tool_search") or any(t.get("defer_loading") and t.get("input_schema", {}).get("properties")
                                  for t in body.get("tools") or []), "6.3", "tools are sent undeferred", "warn",
        ("tool", "defer"))
    add(body.get("context_management"), "6.9", "context_management", "warn", ("context_management",))
    add(any(b["type"] in VENDOR_HISTORY for _, b in blocks), "6.5", "server tool blocks of another vendor", "warn",
        ("server_tool", "tool_use", "tool_result", "messages", "content"))
    add(any(b["type"] == "compaction" and b.get("content") for _, b in blocks), "6.9",
        "a compaction becomes a summary", "may_warn", ("compaction",))
    add(any(role == "system" and b["type"] != "text" for role, b in blocks), "3.3",
        "beta blocks of a system message", "may_warn", ("system", "tool_addition", "messages", "tool"))
    add(any(b["type"] == "image" for b in _result_blocks(body)), "6.2", "images of a tool result follow it", "warn",
        ("image", "tool_result", "content"))
    add(body.get("top_k"), "6.8", "top_k", "warn", ("top_k",))
    add(body.get("temperature") not in (None, 1) and (body.get("thinking") or body.get("output_config")), "6.8",
        "no sampling on a reasoning model", "may_warn", ("temperature",))
    add(body.get("inference_geo"), "6.9", "inference_geo", "warn", ("inference_geo",))
    add(body.get("speed") == "fast", "6.9", "speed", "warn", ("speed",))
    add((body.get("thinking") or {}).get("budget_tokens"), "6.6", "a budget becomes a level", "may_warn",
        ("thinking", "budget"))
    add(_unpaired_claude(body), "6.5", "a call without result, or a result without call", "warn",
        ("messages", "tool"))
    return out


RULES = {"chat": chat_to_anthropic, "anthropic": anthropic_to_chat}


# ---------------------------------------------------------------- the expected request

REASONS, PLAIN, MOST = "gpt-5.2", "gpt-4.1", 32768  # MOST: what the plain one gives


def target_model(dialect, body):
    """The model to ask for, by the other side's dialect: one that the settings make sense for."""
    if dialect == "chat":
        return "claude-sonnet-4-5"
    effort = (body.get("output_config") or {}).get("effort")
    return REASONS if body.get("thinking") or effort else PLAIN


def check_to_anthropic(body, sent):
    """The Messages body that the upstream got, against the Chat body the client sent."""
    want, got = canon.chat_request(body), canon.claude_request(sent)
    emulated = got.system[len(want.system):]
    assert canon.same_texts(want.system, got.system[:len(want.system)]), (want.system, got.system)
    if emulated:
        assert want.settings["format"], f"system lines nobody wrote: {emulated}"
    items = list(want.items)
    if items and items[0][0] == "assistant":
        items.insert(0, ("user", "text", "(continue)"))
    items = [("user", "text", f"<system-reminder>\n{i[2]}\n</system-reminder>") if i[0] == "system" else i
             for i in items]
    if items and items[-1][:2] == ("assistant", "text"):
        items[-1] = ("assistant", "text", items[-1][2].rstrip())
    same_items(items, got.items)
    names = [n for n in got.tools if n != "json_response"]
    if want.tools or not any(i[1] == "call" for i in items):
        assert names == list(want.tools), (names, list(want.tools))
    for name, (description, schema, kind, strict) in want.tools.items():
        there = got.tools[name]
        if kind == "custom":
            assert list(there[1]["properties"]) == ["input"] and there[0].startswith(description), there
        elif strict:
            assert same_shape(schema, there[1]), (schema, there[1])
            assert there[0] == description, there
        else:
            assert there[:2] == (description, schema or {"type": "object", "properties": {}}), there
    choice = ("required", None) if want.choice[0] == "any" else want.choice
    trick = "json_response" in got.tools
    if not (choice[0] == "unset" and (got.choice[0] in ("unset", "auto") or trick)):
        assert got.choice == choice, (got.choice, choice)
    assert (want.parallel is False) == (got.parallel is False) or choice[0] == "none", "parallel"
    asked, there = want.settings, got.settings
    assert there["stream"] == asked["stream"]
    assert there["max_tokens"] == asked["max_tokens"] if asked["max_tokens"] else there["max_tokens"] > 0
    thinking = there["thinking"] == "enabled"
    if asked["temperature"] is not None and not thinking:
        assert there["temperature"] == min(asked["temperature"], 1), there
    if asked["top_p"] is not None and asked["temperature"] is None and not thinking:
        assert there["top_p"] == asked["top_p"], there
    assert there["stop"] == asked["stop"]
    if asked["format"] == "json_schema":
        schema = there["schema"] or got.tools["json_response"][1]
        assert same_shape(asked["schema"], schema), (asked["schema"], schema)
    if asked["effort"] and asked["effort"] != "none" and not any(i[1] == "call" for i in items):
        assert thinking and 1024 <= there["budget"] < there["max_tokens"], there
    if asked["user"]:
        assert there["user"], "user is lost"


def same_shape(want, got):
    """Strict schemas are fixed up (6.3): properties and types must survive, additionalProperties is set."""
    if not isinstance(want, dict):
        return want == got
    if "properties" in want:
        if got.get("additionalProperties") is not False or set(want["properties"]) != set(got["properties"]):
            return False
        return all(same_shape(v, got["properties"][k]) for k, v in want["properties"].items())
    if "items" in want and not same_shape(want["items"], got.get("items")):
        return False
    return all(json.dumps(got.get(k)) == json.dumps(want[k]) for k in ("type", "enum", "$ref") if k in want)


def same_items(want, got):
    want, got = canon.runs(want), canon.runs(got)
    shape = [(w[0], w[1]) for w in want]
    assert shape == [(g[0], g[1]) for g in got], (shape, [(g[0], g[1]) for g in got])
    for w, g in zip(want, got, strict=True):
        if w[1] == "text":
            assert canon.same_texts(w[2], g[2]), (w, g)
        else:
            size = min(len(w), len(g))
            assert w[:min(size, 5)] == g[:min(size, 5)] or (w[1] == "result" and w[:4] == g[:4]), (w, g)


def check_to_chat(body, sent):
    """The Chat body that the upstream got, against the Messages body the client sent."""
    want, got = canon.claude_request(body), canon.chat_request(sent)
    system = [t for t in want.system if not t.startswith("x-anthropic-billing-header")]
    assert system == got.system, (system, got.system)
    items = []
    held = []

    def release():
        items.extend(held)
        held.clear()

    for item in want.items:
        if item[1] == "result":
            text = item[3]
            if item[4] and not text.startswith("Error: "):
                text = f"Error: {text}"
            for part in item[5]:
                if part["type"] == "image":
                    held.append(("user", "image", canon._source(part)))
            items.append((*item[:3], text, bool(item[5])))
            continue
        release()
        if item[1] != "vendor":
            items.append(item)
    release()
    there = [i for i in got.items]
    check_chat_items(items, there)
    custom = [n for n, t in want.tools.items() if not server_tool(t[2]) and not deferred(body, n)]
    names = list(got.tools)
    assert names == custom or (not custom and not want.tools), (names, custom)
    for name in custom:
        description, schema, kind, strict = want.tools[name]
        if kind == "custom":
            assert got.tools[name][0] == description, name
            assert got.tools[name][1] == schema, (schema, got.tools[name][1])
            assert bool(got.tools[name][3]) == bool(strict), (name, strict)
        else:
            assert got.tools[name][1]["properties"], f"{kind} has no schema"
    if want.choice[0] != "unset" and custom:
        assert got.choice == want.choice or (want.choice[0] == "auto" and got.choice[0] == "unset"), got.choice
    assert (want.parallel is False) == (got.parallel is False)
    asked, there = want.settings, got.settings
    assert there["stream"] == asked["stream"] and there["stop"] == asked["stop"]
    assert there["max_tokens"] == (min(asked["max_tokens"], MOST) if sent["model"] == PLAIN else asked["max_tokens"]), there
    if asked["stream"]:
        assert sent["stream_options"]["include_usage"] is True, sent.get("stream_options")
    if sent["model"] != REASONS:
        assert there["temperature"] == asked["temperature"], there
    if asked["format"]:
        assert there["format"] == "json_schema" and there["schema"] == asked["schema"], there
        assert sent["response_format"]["json_schema"]["strict"] is True
    level = asked["effort"] or (canon.budget_level(asked["budget"]) if asked["budget"] else None)
    if level:
        other = {"minimal": "low", "max": "xhigh"}.get(level, level)  # where the model has no such level
        assert there["effort"] in (level, other), (there["effort"], level)
    if asked["user"]:
        assert there["user"] and len(there["user"]) <= 64, there["user"]


def server_tool(kind):
    return kind.startswith(("web_search", "web_fetch", "code_execution", "tool_search", "advisor", "mcp",
                            "computer", "browser"))


def deferred(body, name):
    """Claude Code's placeholder, which only Anthropic understands."""
    return any(t.get("name") == name and t.get("defer_loading") and not (t.get("input_schema") or {}).get(
        "properties") for t in body["tools"])


def check_chat_items(want, got):
    want, got = canon.runs(want), canon.runs(got)
    assert len(want) <= len(got) + 1, (want, got)
    at = 0
    for w in want:
        assert at < len(got), f"lost: {w}"
        g = got[at]
        if w[1] == "result":
            assert g[:3] == w[:3], (w, g)
            text = g[3]
            assert text == w[3] or (w[4] and text.startswith(w[3]) and "[image #" in text), (w, g)
        elif w[1] == "text":
            assert g[:2] == w[:2] and canon.same_texts(w[2], g[2]), (w, g)
        elif w[1] == "image" and g[:2] == (w[0], "text"):
            at += 1  # a word before the images that were moved out of tool results
            assert got[at][:3] == w[:3], (w, got[at])
        else:
            assert g[:2] == w[:2] and g[2:min(len(g), len(w))] == w[2:min(len(g), len(w))], (w, g)
        at += 1
    assert at == len(got), f"nobody wrote: {got[at:]}"
