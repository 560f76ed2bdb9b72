"""`postern queue …` at scheduler: which messages are meant, what is told, and that mail flows meanwhile."""

import pytest

from mta.roles.scheduler import orders
from mta.spool.envelope import with_identity
from mta.wire import messages as m
from tests.mta.roles.scheduler._rig import ARRIVAL, DAY, Rig, envelope_of, queue_id_of

LATER = (b"delayed", b"4.2.2")


@pytest.fixture
def rig():
    """Four messages that wait: to two domains, of two senders."""
    rig = Rig()
    rig.outcomes = {b"joe@example.test": LATER, b"ann@other.test": LATER}
    ours = with_identity(b"", b"joe@ours.test")
    rig.accept(1)
    rig.accept(2, envelope_of(b"ann@other.test", options=ours))
    rig.accept(3, envelope_of(b"Joe@Example.test", reverse_path=b"Else@client.test"))
    rig.accept(4, envelope_of(b"ann@other.test", b"joe@example.test"))
    rig.outcomes[b"Joe@Example.test"] = LATER
    rig.run()
    rig.delivered.clear()
    return rig


def order(rig, what, by=b"all", value=b"", after=b"", count=1000):
    rig.hands.answers.clear()
    rig.queue.orders.take(m.QueueOrder(7, what, by, value, after, count), rig.now)
    while rig.queue.orders:
        rig.queue.orders.step()
    rig.run()
    assert all(answer.tag == 7 for answer in rig.hands.answers)
    assert [answer.last for answer in rig.hands.answers].index(True) == len(rig.hands.answers) - 1
    return [dict(zip(answer.pairs[::2], answer.pairs[1::2], strict=True)) for answer in rig.hands.answers]


def numbers(told):
    return [int(each[b"queue_id"][16:], 16) for each in told if b"queue_id" in each]


@pytest.mark.parametrize(
    ("by", "value", "expected"),
    [
        (b"all", b"", [1, 2, 3, 4]), (b"domain", b"EXAMPLE.test", [1, 3, 4]), (b"domain", b"other.test", [2, 4]),
        (b"sender", b"a@client.test", [1, 2, 4]), (b"sender", b"else@CLIENT.test", [3]),
        (b"sender", b"joe@ours.test", [2]), (b"id", queue_id_of(2), [2]), (b"id", b"nonsense", []),
        (b"domain", b"", []), (b"domains", b"ours.test", [2]), (b"domains", b"nobody.test Example.test", [1, 3, 4]),
        (b"domains", b"ours.test other.test", [2, 4]), (b"domains", b"", []),
    ],
)  # fmt: skip
def test_messages_are_found_by_id_domain_and_sender(rig, by, value, expected):
    """Case does not matter; a sender is a reverse-path, or whoever logged in."""
    assert numbers(order(rig, b"list", by, value)) == expected


def test_asked_about_domains_it_names_their_recipients(rig):
    """Who else a message is for is not told beside them."""
    told = order(rig, b"list", b"domains", b"example.test")
    assert [(each[b"forward_path"], each[b"concerned"]) for each in told if b"queue_id" in each] == [
        (b"joe@example.test", b"1"), (b"Joe@Example.test", b"1"), (b"joe@example.test", b"1"),
    ]  # fmt: skip


def test_a_list_says_why_a_message_waits_and_goes_on_where_it_stopped(rig):
    """Page by page, oldest first."""
    first, second, end = order(rig, b"list", count=2)
    assert (numbers([first, second]), end) == ([1, 2], {b"more": b"1"})
    assert (first[b"state"], first[b"status"], first[b"diagnostic_code"]) == (b"waiting", b"4.2.2", b"said so")
    assert abs(int(first[b"next"]) - (ARRIVAL + 300)) < 5
    told = order(rig, b"list", after=second[b"queue_id"], count=2)
    assert (numbers(told), told[-1]) == ([3, 4], {b"done": b"2"})


def test_one_message_is_shown_with_each_recipient(rig):
    """What was tried, and what came of it; never content."""
    about, first, second, _ = order(rig, b"show", b"id", queue_id_of(4))
    assert about[b"recipients"] == b"2"
    assert [each[b"forward_path"] for each in (first, second)] == [b"ann@other.test", b"joe@example.test"]
    assert (first[b"action"], first[b"status"]) == (b"delayed", b"4.2.2")
    assert order(rig, b"show", b"id", queue_id_of(9)) == [{b"done": b"0"}]


@pytest.mark.parametrize("restart", [False, True])
def test_a_held_message_is_not_tried_and_does_not_grow_too_old(rig, restart):
    """Whatever happens, until it is released; then at once."""
    assert order(rig, b"hold", b"domain", b"other.test")[-1] == {b"done": b"2"}
    assert order(rig, b"hold", b"domain", b"other.test")[-1] == {b"done": b"0"}, "they are held already"
    rig.outcomes = {}
    if restart:
        rig.queue = Rig(rig.hands, rig.now).queue
        rig.list()
    rig.later(20 * DAY)
    assert {final for _, final in rig.delivered} == {b"joe@example.test", b"Joe@Example.test"}
    told = order(rig, b"list")
    assert [each[b"state"] for each in told[:-1]] == [b"held", b"held"]
    order(rig, b"retry")
    assert order(rig, b"flush")[-1][b"done"] is not None
    assert len(rig.hands.envelopes) == 2
    assert order(rig, b"release")[-1] == {b"done": b"2"}
    rig.run()
    assert rig.hands.envelopes == {}
    assert rig.notified == []


def test_a_message_is_tried_out_of_turn_once(rig):
    """And its former moment passes without another attempt."""
    rig.hands.events.clear()
    assert order(rig, b"retry", b"id", queue_id_of(1))[-1] == {b"done": b"1"}
    assert [name for name, _ in rig.hands.events] == ["deferred"]
    rig.outcomes = {}
    for _ in range(40):
        rig.later(30)
    assert sorted(rig.delivered).count((queue_id_of(1), b"joe@example.test")) == 1
    assert len(rig.queue) == 0


def test_a_removed_message_is_gone_and_nobody_hears_of_it(rig):
    """Also one that is in an attempt: what of it was not yet delivered never is."""
    assert order(rig, b"remove", b"sender", b"else@client.test")[-1] == {b"done": b"1"}
    assert queue_id_of(3) not in rig.hands.envelopes
    rig.silent = {"localspawn"}
    rig.accept(5)
    rig.run()
    assert order(rig, b"remove", b"id", queue_id_of(5))[-1] == {b"done": b"1"}
    rig.silent = set()
    rig.queue.lost("localspawn", rig.now)
    rig.run()
    assert queue_id_of(5) not in rig.hands.envelopes
    assert (rig.delivered, rig.notified) == ([], [])
    assert [name for name, _ in rig.hands.events].count("removed") == 2


def test_a_removal_that_the_cleaner_did_not_see_holds_after_a_restart(rig):
    """The line in its file says so."""
    rig.cleans = False
    order(rig, b"remove", b"id", queue_id_of(1))
    rig.outcomes = {}
    rig.cleans = True
    rig.queue = Rig(rig.hands, rig.now).queue
    rig.list()
    for _ in range(40):
        rig.later(60)
    assert rig.hands.envelopes == {}
    assert queue_id_of(1) not in {queue_id for queue_id, _ in rig.delivered}


def test_a_suspended_senders_message_is_parked_until_it_is_released():
    """Told by the directory at its next attempt; a line and an event, no notification."""
    rig = Rig()
    parked, usual = [True], rig._expand
    queue_id = rig.accept(envelope=envelope_of(options=with_identity(b"", b"joe@ours.test")))

    def expand(question):
        if parked:
            rig.queue.unresolved(m.Unresolved(question.tag, False, b"4.7.0", b"suspended", parked=True), rig.now)
        else:
            usual(question)

    rig._expand = expand
    rig.run()
    rig.later(6 * DAY)
    assert [pairs for name, pairs in rig.hands.events if name == "parked"] == [
        {"queue_id": queue_id, "identity": b"joe@ours.test"}
    ]
    assert (rig.notified, list(rig.hands.envelopes)) == ([], [queue_id])
    parked.clear()
    rig.now = ARRIVAL + 10.0
    assert order(rig, b"release", b"sender", b"joe@ours.test")[-1] == {b"done": b"1"}
    assert rig.delivered == [(queue_id, b"joe@example.test")]


def test_nonsense_and_too_many_orders_are_refused(rig):
    """With a word each, and without an end of the role."""
    assert order(rig, b"eat")[-1] == {b"refused": b"no such order"}
    assert order(rig, b"list", b"colour")[-1] == {b"refused": b"no such order"}
    for _ in range(orders.MAX_ORDERS):
        rig.queue.orders.take(m.QueueOrder(1, b"list", b"all", b"", b"", 1), rig.now)
    rig.hands.answers.clear()
    rig.queue.orders.take(m.QueueOrder(2, b"list", b"all", b"", b"", 1), rig.now)
    assert [answer.pairs for answer in rig.hands.answers] == [(b"refused", b"busy with other orders")]


def test_a_walk_through_a_large_queue_lets_others_work(rig):
    """A few messages between two looks at the channels."""
    for number in range(10, 1000):
        rig.accept(number, tell=False)
    rig.now += 3600.0
    rig.list()
    rig.queue.orders.take(m.QueueOrder(1, b"list", b"domain", b"nowhere.test", b"", 10), rig.now)
    read = []
    envelope, rig.hands.envelope = rig.hands.envelope, lambda queue_id: read.append(queue_id) or envelope(queue_id)
    rig.queue.orders.step()
    assert 0 < len(read) <= orders.STEP // orders.FILE
    assert rig.queue.orders


@pytest.mark.parametrize("turns", range(4))
def test_between_the_look_and_the_word_nobody_finishes_a_message(rig, monkeypatch, turns):
    """However the turns of a walk fall: what is finished is not told of any more."""

    def told():
        return [
            dict(zip(each.pairs[::2], each.pairs[1::2], strict=True)).get(b"queue_id") for each in rig.hands.answers
        ]

    monkeypatch.setattr(orders, "STEP", 1)
    rig.hands.answers.clear()
    rig.queue.orders.take(m.QueueOrder(1, b"list", b"all", b"", b"", 10), rig.now)
    for _ in range(turns):
        rig.queue.orders.step()
    was_told = queue_id_of(1) in told()
    rig.queue.finish(queue_id_of(1))
    while rig.queue.orders:
        rig.queue.orders.step()
    assert (queue_id_of(1) in told()) == was_told
    assert queue_id_of(4) in told()


def test_an_envelope_is_read_once_until_its_message_is_finished(rig):
    """They are never written twice; and of a queue that is too large for the memory the rest is read each time."""
    read = []
    envelope, rig.hands.envelope = rig.hands.envelope, lambda queue_id: read.append(queue_id) or envelope(queue_id)
    assert numbers(order(rig, b"list", b"domain", b"other.test")) == [2, 4]
    assert (numbers(order(rig, b"list")), len(read)) == ([1, 2, 3, 4], 4)
    order(rig, b"remove", b"id", queue_id_of(2))
    rig.run()
    assert (numbers(order(rig, b"list")), len(read)) == ([1, 3, 4], 4)
    rig.queue.orders._room = 0
    rig.accept(5)
    rig.run()
    read.clear()
    assert numbers(order(rig, b"list")) == numbers(order(rig, b"list")) == [1, 3, 4, 5]
    assert read == [queue_id_of(5)] * 2


class Sleepers(list):
    """Knows how often all of it was looked at."""

    looks = 0

    def __iter__(self):
        self.looks += 1
        return super().__iter__()


def test_when_each_is_tried_next_is_looked_up_once_for_a_whole_list(rig):
    """A look at a hundred thousand for each of a thousand that are listed would keep mail waiting for seconds."""
    rig.queue._sleeping = Sleepers(rig.queue._sleeping)
    told = order(rig, b"list")
    assert [int(each[b"next"]) for each in told[:4]] == [
        int(moment) for _, moment in sorted((queue_id, moment) for moment, queue_id in list(rig.queue._sleeping))
    ]
    assert rig.queue._sleeping.looks <= 3, "two of them here"


@pytest.mark.parametrize("what", [b"hold", b"release", b"remove"])
@pytest.mark.parametrize("settles", [True, False])
def test_done_is_said_when_the_disk_has_it_and_once_for_all_messages(rig, what, settles):
    """Who was told `done` does not look again after a power cut; a disk that refuses is told too."""
    if what == b"release":
        order(rig, b"hold")
    rig.hands.settled.clear()
    rig.hands.settles = settles
    (told,) = order(rig, what)
    assert told == ({b"done": b"4"} if settles else {b"refused": told[b"refused"]})
    (recorded,) = rig.hands.settled
    lines = {b"hold": b"4:held", b"release": b"released", b"remove": b"removed"}
    assert all(lines[what] in octets for octets in recorded.values())
    assert len(recorded) == 4


@pytest.mark.parametrize("what", [b"list", b"retry", b"flush"])
def test_what_changes_no_file_waits_for_no_disk(rig, what):
    """And an order that meant nothing."""
    order(rig, what)
    order(rig, b"hold", b"domain", b"nobody.test")
    assert rig.hands.settled == []


@pytest.mark.parametrize("what", [b"hold", b"remove"])
def test_what_cannot_be_written_down_is_not_done(rig, what):
    """Else it would be undone by the next start, and nobody would know."""
    rig.hands.full = True
    assert order(rig, what) == [{b"done": b"0"}]
    rig.hands.full = False
    rig.outcomes = {}
    rig.later(4 * 3600)
    assert len(rig.delivered) == 5
