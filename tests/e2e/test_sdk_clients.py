"""The scripts of tests/clients (JavaScript SDKs) in front of an upstream of either dialect, with text and with tools."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
import run  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def installed(tmp_path_factory):
    """Once for all workers of pytest-xdist."""
    lock = tmp_path_factory.getbasetemp().parent / "npm.lock"
    with open(lock, "w") as f:
        import fcntl

        fcntl.flock(f, fcntl.LOCK_EX)
        run.install()


@pytest.mark.parametrize("mode", run.MODES)
@pytest.mark.parametrize("upstream", run.UPSTREAMS)
@pytest.mark.parametrize("script", run.SDKS)
def test_script(script, upstream, mode, record_property):
    steps = run.run_one(script, upstream, mode)
    for s in steps:
        name = f"{script} -> {upstream}, {mode}: {s.name}"
        if s.verdict in ("PASS", "FAIL"):
            record_property("summary", f"client steps\t{'ok' if s.verdict == 'PASS' else 'failed'}\t{name}")
    failed = [f"{s.name}: {s.detail}" for s in steps if s.verdict in ("FAIL", "NOTE")]
    assert not failed, "\n".join(failed)
    assert any(s.verdict == "PASS" for s in steps)
