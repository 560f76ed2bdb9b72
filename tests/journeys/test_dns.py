"""Reverse names and DNS lists through the whole appliance, asked of a real name server: unbound, with a zone of the test's."""

import smtplib
from collections.abc import Iterator

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.unbound import PROGRAM, Unbound

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(PROGRAM is None, reason="needs unbound, see tools/system-packages"),
]

LISTED, NAMED, NAMELESS, LYING, LATER = "127.0.0.66", "127.0.0.10", "127.0.0.11", "127.0.0.12", "127.0.0.13"
RECORDS = (
    "bl.zone.test. 300 IN SOA ns.zone.test. hostmaster.zone.test. 1 3600 600 86400 90",
    "66.0.0.127.bl.zone.test. 60 IN A 127.0.0.2",
    "66.0.0.127.in-addr.arpa. 300 IN PTR listed.zone.test.",
    f"listed.zone.test. 300 IN A {LISTED}",
    "10.0.0.127.in-addr.arpa. 300 IN PTR mail.zone.test.",
    f"mail.zone.test. 300 IN A {NAMED}",
    "12.0.0.127.in-addr.arpa. 300 IN PTR mail.zone.test.",
)
SETTINGS = {"smtpd.allow_clients": "[]", "smtpd.dnsbl": '["bl.zone.test"]', "smtpd.reverse_dns": '"require"'}


@pytest.fixture(scope="module")
def name_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
    with Unbound(tmp_path_factory.mktemp("unbound"), ("zone.test", "127.in-addr.arpa"), RECORDS) as made:
        yield made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, name_server: Unbound) -> Iterator[House]:
    settings = SETTINGS | {"dns.servers": f'["{name_server.address}"]', "limits.greeting_delay_seconds": "0"}
    with House(tmp_path_factory.mktemp("dns") / "house", settings=settings) as made:
        yield made


def rcpt(house: House, address: str) -> tuple[int, str]:
    """What a client at *address* is told of a mailbox."""
    with smtplib.SMTP("127.0.0.1", house.port("smtp"), "client.test", 30, (address, 0)) as client:
        client.ehlo()
        client.mail("someone@client.test")
        code, text = client.rcpt("joe@plain.test")
        return code, text.decode()


@pytest.fixture(scope="module", autouse=True)
def mailbox(house: House) -> None:
    house.add_domain("plain.test")
    house.add_mailbox("joe@plain.test")
    wait_until(lambda: rcpt(house, NAMED)[0] == 250, 20, house.said)


def test_what_the_name_server_says_is_what_the_client_hears(house: House) -> None:
    """Listed: 550 with the list's name. No name, or one that does not lead back: 450. A name that leads back: 250."""
    code, text = rcpt(house, LISTED)
    assert (code, text[:5]) == (550, "5.7.1")
    assert "bl.zone.test" in text
    for address in (NAMELESS, LYING):
        code, text = rcpt(house, address)
        assert (code, text[:6]) == (450, "4.7.25")
    assert rcpt(house, NAMED)[0] == 250


def test_without_a_name_server_mail_goes_on(house: House, name_server: Unbound) -> None:
    """Nobody is refused because nobody can tell."""
    name_server.kill()
    assert rcpt(house, LATER)[0] == 250
