"""The ways that end before 250: unknown, suspended, full, foreign, too much; and `try later` while the directory is away."""

import signal
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = pytest.mark.journey

CONTENT = b"Subject: x\r\n\r\nbody\r\n"
UNKNOWN, SUSPENDED, FULL, FOREIGN = (550, "5.1.1"), (550, "5.2.1"), (452, "4.2.2"), (550, "5.7.1")
LATER = (451, "4.3.0")


def verdict(house, address):
    """Reply code and status at RCPT."""
    code, text = house.rcpt(address)
    return code, text.split(" ")[0]


def wait_for_verdict(house, address, expected):
    wait_until(lambda: verdict(house, address) == expected, 20, lambda: f"{address}: {verdict(house, address)}")


def spooled(house):
    return [path for path in (house.state / "spool").rglob("*") if path.is_file()]


def test_unknown_is_refused_at_rcpt_and_nothing_is_kept(served, mailbox):
    mailbox("somebody")
    for address in (f"nobody@{DOMAIN}", f"nobody+tag@{DOMAIN}", f"somebody.else@{DOMAIN}"):
        assert verdict(served, address) == UNKNOWN
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        served.send(f"nobody@{DOMAIN}", CONTENT)
    wait_until(lambda: not spooled(served), 20)


def test_one_refused_recipient_does_not_take_the_others_with_it(served, mailbox):
    address = mailbox("fine")
    with served.smtp() as client:
        refused = client.sendmail("a@client.test", [f"nobody@{DOMAIN}", address], CONTENT)
    assert list(refused) == [f"nobody@{DOMAIN}"]
    served.wait_for_messages(address)


@pytest.mark.parametrize(
    "address", ["joe@elsewhere.test", "joe@sub.example.test", "joe@test", "joe%elsewhere.test@other.test"]
)
def test_relaying_is_refused(served, address):
    assert verdict(served, address)[0] in (550, 501)
    if address.count(".") == 1 and "%" not in address:
        assert verdict(served, address) == FOREIGN


def test_a_suspended_mailbox_and_its_return(served, mailbox):
    address = mailbox("paused")
    served.postern("mailbox", "suspend", address)
    wait_for_verdict(served, address, SUSPENDED)
    served.postern("mailbox", "resume", address)
    served.wait_until_known(address)


def test_a_suspended_domain_takes_nothing_and_names_nobody(served):
    """Known and unknown get the same answer: suspended."""
    served.add_domain("halted.test")
    served.add_mailbox("joe@halted.test")
    served.wait_until_known("joe@halted.test")
    served.postern("domain", "suspend", "halted.test")
    wait_for_verdict(served, "joe@halted.test", SUSPENDED)
    served.postern("domain", "resume", "halted.test")
    served.wait_until_known("joe@halted.test")


def test_a_suspended_tenant_suspends_what_is_his(served):
    served.postern("tenant", "add", "debtor")
    served.postern("domain", "add", "debtor.test", "--tenant", "debtor")
    served.add_mailbox("joe@debtor.test")
    served.wait_until_known("joe@debtor.test")
    served.postern("tenant", "suspend", "debtor")
    wait_for_verdict(served, "joe@debtor.test", SUSPENDED)


def test_a_full_mailbox_is_refused_for_now_and_takes_mail_again_with_more_room(served, mailbox):
    """What would not fit by its own word is refused; what crosses the line without a word is delivered, not bounced."""
    address = mailbox("full", "--quota", "20 KiB")
    content = b"Subject: large\r\n\r\n" + (b"y" * 70 + b"\r\n") * 170  # twelve of twenty
    served.send(address, content)
    served.wait_for_messages(address, 1)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        served.send(address, content)  # smtplib says SIZE
    assert refused.value.recipients[address][0] == 452

    with served.smtp() as client:
        client.ehlo()
        client.mail("a@client.test")
        assert client.rcpt(address)[0] == 250
        assert client.data(content)[0] == 250
    served.wait_for_messages(address, 2)
    wait_for_verdict(served, address, FULL)

    served.postern("mailbox", "set", address, "--quota", "1 MiB")
    served.wait_until_known(address)


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A house that takes little."""
    settings = PATIENT | {"smtpd.max_message_size": '"100 KiB"', "limits.max_recipients": "100"}
    with House(tmp_path_factory.mktemp("strict") / "house", settings=settings) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(f"joe@{DOMAIN}")
        house.wait_until_known(f"joe@{DOMAIN}")
        yield house


@pytest.fixture
def own(strict):
    """The same, without mail; tests may hurt it, and see to it that it gets over it."""
    strict.turn_page()
    return strict


def test_too_large_by_its_own_word_is_refused_at_mail(strict):
    """RFC 1870: before a single octet of it was sent."""
    with strict.smtp() as client:
        client.ehlo()
        code, text = client.docmd(f"MAIL FROM:<a@client.test> SIZE={101 * 1024}")
    assert (code, text[:5]) == (552, b"5.3.4")


def test_too_large_without_a_word_is_refused_after_data_and_nothing_is_kept(own):
    with own.smtp() as client:
        client.ehlo()
        client.mail("a@client.test")
        client.rcpt(f"joe@{DOMAIN}")
        code, text = client.data((b"x" * 70 + b"\r\n") * 2000)
        assert (code, text[:5]) == (552, b"5.3.4")
        # The conversation goes on.
        assert client.sendmail("a@client.test", [f"joe@{DOMAIN}"], CONTENT) == {}
    assert len(own.wait_for_messages(f"joe@{DOMAIN}")) == 1
    wait_until(lambda: not spooled(own), 20)


def test_too_many_recipients_are_left_for_another_transaction(strict):
    """RFC 5321 4.5.3.1.10: 452, and those accepted stay accepted."""
    with strict.smtp() as client:
        client.ehlo()
        client.mail("a@client.test")
        answers = [client.rcpt(f"joe+{number}@{DOMAIN}") for number in range(102)]
    assert {code for code, _ in answers[:100]} == {250}
    assert {(code, text[:5]) for code, text in answers[100:]} == {(452, b"4.5.3")}


def test_a_directory_that_does_not_answer_is_451_for_known_and_unknown(own):
    """Never accept-and-hope, never a false 550; and it works again as soon as the directory does."""
    pid = own.kill("directory", number=signal.SIGSTOP)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor() as both:
            said = list(both.map(lambda name: verdict(own, f"{name}@{DOMAIN}"), ("joe", "nobody")))
        assert said == [LATER, LATER]
        assert time.monotonic() - began < 60
    finally:
        own.kill("directory", number=signal.SIGCONT)
    assert own.pid("directory") == pid
    wait_for_verdict(own, f"nobody@{DOMAIN}", UNKNOWN)
    assert verdict(own, f"joe@{DOMAIN}")[0] == 250


def test_a_directory_that_is_killed_again_and_again_makes_no_false_refusal(own):
    """While it is away and while it comes back: 250 or 451 for who exists, 550 or 451 for who does not."""
    known, unknown = set(), set()
    for _ in range(4):
        former = own.kill("directory")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            known.add(verdict(own, f"joe@{DOMAIN}")[0])
        unknown.add(verdict(own, f"nobody@{DOMAIN}")[0])
        own.wait_for_restart("directory", former)
    assert known <= {250, 451}
    assert unknown <= {550, 451}
    own.wait_until_known(f"joe@{DOMAIN}")
    own.send(f"joe@{DOMAIN}", CONTENT)
    own.wait_for_messages(f"joe@{DOMAIN}")


def test_a_ledger_that_is_away_makes_no_false_refusal(own):
    """Quota cannot be told without it: later or taken, never `full` and never `unknown`."""
    own.add_mailbox(f"limited@{DOMAIN}", "--quota", "1 MiB")
    own.wait_until_known(f"limited@{DOMAIN}")
    own.kill("ledger", number=signal.SIGSTOP)
    try:
        assert verdict(own, f"limited@{DOMAIN}")[0] in (250, 451)
        assert verdict(own, f"joe@{DOMAIN}")[0] == 250
        assert verdict(own, f"nobody@{DOMAIN}") == UNKNOWN
    finally:
        own.kill("ledger", number=signal.SIGCONT)
