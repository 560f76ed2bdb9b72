"""A taken-over TLS cell: it has one client and one key, and reaches no kernel, no other conversation and no second key."""

import contextlib
import os
import platform
import shutil
import smtplib
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.wire import messages as m
from tests.attack import files
from tests.attack.injector import injected
from tests.attack.probes import NUMBERS, PROBES, Target
from tests.fixtures.house import House, children, wait_until

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
UID_BASE = 1_900_000_000


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="postern-tls-cells-"))
    folder.chmod(0o711)
    try:
        with House(folder / "house", settings={"smtpd.isolation": '"connection"'}, awake=True) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def secured(house: House) -> smtplib.SMTP:
    """A conversation under TLS."""

    def begin() -> smtplib.SMTP | None:
        client = house.smtp()
        client.ehlo()
        if client.has_extn("starttls"):
            client.starttls(context=ssl._create_unverified_context())
            return client
        client.close()
        return None

    return wait_until(begin, 30, house.said)


@contextlib.contextmanager
def two_cells(house: House) -> Iterator[tuple[int, int, smtplib.SMTP]]:
    """Two conversations: the victim's pid, the other's, and the other client."""
    with secured(house) as one:
        [victim] = children(house.pid("tlsspawn"))
        with secured(house) as other:
            [neighbour] = set(children(house.pid("tlsspawn"))) - {victim}
            yield victim, neighbour, other
        with contextlib.suppress(smtplib.SMTPException, OSError):
            one.noop()
    wait_until(lambda: not children(house.pid("tlsspawn")), 30)


@pytest.mark.must_show
def test_it_reaches_nothing_of_the_kernel_and_no_neighbour(house: House) -> None:
    """Every probe of the suite, aimed at the cell of the conversation beside it, whose uid is another."""
    with two_cells(house) as (victim, neighbour, other):
        assert Path(f"/proc/{victim}/environ").stat().st_uid == 0  # not dumpable: nobody of its own uid looks in
        uids = {Path(f"/proc/{pid}/status").read_text().split("Uid:\t")[1].split()[0] for pid in (victim, neighbour)}
        assert len(uids) == 2
        sockets = [
            int(entry.name) for entry in Path(f"/proc/{victim}/fd").iterdir() if os.readlink(entry)[:6] == "socket"
        ]
        first = UID_BASE + roster.TLS_CELL_UIDS_FROM
        target = Target(
            neighbour, house.pid("supervisor"), house.port("smtp"), first, sockets, roster.CELL_UIDS, UID_BASE
        )
        with injected(victim) as taken:
            through = {
                probe.name: answer for probe in PROBES if (answer := probe.attempt(taken, target)) not in probe.denied
            }
            into_the_pool = taken.syscall(NUMBERS["setresuid"], first + 1, first + 1, first + 1)
            paths = list(files.foreign_files(house.state, roster.TLS_CELL))
            read = [path for path in paths if any(answer >= 0 for answer in files.ways_to(taken, house.state, path))]
        assert (through, into_the_pool, read) == ({}, -1, [])
        assert "keys/tls.key" in paths
        assert other.noop()[0] == 250


@pytest.mark.must_show
def test_it_gets_no_second_key_and_speaks_for_nobody(house: House) -> None:
    """It had its one answer: the keeper has hung up. Whatever it says on what it still holds reaches no other role."""
    with two_cells(house) as (victim, _, other):
        lies = (m.KeyOf(b"another", b"mx.house.test"), m.Secured(1, b"", b""), m.Poke())
        keeper = house.pid("tls")
        with injected(victim) as taken:
            for entry in Path(f"/proc/{victim}/fd").iterdir():
                for lie in lies:
                    packet = lie.encode()
                    if os.readlink(entry).startswith("socket:"):
                        taken.syscall(NUMBERS["sendto"], int(entry.name), packet, len(packet), 0x4040, 0, 0)
        assert other.noop()[0] == 250
        assert house.pid("tls") == keeper
    house.settle()
    assert not house.events("handshake-failed")
