"""Black-box harness: the gateway as a process, scripted upstreams, a raw client, strict readers."""

from . import wire
from .canary import key, watch
from .gateway import Gateway, free_port
from .http import Answer, Client, HttpError, request
from .sse import Event, SseError, parse_sse
from .upstream import Reply, Request, Upstream

__all__ = [
    "Answer", "Client", "Event", "Gateway", "HttpError", "Reply", "Request", "SseError",
    "Upstream", "free_port", "key", "parse_sse", "request", "watch", "wire",
]
