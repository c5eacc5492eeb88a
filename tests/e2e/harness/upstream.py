"""A scripted upstream: a bare-socket HTTP server whose answer to each request is a Python function.

handler(request, reply) runs in the connection's own thread and may send any bytes in any rhythm.
Requests are kept as they came (head bytes, header order, raw body). A handler with the attribute
`early = True` is called as soon as the head is read.
"""

import json
import queue
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Request:
    method: str
    path: str
    headers: list
    head: bytes
    body: bytes = b""
    connection: int = 0
    turn: int = 0
    at: float = 0.0
    note: dict = field(default_factory=dict)

    def header(self, name, default=None):
        got = [v for k, v in self.headers if k == name.lower()]
        assert len(got) <= 1, f"{name} came {len(got)} times"
        return got[0] if got else default

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def key(self):
        """The secret it came with, in whichever header."""
        bearer = self.header("authorization")
        return self.header("x-api-key") or self.header("api-key") or (
            bearer.removeprefix("Bearer ") if bearer else None)


class Gone(Exception):
    """The gateway closed the connection."""


class Reply:
    """What a handler answers with."""

    def __init__(self, sock, request):
        self.sock = sock
        self.request = request
        self.keep = True
        self.chunked = False
        self.started = False

    def send(self, data, pause=0.0):
        try:
            self.sock.sendall(data)
        except OSError as err:
            raise Gone(str(err)) from err
        if pause:
            time.sleep(pause)
        return self

    def split(self, data, piece=1, pause=0.0):
        """Sends data in pieces, each a packet of its own."""
        for at in range(0, len(data), piece):
            self.send(data[at:at + piece], pause)
        return self

    def head(self, status=200, headers=None, reason="X"):
        lines = [f"HTTP/1.1 {status} {reason}"]
        for name, value in (headers or {}).items():
            lines += [f"{name}: {v}" for v in (value if isinstance(value, list) else [value])]
        self.started = True
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def body(self, data, status=200, type="application/json", headers=None, how="length"):
        """A whole answer: how is length, chunked or close."""
        if isinstance(data, (dict, list)):
            data = json.dumps(data, ensure_ascii=False).encode()
        head = {"content-type": type, **(headers or {})}
        if type is None:
            head.pop("content-type")
        if how == "length":
            head["content-length"] = str(len(data))
            self.head(status, head).send(data)
        elif how == "chunked":
            self.open_chunks(status, head)
            self.chunk(data).finish()
        else:
            head["connection"] = "close"
            self.head(status, head).send(data)
            self.close()
        return self

    json = body

    def open_chunks(self, status=200, headers=None):
        self.chunked = True
        return self.head(status, {**(headers or {}), "transfer-encoding": "chunked"})

    def chunk(self, data, pause=0.0):
        if isinstance(data, str):
            data = data.encode()
        if data:
            self.send(b"%x\r\n%s\r\n" % (len(data), data), pause)
        return self

    def finish(self):
        return self.send(b"0\r\n\r\n")

    def sse(self, frames, status=200, headers=None, pause=0.0, how="chunked", finish=True):
        """A stream: frames is bytes or a list of them."""
        frames = [frames] if isinstance(frames, (bytes, str)) else frames
        head = {"content-type": "text/event-stream; charset=utf-8", **(headers or {})}
        if how == "chunked":
            self.open_chunks(status, head)
        else:
            self.keep = False
            self.head(status, {**head, "connection": "close"})
        for frame in frames:
            frame = frame.encode() if isinstance(frame, str) else frame
            if how == "chunked":
                self.chunk(frame, pause)
            else:
                self.send(frame, pause)
        if how == "chunked" and finish:
            self.finish()
        elif how == "close" and finish:
            self.close()
        return self

    def close(self):
        """Closes without another word."""
        self.keep = False
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        return self

    def reset(self):
        """Closes with RST."""
        self.keep = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        return self

    def wait_gone(self, timeout):
        """Seconds until the gateway closed the connection, or None."""
        start = time.monotonic()
        while time.monotonic() - start < timeout:
            ready, _, _ = select.select([self.sock], [], [], 0.02)
            if ready:
                try:
                    if not self.sock.recv(65536):
                        return time.monotonic() - start
                except OSError:
                    return time.monotonic() - start
        return None


class Upstream:
    """The server. `handler` may be changed at any time; `queue` answers go first, one a request."""

    def __init__(self, handler=None, tls=None, name="up", backlog=512):
        self.handler = handler or (lambda request, reply: reply.body({"error": "no script"}, 500))
        self.name = name
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.errors = []
        self.arrived = queue.Queue()
        self.lock = threading.Lock()
        self.open = set()
        self.stopping = False
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def last(self):
        return self.requests[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def script(self, *handlers):
        """Answers in turn; the last one stays. Forgets earlier requests."""
        rest = list(handlers)
        lock = threading.Lock()

        def run(request, reply):
            with lock:
                one = rest.pop(0) if len(rest) > 1 else rest[0]
            one(request, reply)

        self.handler = run
        self.clear()
        return self

    def clear(self):
        with self.lock:
            self.requests.clear()
            self.errors.clear()
        return self

    def stop(self):
        self.stopping = True
        # a blocked accept() keeps the socket listening after close(): wake it first
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for sock in list(self.open):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if self.stopping:
                sock.close()
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock, number):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
        except OSError as err:
            self.errors.append(f"tls: {err}")
            return
        with self.lock:
            self.open.add(sock)
        turn = 0
        buf = b""
        try:
            while True:
                got, buf = self._read_head(sock, buf)
                if got is None:
                    return
                turn += 1
                got.connection, got.turn, got.at = number, turn, time.monotonic()
                reply = Reply(sock, got)
                handler = self.handler
                if not getattr(handler, "early", False):
                    got.body, buf = self._read_body(sock, got, buf)
                with self.lock:
                    self.requests.append(got)
                self.arrived.put(got)
                try:
                    handler(got, reply)
                except Gone:
                    return
                if not reply.keep:
                    return
        except OSError:
            pass
        except Exception as err:  # a fault of the script itself: shown by the test's teardown
            self.errors.append(repr(err))
            raise
        finally:
            with self.lock:
                self.open.discard(sock)
            try:
                sock.close()
            except OSError:
                pass

    @staticmethod
    def _read_head(sock, buf):
        while b"\r\n\r\n" not in buf:
            piece = sock.recv(65536)
            if not piece:
                return None, b""
            buf += piece
        head, buf = buf.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        return Request(method, path, headers, head), buf

    @staticmethod
    def _read_body(sock, got, buf):
        def more():
            piece = sock.recv(262144)
            if not piece:
                raise OSError("end inside a request body")
            return piece

        if (got.header("transfer-encoding") or "").lower() == "chunked":
            out = b""
            while True:
                while b"\r\n" not in buf:
                    buf += more()
                size, buf = buf.split(b"\r\n", 1)
                want = int(size, 16)
                while len(buf) < want + 2:
                    buf += more()
                out += buf[:want]
                buf = buf[want + 2:]
                if not want:
                    return out, buf
        want = int(got.header("content-length") or 0)
        parts, have = [buf], len(buf)
        while have < want:
            piece = more()
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        return whole[:want], whole[want:]

    def wait(self, count=1, timeout=10):
        """Waits until that many requests came."""
        end = time.monotonic() + timeout
        while len(self.requests) < count:
            assert time.monotonic() < end, f"{self.name}: {len(self.requests)} of {count} requests"
            time.sleep(0.005)
        return self.requests[count - 1]
