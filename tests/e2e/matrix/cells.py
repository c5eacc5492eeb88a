"""Cells: every feature for every pair; what is expected of each (losses.yaml), and the pages made of it."""

import copy
from pathlib import Path

import yaml

from . import neutral

HERE = Path(__file__).parent
ORDER = ["chat", "responses", "anthropic", "gemini"]
TITLES = {"chat": "Chat", "responses": "Responses", "anthropic": "Messages", "gemini": "Gemini"}
HOWS = ["whole", "stream"]
MEDIA = {"PNG": neutral.PNG, "PDF": neutral.PDF, "WAV": neutral.WAV}


def fill(value):
    if isinstance(value, dict):
        return {k: fill(v) for k, v in value.items()}
    if isinstance(value, list):
        return [fill(v) for v in value]
    return MEDIA.get(value, value) if isinstance(value, str) else value


def features():
    return [{"kind": "plain", **fill(f)} for f in yaml.safe_load((HERE / "features.yaml").read_text())]


def losses():
    return fill(yaml.safe_load((HERE / "losses.yaml").read_text()))


def listed(value, default):
    return default if value is None else value if isinstance(value, list) else [value]


def rows_of(rows, feature, client, upstream, how):
    """The rows of losses.yaml that speak of a cell."""
    out = []
    for row in rows:
        if client == upstream and not row.get("native"):
            continue
        if (feature in listed(row["feature"], []) and client in listed(row.get("client"), ORDER)
                and upstream in listed(row.get("upstream"), ORDER) and how in listed(row.get("how"), HOWS)):
            out.append(row)
    return out


def expected(rows, feature, client, upstream, how):
    """One cell: {warn, comment, refuse, differs, rows}."""
    out = {"warn": [], "comment": [], "refuse": None, "differs": {}, "rows": []}
    for row in rows_of(rows, feature, client, upstream, how):
        for name in ("warn", "comment"):
            said = row.get(name, [])
            out[name] += said.get(client, []) if isinstance(said, dict) else listed(said, [])
        out["refuse"] = row.get("refuse", out["refuse"])
        out["differs"].update(copy.deepcopy(row.get("differs", {})))
        out["rows"].append(row)
    return out


def cells(rows):
    """Every cell that its client can ask for."""
    every = [(f["name"], c, u, h) for f in features() for c in ORDER for u in listed(f.get("only"), ORDER) for h in HOWS]
    return [at for at in every if not cannot(rows, *at)]


def cannot(rows, *at):
    """Why the client's dialect has no way to ask for it, or None."""
    return next((row["cannot"] for row in rows_of(rows, *at) if "cannot" in row), None)


def mark(cell):
    """How a page shows a cell."""
    if cell["refuse"]:
        return "refused"
    if cell["warn"] or cell["comment"] or any(not row.get("quiet") for row in cell["rows"]):
        return "approx"
    return "same"
