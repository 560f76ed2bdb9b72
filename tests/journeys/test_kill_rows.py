"""Every row of the spool's state table, as a crash leaves it, and what the next start makes of it.

A reader would otherwise get wrong: the rows lie side by side, so two crashes are enough for all of them. What is left of a message
that is finished (rows 4 and 5) is put back by hand, as a cleaner that was killed between two steps would have left it.
"""

import os
import signal
import socket
import time

import pytest

from mta.spool.progress import Outcome, line_of
from mta.vocabulary import Action
from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT
from tests.journeys.test_kill import found_in, spool_of

pytestmark = [pytest.mark.journey, pytest.mark.kill]

JOE, ANN = MAILBOXES = [f"joe@{DOMAIN}", f"ann@{DOMAIN}"]
LEFT = {4: ("progress", "content"), 5: ("content",)}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("rows") / "house", settings=PATIENT) as house:
        house.add_domain(DOMAIN)
        for address in MAILBOXES:
            house.add_mailbox(address)
            house.wait_until_known(address)
        yield house


def token_of(row):
    """What is looked for of the message in this row."""
    return f"token-{90_000_000 + row}-token"


def content_of(row):
    return f"Subject: x\r\n\r\n{token_of(row)}\r\n".encode()


def files(house, part):
    return {path.name for path in (house.state / "spool" / part).iterdir()}


def accepted(house, row, *recipients):
    """Sent, and answered 250; answers the name of its files."""
    before = files(house, "content")
    with house.smtp() as client:
        client.sendmail("a@client.test", recipients, content_of(row))
    (name,) = files(house, "content") - before
    return name


def say_half(client, row):
    """A conversation that ends within its content; answers where its replies come."""
    reader = client.makefile("rb")
    reader.readline()
    for line in ("HELO client.test", "MAIL FROM:<a@client.test>", f"RCPT TO:<{JOE}>", "DATA"):
        client.sendall(line.encode() + b"\r\n")
        reader.readline()
    client.sendall(content_of(row) + (b"y" * 76 + b"\r\n") * 10_000)
    return reader


def put(house, part, name, octets):
    """A file in the spool as the role that owns the folder would have left it."""
    path = house.state / "spool" / part / name
    path.write_bytes(octets)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def wait_until_empty(house):
    wait_until(lambda: spool_of(house) == [0, 0, 0], 30, lambda: str(spool_of(house)))


@pytest.fixture(scope="module")
def crashed(house):
    """The scheduler saw none of them; then all are killed in rows 1 to 3. Answers what the client of row 1 heard at the end, and of
    rows 4 and 5 the file's name with its octets."""
    house.kill("scheduler", number=signal.SIGSTOP)
    names = {2: accepted(house, 2, JOE), 3: accepted(house, 3, JOE, ANN)}
    names |= {row: accepted(house, row, JOE) for row in LEFT}
    assert spool_of(house) == [4, 4, 0]
    kept = {row: (names[row], (house.state / "spool/content" / names[row]).read_bytes()) for row in LEFT}
    with socket.create_connection(("127.0.0.1", house.port("smtp")), 10) as client, say_half(client, 1) as reader:
        wait_until(lambda: len(files(house, "content")) == 5, 30)
        assert spool_of(house) == [5, 4, 0]
        house.kill_all(at_once=True)
        try:
            heard = reader.read()
        except ConnectionError:
            heard = b""
    delivered = Outcome(0, JOE.encode(), Action.DELIVERED, b"2.0.0", 1, int(time.time()), b"", completes=1)
    put(house, "progress", names[3], line_of(delivered))
    house.start()
    wait_until(lambda: {token_of(row) for row in (2, 3, 4, 5)} <= set(found_in(house, MAILBOXES)), 30, house.said)
    wait_until_empty(house)
    return heard, kept


def test_s1_a_message_that_was_still_coming_is_gone_and_nobody_was_told_250(house, crashed):
    """Content without envelope: the client is told nothing good, and no file stays."""
    heard, _ = crashed
    assert heard == b""
    assert token_of(1) not in found_in(house, MAILBOXES)


def test_s2_an_accepted_message_is_delivered_after_the_start(house, crashed):
    """Content and envelope; the scheduler never saw it."""
    assert found_in(house, [JOE])[token_of(2)] == 1


def test_s3_a_message_with_progress_goes_on_with_what_is_undecided(house, crashed):
    """Two recipients, one of them delivered according to progress: only the other gets it."""
    assert [found_in(house, [address]).get(token_of(3)) for address in (JOE, ANN)] == [None, 1]


@pytest.fixture(scope="module")
def left(house, crashed):
    """Rows 4 and 5, whose messages lay in their mailbox and were read; and a start, behind which another message came."""
    _, kept = crashed
    house.kill_all()
    for row, (name, octets) in kept.items():
        for part in LEFT[row]:
            put(house, part, name, octets)
        (path,) = (path for path in house.messages(JOE) if name in path.name)
        path.unlink()
    assert spool_of(house) == [2, 0, 1]
    house.start()
    wait_until_empty(house)
    accepted(house, 6, ANN)
    wait_until(lambda: token_of(6) in found_in(house, [ANN]), 30, house.said)
    wait_until_empty(house)
    return found_in(house, MAILBOXES)


@pytest.mark.parametrize("row", LEFT)
def test_s4_and_s5_what_a_stopped_cleaner_left_goes_and_is_not_delivered_again(left, row):
    """The envelope was unlinked, and then everything died."""
    assert token_of(row) not in left
