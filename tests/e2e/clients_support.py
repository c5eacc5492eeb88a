"""What tests with real clients share: mock.mjs behind a gateway that is set up by environment variables alone.

The upstream of the Messages dialect is named by ANYROUTER_BASE_URL. The OpenAI one is the built-in provider `openai` at its
real address: the mock plays the CONNECT proxy and api.openai.com behind it, with a certificate that SSL_CERT_FILE vouches for.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness import Gateway, key

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
from mockserver import Mock  # noqa: E402

FINAL = "MOCK-FINAL-ANSWER-7319"
SIGNATURE = "c2lnLW1vY2stNzMxOQ=="
MODELS = {"anthropic": "claude-sonnet-4-5", "chat": "gpt-4.1"}
THINKERS = {"anthropic": "claude-sonnet-4-5", "chat": "gpt-5.1"}  # models that reason


def make_certificate(folder, names):
    cert, secret = folder / "vendor.pem", folder / "vendor.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join("DNS:" + n for n in names),
         "-keyout", secret, "-out", cert], check=True, capture_output=True)
    return cert, secret


@dataclass
class Side:
    """A mock of one dialect with the gateway in front of it."""

    dialect: str
    mock: Mock
    gate: Gateway
    secret: str  # what the client gives as its key

    @property
    def model(self):
        return MODELS[self.dialect]

    @property
    def thinker(self):
        return THINKERS[self.dialect]

    @property
    def url(self):
        return self.gate.url

    def last(self, count=1):
        """Bodies of the last generation requests that the upstream got."""
        seen = self.mock.generations()
        assert len(seen) >= count, seen
        bodies = [r["body"] for r in seen[-count:]]
        return bodies[0] if count == 1 else bodies

    def fresh(self, scenario="text"):
        self.mock.reset()
        self.mock.control("POST", "/scenario", {"scenario": scenario})
        return self

    def stop(self):
        try:
            self.gate.stop()
        finally:
            self.mock.stop()


def start_side(dialect, folder, more=None):
    """A gateway with environment variables (and `more`) and no file, and the upstream that they lead to."""
    if dialect == "anthropic":
        mock = Mock(dialects=["anthropic"])
        env = {"ANYROUTER_BASE_URL": mock.url}
        secret = key("caller")
    else:
        pair = make_certificate(folder, ["api.openai.com"])
        mock = Mock(dialects=["chat"], tls=pair)
        env = {"OPENAI_API_KEY": key("openai"), "HTTPS_PROXY": mock.url, "SSL_CERT_FILE": str(pair[0]),
               "ANYROUTER_ENABLED": "false"}
        secret = "not-needed"
    try:
        return Side(dialect, mock, Gateway(None, env={**env, **(more or {})}).start(), secret)
    except BaseException:
        mock.stop()
        raise
