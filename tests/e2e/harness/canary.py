"""Every secret of the suite carries one string that nothing of the gateway's may ever show.

key() makes a secret. watch.see() is called with every byte string that left the gateway towards a
client or a log; what scripted upstreams receive is not looked at, because keys belong there.
"""

import itertools
import threading

CANARY = "cAnArY7f3a9e51"
_count = itertools.count(1)


def key(name="k"):
    """A fresh secret that carries the canary."""
    return f"sk-{name}-{CANARY}-{next(_count):04d}"


class Watch:
    """Collects the places where the canary was seen."""

    def __init__(self):
        self.lock = threading.Lock()
        self.leaks = []
        self.seen = 0
        self.bytes = 0

    def see(self, where, data):
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
        needle = CANARY.encode()
        with self.lock:
            self.seen += 1
            self.bytes += len(data)
            at = data.find(needle)
            if at >= 0:
                around = data[max(0, at - 80):at + 40].decode("utf-8", "replace")
                self.leaks.append(f"{where}: …{around}…")


watch = Watch()
