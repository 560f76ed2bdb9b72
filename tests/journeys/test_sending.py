"""A user's sending: an imported password that becomes a better one, an app password, other senders, limits, and the brake."""

import contextlib
import smtplib
import sqlite3
import ssl
from collections.abc import Iterator

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

JOE, ANN = f"joe@{DOMAIN}", f"ann@{DOMAIN}"
IMPORTED = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
PASSWORD = "Hello world!"
SECONDS = 20.0
SETTINGS = {**PATIENT, "limits.unknown_recipients_per_minute": "1000"}  # the brake is to be heard, not the tarpit
CONTENT = f"From: <{JOE}>\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[House]:
    """Joe comes from another server, with the hash that it had."""
    with House(tmp_path_factory.mktemp("sending") / "house", settings=SETTINGS, submission=True) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(JOE, "--password-hash", IMPORTED)
        house.add_mailbox(ANN)
        house.wait_until_known(ANN)
        house.wait_until_users_may_come()
        yield house


def client(house: House, secret: str = PASSWORD) -> smtplib.SMTP_SSL:
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    smtp = smtplib.SMTP_SSL("127.0.0.1", house.port("submissions"), context=unverified, timeout=60)
    try:
        smtp.login(JOE, secret)
    except smtplib.SMTPException:
        smtp.close()
        raise
    return smtp


def rcpt(smtp: smtplib.SMTP_SSL, recipient: str = ANN, sender: str = JOE) -> tuple[int, bytes]:
    """What RCPT, or MAIL before it, is told."""
    smtp.rset()
    told = smtp.mail(sender)
    return told if told[0] != 250 else smtp.rcpt(recipient)


def sealed_hash(house: House) -> str:
    with contextlib.closing(sqlite3.connect((house.state / "postern.db").resolve())) as database:
        return str(database.execute("SELECT sealed_hash FROM mailbox WHERE folded = 'joe'").fetchone()[0])


@contextlib.contextmanager
def without_database(house: House) -> Iterator[None]:
    """What SQLite keeps beside the file goes with it."""
    file = (house.state / "postern.db").resolve()
    files = [
        each for each in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")) if each.exists()
    ]
    for each in files:
        each.rename(each.with_name(f"away-{each.name}"))
    try:
        yield
    finally:
        for each in files:
            each.with_name(f"away-{each.name}").rename(each)


def is_limit(house: House) -> bool:
    with client(house) as smtp:
        code, words = rcpt(smtp)
    return (code, b"limit" in words) == (450, True)


def test_an_imported_password_is_right_and_becomes_a_better_one(house):
    """By way of ledger and compiler; it is the same password for its owner before and after."""
    before = sealed_hash(house)
    with client(house) as smtp:
        smtp.sendmail(JOE, ANN, CONTENT)
        house.wait_for_messages(ANN)
        wait_until(lambda: sealed_hash(house) != before, SECONDS)
        with client(house) as another:
            assert rcpt(another)[0] == 250
        assert rcpt(smtp)[0] == 250, "nor is he logged out by it"


def test_an_app_password_until_it_is_revoked(house):
    """Its owner's own goes on; who is in by it is out with the next message."""
    secret = house.postern("app-password", "add", JOE, "phone").stdout.strip()

    def may_log_in() -> bool:
        with contextlib.suppress(smtplib.SMTPAuthenticationError):
            client(house, secret).close()
            return True
        return False

    wait_until(may_log_in, SECONDS)
    with client(house, secret) as thief, client(house) as owner:
        house.postern("app-password", "remove", JOE, "phone")
        wait_until(lambda: not may_log_in(), SECONDS)
        code, words = rcpt(thief)
        assert (code, words[:6], b"log in again" in words) == (550, b"5.7.1 ", True)
        assert rcpt(owner)[0] == 250


def test_as_whom_one_may_write(house):
    """Not as others, until it is given."""
    with client(house) as smtp:
        assert rcpt(smtp, sender=f"joe+list@{DOMAIN}")[0] == 250
        code, words = rcpt(smtp, sender=f"team@{DOMAIN}")
        assert (code, f"team@{DOMAIN}".encode() in words) == (550, True)
        house.postern("sender", "add", JOE, f"team@{DOMAIN}")
        wait_until(lambda: rcpt(smtp, sender=f"team@{DOMAIN}")[0] == 250, SECONDS)


def test_a_limit_holds_while_the_database_is_away_and_a_brake_until_it_is_released(house):
    """Both are the ledger's; what was told of them stays told when the database comes back."""
    house.postern("sending", "set", DOMAIN, "--per-hour", "1")
    wait_until(lambda: is_limit(house), SECONDS)
    with without_database(house):
        assert is_limit(house)
    house.postern("sending", "set", DOMAIN, "--per-hour", "0")
    with client(house) as smtp:
        wait_until(lambda: rcpt(smtp)[0] == 250, SECONDS)
    with client(house) as smtp:
        for number in range(35):
            assert rcpt(smtp, f"nobody{number}@{DOMAIN}")[0] == 550
    with without_database(house):
        assert b"stopped" in _word_to(house)

    def braked() -> bool:
        return bool(house.postern("sending", "braked", "--json").stdout.strip() not in ("[]", ""))

    wait_until(braked, SECONDS)
    for address in (JOE, "postmaster@mx.house.test"):  # the owner, and who looks after a domain without a postmaster
        (path,) = house.wait_for_messages(address)
        told = path.read_bytes()
        assert told.startswith(b"Return-Path: <>\n")
        for words in (b"Auto-Submitted: auto-generated\n", JOE.encode(), b"recipients in an hour that do not exist"):
            assert words in told
    house.postern("sending", "release", JOE)
    wait_until(lambda: b"stopped" not in _word_to(house), SECONDS)


def _word_to(house: House) -> bytes:
    with client(house) as smtp:
        return rcpt(smtp)[1]
