"""Crash at any step: whatever is killed when, what got 250 is in a mailbox, or at the host it was for.

Every role in turn under the load of strangers and of users, the supervisor, everything at once; test_kill_rows.py has every row
of the spool's state table. A mailbox has each message once. Another host may have one twice, when who sent it was killed as it
was taken.
"""

import contextlib
import os
import random
import signal
import time

import pytest

from mta import roster
from mta.roles.localspawn.together import MANY_DOMAINS
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
    with House(
        tmp_path_factory.mktemp("killed") / "house", settings=settings, submission=True, panel=True, awake=True
    ) as house:
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


def found_in(house, addresses):
    """How often each token is in the mailboxes."""
    found = {}
    for address in addresses:
        for token, count in tokens_in(house.maildir(address) / "new").items():
            found[token] = found.get(token, 0) + count
    return found


def spool_of(house):
    """How many files are in content, envelope, progress."""
    return [len(list((house.state / "spool" / part).iterdir())) for part in ("content", "envelope", "progress")]


def arrived(house, sink):
    """Tokens, and how often each is somewhere."""
    return found_in(house, MAILBOXES) | {token: len(moments) for token, moments in sink.moments().items()}


def drain(house, sink, accepted):
    """Wait until everything accepted is somewhere and the spool is empty; what waits for another moment is called now."""
    deadline = time.monotonic() + 120
    while missing := accepted - set(arrived(house, sink)):
        assert time.monotonic() < deadline, f"{len(missing)} are missing, such as {min(missing)}"
        house.postern("queue", "flush", check=False)
        time.sleep(1)
    wait_until(lambda: spool_of(house) == [0, 0, 0], 60, lambda: str(spool_of(house)))


@contextlib.contextmanager
def calmly(loads, seconds):
    """So long each client waits after a message: who is away is sought by a few of them, too."""
    for load in loads:
        load.pause = seconds
    yield
    for load in loads:
        load.pause = 0.0


def kill_all_in_turn(house, loads, victims, chance, at_once, pause):
    """*at_once* of *victims* at a random moment, again and again; answers the moments at which who sends was killed."""
    senders_killed = []
    for start in range(0, len(victims), at_once):
        for load in loads:
            load.wait_for(len(load.accepted) + chance.randint(2, 8), 60)
        time.sleep(chance.random() / 20)
        roles = victims[start : start + at_once]
        if SENDERS.intersection(roles):
            senders_killed.append(time.time())
        with calmly(loads, pause):
            kill_roles(house, roles)
    return senders_killed


@pytest.mark.must_show
@pytest.mark.timeout(900)
def test_every_message_that_got_250_is_where_it_was_to_go_whoever_was_killed(house, sink, full_size, figure):
    """2,000 messages in full size: each role in turn, the supervisor, and everything at once, at random moments.

    In small three at once, so that it is over sooner, and the load is calm from the kill until whoever was killed is back.
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
    loads, pause = (strangers, users), 0.0 if full_size else 0.25
    with strangers, users:
        senders_killed = kill_all_in_turn(house, loads, victims, chance, 1 if full_size else 3, pause)
        for _ in range(3 if full_size else 1):
            strangers.wait_for(len(strangers.accepted) + 20, 60)
            senders_killed.append(time.time())
            with calmly(loads, pause):
                house.kill_all()  # The supervisor: everybody ends with it.
                house.start()
            strangers.wait_for(len(strangers.accepted) + 20, 60)
            senders_killed.append(time.time())
            with calmly(loads, pause):
                house.kill_all(at_once=True)
                house.start()
        strangers.wait_for(wanted, 300)
        users.wait_for(wanted // 10, 300)
    accepted = set(strangers.accepted) | set(users.accepted)
    drain(house, sink, accepted)
    found = found_in(house, MAILBOXES)
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
