"""What the directory says of autoreplies: to the scheduler that there is one, to the bouncer in which words."""

import hashlib
import os
import time

import pytest

from mta import roster
from mta.message.quoted_body import body_of
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk
from mta.snapshot.records import Alias, Autoreply, Domain, Mailbox, Sending, Tenant
from mta.wire import messages as m
from mta.wire import tickets
from tests.fakes.house import House
from tests.mta.roles.directory.test_desk import RECORDS, SETTINGS, TICKET_KEY, publish

BOB, ANN, QUEUE_ID = b"bob@mx.example", b"ann@away.test", b"0006500000000000abcd"
AWAY = Autoreply(0, 0, b"Bob", b"Away", "Bis Montag. Grüße".encode())
MORE = {
    b"v:bob@mx.example": AWAY,
    b"a:info@mx.example": Alias((b"bob@mx.example", b"small@mx.example")),
    b"a:fwd@mx.example": Mailbox(b"fwd@mx.example", b"fwd", targets=(BOB,)),
}


@pytest.fixture
def make_house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    opened = []

    def make(**more):
        publish(tmp_path, RECORDS | MORE | {key.encode(): value for key, value in more.items()})
        descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        house = House(roster.DIRECTORY, dict(SETTINGS))
        opened.append((house, descriptor))
        house.__enter__()
        directory.serve(house.loop, house.start, descriptor)
        return house

    yield make
    for house, descriptor in opened:
        house.__exit__(None, None, None)
        os.close(descriptor)


def expanded(house, recipient=BOB, sender=ANN, **more):
    question = m.Expand(1, recipient, QUEUE_ID, sender=sender, client=b"192.0.2.1", **more)
    return house.ask(house.client("scheduler"), question)


def proof(sender=ANN, mailbox=BOB):
    return tickets.reply_proof(TICKET_KEY, QUEUE_ID, mailbox, sender)


def words(house, *memory, addressees=(BOB,), sender=ANN, **changed):
    """What the bouncer hears, when the ledger answers *memory* one after the other; and what the ledger was asked."""
    bouncer, ledger = house.client("bouncer"), house.server("ledger")
    fields = {"mailbox": BOB, "reverse_path": sender, "proof": proof(sender), **changed}
    asked, heard = [], house.ask(bouncer, m.ReplyOf(7, QUEUE_ID, **fields, addressees=tuple(addressees)))
    questions = house.hear(ledger)
    for answer in memory:
        (question,) = questions
        asked.append(question)
        questions = house.ask(ledger, answer.but(tag=question.tag))
    (told,) = heard or house.hear(bouncer)
    return told, asked


YES, SPENT = m.Answering(0, True), m.Spent(0, b"yes", b"")


def test_the_scheduler_hears_which_mailbox_answers_with_a_proof_for_this_message(make_house):
    (end,) = expanded(make_house())
    assert (end.replies, end.proof) == (BOB, proof())
    assert tickets.reply_proof_holds(TICKET_KEY, end.proof, QUEUE_ID, BOB, ANN)
    for wrong in ((b"0" * 20, BOB, ANN), (QUEUE_ID, ANN, ANN), (QUEUE_ID, BOB, BOB)):
        assert not tickets.reply_proof_holds(TICKET_KEY, end.proof, *wrong)


def test_behind_an_alias_only_the_mailbox_that_has_one_answers(make_house):
    ends = expanded(make_house(), b"info@mx.example")
    assert [(end.recipient, end.replies) for end in ends] == [(b"Bob@mx.example", BOB), (b"small@mx.example", b"")]


@pytest.mark.parametrize("why", ["bounce", "own", "early", "late", "none"])
def test_nobody_answers_where_there_is_nothing_to_answer(make_house, why):
    """A notification, what the mailbox itself submitted, before and after its time, and without an autoreply."""
    now = int(time.time())
    times = {"early": (now + 60, 0), "late": (now - 60, now - 1)}.get(why, (0, 0))
    record = Alias((BOB,)) if why == "none" else Autoreply(*times, b"", b"", b"text")
    house = make_house(**{"v:bob@mx.example": record})
    (end,) = expanded(house, sender=b"" if why == "bounce" else ANN, identity=BOB if why == "own" else b"")
    assert (end.replies, end.proof) == (b"", b"")


def test_the_words_come_when_the_ledger_allows_and_with_a_ticket_for_this_body(make_house):
    """First whether he was answered before, then whether the mailbox may send: that counts, but is nothing unusual."""
    told, (memory, spend) = words(make_house(), YES, SPENT)
    assert (told.tag, told.word, told.address) == (7, b"yes", b"Bob@mx.example")
    assert (told.name, told.subject, told.text) == (AWAY.name, AWAY.subject, AWAY.text)
    digest = hashlib.sha256(body_of(AWAY.text)).digest()
    said = (QUEUE_ID, b"Bob@mx.example", digest, told.until)
    assert tickets.answer_ticket_holds(TICKET_KEY, told.ticket, *said, int(time.time()))
    assert not tickets.answer_ticket_holds(TICKET_KEY, told.ticket, *said, told.until + 1)
    assert (memory.queue_id, len(memory.digest)) == (QUEUE_ID, 16)
    assert (spend.identity, spend.recipients, spend.brake) == (BOB, 1, False)


def test_who_is_who_does_not_hang_on_capitals(make_house):
    house = make_house()
    digests = {
        words(house, YES, SPENT, sender=sender)[1][0].digest for sender in (ANN, b"Ann@AWAY.test", b"ann@away.test")
    }
    assert len(digests) == 1
    assert words(house, YES, SPENT, sender=b"ben@away.test")[1][0].digest not in digests


@pytest.mark.parametrize("to", [BOB, b"BOB@MX.example", b"bob+x@mx.example", b"info@mx.example", b"all@other.example"])
def test_every_address_of_the_mailbox_counts(make_house, to):
    """Itself, with a tag, an alias, another name of its domain; the others it was written to beside."""
    house = make_house(**{"d:other.example": Domain(b"1", alias_of=b"mx.example"), "a:all@mx.example": Alias((BOB,))})
    assert words(house, YES, SPENT, addressees=(b"zoe@away.test", to))[0].word == b"yes"


@pytest.mark.parametrize(
    "to", [(b"small@mx.example",), (b"zoe@away.test",), (b"fwd@mx.example",), (b"nobody@mx.example",), ()]
)
def test_who_wrote_to_somebody_else_is_not_answered(make_house, to):
    """Blind copies, and what another mailbox forwards here: whoever wrote it does not know this one."""
    assert words(make_house(), addressees=to)[0].word == b"not-addressed"


@pytest.mark.parametrize("sender", [BOB, b"Bob+news@mx.example", b"info@mx.example"])
def test_the_mailbox_does_not_answer_itself(make_house, sender):
    assert words(make_house(), sender=sender)[0].word == b"own"


@pytest.mark.parametrize(
    "more",
    [
        {"t:1": Tenant(b"", stops=2)},
        {"d:mx.example": Domain(b"1", stops=2)},
        {"a:bob@mx.example": Mailbox(b"Bob@mx.example", b"bob", stops=2)},
        {"w:bob@mx.example": Sending(braked=True)},
    ],
)
def test_who_may_not_send_does_not_answer(make_house, more):
    """At whatever level it was said."""
    assert words(make_house(**more))[0].word == b"suspended"


def test_mail_that_stays_inside_is_not_answered_outside(make_house):
    house = make_house(**{"d:mx.example": Domain(b"1", local_only=b"domain")})
    assert words(house)[0].word == b"stays-inside"


def test_a_taken_over_bouncer_gets_no_words_for_what_was_not_delivered_there(make_house):
    """Our proof is of one message, one mailbox and one sender."""
    house = make_house()
    for changed in ({"proof": b""}, {"proof": proof(b"eve@away.test")}, {"proof": proof(ANN, b"small@mx.example")}):
        assert words(house, **changed)[0].word == b"refused"
    assert words(house, mailbox=b"small@mx.example", proof=proof(ANN, b"small@mx.example"))[0].word == b"gone"


def test_who_was_answered_or_has_sent_enough_is_not(make_house):
    house = make_house()
    assert words(house, m.Answering(0, False))[0].word == b"answered-before"
    assert words(house, YES, m.Spent(0, b"limit", b"mailbox hour"))[0].word == b"over-limit"
    assert words(house, YES, m.Spent(0, b"braked", b""))[0].word == b"braked"


def test_without_the_ledger_nobody_is_answered(make_house):
    """It alone knows whether he was before."""
    house = make_house()
    question = m.ReplyOf(7, QUEUE_ID, BOB, ANN, proof(), (BOB,))
    (told,) = house.ask(house.client("bouncer"), question)
    assert told.word == b"ledger-away"
