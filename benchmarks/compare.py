"""`make bench`: Postern and Postfix in turn, A B A B, and the ratios. Needs root (each peer's roles run as their users).

Both live below one new directory on one file system, each with the same mailboxes, made beforehand. Only the one that is
measured runs. The figures go to the terminal and, whole, into a JSON file.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.cli.doctor import lacks_journal
from benchmarks import inbound, peers
from benchmarks.inbound import DOMAINS, Figures, Load
from benchmarks.peer_postern import Postern
from benchmarks.peer_postfix import Postfix

COUNTING_MESSAGES = 500
WARMING_MESSAGES = 200
QUIET = 0.05  # a machine busier than this before a run is not idle
NEEDED = ("smtp-source", "postfix", "postmap", "strace", "find", "nice")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to send, and what is promised of it."""

    name: str
    rate: float  # messages delivered a second, ours to theirs, at least
    cpu: float = 0.0  # CPU a message, ours to theirs, at most; 0: nothing is promised
    isolation: str = "worker"
    octets: int = 4096
    reuse: bool = False
    spread: bool = False
    tls: bool = False
    share: float = 1.0  # of the plan's messages: large ones take longer


WAYS = (
    Way("one message per connection", 1.3, 0.75),
    Way("connections reused", 1.6, 0.6, reuse=True),
    Way("spread over 50 domains", 1.3, 0.75, spread=True),
    Way("messages of 1 MiB", 0.8, octets=1 << 20, share=0.02),
    Way("STARTTLS on every connection", 0.8, tls=True, share=0.5),
    Way("a process for each connection", 0.7, isolation="connection", share=0.5),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    pairs: int
    messages: int
    mailboxes: int

    def load(self, way: Way) -> Load:
        """One run's."""
        return Load(
            messages=max(20, round(self.messages * way.share)), octets=way.octets, reuse=way.reuse,
            mailboxes=self.mailboxes, spread=way.spread, tls=way.tls,
        )  # fmt: skip


@dataclass(slots=True)
class Comparison:
    """All runs of one way to send, in pairs."""

    way: Way
    ours: list[Figures] = field(default_factory=list)
    theirs: list[Figures] = field(default_factory=list)

    def ratio(self, figure: str) -> float:
        """Ours to theirs, of medians."""
        return median(self.ours, figure) / median(self.theirs, figure)

    def pair_ratios(self) -> list[float]:
        """Delivered per second, ours to theirs, pair by pair: how far chance alone moves the ratio."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return [a.delivered_per_second / b.delivered_per_second for a, b in pairs]

    @property
    def is_met(self) -> bool:
        """Whether the ratio is what the project promises."""
        cpu = self.way.cpu
        return self.ratio("delivered_per_second") >= self.way.rate and (
            not cpu or self.ratio("cpu_ms_per_message") <= cpu
        )


def median(runs: Sequence[Figures], figure: str) -> float:
    """The median of one figure."""
    return float(statistics.median(getattr(run, figure) for run in runs))


@contextlib.contextmanager
def running(peer: peers.Peer, load: Load, isolation: str = "worker") -> Any:  # noqa: ANN401 - the decorator's
    """*peer* is up during the block, and has delivered a little of *load* before: caches are warm, children are there.

    A load that is smaller than that is only to see that everything works, cold or warm.
    """
    peer.start(isolation)
    try:
        if load.messages > WARMING_MESSAGES:
            mailboxes = min(WARMING_MESSAGES, load.mailboxes)
            inbound.measure(peer.port, peer.mail, Load(WARMING_MESSAGES, mailboxes=mailboxes, spread=load.spread))
        yield peer
    finally:
        peer.stop()


def run_once(peer: peers.Peer, load: Load) -> Figures:
    """One measured run of *peer*, which is up."""
    figures = inbound.measure(peer.port, peer.mail, load, peer.pid)
    noise = "" if figures.busy_before <= QUIET else f"  ({figures.busy_before:.0%} of the machine was busy before)"
    print(
        f"  {peer.name:<8} {figures.delivered_per_second:8.0f} delivered/s {figures.accepted_per_second:8.0f} accepted/s "
        f"{figures.cpu_ms_per_message:7.2f} ms CPU a message{noise}",
        flush=True,
    )
    return figures


def count_syncs(peer: peers.Peer, plan: Plan) -> dict[str, float]:
    """Syncs a message, by kind, in a short run of *peer*, which is up, under strace."""
    load = Load(messages=min(COUNTING_MESSAGES, plan.messages), mailboxes=plan.mailboxes)
    inbound.discard_delivered(peer.mail)
    with peers.counted_syncs(peer.pid) as counts:
        inbound.send(peer.port, load)
        inbound.wait_for_delivery(peer.mail, load.messages, patience_seconds=120)
        time.sleep(inbound.SETTLE_SECONDS)
    inbound.discard_delivered(peer.mail)
    return {name: round(calls / load.messages, 3) for name, calls in counts.items()}


def compare(
    ours: peers.Peer, theirs: peers.Peer, plan: Plan, way: Way, syncs: dict[str, dict[str, float]]
) -> Comparison:
    """A B A B … of one way to send, each from a fresh start. Whose *syncs* are not known yet has them counted afterwards."""
    result, load = Comparison(way), plan.load(way)
    for pair in range(plan.pairs):
        print(f"{way.name}, {load.messages:,} messages, pair {pair + 1} of {plan.pairs}", flush=True)
        for peer, runs in ((ours, result.ours), (theirs, result.theirs)):
            with running(peer, load, way.isolation):
                runs.append(run_once(peer, load))
                if peer.name not in syncs:
                    syncs[peer.name] = count_syncs(peer, plan)
    return result


SHOWN = {
    "delivered a second": "delivered_per_second",
    "accepted a second": "accepted_per_second",
    "ms CPU a message": "cpu_ms_per_message",
    "ms of its processes": "process_cpu_ms_per_message",
}


def summary(result: Comparison) -> list[str]:
    """One way to send: the ratio that is promised, and the figures behind it."""
    ratios, way = result.pair_ratios(), result.way
    wanted = f"{way.rate}" + (f" at {way.cpu} of its CPU" if way.cpu else "")
    verdict = f"wanted {wanted}: {'met' if result.is_met else 'NOT MET'}"
    headline = f"{result.ratio('delivered_per_second'):.2f} times Postfix in messages delivered a second"
    lines = [f"{way.name}: {headline} ({verdict}; pairs {min(ratios):.2f} to {max(ratios):.2f})"]
    for label, figure in SHOWN.items():
        ours, theirs = median(result.ours, figure), median(result.theirs, figure)
        lines.append(f"  {label:<20} Postern {ours:9.2f}   Postfix {theirs:9.2f}   ratio {ours / theirs:.2f}")
    return lines


def report(results: Sequence[Comparison], syncs: dict[str, dict[str, float]]) -> str:
    """The lines that answer the question."""
    lines = [""]
    for result in results:
        lines += summary(result)
    for name, counts in syncs.items():
        told = ", ".join(f"{value:g} {kind}" for kind, value in sorted(counts.items())) or "none"
        lines.append(f"syncs a message, {name}: {told}")
    return "\n".join(lines)


def write_json(path: Path, plan: Plan, results: Sequence[Comparison], syncs: dict[str, dict[str, float]]) -> None:
    """Every run, for whoever wants to know more than the medians."""
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
    runs = [
        {"way": result.way.name, "postern": [dataclasses.asdict(run) for run in result.ours],
         "postfix": [dataclasses.asdict(run) for run in result.theirs]}
        for result in results
    ]  # fmt: skip
    whole = {"machine": machine, "plan": dataclasses.asdict(plan), "syncs_per_message": syncs, "runs": runs}
    path.write_text(json.dumps(whole, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    """What the caller wants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two pairs of 2,000 messages: to see that it works")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--messages", type=int, help="of each run")
    parser.add_argument("--mailboxes", type=int)
    parser.add_argument("--ways", nargs="+", metavar="WAY", help="only those whose name begins so")
    parser.add_argument("--below", type=Path, default=Path("/var/tmp"), help="the file system to measure on")
    parser.add_argument("--json", type=Path, default=Path(time.strftime("bench-%Y%m%d-%H%M%S.json")))
    return parser.parse_args()


def measure_all(root: Path, plan: Plan, ways: Sequence[Way]) -> tuple[list[Comparison], dict[str, dict[str, float]]]:
    """Make both servers below *root* and measure them."""
    ours, theirs = Postern(root / "postern"), Postfix(root / "postfix")
    pair = peers.make_key_pair(root / "tls")
    for peer in (ours, theirs):
        print(f"{peer.name}: {plan.mailboxes:,} mailboxes", flush=True)
        peer.prepare(plan.mailboxes, pair, DOMAINS if any(way.spread for way in ways) else ())
    syncs: dict[str, dict[str, float]] = {}
    return [compare(ours, theirs, plan, way, syncs) for way in ways], syncs


def main() -> int:
    """Compare, print, write, clean up. Exit status 1: a ratio that is promised was not met."""
    given = parse_arguments()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        print(f"bench: needs root and {', '.join(missing or NEEDED)}", file=sys.stderr)
        return 1
    small = given.quick
    plan = Plan(given.pairs or (2 if small else 5), given.messages or (2000 if small else 20_000),
                given.mailboxes or (1000 if small else 10_000))  # fmt: skip
    ways = [way for way in WAYS if not given.ways or way.name.startswith(tuple(given.ways))]
    root = Path(tempfile.mkdtemp(prefix="postern-bench-", dir=given.below))
    root.chmod(0o711)  # both peers' users pass through it
    if lacks_journal(root):
        print("bench: this ext4 has no journal: both slow down the more they have deleted; --below another", flush=True)
    try:
        results, syncs = measure_all(root, plan, ways)
    except (inbound.BenchmarkError, TimeoutError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(report(results, syncs))
    write_json(given.json, plan, results, syncs)
    print(f"every run: {given.json}")
    return 0 if small or all(result.is_met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
