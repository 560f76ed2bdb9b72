"""Crash at any step: whatever is killed when, what got 250 is in a mailbox, or at the host it was for.

Every role in turn under the load of strangers and of users, the supervisor, everything at once; then every row of the spool's
state table. A mailbox has each message once. Another host may have one twice, when who sent it was killed as it was taken.
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
from tests.crash._load import Load, UserLoad, tokens_in
from tests.fakes.mx import Manners
from tests.fakes.zone import Zone
from tests.fixtures.house import House, children, wait_until
from tests.journeys.test_out import World

pytestmark = [pytest.mark.journey, pytest.mark.kill]

# So many that localspawn waits for the disk on behalf of their locals (MANY_DOMAINS), when there is enough mail for it.
DOMAINS = tuple(f"{number}.test" for number in range(MANY_DOMAINS + 4))
MAILBOXES = [f"joe@{domain}" for domain in DOMAINS] + [f"ann@{DOMAINS[0]}"]
USER, PASSWORD = "user@0.test", "correct horse"
OUTSIDE, FORWARDED = "bob@away.example", "away@0.test"
SETTINGS = {
    "limits.unknown_recipients_per_minute": "10000", "smtpd.max_connections_per_client": "0",
    "limits.hijack_brake": "false", "limits.sends_per_hour": "0", "limits.sends_per_day": "0",
    "outbound.allow_loopback": "true",
}  # fmt: skip
CHILDREN = ["local", "nursery", "remote"]
VICTIMS = [
    role.name
    for role in roster.started_with({"smtpd.isolation": "worker", "listen.submission": "some", "listen.panel": "one"})
] + CHILDREN
# Who stands between another host's 250 and the line that says so: killed then, nobody knows, and it is sent again.
SENDERS = {"remote", "nursery", "remotespawn", "scheduler", "everybody"}
IN_FLIGHT_SECONDS = 5.0  # from that 250 to the line, on a machine that runs all tests at once
FIRST_OF_USER = 40_000_000


class Sink:
    """Another host, which remembers when it took what."""

    def __init__(self):
        self.taken = []  # (moment, token)

    def serve(self, sock, _):
        reader = sock.makefile("rb")
        sock.sendall(b"220 sink.test ESMTP\r\n")
        while line := reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                sock.sendall(b"354 go\r\n")
                token = b""
                while (line := reader.readline()) != b".\r\n":
                    if not line:
                        return  # Whoever sent it is dead.
                    token = line.strip() if line.startswith(b"token-") else token
                self.taken.append((time.time(), token.decode()))
            sock.sendall({b"EHLO": b"250-sink.test\r\n250 DSN\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))

    def moments(self):
        """Of each token, when it was taken."""
        found = {}
        for moment, token in list(self.taken):
            found.setdefault(token, []).append(moment)
        return found


@pytest.fixture(scope="module")
def sink():
    return Sink()


@pytest.fixture(scope="module")
def world(sink):
    with Zone() as zone:
        world = World(zone)
        world.host("away.example", Manners(behave=sink.serve))
        yield world
        world.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory, world):
    """One for all: it is killed and started again anyway. Each test has tokens of its own."""
    settings = SETTINGS | {"dns.servers": f'["{world.zone.address}"]', "outbound.port": str(world.port)}
    with House(tmp_path_factory.mktemp("killed") / "house", settings=settings, submission=True, panel=True) as house:
        for domain in DOMAINS:
            house.add_domain(domain)
        for address in MAILBOXES:
            house.add_mailbox(address)
        house.add_mailbox(USER, password=PASSWORD)
        house.add_alias(FORWARDED, "joe@away.example")
        for address in (*MAILBOXES, FORWARDED):
            house.wait_until_known(address)
        house.wait_until_users_may_come()
        yield house


def kill_child(house, role):
    """One that the supervisor did not start: whoever did starts the next when there is work for it."""
    with contextlib.suppress(IndexError, ProcessLookupError):
        if role == "local":
            pids = house.pids("local")
        else:
            pids = children(house.pid("remotespawn"))
            pids = pids if role == "nursery" else [remote for nursery in pids for remote in children(nursery)]
        os.kill(pids[0], signal.SIGKILL)


def kill_roles(house, roles):
    """One process of each of *roles*, then wait until there is another of each."""
    named = [role for role in roles if role not in CHILDREN]
    # Whoever lost his child a moment ago ended too, and may not be back yet.
    wait_until(lambda: all(house.pids(role) for role in named), 30, house.said)
    former = {role: house.kill(role) for role in named}
    for role in set(roles).intersection(CHILDREN):
        kill_child(house, role)
    for role, pid in former.items():
        house.wait_for_restart(role, pid, 30)


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


def arrived(house, sink):
    """Tokens, and how often each is somewhere."""
    return found_in(house) | {token: len(moments) for token, moments in sink.moments().items()}


def drain(house, sink, accepted):
    """Wait until everything accepted is somewhere and the spool is empty; what waits for another moment is called now."""
    deadline = time.monotonic() + 120
    while missing := accepted - set(arrived(house, sink)):
        assert time.monotonic() < deadline, f"{len(missing)} are missing, such as {min(missing)}"
        house.postern("queue", "flush", check=False)
        time.sleep(1)
    wait_until(lambda: spool_of(house) == [0, 0, 0], 60, lambda: str(spool_of(house)))


def kill_all_in_turn(house, loads, victims, chance, at_once):
    """*at_once* of *victims* at a random moment, again and again; answers the moments at which who sends was killed."""
    senders_killed = []
    for start in range(0, len(victims), at_once):
        for load in loads:
            load.wait_for(len(load.accepted) + chance.randint(2, 8), 60)
        time.sleep(chance.random() / 20)
        roles = victims[start : start + at_once]
        if SENDERS.intersection(roles):
            senders_killed.append(time.time())
        kill_roles(house, roles)
    return senders_killed


@pytest.mark.must_show
@pytest.mark.timeout(900)
def test_every_message_that_got_250_is_where_it_was_to_go_whoever_was_killed(house, sink, full_size, figure):
    """2,000 messages in full size: each role in turn, the supervisor, and everything at once, at random moments.

    In small three at once, so that it is over sooner.
    """
    wanted = 2000 if full_size else 300
    victims = VICTIMS * (2 if full_size else 1)
    chance = random.Random(20261121)
    chance.shuffle(victims)
    strangers = Load(house.port("smtp"), [*MAILBOXES, FORWARDED], threads=8 if full_size else 3)
    users = UserLoad(
        house.port("submission"),
        [OUTSIDE, MAILBOXES[0]],
        (USER, PASSWORD),
        threads=3 if full_size else 2,
        first=FIRST_OF_USER,
    )
    with strangers, users:
        senders_killed = kill_all_in_turn(house, (strangers, users), victims, chance, 1 if full_size else 3)
        for _ in range(3 if full_size else 1):
            strangers.wait_for(len(strangers.accepted) + 20, 60)
            senders_killed.append(time.time())
            house.kill_all()  # The supervisor: everybody ends with it.
            house.start()
            strangers.wait_for(len(strangers.accepted) + 20, 60)
            senders_killed.append(time.time())
            kill_everything(house)
        strangers.wait_for(wanted, 300)
        users.wait_for(wanted // 10, 300)
    accepted = set(strangers.accepted) | set(users.accepted)
    drain(house, sink, accepted)
    found = {token: count for token, count in found_in(house).items() if token < one_token(0)}
    sent = sink.moments()
    twice = sum(count - 1 for count in found.values())
    figure("messages that got 250 under kill -9", len(accepted))
    figure("of them for other hosts", len(accepted.intersection(sent)))
    figure("of them lost", len(accepted - set(found) - set(sent)))
    figure("of them twice in a mailbox", twice)
    figure("of them twice at another host", sum(len(moments) - 1 for moments in sent.values()))
    figure("delivered though the reply was lost", len((set(found) | set(sent)) - accepted))
    assert len(accepted.intersection(sent)) > wanted // 20
    assert twice < len(found) / 100
    for token, moments in sent.items():
        for moment in sorted(moments)[:-1]:
            reasons = [killed for killed in senders_killed if -0.5 < killed - moment < IN_FLIGHT_SECONDS]
            assert reasons, (
                f"{token} was taken at {moment} and sent again, and who sends was killed at {senders_killed}"
            )


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
        wait_until(lambda: spool_of(house)[0] == 1, 30)
        assert spool_of(house) == [1, 0, 0]
        kill_everything(house)
        reader.close()
    wait_until(lambda: spool_of(house) == [0, 0, 0], 30, lambda: str(spool_of(house)))
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
