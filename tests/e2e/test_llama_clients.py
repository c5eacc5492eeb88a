"""A real server behind clients of Responses and Gemini, and behind the official SDKs, by each dialect that it speaks."""

import sys
from pathlib import Path

import pytest

from llama_support import REPLY, THOUGHT, gates, servers  # noqa: F401
from matrix import DIALECTS
from matrix.cells import ORDER
from matrix.exchange import Exchange

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
import run  # noqa: E402

SPOKEN = ["chat", "responses", "anthropic"]
ASK = {"turns": [{"user": [{"text": "hi"}]}], "max": 200, "settings": {"temperature": 0}}
TOOLS = {**ASK, "tools": ["get_weather"]}
HOWS = ["whole", "stream"]
PAIRS = [(c, u) for c in ORDER for u in SPOKEN if c != u]
NEW = [(c, u) for c, u in PAIRS if c in ("responses", "gemini")]  # the others are in test_llama.py


class Real:
    """An upstream that keeps no record of what it was asked."""

    requests = ()

    def __init__(self, gate):
        self.gate, self.up = gate, self


def ask(gate, client, upstream, how, what):
    asked = DIALECTS[client].request(what, "some-model", how == "stream")
    exchange = Exchange(Real(gate), client, upstream, how, asked)
    exchange.native = True  # a real server's streams keep their own habits
    return exchange, exchange.client.read(exchange.whole())


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_text(gates, client, upstream, how):
    _, got = ask(gates(upstream), client, upstream, how, ASK)
    assert got.text.strip() == REPLY and got.usage["in"] > 0 and got.usage["out"] > 0 and got.stop == "end"


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("client", "upstream"), NEW)
def test_a_tool_and_its_result(gates, client, upstream, how):
    gate, side = gates(upstream), DIALECTS[client]
    exchange, got = ask(gate, client, upstream, how, TOOLS)
    [(call, name, arguments)] = got.calls
    assert name == "get_weather" and set(arguments) == {"city"} and got.stop == "tool_use"
    body = side.again(exchange.body, exchange.whole(), [{"result": call, "name": name, "items": [{"text": "3C"}]}])
    path, _, headers = side.request(TOOLS, "some-model", how == "stream")
    second = Exchange(Real(gate), client, upstream, how, (path, body, headers))
    second.native = True
    assert side.read(second.whole()).text.strip() == REPLY


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("client", "upstream"), NEW)
def test_thinking(gates, client, upstream, how):
    _, got = ask(gates(upstream, "tiny-think"), client, upstream, how, {**ASK, "think": True})
    if upstream == "anthropic":  # with thinking on, Messages takes no temperature: the words are the model's
        assert got.thinking or got.text
    else:
        assert THOUGHT in got.thinking and REPLY in got.text


# Steps that are text alone: the small model calls tools and writes JSON by chance.
STEPS = {
    "sdk-openai.mjs": ["chat", "chat.stream.helper", "responses", "responses.stream", "responses.stream.helper"],
    "sdk-anthropic.mjs": ["count_tokens", "messages", "messages.stream"],
    "sdk-genai.mjs": ["countTokens", "generate", "stream", "chat"],
    "sdk-openrouter.mjs": ["generateText", "streamText"],
    "sdk-ai.mjs": [f"{m}:{s}" for m in ("openai-responses", "openai-chat", "anthropic", "compatible") for s in ("generateText", "streamText")],
}


# Natively its bytes pass as they are, and its Responses streams have no output_index, which these want.
NOT_NATIVELY = {"responses": {"responses.stream.helper", "openai-responses:streamText"}}


@pytest.mark.parametrize("upstream", SPOKEN)
@pytest.mark.parametrize("script", STEPS)
def test_sdks(gates, script, upstream):
    """The vendors' own SDKs; what the model says is its own."""
    run.install()
    wanted = [s for s in STEPS[script] if s not in NOT_NATIVELY.get(upstream, ())]
    steps = run.run_script(script, gates(upstream).url, {"EXPECT": "", "MODEL": "some-model", "ONLY": ",".join(wanted)})
    assert [s.name for s in steps] == wanted, steps
    bad = [f"{s.name}: {s.detail}" for s in steps if s.verdict != "PASS"]
    assert not bad, "\n".join(bad)
