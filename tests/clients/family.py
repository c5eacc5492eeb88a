"""Runs a command and leaves nothing of it behind.

    family.py SECONDS COMMAND...    exit code of the command, or 124 when the time was up

An agent may start a daemon that outlives it, in a session of its own and deaf to SIGTERM. This process asks the kernel to be the
parent of every orphan among its descendants (PR_SET_CHILD_SUBREAPER), so that all of them, and nobody else, are found below it.
When the command ends, when the time is up or when its own parent dies, they get SIGTERM and, GRACE_S later, SIGKILL.
"""
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
TIMED_OUT = 124
GRACE_S = 1.5


def descendants(root):
    """Every process below root that has not ended."""
    children = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry.parent.name))
    found, parents = [], [root]
    while parents:
        below = children.get(parents.pop(), [])
        found += below
        parents += below
    return found


def reap(options):
    """Takes the ends of children, and of orphans that have become children."""
    try:
        while os.waitpid(-1, options)[0]:
            pass
    except ChildProcessError:
        pass


def end_all():
    """Ends whatever runs below this process: politely, then not."""
    for number, seconds in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, 5)):
        until, told = time.monotonic() + seconds, set()
        while time.monotonic() < until:
            left = descendants(os.getpid())
            if not left:
                return reap(0)
            for pid in set(left) - told:  # a child born meanwhile is told as well
                told.add(pid)
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
            reap(os.WNOHANG)


def main(limit, *command):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1) or libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM):
        raise OSError(ctypes.get_errno(), "prctl")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    try:
        code = subprocess.Popen(command, start_new_session=True).wait(float(limit))
        return code if code >= 0 else 128 - code
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    finally:
        end_all()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
