"""Forwarding under conditions: what the envelope tells is judged here, what the header tells is asked of the bouncer."""

import os
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk
from mta.roles.directory.letters import MAX_ASKED, HeaderWanted, Letter
from mta.snapshot.records import Alias, Conditions, Mailbox
from mta.vocabulary import Word
from mta.wire import messages as m
from tests.fakes.house import House, events
from tests.mta.roles.directory.test_desk import RECORDS, SETTINGS, publish, word

ANN = b"ann@away.test"


def meets(sender=ANN, size=1000, **conditions):
    return Letter(sender, size).meets(Conditions(**conditions), b"bob@mx.example")


@pytest.mark.parametrize(
    ("pattern", "sender", "expected"),
    [
        (ANN, ANN, True),
        (ANN, b"Ann@AWAY.test", True),
        (ANN, b"ben@away.test", False),
        (b"away.test", ANN, True),
        (b"away.test", b"x@sub.away.test", False),
        (b".away.test", ANN, True),
        (b".away.test", b"x@sub.away.test", True),
        (b".away.test", b"x@faraway.test", False),
        (b"xn--mnchen-3ya.example", "x@MÜNCHEN.example".encode(), True),
        (b"away.test", b"", False),
        (b"away.test", b"\xff@away.test", False),
    ],
)
def test_senders_are_addresses_domains_or_all_below_one(pattern, sender, expected):
    assert meets(sender, senders=(b"other.test", pattern)) is expected


@pytest.mark.parametrize(
    ("larger", "smaller", "expected"),
    [(999, -1, True), (1000, -1, False), (-1, 1001, True), (-1, 1000, False), (-1, 0, False), (10, 2000, True)],
)
def test_sizes_are_larger_than_and_smaller_than(larger, smaller, expected):
    assert meets(larger_than=larger, smaller_than=smaller) is expected


def test_the_header_is_asked_for_only_when_the_envelope_leaves_it_open():
    """What costs nothing comes first; and what was told once is known."""
    assert not meets(senders=(b"other.test",), spam=b"yes")
    wanted = Conditions(spam=b"yes")
    letter = Letter(ANN, 1000)
    with pytest.raises(HeaderWanted) as asked:
        letter.meets(wanted, b"bob@mx.example")
    assert (asked.value.conditions, asked.value.key) == (wanted, b"bob@mx.example")
    letter.judged[wanted] = True
    assert letter.meets(Conditions(spam=b"yes"), b"bob@mx.example")


def test_one_recipient_has_no_header_judged_for_ever():
    """An alias for a thousand mailboxes, each with conditions of its own: what goes beyond stays where it is."""
    letter = Letter(ANN, 1000)
    letter.judged.update({Conditions(subjects=(b"%d" % number,)): True for number in range(MAX_ASKED)})
    assert letter.meets(Conditions(subjects=(b"0",)), b"k") is True
    assert letter.meets(Conditions(subjects=(b"one more",)), b"k") is False


def forwards(keep_copy=False, name=b"Bob", target=b"small@mx.example", **conditions):
    address = name + b"@mx.example"
    return Mailbox(address, name.lower(), keep_copy=keep_copy, targets=(target,), conditions=Conditions(**conditions))


@pytest.fixture
def make_house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    opened = []

    def make(bob, **more):
        records = RECORDS | {b"a:bob@mx.example": bob} | {key.encode(): value for key, value in more.items()}
        publish(tmp_path, records)
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


def queue_id(age=0):
    return b"%016x0000" % int((time.time() - age) * 1_000_000)


def expand(recipient=b"bob@mx.example", age=0, size=1000):
    return m.Expand(1, recipient, queue_id(age), sender=ANN, client=b"192.0.2.1", size=size, authority=b"glance")


def where(answers):
    return [answer.recipient for answer in answers if not isinstance(answer, m.Unresolved)]


@pytest.mark.parametrize(
    ("keep_copy", "size", "expected"),
    [
        (False, 2000, [b"small@mx.example"]),
        (True, 2000, [b"Bob@mx.example", b"small@mx.example"]),
        (False, 10, [b"Bob@mx.example"]),
        (True, 10, [b"Bob@mx.example"]),
    ],
)
def test_what_meets_the_conditions_goes_on_and_all_else_stays_in_the_mailbox(make_house, keep_copy, size, expected):
    """Whatever the forwarding says of a copy: nothing is lost by a condition."""
    house = make_house(forwards(keep_copy, larger_than=1500))
    assert where(house.ask(house.client("scheduler"), expand(size=size))) == expected


@pytest.mark.parametrize(("word", "expected"), [(b"yes", b"small@mx.example"), (b"no", b"Bob@mx.example")])
def test_what_stands_in_the_header_the_bouncer_says(make_house, word, expected):
    """It is handed the scheduler's authority, and says yes or no."""
    house = make_house(forwards(subjects=(b"invoice",), spam=b"no"))
    bouncer, scheduler = house.server("bouncer"), house.client("scheduler")
    asked = expand()
    assert house.ask(scheduler, asked) == []
    (judge,) = house.hear(bouncer)
    assert judge == m.Judge(judge.tag, asked.queue_id, b"glance", b"no", (b"invoice",))
    house.ask(bouncer, m.Judged(judge.tag, word))
    assert where(house.hear(scheduler)) == [expected]


def test_several_forwardings_behind_one_alias_are_judged_one_after_the_other(make_house):
    both = Alias((b"bob@mx.example", b"carl@mx.example"))
    more = {"a:carl@mx.example": forwards(name=b"carl", spam=b"yes"), "a:all@mx.example": both}
    house = make_house(forwards(spam=b"no"), **more)
    bouncer, scheduler = house.server("bouncer"), house.client("scheduler")
    house.ask(scheduler, expand(b"all@mx.example"))
    (judge,) = house.hear(bouncer)
    (other,) = house.ask(bouncer, m.Judged(judge.tag, b"no"))
    assert {judge.spam, other.spam} == {b"no", b"yes"}
    house.ask(bouncer, m.Judged(other.tag, b"yes"))
    recipients = where(house.hear(scheduler))
    assert sorted(recipients) == (
        [b"Bob@mx.example", b"small@mx.example"] if judge.spam == b"no" else [b"carl@mx.example", b"small@mx.example"]
    )


@pytest.mark.parametrize("trouble", ["away", "later"])
@pytest.mark.parametrize("is_young", [True, False])
def test_what_nobody_can_judge_waits_for_an_hour_and_then_stays_in_the_mailbox(make_house, trouble, is_young):
    """A header that ends whoever reads it must not hold its message up for days; and the log says so."""
    house = make_house(forwards(spam=b"no"))
    scheduler, journal = house.client("scheduler"), house.server("journal")
    bouncer = house.server("bouncer") if trouble == "later" else None
    answers = house.ask(scheduler, expand(age=0 if is_young else 3700))
    if bouncer is not None:
        (judge,) = house.hear(bouncer)
        house.ask(bouncer, m.Judged(judge.tag, b"later"))
        answers = house.hear(scheduler)
    if is_young:
        (unresolved,) = answers
        assert (unresolved.permanent, unresolved.status) == (False, b"4.3.0")
    else:
        assert where(answers) == [b"Bob@mx.example"]
        assert [name for name, _ in events(journal, house)] == [b"conditions-unjudged"]


def test_at_rcpt_the_mailbox_may_have_mail_whatever_its_conditions(make_house):
    """Nobody knows yet what comes; and a target that is gone refuses nothing that might stay."""
    house = make_house(forwards(target=b"gone@mx.example", spam=b"yes"))
    assert word(house, house.client("smtpd"), b"bob@mx.example") is Word.ACCEPT
