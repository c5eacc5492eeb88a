"""What tests in front of a real server share: the server with each model, and gateways that speak each of its dialects to it."""

import sys
from pathlib import Path

import pytest

from harness import Gateway, key

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "upstream"))
from llama import REPLY, THOUGHT, Llama  # noqa: E402, F401

SECRET = key("llama")


def config(url, dialect, **more):
    place = {"name": "llama", "provider": "llama.cpp", "dialects": [dialect], "base_urls": [url], "keys": [SECRET], **more}
    return {"workers": 1, "upstreams": [place]}


@pytest.fixture(scope="module")
def servers():
    made = {name: Llama(name, ["--api-key", SECRET]) for name in ("tiny-chat", "tiny-think")}
    yield made
    for server in made.values():
        server.stop()


@pytest.fixture(scope="module")
def gates(servers):
    """gates("chat", "tiny-think"): the gateway that speaks that dialect to that server."""
    made = {}

    def get(upstream, model="tiny-chat"):
        if (upstream, model) not in made:
            made[upstream, model] = Gateway(config(servers[model].url, upstream)).start()
        return made[upstream, model]

    get.servers = servers
    yield get
    for gate in made.values():
        gate.stop()
