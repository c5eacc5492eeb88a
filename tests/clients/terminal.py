"""What the interactive agents share: a program under a pseudo terminal, keys typed, its screen read as text.

Usage of a script: CLIENTS_INST=DIR X-tui.py BASE_URL [KEY]. Exit code 0 when the expected text was shown.
"""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time

EXPECT = os.environ.get("EXPECT", "MOCK-FINAL-ANSWER-7319")
INST = os.environ["CLIENTS_INST"]
NOISE = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[()][AB0]|\x1b[=>78]")
# What a terminal answers when it is asked for its cursor, its kind and its colours.
ANSWERS = [(b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?62;c"), (b"]10;?", b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\"),
           (b"]11;?", b"\x1b]11;rgb:0000/0000/0000\x1b\\")]


class Terminal:
    def __init__(self, command, env):
        self.home, self.work = env["HOME"], env.pop("WORK")
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(self.work)
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 140, 0, 0))

    def pump(self, seconds, until=None):
        """Reads for that long, or until a text is shown."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.text):
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            self.seen += data
            for question, answer in ANSWERS:
                if question in data:
                    self.type(answer)

    def type(self, keys):
        try:
            os.write(self.fd, keys)
        except OSError:
            pass

    @property
    def text(self):
        return NOISE.sub(b"", self.seen).decode("utf8", "replace")

    def talk(self, start_s=6):
        """Types a prompt, waits for the answer, leaves; gives whether it was shown."""
        self.pump(start_s)
        self.type(b"say hi")
        self.pump(1)
        self.type(b"\r")
        self.pump(15, EXPECT)
        shown = EXPECT in self.text
        for _ in range(2):
            self.type(b"\x03")
            self.pump(0.4)
        try:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, os.WNOHANG)
        except (ProcessLookupError, ChildProcessError):
            pass
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)
        print(EXPECT if shown else f"not shown: {self.text[-1500:]}")
        sys.exit(0 if shown else 1)


def arguments():
    """(base URL, key, home, work)."""
    base = sys.argv[1].rstrip("/")
    key = sys.argv[2] if len(sys.argv) > 2 else "sk-test-not-a-secret"
    return base, key, tempfile.mkdtemp(prefix="agent-home-"), tempfile.mkdtemp(prefix="agent-work-")


def environment(home, work):
    node = os.path.dirname(shutil.which("node") or "/usr/bin/node")
    return {"PATH": f"{node}:/usr/local/bin:/usr/bin:/bin", "HOME": home, "WORK": work, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
