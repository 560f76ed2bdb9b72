"""Every kind of notification that we write, read by others' programs: the standard library's parser and flufl.bounce."""

import email
import email.policy
import email.utils
import itertools

import pytest
from flufl.bounce import all_failures

from mta.message.dsn import RecipientReport, Report, compose
from mta.message.dsn_words import ENGLISH, GERMAN, words_in
from mta.message.qsbmf import compose_qsbmf

ORIGINAL = b"From: a@client.test\r\nTo: team@example.test\r\nSubject: hello\r\nMessage-ID: <1@client.test>\r\n"
BODY = ORIGINAL + b"\r\nthe body\r\n"
ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")
UNTIL, ARRIVAL, LAST = 1_800_432_000, 1_800_000_000, 1_800_000_200


def recipient(action=b"failed", path=b"joe@example.test", said_by=b"", why=b"no mailbox here"):
    status = {b"failed": b"5.1.1", b"delayed": b"4.4.1"}.get(action, b"2.0.0")
    return RecipientReport(b"", path, path, action, status, why, said_by, LAST)


def report(*recipients, **rest):
    fields = {
        "host": b"mx.test", "queue_id": b"0" * 20, "reverse_path": b"a@client.test", "envelope_id": b"", "arrival": ARRIVAL,
        "moment": ARRIVAL + 300, "original": ORIGINAL, "recipients": recipients or (recipient(),), "retry_until": UNTIL,
    }  # fmt: skip
    return Report(**(fields | rest))


def read(content):
    message = email.message_from_bytes(content, policy=email.policy.default)
    for part in message.walk():
        assert part.defects == []
    return message


@pytest.mark.parametrize(
    ("action", "language", "whole", "utf_8", "said_by"),
    list(itertools.product(ACTIONS, (b"en", b"de"), (False, True), (False, True), (b"", b"mx.example.test"))),
)
def test_each_kind_is_read_as_it_was_meant(action, language, whole, utf_8, said_by):
    """The address, what became of it, and which of them are failures: no reader takes a success for a bounce."""
    why = b"550 5.1.1 no such user" if said_by else b"no mailbox here"
    one = recipient(action.encode(), said_by=said_by, why=why)
    content = compose(report(one, original=BODY if whole else ORIGINAL, whole=whole, utf_8=utf_8, language=language))
    assert content.isascii() or utf_8
    message = read(content)
    assert message.get_content_type() == "multipart/report"
    words, status, original = message.iter_parts()
    assert words["Content-Language"] == language.decode()
    text = words.get_content()
    assert "<joe@example.test>" in text
    assert (GERMAN if language == b"de" else ENGLISH).about[action.encode()][1] in text
    if utf_8:  # RFC 6533 is newer than both readers: the library does not take the fields apart.
        whom = email.message_from_bytes(status.as_bytes().replace(b"\r\n", b"\n").split(b"\n\n")[2])
    else:
        whom = status.get_payload()[1]
    assert (whom["Action"], whom["Final-Recipient"]) == (action, "rfc822; joe@example.test")
    assert email.utils.parsedate_to_datetime(whom["Last-Attempt-Date"]).timestamp() == LAST
    assert ("Will-Retry-Until" in whom) is (action == "delayed")
    assert whom["Remote-MTA"] == ("dns; mx.example.test" if said_by else None)
    assert whom["Diagnostic-Code"] == ("smtp; " if said_by else "x-postern; ") + why.decode()
    assert b"Message-ID: <1@client.test>" in original.as_bytes()
    if not utf_8:
        found = all_failures(email.message_from_bytes(content))
        address = {b"joe@example.test"}
        assert found == (
            address if action == "delayed" else set(), address if action == "failed" else set(),
        )  # fmt: skip


def test_several_recipients_are_told_apart():
    """Two failures, one delay, one success in one notification."""
    some = [
        recipient(path=b"one@example.test"), recipient(path=b"two@example.test", said_by=b"mx.other.test"),
        recipient(b"delayed", b"three@example.test"), recipient(b"delivered", b"four@example.test"),
    ]  # fmt: skip
    temporary, permanent = all_failures(email.message_from_bytes(compose(report(*some))))
    assert permanent == {b"one@example.test", b"two@example.test"}
    assert temporary == {b"three@example.test"}


def test_a_relays_own_words_are_not_given_out_as_a_servers():
    """RFC 3464 2.3.6: `smtp` is for replies; that nobody answered is for us to say."""
    one = recipient(b"delayed", said_by=b"mx.example.test", why=b"The connection was refused")
    message = read(compose(report(one)))
    whom = list(message.iter_parts())[1].get_payload()[1]
    assert whom["Diagnostic-Code"] == "x-postern; The connection was refused"
    assert whom["Remote-MTA"] == "dns; mx.example.test"
    assert "So says" not in next(message.iter_parts()).get_content()


def test_a_delay_says_in_german_that_nothing_need_be_done():
    """With the moment as it is written there."""
    words = next(read(compose(report(recipient(b"delayed"), language=b"de-AT"))).iter_parts())
    text = words.get_content()
    assert "Sie brauchen sie nicht noch einmal zu senden: Es wird bis zum 20.01.2027 um 08:00 Uhr UTC" in text
    assert words["Content-Transfer-Encoding"] == "quoted-printable"


def test_each_language_has_a_word_for_everything():
    """And subjects that need no encoding; a language we have not is English."""
    for words in (ENGLISH, GERMAN):
        assert tuple(action.decode() for action in words.about) == ACTIONS
        assert all(f"{words.subject} {about[0]}".isascii() for about in words.about.values())
        assert words_in(words.name.upper()) is words
    assert words_in(b"fr") is ENGLISH
    assert words_in(b"") is ENGLISH


@pytest.mark.parametrize("whole", [False, True])
def test_old_tools_find_the_failed_addresses_in_a_qsbmf_bounce(whole):
    """In flufl.bounce it is a detector of its own, for qmail."""
    some = (recipient(), recipient(path=b"two@example.test", said_by=b"mx.test", why=b"550 no"))
    content = compose_qsbmf(report(*some, original=BODY if whole else ORIGINAL, whole=whole, unnamed=3))
    message = read(content)
    assert message["To"] == "a@client.test"
    assert all_failures(email.message_from_bytes(content)) == (set(), {b"joe@example.test", b"two@example.test"})
    text = message.get_content()
    assert text.startswith("Hi. This is the ")
    assert "no mailbox here (#5.1.1)" in text
    assert "Remote host said it: mx.test" in text
    assert ("the body" in text) is whole
    assert "Return-Path: <a@client.test>" in text


@pytest.mark.parametrize(
    "other",
    [
        report(recipient(b"delayed")), report(recipient(), recipient(b"delivered")), report(utf_8=True),
        report(original=b"Subject: a\0b\r\n"), report(original=b"X: " + b"y" * 1200 + b"\r\n"),
    ],
)  # fmt: skip
def test_what_qsbmf_has_no_words_for_is_told_otherwise(other):
    """Old tools would take a delay for a failure, and an illegal original would make an illegal message."""
    assert compose_qsbmf(other) is None


def test_nothing_of_a_strangers_begins_a_paragraph_in_a_qsbmf_bounce():
    """Or a diagnostic could name others as failed."""
    evil = recipient(path=b"joe>:\r\n\r\n<ann@example.test", why=b"no\r\n\r\n<ann@example.test>:\r\ngone")
    content = compose_qsbmf(report(evil, reverse_path=b"a@client.test>\r\n\r\n<ann@example.test>:"))
    assert b"\r\n<ann@example.test>" not in content
