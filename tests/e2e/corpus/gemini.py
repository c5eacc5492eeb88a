"""Recorded Gemini answers, read for comparison: an independent reading of PROTOCOLS 4, 7."""

import json

from harness.canon import Said
from harness.sse import loose_sse

FINISH = {"STOP": "end", 1: "end", "TOO_MANY_TOOL_CALLS": "end", "MAX_TOKENS": "max_tokens", 2: "max_tokens",
          "CONTINUATION": "max_tokens", "SAFETY": "content_filter", 3: "content_filter", "RECITATION": "content_filter",
          "LANGUAGE": "content_filter", "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter",
          "SPII": "content_filter", "MODEL_ARMOR": "content_filter"}
OWN = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse", "inlineData", "fileData")


def usage(raw):
    """7.3, the Gemini reader."""
    if not any(k.endswith("TokenCount") for k in raw or {}):
        return {}
    taken = raw.get("promptTokenCount", 0) + raw.get("toolUsePromptTokenCount", 0)
    thought = raw.get("thoughtsTokenCount", 0)
    made = raw.get("candidatesTokenCount", 0) + thought
    return {"in_total": taken, "in_cached": raw.get("cachedContentTokenCount", 0), "out_reasoning": thought,
            "out_total": max(made, raw.get("totalTokenCount", 0) - taken)}


def piece(said, call):
    """Arguments in pieces: one level of names is all that was recorded."""
    if "name" in call:
        said.pieces = (call["name"], {})
    name, args = said.pieces
    for one in call.get("partialArgs", []):
        key = one["jsonPath"].removeprefix("$.")
        value = next((one[k] for k in ("stringValue", "numberValue", "boolValue") if k in one), None)
        args[key] = args[key] + value if isinstance(args.get(key), str) else value
    if not call.get("willContinue"):
        said.calls.append((name, json.dumps(args)))
        said.pieces = None


def add(said, part):
    if part.get("thoughtSignature"):
        said.opaque.append(part["thoughtSignature"])
    if "functionCall" in part:
        call = part["functionCall"]
        if said.pieces is not None or call.get("willContinue"):
            piece(said, call)
            return
        said.calls.append((call["name"], json.dumps(call.get("args", {}))))
    elif part.get("thought"):
        said.thinking += part.get("text", "")
    elif "text" in part:
        said.text += part["text"]
    else:
        said.vendor += [k for k in OWN if k in part]


def chunks(list_):
    """Chunks, or one whole answer as the only one."""
    said = Said()
    said.pieces = None
    blocked, finish, counts, grounding = None, None, {}, {}
    for chunk in list_:
        if "error" in chunk:
            said.error = chunk["error"]
            return said
        blocked = (chunk.get("promptFeedback") or {}).get("blockReason") or blocked
        counts = chunk.get("usageMetadata") or counts
        for candidate in chunk.get("candidates", [])[:1]:
            for part in (candidate.get("content") or {}).get("parts", []):
                add(said, part)
            finish = candidate.get("finishReason") or finish
            grounding = candidate.get("groundingMetadata") or grounding
    said.grounding = grounding
    said.ended = True
    said.stop = FINISH.get(finish, "other") if finish else "refusal"
    if said.stop == "end" and said.calls:
        said.stop = "tool_use"
    said.usage = usage(counts)
    said.unfinished = not finish and not blocked
    return said


def frames(exchange):
    """The recorded chunks as parsed JSON."""
    if exchange.sse is None:
        return exchange.answer if isinstance(exchange.answer, list) else [exchange.answer]
    return [json.loads(e.data) for e in loose_sse(exchange.sse) if e.data]


def read(exchange):
    return chunks(frames(exchange))


def texts(body):
    """Every text that a recorded request says."""
    system = body.get("systemInstruction") or body.get("system_instruction") or {}
    for content in [system, *body["contents"]]:
        for part in content.get("parts", []) if isinstance(content, dict) else [{"text": content}]:
            if isinstance(part, dict) and part.get("text", "").strip() and not part.get("thought"):
                yield part["text"]
