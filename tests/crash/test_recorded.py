"""Power cuts: at every system call of the real enqueuer, the real local, and local and localspawn together.

Everything is lost that was not synced.

The second half takes one sync at a time out of a copy of the source: then a loss must be found, or this test proves nothing.
In small it takes out the first of each source; all of them, and twice as many losses by chance, with POSTERN_FULL=1.
"""

import os
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from mta import roster
from mta.roles.enqueuer.recovery import recover
from mta.spool import envelope as envelope_format
from mta.spool.layout import CONTENT, ENVELOPE, Folder
from mta.spool.states import State, state_of
from mta.vocabulary import Action
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import ChannelClosed
from mta.wire.netstring import unpack
from tests.crash._disk import Call, Disk, remove_tree
from tests.crash._recording import Recording, sync_calls, take, without
from tests.fixtures.trees import PRODUCT, THE_PRODUCT, Tree, copy_of_product
from tests.mta.roles.enqueuer._rig import KEYS, offer

pytestmark = [
    pytest.mark.kill,
    pytest.mark.must_show,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace records what the processes do"),
]

FULL = os.environ.get("POSTERN_FULL") == "1"
SOME = 2 if FULL else 1  # How often chance decides what survives, beside the three ways in which it does not.


# --- the enqueuer


@dataclass
class Recorded:
    """What happened: the disk before it, the calls, and what each message was."""

    state: Path
    calls: list[Call]
    sent: dict[bytes, bytes]  # queue id or name of the acknowledged: the content


def record_enqueuer(tree: Tree, folder: Path) -> Recorded:
    """One message alone, six in one burst, one that does not fit in memory, one that is withdrawn."""
    state = folder / "state"
    for part in (CONTENT, ENVELOPE):
        (state / part).mkdir(parents=True)
    with Recording(tree, state, folder / "log", permits.TO_SUPERVISOR, "-m", "mta.roles.enqueuer") as recording:
        sent = offer_all(recording, state)
        return Recorded(state, recording.end(), sent)


def offer_all(recording: Recording, state: Path) -> dict[bytes, bytes]:
    """Begin, offer, and answer what was taken: queue id and content."""
    settings = {
        "state": str(state).encode(), "uid_base": b"1900000000", "root": b"0", "host.name": b"mx.example.test",
        roster.SESSION_KEY: KEYS.session, roster.TICKET_KEY: KEYS.ticket, roster.ORIGINAL_KEY: KEYS.original,
        roster.NOTICE_KEY: KEYS.notice, roster.CONSENT_KEY: KEYS.consent,
        "limits.min_free_space": b"0", "smtpd.max_message_size": b"1000000",
    }  # fmt: skip
    recording.channel.send(m.Begin(tuple(part for name, value in settings.items() for part in (name.encode(), value))))
    sent: dict[bytes, bytes] = {}
    recording.hand_over("scheduler", "enqueuer", [], serving=False)
    bodies = [b"Subject: %d\r\n\r\n" % number + os.urandom(300).hex().encode() + b"\r\n" for number in range(8)]

    def burst(messages: list[m.Message], contents: dict[int, bytes]) -> None:
        for answer in take(recording.hand_over("smtpd", "enqueuer", messages), len(contents)):
            assert isinstance(answer, m.Taken), answer
            sent[answer.queue_id] = contents[answer.tag]

    burst([offer(0), m.Content(0, True, bodies[0])], {0: bodies[0]})
    numbers = range(1, 7)
    burst(
        [each for n in numbers for each in (offer(n), m.Content(n, True, bodies[n]))], {n: bodies[n] for n in numbers}
    )
    blocks = [bytes([97 + n]) * 50_000 for n in range(3)]
    large: list[m.Message] = [
        offer(7),
        *(m.Content(7, False, block) for block in blocks),
        m.Content(7, True, bodies[7]),
    ]
    gone: list[m.Message] = [offer(8), *(m.Content(8, False, block) for block in blocks[:2]), m.Withdraw(8)]
    burst([*gone, *large], {7: b"".join([*blocks, bodies[7]])})
    return sent


def damage_to_spool(recorded: Recorded, scratch: Path) -> list[str]:
    """What is wrong after a power cut at some call: accepted mail that is lost, and half mail that is owed."""
    empty = scratch / "empty"
    for part in (CONTENT, ENVELOPE):
        (empty / part).mkdir(parents=True)
    disk, said, wrong, chance = Disk.holding(empty), set[bytes](), list[str](), random.Random(7)
    for number, call in enumerate(recorded.calls):
        if call.name != "say":
            disk.replay(call)
        elif (fields := unpack(call.octets[0]))[0] == m.Taken.verb:
            said.add(fields[2])
        for how in ("nothing", "names", "octets", *["some"] * SOME):
            after = scratch / "after"
            disk.after_power_cut(after, how, chance)
            wrong += [
                f"call {number} ({call.name} {call.paths}), {how}: {text}" for text in look(after, said, recorded)
            ]
            remove_tree(after)
        if wrong:
            break
    assert len(said) == len(recorded.sent) or wrong
    return wrong


def look(after: Path, said: set[bytes], recorded: Recorded) -> list[str]:
    """Start as an enqueuer would, and look at what is owed then."""
    content, envelope = Folder.open(after, CONTENT), Folder.open(after, ENVELOPE)
    try:
        recover(content, envelope)
        wrong = []
        for queue_id in said | set(content.queue_ids()) | set(envelope.queue_ids()):
            octets = content.read(queue_id, 1 << 22) or b""
            enveloped = envelope.read(queue_id, 1 << 20)
            state = state_of(content.size(queue_id), enveloped, progress=False)
            if state is not State.S2:
                wrong.append(
                    f"{queue_id.decode()} was accepted and is lost" if queue_id in said else "half of it stays"
                )
            elif queue_id in said and not octets.endswith(b"\r\n" + recorded.sent[queue_id]):
                wrong.append(f"{queue_id.decode()} was accepted and is damaged")
            elif envelope_format.parse(enveloped or b"").size != len(octets):
                wrong.append("half a message is owed")
        return wrong
    finally:
        os.close(content.descriptor)
        os.close(envelope.descriptor)


ENQUEUER_SOURCES = ("mta/roles/enqueuer/disk.py", "mta/spool/layout.py")


def test_no_power_cut_loses_what_the_enqueuer_said_it_took(tmp_path, figure):
    """At every call, with nothing, only names, only octets, or some of both surviving."""
    recorded = record_enqueuer(THE_PRODUCT, tmp_path)
    assert len(recorded.sent) == 8
    assert {"fsync", "syncfs"} <= {call.name for call in recorded.calls}
    assert damage_to_spool(recorded, tmp_path / "scratch") == []
    figure("power cuts tried on the enqueuer", len(recorded.calls) * (3 + SOME))


def _mutations(sources: tuple[str, ...]) -> list[pytest.param]:
    return [
        pytest.param(path, number, id=f"{Path(path).parent.name}-{Path(path).stem}-{number}-{text.split('(')[0]}")
        for path in sources
        for number, text in sync_calls(PRODUCT / path)[: None if FULL else 1]
    ]


@pytest.mark.parametrize(("path", "number"), _mutations(ENQUEUER_SOURCES))
def test_the_enqueuer_without_one_of_its_syncs_is_caught(tmp_path, path, number):
    """Each call that syncs, taken out alone, makes a loss that this finds."""
    tree = copy_of_product(tmp_path / "copy")
    without(tree.root / path, number)
    assert damage_to_spool(record_enqueuer(tree, tmp_path), tmp_path / "scratch")


@pytest.mark.parametrize("which", ["message.content, sync=sync", "message.envelope, sync=sync"])
def test_the_enqueuer_that_syncs_one_of_the_two_files_only_is_caught(tmp_path, which):
    """The one fsync in the source stands for two files; each of them alone must be missed too."""
    tree = copy_of_product(tmp_path / "copy")
    tree.replace(ENQUEUER_SOURCES[0], which, which.replace("sync=sync", "sync=False"))
    assert damage_to_spool(record_enqueuer(tree, tmp_path), tmp_path / "scratch")


# --- the local

_LOCAL = """
import os, socket, sys
from mta.roles.local.__main__ import run
from mta.roles.local.batch import Store
from mta.wire import permits
from mta.wire.channel import Channel
folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
sock = socket.socket(fileno=3)
run(Channel(sock, "localspawn", permits.readable_by_server("localspawn", "local")), Store(folder, "mx.example.test"))
"""
LOCAL_SOURCES = ("mta/roles/local/batch.py", "mta/maildir.py")


def record_local(tree: Tree, folder: Path) -> Recorded:
    """Five at once into a new store, then one alone into the same, then one into another new store."""
    state = folder / "state"
    state.mkdir()
    permitted = permits.readable_by_client("localspawn", "local")
    with Recording(tree, state, folder / "log", permitted, "-c", _LOCAL, str(state)) as recording:
        sent = deliver_all(recording, folder)
        return Recorded(state, recording.end(), sent)


def deliver_all(recording: Recording, folder: Path) -> dict[bytes, bytes]:
    """Answers what was delivered: tag and content."""
    sent: dict[bytes, bytes] = {}

    def deliver(numbers: range, store: bytes) -> None:
        for number in numbers:
            content = folder / f"content-{number}"
            body = b"Subject: %d\r\n\r\n%b\r\n" % (number, os.urandom(100).hex().encode())
            content.write_bytes(body)
            descriptor = os.open(content, os.O_RDONLY)
            queue_id = b"00063f8a3c1d2e4f%04x" % number
            recording.channel.send(m.Write(number, queue_id, b"a@client.test", b"joe@x.test", store), (descriptor,))
            os.close(descriptor)
            sent[b"%d" % number] = body.split(b"\r\n")[2]
        for answer in take(recording.channel, len(numbers)):
            assert isinstance(answer, m.Attempted)
            assert answer.action == Action.DELIVERED.value, answer

    deliver(range(5), b"joe")
    deliver(range(5, 6), b"joe")
    deliver(range(6, 7), b"ann")
    return sent


def damage_to_store(recorded: Recorded, scratch: Path, domains: tuple[str, ...] = ()) -> list[str]:
    """Delivered mail that is lost, and half mail that a reader would see."""
    for name in ("", *domains):
        (scratch / "empty" / name).mkdir(parents=True)
    disk, said, wrong, chance = Disk.holding(scratch / "empty"), set[bytes](), list[str](), random.Random(7)
    for number, call in enumerate(recorded.calls):
        if call.name != "say":
            disk.replay(call)
        elif (fields := unpack(call.octets[0]))[0] == m.Attempted.verb:
            said.add(fields[1])
        for how in ("nothing", "names", "octets", *["some"] * SOME):
            seen = [octets for path, octets in disk.remains(how, chance) if octets is not None and _is_shown(path)]
            lost = [tag for tag in said if not any(recorded.sent[tag] in octets for octets in seen)]
            half = [octets for octets in seen if not any(token + b"\n" in octets for token in recorded.sent.values())]
            wrong += [f"call {number} ({call.name}), {how}: lost {lost}"] * bool(lost)
            wrong += [f"call {number} ({call.name}), {how}: half a message is in new/"] * bool(half)
        if wrong:
            break
    assert len(said) == len(recorded.sent) or wrong
    return wrong


def _is_shown(path: str) -> bool:
    """To a reader of the mailbox."""
    return path.split("/")[-3:-1] == ["Maildir", "new"]


def test_no_power_cut_loses_what_local_said_it_delivered(tmp_path, figure):
    """Nor does a reader ever find half a message in new/."""
    recorded = record_local(THE_PRODUCT, tmp_path)
    assert {"fsync", "syncfs", "rename"} <= {call.name for call in recorded.calls}
    assert damage_to_store(recorded, tmp_path / "scratch") == []
    figure("power cuts tried on a local", len(recorded.calls) * (3 + SOME))


@pytest.mark.parametrize(("path", "number"), _mutations(LOCAL_SOURCES))
def test_a_local_without_one_of_its_syncs_is_caught(tmp_path, path, number):
    """Each call that syncs, taken out alone, makes a loss or half a message that this finds."""
    tree = copy_of_product(tmp_path / "copy")
    without(tree.root / path, number)
    assert damage_to_store(record_local(tree, tmp_path), tmp_path / "scratch")


# --- local and localspawn: who waits for the disk is not who writes

_TOGETHER = """
import os, socket, sys
from mta.roles.local.__main__ import one_round
from mta.roles.local.batch import Store
from mta.roles.localspawn.spawner import Pool, Spawner
from mta.roles.localspawn.together import Disk
from mta.wire import channel, messages, permits
from mta.wire.channel import Channel
from mta.wire.loop import Loop

state, content = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in sys.argv[1:3])
loop = Loop()

class Peers:
    # Everybody but scheduler. Storekeeper has each domain's folder at hand.
    def to(self, name): return self
    def tell(self, name, message): return True
    def event(self, name, **pairs): pass
    def send(self, question):
        folder = os.open(question.domain, os.O_RDONLY | os.O_DIRECTORY, dir_fd=state)
        loop.call_later(0.0, lambda: spawner.met_store(self, (messages.Store(question.tag, 0), (folder,))))

def start_local(uid, folder, ended):
    # In this process, so that the order of all calls is known.
    ours, theirs = channel.pair()
    end = Channel(theirs, "localspawn", permits.readable_by_server("localspawn", "local"))
    store = Store(os.dup(folder), "mx.example.test")
    loop.add_reader(end.fileno(), lambda: one_round(end, store))
    return 1, Channel(ours, "local", permits.readable_by_client("localspawn", "local"))

spawner = Spawner(loop, content, Pool(0, 1), start_local, Disk(state))
spawner.peers = Peers()
spawner._moment.is_busy = lambda domain: True
scheduler = Channel(socket.socket(fileno=3), "scheduler", permits.readable_by_server("scheduler", "localspawn"))
loop.add_channel(scheduler, spawner.take, lambda gone: loop.stop())
loop.run()
"""
TOGETHER_SOURCE = "mta/roles/localspawn/together.py"
STEPS_SOURCE = "mta/roles/localspawn/domains.py"
DOMAINS = ("a.example", "b.example", "c.example")


def record_together(tree: Tree, folder: Path) -> Recorded:
    """Six bursts to three domains, in small three, each while the one before it is on its way."""
    state, contents = folder / "state", folder / "contents"
    for each in (contents, *(state / name for name in DOMAINS)):
        each.mkdir(parents=True)
    permitted = permits.readable_by_client("scheduler", "localspawn")
    with Recording(tree, state, folder / "log", permitted, "-c", _TOGETHER, str(state), str(contents)) as recording:
        sent = deliver_bursts(recording, contents)
        return Recorded(state, recording.end(), sent)


def deliver_bursts(recording: Recording, contents: Path) -> dict[bytes, bytes]:
    """Answers what was delivered: tag and content."""
    sent: dict[bytes, bytes] = {}
    for number in range(18 if FULL else 9):
        queue_id = b"00063f8a3c1d2e4f%04x" % number
        body = b"Subject: %d\r\n\r\n%b\r\n" % (number, os.urandom(100).hex().encode())
        (contents / queue_id.decode()).write_bytes(body)
        domain = DOMAINS[number % len(DOMAINS)].encode()
        store = b"joe" if number % 2 else b"ann"
        recording.channel.send(m.Deliver(number, queue_id, b"a@client.test", b"x@" + domain, domain, store, b""))
        sent[b"%d" % number] = body.split(b"\r\n")[2]
        if number % 3 == 2:
            time.sleep(0.05)
    for answer in take(recording.channel, len(sent)):
        assert isinstance(answer, m.Attempted)
        assert answer.action == Action.DELIVERED.value, answer
    return sent


def test_no_power_cut_loses_what_localspawn_said_was_delivered(tmp_path, figure):
    """One process writes and renames, the other waits for the disk: the order is the same."""
    recorded = record_together(THE_PRODUCT, tmp_path)
    names = [call.name for call in recorded.calls]
    assert {"syncfs", "rename"} <= set(names)
    assert "fsync" not in names
    assert names.count("syncfs") < names.count("rename")
    assert damage_to_store(recorded, tmp_path / "scratch", DOMAINS) == []
    figure("power cuts tried on local and localspawn together", len(recorded.calls) * (3 + SOME))


@pytest.mark.parametrize(("path", "number"), _mutations((TOGETHER_SOURCE,)))
def test_localspawn_without_its_sync_is_caught(tmp_path, path, number):
    tree = copy_of_product(tmp_path / "copy")
    without(tree.root / path, number)
    assert damage_to_store(record_together(tree, tmp_path), tmp_path / "scratch", DOMAINS)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("self.written, self.asked, self.renaming = sizes, {}, {}", "self.sure, self.asked, self.renaming = sizes, {}, {}"),
        ("delivered, self.renamed = self.renamed, {}", "delivered = self.written"),
    ],
    ids=["renames what is not sure", "says delivered what is in tmp"],
)  # fmt: skip
def test_localspawn_that_leaves_out_a_step_is_caught(tmp_path, right, wrong):
    """The one sync in the source stands for two; each of them alone must be missed too."""
    tree = copy_of_product(tmp_path / "copy")
    tree.replace(STEPS_SOURCE, right, wrong)
    assert damage_to_store(record_together(tree, tmp_path), tmp_path / "scratch", DOMAINS)


# --- the recording itself


def test_of_a_recorded_process_that_breaks_off_one_learns_why_and_nothing_stays_open(tmp_path):
    """Else its failure would show as that of another test, which meets a socket that nobody closed."""
    program = "import sys; sys.exit('it broke')"
    with (
        pytest.raises(ChannelClosed) as failure,
        Recording(THE_PRODUCT, tmp_path, tmp_path / "log", permits.TO_SUPERVISOR, "-c", program) as recording,
    ):
        take(recording.channel, 1)
    assert failure.value.__notes__ == ["the recorded process said:\nit broke\n"]
    assert recording.process.returncode == 1
    assert recording.channel.closed
