"""smtpd.isolation = "connection": the way remote -> mailbox through a cell, what is refused, and who is hurt by a kill."""

import contextlib
import os
import re
import signal
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from tests.crash._load import Load, UserLoad, tokens_in
from tests.fixtures.house import House, _alive, children, wait_until

pytestmark = pytest.mark.journey

ADDRESS = "joe@cells.test"
SETTINGS = {
    "smtpd.isolation": '"connection"',
    "smtpd.max_connections_per_client": "0",
    "smtpd.max_connections": "40",
    "limits.unknown_recipients_per_minute": "10000",
    "limits.sends_per_hour": "0",
    "limits.sends_per_day": "0",
}
USER, PASSWORD = "user@cells.test", "correct horse"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("cells") / "house", settings=SETTINGS, submission=True, awake=True) as made:
        made.add_domain("cells.test")
        made.add_mailbox(USER, password=PASSWORD)
        made.add_mailbox(ADDRESS)
        made.wait_until_known(ADDRESS)
        made.wait_until_users_may_come()
        yield made


def cells(house: House, spawner: str = "smtpdspawn") -> list[int]:
    """The cells that live now; one that has ended and waits to be reaped is none."""
    return [pid for pid in children(house.pid(spawner)) if _alive(pid)]


def settled(house: House) -> None:
    """Until no conversation is left of what came before."""
    wait_until(lambda: not children(house.pid("smtpdspawn")), 30, house.said)


def cell_of(house: House, client: smtplib.SMTP) -> int:
    """The process that holds the conversation with *client*: the youngest."""
    client.ehlo()
    # Two may be born within one tick of the clock that the kernel writes down; the later one has the higher number.
    return max(cells(house), key=lambda pid: (_born(pid), pid))


def _born(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def uids(pid: int) -> set[int]:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:")]
    return {int(uid) for uid in line.split()[1:]}


@pytest.mark.must_show
def test_a_message_comes_through_a_cell(house: House) -> None:
    """The Maildir has what was sent; no smtpd exists; `status` shows who is there instead."""
    had = len(house.messages(ADDRESS))
    house.send(ADDRESS, b"Subject: by cell\r\n\r\n.\r\n..\r\n\xff\r\n")
    path = house.wait_for_messages(ADDRESS, had + 1)[-1]
    assert path.read_bytes().endswith(b"Subject: by cell\n\n.\n..\n\xff\n")
    assert house.pids("smtpd") == []
    shown = house.postern("status").stdout
    assert re.search(r"(?m)^smtpdspawn\b", shown)
    assert not re.search(r"(?m)^smtpd\b", shown)


@pytest.mark.must_show
def test_each_conversation_has_a_process_and_a_uid_of_its_own(house: House) -> None:
    """Ten at once: ten cells, as root ten uids of the cells' range, and none is left when the clients are gone."""
    settled(house)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(house.smtp()) for _ in range(10)]
        assert all(client.ehlo()[0] == 250 for client in clients)
        living = cells(house)
        assert len(living) == 10
        if os.geteuid() == 0:
            first = 1_900_000_000 + roster.CELL_UIDS_FROM
            owners = [uids(pid) for pid in living]
            assert all(len(each) == 1 for each in owners)
            assert len(set.union(*owners)) == 10
            assert all(first <= uid < first + roster.CELL_UIDS for uid in set.union(*owners))
    settled(house)


@pytest.mark.must_show
def test_refusals_are_the_same(house: House) -> None:
    """Unknown, foreign; each with its own reply."""
    assert house.rcpt("nobody@cells.test")[0] == 550
    assert house.rcpt("nobody@cells.test")[1].startswith("5.1.1")
    assert house.rcpt("victim@elsewhere.test")[1].startswith("5.7.1")


def test_a_cell_that_dies_hurts_nobody_else(house: House) -> None:
    """Its client's connection ends; the one beside it, and whoever comes next, are served."""
    with house.smtp() as other:
        other.ehlo()
        victim = house.smtp()
        os.kill(cell_of(house, victim), signal.SIGKILL)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            victim.noop()
        victim.close()
        other.sendmail("a@client.test", [ADDRESS], b"Subject: beside\r\n\r\n.\r\n")
    wait_until(lambda: any(event["status"] == "-9" for event in house.events("cell-ended")), 30, house.said)
    assert house.rcpt(ADDRESS)[0] == 250


def test_a_directory_that_comes_back_serves_later_cells(house: House) -> None:
    """A cell's channels are its own for life: without directory it says 451, never 550; the next cell has the new one."""
    with house.smtp() as client:
        client.ehlo()
        former = house.kill("directory")
        house.wait_for_restart("directory", former)
        client.mail("a@client.test")
        assert client.rcpt(ADDRESS)[0] == 451
    wait_until(lambda: house.rcpt(ADDRESS)[0] == 250, 30, house.said)


def test_too_many_conversations_hear_421(house: House) -> None:
    """Beyond smtpd.max_connections nobody is kept waiting, and a place that is free again is given again."""
    settled(house)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(house.smtp()).ehlo()
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            house.smtp()
        assert refused.value.smtp_code == 421
    settled(house)
    assert house.rcpt(ADDRESS)[0] == 250


def said_until_the_end(sock: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionError):
        while octets := sock.recv(4096):
            said += octets
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="under one uid for all the kernel kills the cells with their parent")
def test_a_killed_spawner_leaves_no_orphan(house: House) -> None:
    """Its cells say 421 and end; a fresh one serves."""
    with socket.create_connection(("127.0.0.1", house.port("smtp")), timeout=10) as idle:
        assert idle.recv(512).startswith(b"220")
        orphans = cells(house)
        former = house.kill("smtpdspawn")
        assert said_until_the_end(idle).startswith(b"421 4.3.2")
    wait_until(lambda: not any(_alive(pid) for pid in orphans), 30, house.said)
    house.wait_for_restart("smtpdspawn", former)
    wait_until(lambda: house.rcpt(ADDRESS)[0] == 250, 30, house.said)


@pytest.mark.must_show
@pytest.mark.timeout(300)
def test_no_250_is_lost_whoever_is_killed(house: House) -> None:
    """Cells and spawners of strangers and of users killed under load at any moment: what was accepted is in the mailbox."""
    strangers = Load(house.port("smtp"), [ADDRESS])
    users = UserLoad(house.port("submission"), [ADDRESS], (USER, PASSWORD), threads=2, first=40_000_000)
    with strangers, users:
        for number in range(12):
            strangers.wait_for(len(strangers.accepted) + 8, 60)
            spawner = ("smtpdspawn", "submissionspawn", "tlsspawn")[number % 3]
            if number % 4 == 2:
                house.wait_for_restart(spawner, house.kill(spawner), 30)
            for pid in cells(house, spawner)[:2]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for load, least in ((strangers, 90), (users, 10)):
            load.wait_for(max(len(load.accepted) + 5, least), 60)
    accepted = set(strangers.accepted) | set(users.accepted)
    assert len(strangers.accepted) >= 90
    assert len(users.accepted) >= 10
    wait_until(lambda: accepted <= set(tokens_in(house.maildir(ADDRESS) / "new")), 60, house.said)


def test_a_stop_is_polite_and_leaves_nobody(house: House) -> None:
    """An idle client hears 421; every process is gone in time. Last here: the house starts again afterwards."""
    pids = house.all_pids()
    with socket.create_connection(("127.0.0.1", house.port("smtp")), timeout=10) as idle:
        assert idle.recv(512).startswith(b"220")
        assert house.process is not None
        house.process.send_signal(signal.SIGTERM)
        assert said_until_the_end(idle).startswith(b"421 4.3.2")
    assert house.process.wait(20) == 0
    assert not [pid for pid in pids if _alive(pid)]
    house.start()
    assert house.rcpt(ADDRESS)[0] == 250
