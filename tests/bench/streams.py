#!/usr/bin/env python3
"""Holds many concurrent streams through one worker and reports errors and memory.

    streams.py [--streams 2000] [--seconds 60] [--upstream chat|messages] [--translated] [--binary PROGRAM]

Every stream lasts for the whole time, a piece every 200 ms, and must come to its proper end. Memory is VmRSS of the
gateway: idle after the start, after a few requests, at the height, and after the end. Exit code 1 when a stream failed,
were not all open at once, or a limit was missed (30 KB a stream, 15 MB idle).
"""
import argparse
import os
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import rig as rigging  # noqa: E402
import shapes  # noqa: E402

TICK_US = 200000
STREAM_LIMIT_KIB = 30
IDLE_LIMIT_KIB = 15 * 1024


def connections_of(port):
    """Established connections whose local side is `port`, from the kernel's table."""
    wanted = f"0100007F:{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(f[1] == wanted and f[3] == "01" for f in (line.split() for line in lines))


def watch(pid, port, stop, samples):
    while not stop.wait(1.0):
        samples.append((rigging.rss_kib(pid), connections_of(port)))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--streams", type=int, default=2000)
    ap.add_argument("--seconds", type=int, default=60)
    ap.add_argument("--upstream", choices=["chat", "messages"], default="chat")
    ap.add_argument("--translated", action="store_true", help="the client speaks the other dialect")
    ap.add_argument("--nginx", action="store_true", help="measure nginx instead, for comparison")
    ap.add_argument("--binary", type=Path, default=Path(os.environ.get("ANYROUTER_BIN") or rigging.ROOT / "build/release/anyrouter"))
    a = ap.parse_args()
    hard = rigging.raise_descriptor_limit()
    if hard < 2 * a.streams + 200:
        rigging.fail(f"the hard limit of descriptors is {hard}, {2 * a.streams + 200} are needed")
    client = {"chat": "messages", "messages": "chat"}[a.upstream] if a.translated else a.upstream
    make = shapes.chat_small if client == "chat" else shapes.messages_small
    request = shapes.http_request(client, make(stream=True, n=200))
    marker = "data: [DONE]" if client == "chat" else '"message_stop"'
    ramp_s = 5
    pieces = int((a.seconds + ramp_s) * 1e6 / TICK_US)
    with rigging.Rig(TICK_US, pieces) as rig:
        child, port, pids = rig.nginx() if a.nginx else rig.gateway(a.binary, a.upstream)
        time.sleep(0.5)
        idle = rigging.rss_kib(pids[0])
        small = shapes.http_request(client, make(n=200))
        warm = rig.load(port, small, shapes.MARK, "--requests", 1000, "--connections", 16)
        if warm["bad"]:
            rigging.fail(f"warming up: {warm['why']}")
        before = rigging.rss_kib(pids[0])
        stop, samples = threading.Event(), []
        watcher = threading.Thread(target=watch, args=(pids[0], port, stop, samples))
        watcher.start()
        cpu = rigging.cpu_seconds(pids)
        got = rig.load(port, request, marker, "--connections", a.streams, "--hold", 1, "--ramp-us", int(ramp_s * 1e6 / a.streams),
                       "--min-body", pieces * 20)  # fmt: skip
        cpu = rigging.cpu_seconds(pids) - cpu
        stop.set()
        watcher.join()
        height, most = max(r for r, _ in samples), max(c for _, c in samples)
        after = rigging.rss_kib(pids[0])
    each = (height - before) / a.streams
    print(f"{got['good']} of {a.streams} streams complete, {got['bad']} failed {got['why']}")
    print(f"open at once: {most}; for {got['seconds']:.0f} s; CPU {cpu:.1f} s ({cpu / got['seconds'] * 100:.0f} % of one processor)")
    print(f"memory: idle {idle} KiB, before {before} KiB, at the height {height} KiB, after {after} KiB: {each:.1f} KiB a stream")
    faults = []
    if got["bad"] or got["good"] != a.streams:
        faults.append("streams failed")
    if most < a.streams:
        faults.append(f"only {most} were open at once")
    if not a.nginx and each > STREAM_LIMIT_KIB:
        faults.append(f"over {STREAM_LIMIT_KIB} KiB a stream")
    if not a.nginx and idle > IDLE_LIMIT_KIB:
        faults.append(f"idle over {IDLE_LIMIT_KIB} KiB")
    print("limits met" if not faults else "MISSED: " + ", ".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
