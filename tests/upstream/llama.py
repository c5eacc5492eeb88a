"""A real upstream: llama-server with the tiny model, made ready on first use under .deps/llama.

Whatever is missing and cannot be got ends the test with an error; it is never a reason to skip.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = Path(os.environ.get("LLAMA_DIR") or ROOT / ".deps" / "llama")
REPLY = "Hello! I am a tiny test model."
THOUGHT = "Let us see, one moment"
MODELS = {"tiny-chat": [], "tiny-think": ["--think", THOUGHT], "tiny-agent": ["--ctx", "131072"]}


def ensure():
    """Gets the server (once) and makes the models; safe to call from several processes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = FOLDER / "llama-server"
        if not server.exists() or subprocess.run([server, "--version"], capture_output=True, check=False).returncode:
            done = subprocess.run(["bash", str(HERE / "get_llama_server.sh"), str(FOLDER)], capture_output=True, text=True, check=False)
            if done.returncode or not server.exists():
                raise RuntimeError(f"get_llama_server.sh failed ({done.returncode}):\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}")
        maker = HERE / "make_tiny_gguf.py"
        for name, options in MODELS.items():
            file = FOLDER / f"{name}.gguf"
            if not file.exists() or file.stat().st_mtime < maker.stat().st_mtime:
                subprocess.run([sys.executable, str(maker), *options, str(file)], check=True, capture_output=True)
    return server


class Llama:
    """One running llama-server."""

    def __init__(self, model="tiny-chat", options=()):
        server = ensure()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="anyrouter-llama-"))
        command = [server, "-m", FOLDER / f"{model}.gguf", "--host", "127.0.0.1", "--port", self.port, "--alias", model,
                   "--offline", "--no-ui", "-n", 1024, "-np", 4, "-c", 32768, "--slots", *options]
        with open(self.folder / "log", "wb") as out:
            self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while True:
            try:
                if self.call("GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                log = (self.folder / "log").read_text(errors="replace")[-3000:]
                self.stop()
                raise RuntimeError(f"llama-server is not there:\n{log}")
            time.sleep(0.02)

    def call(self, method, path, body=None, headers=None):
        """Asks it directly; gives (status, decoded JSON)."""
        data = None if body is None else json.dumps(body).encode()
        head = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=head)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())

    def busy_slots(self, headers=None):
        return sum(s["is_processing"] for s in self.call("GET", "/slots", headers=headers)[1])

    def kill(self):
        """As a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
