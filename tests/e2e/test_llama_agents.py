"""Coding agents lead a tool loop with a real server, by each dialect that it speaks. Long: tens of thousands of tokens a turn.

The small model calls a tool first, with arguments of its own that the agent refuses or serves, and then says its one sentence."""

import sys
from pathlib import Path

import pytest

from harness import Gateway
from llama_support import REPLY, SECRET, Llama, config

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
import run  # noqa: E402

pytestmark = pytest.mark.long
LIGHT = ["codex.sh", "opencode.sh", "cline.sh"]  # the others send the server minutes of prompt: by one dialect only
NOT_NATIVELY = [("codex.sh", "responses")]  # the server's own stream, which passes as it is, is not what Codex reads
AGENTS = [(s, "chat") for s in ["claude-code.sh", "gemini-cli.sh", "qwen-code.sh", *LIGHT]] + \
    [(s, u) for s in LIGHT for u in ["responses", "anthropic"] if (s, u) not in NOT_NATIVELY]
LIMIT_S = 300


@pytest.fixture(scope="module")
def server():
    """Greedy whatever an agent asks for, with room for an agent's prompt."""
    run.install({"agents"})
    llama = Llama("tiny-agent", ["--api-key", SECRET, "-np", "1", "-c", "131072", "--top-k", "1", "--temp", "0", "-b", "2048", "-ub", "2048"])
    yield llama
    llama.stop()


@pytest.mark.parametrize(("script", "upstream"), AGENTS)
def test_an_agent(server, script, upstream):
    with Gateway({**config(server.url, upstream), "log": {"access": True}}) as gate:
        steps = run.run_script(script, gate.url, {"EXPECT": REPLY, "LIMIT": str(LIMIT_S)}, LIMIT_S + 30)
        bad = [f"{s.name}: {s.detail}" for s in steps if s.verdict != "PASS"]
        served = [line for line in gate.log.splitlines() if "event=request" in line and "outcome=served" in line and "upstream=llama" in line]
        assert steps and not bad, "\n".join([*bad, *served, gate.log[-2000:]])
        assert len(served) >= 2, "no turn with a tool's result"
