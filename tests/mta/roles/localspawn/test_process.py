"""localspawn and its locals as the processes they are, with a real storekeeper beside them."""

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from mta import roster
from mta.wire import channel
from mta.wire import messages as m
from tests.fixtures.lone_role import UID_BASE, open_way_to_mail, receive, run_as

FIRST = UID_BASE + roster.DOMAIN_UIDS_FROM
CONTENT = b"Received: by mx\r\nSubject: hi\r\n\r\nbody\r\n"
MODES = pytest.mark.parametrize("root", [True, False], ids=["root", "ordinary"])


class Delivering:
    """Both processes joined, and the test as scheduler, ledger and journal."""

    def __init__(self, lone_role, state, *, root):
        self.state, self.root = state, root
        self.storekeeper = lone_role(roster.STOREKEEPER, state, root=root)
        self.localspawn = lone_role(roster.LOCALSPAWN, state, root=root)
        self.join()
        self.scheduler = self.localspawn.as_client("scheduler")
        self.ledger = self.localspawn.as_server("ledger")
        self.journal = self.localspawn.as_server("journal")
        for role in (self.storekeeper, self.localspawn):
            assert receive(role.control)[0] == m.Ready()

    def join(self):
        asking, answering = channel.pair()
        self.localspawn.control.send(m.Peer(b"storekeeper", 0, False), (asking.fileno(),))
        self.storekeeper.control.send(m.Peer(b"localspawn", 0, True), (answering.fileno(),))
        asking.close()
        answering.close()

    def put(self, number, octets=CONTENT):
        """A content file as enqueuer leaves it."""
        queue_id = b"00063f8a3c1d2e4f%04x" % number
        path = self.state / "spool/content" / queue_id.decode()
        path.write_bytes(octets)
        path.chmod(0o644)
        return queue_id

    def send(self, number, domain=b"one.example", store=b"joe", octets=CONTENT, counted=b""):
        queue_id = self.put(number, octets)
        self.scheduler.send(m.Deliver(number, queue_id, b"ann@example.net", b"joe@" + domain, domain, store, counted))

    def deliver(self, number, **how):
        self.send(number, **how)
        return receive(self.scheduler)[0]

    def locals(self):
        """The pids of living locals."""
        own = self.localspawn.process.pid
        return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]

    def messages(self, domain="one.example", store="joe"):
        return sorted((self.state / "mail" / domain / store / "Maildir/new").glob("*"))


@pytest.fixture
def start(lone_role, state):
    return lambda *, root=True: Delivering(lone_role, state, root=root)


def status_of(pid):
    """Name to value, from /proc/<pid>/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@MODES
def test_a_message_is_delivered_under_the_uid_of_its_domain(start, root):
    house = start(root=root)
    answer = house.deliver(1, counted=b"joe@one.example")
    assert (answer.tag, answer.action, answer.status) == (1, b"delivered", b"2.0.0")
    (path,) = house.messages()
    octets = path.read_bytes()
    assert octets == b"Return-Path: <ann@example.net>\nDelivered-To: joe@one.example\n" + CONTENT.replace(
        b"\r\n", b"\n"
    )
    assert answer.size == len(octets)
    found = path.stat()
    assert found.st_uid == (FIRST if root else os.geteuid())
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert receive(house.ledger)[0] == m.Stored(b"00063f8a3c1d2e4f0001", b"joe@one.example", len(octets))


def test_each_local_has_its_domain_s_uid_and_nothing_else(start):
    """No capabilities, no groups, no new privileges, system calls filtered; and two domains never share a uid."""
    house = start()
    for number, domain in enumerate((b"one.example", b"two.example")):
        assert house.deliver(number, domain=domain).action == b"delivered"
    pids = house.locals()
    assert len(pids) == 2
    uids = []
    for pid in pids:
        status = status_of(pid)
        uids.append(set(status["Uid"].split()))
        assert len(uids[-1]) == 1
        assert set(status["Gid"].split()) == uids[-1]
        assert status["Groups"] == ""
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert {uid for each in uids for uid in each} == {str(FIRST), str(FIRST + 1)}


def test_a_local_holds_its_channel_and_its_folder_and_no_other_descriptor(start):
    house = start()
    house.deliver(1)
    (pid,) = house.locals()
    held = {os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd") if int(number) > 2}
    # As root the folder is seen from its own root directory or from ours; the rest of it is the same.
    folders = [name for name in held if name.endswith("/mail/one.example")]
    sockets = [name for name in held if name.startswith("socket:")]
    assert len(folders) == len(sockets) == 1
    assert len(held) == 2


def test_the_uid_of_one_domain_cannot_read_another_s_mail(start):
    house = start()
    for number, domain in enumerate((b"one.example", b"two.example")):
        house.deliver(number, domain=domain)
    open_way_to_mail(house.state)
    (path,) = house.messages("two.example")
    assert run_as(FIRST + 1, lambda: len(path.read_bytes()) > 0) == "True"
    assert run_as(FIRST, path.read_bytes) == "PermissionError"
    assert run_as(FIRST, lambda: os.listdir(path.parent)) == "PermissionError"


def test_links_to_another_domain_below_one_s_own_are_not_followed(start):
    """What a customer's uid can plant: nothing arrives at the other's, and nothing of the other's is changed."""
    house = start()
    for number, domain in enumerate((b"bad.example", b"good.example")):
        house.deliver(number, domain=domain)
    before = {path: path.stat().st_mtime_ns for path in (house.state / "mail/good.example").rglob("*")}
    bad, good = house.state / "mail/bad.example", house.state / "mail/good.example"
    open_way_to_mail(house.state)
    for store, target in (("ann", good / "joe"), ("bob", good)):
        assert run_as(FIRST, lambda store=store, target=target: os.symlink(target, bad / store)) == "None"
        answer = house.deliver(10, domain=b"bad.example", store=store.encode())
        assert (answer.action, answer.status) == (b"delayed", b"4.2.0")
    assert {path: path.stat().st_mtime_ns for path in good.rglob("*")} == before


def test_a_local_killed_in_the_middle_loses_nothing_and_repeats_nothing(start):
    """Killed with many deliveries in hand: each is answered; what was not delivered is, at the second asking, once."""
    house = start()
    house.deliver(0)
    numbers = range(1, 150)
    for number in numbers:
        house.send(number)
    (pid,) = house.locals()
    os.kill(pid, signal.SIGKILL)
    answers = [receive(house.scheduler)[0] for _ in numbers]
    assert sorted(answer.tag for answer in answers) == list(numbers)
    for answer in answers:
        if answer.action != b"delivered":
            house.send(answer.tag)
            assert receive(house.scheduler)[0].action == b"delivered"
    assert len(house.messages()) == 150
    assert any(answer.action == b"delayed" for answer in answers), "killed too late; the test proved nothing"


def test_locals_end_with_localspawn_however_it_ends(start):
    house = start()
    house.deliver(1)
    (pid,) = house.locals()
    house.localspawn.process.kill()
    house.localspawn.process.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()


def test_told_to_stop_it_finishes_what_is_in_hand_and_leaves_nobody(start):
    house = start()
    house.deliver(0)
    pids = house.locals()
    for number in range(1, 40):
        house.send(number)
    for _ in range(1, 40):
        assert receive(house.scheduler)[0].action == b"delivered"
    house.localspawn.control.send(m.Stop())
    assert house.localspawn.process.wait(5) == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_a_domain_that_is_removed_and_added_again_while_its_local_lives_gets_its_mail(start):
    """The local has the folder open; the mail goes where the mailbox is now, and not into the trash."""
    house = start()
    compiler = house.storekeeper.as_client("compiler")
    assert house.deliver(1).action == b"delivered"
    compiler.send(m.TrashStore(1, b"one.example", b""))
    assert receive(compiler)[0].done
    assert house.deliver(2).action == b"delivered"
    assert len(house.messages()) == 1


def test_a_storekeeper_that_is_replaced_is_asked_anew(start, lone_role):
    house = start()
    assert house.storekeeper.end() == ""
    house.send(1)
    house.storekeeper = lone_role(roster.STOREKEEPER, house.state)
    house.join()
    assert receive(house.scheduler)[0].action == b"delivered"
