"""Who may write to whom: patterns, tags, aliases that are kept for some, a domain whose mail stays inside, at the ports."""

import smtplib
from collections.abc import Iterator

import pytest

from tests.fixtures.house import House
from tests.fixtures.served import PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

ANN, BEN, SUE = "ann@club.test", "ben@club.test", "sue@inside.test"
MEMBERS, WAY_ROUND = "members@club.test", "way-round@open.test"
PASSWORD = "correct horse"
CONTENT = "From: <{}>\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Ann and Ben are members, Sue is in a domain that keeps to the host."""
    with House(tmp_path_factory.mktemp("names") / "house", settings=PATIENT, submission=True) as house:
        for domain in ("club.test", "open.test", "inside.test"):
            house.add_domain(domain)
        for address in (ANN, BEN, SUE):
            house.add_mailbox(address, password=PASSWORD)
        house.postern("alias", "add", MEMBERS, ANN, BEN, "--open-to", "members")
        house.postern("alias", "add", WAY_ROUND, MEMBERS)
        house.postern("domain", "set", "inside.test", "--local-only", "host")
        house.postern("pattern", "add", ANN, "ann-*@club.test")
        house.wait_until_known("ann-first@club.test")
        house.wait_until_users_may_come()
        yield house


def logged_in(house: House, who: str) -> smtplib.SMTP:
    client = house.submission(implicit=True)
    client.login(who, PASSWORD)
    return client


def heard(client: smtplib.SMTP, sender: str, recipient: str) -> tuple[int, bytes]:
    client.rset()
    client.ehlo_or_helo_if_needed()
    client.mail(sender)
    return client.rcpt(recipient)


def test_what_fits_a_pattern_is_his_and_he_may_write_as_it(house: House) -> None:
    """From outside into his mailbox; and `explain` names the rule."""
    before = len(house.messages(ANN))
    house.send("Ann-Shop.Of-Shoes@club.test", CONTENT.format("shop@else.test").encode())
    house.wait_for_messages(ANN, before + 1)
    with logged_in(house, ANN) as client:
        assert heard(client, "ann-shop@club.test", BEN)[0] == 250
        client.rset()
        assert client.mail("ben-shop@club.test")[0] == 550
    told = house.postern("explain", "--from", "x@else.test", "--to", "ann-shop@club.test").stdout
    assert (
        "pattern of what begins with ann-@club.test: all that begins so, and nobody holds, is of ann@club.test" in told
    )


def test_who_merely_says_that_he_is_a_member_is_refused_on_every_way(house: House) -> None:
    """In words that name nobody; who logged in as one is taken, and it reaches the others."""
    with house.smtp() as client:
        for path in (MEMBERS, WAY_ROUND):
            code, words = heard(client, ANN, path)
            assert (code, words.split()[0]) == (550, b"5.7.1"), words
            assert b"members" in words
            assert b"@" not in words
    before = len(house.messages(BEN))
    with logged_in(house, ANN) as client:
        client.sendmail(ANN, [WAY_ROUND], CONTENT.format(ANN))
    house.wait_for_messages(BEN, before + 1)
    with logged_in(house, SUE) as client:
        assert heard(client, SUE, MEMBERS)[0] == 550


def test_mail_of_a_domain_that_stays_inside_does_so_both_ways(house: House) -> None:
    """Refused from outside and to it, in clear words; taken and given inside."""
    with house.smtp() as client:
        code, words = heard(client, ANN, SUE)
        assert (code, b"inside" in words) == (550, True)
        assert heard(client, ANN, "nobody@inside.test") == (code, words)
    before = len(house.messages(SUE))
    with logged_in(house, ANN) as client:
        client.sendmail(ANN, [SUE], CONTENT.format(ANN))
    house.wait_for_messages(SUE, before + 1)
    with logged_in(house, SUE) as client:
        code, words = heard(client, SUE, "x@else.test")
        assert (code, b"inside" in words) == (550, True)
        assert heard(client, SUE, ANN)[0] == 250
    refused = house.postern("forward", "set", SUE, "sue@else.test", check=False)
    assert (refused.returncode, "stays inside" in refused.stderr) == (1, True)
