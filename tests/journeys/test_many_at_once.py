"""A provider moves a thousand mailboxes in with one file, leaves, and finds it again though web died meanwhile; and changes many.

In a real browser, through a whole house, by mouse and by the keyboard alone. A reader would otherwise get wrong: a page that
watches a job loads itself again when that is over, also in the moment in which somebody leaves it.
"""

import functools
import smtplib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from tests.fixtures.house import OPERATOR, OPERATOR_PASSWORD, House, wait_until
from tests.fixtures.served import PATIENT
from tests.journeys.hands import HANDS, Hand, somebody

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.must_show]

MAILBOXES, ALIASES = 1000, 20
PATIENCE_SECONDS = 60
PASSWORD = "three plain words"
HASH = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
People = Callable[[], AbstractContextManager[Hand]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("many") / "house", settings=PATIENT, panel=True, submission=True)
    made.make()
    with made:
        made.wait_until_users_may_come()
        yield made


@pytest.fixture(params=HANDS, ids=lambda hand: hand.name)
def people(request: pytest.FixtureRequest, browser: Any) -> People:
    return functools.partial(somebody, browser, request.param)


@pytest.fixture
def domain(house: House) -> str:
    name = f"{uuid.uuid4().hex[:8]}.test"
    house.add_domain(name)
    return name


@pytest.fixture
def url(house: House) -> str:
    return f"http://127.0.0.1:{house.port('panel')}"


def write_sheet(file: Path, domain: str) -> None:
    """With commas in names, a line twice, and one that makes no sense."""
    lines = ["kind,address,display_name,password_hash,targets"]
    lines += [f'mailbox,user{number}@{domain},"User, {number}","{HASH}",' for number in range(MAILBOXES)]
    lines += [f"alias,team{number}@{domain},,,user{number}@{domain} user0@{domain}" for number in range(ALIASES)]
    lines += [f"mailbox,USER7@{domain},,,", f"folder,x@{domain},,,"]
    file.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8")


def send_file(hand: Hand, file: Path) -> None:
    """As somebody who picks it in the window that the browser opens."""
    with hand.page.expect_file_chooser() as chooser:
        hand.press(hand.page.get_by_label("Choose a file", exact=True))
    chooser.value.set_files(file)
    hand.follow("Show what would become of it")


def leave_for(hand: Hand, where: str) -> None:
    """Even if the page loads itself anew in this moment."""
    from playwright.sync_api import Error

    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            hand.open(where)
        except Error:
            assert time.monotonic() < end
        else:
            return


def wait_for(hand: Hand, words: str) -> None:
    """Without a hand on it: the page follows what happens."""
    hand.page.locator("main", has_text=words).wait_for(timeout=PATIENCE_SECONDS * 1000)


def test_a_thousand_mailboxes_move_in(house: House, people: People, domain: str, url: str, tmp_path: Path) -> None:
    file, total = tmp_path / "everybody.csv", MAILBOXES + ALIASES
    write_sheet(file, domain)
    with people() as hand:
        hand.sign_in(url, OPERATOR, OPERATOR_PASSWORD)
        hand.press(hand.page.locator("details.more summary"))
        hand.follow("Import and export", "details.more")
        send_file(hand, file)
        wait_for(hand, f"Nothing is done yet: {total} lines would be taken in, 2 would be refused.")
        said = hand.read()
        assert f"line {9} has this address already" in said
        assert "kind is one of domain, mailbox, alias, forward" in said
        assert "everybody.csv" in said
        assert house.rcpt(f"user1@{domain}")[0] == 550
        hand.follow(f"Take in {total} lines")
        job = hand.page.url
        leave_for(hand, f"{url}/domains")
        house.wait_for_restart("web", house.kill("web"), PATIENCE_SECONDS)  # whoever works it off dies with it
        leave_for(hand, f"{url}/jobs")
        hand.follow("Import", "table.list tbody tr:first-child")
        assert hand.page.url == job
        wait_for(hand, f"{total + 2} of {total + 2}")
        wait_for(hand, "100 %")
        with hand.page.expect_download() as download:
            hand.press(hand.page.get_by_role("link", name="All of it as a sheet"))
        refused = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
        assert [line.partition(",")[0] for line in refused] == [
            "line",
            str(MAILBOXES + ALIASES + 2),
            str(MAILBOXES + ALIASES + 3),
        ]
    house.wait_until_known(f"user{MAILBOXES - 1}@{domain}", PATIENCE_SECONDS)
    house.wait_until_known(f"team{ALIASES - 1}@{domain}", PATIENCE_SECONDS)
    house.send(f"team5@{domain}", b"Subject: welcome\r\n\r\nhello\r\n")
    assert b"hello" in house.wait_for_messages(f"user5@{domain}", seconds=PATIENCE_SECONDS)[0].read_bytes()
    wait_until(lambda: _may_log_in(house, f"user{MAILBOXES - 1}@{domain}"), PATIENCE_SECONDS, house.said)
    with people() as owner:
        owner.sign_in(url, f"user7@{domain}", PASSWORD)
        assert owner.title() == f"user7@{domain}"


def _may_log_in(house: House, address: str) -> bool:
    with house.submission(implicit=True) as client:
        try:
            client.login(address, PASSWORD)
        except smtplib.SMTPAuthenticationError:
            return False
    return True


def test_many_are_suspended_and_all_of_it_is_undone(house: House, people: People, domain: str, url: str) -> None:
    for name in ("anna", "ben", "chiara"):
        house.add_mailbox(f"{name}@{domain}")
    house.wait_until_known(f"chiara@{domain}", PATIENCE_SECONDS)
    with people() as hand:
        hand.sign_in(url, OPERATOR, OPERATOR_PASSWORD)
        hand.open(f"{url}/domains/{domain}/mailboxes")
        for name in ("anna", "ben"):
            hand.tick(f"Tick {name}@{domain}")
        hand.follow("Change what is ticked …")
        hand.press(hand.page.get_by_label("Suspend", exact=True), key="Space")
        hand.follow("Show what would change")
        said = hand.read()
        assert "Nothing is done yet: 2 would be changed, 0 are so already, 0 would be refused." in said
        assert f"Mail stops being accepted for 2 addresses: anna@{domain}, ben@{domain}" in said
        assert house.rcpt(f"anna@{domain}")[0] == 250
        hand.follow("Change 2")
        assert "2 of 2" in hand.read()
        wait_until(lambda: house.rcpt(f"anna@{domain}")[0] >= 400, PATIENCE_SECONDS, house.said)
        assert house.rcpt(f"chiara@{domain}")[0] == 250
        hand.follow("Undo it")
        assert "2 of 2" in hand.read()
        wait_until(lambda: house.rcpt(f"anna@{domain}")[0] == 250, PATIENCE_SECONDS, house.said)
