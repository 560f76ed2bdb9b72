"""Whose keys, whose mail: every process there is, taken over, with conversations and deliveries under way, in both isolations.

`test_walls` goes through the roles; here are their children too, and what they must not reach by its real name. And the roles
that exist with `isolation = "connection"` or with listed clients only.
"""

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.wire import messages as m
from tests.attack import files
from tests.attack.injector import injected
from tests.attack.probes import NUMBERS, PROBES
from tests.attack.test_cells import heard, peers_of, say
from tests.attack.test_remotes import World
from tests.attack.test_walls import REPORTING, ROLES, UID_BASE, got_through, opened, target_of
from tests.fixtures.house import House, children, descendants, free_port, wait_until
from tests.journeys.test_tls import holds

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
JOE, PASSWORD = "joe@example.test", "a horse behind walls"
OF_CONNECTION = [
    role.name
    for role in roster.started_with(
        {
            "smtpd.isolation": "connection",
            **dict.fromkeys(map("listen.{}".format, (*roster.SUBMISSION, *roster.QUICK)), "x"),
        }
    )
    if role.name not in (*ROLES, "smtpdspawn")
]


class Busy:
    """A house in which every kind of process lives, and mail of two destinations waits with its remotes."""

    def __init__(self, folder: Path, isolation: str) -> None:
        settings = {
            "smtpd.isolation": f'"{isolation}"', "smtpd.max_connections_per_client": "0",
            "listen.qmtp": f'["127.0.0.1:{free_port()}"]', "smtpd.qmtp_clients": '["127.0.0.1/32"]',
            **REPORTING,
        }  # fmt: skip
        self.isolation, self.house = isolation, House(folder, settings=settings, submission=True, awake=True)
        self.house.start()
        self.house.add_domain("example.test")
        self.house.add_mailbox(JOE, password=PASSWORD)
        self.house.wait_until_known(JOE)
        self.house.wait_until_users_may_come()
        self.world = World(self.house)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[dict[int, str]]:
        """Every process and what it is called, while a stranger and a user converse, both under TLS."""
        house = self.house
        with house.smtp() as stranger, house.submission() as user:
            stranger.ehlo()
            user.login(JOE, PASSWORD)
            names = {pid: f"child of {pid}" for pid in house.all_pids()}
            for role in roster.ROLES:
                for pid in house.pids(role.name):
                    names |= dict.fromkeys(descendants(pid), f"of {role.name}") | {pid: role.name}
            names.pop(house.status()["pid"])
            yield names
            assert user.noop()[0] == 250

    def close(self) -> None:
        self.world.close()
        self.house.__exit__()


@pytest.fixture(scope="module", params=["worker", "connection"])
def busy(request: pytest.FixtureRequest) -> Iterator[Busy]:
    folder = Path(tempfile.mkdtemp(prefix="postern-secrets-"))
    folder.chmod(0o711)
    made = None
    try:
        made = Busy(folder / "house", request.param)
        yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(folder, ignore_errors=True)


def readers(busy: Busy, names: dict[int, str], paths: list[str]) -> dict[str, set[str]]:
    """Who could open which of *paths*, by each way there is."""
    found: dict[str, set[str]] = {path: set() for path in paths}
    for pid, name in names.items():
        with injected(pid) as victim:
            for path in paths:
                if any(answer >= 0 for answer in files.ways_to(victim, busy.house.state, path)):
                    found[path].add(name)
    return found


@pytest.mark.must_show
def test_nobody_opens_a_key_once_it_serves(busy: Busy) -> None:
    """Not even those who hold one: they read it while they were root. And so it is with the database and its seals."""
    keys = [f"keys/{path.name}" for path in (busy.house.state / "keys").iterdir() if path.suffix == ".key"]
    assert {f"keys/{name}.key" for name in ("signer", "tls", "authenticator", "remotespawn", "source", "compiler")} <= {
        *keys
    }
    with busy.at_work() as names:
        expected = {role.name for role in roster.ROLES if busy.house.pids(role.name)} | {"of remotespawn"}
        assert expected <= set(names.values())
        found = readers(busy, names, keys)
    assert found == {key: set() for key in keys}


@pytest.mark.must_show
def test_what_signs_and_what_opens_seals_lies_in_one_process_each(busy: Busy) -> None:
    """In the memory of no other, its own children included."""
    owners = ("signer", "tls", "authenticator", "remotespawn", "source", "compiler")
    keys = {owner: (busy.house.state / "keys" / f"{owner}.key").read_bytes() for owner in owners}
    with busy.at_work() as names:
        found = {owner: {name for pid, name in names.items() if holds(pid, [key])} for owner, key in keys.items()}
    assert all(who <= {owner} for owner, who in found.items()), found
    assert any(found.values()), "else we would look in the wrong way"


@pytest.mark.must_show
def test_mail_that_waits_is_read_by_who_carries_it(busy: Busy) -> None:
    """Not by scheduler, which decides about it; nor by a remote, which has its own as a descriptor; nor by a conversation."""
    spool = busy.house.state / "spool/content"
    paths = [f"spool/content/{path.name}" for path in spool.iterdir()]
    assert len(paths) == 2
    with busy.at_work() as names:
        found = readers(busy, names, paths)
    carriers = {role.name for role in roster.ROLES if any(rule.path == "spool/content" for rule in role.paths)}
    assert carriers == {"enqueuer", "localspawn", "remotespawn", "cleaner"}  # the last unlinks it
    assert found == dict.fromkeys(paths, carriers)


@pytest.mark.must_show
@pytest.mark.parametrize("role", OF_CONNECTION)
def test_roles_of_connections_reach_nothing_and_open_nothing(busy: Busy, role: str) -> None:
    """All that `test_walls` tries, on those that it has not."""
    if busy.isolation == "worker" and role != "qmtpd":
        assert not busy.house.pids(role)
        return
    assert got_through(busy.house, role) == {}
    assert opened(busy.house, role) == []


@contextlib.contextmanager
def two_cells(house: House) -> Iterator[tuple[int, int]]:
    """Two users' conversations, the first of Joe, who is logged in."""
    wait_until(lambda: not children(house.pid("submissionspawn")), 30, house.said)
    with house.submission() as one:
        one.login(JOE, PASSWORD)
        [attacker] = children(house.pid("submissionspawn"))
        with house.submission() as two:
            two.ehlo()
            [victim] = set(children(house.pid("submissionspawn"))) - {attacker}
            yield attacker, victim
            assert two.noop()[0] == 250, "the conversation beside it went on as if nothing had been"


@pytest.mark.must_show
def test_a_users_cell_reaches_no_kernel_and_no_neighbour(busy: Busy) -> None:
    """Every probe, aimed at the cell beside it."""
    if busy.isolation == "worker":
        assert not busy.house.pids("submissionspawn")
        return
    with two_cells(busy.house) as (attacker, victim):
        target = target_of(busy.house, attacker)
        target.other = victim
        uid = UID_BASE + roster.SUBMISSION_CELL_UIDS_FROM
        with injected(attacker) as cell:
            through = {probe.name: a for probe in PROBES if (a := probe.attempt(cell, target)) not in probe.denied}
            into_the_pool = cell.syscall(NUMBERS["setresuid"], uid, uid, uid)
    assert (through, into_the_pool) == ({}, -1)


@pytest.mark.must_show
@pytest.mark.parametrize(
    "lie",
    [
        m.LogIn(1, b"another", b"127.0.0.1", b"\0" * 16, JOE.encode(), b"guess"),
        m.ScramBegin(1, b"another", b"127.0.0.1", b"\0" * 16, b"n,,n=joe,r=x"),
        m.MayUse(1, b"another", JOE.encode(), 1 << 40, b"\0" * 24, JOE.encode()),
        m.Offer(
            1, b"another", b"127.0.0.1", b"\0" * 16, b"x", b"ESMTPSA", b"", JOE.encode(), JOE.encode(), b"", 1, b"\0" * 16,
            identity=JOE.encode(),
        ),
    ],
    ids=lambda lie: type(lie).__name__,
)  # fmt: skip
def test_a_users_cell_cannot_speak_in_anothers_name(busy: Busy, lie: m.Message) -> None:
    """Whoever hears of another session hangs up on this cell, and serves all others."""
    if busy.isolation == "worker":
        assert not busy.house.pids("submissionspawn")
        return
    with two_cells(busy.house) as (attacker, _):
        channels = peers_of(attacker)
        with injected(attacker) as cell:
            for channel in channels[:-1]:  # the last is the journal's, which writes the session of the channel
                say(cell, channel, lie)
            wait_until(lambda: all(heard(cell, channel) in (0, -104) for channel in channels[:-1]), 30, busy.house.said)
