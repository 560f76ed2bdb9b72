"""Every command in every state: the code it gets, and the state it leaves. A table is quicker to read than forty dialogs."""

import pytest

from mta.smtp import replies
from mta.smtp.events import Block, Offer, StartTls, Withdraw
from mta.smtp.server import Phase
from tests.mta.smtp.driver import POLICY, Driver

# How to come into each state, said at once.
STATES = {
    "greeted": b"",
    "helo": b"HELO a\r\n",
    "ehlo": b"EHLO a\r\n",
    "mail": b"EHLO a\r\nMAIL FROM:<a@b.test>\r\n",
    "refused": b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<unknown@b.test>\r\n",
    "rcpt": b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\n",
    "chunk": b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\nBDAT 4\r\nhi\r\n",
    "failed chunk": b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\nBDAT 4\r\nh\ni\n",
}
MAIL, RCPT, DATA, BDAT, LAST = (
    b"MAIL FROM:<c@d.test>",
    b"RCPT TO:<ann@b.test>",
    b"DATA",
    b"BDAT 4\r\nho\r\n",
    b"BDAT 4 LAST\r\nho\r\n",
)
# RFC 5321 4.1.4 and 4.3.2, RFC 3030 2. In the order of STATES.
TABLE = {
    b"EHLO b": (250,) * 8,
    b"HELO b": (250,) * 8,
    b"RSET": (250,) * 8,
    b"NOOP": (250,) * 8,
    b"HELP": (214,) * 8,
    b"VRFY joe": (252,) * 8,
    b"EXPN joe": (502,) * 8,
    b"QUIT": (221,) * 8,
    b"FROB": (500,) * 8,
    b"AUTH PLAIN": (502,) * 8,
    b"STARTTLS": (220,) * 8,
    b"ETRN a.test": (502,) * 8,
    MAIL: (503, 250, 250, 503, 503, 503, 503, 503),
    RCPT: (503, 503, 503, 250, 250, 250, 503, 503),
    DATA: (503, 503, 503, 503, 554, 354, 503, 503),
    BDAT: (503, 503, 503, 503, 554, 250, 250, 550),
    LAST: (503, 503, 503, 503, 554, 250, 250, 550),
}
# Whatever was said, these forget the transaction, also one that is half with the enqueuer.
FORGETS = {b"EHLO b", b"HELO b", b"RSET", b"QUIT", b"STARTTLS"}


def codes(sent: bytes) -> list[int]:
    return [int(line[:3]) for line in sent.splitlines() if line[3:4] == b" "]


@pytest.mark.parametrize("command", TABLE)
@pytest.mark.parametrize("state", STATES)
def test_every_command_in_every_state(state: str, command: bytes) -> None:
    """The code of the table; and afterwards the conversation goes on as if the command had stood alone."""
    driver = Driver()
    driver.say(STATES[state])
    driver.sent = b""
    driver.say(command if command.endswith(b"\r\n") else command + b"\r\n")
    expected = TABLE[command][list(STATES).index(state)]
    assert codes(driver.sent) == [expected]
    if expected == 354:
        driver.say(b".\r\n")
    if command == b"STARTTLS":
        driver.carry_out(driver.server.secured(b"TLSv1.3 X"))
    assert driver.over == (command == b"QUIT")
    if not driver.over:
        driver.sent = b""
        driver.say(b"EHLO a\r\nMAIL FROM:<e@f.test>\r\nRCPT TO:<joe@b.test>\r\nDATA\r\nnew\r\n.\r\n")
        assert codes(driver.sent) == [250, 250, 250, 354, 250]
        assert driver.content().endswith(b"new\r\n")
        offers = [event for event in driver.events if isinstance(event, Offer)]
        assert offers[-1].reverse_path == b"e@f.test"


@pytest.mark.parametrize("command", sorted(FORGETS))
def test_what_forgets_a_message_takes_it_back(command: bytes) -> None:
    """A chunk that the enqueuer has heard of is withdrawn, once."""
    driver = Driver()
    driver.say(STATES["rcpt"] + b"BDAT 70000\r\n" + b"x" * 70_000)
    assert (driver.count(Offer), driver.count(Block)) == (1, 1)
    driver.say(command + b"\r\n")
    assert driver.count(Withdraw) == 1


@pytest.mark.parametrize("state", STATES)
def test_tls_forgets_everything(state: str) -> None:
    """RFC 3207 4.2: what was said in the clear was never said; EHLO must come again, and STARTTLS is not offered in it."""
    driver = Driver()
    driver.say(STATES[state] + b"STARTTLS\r\n")
    assert isinstance(driver.events[-1], StartTls)
    assert driver.server.waiting
    driver.sent = b""
    driver.carry_out(driver.server.secured(b"TLSv1.3 TLS_AES_256_GCM_SHA384"))
    assert driver.sent == b"", "no greeting again"
    driver.say(b"MAIL FROM:<a@b.test>\r\nBDAT 4 LAST\r\nho\r\n")
    assert codes(driver.sent) == [503, 503]
    driver.sent = b""
    driver.say(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@b.test> REQUIRETLS\r\nRCPT TO:<joe@b.test>\r\nDATA\r\nhi\r\n.\r\n")
    assert b"STARTTLS\r\n" not in driver.sent
    assert b"250-REQUIRETLS\r\n" in driver.sent
    assert codes(driver.sent) == [250, 503, 250, 250, 354, 250]
    offer = next(event for event in driver.events if isinstance(event, Offer))
    assert (offer.tls, offer.protocol, offer.options) == (
        b"TLSv1.3 TLS_AES_256_GCM_SHA384", b"ESMTPS", b"REQUIRETLS",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hello", "parameter", "tls", "protocol"),
    [
        (b"HELO a", b"", False, b"SMTP"),
        (b"EHLO a", b"", False, b"ESMTP"),
        (b"EHLO a", b"", True, b"ESMTPS"),
        (b"EHLO a", b" SMTPUTF8", False, b"UTF8SMTP"),
        (b"EHLO a", b" SMTPUTF8", True, b"UTF8SMTPS"),
    ],
)
def test_the_protocol_is_told_as_it_was_spoken(hello: bytes, parameter: bytes, tls: bool, protocol: bytes) -> None:
    """RFC 3848, and RFC 6531 4.3 for the two with UTF8."""
    driver = Driver()
    if tls:
        driver.say(b"STARTTLS\r\n")
        driver.carry_out(driver.server.secured(b"TLSv1.3 X"))
    driver.say(hello + b"\r\nMAIL FROM:<a@b.test>" + parameter + b"\r\nRCPT TO:<joe@b.test>\r\nDATA\r\nhi\r\n.\r\n")
    assert [event.protocol for event in driver.events if isinstance(event, Offer)] == [protocol]


def test_nothing_said_in_the_clear_survives_starttls() -> None:
    """Octets behind STARTTLS, in the same packet or before TLS is on, end the conversation; none is a command under TLS."""
    driver = Driver()
    driver.say(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<evil@b.test>\r\n")
    assert codes(driver.sent)[-1] == 421
    assert driver.over
    assert driver.count(StartTls) == 0
    later = Driver()
    later.say(b"EHLO a\r\nSTARTTLS\r\n")
    later.say(b"RSET\r\n")
    assert later.over
    assert later.server.secured(b"TLSv1.3 X") == []
    half = Driver()
    half.say(b"EHLO a\r\nSTARTTLS\r\nM")
    assert half.over


def test_starttls_that_comes_to_nothing() -> None:
    """Argument, somebody away, a client that is gone in the handshake."""
    driver = Driver()
    driver.say(b"EHLO a\r\nSTARTTLS now\r\n")
    driver.server.tls_away = True
    driver.say(b"STARTTLS\r\n")
    assert codes(driver.sent)[-2:] == [501, 454]
    driver.server.tls_away = False
    driver.say(b"STARTTLS\r\n")
    assert driver.server.phase is Phase.HANDSHAKE
    driver.carry_out(driver.server.lost())
    assert driver.over


def test_stopping_during_the_handshake_is_told_under_tls() -> None:
    """In the clear the client would take it for an alert, or for an attack."""
    driver = Driver()
    driver.say(b"EHLO a\r\nSTARTTLS\r\n")
    driver.sent = b""
    driver.carry_out(driver.server.wind_up(replies.STOPPING))
    assert driver.sent == b""
    driver.carry_out(driver.server.secured(b"TLSv1.3 X"))
    assert driver.sent == replies.STOPPING.octets
    assert driver.over


def test_the_policy_of_these_tests_offers_tls() -> None:
    """Else 220 in the table would be luck."""
    assert b"250-STARTTLS\r\n" in POLICY.extended_hello
    assert b"250-STARTTLS\r\n" not in POLICY.secured_hello
