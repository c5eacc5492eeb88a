"""The neutral form of requests and answers that the dialect files of this folder read into and write from.

A request (`ask`): system [text], turns [{role: [item]}], tools [name], choice, parallel, format, stop, max, think and so on.
An answer (`say`): items, stop, sequence, usage. Items are dicts with one of the keys text, image, document, audio, think,
redacted, call, result, refusal. Readers give Seen and Got, in which order and grouping that no reader sees is left out.
"""

import json
from dataclasses import dataclass, field

PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"
       "Jggg==")
PDF = "JVBERi0xLjQKMSAwIG9iago8PC9UeXBlL0NhdGFsb2c+PgplbmRvYmoKdHJhaWxlcjw8L1Jvb3QgMSAwIFI+PgolJUVPRgo="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
TOOLS = {
    "get_weather": {"description": "Says the weather", "schema": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
    "screenshot": {"description": "Looks at the screen", "schema": {"type": "object", "properties": {}}},
}
CUSTOM = {"name": "sketch", "description": "Draws what the text says"}  # a tool that takes text, not JSON
FORMAT = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
          "required": ["city", "people"], "additionalProperties": False}
USAGE = {"in": 100, "cached": 0, "written": 0, "out": 20, "reasoning": 0}


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pieces(text, size=7):
    """Text as the deltas of a stream."""
    return [text[i:i + size] for i in range(0, len(text), size)] or [""]


def usage_of(say):
    return {**USAGE, **say.get("usage", {})}


@dataclass
class Seen:
    """What an upstream was asked for."""

    system: list = field(default_factory=list)
    items: list = field(default_factory=list)  # (role, kind, ...) in order
    tools: list = field(default_factory=list)  # (name, description, schema)
    choice: object = None
    parallel: object = None
    format: object = None
    stop: list = field(default_factory=list)
    max: object = None
    think: bool = False
    opaque: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    search: bool = False
    n: int = 1
    user: object = None
    tier: object = None
    thoughts: list = field(default_factory=list)  # texts of thoughts in a history, where they mean nothing to the upstream


@dataclass
class Got:
    """What a client was told."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list = field(default_factory=list)  # (id, name, arguments)
    stop: str = ""
    sequence: object = None
    usage: dict = field(default_factory=dict)
    opaque: list = field(default_factory=list)
    model: str = ""


class StreamError(Exception):
    """The stream told its client of an error."""

    def __init__(self, message, so_far):
        super().__init__(message)
        self.message, self.so_far = message, so_far


def arguments(text):
    value = json.loads(text)
    assert isinstance(value, dict), text
    return value
