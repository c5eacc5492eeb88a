"""Coding agents lead a tool loop through the gateway. Long: they are installed for ./dev test --all."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
import run  # noqa: E402

pytestmark = pytest.mark.long
p = pytest.mark.p


@pytest.fixture(scope="module", autouse=True)
def installed():
    run.install({"agents"})


def check(script, upstream):
    """The mock refuses what the real vendor would refuse, and notes the turns in which a tool was called."""
    steps = run.run_one(script, upstream, "tool")
    assert steps and all(s.verdict == "PASS" for s in steps), "\n".join(f"{s.verdict} {s.name}: {s.detail}" for s in steps)


@p("P-177")
@pytest.mark.parametrize("upstream", ["anthropic", "gemini", "chat"])
def test_codex(upstream):
    check("codex.sh", upstream)


@p("P-178")
@pytest.mark.parametrize("upstream", ["chat", "responses", "gemini"])
def test_claude_code(upstream):
    check("claude-code.sh", upstream)
