"""What undeliverable.py asks of Postern, asked of Debian's Postfix with its default limits. Needs root.

    python -m benchmarks.undeliverable_postfix [--messages 100000] [--domains 20000] [--samples 200]

A reader would otherwise get wrong: Postfix asks the system's name server and speaks to port 25, so the whole run lives in a
network and a mount namespace of its own. All that is queued is due when it starts, as it is in Postern's run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import peers, source
from benchmarks.inbound import DOMAIN
from benchmarks.peer_postfix import Postfix
from benchmarks.undeliverable import (
    SETTLE_SECONDS,
    Figures,
    Server,
    World,
    address,
    latencies,
    measure_fresh,
    peak_mib,
)

SMTP_PORT, NAMES_PORT = 25, 53
CONNECTIONS = 20
OCTETS = 500
FORWARDING = """\
inet_interfaces = 127.0.0.1
smtpd_relay_restrictions = permit_mynetworks,reject_unauth_destination
"""
PARKED = "defer_transports = smtp\n"  # while the queue is filled
NAMES = "nameserver 127.0.0.1\n"
# Loopback is down in a new network namespace; the file that names the name server is replaced for us alone.
INSIDE = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def queued(postfix: Postfix, *queues: str) -> list[Path]:
    """The files of its messages in *queues*."""
    return [path for queue in queues for path in (postfix.root / "spool" / queue).rglob("*") if path.is_file()]


def fill(postfix: Postfix, messages: int, domains: int) -> None:
    """Send it *messages* while it may not send any on, and make all of them due."""
    settings = postfix.root / "etc/main.cf"
    before = settings.read_text()
    settings.write_text(before + PARKED)
    postfix.start()
    content = source.message(OCTETS)
    source.run(
        lambda number: source.Conversation(postfix.port, address(number, domains).encode(), content, None),
        messages, CONNECTIONS,
    )  # fmt: skip
    while len(queued(postfix, "deferred")) < messages:
        time.sleep(1)
    postfix.stop()
    settings.write_text(before)
    past = time.time() - 60
    for path in queued(postfix, "deferred"):
        os.utime(path, (past, past))


def queue_manager(postfix: Postfix) -> int:
    """Its process number."""
    return next(pid for pid in peers.family(postfix.pid) if Path(f"/proc/{pid}/comm").read_text() == "qmgr\n")


def measure(root: Path, messages: int, domains: int, samples: int) -> Figures:
    """The whole of it, below *root*."""
    world, postfix = World(SMTP_PORT, NAMES_PORT), Postfix(root / "postfix")
    postfix.prepare(1, peers.make_key_pair(root / "tls"))
    with (postfix.root / "etc/main.cf").open("a") as settings:
        settings.write(FORWARDING)
    inbox = postfix.mail / DOMAIN / "1user/new"
    server = Server(postfix.port, f"1user@{DOMAIN}", inbox)
    try:
        postfix.start()
        try:
            measure_fresh(server, world, 20, "warm")
            empty = measure_fresh(server, world, samples, "empty")
        finally:
            postfix.stop()
        fill(postfix, messages, domains)
        began = time.monotonic()
        postfix.start()
        start_seconds = round(time.monotonic() - began, 2)
        try:
            time.sleep(SETTLE_SECONDS)
            full = measure_fresh(server, world, samples, "full", counts_lost=True)
            memory = round(peak_mib(queue_manager(postfix)), 1)
        finally:
            postfix.stop()
    finally:
        world.close()
    left = len(queued(postfix, "incoming", "active", "deferred"))
    return Figures(messages, domains, *empty, *full, start_seconds, memory, left)


def main() -> int:
    """Measure and print; nothing is promised of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.undeliverable_postfix", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--domains", type=int, default=20_000)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--below", type=Path, default=Path("/var/tmp"), help="the file system to measure on")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir=given.below) as folder:
        root = Path(folder)
        root.chmod(0o755)
        if not given.inside:
            (root / "names").write_text(NAMES)
            again = [sys.executable, "-m", "benchmarks.undeliverable_postfix", "--inside", *sys.argv[1:]]
            command = ["unshare", "--net", "--mount", "sh", "-c", INSIDE, "sh", str(root / "names"), *again]
            return subprocess.run(command, check=False).returncode
        figures = measure(root, given.messages, given.domains, given.samples)
    print("\n".join(("Postfix:", *latencies(figures))))
    print(f"  qmgr {figures.scheduler_mib:.0f} MiB at most, greets after {figures.start_seconds:.1f} s")
    print(f"  {figures.still_queued:,} still queued; {figures.times:.2f} times the empty queue's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
