"""user -> signed -> mailbox: what a user sends bears signatures that others believe, and only in his own name."""

import contextlib
import json
import smtplib
import time
from collections.abc import Iterator

import dkim
import pytest

from mta.message.dkim.verifying import verify
from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

JOE, ANN = f"joe@{DOMAIN}", f"ann@{DOMAIN}"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[House]:
    """Joe may log in; Ann reads what he sends."""
    with House(tmp_path_factory.mktemp("signed") / "house", settings=PATIENT, submission=True, awake=True) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(JOE, password=PASSWORD)
        house.add_mailbox(ANN)
        house.wait_until_known(ANN)
        house.wait_until_users_may_come()
        wait_until(lambda: len(records(house)) == 2, 20, house.said)
        yield house


@pytest.fixture
def house(served: House) -> Iterator[House]:
    """The same, with nothing left of the test before."""
    served.turn_page()
    return served


def records(house: House) -> dict[str, str]:
    """What the administrator is told to publish: name to text, of keys that sign."""
    keys = json.loads(house.postern("dkim", "show", DOMAIN, "--json").stdout)["keys"]
    return {key["record_name"]: key["record"] for key in keys if key["state"] == "signing"}


def send(house: House, content: str, author: str = JOE) -> None:
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, [ANN], content.format(author=author).replace("\n", "\r\n"))


def arrived(house: House) -> bytes:
    """Ann's one message as it came over the wire."""
    (path,) = house.wait_for_messages(ANN)
    return path.read_bytes().replace(b"\n", b"\r\n")


def words(house: House, message: bytes) -> list[str]:
    published = records(house)
    found = verify(
        message,
        lambda name: [published[name.decode()].encode()] if name.decode() in published else [],
        int(time.time()),
    )
    return [result.word for result in found]


def dkimpy_believes(house: House, message: bytes, place: int) -> bool:
    published = records(house)
    return dkim.DKIM(message).verify(
        place, dnsfunc=lambda name, timeout=5: published[name.decode().rstrip(".")].encode()
    )


BARE = "From: Joe <{author}>\nTo: ann\nBcc: secret@example.net\nSubject: hello\n\nA line  with blanks \n\n.dots\n\n\n"


def test_what_a_user_sends_bears_two_signatures_that_hold(house):
    """RSA and Ed25519, for dkimpy and for us, over what was added and without what was taken out."""
    send(house, BARE)
    message = arrived(house)
    assert words(house, message) == ["pass", "pass"]
    assert [dkimpy_believes(house, message, place) for place in (0, 1)] == [True, True]
    header = message.partition(b"\r\n\r\n")[0]
    assert b"a=rsa-sha256" in header
    assert b"a=ed25519-sha256" in header
    assert b"\r\nDate: " in header
    assert b"\r\nMessage-ID: <" in header
    assert b"secret@" not in message
    (submitted,) = wait_until(lambda: house.events("submitted"), 30, house.said)
    assert (submitted["identity"], submitted["signatures"]) == (JOE, "2")
    changed = message.replace(b"Subject: hello", b"Subject: hullo")
    assert words(house, changed) == ["fail", "fail"]


def test_in_anothers_name_nothing_goes(house):
    """The reverse-path is his own, the author is not: 550 5.7.1, with the rule, and nothing arrives."""
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(house, BARE, ANN)
    assert caught.value.smtp_code == 550
    assert caught.value.smtp_error.startswith(b"5.7.1 ")
    assert ANN.encode() in caught.value.smtp_error
    assert house.messages(ANN) == []
    (refused,) = wait_until(lambda: house.events("author-refused"), 30, house.said)
    assert (refused["identity"], refused["author"]) == (JOE, ANN)


def test_what_arrives_from_elsewhere_is_not_signed(house):
    """Nor changed: a stranger's message is his own, octet for octet."""
    with house.smtp() as client:
        client.sendmail("someone@remote.example", [ANN], f"From: {JOE}\r\nSubject: hi\r\n\r\nx\r\n")
    message = arrived(house)
    assert b"DKIM-Signature" not in message
    assert message.endswith(f"From: {JOE}\r\nSubject: hi\r\n\r\nx\r\n".encode())


def test_the_next_keys_sign_when_they_are_told_to_and_the_former_ones_are_gone(house):
    """Two selectors with an overlap: what was signed before holds as long as its record stands."""
    send(house, BARE)
    before, old = arrived(house), records(house)
    house.turn_page()
    house.postern("dkim", "rotate", DOMAIN)
    assert records(house) == old
    house.postern("dkim", "rotate", DOMAIN, "--finish")
    new = records(house)
    assert len(new) == 2
    assert not new.keys() & old.keys()

    def signs_with_the_new() -> bool:
        send(house, BARE)
        message = arrived(house)
        house.turn_page()
        return words(house, message) == ["pass", "pass"]

    wait_until(signs_with_the_new, 20, house.said)
    found = verify(before, lambda name: [old[name.decode()].encode()], int(time.time()))
    assert [result.word for result in found] == ["pass", "pass"]


def test_whatever_happens_to_the_signer_nothing_goes_unsigned(house):
    """451 while it is away; the next one is there in a moment, and what is accepted then is signed."""
    former = house.kill("signer")
    with contextlib.suppress(smtplib.SMTPDataError):  # 451, unless the next one was quicker
        send(house, BARE)
    house.wait_for_restart("signer", former)
    send(house, BARE)
    for path in house.wait_for_messages(ANN):
        assert words(house, path.read_bytes().replace(b"\n", b"\r\n")) == ["pass", "pass"]


def test_what_a_mailbox_answers_by_itself_is_signed_as_what_its_owner_sends(house):
    """In her name, for her domain's readers to believe."""
    kim = f"kim@{DOMAIN}"
    house.add_mailbox(kim)
    house.postern("autoreply", "set", kim, "Ich bin am  Montag zurück.\n.\nGrüße")
    house.add_mailbox(f"later@{DOMAIN}")  # What was changed before it is in force when it is known.
    house.wait_until_known(f"later@{DOMAIN}")
    with house.submission() as client:
        client.login(JOE, PASSWORD)
        client.sendmail(JOE, [kim], f"From: Joe <{JOE}>\r\nTo: <{kim}>\r\nSubject: hello\r\n\r\nWhere are you?\r\n")
    answer = house.wait_for_messages(JOE)[0].read_bytes().replace(b"\n", b"\r\n")
    assert words(house, answer) == ["pass", "pass"]
    assert [dkimpy_believes(house, answer, place) for place in (0, 1)] == [True, True]
    assert f"\r\nFrom: <{kim}>\r\n".encode() in answer
    assert b"\r\nAuto-Submitted: auto-replied\r\n" in answer
    assert answer.startswith(b"Return-Path: <>\r\n")
