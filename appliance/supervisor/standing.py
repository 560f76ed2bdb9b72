"""How the house stands, as web is told: each process and what the kernel says of it, and the last self-test.

A reader would otherwise get wrong: web is told and asks for nothing. What it may want is one question without a word in it, and
the start of the self-test, which has none either.
"""

import contextlib
import os
import time
from collections.abc import Iterator

from appliance.supervisor.selftest import EVERY_SECONDS, SelfTest
from appliance.supervisor.tree import Member, Tree
from mta.wire import messages as m

# Of /proc/<pid>/status: who it is, what it holds, and whether it is filtered. Handed on as it stands there.
LINES = ("Uid", "Gid", "Groups", "CapPrm", "NoNewPrivs", "Seccomp")


def told(tag: int, tree: Tree, test: SelfTest, uid_of: "dict[str, int]") -> Iterator[m.Standing]:
    """All that is said to the question *tag*; *uid_of*: under which uid each role is to be."""
    for member in tree.members:
        yield _standing(tag, _of_member(member, uid_of[member.role.name]))
    for tested in test.results:
        pairs = {"tested": tested.role, "whole": "1" if tested.whole else "0"}
        yield _standing(tag, pairs | {name: f"{outcome} {answer}" for name, outcome, answer in tested.probes})
    last = {
        "began": test.began, "ended": test.ended, "running": int(test.running), "root": int(os.geteuid() == 0), "left": test.left,
        "every": int(EVERY_SECONDS),
    }  # fmt: skip
    yield _standing(tag, {name: str(value) for name, value in last.items()}, last=True)


def _standing(tag: int, pairs: "dict[str, str]", *, last: bool = False) -> m.Standing:
    return m.Standing(tag, last, tuple(part.encode() for pair in pairs.items() for part in pair))


def _of_member(member: Member, uid: int) -> "dict[str, str]":
    since = time.time() - (time.monotonic() - member.since)
    return {
        "role": member.role.name,
        "instance": str(member.instance),
        "pid": str(member.pid),
        "uid": str(uid),
        "state": member.state,
        "restarts": str(member.restarts.ended),
        "since": str(int(since)) if member.pid else "0",
    } | _by_the_kernel(member.pid)


def _by_the_kernel(pid: int) -> "dict[str, str]":
    """What stands in LINES of the process *pid*; nothing where it is gone, or /proc is not there."""
    found: dict[str, str] = {}
    if pid:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - a pid, not a path
            for line in file:
                name, _, value = line.partition(":")
                if name in LINES:
                    found[name] = " ".join(value.split())[:500]
    return found
