"""Whom a mailbox answers by itself, and what he gets."""

import email
import email.policy
import time

import pytest

from mta.message.autoreply import (
    MAX_ADDRESSEES,
    MAX_REFERENCES,
    MAX_SUBJECT,
    Answer,
    addressees,
    can_write,
    compose_answer,
    reason_against,
)
from mta.message.dkim.canonical import BodyHash, Form, split_fields
from mta.message.glance import read_header
from mta.message.quoted_body import body_of

ANN = b"ann@away.test"


def against(*fields: bytes, sender: bytes = ANN, is_whole: bool = True) -> bytes:
    return reason_against(read_header(b"".join(field + b"\r\n" for field in fields), is_whole=is_whole), sender)


def test_what_a_person_wrote_may_be_answered() -> None:
    assert against(b"From: Ann <ann@away.test>", b"To: bob@here.test", b"Subject: hello", b"Auto-Submitted: no") == b""


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (b"Auto-Submitted: auto-generated", b"automatic"),
        (b"Auto-Submitted: auto-replied; owner-email=x", b"automatic"),
        (b"Auto-Submitted: no\r\nAuto-Submitted: auto-notified", b"automatic"),
        (b"Auto-Submitted:", b"automatic"),
        (b"X-Auto-Response-Suppress: OOF, DR", b"automatic"),
        (b"Content-Type: multipart/report; report-type=delivery-status", b"automatic"),
        (b"List-Id: <l.list.test>", b"list"),
        (b"List-Unsubscribe: <mailto:x@list.test>", b"list"),
        (b"LIST-POST: NO", b"list"),
        (b"Precedence: bulk", b"list"),
        (b"Precedence:  Junk ", b"list"),
        (b"Precedence: list", b"list"),
        (b"X-Spam-Flag: YES", b"spam"),
        (b"Authentication-Results: mx.test; dmarc=fail", b"forged"),
    ],
)
def test_what_says_that_it_wants_no_answer_gets_none(field: bytes, why: bytes) -> None:
    """RFC 3834 2 and 5, RFC 5230 4.6; and what a filter has doubts about is not answered either."""
    assert against(b"To: bob@here.test", field) == why


@pytest.mark.parametrize(
    "field", [b"Auto-Submitted: no", b"Auto-Submitted: No (really)", b"Precedence: first-class", b"Listen: x"]
)
def test_what_only_looks_like_it_is_answered(field: bytes) -> None:
    assert against(field) == b""


@pytest.mark.parametrize(
    "local_part",
    ["owner-list", "list-owner", "list-request", "list-bounces", "x-bounce", "bounce", "bounces+17-bob=here.test", "MAILER-DAEMON",
     "mailer_daemon", "noreply", "No-Reply", "no.reply", "shop-noreply", "donotreply", "do-not-reply", "noreply+abc", "listserv",
     "majordomo", "list-errors"],
)  # fmt: skip
def test_who_is_no_person_is_not_answered(local_part: str) -> None:
    assert against(b"To: x", sender=local_part.encode() + b"@away.test") == b"sender"


@pytest.mark.parametrize(
    "local_part", ["ann", "owner", "request", "bouncer", "ann.reply", "office-admin", "daemon", "bob-own"]
)
def test_who_only_sounds_like_it_is(local_part: str) -> None:
    assert against(b"To: x", sender=local_part.encode() + b"@away.test") == b""


def test_nothing_answers_the_null_reverse_path_or_a_header_that_goes_on_unseen() -> None:
    assert against(b"To: x", sender=b"") == b"null-reverse-path"
    assert against(b"To: x", is_whole=False) == b"cut"


@pytest.mark.parametrize("sender", [b"no" * 500 + b"@x", b"-" * 1000 + b"@x", b"a-request" * 100, b"@" * 1000])
def test_no_sender_costs_time_worth_speaking_of(sender: bytes) -> None:
    began = time.process_time()
    against(sender=sender)
    assert time.process_time() - began < 0.1


def whom(*fields: bytes) -> list[bytes]:
    return addressees(read_header(b"\r\n".join(fields)))


def test_addressees_are_found_wherever_they_are_written() -> None:
    """In several fields, with names and comments, folded; each once. Bcc is told to nobody, and From is no addressee."""
    assert whom(
        b"To: Bob <bob@here.test>, ann@away.test", b'Cc: "x, y" <zoe@here.test>,\r\n bob@here.test',
        b"Resent-To: carl@here.test", b"From: eve@away.test", b"Bcc: dora@here.test",
    ) == [b"bob@here.test", b"ann@away.test", b"zoe@here.test", b"carl@here.test"]  # fmt: skip
    assert whom(b"To: undisclosed-recipients:;") == []
    assert whom("To: jürgen@münchen.example".encode()) == ["jürgen@münchen.example".encode()]


def test_who_writes_to_a_crowd_is_not_answered() -> None:
    assert whom(b"To: " + b", ".join(b"u%d@here.test" % number for number in range(MAX_ADDRESSEES + 1))) == []


@pytest.mark.parametrize("body", [b"a" * 60_000, b"@" * 60_000, b"a@" * 30_000, b"a@b," * 15_000, b"<" * 60_000])
def test_no_list_of_addressees_costs_time_worth_speaking_of(body: bytes) -> None:
    began = time.process_time()
    whom(b"To: " + body)
    assert time.process_time() - began < 0.5


def answer(**given: bytes) -> Answer:
    values: dict[str, bytes] = {
        "host": b"mx.here.test", "queue_id": b"0006500000000000abcd", "mailbox": b"Bob@here.test", "name": b"Bob Example",
        "to": ANN, "subject": b"", "text": "Ich bin bis Montag weg.\n\nGrüße".encode(), **given,
    }  # fmt: skip
    return Answer(**values, moment=1_800_000_000)  # type: ignore[arg-type] - a number among octets


ASKED = b"From: Ann <ann@away.test>\r\nSubject: hello\r\nMessage-ID: <1@away.test>\r\nReferences: <0@away.test>\r\n"


def read(asked: bytes = ASKED, **given: bytes) -> email.message.EmailMessage:
    head, body = compose_answer(answer(**given), read_header(asked))
    split_fields(head)  # Each line belongs to a field, and no CR or LF stands alone.
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
    return email.message_from_bytes(head + b"\r\n" + body, policy=email.policy.default)  # type: ignore[return-value]


def test_an_answer_says_what_it_is_and_to_what() -> None:
    """RFC 3834 3.1: To, From, Subject, In-Reply-To, References, Auto-Submitted."""
    message = read()
    assert message["From"] == "Bob Example <Bob@here.test>"
    assert message["To"] == "ann@away.test"
    assert message["Subject"] == "Auto: hello"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == "<1@away.test>"
    assert message["References"] == "<0@away.test> <1@away.test>"
    assert message["Message-ID"] == "<autoreply.0006500000000000abcd.1800000000@mx.here.test>"
    assert message.get_content().replace("\r\n", "\n").rstrip() == "Ich bin bis Montag weg.\n\nGrüße"


@pytest.mark.parametrize(
    ("own", "asked", "subject"),
    [
        ("Away until Monday", b"Subject: x\r\n", "Away until Monday"),
        ("Außer Haus", b"Subject: x\r\n", "Außer Haus"),
        ("", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n", "Auto: Grüße"),
        ("", b"From: x\r\n", "Auto: (no subject)"),
        ("", b"Subject: a\r\n b\r\n", "Auto: a b"),
        ("", b"Subject: =?utf-8?q?a=0D=0ABcc:_eve=40away.test?=\r\n", "Auto: a Bcc: eve@away.test"),
        ("", b"Subject: =?utf-8?q?=E2=80=AEtxt?=\r\n", "Auto: ?txt"),  # nothing that turns what stands beside it
    ],
)
def test_the_subject_is_the_owners_or_tells_what_is_answered(own: str, asked: bytes, subject: str) -> None:
    message = read(asked, subject=own.encode())
    assert message["Subject"] == subject
    assert message["Bcc"] is None


def test_a_subject_without_end_is_cut_and_folded() -> None:
    message = read(b"Subject: " + b"word " * 1000 + b"\r\n")
    assert message["Subject"].endswith("…")
    assert len(message["Subject"]) == len("Auto: ") + MAX_SUBJECT + 1


@pytest.mark.parametrize(
    ("asked", "references"),
    [
        (b"Message-ID: <1@x>\r\n", "<1@x>"),
        (b"Message-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n", "<0@x> <1@x>"),
        (b"Message-ID: <1@x>\r\nIn-Reply-To: <0@x> <9@x>\r\n", "<1@x>"),  # RFC 5322 3.6.4: of several it is none
        (b"Message-ID: nonsense\r\nReferences: <0@x>\r\n", None),
        (b"Message-ID: <a b@x>\r\n", None),
    ],
)
def test_it_stands_in_the_thread_of_what_it_answers(asked: bytes, references: str | None) -> None:
    assert read(asked)["References"] == references


def test_a_long_thread_is_told_from_its_end() -> None:
    message = read(
        b"Message-ID: <last@x>\r\nReferences: " + b" ".join(b"<%d@x>" % number for number in range(500)) + b"\r\n"
    )
    ids = message["References"].split()
    assert len(ids) == MAX_REFERENCES + 1
    assert (ids[-2], ids[-1]) == ("<499@x>", "<last@x>")


@pytest.mark.parametrize("name", ["", "Bob", 'Bob "the" Builder', "Bob\\", "Jörg Müller", "名" * 15])
def test_whatever_his_name_is_the_author_is_the_mailbox_alone(name: str) -> None:
    message = read(name=name.encode())
    (author,) = message["From"].addresses
    assert (author.display_name, author.addr_spec) == (name, "Bob@here.test")


def test_a_name_brings_no_field_of_its_own() -> None:
    message = read(name=b"Bob\r\nBcc: eve@away.test")
    assert message["Bcc"] is None
    assert message["From"].addresses[0].addr_spec == "Bob@here.test"


@pytest.mark.parametrize(
    ("mailbox", "can"),
    [(b"bob@here.test", True), (b"b+c@here.test", True), ("jörg@here.test".encode(), True), (b"a b@here.test", False),
     (b'"a"@here.test', False), (b"a@b@here.test", False), ("jörg <x>@here.test".encode(), False), (b"\xff@here.test", False)],
)  # fmt: skip
def test_a_mailbox_whose_address_is_read_in_two_ways_answers_nobody(mailbox: bytes, can: bool) -> None:
    assert can_write(mailbox) is can


def test_a_reverse_path_that_cannot_stand_in_a_field_is_not_put_there() -> None:
    assert b"eve" not in compose_answer(answer(to=b"x>\r\nBcc: eve@away.test"), read_header(b""))[0]


@pytest.mark.parametrize(
    "text",
    ["plain", "two  blanks   three", " leading", "a\n\n\nb", ".\n..\n.dot", "tab\tin", "=3D = ?", "x" * 500, "ü" * 300,
     "word " * 200, "From here\nFrom there", "end \nblank", "a" * 71 + " b", "a" * 72 + "  b"],
)  # fmt: skip
def test_a_body_is_read_as_it_was_written_and_is_its_own_canonical_form(text: str) -> None:
    """So the directory, which knows the words alone, knows the hash that the signer signs (RFC 6376 3.4.4)."""
    body = body_of(text.encode())
    message = email.message_from_bytes(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body)
    assert message.get_payload(decode=True).decode().replace("\r\n", "\n") == text.strip("\n") + "\n"  # type: ignore[union-attr]
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    relaxed, simple = BodyHash(Form.RELAXED), BodyHash(Form.SIMPLE)
    for each in (relaxed, simple):
        each.update(body)
    assert relaxed.digest() == simple.digest()
    assert not body.startswith(b".")
    assert b"\r\n." not in body
