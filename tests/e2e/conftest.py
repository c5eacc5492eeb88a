"""Fixtures of the end-to-end suite. The program is build/release/anyrouter, or $ANYROUTER_BIN."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import Gateway, Upstream, key, watch, wire
from harness.gateway import BINARY
from harness.stand import Stand, place
from matrix.stand import Line


def pytest_configure(config):
    config.addinivalue_line("markers", "p(number): the statement of the protocol reference it tests")
    config.addinivalue_line("markers", "r(number): the report of users of gateways it answers")
    config.addinivalue_line("markers", "fault(number): the fault of other gateways that it shows to be none here")
    config.addinivalue_line("markers", "workers: worth running with several workers under TSan")
    config.addinivalue_line("markers", "long: too long for every run; ./dev test --all")
    config.addinivalue_line("markers", "harness: tests the harness itself, needs no gateway")


def pytest_collection_modifyitems(items):
    if not BINARY.exists():
        for item in items:
            if "harness" not in item.keywords:
                item.add_marker(pytest.mark.skip(reason=f"no program at {BINARY}: ./dev build"))


def pytest_terminal_summary(terminalreporter):
    """The corpus runner's lines (kept as report properties, so that they cross xdist)."""
    lines = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []):
                if name == "summary" and getattr(report, "when", "") == "teardown":
                    lines.append(value)
    corpus_lines(terminalreporter, lines)
    keep_matrix(terminalreporter)


def keep_matrix(reporter):
    """The cells of test_matrix.py that passed, for tools/matrix."""
    if os.environ.get("ANYROUTER_MATRIX"):
        cells = [v for r in reporter.stats.get("passed", []) for k, v in r.user_properties if k == "cell"]
        Path(os.environ["ANYROUTER_MATRIX"]).write_text(json.dumps(sorted(set(cells))))


def corpus_lines(reporter, lines):
    totals, notes = {}, []
    for line in lines:
        suite, kind, text = line.split("\t", 2)
        ok, all_ = totals.get(suite, (0, 0))
        totals[suite] = (ok + (kind == "ok"), all_ + 1) if kind in ("ok", "failed") else (ok, all_)
        if kind == "rule":
            notes.append((suite, text))
    for suite, text in sorted(set(notes)):
        reporter.write_line(f"{suite}: rule: {text}")
    for suite, (ok, all_) in sorted(totals.items()):
        reporter.write_line(f"{suite}: {ok} of {all_}")


@pytest.fixture(scope="session", autouse=True)
def canary():
    """At the end of the session no secret may have been seen in a log, an answer or a metric."""
    yield watch
    assert not watch.leaks, f"{len(watch.leaks)} leaks of a key:\n" + "\n".join(watch.leaks[:20])


@pytest.fixture
def upstream():
    with Upstream() as up:
        yield up
        assert not up.errors, f"the script of the upstream failed: {up.errors}"


@pytest.fixture
def upstreams():
    """Makes as many as wanted: upstreams(3)."""
    made = []

    def make(count=1):
        fresh = [Upstream(name=f"up{len(made) + i}") for i in range(count)]
        made.extend(fresh)
        return fresh

    yield make
    for up in made:
        up.stop()
        assert not up.errors, f"the script of {up.name} failed: {up.errors}"


@pytest.fixture
def gateway():
    """Starts gateways that are stopped, and checked for a clean end, after the test."""
    made = []

    def start(config=None, **how):
        from harness.stand import base
        if isinstance(config, dict):
            config = {**base(), **config}
        gate = Gateway(config, **how)
        made.append(gate)
        return gate.start()

    yield start
    for gate in made:
        gate.stop()


@pytest.fixture
def to_chat_only(gateway, upstream):
    """(gateway, upstream): the upstream speaks Chat alone, so that no Responses request is native."""
    upstream.handler = wire.both("chat", "first answer")
    return gateway({"upstreams": [place("openai-compatible", upstream, dialects=["chat"])]}), upstream


@pytest.fixture(scope="session")
def _stands():
    made = {}
    yield made
    for stand in made.values():
        stand.stop()


@pytest.fixture
def stand(_stands):
    """stand("anthropic"): a long-lived gateway in front of one scripted upstream of that provider.

    For tests in which nothing fails (a failure rests the key); options make a stand of their own.
    """
    def get(provider, **options):
        name = f"{provider} {sorted(options.items())}"
        if name not in _stands:
            _stands[name] = Stand(provider, **options)
        return _stands[name].fresh()

    return get


@pytest.fixture(scope="module")
def _lines():
    made = {}
    yield made
    for line in made.values():
        line.stop()


@pytest.fixture
def line(_lines):
    """line("anthropic"): a long-lived gateway in front of an upstream of that dialect, asked by clients of all dialects."""
    def get(upstream):
        if upstream not in _lines:
            _lines[upstream] = Line(upstream)
        return _lines[upstream].fresh()

    return get


@pytest.fixture
def to_anthropic(stand):
    return stand("anthropic")


@pytest.fixture
def to_chat(stand):
    return stand("openai")


@pytest.fixture
def secret():
    return key


@dataclass
class TlsFiles:
    cert: Path
    key: Path


def make_certificate(folder, name="localhost"):
    """A self-made certificate for localhost and 127.0.0.1."""
    made = TlsFiles(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", made.key, "-out", made.cert], check=True, capture_output=True)
    return made


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))
