"""Which addresses media are fetched from when private ones are closed (fetch_private: false).

Loopback cannot play a public host, so this runs in a network of its own (Linux namespaces), where the
machine also owns 11.0.0.1 and /etc/hosts knows a few names: the test starts this file there as a program.
"""

import http.server
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

PUBLIC = "11.0.0.1"
HOSTS = f"127.0.0.1 localhost\n{PUBLIC} public.test\n127.0.0.1 private.test\n127.0.0.1 both.test\n{PUBLIC} both.test\n"
NAMESPACE = ["unshare", "--map-root-user", "--net", "--mount"]
SET_UP = f'ip link set lo up && ip addr add {PUBLIC}/32 dev lo && mount --bind "$1" /etc/hosts && shift && exec "$@"'


@pytest.mark.p("P-036")
def test_only_public_addresses_are_connected_to(tmp_path):
    if not shutil.which("unshare") or not shutil.which("ip") or subprocess.run(
            [*NAMESPACE, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs namespaces: unshare and ip, and leave to use them")
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    ran = subprocess.run([*NAMESPACE, "sh", "-c", SET_UP, "sh", hosts, sys.executable, __file__],
                         capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and "all seen" in ran.stdout, ran.stdout + ran.stderr


class Media(http.server.ThreadingHTTPServer):
    """On every address. /to?URL redirects there; all else is a picture. seen: (own address, path)."""

    daemon_threads = True

    def __init__(self, picture):
        self.picture, self.seen = picture, []
        super().__init__(("0.0.0.0", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.connection.getsockname()[0], self.path))
        path, _, to = self.path.partition("?")
        self.send_response(302 if path == "/to" else 200)
        if path == "/to":
            self.send_header("location", to)
        self.send_header("content-type", "image/png")
        self.end_headers()
        if path != "/to":
            self.wfile.write(self.server.picture)

    def log_message(self, *_):
        pass


def inside():
    import base64

    from harness import wire
    from harness.stand import Stand

    media = Media(base64.b64decode(wire.PNG))
    port, stand = media.server_address[1], Stand("anthropic")

    def body(url):
        part = {"type": "image_url", "image_url": {"url": url.format(port=port)}}
        return {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": [part]}]}

    try:
        for url in (f"http://{PUBLIC}:{{port}}/a", "http://public.test:{port}/a", "http://both.test:{port}/a",
                    f"http://{PUBLIC}:{{port}}/to?http://public.test:{{port}}/b"):
            media.seen.clear()
            sent, _ = stand.carry(body(url))
            assert sent["messages"][0]["content"][0]["source"]["data"] == wire.PNG, url
            assert media.seen and all(address == PUBLIC for address, _ in media.seen), (url, media.seen)
        for private in ("http://127.0.0.1:{port}/c", "http://private.test:{port}/c", "http://localhost:{port}/c",
                        "//private.test:{port}/c", "http://[::ffff:127.0.0.1]:{port}/c", "http://127.1:{port}/c"):
            media.seen.clear()
            if private.startswith("http"):
                got = stand.refuse(body(private))
                assert "not public" in got.json["error"]["message"] and not media.seen, (private, media.seen)
            got = stand.refuse(body(f"http://public.test:{{port}}/to?{private}"))
            assert "not public" in got.json["error"]["message"], (private, got)
            assert [address for address, _ in media.seen] == [PUBLIC], (private, media.seen)
    finally:
        stand.stop()
    print("all seen")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    inside()
