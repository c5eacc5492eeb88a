"""mock.mjs as a context manager, and where the clients and Node are."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def clients_dir():
    """The folder that install.sh fills."""
    return Path(os.environ.get("CLIENTS_INST") or ROOT / ".deps" / "npm")


def node_program():
    """The project's own Node (the set-up installs one where the system's is old), else the system's."""
    own = ROOT / ".deps/node/bin/node"
    found = str(own) if own.exists() else shutil.which("node")
    if not found:
        raise RuntimeError("no Node: ./dev setup test")
    return found


def call(method, url, body=None, headers=None, timeout=10):
    """One HTTP request; gives (status, headers, text) whatever the status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json", **(headers or {})})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read().decode()


class Mock:
    """mock.mjs; `tls` = (certificate, key) files makes it a CONNECT proxy to itself as well."""

    def __init__(self, dialects=None, scenario="text", tls=None, options=()):
        self.folder = Path(tempfile.mkdtemp(prefix="anyrouter-mock-"))
        command = [node_program(), str(HERE / "mock.mjs"), "--scen", scenario, *options]
        if dialects:
            command += ["--dialects", ",".join(dialects)]
        if tls:
            command += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
        with open(self.folder / "log", "wb") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        words = self.wait_for("listening ").split()
        self.port = int(words[1])
        self.tls_port = int(words[3]) if tls else None
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_for(self, word, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            log = (self.folder / "log").read_text(errors="replace")
            if word in log and log.endswith("\n"):
                return log
            if self.child.poll() is not None:
                raise RuntimeError(f"mock.mjs ended with {self.child.returncode}:\n{log}")
            time.sleep(0.02)
        raise RuntimeError(f"mock.mjs is not ready after {seconds} s")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def upstream(self, dialect, name="mock", **extra):
        """An entry of the gateway's `upstreams` that leads here."""
        row = {"chat": {"provider": "openai-compatible"}, "anthropic": {"provider": "anthropic-compatible"}, "gemini": {"provider": "gemini"},
               "responses": {"provider": "openai", "dialects": ["responses"]}}[dialect]
        return {"name": name, **row, "base_urls": [self.url], "models": ["*"], **extra}

    def control(self, method, path, body=None):
        status, _, text = call(method, self.url + "/__mock" + path, body)
        assert status == 200, text
        return json.loads(text)

    def requests(self):
        return self.control("GET", "/requests")

    def generations(self):
        return [r for r in self.requests() if r["path"].endswith(("/chat/completions", "/messages", "/responses", "enerateContent"))]

    def reset(self):
        self.control("DELETE", "/requests")

    def answer(self, *plans):
        """Plans for the next requests; a list is a plan's blocks."""
        self.control("POST", "/answers", [p if isinstance(p, dict) else {"blocks": p} for p in plans])

    def fail(self, kind, times=1, **extra):
        self.control("POST", "/fail", {"kind": kind, "times": times, **extra})
