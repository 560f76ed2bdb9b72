"""Which role spends how much on a message: `python -m benchmarks.roles [--reuse] [--connection] …`. Needs root.

A reader would otherwise get wrong: the figures are the processes' own user and system time. What the kernel does for them
behind their backs (writing back, receiving from the network) is only in the whole, which `make bench` measures.
"""

import argparse
import contextlib
import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks import inbound, peers
from benchmarks.inbound import Load
from benchmarks.peer_postern import Postern

TICKS = os.sysconf("SC_CLK_TCK")


def used(pid: int) -> tuple[int, int]:
    """User and system microseconds of *pid* and of its children that ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, ended_user, ended_system = (int(field) * 1_000_000 // TICKS for field in fields[11:15])
    return user + ended_user, system + ended_system


def by_role(postern: Postern) -> tuple[Counter[str], Counter[str]]:
    """User and system microseconds of every role, and of the children of those that have some."""
    user: Counter[str] = Counter()
    system: Counter[str] = Counter()
    for entry in json.loads((postern.root / "var/run/status.json").read_text())["roles"]:
        for pid in peers.family(entry["pid"]) if entry["pid"] else ():
            name = entry["role"] if pid == entry["pid"] else f"{entry['role']}'s children"
            with contextlib.suppress(OSError):
                mine = used(pid)
                user[name] += mine[0]
                system[name] += mine[1]
    return user, system


def measure(postern: Postern, load: Load) -> None:
    """Send, wait until it is delivered, print a line for each role."""
    inbound.measure(postern.port, postern.mail, Load(messages=200, mailboxes=200))
    before = by_role(postern)
    figures = inbound.measure(postern.port, postern.mail, load, postern.pid)
    after = by_role(postern)
    user, system = after[0] - before[0], after[1] - before[1]
    print(
        f"{figures.delivered_per_second:.0f} delivered/s, {figures.cpu_ms_per_message} ms CPU a message, whole machine"
    )
    for name in sorted(user | system, key=lambda name: -(user[name] + system[name])):
        mine = [each[name] / load.messages for each in (user, system)]
        print(f"  {name:<22} {sum(mine):7.0f} us a message  ({mine[0]:.0f} user, {mine[1]:.0f} system)")


def main() -> int:
    """Make one, measure it, throw it away."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roles", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--octets", type=int, default=4096)
    parser.add_argument("--mailboxes", type=int, default=2000)
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--spread", action="store_true", help="over 50 domains")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--connection", action="store_true", help="a process for each connection")
    given = parser.parse_args()
    load = Load(given.messages, given.octets, 20, given.reuse, given.mailboxes, given.spread, given.tls)
    root = Path(tempfile.mkdtemp(prefix="postern-roles-", dir="/var/tmp"))
    root.chmod(0o711)
    postern = Postern(root / "postern")
    try:
        domains = inbound.DOMAINS if given.spread else ()
        postern.prepare(given.mailboxes, peers.make_key_pair(root / "tls"), domains)
        postern.start("connection" if given.connection else "worker")
        try:
            measure(postern, load)
        finally:
            postern.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
