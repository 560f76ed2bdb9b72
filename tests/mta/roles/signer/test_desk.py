"""Signer at its channel: for whom it signs, and for whom not."""

import os

import pytest
from cryptography.hazmat.primitives import serialization

from mta import roster, seal
from mta.message.dkim.canonical import BodyHash
from mta.message.dkim.verifying import verify
from mta.roles.signer import keys as keys_of
from mta.roles.signer.desk import GOOD_SECONDS, Desk
from mta.roles.signer.keys import Keeper
from mta.snapshot.reader import Snapshot
from mta.snapshot.records import SigningKeys, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.wire import control, tickets
from mta.wire import messages as m
from mta.wire.channel import ChannelClosed
from tests.fakes.house import House, events
from tests.mta.message.dkim import _oracle

KEY, NOW = os.urandom(32), 1_800_000_000
PRIVATE, PUBLIC = seal.make_key_pair()
CONTACT = b"tls-reports@example.org"
HEADER = b"From: Joe <joe@example.org>\r\nSubject: hi\r\n"
BODY = b"hello\r\n"


def sealed(public: bytes = PUBLIC) -> tuple[bytes, ...]:
    """Both kinds, as the compiler writes them."""
    triples: list[bytes] = []
    for key in _oracle.key_pair():
        der = key.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        triples += (key.selector, key.algorithm, seal.seal(public, seal.SIGNING_KEY, der))
    return tuple(triples)


JOES = tickets.sender_ticket(KEY, b"session", b"joe@example.org", b"joe@example.org", NOW + 60)


class Rig(House):
    """A signer with the keys of example.org, of a domain of U-labels, and of one that it cannot open."""

    def __init__(self, folder, opener: seal.Opener | None) -> None:
        super().__init__(roster.SIGNER, {})
        good = pack_record(SigningKeys(b"example.org", sealed()))
        idn = pack_record(SigningKeys(b"xn--bcher-kva.example", sealed()))
        records = [
            (b"g:example.org", good), (b"g:xn--bcher-kva.example", idn), ("g:bücher.example".encode(), idn),
            (b"g:other.example", pack_record(SigningKeys(b"other.example", sealed(seal.make_key_pair()[1])))),
            (b"g:wrong.example", b"x"),
        ]  # fmt: skip
        self.writer = SnapshotWriter(folder)
        self.writer.publish_all(b"i" * 16, 1, records)
        self.snapshot = Snapshot.open(folder)
        self.desk = Desk(Keeper(self.snapshot, opener), KEY, clock=lambda: float(NOW), contact=CONTACT)
        handlers = {"submitter": self.desk.asked, "bouncer": self.desk.asked, "reporter": self.desk.asked_report}
        self.desk.peers = control.Peers(roster.SIGNER, self.start, self.loop, handlers)
        self.journal, self.submitter = self.server("journal"), self.client("submitter")

    def request(self, request: m.Sign) -> m.Signed:
        (answer,) = self.ask(self.submitter, request)
        assert isinstance(answer, m.Signed)
        return answer


@pytest.fixture
def rig(tmp_path):
    with Rig(tmp_path, seal.Opener(PRIVATE, seal.SIGNING_KEY)) as rig:
        yield rig
        rig.snapshot.close()


def request(address: bytes = b"joe@example.org", header: bytes = HEADER, **changed: object) -> m.Sign:
    hashed = BodyHash()
    hashed.update(BODY)
    mac = tickets.sender_ticket(KEY, b"session", b"joe@example.org", address, NOW + 60)
    fields = {
        "tag": 3, "session": b"session", "identity": b"joe@example.org", "address": address, "until": NOW + 60,
        "sender_ticket": mac, "body_hash": hashed.digest(), "header": header,
    }  # fmt: skip
    return m.Sign(**{**fields, **changed})


def test_both_keys_sign_and_everybody_believes_them(rig):
    """For a fortnight; dkimpy too."""
    answer = rig.request(request())
    assert (answer.tag, answer.word) == (3, b"signed")
    message = answer.fields + HEADER + b"\r\n" + BODY
    assert [result.word for result in verify(message, _oracle.look_up, NOW + GOOD_SECONDS)] == ["pass", "pass"]
    assert [result.word for result in verify(message, _oracle.look_up, NOW + GOOD_SECONDS + 7200)] == ["permerror"] * 2
    ((name, pairs),) = events(rig.journal, rig)
    assert (name, pairs[b"domain"], pairs[b"selectors"]) == (b"signed", b"example.org", b"s-rsa s-ed")


@pytest.mark.parametrize(
    "changed",
    [
        {"session": b"another"},
        {"identity": b"ann@example.org"},
        {"until": NOW + 61},
        {
            "until": NOW - 1,
            "sender_ticket": tickets.sender_ticket(KEY, b"session", b"joe@example.org", b"joe@example.org", NOW - 1),
        },
        {"sender_ticket": b""},
        {"sender_ticket": tickets.login_ticket(KEY, b"session", b"joe@example.org", NOW + 60, b"password")},
        {
            "sender_ticket": tickets.sender_ticket(
                b"x" * 32, b"session", b"joe@example.org", b"joe@example.org", NOW + 60
            )
        },
        {"header": HEADER.replace(b"joe@", b"boss@")},
        {"header": HEADER.replace(b"Joe <joe@example.org>", b"joe@example.org, boss@example.org")},
        {"header": HEADER + b"From: boss@example.org\r\n"},
        {"header": HEADER.replace(b"Joe", b"boss@example.org")},
        {"header": b"Subject: hi\r\n"},
        {"address": b"boss@example.org", "header": HEADER.replace(b"joe@", b"boss@"), "sender_ticket": JOES},
    ],
)
def test_nothing_is_signed_that_the_ticket_does_not_say(rig, changed):
    """Another session, another mailbox, an ended or forged ticket; another author, several, or one that is hidden."""
    answer = rig.request(request(**changed))
    assert (answer.word, answer.fields) == (b"refused", b"")
    assert [name for name, _ in events(rig.journal, rig)] == [b"proof-refused"]


@pytest.mark.parametrize(
    "domain", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--bcher-KVA.example"]
)
def test_a_domain_is_known_in_each_of_its_spellings(rig, domain):
    """And is signed for under its A-labels."""
    address = b"joe@" + domain.encode()
    answer = rig.request(request(address, b"From: " + address + b"\r\n"))
    assert answer.word == b"signed"
    assert b"d=xn--bcher-kva.example;" in answer.fields


def test_a_domain_without_keys_is_not_signed_for(rig):
    address = b"joe@nokeys.example"
    assert rig.request(request(address, b"From: " + address + b"\r\n")) == m.Signed(3, b"none", b"")


@pytest.mark.parametrize("domain", [b"other.example", b"wrong.example"])
def test_keys_that_cannot_be_used_make_mail_wait(rig, domain):
    """It is told once, and not with each message."""
    address = b"joe@" + domain
    for _ in range(2):
        assert rig.request(request(address, b"From: " + address + b"\r\n")).word == b"later"
    told = events(rig.journal, rig)
    assert [(name, pairs[b"domain"]) for name, pairs in told] == [(b"signing-keys-unusable", domain)]


def test_without_the_key_to_open_them_nothing_is_signed(tmp_path):
    with Rig(tmp_path, None) as rig:
        assert rig.request(request()).word == b"later"
        rig.snapshot.close()


def test_new_keys_sign_from_the_next_message_on(rig, monkeypatch):
    """And a domain whose keys are taken away is not signed for; few are kept ready."""
    monkeypatch.setattr(keys_of, "MAX_KEPT", 1)
    assert b"s=s-rsa;" in rig.request(request()).fields
    address = b"joe@xn--bcher-kva.example"
    assert rig.request(request(address, b"From: " + address + b"\r\n")).word == b"signed"
    triples = tuple(part.replace(b"s-rsa", b"later") for part in sealed())
    rig.writer.publish_changes(b"i" * 16, 2, [(b"g:example.org", pack_record(SigningKeys(b"example.org", triples)))])
    assert b"s=later;" in rig.request(request()).fields
    rig.writer.publish_changes(b"i" * 16, 3, [(b"g:example.org", None)])
    assert rig.request(request()).word == b"none"


@pytest.mark.parametrize("changed", [{"header": b"no field\r\n"}, {"header": b"From: a\n"}, {"body_hash": b"short"}])
def test_nonsense_hangs_up(rig, changed):
    rig.submitter.send(request(**changed))
    rig.settle()
    with pytest.raises(ChannelClosed):
        rig.hear(rig.submitter)


def sign_report(header: bytes, body_hash: bytes) -> m.SignReport:
    return m.SignReport(4, body_hash, header)


def test_a_report_about_tls_is_signed_for_the_one_address_that_they_come_from(rig):
    """Without a ticket: nobody logged in."""
    header = b"From: <%b>\r\nSubject: Report Domain: x.test\r\nTLS-Report-Domain: x.test\r\n" % CONTACT
    hashed = BodyHash()
    hashed.update(BODY)
    (signed,) = rig.ask(rig.client("reporter"), sign_report(header, hashed.digest()))
    assert signed.word == b"signed"
    message = signed.fields + header + b"\r\n" + BODY
    assert {each.word for each in verify(message, _oracle.look_up, NOW)} == {"pass"}


@pytest.mark.parametrize(
    ("header", "body_hash"),
    [
        (HEADER, bytes(32)), (b"From: <tls-reports@other.example>\r\n", bytes(32)), (b"Subject: x\r\n", bytes(32)),
        (b"From: <%b>, <joe@example.org>\r\n" % CONTACT, bytes(32)), (b"From: <%b>\r\n" % CONTACT * 2, bytes(32)),
        (b"From: <%b>\r\n" % CONTACT, bytes(31)), (b"no header\r\n", bytes(32)),
    ],
)  # fmt: skip
def test_a_reporter_that_wants_anything_else_signed_is_hung_up_on(rig, header, body_hash):
    """Another author, two, none; or no hash."""
    reporter = rig.client("reporter")
    reporter.send(sign_report(header, body_hash))
    rig.settle()
    with pytest.raises(ChannelClosed):
        rig.hear(reporter)


def sign_reply(header: bytes = HEADER, **changed: object) -> m.SignReply:
    hashed = BodyHash()
    hashed.update(BODY)
    until, digest = NOW + 60, hashed.digest()
    mac = tickets.answer_ticket(KEY, b"0" * 20, b"joe@example.org", digest, until)
    fields = {
        "tag": 3, "queue_id": b"0" * 20, "address": b"joe@example.org", "until": until, "ticket": mac, "body_hash": digest,
        "header": header,
    }  # fmt: skip
    return m.SignReply(**{**fields, **changed})


def test_what_a_mailbox_answers_by_itself_is_signed_as_what_its_owner_sends(rig):
    (answer,) = rig.ask(rig.client("bouncer"), sign_reply())
    assert (answer.tag, answer.word) == (3, b"signed")
    message = answer.fields + HEADER + b"\r\n" + BODY
    assert [result.word for result in verify(message, _oracle.look_up, NOW)] == ["pass", "pass"]


@pytest.mark.parametrize(
    "changed",
    [
        {"header": b"From: Ann <ann@example.org>\r\n"},
        {"header": HEADER + b"From: Ann <ann@example.org>\r\n"},
        {"body_hash": b"x" * 32},
        {"queue_id": b"1" * 20},
        {"address": b"ann@example.org", "header": b"From: ann@example.org\r\n"},
        {"until": NOW + 61},
        {"ticket": JOES},
    ],
)
def test_a_taken_over_bouncer_has_nothing_signed_but_the_words_that_the_owner_saved(rig, changed):
    """The directory's ticket is of one message, one author and one body."""
    (answer,) = rig.ask(rig.client("bouncer"), sign_reply(**changed))
    assert (answer.word, answer.fields) == (b"refused", b"")
    assert [name for name, _ in events(rig.journal, rig)] == [b"proof-refused"]
