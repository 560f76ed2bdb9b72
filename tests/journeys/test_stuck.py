"""A message that is stuck, and one that was refused: found, understood and set right at the panel, by mouse and by keyboard alone.

A reader would otherwise get wrong: the other host is stubborn until the operator has understood why, and obedient after that;
each hand has a sender and a host of its own.
"""

import functools
import smtplib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.mx import Manners, StubMx
from tests.fakes.zone import Zone
from tests.fixtures.house import OPERATOR, OPERATOR_PASSWORD, House, wait_until
from tests.fixtures.served import PATIENT
from tests.journeys.hands import HANDS, Hand, somebody
from tests.journeys.test_out import World

pytestmark = [pytest.mark.journey, pytest.mark.browser]

PASSWORD = "three plain words"
MOVING = b"451 4.2.1 this mailbox is being moved, come back later"
CONTENT = "From: <{}>\r\nTo: <{}>\r\nSubject: hello\r\nMessage-ID: <{}@anna.test>\r\n\r\nhello\r\n"
People = Callable[[], AbstractContextManager[Hand]]


@dataclass
class Town:
    """The house, and the world around it."""

    house: House
    world: World

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.house.port('panel')}"

    def host(self, domain: str, answer: bytes) -> StubMx:
        """One that answers each recipient so."""
        return self.world.host(domain, Manners(answers={b"RCPT": answer}))

    def submit(self, sender: str, recipient: str) -> str:
        """What the sender's program hears at the end."""
        with self.house.submission() as client:
            client.login(sender, PASSWORD)
            try:
                client.sendmail(sender, [recipient], CONTENT.format(sender, recipient, uuid.uuid4().hex))
            except smtplib.SMTPRecipientsRefused as refusal:
                return refusal.recipients[recipient][1].decode()
        return "taken"

    def wait(self, condition: Callable[[], object]) -> Any:
        return wait_until(condition, 30, self.house.said)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Zone() as zone:
        world = World(zone)
        settings = PATIENT | {
            "dns.servers": f'["{zone.address}"]', "outbound.port": str(world.port), "outbound.allow_loopback": "true",
        }  # fmt: skip
        house = House(tmp_path_factory.mktemp("stuck") / "house", settings=settings, panel=True, submission=True)
        with house:
            house.wait_until_users_may_come()
            yield Town(house, world)
        world.close()


@pytest.fixture(params=HANDS, ids=lambda hand: hand.name)
def people(request: pytest.FixtureRequest, browser: Any) -> People:
    """Makes somebody with a browser of his own."""
    return functools.partial(somebody, browser, request.param)


@pytest.fixture
def anna(town: Town) -> str:
    """Who sends, at a domain of her own."""
    domain = f"{uuid.uuid4().hex[:8]}.test"
    town.house.add_domain(domain)
    town.house.add_mailbox(f"anna@{domain}", password=PASSWORD)
    town.house.wait_until_known(f"anna@{domain}")
    return f"anna@{domain}"


@pytest.mark.must_show
def test_a_stuck_message_is_found_understood_and_tried_again(town: Town, people: People, anna: str) -> None:
    """By where it goes, by what went wrong, by its sender; in the other host's words and in ours; then it arrives."""
    elsewhere = f"{uuid.uuid4().hex[:8]}.example"
    host = town.host(elsewhere, MOVING)
    assert town.submit(anna, f"bob@{elsewhere}") == "taken"
    town.wait(
        lambda: [event for event in town.house.events("deferred") if event["final_recipient"] == f"bob@{elsewhere}"]
    )
    with people() as operator:
        operator.sign_in(town.url, OPERATOR, OPERATOR_PASSWORD)
        operator.follow("Queue", "nav")
        operator.choose("Shown", "By what went wrong")
        operator.follow("Search", "main")
        assert "4.2.1" in operator.read()
        operator.choose("Shown", "By where they go")
        operator.follow("Search", "main")
        operator.follow(elsewhere, "main")
        assert anna in operator.read()
        operator.follow("Everything", "main")
        operator.write("Sent by", anna)
        operator.follow("Search", "main")
        operator.follow(operator.page.locator("#list tbody th a").first)
        assert f"bob@{elsewhere}" in operator.title()
        told = town.wait(lambda: "The last conversation" in reread(operator) and operator.read())
        assert "is tried again later" in told
        assert "this mailbox is being moved, come back later" in told
        assert "The connection was not encrypted." in told
        assert "It took the sender." in told
        assert "To the recipient it answered:" in told
        assert "So it is tried again." in told
        host.manners.answers.clear()
        operator.follow("Try now", "main")
        town.wait(lambda: host.contents)
        operator.follow("Queue", "nav")
        town.wait(lambda: f"bob@{elsewhere}" not in reread(operator))
        operator.follow("Messages", "nav")
        operator.write("To", f"bob@{elsewhere}")
        operator.follow("Search", "main")
        assert "handed on" in operator.read()


def reread(operator: Hand) -> str:
    """What the page says by now. A page costs a hundred times what it takes to look for an event."""
    operator.page.wait_for_timeout(200)
    operator.page.reload()
    return operator.read()


@pytest.mark.must_show
def test_whoever_sent_a_refused_message_reads_what_became_of_it(town: Town, people: People, anna: str) -> None:
    """Refused by us while she sent it, and by another host later: under "Where is my mail?", in plain words."""
    nobody, elsewhere = anna.replace("anna@", "nobody@"), f"{uuid.uuid4().hex[:8]}.example"
    town.host(elsewhere, b"550 5.1.1 we know of no such mailbox")
    assert "5.1.1" in town.submit(anna, nobody)
    assert town.submit(anna, f"bob@{elsewhere}") == "taken"
    town.wait(
        lambda: [event for event in town.house.events("failed") if event["final_recipient"] == f"bob@{elsewhere}"]
    )
    with people() as owner:
        owner.sign_in(town.url, anna, PASSWORD)
        owner.follow("Where is my mail?", "nav")
        town.wait(lambda: "refused" in reread(owner) and "failed" in owner.read())
        owner.write("To", nobody)
        owner.follow("Search", "main")
        owner.follow(owner.page.locator("#list tbody th a").first)
        story = owner.read()
        assert "We refused it. Its sender was told at once; the answer was:" in story
        assert "5.1.1" in story
        owner.follow("Where is my mail?", "main")
        owner.write("To", f"bob@{elsewhere}")
        owner.follow("Search", "main")
        owner.follow(owner.page.locator("#list tbody th a").first)
        story = owner.read()
        assert "Failed for good" in story
        assert "There is no such address." in story
        assert "we know of no such mailbox" in story
        assert "The sender was told that it failed." in story
