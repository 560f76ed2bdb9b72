"""A change is in force at the SMTP port within a second of the answer, however many mailboxes there are."""

import json
import os
import statistics
import time
import urllib.request
from pathlib import Path

import pytest

from appliance.database.engine import open_engine
from tests.fixtures.bulk import count_mailboxes, fill
from tests.fixtures.house import House, wait_until
from tests.fixtures.served import PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show, pytest.mark.alone]

FULL = os.environ.get("POSTERN_FULL") == "1"
MAILBOXES = 100_000 if FULL else 2_000
DOMAINS = [f"bulk{number}.test" for number in range(20 if FULL else 5)]
ROUNDS = 7 if FULL else 4
IN_FORCE_SECONDS = 1.0


class Api:
    """The REST API with the operator's key."""

    def __init__(self, house: House) -> None:
        self._base = f"http://127.0.0.1:{house.port('panel')}/api/v1"
        self._secret = house.api_key()

    def ask(self, method: str, path: str, body: dict | None = None) -> int:
        """The status of one request."""
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A house with many mailboxes, all of them published."""
    with House(tmp_path_factory.mktemp("full") / "house", settings=PATIENT, panel=True) as house:
        house.add_domain("example.test")
        engine = open_engine(f"sqlite:///{_database(house)}")
        fill(engine, DOMAINS, MAILBOXES // len(DOMAINS))
        assert count_mailboxes(engine) >= MAILBOXES
        engine.dispose()
        last = f"user{MAILBOXES // len(DOMAINS) - 1}@{DOMAINS[-1]}"
        wait_until(lambda: house.rcpt(last)[0] == 250, 300, house.said)
        yield house


def _database(house: House) -> Path:
    return (house.state / "postern.db").resolve()


def seconds_until(condition) -> float:
    """How long after now *condition* holds; it is asked without a pause."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 30
    return time.monotonic() - began


def by_cli(house, _api):
    def add(address):
        house.add_mailbox(address)

    def remove(address):
        house.program("mailbox", "remove", address)

    return add, remove


def by_api(_house, api):
    def add(address):
        assert api.ask("POST", "/mailboxes", {"address": address}) == 201

    def remove(address):
        assert api.ask("DELETE", f"/mailboxes/{address}") in (200, 204)

    return add, remove


@pytest.mark.parametrize("way", [by_cli, by_api], ids=["cli", "api"])
def test_a_mailbox_receives_within_a_second_of_the_reply_and_is_refused_within_one_of_its_removal(full, way, capsys):
    add, remove = way(full, Api(full))
    known, unknown = [], []
    for number in range(ROUNDS):
        address = f"{way.__name__}{number}@example.test"
        add(address)
        known.append(seconds_until(lambda address=address: full.rcpt(address)[0] == 250))
        full.send(address, b"Subject: x\r\n\r\n")
        full.wait_for_messages(address)
        remove(address)
        unknown.append(seconds_until(lambda address=address: full.rcpt(address)[1].startswith("5.1.1")))
    with capsys.disabled():
        for what, figures in (("made", known), ("removed", unknown)):
            print(
                f"\n{MAILBOXES} mailboxes, {way.__name__}, {what}: in force after "
                f"{statistics.median(figures) * 1000:.0f} ms (worst {max(figures) * 1000:.0f} ms)"
            )
    assert max(known) < IN_FORCE_SECONDS, known
    assert max(unknown) < IN_FORCE_SECONDS, unknown


def test_suspending_a_tenant_with_all_of_them_is_in_force_within_a_second(full):
    """One record, whatever hangs below it."""
    api, big = Api(full), json.loads(full.postern("--json", "tenant", "add", "big").stdout)
    for domain in DOMAINS:
        assert api.ask("PATCH", f"/domains/{domain}", {"tenant_id": big["id"]}) == 200
    addresses = [f"user0@{DOMAINS[0]}", f"user1@{DOMAINS[-1]}"]
    full.program("tenant", "suspend", "big")
    assert seconds_until(lambda: all(full.rcpt(a)[1].startswith("5.2.1") for a in addresses)) < IN_FORCE_SECONDS
    full.program("tenant", "resume", "big")
    assert seconds_until(lambda: all(full.rcpt(a)[0] == 250 for a in addresses)) < IN_FORCE_SECONDS


def test_a_mailbox_of_the_same_name_starts_empty(full):
    """Removed and made again: the former owner's mail is put aside, not handed over."""
    address = "again@example.test"
    full.add_mailbox(address)
    full.wait_until_known(address)
    full.send(address, b"Subject: private\r\n\r\n")
    full.wait_for_messages(address)
    full.postern("mailbox", "remove", address)
    wait_until(lambda: not full.maildir(address).exists(), 30, full.said)
    full.add_mailbox(address)
    full.wait_until_known(address)
    full.send(address, b"Subject: new\r\n\r\n")
    (path,) = full.wait_for_messages(address)
    assert b"Subject: new" in path.read_bytes()
