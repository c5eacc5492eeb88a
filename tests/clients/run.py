#!/usr/bin/env python3
"""Runs real clients against AnyRouter in front of mock.mjs and prints each of their steps.

    run.py                     the SDKs
    run.py --agents            the coding agents
    run.py --all               both
    run.py --direct            against the mock itself, to check the tools of this folder
    run.py --only sdk-ai.mjs --upstream anthropic --mode tool -v
    run.py --only ../elsewhere/client.sh --limit 900

Every script runs eight times: in front of an upstream of each dialect, which answers with text alone or calls a tool
first. Together with the dialects that the script speaks itself that is every pair, native and translated.
Where a dialect has no embeddings an upstream of lower priority has them, as a user would set it up; it may be asked for
nothing else. No step is left out.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tests/e2e")]
import family  # noqa: E402
import faults  # noqa: E402
from mockserver import Mock, clients_dir, node_program  # noqa: E402

SDKS = ["sdk-openai.mjs", "sdk-anthropic.mjs", "sdk-ai.mjs", "sdk-langchain.mjs", "sdk-openrouter.mjs", "sdk-genai.mjs"]
AGENTS = ["claude-code.sh", "codex.sh", "codex-flags.sh", "codex-builtin.sh", "gemini-cli.sh", "gemini-cli-env.sh", "opencode.sh",
          "opencode-responses.sh", "opencode-anthropic.sh", "qwen-code.sh", "cline.sh", "ccr.sh", "claude-code-tui.py", "codex-tui.py"]
UPSTREAMS = ["chat", "responses", "anthropic", "gemini"]
FAULTS = ["claude-code.sh", "codex.sh", "gemini-cli.sh", "opencode.sh", "qwen-code.sh"]  # agents whose taking of failures is looked at
MODES = ["text", "tool"]
EMBEDS = ["chat", "gemini"]  # upstreams whose dialect has embeddings
LIMIT_S = 180  # for one script

@dataclass
class Step:
    verdict: str  # PASS or FAIL; NOTE: more about a failure
    name: str
    milliseconds: int
    detail: str


def is_agent(script):
    return not script.endswith(".mjs")


def command_of(script, base_url):
    """A script of this folder, or any other by its path."""
    path = HERE / script if (HERE / script).exists() else Path(script).resolve()
    program = {".mjs": node_program(), ".py": sys.executable}.get(path.suffix, "bash")
    return [program, str(path), base_url]


def run_script(script, base_url, extra_env=None, limit=None):
    """Runs one script against base_url and gives its steps; nothing that it started is left."""
    limit = limit or LIMIT_S
    env = {
        "PATH": f"{Path(node_program()).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "CLIENTS_INST": str(clients_dir()),
        "NODEBIN": str(Path(node_program()).parent),
        **(extra_env or {}),
    }
    started = time.monotonic()
    command = [sys.executable, str(HERE / "family.py"), str(limit), *command_of(script, base_url)]
    with tempfile.TemporaryDirectory(prefix="anyrouter-client-", ignore_cleanup_errors=True) as folder:
        done = subprocess.run(command, env={**env, "TMPDIR": folder}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    text = done.stdout + (f"\nended after {limit} s" if done.returncode == family.TIMED_OUT else "")
    spent = int((time.monotonic() - started) * 1000)
    if is_agent(script):
        verdict = "PASS" if done.returncode == 0 else "FAIL"
        return [Step(verdict, Path(script).stem, spent, " ".join(text.split())[-1500:])]
    steps = []
    for line in text.splitlines():
        parts = line.split("\t", 3)
        if len(parts) == 4 and parts[0] in ("PASS", "FAIL"):
            steps.append(Step(parts[0], parts[1], int(parts[2]), parts[3]))
    if not steps or (done.returncode != 0 and all(s.verdict != "FAIL" for s in steps)):
        steps.append(Step("FAIL", "(script)", spent, f"exit code {done.returncode}: {text[-600:]}"))
    return steps


GENERATION = {"chat": ("/chat/completions",), "anthropic": ("/messages",), "responses": ("/responses",),
              "gemini": (":generateContent", ":streamGenerateContent")}
ASIDE = ("count_tokens", "countTokens", "input_tokens", "/embeddings", "mbedContent", "mbedContents")


def check_upstream(mock, upstream, mode, steps):
    """What the mock saw must fit: its own dialect only, no rule broken, tools called when they were to be called."""
    seen = [r for r in mock.requests() if r["method"] == "POST" and not r["path"].endswith(ASIDE)]
    paths = {r["path"] for r in seen}
    foreign = [p for p in paths if not p.endswith(GENERATION[upstream])]
    refused = [f"{r['path']}: {r['status']} {r['note']}" for r in seen if r["status"] != 200]
    if foreign:
        steps.append(Step("FAIL", "(upstream dialect)", 0, f"the {upstream} upstream was asked for {sorted(foreign)}"))
    if refused:
        steps.append(Step("FAIL", "(upstream rules)", 0, "; ".join(refused[:3])))
    turns = sum("tool:" in r["note"] for r in seen)
    if mode == "tool" and not turns:
        steps.append(Step("FAIL", "(tool turns)", 0, "the upstream never got to call a tool"))


def check_aside(aside, steps):
    """The upstream of embeddings stands in for nobody."""
    foreign = {r["path"] for r in aside.requests() if r["method"] == "POST" and not r["path"].endswith("/embeddings")}
    if foreign:
        steps.append(Step("FAIL", "(upstream of embeddings)", 0, f"it was asked for {sorted(foreign)}"))


def run_one(script, upstream, mode, direct=False, limit=None):
    """One script, one upstream dialect, one mode; gives the steps."""
    dialects = None if direct else [upstream]
    with Mock(dialects=dialects, scenario=mode) as mock:
        if direct:
            return run_script(script, mock.url, limit=limit)
        from harness import Gateway  # here, so that --direct needs no Python packages

        with Mock(dialects=["chat"]) as aside:
            more = [] if upstream in EMBEDS else [aside.upstream("chat", name="embeddings", priority=2)]
            with Gateway({"workers": 1, "upstreams": [mock.upstream(upstream), *more]}) as gateway:
                steps = run_script(script, gateway.url, limit=limit)
                check_upstream(mock, upstream, mode, steps)
                check_aside(aside, steps)
                if any(s.verdict == "FAIL" for s in steps):
                    steps.append(Step("NOTE", "(gateway log)", 0, gateway.log[-1500:]))
                return steps


def run_faults(script, upstream):
    """How an agent takes failures (faults.py)."""
    from harness import Gateway

    def gateway(upstreams):
        return Gateway({"workers": 1, "upstreams": upstreams})

    for name, complaint, detail in faults.check(run_script, gateway, script, upstream):
        yield Step("FAIL" if complaint else "PASS", name, 0, f"{complaint}: {detail}" if complaint else detail)


def install(groups=("sdk",)):
    subprocess.run([str(HERE / "install.sh"), str(clients_dir()), *sorted(groups)], check=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--agents", action="store_true", help="the coding agents instead of the SDKs")
    ap.add_argument("--all", action="store_true", help="SDKs and agents")
    ap.add_argument("--direct", action="store_true", help="no gateway: the scripts against the mock")
    ap.add_argument("--only", action="append", help="a script of this folder, or a path; may be repeated")
    ap.add_argument("--limit", type=int, metavar="SECONDS", help=f"for one script (default {LIMIT_S})")
    ap.add_argument("--upstream", choices=UPSTREAMS)
    ap.add_argument("--mode", choices=MODES)
    ap.add_argument("-v", "--verbose", action="store_true", help="print the details of steps that passed as well")
    a = ap.parse_args()
    scripts = a.only or (AGENTS if a.agents else SDKS + (AGENTS if a.all else []))
    needed = {"agents" if is_agent(s) else "sdk" for s in scripts if (HERE / s).exists() and not Path(s).is_absolute()}
    if needed:  # a script from elsewhere sees to its clients itself
        install(needed)
    counts = {"PASS": 0, "FAIL": 0, "NOTE": 0}

    def show(script, upstream, mode, steps):
        for s in steps:
            counts[s.verdict] += 1
            detail = "" if s.verdict == "PASS" and not a.verbose else "  " + s.detail
            print(f"{s.verdict:4}  {script} -> {upstream}, {mode}: {s.name} ({s.milliseconds} ms){detail}", flush=True)

    for script in scripts:
        for upstream in ["any"] if a.direct else [a.upstream] if a.upstream else UPSTREAMS:
            for mode in [a.mode] if a.mode else MODES:
                show(script, upstream, mode, run_one(script, upstream, mode, a.direct, a.limit))
            if script.endswith(".sh") and script in FAULTS and not a.direct and not a.mode:
                show(script, upstream, "faults", run_faults(script, upstream))
    print(f"{counts['PASS']} steps passed, {counts['FAIL']} failed")
    return 1 if counts["FAIL"] or not counts["PASS"] else 0


if __name__ == "__main__":
    sys.exit(main())
