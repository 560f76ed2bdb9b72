"""A taken-over role lies to its peers, over its own real channels: forged tickets, others' words, others' names, junk.

Each lie is sent on every channel that the role holds, since code that took it over would not know which is which either.
"""

import contextlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.wire import messages as m
from mta.wire.control import CONTROL_FD
from tests.attack import files
from tests.attack.injector import injected
from tests.attack.probes import NUMBERS, PROBES, Target
from tests.fixtures.house import House, wait_until
from tests.fixtures.trees import copy_of_product

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
POSTMASTER = "postmaster@mx.house.test"
MAC = b"\x00" * 16


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="postern-claims-"))
    try:
        tree = copy_of_product(folder / "copy")
        # Each lie costs an smtpd its life, and one that keeps ending would have to wait longer each time.
        tree.replace("appliance/supervisor/restart.py", "LONGEST_DELAY = 10.0", "LONGEST_DELAY = 0.0")
        with House(folder / "house", tree=tree, awake=True) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def channels_of(pid: int) -> list[int]:
    """The descriptors that are sockets, without the way to the supervisor."""
    return [
        int(entry.name)
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if int(entry.name) != CONTROL_FD and os.readlink(entry).startswith("socket:")
    ]


def say(pid: int, *messages: m.Message | bytes, to_supervisor: bool = False) -> int:
    """Send *messages* on every channel of *pid*; answers on how many the first was taken."""
    taken = 0
    with injected(pid) as victim:
        for descriptor in [CONTROL_FD] if to_supervisor else channels_of(pid):
            for number, message in enumerate(messages):
                packet = message if isinstance(message, bytes) else message.encode()
                answer = victim.syscall(NUMBERS["sendto"], descriptor, packet, len(packet), 0x4040, 0, 0)
                taken += number == 0 and answer > 0
    return taken


def begin_anew(house: House, role: str = "smtpd") -> None:
    """A liar was hung up on; another takes its place."""
    pid = house.pid(role)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    house.wait_for_restart(role, pid)


def spool(house: House) -> list[str]:
    return [name for part in ("content", "envelope") for name in os.listdir(house.state / "spool" / part)]


def settled(house: House, before: dict[str, list[int]], but: str) -> None:
    """Nobody but the liar was hurt, and the house serves."""
    wait_until(lambda: house.status().get("ready"), 20, house.said)
    after = {role.name: house.pids(role.name) for role in roster.ROLES if role.name != but}
    assert after == {name: pids for name, pids in before.items() if name != but}


def all_pids(house: House) -> dict[str, list[int]]:
    return {role.name: house.pids(role.name) for role in roster.ROLES}


def forged(session: bytes, reverse: bytes, forward: bytes) -> tuple[m.Message, ...]:
    expiry = int(time.time()) + 3600
    return (
        m.Offer(1, session, b"127.0.0.1", MAC, b"evil.test", b"ESMTP", b"", reverse, forward, b"", expiry, MAC),
        m.Content(1, last=True, block=b"Subject: relayed\r\n\r\n.\r\n"),
    )


@pytest.mark.must_show
@pytest.mark.parametrize("forward_path", [b"victim@elsewhere.test", POSTMASTER.encode()])
def test_a_taken_over_smtpd_cannot_relay_nor_skip_the_directory(house: House, forward_path: bytes) -> None:
    """A ticket that nobody gave is refused before a file is made, for foreign addresses and for our own."""
    house.settle()
    before, refused, accepted = all_pids(house), len(house.events("proof-refused")), len(house.events("accepted"))
    assert say(house.pid("smtpd"), *forged(b"f" * 16, b"evil@evil.test", forward_path)) >= 2
    wait_until(lambda: len(house.events("proof-refused")) > refused, 30, house.said)
    assert spool(house) == []
    house.settle()
    assert len(house.events("accepted")) == accepted
    begin_anew(house)
    settled(house, before, "smtpd")


@pytest.mark.must_show
def test_a_real_ticket_is_good_for_nothing_else(house: House) -> None:
    """What the directory signed for one recipient and sender does not let another through."""
    refused = len(house.events("proof-refused"))
    client = house.smtp()
    client.ehlo()
    client.mail("someone@client.test")
    assert client.rcpt(POSTMASTER)[0] == 250
    for pid in house.pids("smtpd"):
        say(pid, *forged(b"0" * 16, b"someone@client.test", b"victim@elsewhere.test"))
    wait_until(lambda: len(house.events("proof-refused")) > refused, 30, house.said)
    client.close()
    assert spool(house) == []
    begin_anew(house)


@pytest.mark.must_show
@pytest.mark.parametrize(
    "lie",
    [
        m.OfferDsn(1, b"0" * 20, MAC),  # the bouncer's word
        m.OfferNotice(1, POSTMASTER.encode(), 1 << 40, MAC),
        m.OfferConsent(1, b"victim@elsewhere.test", 1 << 40, MAC),
        m.OfferReply(1, b"0" * 20, MAC, False),
        m.OriginalOf(1, b"0" * 20, MAC, False),
        m.Queued((b"0" * 20, b"envelope")),  # the enqueuer's
        m.Deliver(1, b"0" * 20, b"", b"a@b.test", b"b.test", b"a", b""),  # the scheduler's
        m.Clean((b"0" * 20,)),
        m.Reserve(b"0" * 20, POSTMASTER.encode(), 1 << 40),
        m.KeepPath(b"token", b"evil@evil.test"),  # the directory's
        m.TrashStore(1, b"mx.house.test", b"postmaster"),  # the compiler's
        m.Verify(1, b"account", b"operator", b"guess"),  # the web's
        m.Poke(),
        b"junk",
        b"5:stop,",
    ],
    ids=lambda lie: type(lie).__name__ if isinstance(lie, m.Message) else repr(lie),
)
def test_a_taken_over_smtpd_cannot_speak_for_others(house: House, lie: m.Message | bytes) -> None:
    """Whoever hears it hangs up; nothing happens, nobody else ends, mail goes on over the other smtpd and a fresh one."""
    before, had = all_pids(house), len(house.messages(POSTMASTER))
    assert say(house.pid("smtpd"), lie) >= 2
    begin_anew(house)
    settled(house, before, "smtpd")
    house.send(POSTMASTER, b"Subject: still here\r\n\r\n.\r\n")
    house.wait_for_messages(POSTMASTER, had + 1)
    assert len(house.messages(POSTMASTER)) == had + 1


@pytest.mark.must_show
@pytest.mark.parametrize(
    "lie",
    [m.Expand(1, POSTMASTER.encode()), m.PathOf(1, b"token"), m.TargetFailed(b"x@away.test", b"5.1.1 forged")],
    ids=lambda lie: type(lie).__name__,
)
def test_a_taken_over_bouncer_asks_for_a_language_and_for_nothing_else(house: House, lie: m.Message) -> None:
    """Not where mail goes, not whose return path it is; and what it says of others' hosts nobody hears."""
    before = all_pids(house)
    assert say(house.pid("bouncer"), m.LanguageOf(1, POSTMASTER.encode(), b""), lie) >= 2
    begin_anew(house, "bouncer")
    settled(house, before, "bouncer")
    assert house.rcpt(POSTMASTER)[0] == 250


def test_an_event_bears_the_name_of_the_channel_it_came_over(house: House) -> None:
    """smtpd says it is the scheduler and that it was long ago; the journal writes who it was, and when."""
    said = m.Event(b"delivered", (b"role", b"scheduler", b"time", b"0", b"event", b"x", b"note", b"\x1b[2Jforged"))
    say(house.pid("smtpd"), said)
    [event] = wait_until(lambda: [e for e in house.events("delivered") if "note" in e], 30, house.said)
    assert event["role"] == "smtpd"
    assert event["time"] > time.time() - 60
    assert "\x1b" not in house.said()
    begin_anew(house)


def test_a_role_that_lies_to_the_supervisor_is_replaced(house: House) -> None:
    """The supervisor understands one word; anything else, and the role is ended."""
    before = all_pids(house)
    pid = house.pid("cleaner")
    say(pid, m.Stop(), to_supervisor=True)
    house.wait_for_restart("cleaner", pid)
    settled(house, before, "cleaner")


@pytest.mark.must_show
def test_one_domains_local_reaches_no_other_domain(house: House) -> None:
    """`local`, with its real uid and descriptors: another domain's mail, the spool, the kernel, another uid of the pool."""
    for name in ("one.test", "two.test"):
        house.add_domain(name)
        house.add_mailbox(f"joe@{name}")
    house.wait_until_known("joe@two.test")
    house.send("joe@two.test", b"Subject: secret\r\n\r\n.\r\n")
    house.wait_for_messages("joe@two.test")
    others = set(house.pids("local"))
    house.send("joe@one.test", b"Subject: hi\r\n\r\n.\r\n")
    house.wait_for_messages("joe@one.test")
    [pid] = set(house.pids("local")) - others
    status = Path(f"/proc/{pid}/status").read_text()
    for line in ("CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in status
    first = 1_900_000_000 + roster.DOMAIN_UIDS_FROM
    target = Target(house.pid("cleaner"), house.pid("supervisor"), house.port("smtp"), first, channels_of(pid))
    with injected(pid) as victim:
        through = {
            probe.name: answer for probe in PROBES if (answer := probe.attempt(victim, target)) not in probe.denied
        }
        into_the_pool = victim.syscall(NUMBERS["setresuid"], first, first, first)
        foreign = [
            path
            for path in (str(found.relative_to(house.state)) for found in house.state.rglob("*") if found.is_file())
            if not path.startswith("mail/one.test/") and not path.startswith(files.PUBLIC)
        ]
        read = [path for path in foreign if any(answer >= 0 for answer in files.ways_to(victim, house.state, path))]
        made = any(answer >= 0 for answer in files.ways_to_make(victim, house.state, "mail/two.test/planted"))
    assert any(path.startswith("mail/two.test/") for path in foreign)
    assert (through, read, made) == ({}, [], False)
    assert into_the_pool == -1
