"""Power cuts over the real scheduler: what an operator was told is done stays done, and no recipient passes for served.

A reader would otherwise get wrong: that a host took a message is *not* synced. A power cut may repeat what went out in the last
seconds, and may never make a recipient look served who was not; both are shown here, the first as a figure.

In small one sync of each source and one order is taken out, and chance decides once what survives; in full size
(POSTERN_FULL=1) each, and three times.
"""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from mta import roster
from mta.roles.scheduler.attempt import Attempt
from mta.spool import envelope as envelope_format
from mta.spool import progress as progress_format
from mta.spool.envelope import Envelope, Generation, Recipient
from mta.spool.layout import ENVELOPE, PROGRESS
from mta.spool.progress import Progress
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel
from mta.wire.netstring import unpack
from tests.crash._disk import Call, Disk, remove_tree
from tests.crash._recording import Recording, sync_calls, without
from tests.fixtures.lone_role import readable
from tests.fixtures.trees import PRODUCT, THE_PRODUCT, Tree, copy_of_product

pytestmark = [
    pytest.mark.kill,
    pytest.mark.must_show,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace records what the processes do"),
]

SOURCES = ("mta/roles/scheduler/__main__.py", "mta/roles/scheduler/orders.py")
FULL = os.environ.get("POSTERN_FULL") == "1"
SOME = 3 if FULL else 1
TWO, ONE, HELD, RELEASED, REMOVED = range(
    5
)  # messages: to two hosts, to one, and what an operator does with the others
SERVED = {TWO: {0}, ONE: {0}}  # which recipients of which message another host took


@dataclass
class Recorded:
    """What happened: the disk before it, the calls, the messages."""

    before: Path
    calls: list[Call]
    queue_ids: list[bytes]
    envelopes: list[Envelope]


class World:
    """Everybody whom scheduler asks."""

    def __init__(self, recording: Recording) -> None:
        self.peers = {
            name: recording.hand_over(name, "scheduler", [], serving=False)
            for name in ("directory", "localspawn", "remotespawn", "bouncer", "cleaner")
        }
        self.peers["enqueuer"] = recording.hand_over("enqueuer", "scheduler", [m.Recovered()])
        self.cleaned: set[bytes] = set()
        self.put_off: list[bytes] = []
        self._domains: dict[int, bytes] = {}

    def run(self, until) -> None:
        """Answer until *until()*."""
        deadline = time.monotonic() + 30
        while not until():
            assert time.monotonic() < deadline, (self.cleaned, self.put_off)
            for peer in self.peers.values():
                peer.flush()
                readable(peer.fileno(), 0.01)
                for message, _ in peer.receive():
                    self._answer(peer, message)

    def _answer(self, peer: Channel, message: m.Message) -> None:
        if isinstance(message, m.Expand):
            domain = message.recipient.rpartition(b"@")[2]
            if domain == b"later.test":
                self.put_off.append(message.queue_id)
                peer.send(m.Unresolved(message.tag, False, b"4.4.0", b"no way out"))
            else:
                peer.send(m.Outward(message.tag, message.recipient, domain, b"", message.sender, True))
        elif isinstance(message, m.Send):
            self._domains[message.tag] = message.domain
        elif isinstance(message, m.SendRecipient):
            took = self._domains[message.tag] == b"takes.test"
            words = (b"relayed", b"2.0.0", b"250 ok") if took else (b"delayed", b"4.2.0", b"450 later")
            peer.send(m.Sent(message.tag, message.index, *words, b"mx (192.0.2.9)"))
            peer.send(m.SendDone(message.tag, False, 0))
        elif isinstance(message, m.Clean):
            self.cleaned |= set(message.queue_ids)


def record_scheduler(tree: Tree, folder: Path) -> Recorded:
    """Sends to other hosts, of which one takes and one defers; then hold, hold and release, remove."""
    state, before, now = folder / "state", folder / "before", int(time.time())
    for part in (ENVELOPE, PROGRESS):
        (state / part).mkdir(parents=True)
    paths = [[b"a@takes.test", b"b@defers.test"], [b"c@takes.test"], *[[b"d@later.test"]] * 3]
    envelopes = [
        Envelope(now, 10, b"", b"", b"", b"", Generation.ORDINARY, tuple(Recipient(path, b"", b"") for path in some))
        for some in paths
    ]
    queue_ids = [b"%016x%04x" % (now * 1_000_000, number) for number in range(len(envelopes))]
    for queue_id, envelope in zip(queue_ids, envelopes, strict=True):
        (state / ENVELOPE / queue_id.decode()).write_bytes(envelope_format.render(envelope))
    shutil.copytree(state, before)
    with Recording(tree, state, folder / "log", permits.TO_SUPERVISOR, "-m", "mta.roles.scheduler") as recording:
        cleaned = send_and_order(recording, state, queue_ids)
        calls = recording.end()
    assert cleaned == {queue_ids[ONE], queue_ids[REMOVED]}
    return Recorded(before, calls, queue_ids, envelopes)


def _told(supervisor: Channel) -> list[m.QueueTold]:
    """What scheduler has answered to an order; its other words are that it is ready."""
    return [message for message, _ in supervisor.receive() if isinstance(message, m.QueueTold)]


def send_and_order(recording: Recording, state: Path, queue_ids: list[bytes]) -> set[bytes]:
    """Answers which messages scheduler had cleaned away."""
    settings = {
        "state": str(state).encode(), "uid_base": b"1900000000", "root": b"0", roster.ORIGINAL_KEY: bytes(32),
        "limits.queue_lifetime_days": b"5", "limits.bounce_lifetime_days": b"1", "limits.delay_warning_hours": b"4",
    }  # fmt: skip
    recording.channel.send(m.Begin(tuple(part for name, value in settings.items() for part in (name.encode(), value))))
    world = World(recording)
    world.run(lambda: queue_ids[ONE] in world.cleaned and set(world.put_off) >= set(queue_ids[HELD:]))
    time.sleep(0.2)  # Its attempts at the others end.
    orders = [(b"hold", HELD), (b"hold", RELEASED), (b"release", RELEASED), (b"remove", REMOVED)]
    for tag, (what, number) in enumerate(orders, 1):
        recording.channel.send(m.QueueOrder(tag, what, b"id", queue_ids[number], b"", 0))
        # The others are answered meanwhile: an order about a message in an attempt waits for the end of that.
        told: list[m.QueueTold] = []
        world.run(lambda told=told: told or told.extend(_told(recording.channel)))
        assert told[0].pairs == (b"done", b"1"), told
    world.run(lambda: queue_ids[REMOVED] in world.cleaned)
    return world.cleaned


def damage_to_queue(recorded: Recorded, scratch: Path) -> tuple[list[str], int]:
    """What is wrong after a power cut at some call; and after how many a host would get again what it took."""
    scratch.mkdir()
    disk, told, wrong, repeated, chance = Disk.holding(recorded.before), set[bytes](), list[str](), 0, Random(7)
    for number, call in enumerate(recorded.calls):
        if call.name != "say":
            disk.replay(call)
        elif (fields := unpack(call.octets[0]))[0] == m.QueueTold.verb:
            told.add(fields[1])
        for how in ("nothing", "names", "octets", *["some"] * SOME):
            after = scratch / "after"
            disk.after_power_cut(after, how, chance)
            known = [_progress(after, queue_id) for queue_id in recorded.queue_ids]
            remove_tree(after)
            found = [*forgotten(known, told), *made_up(known, recorded)]
            wrong += [f"call {number} ({call.name}), {how}: {text}" for text in found]
            repeated += len(told) == 4 and not known[ONE].outcomes
        if wrong:
            break
    assert len(told) == 4 or wrong
    return wrong, repeated


def _progress(after: Path, queue_id: bytes) -> Progress:
    path = after / PROGRESS / queue_id.decode()
    return progress_format.parse(path.read_bytes() if path.exists() else b"")


def forgotten(known: list[Progress], told: set[bytes]) -> list[str]:
    """Of what the operator was told is done."""
    wrong = []
    if b"1" in told and not known[HELD].held:
        wrong.append("what is held goes")
    if b"3" in told and known[RELEASED].held:
        wrong.append("what was released stays")
    if b"4" in told and not known[REMOVED].removed:
        wrong.append("what was removed goes")
    return wrong


def made_up(known: list[Progress], recorded: Recorded) -> list[str]:
    """Recipients that pass for served and are not."""
    wrong = []
    for number, progress in enumerate(known):
        attempt = Attempt.begin(recorded.queue_ids[number], recorded.envelopes[number], b"", progress, fresh=False)
        if set(attempt.complete) - SERVED.get(number, set()):
            wrong.append(f"message {number} passes for sent")
    return wrong


def test_no_power_cut_undoes_what_an_operator_ordered_or_makes_a_recipient_look_served(tmp_path, figure):
    """At every call of the scheduler; who was told `done` need not look again."""
    recorded = record_scheduler(THE_PRODUCT, tmp_path)
    wrong, repeated = damage_to_queue(recorded, tmp_path / "scratch")
    assert wrong == []
    assert any(call.name == "syncfs" for call in recorded.calls)
    figure("power cuts tried on the scheduler", len(recorded.calls) * (3 + SOME))
    figure("of them with a message that would go out again", repeated)


@pytest.mark.parametrize(
    ("path", "number"),
    [(path, number) for path in SOURCES for number, _ in sync_calls(PRODUCT / path)[: None if FULL else 1]],
)
def test_the_scheduler_without_one_of_its_syncs_is_caught(tmp_path, path, number):
    """Each call that syncs, taken out alone."""
    tree = copy_of_product(tmp_path / "copy")
    without(tree.root / path, number)
    wrong, _ = damage_to_queue(record_scheduler(tree, tmp_path), tmp_path / "scratch")
    assert wrong


@pytest.mark.parametrize("spared", ["hold", "release", "remove"] if FULL else ["release"])
def test_a_scheduler_that_waits_for_the_disk_after_some_orders_only_is_caught(tmp_path, spared):
    """The one sync in the source stands for three orders."""
    tree = copy_of_product(tmp_path / "copy")
    tree.replace(SOURCES[1], "order.what in _KEPT and", f"order.what in _KEPT - {{b'{spared}'}} and")
    wrong, _ = damage_to_queue(record_scheduler(tree, tmp_path), tmp_path / "scratch")
    assert wrong
