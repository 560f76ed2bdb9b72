"""The supervisor with the real roles: start, restart, stop, and what the roles are born with."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from tests.fixtures.house import House, _alive, descendants, wait_until
from tests.fixtures.trees import copy_of_product

pytestmark = pytest.mark.journey
ROLES = [role.name for role in roster.started_with({"smtpd.isolation": "worker", "listen.panel": "a port"})]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("supervisor") / "house", panel=True, by_command=True, awake=True) as made:
        made.add_domain("example.test")
        made.add_mailbox("joe@example.test")
        made.wait_until_known("joe@example.test")
        yield made


def test_a_first_start_speaks_of_no_trouble(house: House) -> None:
    """Roles that wait for the first snapshot say so to who looks for it; on the operator's terminal stands nothing."""
    house.settle()
    assert "trouble" not in house.said()
    assert not house.events("snapshot-trouble")


def test_what_was_told_stands_in_the_log_when_the_house_has_settled(house: House) -> None:
    """Else a test that finds no event proves nothing: a client has its reply before the journal has the event."""
    house.settle()
    before = len(house.events("refused"))
    for number in range(1, 11):
        assert house.rcpt("nobody-here@example.test")[0] == 550
        house.settle()
        assert len(house.events("refused")) == before + number


def test_a_role_is_born_with_four_descriptors_and_nothing_else(house: House) -> None:
    """Empty environment, standard streams that lead nowhere, a session of its own, the root folder."""
    if os.geteuid() == 0:
        for role in ROLES:
            pid = house.pid(role)
            assert Path(f"/proc/{pid}/environ").read_bytes() == b"", role
            streams = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(4)]
            assert streams[3].startswith("socket:")
            if role != "journal":
                assert streams[:2] == ["/dev/null", "/dev/null"]
                assert streams[2].startswith("pipe:")
    for role in ROLES:
        assert os.getsid(house.pid(role)) == house.pid(role)


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_role_is_back_and_mail_flows(house: House, role: str) -> None:
    """Its neighbours get fresh channels; nobody else is restarted; the next message arrives."""
    others = {name: house.pids(name) for name in ROLES if name != role}
    had = len(house.messages("joe@example.test"))
    former = house.kill(role)
    house.wait_for_restart(role, former)
    assert {name: house.pids(name) for name in ROLES if name != role} == others
    # 451 while somebody is coming back is right; the message is then the client's to bring again.
    wait_until(lambda: house.rcpt("joe@example.test")[0] == 250, 20, house.said)
    house.send("joe@example.test", f"Subject: after {role}\r\n\r\n.\r\n".encode())
    found = house.wait_for_messages("joe@example.test", had + 1)
    assert any(f"Subject: after {role}\n".encode() in path.read_bytes() for path in found)


def test_a_role_that_hangs_up_on_the_supervisor_is_replaced(house: House) -> None:
    """SIGTERM to a role is no stop of the house: it ends, and another takes its place."""
    former = house.kill("cleaner", number=signal.SIGTERM)
    assert house.wait_for_restart("cleaner", former) != former


def test_a_second_supervisor_is_refused(house: House) -> None:
    """One line on stderr, exit 1, and the first one serves on."""
    result = house.postern("up", check=False)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert house.rcpt("joe@example.test")[0] == 250


def test_settings_are_read_again(house: House) -> None:
    """SIGHUP carries the new limit to the listener; a conversation that stands goes on."""
    with house.smtp() as standing:
        house.set("smtpd.max_connections_per_client", "1")
        os.kill(house.pid("supervisor"), signal.SIGHUP)
        wait_until(lambda: _greeting(house).startswith(b"421 4.7.0"), 20, house.said)
        assert standing.noop()[0] == 250
    house.set("smtpd.max_connections_per_client", "fifty")
    os.kill(house.pid("supervisor"), signal.SIGHUP)
    wait_until(lambda: "settings were not read again" in house.said(), 20, house.said)
    house.set("smtpd.max_connections_per_client", "50")
    os.kill(house.pid("supervisor"), signal.SIGHUP)
    wait_until(lambda: all(_greeting(house).startswith(b"220") for _ in range(3)), 20, house.said)


def test_a_reload_says_what_it_cannot_take_up(house: House) -> None:
    """Other processes need a start; and the second interpreter that reads the file complains about nothing."""
    house.set("smtpd.isolation", '"connection"')
    os.kill(house.pid("supervisor"), signal.SIGHUP)
    waiting, again = "settings read again; in force with the next start: smtpd.isolation\n", "settings read again\n"
    wait_until(lambda: waiting in house.said(), 20, house.said)
    before = house.said().count(again)
    house.set("smtpd.isolation", '"worker"')
    os.kill(house.pid("supervisor"), signal.SIGHUP)
    wait_until(lambda: house.said().count(again) > before, 20, house.said)
    assert "Warning" not in house.said()


def _greeting(house: House) -> bytes:
    import socket

    with socket.create_connection(("127.0.0.1", house.port("smtp")), 10) as sock:
        return sock.recv(1000)


def test_a_stuck_role_is_killed_in_time(tmp_path: Path) -> None:
    """A role that does not heed Stop is not waited for longer than the others need."""
    house = House(tmp_path / "house")
    house.start()
    pids = house.all_pids()
    house.kill("directory", number=signal.SIGSTOP)
    began = time.monotonic()
    house.stop()
    assert time.monotonic() - began < 5.0
    assert [pid for pid in pids if _alive(pid)] == []


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    """Exit 1, the address named, nobody left behind."""
    import socket

    house = House(tmp_path / "house", by_command=True)
    house.make()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", house.port("smtp")))
        taken.listen()
        house.start(wait=False)
        assert house.process.wait(20) == 1
    complaint = [line for line in house.said().splitlines() if "cannot listen" in line]
    assert complaint == [f"postern: cannot listen on 127.0.0.1:{house.port('smtp')} for smtp: Address already in use"]
    assert list(descendants(house.process.pid)) == []


def test_a_role_that_never_starts_ends_the_start(tmp_path: Path) -> None:
    """It is tried a few times, then the house gives up with status 1 and says who it was."""
    tree = copy_of_product(tmp_path / "copy")
    tree.write("mta/roles/cleaner/__main__.py", "raise SystemExit('no')\n")
    house = House(tmp_path / "house", tree=tree)
    house.start(wait=False)
    try:
        assert house.process.wait(30) == 1
    except subprocess.TimeoutExpired:
        house.kill_all()
        raise
    assert "postern: cleaner does not start" in house.said()
