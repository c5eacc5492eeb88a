"""What the scripted clouds need: keys, a token endpoint, checks of signatures, AWS's stream framing.

Written from the vendors' pages, apart from the program: its own idea of these must not prove itself.
"""

import base64
import binascii
import hashlib
import hmac
import json
import struct
import subprocess
import tempfile
import urllib.parse
from functools import lru_cache
from pathlib import Path

from harness import key


# --- Google: service accounts and their tokens

@lru_cache
def rsa():
    """A private key in PEM form and the path of its public half, one a session."""
    folder = Path(tempfile.mkdtemp(prefix="anyrouter-e2e-rsa-"))
    run = lambda *args: subprocess.run(["openssl", *args], check=True, capture_output=True)  # noqa: E731
    run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", folder / "key")
    run("pkey", "-in", folder / "key", "-pubout", "-out", folder / "public")
    return (folder / "key").read_text(), folder / "public"


def service_account(token_uri, project="proj-1", email="svc@proj-1.iam.gserviceaccount.com"):
    return {"type": "service_account", "project_id": project, "private_key_id": "kid-1", "private_key": rsa()[0],
            "client_email": email, "client_id": "1", "token_uri": token_uri}


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check_assertion(form):
    """The claims of the JWT in a token request, whose signature must be good."""
    fields = urllib.parse.parse_qs(form.decode(), strict_parsing=True)
    assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = fields["assertion"][0].split(".")
    assert json.loads(unbase64url(head)) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    with tempfile.NamedTemporaryFile() as file:
        file.write(unbase64url(signature))
        file.flush()
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", rsa()[1], "-signature", file.name],
                              input=f"{head}.{claims}".encode(), capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(unbase64url(claims))


class TokenEndpoint:
    """A handler that hands out tokens, each with the canary in it, and keeps the claims it saw."""

    def __init__(self, lives=3600, pause=None):
        self.lives, self.pause = lives, pause
        self.claims, self.tokens = [], []

    def __call__(self, request, reply):
        assert request.method == "POST" and request.path == "/token", (request.method, request.path)
        assert request.header("content-type") == "application/x-www-form-urlencoded"
        self.claims.append(check_assertion(request.body))
        if self.pause:
            self.pause()
        self.tokens.append("ya29." + key("token"))
        reply.body({"access_token": self.tokens[-1], "expires_in": self.lives, "token_type": "Bearer"})


# --- AWS: signatures

def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def check_sigv4(request, id, secret, region, service="bedrock"):
    """The request must be signed by the secret, over these headers at least and its very body."""
    scheme, _, rest = request.header("authorization").partition(" ")
    assert scheme == "AWS4-HMAC-SHA256"
    parts = dict(p.strip().split("=", 1) for p in rest.split(","))
    date = request.header("x-amz-date")
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    assert parts["Credential"] == f"{id}/{scope}"
    names = parts["SignedHeaders"].split(";")
    assert names == sorted(names) and {"host", "x-amz-date"} <= set(names)
    path, _, query = request.path.partition("?")
    canonical = "\n".join([
        request.method, "/".join(quote(s) for s in path.split("/")), query,
        *[f"{n}:{request.header(n).strip()}" for n in names], "", ";".join(names),
        hashlib.sha256(request.body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    sign = ("AWS4" + secret).encode()
    for step in (date[:8], region, service, "aws4_request"):
        sign = hmac.new(sign, step.encode(), hashlib.sha256).digest()
    assert parts["Signature"] == hmac.new(sign, text.encode(), hashlib.sha256).hexdigest()


# --- AWS: event streams

def message(headers, payload):
    block = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode()
                     for k, v in headers.items())
    start = struct.pack(">II", 12 + len(block) + len(payload) + 4, len(block))
    start += struct.pack(">I", binascii.crc32(start))
    return start + block + payload + struct.pack(">I", binascii.crc32(start + block + payload))


def chunk(event):
    """One event (an object) as Bedrock streams it."""
    inner = json.dumps(event, ensure_ascii=False).encode()
    payload = json.dumps({"bytes": base64.b64encode(inner).decode(), "p": "abcdef"}).encode()
    return message({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(kind, text):
    return message({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"},
                   json.dumps({"message": text}).encode())


def chunks(frames):
    """Frames of an Anthropic stream (wire.claude_stream) in that framing."""
    return [chunk(json.loads(frame.split("data: ", 1)[1])) for frame in frames]
