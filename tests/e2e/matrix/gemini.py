"""Gemini generateContent in the matrix (PROTOCOLS 4)."""

import json

from .neutral import FORMAT, TOOLS, Got, Seen, StreamError, dump, pieces, usage_of

SIGNATURE = "R2VtaW5pL3Rob3VnaHQrc2lnbmF0dXJlMDE="
DUMMY = "skip_thought_signature_validator"
FINISH = {"end": "STOP", "tool_use": "STOP", "max_tokens": "MAX_TOKENS", "stop_sequence": "STOP", "refusal": "SAFETY"}

NAMES_STOP = False


def upstream(ask):
    model = "gemini-3-pro" if ask.get("think") else ask.get("model", {}).get("gemini", "gemini-2.5-flash")
    return {"provider": "gemini"}, model


# ---------------------------------------------------------------- facing the gateway as a client


def inline(mime, data):
    return {"inlineData": {"mimeType": mime, "data": data}}


def part(item):
    if "text" in item:
        return {"text": item["text"]}
    if "image" in item:
        return inline("image/png", item["image"])
    if "document" in item:
        return inline("application/pdf", item["document"])
    if "audio" in item:
        return inline("audio/wav", item["audio"])
    if "call" in item:
        return {"functionCall": {"id": item["call"], "name": item["name"], "args": item["args"]}}
    text = " ".join(i["text"] for i in item["items"] if "text" in i)
    out = {"id": item["result"], "name": item["name"], "response": {"error" if item.get("error") else "output": text}}
    media = [part(i) for i in item["items"] if "text" not in i]
    return {"functionResponse": {**out, "parts": media} if media else out}


def request(ask, model, stream):
    body = {"contents": [], "generationConfig": {}}
    if ask.get("system"):
        body["systemInstruction"] = {"parts": [{"text": text} for text in ask["system"]]}
    for turn in ask["turns"]:
        ((role, items),) = turn.items()
        body["contents"].append({"role": "model" if role == "assistant" else "user", "parts": [part(i) for i in items]})
    if ask.get("tools"):
        body["tools"] = [{"functionDeclarations": [
            {"name": n, "description": TOOLS[n]["description"], "parametersJsonSchema": TOOLS[n]["schema"]} for n in ask["tools"]]}]
    if "choice" in ask:
        mode = {"auto": "AUTO", "none": "NONE", "required": "ANY"}.get(ask["choice"])
        body["toolConfig"] = {"functionCallingConfig": {"mode": mode} if mode else {"mode": "ANY", "allowedFunctionNames": [ask["choice"]]}}
    config = body["generationConfig"]
    if ask.get("format"):
        config.update(responseMimeType="application/json", responseJsonSchema=FORMAT)
    if ask.get("json"):
        config["responseMimeType"] = "application/json"
    if ask.get("search"):
        body["tools"] = [{"googleSearch": {}}]
    if "n" in ask:
        config["candidateCount"] = ask["n"]
    if "tier" in ask:
        body["serviceTier"] = ask["tier"]
    if "max" in ask:
        config["maxOutputTokens"] = ask["max"]
    if "stop" in ask:
        config["stopSequences"] = ask["stop"]
    if ask.get("think"):
        config["thinkingConfig"] = {"includeThoughts": True, "thinkingLevel": "MEDIUM"}
    names = {"temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed"}
    config.update({names[k]: v for k, v in ask.get("settings", {}).items() if k in names})
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}", body, {}


def again(body, answer, answers):
    turn = {"role": "user", "parts": [part(a) for a in answers]}
    return {**body, "contents": [*body["contents"], answer["candidates"][0]["content"], turn]}


def read(body):
    got = Got(model=body["modelVersion"])
    if not body.get("candidates"):
        assert body["promptFeedback"]["blockReason"], body
        got.stop = "refusal"
    else:
        (candidate,) = body["candidates"]
        read_parts(got, candidate.get("content", {}).get("parts", []))
        stop = {v: k for k, v in FINISH.items() if k in ("end", "max_tokens", "refusal")}[candidate["finishReason"]]
        got.stop = "tool_use" if got.calls and stop == "end" else stop
    if got.stop == "refusal":
        got.refusal, got.text = got.text, ""
    usage = body["usageMetadata"]
    got.usage = {"in": usage.get("promptTokenCount", 0) + usage.get("toolUsePromptTokenCount", 0), "written": 0,
                 "out": usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0),
                 "cached": usage.get("cachedContentTokenCount", 0), "reasoning": usage.get("thoughtsTokenCount", 0)}
    assert usage["totalTokenCount"] == got.usage["in"] + got.usage["out"], usage
    return got


def read_parts(got, parts):
    for one in parts:
        if "thoughtSignature" in one:
            got.opaque.append(one["thoughtSignature"])
        if "functionCall" in one:
            call = one["functionCall"]
            assert isinstance(call.get("args", {}), dict), call
            got.calls.append((call.get("id"), call["name"], call.get("args", {})))
        elif one.get("thought"):
            got.thinking += one["text"]
        else:
            got.text += one["text"]


def assemble(events, native=False):
    """All parts of all chunks, unmerged."""
    parts, whole, blocked = [], {}, None
    for event in events:
        if event.data is None:
            continue
        assert event.event is None and event.data != "[DONE]", event
        chunk = json.loads(event.data)
        if "error" in chunk:
            raise StreamError(chunk["error"]["message"], "".join(p.get("text", "") for p in parts))
        whole.update({k: v for k, v in chunk.items() if k not in ("candidates",)})
        blocked = chunk.get("promptFeedback") or blocked
        for candidate in chunk.get("candidates", []):
            assert "finishReason" not in whole.get("last", {}), "a chunk after the last"
            parts += candidate.get("content", {}).get("parts", [])
            whole["last"] = candidate
    if blocked:
        return whole
    assert whole.get("last", {}).get("finishReason"), "a stream without finishReason"
    last = whole.pop("last")
    return {**whole, "candidates": [{**last, "content": {"role": "model", "parts": [p for p in parts if p != {"text": ""}]}}]}


def read_error(body):
    assert set(body["error"]) >= {"code", "message", "status"} and isinstance(body["error"]["code"], int), body
    return body["error"]["message"]


# ---------------------------------------------------------------- facing the gateway as an upstream


def parts_of(say):
    """A signature belongs to the part after the thought."""
    out, signature = [], {}
    for item in say["items"]:
        if "think" in item:
            out.append({"text": item["think"], "thought": True})
            signature = {"thoughtSignature": SIGNATURE}
        elif "redacted" in item:
            signature = {"thoughtSignature": SIGNATURE}
        elif "call" in item:
            out.append({"functionCall": {"id": item["call"], "name": item["name"], "args": item["args"]}, **signature})
            signature = {}
        elif "freeform" in item:
            out.append({"functionCall": {"id": item["freeform"], "name": item["name"], "args": {"input": item["input"]}}, **signature})
            signature = {}
        elif "text" in item:
            out.append({"text": item["text"], **signature})
            signature = {}
    return out


def usage_body(say):
    u = usage_of(say)
    out = {"promptTokenCount": u["in"], "candidatesTokenCount": u["out"] - u["reasoning"], "totalTokenCount": u["in"] + u["out"]}
    if u["cached"]:
        out["cachedContentTokenCount"] = u["cached"]
    if u["reasoning"]:
        out["thoughtsTokenCount"] = u["reasoning"]
    return out


def shell(parts, say, finish=None, usage=True):
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **({"finishReason": finish} if finish else {})}
    return {"candidates": [candidate], **({"usageMetadata": usage_body(say)} if usage else {}), "modelVersion": "up-model",
            "responseId": "matrix00000000000000aa"}


def blocked(say):
    return {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage_body(say), "modelVersion": "up-model",
            "responseId": "matrix00000000000000aa"}


def answer(say):
    return blocked(say) if say["stop"] == "refusal" else shell(parts_of(say), say, FINISH[say["stop"]])


def frame(body):
    return f"data: {dump(body)}\r\n\r\n"


def frames(say, end=True):
    if say["stop"] == "refusal":
        return [frame(blocked(say))]
    out = []
    for one in parts_of(say):
        if set(one) <= {"text", "thought"}:
            out += [frame(shell([{**one, "text": p}], say, usage=False)) for p in pieces(one["text"])]
        else:
            out.append(frame(shell([one], say, usage=False)))
    return out + ([frame(shell([{"text": ""}], say, FINISH[say["stop"]]))] if end else [])


def error(status, message):
    name = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": name}}


def error_frames(status, message, number):
    return [frame(error(status, message))]


def see(path, body):
    stem, _, verb = path.partition(":")
    assert stem.startswith("/v1beta/models/") and verb in ("generateContent", "streamGenerateContent?alt=sse"), path
    seen = Seen()
    seen.system = [p["text"] for p in (body.get("systemInstruction") or {}).get("parts", [])]
    for one in body["contents"]:
        for part_ in one["parts"]:
            see_part(seen, "assistant" if one.get("role") == "model" else "user", part_)
    seen.search = any("googleSearch" in t for t in body.get("tools") or [])
    seen.tier = body.get("serviceTier")
    for tool in body.get("tools") or []:
        for f in tool.get("functionDeclarations", []):
            seen.tools.append((f["name"], f.get("description"), f.get("parametersJsonSchema")))
    choice = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    names = choice.get("allowedFunctionNames")
    seen.choice = names[0] if names else {"AUTO": "auto", "NONE": "none", "ANY": "required"}.get(choice.get("mode"))
    config = body.get("generationConfig") or {}
    seen.format = config.get("responseJsonSchema", "json_object") if config.get("responseMimeType") == "application/json" else None
    seen.n = config.get("candidateCount", 1)
    seen.stop = config.get("stopSequences") or []
    seen.max = config.get("maxOutputTokens")
    thinking = config.get("thinkingConfig") or {}
    seen.think = bool(thinking.get("thinkingLevel") or thinking.get("thinkingBudget"))
    names = {"temperature": "temperature", "topP": "top_p", "topK": "top_k", "seed": "seed"}
    seen.settings = {names[k]: v for k, v in config.items() if k in names}
    return seen


def see_part(seen, role, one):
    if one.get("thoughtSignature"):
        seen.opaque.append(one["thoughtSignature"])
    if "text" in one:
        if one.get("thought"):
            seen.thoughts.append(one["text"])
        elif one["text"]:
            seen.items.append((role, "text", one["text"]))
    elif "inlineData" in one:
        mime = one["inlineData"]["mimeType"]
        kind = {"image": "image", "audio": "audio"}.get(mime.partition("/")[0], "document")
        seen.items.append((role, kind, mime.removeprefix("audio/"), one["inlineData"]["data"]))
    elif "functionCall" in one:
        call = one["functionCall"]
        seen.items.append((role, "call", call.get("id"), call["name"], call.get("args", {})))
    else:
        got = one["functionResponse"]
        response = got["response"]
        failed = "error" in response
        inner = [("text", response.get("error" if failed else "output"))]
        inner += [("image", p["inlineData"]["mimeType"], p["inlineData"]["data"]) for p in got.get("parts", [])]
        seen.items.append(("tool", "result", got.get("id"), [i for i in inner if i[1]], failed))
