"""Crash at any step: whatever is killed when, what got 250 is in a mailbox.

Every role in turn under load, the supervisor, everything at once; then every row of the spool's state table.
"""

import contextlib
import os
import random
import signal
import socket
import time

import pytest

from mta import roster
from mta.roles.localspawn.together import MANY_DOMAINS
from mta.spool.progress import Outcome, line_of
from mta.vocabulary import Action
from tests.crash._load import Load, tokens_in
from tests.fixtures.house import House, wait_until

pytestmark = [pytest.mark.journey, pytest.mark.kill]

# So many that localspawn waits for the disk on behalf of their locals (MANY_DOMAINS), when there is enough mail for it.
DOMAINS = tuple(f"{number}.test" for number in range(MANY_DOMAINS + 4))
MAILBOXES = [f"joe@{domain}" for domain in DOMAINS] + [f"ann@{DOMAINS[0]}"]
SETTINGS = {"limits.unknown_recipients_per_minute": "10000", "smtpd.max_connections_per_client": "0"}
VICTIMS = [role.name for role in roster.started_with({"smtpd.isolation": "worker"})] + ["local"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One for all: it is killed and started again anyway. Each test has tokens of its own."""
    with House(tmp_path_factory.mktemp("killed") / "house", settings=SETTINGS) as house:
        for domain in DOMAINS:
            house.add_domain(domain)
        for address in MAILBOXES:
            house.add_mailbox(address)
        for address in MAILBOXES:
            house.wait_until_known(address)
        yield house


def kill_role(house, role):
    """One process of *role*, then wait until there is another."""
    if role == "local":
        with contextlib.suppress(IndexError, ProcessLookupError):
            os.kill(house.pids("local")[0], signal.SIGKILL)
        return
    house.wait_for_restart(role, house.kill(role), 30)


def kill_everything(house):
    """Every process in one moment, and a new start."""
    pids = house.all_pids()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    house.process.wait(10)
    house.process = None
    house.start()


def found_in(house):
    found = {}
    for address in MAILBOXES:
        for token, count in tokens_in(house.maildir(address) / "new").items():
            found[token] = found.get(token, 0) + count
    return found


def spool_of(house):
    """How many files are in content, envelope, progress."""
    return [len(list((house.state / "spool" / part).iterdir())) for part in ("content", "envelope", "progress")]


@pytest.mark.must_show
@pytest.mark.timeout(900)
def test_every_message_that_got_250_is_in_a_mailbox_whoever_was_killed(house, full_size, figure):
    """2,000 messages in full size: each role in turn, the supervisor, and everything at once, at random moments."""
    wanted = 2000 if full_size else 300
    victims = VICTIMS * (2 if full_size else 1)
    chance = random.Random(20261121)
    chance.shuffle(victims)
    with Load(house.port("smtp"), MAILBOXES) as load:
        for victim in victims:
            load.wait_for(len(load.accepted) + chance.randint(5, 15), 60)
            time.sleep(chance.random() / 20)
            kill_role(house, victim)
        for _ in range(3 if full_size else 1):
            load.wait_for(len(load.accepted) + 20, 60)
            house.kill_all()  # The supervisor: everybody ends with it.
            house.start()
            load.wait_for(len(load.accepted) + 20, 60)
            kill_everything(house)
        load.wait_for(wanted, 300)
    accepted = set(load.accepted)
    wait_until(
        lambda: accepted <= set(found_in(house)), 120, lambda: f"{len(accepted - set(found_in(house)))} are missing"
    )
    wait_until(lambda: spool_of(house) == [0, 0, 0], 60, lambda: str(spool_of(house)))
    found = {token: count for token, count in found_in(house).items() if token < one_token(0)}
    twice = sum(count - 1 for count in found.values())
    figure("messages that got 250 under kill -9", len(accepted))
    figure("of them lost", len(accepted - set(found)))
    figure("of them twice", twice)
    figure("delivered though the reply was lost", len(set(found) - accepted))
    assert twice < len(found) / 100


# --- every row of the state table


def one_token(number):
    """A token that no load has."""
    return f"token-{90_000_000 + number}-token"


def content_with(token):
    return f"Subject: x\r\n\r\n{token}\r\n".encode()


def one(house, number):
    """A message with a token, accepted."""
    house.send(MAILBOXES[0], content_with(one_token(number)))
    return one_token(number)


def wait_delivered(house, token, count=1):
    """Until *token* is in *count* mailboxes and the spool is empty."""
    wait_until(lambda: found_in(house).get(token) == count, 30, lambda: f"{token}: {found_in(house).get(token)}")
    wait_until(lambda: spool_of(house) == [0, 0, 0], 30, lambda: str(spool_of(house)))


def all_messages(house):
    return sum(found_in(house).values())


def test_s1_a_message_that_was_still_coming_is_gone_and_nobody_was_told_250(house):
    """Content without envelope: the client is told nothing good, and no file stays."""
    before = all_messages(house)
    with socket.create_connection(("127.0.0.1", house.port("smtp")), 10) as client:
        reader = client.makefile("rb")
        reader.readline()
        for line in ("HELO client.test", "MAIL FROM:<a@client.test>", f"RCPT TO:<{MAILBOXES[0]}>", "DATA"):
            client.sendall(line.encode() + b"\r\n")
            reader.readline()
        client.sendall((b"y" * 76 + b"\r\n") * 10_000)
        wait_until(lambda: spool_of(house)[0] == 1, 10)
        assert spool_of(house) == [1, 0, 0]
        kill_everything(house)
        reader.close()
    wait_until(lambda: spool_of(house) == [0, 0, 0], 10, lambda: str(spool_of(house)))
    assert all_messages(house) == before


@contextlib.contextmanager
def still(house, role):
    """*role* stands still, and is then killed with everybody else."""
    house.kill(role, number=signal.SIGSTOP)
    yield
    kill_everything(house)


def test_s2_an_accepted_message_is_delivered_after_the_start(house):
    """Content and envelope; the scheduler never saw it."""
    with still(house, "scheduler"):
        token = one(house, 1)
        assert spool_of(house) == [1, 1, 0]
    wait_delivered(house, token)


def put(house, part, name, octets):
    """A file in the spool as the role that owns the folder would have left it."""
    path = house.state / "spool" / part / name
    path.write_bytes(octets)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def test_s3_a_message_with_progress_goes_on_with_what_is_undecided(house):
    """Two recipients, one of them delivered according to progress: only the other gets it."""
    house.wait_ready()
    house.kill("scheduler", number=signal.SIGSTOP)
    token, recipients = one_token(2), [MAILBOXES[0], MAILBOXES[2]]
    with house.smtp() as client:
        client.sendmail("a@client.test", recipients, content_with(token))
    (content,) = (house.state / "spool/content").iterdir()
    house.kill_all()
    line = Outcome(0, recipients[0].encode(), Action.DELIVERED, b"2.0.0", 1, int(time.time()), b"", completes=1)
    put(house, "progress", content.name, line_of(line))
    house.start()
    wait_delivered(house, token)
    assert tokens_in(house.maildir(recipients[1]) / "new")[token] == 1


@pytest.mark.parametrize(("row", "left"), [(4, ("progress", "content")), (5, ("content",))])
def test_s4_and_s5_what_a_stopped_cleaner_left_goes_and_is_not_delivered_again(house, row, left):
    """The envelope was unlinked, and then everything died."""
    with still(house, "scheduler"):
        former = one(house, row)
        (content,) = (house.state / "spool/content").iterdir()
        octets = content.read_bytes()
    wait_delivered(house, former)
    house.kill_all()
    for part in left:
        put(house, part, content.name, octets)
    (
        house.maildir(MAILBOXES[0])
        / "new"
        / next(p.name for p in house.messages(MAILBOXES[0]) if content.name in p.name)
    ).unlink()
    house.start()
    wait_until(lambda: spool_of(house) == [0, 0, 0], 20, lambda: str(spool_of(house)))
    wait_delivered(house, one(house, row + 10))
    assert former not in found_in(house)
