"""What coding agents do when the answer fails: they must stop, or come back at a decent pace, and never loop.

check(agent, upstream) gives steps as run.py prints them. Each runs the agent against a gateway whose upstream (or whose own
rule) fails every request, and looks at how long it went on and how often it asked.
"""
import time

from mockserver import Mock

# An agent that is not told of a truncated answer asks again at once: opencode more than two hundred times in this time.
LIMIT_S = 20
MOST_REQUESTS = 16


def attempt(run_script, script, url, limit=LIMIT_S, **env):
    """Runs the agent to its end or the limit; gives (seconds, whether it ended by itself)."""
    started = time.monotonic()
    run_script(script, url, {"LIMIT": str(limit), "CLAUDE_CODE_MAX_RETRIES": "3", **env}, limit + 15)
    spent = time.monotonic() - started
    return spent, spent < limit - 0.5


def truncated(run_script, gateway, script, upstream, kind):
    """The upstream's stream ends in the middle. Gives a complaint or None, and details."""
    with Mock(dialects=[upstream]) as mock:
        mock.fail(kind, times=0, stream_only=True)
        with gateway([mock.upstream(upstream)]) as gate:
            spent, _ = attempt(run_script, script, gate.url)
        asked = len(mock.generations())
    detail = f"{asked} requests in {spent:.0f} s"
    if asked == 0:
        return "the upstream was never asked", detail
    return ("it loops" if asked > MOST_REQUESTS else None), detail


def refused_key(run_script, gateway, script, upstream):
    """The caller's key is refused, as a token that the gateway did not issue: the agent must end at once."""
    with Mock(dialects=[upstream]) as mock:
        with gateway([mock.upstream(upstream)]) as gate:
            spent, ended = attempt(run_script, script, gate.url, KEY="sk-ar-v1-" + "a" * 46)
        asked = len(mock.generations())
    detail = f"ended after {spent:.0f} s"
    if asked:
        return "the upstream was asked", detail
    return (None if ended else "it goes on asking"), detail


def check(run_script, gateway, script, upstream):
    """Yields (name, complaint or None, details)."""
    for kind in ("eof", "midstream"):
        yield (f"truncated answer ({kind})", *truncated(run_script, gateway, script, upstream, kind))
    yield ("refused key", *refused_key(run_script, gateway, script, upstream))
