"""A taken-over submissiond lies to its peers; and what a user typed lies nowhere that a stranger at port 25 could reach."""

import base64
import contextlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.wire import messages as m
from tests.attack.test_claims import MAC, say
from tests.fixtures.house import House, wait_until
from tests.fixtures.trees import copy_of_product
from tests.journeys.test_tls import holds

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
JOE, ANN, PASSWORD = "joe@example.test", "ann@example.test", "a horse that nobody else rides"
SESSION = b"f" * 16


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="postern-users-"))
    try:
        tree = copy_of_product(folder / "copy")
        # Each lie costs a submissiond its life, and one that keeps ending would have to wait longer each time.
        tree.replace("appliance/supervisor/restart.py", "LONGEST_DELAY = 10.0", "LONGEST_DELAY = 0.0")
        with House(folder / "house", tree=tree, submission=True, awake=True) as made:
            made.add_domain("example.test")
            made.add_mailbox(JOE, password=PASSWORD)
            made.add_mailbox(ANN, password=PASSWORD + ".")
            made.wait_until_known(ANN)
            made.wait_until_users_may_come()
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def begin_anew(house: House) -> None:
    """A liar was hung up on; another takes its place."""
    pid = house.pid("submissiond")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    house.wait_for_restart("submissiond", pid)
    house.wait_until_users_may_come()


def others(house: House) -> dict[str, list[int]]:
    return {role.name: house.pids(role.name) for role in roster.ROLES if role.name != "submissiond"}


def spool(house: House) -> list[str]:
    return [name for part in ("content", "envelope") for name in os.listdir(house.state / "spool" / part)]


def told(house: House, name: str, *messages: m.Message) -> None:
    """Say *messages* on every channel of submissiond; somebody tells the journal *name* of it."""
    before = len(house.events(name))
    assert say(house.pid("submissiond"), *messages) >= 3
    wait_until(lambda: len(house.events(name)) > before, 30, house.said)


@pytest.mark.must_show
def test_a_password_lies_with_three_processes_only(house: House) -> None:
    """submissiond, tls and authenticator see it pass. No smtpd, no role that keeps mail or a log, nobody else ever does."""
    half = b"half of a log-in that waits for the rest"
    sought = [PASSWORD.encode(), base64.b64encode(f"\0{JOE}\0{PASSWORD}".encode())[8:], half]
    with house.submission() as waiting, house.submission(implicit=True) as client:
        waiting.ehlo()
        assert waiting.docmd("AUTH", "LOGIN " + base64.b64encode(half).decode())[0] == 334
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, [ANN], b"From: <joe@example.test>\r\nSubject: hi\r\n\r\nhi\r\n")
        wait_until(lambda: house.events("logged-in"), 30)
        see_it = {pid for role in ("submissiond", "tls", "authenticator") for pid in house.pids(role)}
        assert holds(house.pid("submissiond"), sought), "else we would look in the wrong way"
        assert [pid for pid in house.all_pids() if pid not in see_it and holds(pid, sought)] == []
        assert waiting.docmd("*")[0] == 501
    assert not any(PASSWORD in log.read_text(errors="replace") for log in (house.state / "log").iterdir())


@pytest.mark.must_show
def test_nobody_can_be_logged_in_by_a_lie(house: House) -> None:
    """A session that is not its own, a log-in that was not: the authenticator says nothing useful and tells the journal."""
    expiry = int(time.time()) + 3600
    told(house, "token-refused", m.LogIn(1, SESSION, b"127.0.0.1", MAC, JOE.encode(), PASSWORD.encode()))
    begin_anew(house)
    told(house, "login-ticket-refused", m.MayUse(1, SESSION, JOE.encode(), expiry, MAC, JOE.encode()))
    begin_anew(house)


@pytest.mark.must_show
def test_a_message_without_proofs_goes_nowhere(house: House) -> None:
    """Made up from the session on: to other hosts, to ourselves. Nothing is stored, nothing accepted."""
    house.settle()
    accepted, expiry = len(house.events("accepted")), int(time.time()) + 3600
    for forward_path in (b"victim@elsewhere.test", ANN.encode()):
        offer = m.Offer(
            1, SESSION, b"127.0.0.1", MAC, b"evil.test", b"ESMTPSA", b"", JOE.encode(), forward_path, b"", expiry, MAC,
            identity=JOE.encode(), login=MAC, login_expiry=expiry,
        )  # fmt: skip
        content = m.Content(1, last=True, block=b"From: <joe@example.test>\r\nSubject: forged\r\n\r\n.\r\n")
        assert say(house.pid("submissiond"), offer, content) >= 3
        begin_anew(house)
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, [ANN], b"From: <joe@example.test>\r\nSubject: true\r\n\r\nhi\r\n")
    wait_until(lambda: len(house.events("accepted")) > accepted, 30, house.said)
    house.settle()
    assert len(house.events("accepted")) == accepted + 1, "one was sent by its user, and that one only was taken"
    wait_until(lambda: spool(house) == [], 20, house.said)
    assert not any(b"Subject: forged" in path.read_bytes() for path in house.messages(ANN))


@pytest.mark.must_show
@pytest.mark.parametrize(
    "lie",
    [
        m.OfferDsn(1, b"0" * 20, MAC),  # the bouncer's word
        m.OfferNotice(1, b"postmaster@mx.house.test", 1 << 40, MAC),
        m.OfferConsent(1, b"victim@elsewhere.test", 1 << 40, MAC),
        m.Queued((b"0" * 20, b"envelope")),  # the enqueuer's
        m.Expand(1, ANN.encode()),  # the scheduler's
        m.Verify(1, b"account", b"operator", b"guess"),  # the web's
        m.LoggedIn(1, b"right", JOE.encode(), 1 << 40, MAC),  # the authenticator's
        b"junk",
    ],
    ids=lambda lie: type(lie).__name__ if isinstance(lie, m.Message) else repr(lie),
)
def test_it_cannot_speak_for_others(house: House, lie: m.Message | bytes) -> None:
    """Whoever hears it hangs up; nobody else ends, and a fresh one serves users."""
    before = others(house)
    assert say(house.pid("submissiond"), lie) >= 3
    begin_anew(house)
    with house.submission() as client:
        assert client.login(JOE, PASSWORD)[0] == 235
    assert others(house) == before
