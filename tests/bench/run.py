#!/usr/bin/env python3
"""CPU time a request costs in the gateway's process, against nginx proxy_pass: same mock, one worker each, keep-alive.

    run.py [--pairs 5] [--scale 1.0] [--only NAME] [--pairs-table] [--out build/bench.md] [--nginx-only] [--binary PROGRAM]

Each pair is one run of nginx and one of the gateway, in alternating order; a figure is the median of the pairs, a ratio the
median of the pairs' ratios. Before a scenario is measured, one answer of each side is read in full and compared.
Exit code 1 when a limit is missed (--no-limits: never).
"""
import argparse
import http.client
import json
import os
import platform
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import rig as rigging  # noqa: E402
import shapes  # noqa: E402


DIALECTS = ["chat", "responses", "messages", "gemini"]
TITLES = {"chat": "Chat", "responses": "Responses", "messages": "Messages", "gemini": "Gemini"}
EVENTS = 50  # in a stream
EVENT_LIMIT_US = 1.0  # what an event of the dearest translated pair may cost more than one of the cheapest pair
LAST = {"chat": "data: [DONE]", "messages": '"message_stop"', "responses": '"type":"response.completed"', "gemini": '"finishReason":'}


@dataclass
class Scenario:
    name: str
    title: str
    client: str  # the client's dialect
    upstream: str  # the upstream's
    body: dict
    requests: int
    limit: float | None  # of gateway CPU over nginx CPU; None: told, not judged
    goal: float | None = None  # better than the limit
    tls: bool = False
    streamed: bool = False

    @property
    def marker(self):
        return shapes.MARK if not self.streamed else LAST[self.client]

    @property
    def min_body(self):
        return 5000 if self.streamed else 1700

    def request(self):
        return shapes.http_request(self.client, self.body, self.streamed)


def scenarios():
    agent = shapes.agent_messages()
    return [
        Scenario("native-2k", "native, 2 KB", "chat", "chat", shapes.chat_small(), 100000, 1.0),
        Scenario("translated-2k", "Messages to Chat, 2 KB", "messages", "chat", shapes.messages_small(), 100000, 1.5),
        Scenario("native-stream", "native, stream of 50", "chat", "chat", shapes.chat_small(stream=True), 4000, 1.0, streamed=True),
        Scenario("translated-stream", "Messages to Chat, stream of 50", "messages", "chat", shapes.messages_small(stream=True), 4000, 1.3, streamed=True),
        Scenario("native-193k", "native, 193 KB", "messages", "messages", agent, 10000, None),
        Scenario("translated-193k", "Messages to Chat, 193 KB", "messages", "chat", agent, 10000, 4.0, goal=2.0),
        Scenario("native-tls", "native, 2 KB, TLS upstream", "chat", "chat", shapes.chat_small(), 60000, None, tls=True),
    ]


def pairs():
    """All sixteen, client first: 2 KB and a stream of 50."""
    made = []
    for client in DIALECTS:
        for upstream in DIALECTS:
            name, title = f"{client}-to-{upstream}", f"{TITLES[client]} to {TITLES[upstream]}"
            small = shapes.SMALL[client]
            made.append(Scenario(f"{name}-2k", f"{title}, 2 KB", client, upstream, small(), 50000, 1.6))
            made.append(Scenario(f"{name}-stream", f"{title}, stream", client, upstream, small(stream=True), 4000, None, streamed=True))
    return made


def texts_of(client, value):
    """Text in a whole answer."""
    if client == "chat":
        return [value["choices"][0]["message"]["content"]]
    if client == "messages":
        return [b["text"] for b in value["content"] if b["type"] == "text"]
    if client == "responses":
        return [p["text"] for i in value["output"] if i["type"] == "message" for p in i["content"]]
    return [p["text"] for p in value["candidates"][0]["content"]["parts"]]


def deltas_of(client, event):
    """Text in an event of a stream."""
    if client == "chat":
        return [c["delta"].get("content") or "" for c in event["choices"]]
    if client == "messages":
        return [event["delta"].get("text", "")] if event["type"] == "content_block_delta" else []
    if client == "responses":
        return [event["delta"]] if event["type"] == "response.output_text.delta" else []
    return [p.get("text", "") for c in event.get("candidates", []) for p in c.get("content", {}).get("parts", [])]


def text_of(scenario, body):
    """The answer's text, from a whole or streamed answer in the client's dialect; raises when it is not complete."""
    if not scenario.streamed:
        return "".join(texts_of(scenario.client, json.loads(body)))
    text = ""
    for part in body.decode().replace("\r\n", "\n").split("\n\n"):
        data = "".join(line[6:] for line in part.split("\n") if line.startswith("data: "))
        if data and data != "[DONE]":
            text += "".join(deltas_of(scenario.client, json.loads(data)))
    return text


def check_answer(scenario, port):
    """One request, read in full: the text must be exactly what the mock says."""
    head, data = scenario.request().split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if not line.startswith("content-length"))
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    c.request("POST", lines[0].split()[1], data, headers)
    answer = c.getresponse()
    body = answer.read()
    if answer.status != 200:
        rigging.fail(f"{scenario.name}: status {answer.status}: {body[:300]!r}")
    expected = "".join(shapes.pieces(EVENTS)) if scenario.streamed else shapes.prose(1700)
    if text_of(scenario, body) != expected or scenario.marker.encode() not in body:
        rigging.fail(f"{scenario.name}: the answer is not what the mock said: {body[:300]!r}")
    return len(body)


def measure(rig, scenario, port, pids, requests):
    """CPU seconds of `pids` a request, with the load generator's figures."""
    before = rigging.cpu_seconds(pids)
    got = rig.load(port, scenario.request(), scenario.marker, "--requests", requests, "--min-body", scenario.min_body)
    spent = rigging.cpu_seconds(pids) - before
    if got["bad"] or got["good"] != requests:
        rigging.fail(f"{scenario.name}: {got['good']} of {requests} good: {got['why']}")
    return spent / requests * 1e6, got


def run_scenario(rig, scenario, args):
    requests = max(64, int(scenario.requests * args.scale))
    sides = {"nginx": rig.nginx(scenario.tls)} if args.nginx_only else {
        "nginx": rig.nginx(scenario.tls),
        "gateway": rig.gateway(args.binary, scenario.upstream, scenario.tls),
    }  # fmt: skip
    for _, port, pids in sides.values():
        check_answer(scenario, port)
        measure(rig, scenario, port, pids, max(64, requests // 10))
    runs = {name: [] for name in sides}
    for pair in range(args.pairs):
        for name in list(sides) if pair % 2 == 0 else reversed(list(sides)):
            _, port, pids = sides[name]
            runs[name].append(measure(rig, scenario, port, pids, requests))
    for child, _, _ in sides.values():
        child.stop()
        rig.started.remove(child)
    cpu = {name: [c for c, _ in r] for name, r in runs.items()}
    rate = {name: statistics.median(g["good"] / g["seconds"] for _, g in r) for name, r in runs.items()}
    p99 = {name: statistics.median(g["p99_us"] for _, g in r) for name, r in runs.items()}
    row = {"name": scenario.name, "title": scenario.title, "limit": scenario.limit, "goal": scenario.goal, "requests": requests,
           "nginx_us": statistics.median(cpu["nginx"]), "nginx_rate": rate["nginx"], "nginx_p99": p99["nginx"]}  # fmt: skip
    if "gateway" in cpu:
        ratios = [g / n for g, n in zip(cpu["gateway"], cpu["nginx"])]
        row |= {"gateway_us": statistics.median(cpu["gateway"]), "gateway_rate": rate["gateway"], "gateway_p99": p99["gateway"],
                "ratio": statistics.median(ratios), "ratios": ratios}  # fmt: skip
        if scenario.streamed:
            row |= {"event_us": row["gateway_us"] / EVENTS, "translated": scenario.client != scenario.upstream}
    return row


def events_of(rows):
    """What an event of a stream costs in the cheapest pair, and in the dearest that is translated; None: too few rows."""
    told = sorted((r for r in rows if "event_us" in r), key=lambda r: r["event_us"])
    translated = [r for r in told if r["translated"]]
    return (told[0], translated[-1]) if len(told) > 2 and translated else None


def events_line(rows):
    low, high = events_of(rows)
    more = high["event_us"] - low["event_us"]
    return (f"An event costs {low['event_us']:.2f} µs in the cheapest pair ({low['title']}) and {high['event_us']:.2f} µs in the "
            f"dearest translated one ({high['title']}): {more:.2f} µs more, limit {EVENT_LIMIT_US:.1f} "
            f"{'met' if more <= EVENT_LIMIT_US else 'MISSED'}.")  # fmt: skip


def verdict_of(row):
    if row["limit"] is None:
        return "-"
    if "ratio" not in row:
        return f"{row['limit']:.1f}"
    if row["goal"] and row["ratio"] <= row["goal"]:
        return f"{row['goal']:.1f} goal met"
    return f"{row['limit']:.1f} {'met' if row['ratio'] <= row['limit'] else 'MISSED'}"


def lines_of(rows):
    head = ["what", "nginx µs", "gateway µs", "ratio", "lowest to highest", "limit", "nginx req/s", "gateway req/s"]
    yield head
    for r in rows:
        if "ratio" in r:
            spread = f"{min(r['ratios']):.2f} to {max(r['ratios']):.2f}"
            yield [r["title"], f"{r['nginx_us']:.1f}", f"{r['gateway_us']:.1f}", f"{r['ratio']:.2f}", spread, verdict_of(r),
                   f"{r['nginx_rate']:.0f}", f"{r['gateway_rate']:.0f}"]  # fmt: skip
        else:
            yield [r["title"], f"{r['nginx_us']:.1f}", "-", "-", "-", verdict_of(r), f"{r['nginx_rate']:.0f}", "-"]


def print_table(rows):
    table = list(lines_of(rows))
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths))))


def write_markdown(path, rows, args):
    table = list(lines_of(rows))
    text = [
        "# Benchmarks",
        "",
        "CPU time of the process a request, user and system, all threads; nginx `proxy_pass` and the gateway with one worker",
        "each, 64 keep-alive connections, the same mock upstream on loopback, access logs off. Paired alternating runs,",
        f"medians of {args.pairs} pairs. Made by `./dev bench`.",
        "",
        f"Machine: {os.cpu_count()} processors, Linux {platform.release().split('-')[0]}, {platform.machine()}.",
        "",
        "| " + " | ".join(table[0]) + " |",
        "|" + "|".join(["---"] + ["---:"] * (len(table[0]) - 1)) + "|",
        *("| " + " | ".join(line) + " |" for line in table[1:]),
        "",
        *([events_line(rows), ""] if args.pairs_table and events_of(rows) else []),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--scale", type=float, default=1.0, help="times the number of requests of a run")
    ap.add_argument("--pairs-table", action="store_true", help="all sixteen pairs of dialects instead")
    ap.add_argument("--only", action="append", help="a scenario; may be repeated")
    ap.add_argument("--out", type=Path, default=rigging.ROOT / "build/bench.md")
    ap.add_argument("--json", type=Path, help="write the figures as JSON as well")
    ap.add_argument("--nginx-only", action="store_true")
    ap.add_argument("--no-limits", action="store_true")
    ap.add_argument("--tick-us", type=int, help="pause between the pieces of a stream (2000; of the sixteen pairs 0: what is compared is the "
                    "work, not the waking up)")
    ap.add_argument("--binary", type=Path, default=Path(os.environ.get("ANYROUTER_BIN") or rigging.ROOT / "build/release/anyrouter"))
    args = ap.parse_args()
    if not args.nginx_only and not args.binary.exists():
        rigging.fail(f"no program at {args.binary}: ./dev build, or --nginx-only")
    known = scenarios() + pairs()
    chosen = [s for s in known if s.name in args.only] if args.only else pairs() if args.pairs_table else scenarios()
    if not chosen:
        rigging.fail(f"no such scenario; there are: {', '.join(s.name for s in known)}")
    rows = []
    tick_us = args.tick_us if args.tick_us is not None else 0 if args.pairs_table else 2000
    with rigging.Rig(tick_us) as rig:
        for scenario in chosen:
            rows.append(run_scenario(rig, scenario, args))
            print_table(rows[-1:])
    print()
    print_table(rows)
    if args.pairs_table and events_of(rows):
        print(events_line(rows))
    write_markdown(args.out, rows, args)
    print(f"written to {args.out}")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))
    missed = [r["name"] for r in rows if r["limit"] is not None and r.get("ratio", 0) > r["limit"]]
    ends = events_of(rows) if args.pairs_table else None
    if ends and ends[1]["event_us"] - ends[0]["event_us"] > EVENT_LIMIT_US:
        missed.append("event")
    if missed:
        print("over the limit: " + ", ".join(missed))
    return 1 if missed and not args.no_limits else 0


if __name__ == "__main__":
    sys.exit(main())
