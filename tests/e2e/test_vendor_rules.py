"""What a vendor refuses although its dialect has it, and what that takes of the answer."""

import json

import pytest

from matrix.stand import Line, read, saying

HOWS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
HELLO = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("upstream", ["chat", "responses", "anthropic"])
@HOWS
def test_a_list_travels_in_an_object(upstream, stream):
    """The schema's root is a list; the client gets the list, whatever the upstream's models can answer with."""
    body = {"contents": [{"role": "user", "parts": [{"text": "three"}]}],
            "generationConfig": {"responseMimeType": "application/json",
                                 "responseSchema": {"type": "ARRAY", "items": {"type": "STRING"}}}}
    say = {"items": [{"text": json.dumps({"value": ["a \"b\"", "\u00e9\U0001f30d", "c"]})}], "stop": "end"}
    with Line(upstream) as at:
        sent, got = at.carry("gemini", body, say=say, stream=stream)
        asked = {"chat": lambda: sent["response_format"]["json_schema"]["schema"],
                 "responses": lambda: sent["text"]["format"]["schema"],
                 "anthropic": lambda: sent["output_config"]["format"]["schema"]}[upstream]()
        assert asked["type"] == "object" and asked["properties"]["value"] == {"type": "array", "items": {"type": "string"}}
        assert json.loads(read("gemini", got).text) == ["a \"b\"", "\u00e9\U0001f30d", "c"]


@pytest.mark.parametrize(("model", "asked"), [("gpt-4o", False), ("gpt-5.2", True), ("o3", True), ("some-other", True)])
def test_encrypted_reasoning_is_asked_of_models_that_reason(model, asked):
    """OpenAI answers 400 "Encrypted content is not supported with this model" for the others of its own."""
    with Line("responses") as at:
        sent, _ = at.carry("chat", HELLO, model=model, handler=saying("responses", {"items": [{"text": "x"}], "stop": "end"}))
        assert ("reasoning.encrypted_content" in sent.get("include", [])) == asked


def test_a_limit_of_other_models():
    """Agents ask for as much as their usual model gives."""
    with Line("chat") as at:
        sent, got = at.carry("anthropic", {**HELLO, "max_tokens": 32000}, model="gpt-4o")
        assert sent["max_completion_tokens"] == 16384 and "clamped:max_tokens" in got.header("x-anyrouter-warnings")


@pytest.mark.parametrize(("model", "effort"), [("gpt-5-mini", "minimal"), ("gpt-5.1", "none"), ("gpt-5-codex", "low")])
def test_no_thinking_in_the_word_of_the_model(model, effort):
    with Line("responses") as at:
        sent, _ = at.carry("anthropic", {**HELLO, "max_tokens": 2000, "thinking": {"type": "disabled"}}, model=model)
        assert sent["reasoning"]["effort"] == effort
