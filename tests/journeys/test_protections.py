"""What a domain, a mailbox or the host holds against a client: told early or late, by rules, lists and greylisting."""

import contextlib
import signal
import smtplib
import sqlite3
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from tests.fakes.name_server import NameServer
from tests.fixtures.house import House, wait_until

pytestmark = pytest.mark.journey

CONTENT = b"Subject: x\r\n\r\nbody\r\n"
LISTED, DENIED, STRANGER = "127.0.0.66", "127.0.0.77", "127.0.0.5"
ZONE = {"66.0.0.127.bl.test": "127.0.0.2"}


class Zone(NameServer):
    """Knows ZONE, and that there is nothing else."""

    def _true(self, query: dns.message.Message, label: str, transport: str) -> bytes:
        name = query.question[0].name
        address = ZONE.get(name.to_text(omit_final_dot=True).lower())
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if address is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", address))
        return answer.to_wire()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Four domains that differ in what they want, each with a mailbox joe@."""
    with Zone() as zone:
        settings = {"smtpd.dnsbl": '["bl.test"]', "dns.servers": f'["{zone.address}"]'}
        with House(tmp_path_factory.mktemp("protections") / "house", settings=settings, awake=True) as made:
            made.postern("domain", "add", "late.test", "--validation", "data")
            made.postern("domain", "add", "grey.test", "--greylist")
            made.postern("domain", "add", "free.test", "--no-dnsbl")
            made.postern("domain", "add", "open.test", "--validation", "off")
            made.add_domain("plain.test")
            for domain in ("late", "grey", "free", "open", "plain"):
                made.add_mailbox(f"joe@{domain}.test")
            made.wait_until_known("joe@plain.test")
            yield made


@contextlib.contextmanager
def client_at(house, address="127.0.0.1"):
    with smtplib.SMTP("127.0.0.1", house.port("smtp"), "client.test", 30, (address, 0)) as client:
        client.ehlo()
        yield client


def rcpt(house, recipient, address="127.0.0.1", reverse_path="someone@client.test"):
    """Code, status and words at RCPT."""
    with client_at(house, address) as client:
        client.mail(reverse_path)
        code, text = client.rcpt(recipient)
        return code, text.decode()


# --- when it is told -------------------------------------------------------------------------------------------------


def test_where_it_is_told_late_every_rcpt_looks_the_same_and_the_refusal_follows_the_content(house):
    """A prober pays a message for each probe; what is accepted is delivered."""
    for local_part, said in (("nobody", (550, "5.1.1")), ("joe", (250, "2.0.0"))):
        with client_at(house) as client:
            client.mail("someone@client.test")
            assert client.rcpt(f"{local_part}@late.test")[0] == 250
            code, text = client.data(CONTENT)
            assert (code, text.decode().split(" ")[0]) == said
    house.wait_for_messages("joe@late.test")


def test_recipients_of_several_domains_in_one_message_do_not_tell_on_each_other(house):
    """After a late one each further is 452, whatever it is; after an early one the late one is: come back with it."""
    with client_at(house) as client:
        client.mail("someone@client.test")
        codes = [
            client.rcpt(path)[0] for path in ("nobody@late.test", "joe@late.test", "joe@plain.test", "x@plain.test")
        ]
        assert codes == [250, 452, 452, 452]
        client.rset()
        client.mail("someone@client.test")
        codes = [client.rcpt(path)[0] for path in ("joe@plain.test", "joe@late.test", "nobody@late.test")]
        assert codes == [250, 452, 452]
        assert client.data(CONTENT)[0] == 250
    house.wait_for_messages("joe@plain.test")


def test_with_validation_off_an_unknown_recipient_is_taken_and_comes_back_as_a_notification(house):
    """As qmail did; the count of what could have been refused shows it."""
    before = len(house.messages("joe@plain.test"))
    house.send("nobody@open.test", CONTENT, reverse_path="joe@plain.test")
    house.wait_for_messages("joe@plain.test", before + 1)


# --- rules -----------------------------------------------------------------------------------------------------------


def test_rules_of_host_domain_and_mailbox_decide_the_most_specific_first(house):
    """Whom the host keeps out a mailbox may let in; `allow` opens no mailbox that is none."""
    house.postern("rule", "add", "deny", f"{DENIED}/32")
    wait_until(lambda: rcpt(house, "joe@plain.test", DENIED)[0] == 550, 20)
    assert rcpt(house, "joe@plain.test", DENIED)[1].startswith("5.7.1 ")
    house.postern("rule", "add", "allow", "friend@client.test", "--mailbox", "joe@plain.test")
    friend = "friend@client.test"
    wait_until(lambda: rcpt(house, "joe@plain.test", DENIED, friend)[0] == 250, 20)
    assert rcpt(house, "joe@plain.test", DENIED)[0] == 550
    assert rcpt(house, "joe@free.test", DENIED, friend)[0] == 550
    assert rcpt(house, "nobody@plain.test", DENIED, friend) == (550, rcpt(house, "joe@plain.test", DENIED)[1])


# --- DNS lists -------------------------------------------------------------------------------------------------------


def test_a_listed_client_is_refused_by_name_of_the_list_where_the_domain_wants_that(house):
    """Not at a domain that does not, nor at postmaster; another client not at all; a rule lets one in all the same."""
    code, text = rcpt(house, "joe@plain.test", LISTED)
    assert (code, text.split(" ")[0]) == (550, "5.7.1")
    assert f"{LISTED} is on the list bl.test" in text
    assert rcpt(house, "joe@free.test", LISTED)[0] == 250
    assert rcpt(house, "postmaster@plain.test", LISTED)[0] == 250
    assert rcpt(house, "joe@plain.test", STRANGER)[0] == 250
    house.postern("rule", "add", "allow", f"{LISTED}/32", "--domain", "plain.test")
    wait_until(lambda: rcpt(house, "joe@plain.test", LISTED)[0] == 250, 20)


def test_without_a_resolver_every_client_passes(house):
    """In the time that a client waits; a list that is away must not stop the mail."""
    former = house.pid("resolver")
    house.kill("resolver", number=signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert rcpt(house, "joe@plain.test", "127.0.0.99")[0] == 250
        assert time.monotonic() - begun < 20
    finally:
        house.kill("resolver", number=signal.SIGCONT)
    assert house.pid("resolver") == former


# --- greylisting -----------------------------------------------------------------------------------------------------


def test_a_stranger_comes_back_and_passes_also_over_a_restart_and_without_the_ledger_everybody_does(house):
    """Told to wait, and how long; who does not exist is told so instead."""
    assert rcpt(house, "nobody@grey.test", STRANGER)[0] == 550
    code, text = rcpt(house, "joe@grey.test", STRANGER)
    assert (code, text.split(" ")[0]) == (451, "4.7.1")
    assert "seconds" in text
    house.kill("ledger", number=signal.SIGSTOP)
    try:
        assert rcpt(house, "joe@grey.test", STRANGER)[0] == 250
    finally:
        house.kill("ledger", number=signal.SIGCONT)
    assert rcpt(house, "joe@grey.test", STRANGER)[0] == 451
    house.stop()
    with contextlib.closing(sqlite3.connect(house.state / "ledger" / "ledger.db")) as database, database:
        database.execute("UPDATE grey SET first = first - 100")
    house.start()
    assert rcpt(house, "joe@grey.test", STRANGER)[0] == 250
    assert rcpt(house, "joe@grey.test", STRANGER, "another@client.test")[0] == 451
