"""The program under test as a process: configuration in, port out, log kept, clean end checked."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import yaml

from .canary import watch
from .http import Client, request

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("ANYROUTER_BIN") or ROOT / "build/release/anyrouter")
SANITIZER = re.compile(
    r"AddressSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:")
FOREIGN = re.compile(
    r"_API_KEYS?$|^ANYROUTER_(?!BIN$)|_PROXY$|_proxy$|^(PORT|HOST|OPENAI_PROXY_PORT|HTTP_TIMEOUT|"
    r"DEFAULT_MAX_TOKENS|FORCE_NON_STREAM|ADMIN_PASSWORD|SERVER_HOST|SERVER_PORT)$")
SLOW = float(os.environ.get("ANYROUTER_TEST_SLOW", "1"))  # sanitizer builds: times to wait


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def clean_env(extra=None):
    env = {k: v for k, v in os.environ.items() if not FOREIGN.search(k)}
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("TSAN_OPTIONS", "exitcode=98:halt_on_error=0")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.update(extra or {})
    return env


class Gateway:
    """Starts in start() (or on entering a with block), must end cleanly in stop()."""

    def __init__(self, config=None, env=None, args=(), port=None, listen=True, tls=None):
        self.dir = Path(tempfile.mkdtemp(prefix="anyrouter-e2e-"))
        self.file = self.dir / "anyrouter.yaml" if config is not None else None
        if config is not None:
            self.write(config)
        self.port = port or free_port()
        self.env, self.args, self.listen, self.tls = env, list(args), listen, tls
        self.process = None
        self.lines = []
        self.checked = False

    def write(self, config):
        """(Re)writes the configuration: a dict, or text as it is."""
        text = config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False)
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def log(self):
        return "".join(self.lines)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)

    def command(self):
        out = [str(BINARY), "serve"]
        if self.file:
            out += ["--config", str(self.file)]
        if self.listen:
            out += ["--listen", f"127.0.0.1:{self.port}"]
        return out + ["--data-dir", str(self.dir / "data"), *self.args]

    def spawn(self):
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env=clean_env(self.env), cwd=self.dir, text=True, errors="replace")
        threading.Thread(target=self._collect, args=(self.process.stderr,), daemon=True).start()

    def _collect(self, pipe):
        for line in pipe:
            self.lines.append(line)
        pipe.close()

    def start(self, timeout=10 * SLOW):
        try:
            return self.started(timeout)
        except AssertionError:
            self.stop(check=False)  # leaves no process and no folder
            raise

    def started(self, timeout):
        self.spawn()
        end = time.monotonic() + timeout
        while True:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            try:
                if request(self.port, "GET", "/health", tls=self.tls, timeout=2).status == 200:
                    return self
            except (OSError, AssertionError):
                pass
            assert time.monotonic() < end, f"no /health within {timeout} s:\n{self.log}"
            time.sleep(0.01)

    def signal(self, what):
        self.process.send_signal(what)

    def wait(self, timeout=15 * SLOW):
        """The exit code."""
        return self.process.wait(timeout)

    def stop(self, check=True, timeout=10 * SLOW):
        """SIGTERM; an unclean end or a sanitizer's word fails the test."""
        if self.process is None:
            return
        code = self.process.poll()
        if code is None:
            if check:
                try:
                    watch.see("/metrics", request(self.port, "GET", "/metrics", tls=self.tls).body)
                except (OSError, AssertionError):
                    pass
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                code = "no end after SIGTERM"
        time.sleep(0.01)
        watch.see("the log", self.log)
        found = SANITIZER.search(self.log)
        shutil.rmtree(self.dir, ignore_errors=True)
        if found:
            at = self.log[max(0, found.start() - 200):found.start() + 6000]
            raise AssertionError(f"a sanitizer reported:\n{at}")
        if check and not self.checked:
            assert code == 0, f"exit code {code}:\n{self.log[-4000:]}"

    def wait_log(self, pattern, timeout=5 * SLOW):
        """Waits for a line of the log."""
        end = time.monotonic() + timeout
        while not re.search(pattern, self.log):
            assert time.monotonic() < end, f"no {pattern!r} in the log:\n{self.log[-3000:]}"
            time.sleep(0.01)

    # --- asking it

    def client(self, **how):
        return Client(self.port, tls=self.tls, **how)

    def ask(self, method, path, body=None, headers=None, **how):
        return request(self.port, method, path, body, headers, tls=self.tls, **how)

    def get(self, path, headers=None, **how):
        return self.ask("GET", path, None, headers, **how)

    def chat(self, body, headers=None, path="/v1/chat/completions", **how):
        return self.ask("POST", path, body, headers, **how)

    def messages(self, body, headers=None, path="/v1/messages", **how):
        head = {"anthropic-version": "2023-06-01", **(headers or {})}
        return self.ask("POST", path, body, head, **how)

    def post(self, dialect, body, headers=None, **how):
        return (self.chat if dialect == "chat" else self.messages)(body, headers, **how)
