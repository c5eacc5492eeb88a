"""An HTTP/1.1 client on a bare socket: says exactly what it is told, reports exactly what came.

An answer knows whether it ended as its framing promised (`complete`), which is how the tests see
a truncated stream; no library would show it.
"""

import json
import socket
import ssl
import time
from dataclasses import dataclass, field

from .canary import watch
from .sse import parse_sse


class HttpError(AssertionError):
    """The other side did not speak HTTP."""


@dataclass
class Answer:
    status: int
    reason: str
    headers: list
    body: bytes = b""
    complete: bool = True
    failure: str = ""
    framing: str = ""
    informational: list = field(default_factory=list)
    arrivals: list = field(default_factory=list)

    def header(self, name, default=None):
        """The header's value; an error when it came twice."""
        got = [v for k, v in self.headers if k == name.lower()]
        assert len(got) <= 1, f"{name} came {len(got)} times: {got}"
        return got[0] if got else default

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def events(self):
        """Events of a stream, read strictly."""
        assert (self.header("content-type") or "").startswith("text/event-stream"), (
            self.status, self.headers, self.body[:500])
        return parse_sse(self.body)

    @property
    def error(self):
        return self.header("x-anyrouter-error")

    @property
    def warnings(self):
        got = self.header("x-anyrouter-warnings")
        return [w.strip() for w in got.split(",")] if got else []

    def __repr__(self):
        shown = {k: v for k, v in self.headers if k.startswith("x-any") or k == "content-type"}
        return f"<{self.status} {shown} {self.body[:600]!r} complete={self.complete} {self.failure}>"


class Client:
    """One connection."""

    def __init__(self, port, host="127.0.0.1", tls=None, timeout=20, rcvbuf=None):
        self.peer = f"{host}:{port}"
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(timeout)
        sock.connect((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname="localhost")
        self.sock = sock
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def reset(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def send_slowly(self, data, piece=1, pause=0.0):
        for at in range(0, len(data), piece):
            self.sock.sendall(data[at:at + piece])
            if pause:
                time.sleep(pause)
        return self

    def fill(self):
        """One read; False at the end."""
        try:
            got = self.sock.recv(262144)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return False
        self.buf += got
        return bool(got)

    def at_end(self, timeout=5):
        """True when the other side closes (or resets) without another byte."""
        self.sock.settimeout(timeout)
        if self.buf:
            return False
        try:
            return not self.sock.recv(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.fill():
                raise HttpError(f"end in the head: {self.buf!r}")
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def head(self):
        """Reads one head: Answer without body."""
        line = self.line().decode("latin-1")
        parts = line.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1."):
            raise HttpError(f"no status line: {line!r}")
        headers = []
        while True:
            raw = self.line().decode("latin-1")
            if raw == "":
                break
            name, colon, value = raw.partition(":")
            if not colon or name != name.strip():
                raise HttpError(f"no header: {raw!r}")
            headers.append((name.lower(), value.strip()))
        return Answer(int(parts[1]), parts[2] if len(parts) > 2 else "", headers)

    def answer(self, method="POST", keep_informational=True):
        """Reads one whole answer."""
        infos = []
        while True:
            got = self.head()
            if got.status >= 200 or got.status == 101:
                break
            infos.append(got)
        got.informational = infos
        self.body_of(got, method)
        see_answer(got)
        return got

    def body_of(self, got, method="POST"):
        """Reads the body that belongs to a head."""
        coding = [v.lower() for k, v in got.headers if k == "transfer-encoding"]
        length = [v for k, v in got.headers if k == "content-length"]
        if coding and length:
            raise HttpError("both content-length and transfer-encoding")
        if method == "HEAD" or got.status in (204, 304):
            got.framing = "none"
            return
        try:
            if coding:
                got.framing = "chunked"
                self._chunked(got)
            elif length:
                got.framing = "length"
                want = int(length[0])
                while len(self.buf) < want:
                    if not self.fill():
                        got.complete, got.failure = False, f"{len(self.buf)} of {want} bytes"
                        break
                got.body, self.buf = self.buf[:want], self.buf[want:]
            else:
                got.framing = "close"
                while self.fill():
                    pass
                got.body, self.buf = self.buf, b""
        except ConnectionError as err:
            got.body += b"" if got.framing == "chunked" else self.buf
            self.buf = b""
            got.complete, got.failure = False, repr(err)

    def _chunked(self, got):
        parts = []
        try:
            while True:
                while b"\r\n" not in self.buf:
                    if not self.fill():
                        got.complete, got.failure = False, "end between chunks"
                        return
                size, self.buf = self.buf.split(b"\r\n", 1)
                want = int(size.split(b";")[0], 16)
                while len(self.buf) < want + 2:
                    if not self.fill():
                        got.complete, got.failure = False, "end inside a chunk"
                        parts.append(self.buf[:want])
                        return
                if self.buf[want:want + 2] != b"\r\n":
                    raise HttpError("no CRLF after a chunk")
                if want:
                    parts.append(self.buf[:want])
                    got.arrivals.append((time.monotonic(), want))
                self.buf = self.buf[want + 2:]
                if not want:
                    return
        finally:
            got.body = b"".join(parts)

    def stream(self):
        """After head(): yields pieces of a chunked body as they come; returns at its end."""
        while True:
            while b"\r\n" not in self.buf:
                if not self.fill():
                    raise HttpError("end between chunks")
            size, self.buf = self.buf.split(b"\r\n", 1)
            want = int(size.split(b";")[0], 16)
            while len(self.buf) < want + 2:
                if not self.fill():
                    raise HttpError("end inside a chunk")
            piece, self.buf = self.buf[:want], self.buf[want + 2:]
            if not want:
                return
            watch.see("a stream's piece", piece)
            yield piece

    def ask(self, method, path, body=None, headers=None):
        """Sends one request and reads its answer; the connection stays open."""
        self.send(encode(method, path, body, headers, self.peer))
        return self.answer(method)


def see_answer(got):
    head = "\n".join(f"{k}: {v}" for k, v in got.headers)
    watch.see(f"head of a {got.status}", head)
    watch.see(f"body of a {got.status}", got.body)


def encode(method, path, body=None, headers=None, host="127.0.0.1"):
    """The bytes of a request. dict/list bodies become JSON; None values drop a default header."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    elif isinstance(body, str):
        body = body.encode()
    head = {"host": host}
    if body is not None:
        head["content-type"] = "application/json"
        head["content-length"] = str(len(body))
    for name, value in (headers or {}).items():
        head[name.lower()] = value
    lines = [f"{method} {path} HTTP/1.1"]
    for name, value in head.items():
        if value is None:
            continue
        for one in value if isinstance(value, (list, tuple)) else [value]:
            lines.append(f"{name}: {one}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def request(port, method, path, body=None, headers=None, tls=None, timeout=20, host="127.0.0.1"):
    """One request on a connection of its own."""
    with Client(port, host=host, tls=tls, timeout=timeout) as client:
        return client.ask(method, path, body, headers)
