"""A strict reader of server-sent events: it takes only what PROTOCOLS 0.5 lets the gateway write.

One event is comments, an optional `event:` line, `data:` lines, a blank line. CR, unknown fields,
a missing space after the colon and an unfinished last event are errors.
"""

import json
from dataclasses import dataclass, field


class SseError(AssertionError):
    """The bytes are no stream that the gateway may write."""


@dataclass
class Event:
    event: str | None
    data: str | None
    comments: list = field(default_factory=list)

    @property
    def json(self):
        return json.loads(self.data)


def parse_sse(raw, complete=True):
    """Events of a whole stream. With complete=False an unfinished last event is left out."""
    text = raw.decode("utf-8")
    if "\r" in text:
        raise SseError("a CR in the stream")
    events = []
    *frames, rest = text.split("\n\n")
    if rest and complete:
        raise SseError(f"the stream ends inside an event: {rest[-200:]!r}")
    for frame in frames:
        if not frame:
            raise SseError("an empty event")
        events.append(_frame(frame))
    return events


def _frame(frame):
    name, data, comments = None, [], []
    for line in frame.split("\n"):
        if line.startswith(":"):
            comments.append(line[1:].strip())
        elif line.startswith("event: "):
            if name is not None:
                raise SseError(f"two event lines: {frame!r}")
            name = line[7:]
        elif line.startswith("data: "):
            data.append(line[6:])
        else:
            raise SseError(f"neither event nor data nor comment: {line!r}")
    if len(data) > 1:
        raise SseError(f"several data lines: {frame!r}")
    if name is not None and not data:
        raise SseError(f"an event without data: {frame!r}")
    return Event(name, data[0] if data else None, comments)


def loose_sse(raw):
    """Events of anybody's stream, by the standard: any line end, any spacing, unfinished end kept."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    events, name, data = [], None, []
    for line in text.split("\n") + [""]:
        if line == "":
            if data:
                events.append(Event(name, "\n".join(data)))
            name, data = None, []
        elif line.startswith(":"):
            continue
        else:
            field_name, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field_name == "event":
                name = value
            elif field_name == "data":
                data.append(value)
    return events
