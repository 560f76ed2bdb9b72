"""A provider's, a customer's and a mailbox owner's day at the panel: each journey by mouse, and by the keyboard alone.

In a real browser, through a whole house, with mail that really flows. A reader would otherwise get wrong: the two hands
walk the same script, each in a tenant and a domain of its own.
"""

import email
import email.policy
import functools
import re
import smtplib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from appliance.config import load_settings
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.services import accounts, domains, mailboxes, tenants
from appliance.services.passwords import Sealer
from tests.fakes.mx import StubMx
from tests.fakes.zone import Zone
from tests.fixtures.house import ADMINISTRATOR, OPERATOR, OPERATOR_PASSWORD, House, wait_until
from tests.fixtures.served import PATIENT
from tests.journeys.hands import HANDS, Hand, somebody
from tests.journeys.test_out import World

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.must_show]

PASSWORD = "three plain words"
CONTENT = b"From: %s\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@else.example>\r\n\r\nhello\r\n"
People = Callable[[], AbstractContextManager[Hand]]


@dataclass
class Town:
    """The house, and the only other host in its world."""

    house: House
    outside: StubMx

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.house.port('panel')}"

    def write(self, to: str, subject: str, sender: str = "Ann@else.example") -> None:
        """A letter from Ann, who is a stranger, or somebody like her."""
        content = CONTENT % (sender.encode(), to.encode(), subject.encode(), uuid.uuid4().hex.encode())
        self.house.send(to, content, sender)

    def subjects(self, address: str) -> list[str]:
        """Of what lies in the mailbox."""
        return sorted(_subject(path.read_bytes()) for path in self.house.messages(address))

    def gone_out(self, to: str) -> list[bytes]:
        """What the other host took for *to*. A conversation may carry several messages."""
        found = []
        for heard in list(self.outside.heard):
            orders = b"\n".join(heard.commands).split(b"MAIL FROM:")[1:]
            found += [
                content
                for order, content in zip(orders, heard.contents, strict=False)
                if b"RCPT TO:<%s>" % to.encode() in order
            ]
        return found

    def withheld(self, why: str) -> int:
        """How many answers were not sent, for that reason."""
        return sum(event["why"] == why for event in self.house.events("reply-withheld"))

    def let_it_be_in_force(self, customer: "Customer") -> None:
        """What was changed before a mailbox is made is in force when that is known."""
        address = customer.at(f"last-{uuid.uuid4().hex[:8]}")
        self.house.add_mailbox(address)
        self.house.wait_until_known(address, 30)

    def wait(self, condition: Callable[[], object]) -> Any:
        return wait_until(condition, 30, self.house.said)


@dataclass
class Customer:
    """Somebody's tenant with one domain and three mailboxes, all of one password."""

    name: str
    domain: str
    administrator: str

    def at(self, local_part: str) -> str:
        return f"{local_part}@{self.domain}"


def _subject(content: bytes) -> str:
    return str(email.message_from_bytes(content)["Subject"])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Zone() as zone:
        world = World(zone)
        outside = world.host("else.example")
        settings = PATIENT | {
            "dns.servers": f'["{zone.address}"]', "outbound.port": str(world.port), "outbound.allow_loopback": "true",
        }  # fmt: skip
        house = House(tmp_path_factory.mktemp("day") / "house", settings=settings, panel=True, submission=True)
        house.make()
        house.set("host.panel_url", f'"http://127.0.0.1:{house.port("panel")}"')
        with house:
            house.wait_until_users_may_come()
            yield Town(house, outside)
        world.close()


@pytest.fixture(params=HANDS, ids=lambda hand: hand.name)
def people(request: pytest.FixtureRequest, browser: Any) -> People:
    """Makes somebody with a browser of his own."""
    return functools.partial(somebody, browser, request.param)


@pytest.fixture
def customer(town: Town) -> Customer:
    """As the provider left it, known at the SMTP port."""
    word = uuid.uuid4().hex[:8]
    made = Customer(f"Customer {word}", f"{word}.test", f"admin.{word}")
    sealer = Sealer.of(town.house.state)
    engine = open_engine(load_settings(town.house.config).database_url)
    with unit_of_work(engine) as session:
        tenant = tenants.create(session, made.name, actor=ADMINISTRATOR).id
        domains.create(session, made.domain, actor=ADMINISTRATOR, tenant_id=tenant)
        sealed = sealer.seal_password(PASSWORD)
        accounts.create(session, made.administrator, actor=ADMINISTRATOR, tenant_id=tenant, sealed_hash=sealed)
        for name in ("anna", "ben", "chiara"):
            address = made.at(name)
            mailboxes.create(session, address, actor=ADMINISTRATOR, sealed_hash=sealer.seal_password(PASSWORD, address))
    engine.dispose()
    town.house.wait_until_known(made.at("chiara"))
    return made


TEN = [f"person{number}" for number in range(10)]


def test_a_provider_takes_a_customer_in(town: Town, people: People) -> None:
    """A plan, a tenant with it, its administrator, a domain, ten mailboxes; then the customer's administrator signs in."""
    word = uuid.uuid4().hex[:8]
    domain = f"{word}.test"
    with people() as provider:
        provider.sign_in(town.url, OPERATOR, OPERATOR_PASSWORD)
        make_tenant(provider, word)
        provider.write("Add an administrator", f"admin.{word}")
        provider.follow("Add")
        one_time = provider.page.inner_text("#secret")
        provider.follow("I have it")
        provider.follow("Add a domain")
        provider.write("Domain", domain)
        provider.follow("Add the domain")
        assert f"{domain} is served from now on." in provider.read()
        provider.follow("Add a mailbox")
        make_mailboxes(provider)
        assert provider.title() == f"{TEN[-1]}@{domain}"
        provider.sign_out()
        assert "You are signed out." in provider.read()
    with people() as administrator:
        administrator.sign_in(town.url, f"admin.{word}", one_time)
        come_in(administrator, one_time)
        administrator.follow("Domains", "nav")
        administrator.follow(domain)
        administrator.follow("Mailboxes 10")
        assert [each for each in TEN if f"{each}@{domain}" not in administrator.read()] == []
        administrator.follow("Add a mailbox")
        administrator.write("Address", "eleven")
        administrator.follow("Add the mailbox")
        assert "limit" in administrator.read()
    town.house.wait_until_known(f"{TEN[-1]}@{domain}", 30)
    town.write(f"{TEN[0]}@{domain}", "welcome")
    town.wait(lambda: town.subjects(f"{TEN[0]}@{domain}") == ["welcome"])


def make_tenant(provider: Hand, word: str) -> None:
    """With the limits of a plan, and one of its own."""
    provider.open_up("More")
    provider.follow("Plans")
    provider.follow("Add a plan")
    provider.write("Name", f"Small {word}")
    provider.write("Most mailboxes", "10")
    provider.follow("Add the plan")
    provider.follow("Tenants")
    provider.follow("Add a tenant")
    provider.write("Name", f"Customer {word}")
    provider.choose("Plan", f"Small {word}")
    provider.write("Most domains", "2")
    provider.follow("Add the tenant")


def make_mailboxes(provider: Hand) -> None:
    """Ten in a row; the first has a name and a password."""
    for name in TEN:
        provider.write("Address", name)
        if name == TEN[0]:
            provider.write("Name", "The First")
            provider.write("Password", PASSWORD)
        provider.follow("Add, and another" if name != TEN[-1] else "Add the mailbox")


def come_in(administrator: Hand, one_time: str) -> None:
    """Whoever signed in with a one-time password chooses another first."""
    assert "You signed in with a one-time password." in administrator.read()
    administrator.write("One-time password", one_time)
    administrator.write("New password", PASSWORD)
    administrator.write("New password again", PASSWORD)
    administrator.follow("Change password")


def test_an_administrator_adds_an_alias_and_a_forward(town: Town, people: People, customer: Customer) -> None:
    anna, ben, chiara, sales = (customer.at(name) for name in ("anna", "ben", "chiara", "sales"))
    with people() as administrator:
        administrator.sign_in(town.url, customer.administrator, PASSWORD)
        administrator.follow("Domains", "nav")
        administrator.follow(customer.domain)
        administrator.follow("Aliases 0")
        administrator.follow("Add an alias")
        administrator.write("Alias", "sales")
        administrator.write("Goes to", f"{anna}\nnobody at {customer.domain}")
        administrator.follow("Add the alias")
        assert "is not an address" in administrator.read()
        administrator.write("Goes to", f"{anna}\n{ben}")
        administrator.follow("Add the alias")
        assert sales in administrator.read()
        administrator.follow("Mailboxes 3")
        administrator.follow(ben)
        administrator.write("Send mail on to", chiara)
        administrator.tick("Keep a copy in this mailbox", wanted=False)
        administrator.follow("Save forwarding")
        assert f"Mail is sent on to {chiara}." in administrator.read()
    town.let_it_be_in_force(customer)
    town.write(sales, "an order")
    town.wait(lambda: (town.subjects(anna), town.subjects(chiara)) == (["an order"], ["an order"]))
    assert town.subjects(ben) == []


def link_in(content: bytes) -> str:
    """The one that a mail asks its reader to open."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    found = re.search(r"http\S+", message.get_body(("plain",)).get_content())  # type: ignore[union-attr]
    assert found, content
    return found[0]


def test_an_owner_has_mail_sent_on_outside_once_somebody_there_agreed(
    town: Town, people: People, customer: Customer
) -> None:
    """The link is the one in the mail that arrived there."""
    anna, target = customer.at("anna"), f"{uuid.uuid4().hex[:8]}@else.example"
    with people() as owner:
        owner.sign_in(town.url, anna, PASSWORD)
        assert owner.title() == anna
        owner.write("Send mail on to", target)
        owner.follow("Save forwarding")
        assert f"Nothing is sent on to {target} yet" in owner.read()
        (asked,) = town.wait(lambda: town.gone_out(target))
        town.write(anna, "too early")
        town.wait(lambda: town.subjects(anna) == ["too early"])
        with people() as reader:
            reader.open(link_in(asked))
            assert anna in reader.read()
            reader.follow("Yes, send it on to me")
            assert reader.title() == "You agreed"
        owner.follow("My mailbox")
        assert "Nothing is sent on" not in owner.read()
    town.wait(lambda: flows_on(town, anna, target))
    assert "too early" not in [_subject(content) for content in town.gone_out(target)]


def flows_on(town: Town, address: str, target: str) -> bool:
    """Does the next letter to *address* reach *target* soon?"""
    subject, until = uuid.uuid4().hex, time.monotonic() + 1
    town.write(address, subject)
    while time.monotonic() < until:
        if subject in [_subject(content) for content in town.gone_out(target)]:
            return True
        time.sleep(0.02)
    return False


def test_an_answer_while_away_goes_out_once_and_no_more_when_it_is_off(
    town: Town, people: People, customer: Customer
) -> None:
    """Each letter lies in the mailbox all the same."""
    ben, ann = customer.at("ben"), f"Ann.{uuid.uuid4().hex[:8]}@else.example"
    words = "Back on Monday.\nChiara helps."
    with people() as owner:
        owner.sign_in(town.url, ben, PASSWORD)
        owner.follow("Away")
        owner.write("What to answer", words)
        owner.tick("On")
        owner.follow("Preview")
        assert words in owner.read()
        assert "not saved" in owner.read()
        owner.follow("Save")
        town.let_it_be_in_force(customer)
        town.write(ben, "first", ann)
        (answer,) = town.wait(lambda: town.gone_out(ann))
        assert words.splitlines() == email.message_from_bytes(answer).get_payload().split("\r\n")[:2]
        before = town.withheld("answered-before")
        town.write(ben, "second", ann)
        town.wait(lambda: town.withheld("answered-before") > before and town.subjects(ben) == ["first", "second"])
        owner.tick("On", wanted=False)
        owner.follow("Save")
        assert words in owner.page.get_by_label("What to answer").input_value()
    town.let_it_be_in_force(customer)
    town.write(ben, "third", f"other.{ann}")
    town.wait(lambda: town.subjects(ben) == ["first", "second", "third"])
    town.house.settle()
    assert (len(town.gone_out(ann)), town.gone_out(f"other.{ann}")) == (1, [])


def test_a_suspended_customer_neither_receives_nor_sends_nor_signs_in_until_it_is_resumed(
    town: Town, people: People, customer: Customer
) -> None:
    anna = customer.at("anna")
    with people() as provider, people() as administrator:
        provider.sign_in(town.url, OPERATOR, OPERATOR_PASSWORD)
        provider.follow("Tenants")
        provider.write("Find a tenant", customer.name)
        town.wait(lambda: provider.page.locator("#list tbody tr").count() == 1)
        provider.follow(customer.name)
        administrator.sign_in(town.url, customer.administrator, PASSWORD)
        provider.follow("Suspend")
        assert f"{customer.name} is suspended, with everything below it." in provider.read()
        town.wait(lambda: town.house.rcpt(anna)[0] == 550)
        assert town.house.rcpt(anna)[1].startswith("5.2.1")
        town.wait(lambda: may_send(town, anna) == 535)
        administrator.follow("Domains", "nav")
        assert administrator.title() == "Postern"  # the gate
        administrator.sign_in(town.url, customer.administrator, PASSWORD)
        assert "your provider may have suspended the account" in administrator.read()
        provider.follow("Resume")
        assert "Active" in provider.read()
        town.house.wait_until_known(anna, 30)  # else the authenticator may not have heard of it either
        administrator.sign_in(town.url, customer.administrator, PASSWORD)
        administrator.follow("Domains", "nav")
        assert customer.domain in administrator.read()
    assert may_send(town, anna) == 235
    town.write(anna, "again")
    town.wait(lambda: town.subjects(anna) == ["again"])


def may_send(town: Town, address: str) -> int:
    """What the owner's mail program hears when it logs in."""
    with town.house.submission() as client:
        try:
            return client.login(address, PASSWORD)[0]
        except smtplib.SMTPAuthenticationError as refusal:
            return refusal.smtp_code


def test_a_mailbox_that_was_removed_comes_back_with_its_mail(town: Town, people: People, customer: Customer) -> None:
    anna = customer.at("anna")
    for subject in ("one", "two"):
        town.write(anna, subject)
    town.wait(lambda: town.subjects(anna) == ["one", "two"])
    with people() as administrator:
        administrator.sign_in(town.url, customer.administrator, PASSWORD)
        administrator.follow("Domains", "nav")
        administrator.follow(customer.domain)
        administrator.follow("Mailboxes 3")
        administrator.follow(anna)
        administrator.follow("Remove …")
        assert "the mail stored in it" in administrator.read()
        administrator.write("Type the address to confirm", "anna")
        administrator.follow("Remove the mailbox")
        assert f"Type {anna} to confirm." in administrator.read()
        administrator.write("Type the address to confirm", anna)
        administrator.follow("Remove the mailbox")
        assert f"{anna} is gone; under “Removed” it can be had back." in administrator.read()
        town.wait(lambda: town.house.rcpt(anna)[1].startswith("5.1.1"))
        town.wait(lambda: town.subjects(anna) == [])
        administrator.open_up("More")
        administrator.follow("Removed")
        administrator.follow(f"Have it back: {anna}")
        assert f"{anna} is back as it was" in administrator.read()
    town.wait(lambda: town.subjects(anna) == ["one", "two"])
    town.house.wait_until_known(anna, 30)
    town.write(anna, "three")
    town.wait(lambda: town.subjects(anna) == ["one", "three", "two"])


def test_a_password_that_was_forgotten_is_chosen_anew_by_the_mail_that_came(
    town: Town, people: People, customer: Customer
) -> None:
    """Each link is the one in a mail that lies in another mailbox of the house."""
    anna, chiara, new = customer.at("anna"), customer.at("chiara"), "four other plain words"
    with people() as owner:
        owner.sign_in(town.url, anna, PASSWORD)
        owner.press(owner.page.locator("details.who summary"))
        owner.follow("Signing in", "details.who")
        owner.follow("Recovery address")
        owner.write("Address", chiara)
        owner.write("Your password", PASSWORD)
        owner.follow("Send a mail to confirm it")
        (asked,) = town.wait(lambda: town.house.messages(chiara))
        with people() as reader:
            reader.open(link_in(asked.read_bytes()))
            assert anna in reader.read()
            reader.follow("Yes, this address is mine")
            assert f"{chiara} is your recovery address." in reader.read()
        owner.sign_out()
        owner.follow("Forgotten your password?")
        owner.write("Name or mail address", anna)
        owner.follow("Send me a link")
        assert "a mail is on its way there" in owner.read()
        (sent,) = town.wait(lambda: set(town.house.messages(chiara)) - {asked})
        owner.open(link_in(sent.read_bytes()))
        assert anna in owner.read()
        owner.write("New password", new)
        owner.write("New password again", new)
        owner.follow("Change password")
        assert "Your password is changed" in owner.read()
        town.wait(lambda: may_send(town, anna) == 535)  # programs had the old one, too
        owner.sign_in(town.url, anna, PASSWORD)
        assert owner.title() == "Postern"  # the gate
        owner.sign_in(town.url, anna, new)
        assert owner.title() == anna
