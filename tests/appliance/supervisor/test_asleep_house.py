"""A real house whose roles sleep until they are asked: how small it is, and that nobody outside notices.

A reader would otherwise get wrong: the tests share the house, and a role that one of them woke stays awake. Each asks only that
its own role is awake, or that somebody who is never asked here sleeps.
"""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from tests.fakes.mx import StubMx
from tests.fakes.zone import Zone
from tests.fixtures.house import House, free_port, wait_until
from tests.fixtures.served import PATIENT

pytestmark = pytest.mark.journey

SLEEPERS = [role.name for role in roster.ROLES if role.when_asked and not role.listens]
JOE, ANN = "joe@example.test", "ann@live.example"
HOST, PORT = "127.0.1.77", free_port()


@pytest.fixture(scope="module")
def outside() -> Iterator[Zone]:
    with Zone() as zone:
        zone.records["live.example"] = {"MX": ["10 mx.live.example."]}
        zone.records["mx.live.example"] = {"A": [HOST]}
        yield zone


@pytest.fixture(scope="module")
def house(outside: Zone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = PATIENT | {
        "dns.servers": f'["{outside.address}"]', "outbound.port": str(PORT), "outbound.allow_loopback": "true",
        "smtpd.relay_clients": '["127.0.0.1/32"]',
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("asleep") / "house"
    with House(folder, settings=settings, panel=True, by_command=True) as made:
        made.add_domain("example.test")
        made.add_mailbox(JOE)
        made.wait_until_known(JOE)
        yield made


def states(house: House) -> dict[str, str]:
    return {entry["role"]: entry["state"] for entry in house.status()["roles"]}


def pss_kib(pid: int) -> int:
    """Nothing for one that ended since it was listed: storekeeper's child makes a mailbox's folders and is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return 0
    return int(re.search(r"Pss: *(\d+)", rollup)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may measure processes that nobody may look into")
@pytest.mark.must_show
def test_all_processes_together_are_small(house: House, record_property) -> None:
    """At most 350 MiB of proportional set size for the idle house without the ports of users."""
    mebibytes = sum(pss_kib(pid) for pid in house.all_pids()) / 1024
    record_property("pss_mib", round(mebibytes))
    print(f"all processes together: {mebibytes:.0f} MiB PSS")
    assert 100 <= mebibytes <= 350


def test_who_sleeps_has_no_process_and_status_says_so(house: House) -> None:
    """`postern status` is content with it, in words and as JSON. Nobody asks source here."""
    assert house.pids("source") == []
    assert states(house)["source"] == "asleep"
    lines = house.postern("status").stdout.splitlines()
    [line] = [line for line in lines if line.startswith("source\t")]
    assert line.endswith("asleep: starts when it is first asked")
    told = json.loads(house.postern("--json", "status").stdout)
    assert [each["pid"] for each in told["roles"] if each["role"] == "source"] == [None]
    assert told["ready"]


def test_mail_to_a_host_outside_wakes_whoever_carries_it(house: House) -> None:
    """The first message arrives as any other, and is not put off."""
    stub = StubMx(None, HOST, PORT)
    try:
        with house.smtp() as client:
            client.sendmail(JOE, [ANN], b"From: joe@example.test\r\nSubject: first\r\n\r\nbody\r\n")
        fate = house.wait_for_fate(ANN)
    finally:
        stub.close()
    assert fate["event"] == "relayed"
    assert b"Subject: first" in stub.contents[0]
    wait_until(lambda: states(house)["remotespawn"] == "running", 20, house.said)
    assert house.pids("source") == []


def test_a_killed_client_wakes_nobody(house: House) -> None:
    """Its channel to whoever sleeps closes with it; its successor has another."""
    former = house.kill("directory")
    house.wait_for_restart("directory", former)
    wait_until(lambda: house.rcpt(JOE)[0] == 250, 20, house.said)
    house.settle()
    assert house.pids("source") == []


def test_a_reload_wakes_nobody(house: House) -> None:
    before = house.said().count("settings read again")
    os.kill(house.pid("supervisor"), signal.SIGHUP)
    wait_until(lambda: house.said().count("settings read again") > before, 20, house.said)
    house.settle()
    assert states(house)["source"] == "asleep"


def test_who_was_woken_and_is_killed_is_started_again(house: House) -> None:
    """Without being asked: it was needed once. The bouncer is woken by what cannot be delivered."""
    with house.smtp() as client:
        client.sendmail(JOE, ["nobody@gone.example"], b"From: joe@example.test\r\nSubject: no\r\n\r\nbody\r\n")
    wait_until(lambda: states(house)["bouncer"] == "running", 30, house.said)
    former = house.kill("bouncer")
    assert house.wait_for_restart("bouncer", former) != former
