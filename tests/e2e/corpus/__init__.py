"""The recorded exchanges of ../shared/corpus: read where they stand, never copied."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from harness import wire
from harness.gateway import ROOT

SHARED = Path(os.environ.get("ANYROUTER_SHARED") or ROOT.parent / "shared")
FOLDERS = {"openai.chat": "chat", "anthropic.messages": "anthropic"}


@dataclass
class Exchange:
    id: str
    dialect: str
    body: dict | None  # of the request
    headers: dict  # of the request
    status: int
    answer_headers: dict
    answer: object  # parsed JSON, or None
    sse: bytes | None
    stream: bool

    def request(self, model=None):
        """The body to send: recordings whose URL named the model get it in the body."""
        if model:
            return {**self.body, "model": model}
        return self.body if "model" in self.body else {"model": "model-of-the-url", **self.body}

    def answer_bytes(self):
        return self.sse if self.sse is not None else json.dumps(self.answer, ensure_ascii=False).encode()

    def play(self, request, reply):
        """A handler that answers as recorded."""
        headers = {k: v for k, v in self.answer_headers.items()
                   if k.lower() not in ("content-length", "transfer-encoding", "content-encoding", "connection")}
        kind = headers.pop("content-type", "application/json")
        if self.sse is not None:
            reply.sse(self.sse, self.status, {**headers, "content-type": kind})
        else:
            reply.body(self.answer_bytes(), self.status, kind, headers)

    def plain(self, dialect, stream=None):
        """A plain request of a dialect, streamed as the recording was."""
        stream = self.sse is not None if stream is None else stream
        body = wire.ask(dialect, "go on", model="asked-model", stream=stream)
        if dialect == "chat" and stream:
            body["stream_options"] = {"include_usage": True}
        return body


def load(folders=None):
    """All exchanges of the folders (the two first dialects); empty when the corpus is not there."""
    out = []
    for folder, dialect in (folders or FOLDERS).items():
        for file in sorted((SHARED / "corpus" / folder).glob("*.json")):
            raw = json.loads(file.read_text())
            answer = raw["response"]
            out.append(Exchange(
                raw["id"], dialect, raw["request"]["body"], raw["request"]["headers"] or {}, answer["status"],
                answer["headers"] or {}, answer.get("body"),
                answer["sse"].encode() if "sse" in answer else None, raw["stream"]))
    return out
