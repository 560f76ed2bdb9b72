"""What goes to other hosts: one send a message and destination, destinations that back off, and room for those that work."""

import pytest

from mta.roles.scheduler import destinations, outward
from mta.roles.scheduler import queue as judgement
from mta.roles.scheduler.destinations import Destinations, Kind, Trouble
from mta.spool.envelope import Generation, with_identity
from mta.vocabulary import TLS_NOT_REQUIRED
from mta.wire import messages as m
from tests.mta.roles.scheduler._rig import ARRIVAL, DAY, Rig, envelope_of, queue_id_of

DOWN = (b"delayed", b"4.4.1", True, 0)
HOUR = 3600


@pytest.fixture
def rig():
    return Rig()


def names(rig):
    return [name for name, _ in rig.hands.events]


def test_recipients_at_one_destination_are_one_send_and_others_one_each(rig):
    """One message, three destinations, one mailbox here; each is asked once and the message is done."""
    rig.outward = {b"x@route.test": (b"route.test", b"*")}
    envelope = envelope_of(b"a@out.test", b"joe@example.test", b"b@out.test", b"c@b.out.test", b"x@route.test")
    rig.hosts = {}
    rig.outward |= dict.fromkeys((b"a@out.test", b"b@out.test"), (b"out.test", b""))
    queue_id = rig.accept(envelope=envelope)
    rig.run()
    assert rig.sent == [
        (queue_id, b"out.test", (b"a@out.test", b"b@out.test")), (queue_id, b"b.out.test", (b"c@b.out.test",)),
        (queue_id, b"route.test", (b"x@route.test",)),
    ]  # fmt: skip
    assert rig.delivered == [(queue_id, b"joe@example.test")]
    assert (rig.hands.envelopes, rig.notified, len(rig.queue)) == ({}, [], 0)
    assert names(rig).count("relayed") == 4


def test_what_a_send_says_is_what_the_envelope_says(rig):
    """Options of MAIL without what the enqueuer added, options of RCPT, the reverse-path that the directory gave."""
    options = with_identity(b"BODY=8BITMIME RET=HDRS", b"joe@example.test")
    rig.accept(envelope=envelope_of(b"a@x.out.test", options=options, of_recipients=b"NOTIFY=NEVER"))
    rig.silent = {"remotespawn"}
    said = []
    tell, rig.hands.tell = rig.hands.tell, lambda peer, message: said.append(message) or tell(peer, message)
    rig.run()
    expand, send, recipient = said
    assert (expand.identity, expand.client, expand.sender, expand.reverse_path) == (
        b"joe@example.test", b"", b"a@client.test", b"",
    )  # fmt: skip
    assert (send.options, send.size, send.recipients, send.reverse_path) == (
        b"BODY=8BITMIME RET=HDRS", 100, 1, b"a@client.test",
    )  # fmt: skip
    assert (recipient.index, recipient.recipient, recipient.options) == (0, b"a@x.out.test", b"NOTIFY=NEVER")


def test_a_stranger_is_named_to_the_directory_and_our_own_mail_is_not(rig):
    """It decides whether the message may leave."""
    said = []
    rig.hands.tell = lambda peer, message: said.append(message) or True
    rig.accept(1)
    rig.accept(2, envelope_of(session=b"", generation=Generation.BOUNCE, reverse_path=b""))
    rig.queue.pump(rig.now)
    assert [question.client for question in said] == [b"192.0.2.7", b""]


def test_a_hundred_and_one_recipients_are_two_sends(rig):
    """RFC 5321 4.5.3.1.8: more than a hundred a server need not take."""
    paths = [b"r%03d@out.test" % number for number in range(101)]
    rig.outward = dict.fromkeys(paths, (b"out.test", b""))
    rig.accept(envelope=envelope_of(*paths))
    rig.run()
    assert sorted(len(recipients) for _, _, recipients in rig.sent) == [1, 100]
    assert len(rig.queue) == 0


def test_each_recipient_has_a_result_of_its_own_and_only_the_deferred_are_tried_again(rig):
    """One accepted, one refused, one put off: a bounce for one, another send for one."""
    paths = (b"good@x.out.test", b"bad@x.out.test", b"slow@x.out.test")
    rig.outcomes = {paths[1]: (b"failed", b"5.1.1"), paths[2]: (b"delayed", b"4.2.0")}
    queue_id = rig.accept(envelope=envelope_of(*paths))
    rig.run()
    assert [(bounce.queue_id, [r.remote_mta for r in told]) for bounce, told in rig.bounces] == [
        (queue_id, [b"mx.out.test (192.0.2.9)"])
    ]
    rig.outcomes = {}
    rig.later(400)
    assert [recipients for _, _, recipients in rig.sent] == [paths, (b"slow@x.out.test",)]
    assert (rig.hands.envelopes, len(rig.notified)) == ({}, 1)


def test_a_destination_in_trouble_is_tried_by_one_message_for_all(rig):
    """Ten messages, one look at each end of a pause; when it works the others follow at once."""
    rig.hosts[b"x.out.test"] = DOWN
    for number in range(10):
        rig.accept(number, envelope_of(b"r%d@x.out.test" % number))
    rig.run()
    assert len(rig.sent) == 1
    rig.later(30)
    assert len(rig.sent) == 1
    rig.later(35)
    assert len(rig.sent) == 2, "after a minute"
    rig.later(65)
    assert len(rig.sent) == 2, "two minutes the second time"
    rig.later(60)
    assert len(rig.sent) == 3
    del rig.hosts[b"x.out.test"]
    rig.later(250)
    assert len({queue_id for queue_id, _, _ in rig.sent[3:]}) == 10
    assert (rig.hands.envelopes, len(rig.queue)) == ({}, 0)
    assert [name for name in names(rig) if name.startswith("destination")] == ["destination-down", "destination-up"]


def test_a_host_that_says_when_to_come_back_is_left_alone_so_long(rig):
    """But never longer than four hours."""
    rig.hosts[b"x.out.test"] = (b"delayed", b"4.3.2", True, 7200)
    rig.hosts[b"y.out.test"] = (b"delayed", b"4.3.2", True, 10**9)
    rig.accept(1, envelope_of(b"a@x.out.test"))
    rig.accept(2, envelope_of(b"a@y.out.test"))
    rig.run()
    rig.later(7100)
    assert len(rig.sent) == 2
    rig.later(200)
    assert len(rig.sent) == 3
    rig.later(2.1 * HOUR)
    assert {domain for _, domain, _ in rig.sent[3:]} == {b"x.out.test", b"y.out.test"}


def test_a_message_that_waits_for_a_destination_fails_when_its_time_is_over(rig):
    """With what the destination's trouble was; and a sender of ours is warned after four hours, once."""
    rig.hosts[b"x.out.test"] = DOWN
    strange = rig.accept(1, envelope_of(b"a@x.out.test"))
    ours = rig.accept(2, envelope_of(b"b@x.out.test", options=with_identity(b"", b"joe@example.test")))
    while rig.hands.envelopes and rig.now < ARRIVAL + 6 * DAY:
        rig.later(300)
    told = [(bounce.queue_id, r.action, r.status) for bounce, recipients in rig.bounces for r in recipients]
    assert told[0] == (ours, b"delayed", b"4.4.1")
    assert sorted(told[1:]) == [(strange, b"failed", b"5.4.7"), (ours, b"failed", b"5.4.7")]
    assert 5 * DAY <= rig.now - ARRIVAL < 5 * DAY + 2 * HOUR
    assert all(b"it said" in r.diagnostic_code for _, recipients in rig.bounces for r in recipients)
    assert len(rig.sent) < 140, "an hour between two looks"


def test_a_warning_can_be_switched_off(rig):
    """By the setting 0."""
    rig.queue._delay = 0.0
    rig.hosts[b"x.out.test"] = DOWN
    rig.accept(2, envelope_of(b"b@x.out.test", options=with_identity(b"", b"joe@example.test")))
    for _ in range(20):
        rig.later(HOUR)
    assert rig.bounces == []


def test_a_message_for_a_destination_in_trouble_and_others_reaches_the_others(rig):
    """Here, and at another host; and is kept for the one."""
    rig.hosts[b"x.out.test"] = DOWN
    queue_id = rig.accept(envelope=envelope_of(b"a@x.out.test", b"b@y.out.test", b"joe@example.test"))
    rig.run()
    assert rig.delivered == [(queue_id, b"joe@example.test")]
    del rig.hosts[b"x.out.test"]
    rig.later(100)
    assert [domain for _, domain, _ in rig.sent] == [b"x.out.test", b"y.out.test", b"x.out.test"]
    assert len(rig.queue) == 0


def test_a_host_that_puts_everybody_off_is_soon_asked_by_one_only(rig):
    """Five in a row of whom nothing was taken: as if it were down."""
    rig.hosts[b"x.out.test"] = (b"delayed", b"4.7.1")
    for number in range(50):
        rig.accept(number, envelope_of(b"r%d@x.out.test" % number))
        rig.run()
    assert len(rig.sent) == destinations.SOFT_FAILURES


def test_remotespawn_away_or_lost_delays_by_seconds_and_blames_nobody(rig):
    """What was on its way is tried again: perhaps it arrived, perhaps not."""
    rig.hands.away = {"remotespawn"}
    queue_id = rig.accept(envelope=envelope_of(b"a@x.out.test"))
    rig.run()
    rig.hands.away, rig.silent = set(), {"remotespawn"}
    rig.later(3)
    assert rig.queue.outward.destinations.sends == 1
    rig.queue.lost("remotespawn", rig.now)
    assert rig.queue.outward.destinations.sends == 0
    rig.silent = set()
    rig.later(5)
    assert [one for one, _, _ in rig.sent] == [queue_id]
    assert (rig.hands.envelopes, rig.notified, rig.hands.progresses) == ({}, [], {})


def test_answers_that_were_not_asked_for_change_nothing(rig):
    """A recipient twice, one that there is not, a send that is over."""
    rig.silent = {"remotespawn"}
    rig.accept(envelope=envelope_of(b"a@x.out.test"))
    rig.run()
    (tag,) = rig.queue.outward._sends
    for index in (1, -1, 10**6):
        rig.queue.outward.sent(m.Sent(tag, index, b"relayed", b"2.0.0", b"", b""), rig.now)
    rig.queue.outward.sent(m.Sent(tag + 9, 0, b"relayed", b"2.0.0", b"", b""), rig.now)
    rig.queue.outward.done(m.SendDone(tag + 9, True, 0), rig.now)
    assert "relayed" not in names(rig)
    rig.queue.outward.sent(m.Sent(tag, 0, b"nonsense", b"2.0.0", b"", b""), rig.now)
    rig.queue.outward.sent(m.Sent(tag, 0, b"relayed", b"2.0.0", b"", b""), rig.now)
    rig.queue.outward.done(m.SendDone(tag, False, 0), rig.now)
    assert "relayed" not in names(rig), "the first word counts"
    assert len(rig.queue) == 1


def hang(rig, count, first=0, domain=b"d%d.out.test"):
    """*count* fresh messages, each for a destination of its own that never answers."""
    rig.silent = {"remotespawn"}
    for number in range(first, first + count):
        rig.accept(number, envelope_of(b"a@" + domain % number, arrival=int(rig.now)))
    rig.run()


def test_hosts_that_hang_leave_room_for_those_that_work(rig):
    """A thousand destinations that never answer: a known one is served, and a mailbox here anyway."""
    rig.accept(9000, envelope_of(b"a@live.out.test"))
    rig.run()
    hang(rig, 1000)
    assert rig.queue.outward.destinations.sends == rig.queue.destinations.slots[Kind.YOUNG]
    assert len(rig.queue._attempts) - rig.queue._abroad == 0
    answered = []
    tell = rig.hands.tell
    rig.hands.tell = lambda peer, message: answered.append((peer, message)) or tell(peer, message)
    rig.accept(9001, envelope_of(b"b@live.out.test", arrival=int(rig.now)))
    rig.accept(9002)
    rig.run()
    assert b"live.out.test" in [message.domain for _, message in answered if isinstance(message, m.Send)]
    assert rig.delivered[-1:] == [(queue_id_of(9002), b"joe@example.test")]


def test_destinations_that_failed_have_a_share_and_what_is_new_another(rig):
    """Old trouble takes three quarters at most, whatever hangs; a host that nobody knows yet gets the next slot at once."""
    rig.hosts = {b"d%d.out.test" % number: DOWN for number in range(500)}
    for number in range(500):
        rig.accept(number, envelope_of(b"a@d%d.out.test" % number))
    rig.run()
    rig.silent = {"remotespawn"}
    rig.later(100)
    assert rig.queue.outward.destinations.sends == rig.queue.destinations.slots[Kind.DOUBTFUL]
    said = []
    tell = rig.hands.tell
    rig.hands.tell = lambda peer, message: said.append(message) or tell(peer, message)
    rig.accept(int(101e6), envelope_of(b"a@new.out.test"))
    rig.run()
    assert [message.domain for message in said if isinstance(message, m.Send)] == [b"new.out.test"]


def test_the_newest_unknown_destination_goes_first(rig):
    """When a slot comes free, nobody waits behind a flood of others that nobody knows either."""
    hang(rig, 400)
    rig.accept(5000, envelope_of(b"a@new.out.test", arrival=int(rig.now)))
    rig.run()
    tag = next(iter(rig.queue.outward._sends))
    said = []
    tell = rig.hands.tell
    rig.hands.tell = lambda peer, message: said.append(message) or tell(peer, message)
    rig.queue.outward.sent(m.Sent(tag, 0, b"delayed", b"4.4.1", b"timeout", b""), rig.now)
    rig.queue.outward.done(m.SendDone(tag, True, 0), rig.now)
    rig.run()
    assert [message.domain for message in said if isinstance(message, m.Send)] == [b"new.out.test"]


def test_one_destination_takes_more_at_once_the_longer_it_works(rig):
    """From one to twenty; the rest waits in memory or in line, and none is lost."""
    seen = []
    answer = rig.answer_send

    def watch(send, recipients):
        seen.append(rig.queue.outward.destinations.sends)
        answer(send, recipients)

    rig.answer_send = watch
    for number in range(300):
        rig.accept(number, envelope_of(b"r%d@x.out.test" % number))
    rig.run()
    assert len({queue_id for queue_id, _, _ in rig.sent}) == len(rig.sent) == 300
    assert (seen[0], max(seen)) == (1, destinations.MOST_SENDS)
    assert (len(rig.queue), rig.queue.outward.destinations.sends, rig.queue._abroad) == (0, 0, 0)


def test_a_message_for_many_destinations_visits_all_of_them(rig, monkeypatch):
    """More than there are slots, and more than may wait in memory."""
    monkeypatch.setattr(outward, "MAX_WAITING", 50)
    paths = [b"a@d%d.out.test" % number for number in range(900)]
    rig.accept(envelope=envelope_of(*paths))
    rig.run()
    for _ in range(20):
        rig.later(1)
    assert len(rig.sent) == len(set(rig.sent)) == 900
    assert (len(rig.queue), rig.queue.outward._waiting) == (0, 0)


def test_old_mail_is_begun_slowly_and_fresh_mail_does_not_notice(rig):
    """After a start with a large queue: a few at once, whatever is due, and no more than there are places for."""
    for number in range(3000):
        rig.accept(number, tell=False)
    rig.now += 2 * HOUR
    rig.list()
    rig.silent = {"directory"}
    rig.queue.tick(rig.now)
    for turn in range(1, 50):
        for _ in range(3):
            rig.queue.pump(rig.now)
        assert len(rig.queue._attempts) == min(turn * judgement.OLD_AT_ONCE, judgement.RETRY_PLACES)
        assert rig.queue.give_old_turns()


def test_what_nobody_uses_is_forgotten():
    """A destination is unknown again after an hour, unless somebody waits there."""
    table = Destinations(lambda: 0.5)
    idle, waited_for, resting = (table.at(name, b"", 1000.0) for name in (b"idle", b"line", b"rest"))
    table.line_up(waited_for, queue_id_of(1), 1000.0)
    table.failed(resting, Trouble(b"4.4.1", b"", b""), 4 * HOUR, 1000.0)
    table.tick(1000.0 + HOUR + 61, lambda *_: False)
    assert idle not in table
    assert {each.domain for each in table} == {b"line", b"rest"}


def test_a_line_outlives_what_was_known_of_its_destination():
    """Whoever held the forgotten one lines up at the one that is known now."""
    table = Destinations(lambda: 0.5)
    former = table.at(b"x", b"", 1000.0)
    table.tick(1000.0 + 2 * HOUR, lambda *_: False)
    now = 1000.0 + 2 * HOUR
    current = table.at(b"x", b"", now)
    table.line_up(former, queue_id_of(1), now)
    assert current.line == [queue_id_of(1)]
    (caller, queue_id) = table.call(now)
    assert (caller[0], queue_id) == (current, queue_id_of(1))


def test_who_waits_for_a_last_word_takes_no_slot_and_its_end_is_heard_all_the_same(rig):
    """RFC 5321 4.5.3.2.6: for ten minutes perhaps; others go meanwhile, but nobody else to that host."""
    rig.queue.outward.destinations.slots = dict.fromkeys(Kind, 1)
    rig.silent = {"remotespawn"}
    said = []
    tell, rig.hands.tell = rig.hands.tell, lambda peer, message: said.append(message) or tell(peer, message)
    for number, name in enumerate((b"mute", b"mute", b"live"), 1):
        rig.accept(number, envelope_of(b"a@%b.out.test" % name))
    rig.run()
    sends = [each for each in said if isinstance(each, m.Send)]
    assert [send.domain for send in sends] == [b"mute.out.test"]
    rig.queue.outward.waits(m.SendWaits(sends[0].tag))
    rig.queue.outward.waits(m.SendWaits(sends[0].tag))
    rig.queue.outward.waits(m.SendWaits(sends[0].tag + 99))
    rig.run()
    assert [each.domain for each in said if isinstance(each, m.Send)] == [b"mute.out.test", b"live.out.test"]
    assert rig.queue.outward.destinations.sends == 1
    for send in [each for each in said if isinstance(each, m.Send)]:
        rig.answer_send(send, [b"a@" + send.domain])
    assert (b"mute.out.test", (b"a@mute.out.test",)) in [each[1:] for each in rig.relayed]


def test_what_another_host_took_is_not_sent_again_while_the_cleaner_is_away(rig):
    """It would be there twice; so it is written down though nothing is left to do."""
    rig.cleans = False
    rig.accept(1, envelope_of(b"ann@one.out.test"))
    rig.accept(2, envelope_of(b"joe@example.test"))
    rig.run()
    assert len(rig.relayed) == 1
    assert list(rig.hands.progresses) == [queue_id_of(1)], "a mailbox gets it again under the same name: no line needed"
    again = Rig(rig.hands, rig.now)
    again.list()
    again.later(1000)
    assert (again.relayed, rig.hands.envelopes, rig.hands.progresses) == ([], {}, {})


def test_destinations_that_worked_until_now_do_not_take_every_slot_when_they_hang(rig):
    """All domains of a large provider at once: one that has no send yet still gets one, also from memory and out of a line."""
    known = Destinations(lambda: 0.5, most=2)
    most = known.slots[Kind.HEALTHY]
    hanging = [known.at(b"hang%d.test" % number, b"", 0.0) for number in range(2)]
    live = known.at(b"live.test", b"", 0.0)
    for each in (*hanging, live):
        for _ in range(20):
            known.worked(each)
    taken = [sum(known.take(each, Kind.HEALTHY) for _ in range(20)) for each in hanging]
    assert (sum(taken), most) == (7, 8), "six are anybody's, and who has none gets a first one"
    known.line_up(hanging[0], queue_id_of(1), 0.0)
    known.line_up(live, queue_id_of(2), 0.0)
    assert known.call(0.0) == ((live, Kind.HEALTHY), queue_id_of(2))
    assert known.call(0.0) is None
    for each in (hanging[0], hanging[0], hanging[1]):
        known.give_back(each, Kind.HEALTHY, 0.0)
    assert known.call(0.0) == ((hanging[0], Kind.HEALTHY), queue_id_of(1))


def test_what_one_host_took_is_written_down_while_another_still_thinks(rig):
    """For minutes, perhaps: a scheduler that is killed meanwhile sends it there no second time."""
    rig.mute = {b"slow.out.test"}
    queue_id = rig.accept(envelope=envelope_of(b"a@quick.out.test", b"b@slow.out.test"))
    rig.run()
    assert b"a@quick.out.test" in rig.hands.progresses[queue_id]
    after = Rig(rig.hands, rig.now)
    after.list()
    after.later(HOUR)
    assert [domain for _, domain, _ in after.sent] == [b"slow.out.test"]
    assert rig.hands.envelopes == {}


def test_who_waits_for_a_destination_that_fails_keeps_nobody_waiting_for_his_answer(rig):
    """What else is known of his message he hears at once; the rest of it stands in line, and not in memory."""
    rig.accept(1, envelope_of(b"first@x.out.test"))
    rig.run()
    rig.mute = {b"x.out.test"}
    for number in range(2, 2 + destinations.KNOWN_WORKING + 1):
        rig.accept(number, envelope_of(b"r%d@x.out.test" % number))
    rig.run()
    rig.outcomes[b"bad@y.out.test"] = (b"failed", b"5.1.1")
    queue_id = rig.accept(20, envelope_of(b"last@x.out.test", b"bad@y.out.test"))
    rig.run()
    assert (rig.notified, rig.queue.is_in_hand(queue_id)) == ([], True)
    rig.hosts[b"x.out.test"] = DOWN
    rig.answer_send(*rig.hanging[0])
    rig.run()
    assert rig.notified == [(queue_id, [b"bad@y.out.test"])]
    assert not rig.queue.is_in_hand(queue_id)
    del rig.hosts[b"x.out.test"]
    rig.mute = set()
    for hanging in rig.hanging[1:]:
        rig.answer_send(*hanging)
    rig.later(2 * HOUR)
    assert rig.hands.envelopes == {}


def test_a_report_about_tls_goes_where_other_mail_waits_for_the_domain_to_mend_its_tls(rig):
    """RFC 8460 3: it stands in no line behind what cannot go."""
    rig.hosts[b"x.out.test"] = DOWN
    for number in range(3):
        rig.accept(number, envelope_of(b"r%d@x.out.test" % number))
    rig.run()
    del rig.hosts[b"x.out.test"]
    report = rig.accept(9, envelope_of(b"tls@x.out.test", options=TLS_NOT_REQUIRED, reverse_path=b""))
    rig.run()
    assert rig.sent[-1] == (report, b"x.out.test", (b"tls@x.out.test",))
    assert len(rig.hands.envelopes) == 3, "that it got through says nothing of what must have TLS"


def test_what_was_on_its_way_when_its_role_ended_is_in_doubt_and_sent_again(rig):
    """As what a host has and does not confirm: nobody can know."""
    rig.mute = {b"x.out.test"}
    queue_id = rig.accept(envelope=envelope_of(b"a@x.out.test"))
    rig.run()
    rig.queue.lost("remotespawn", rig.now)
    doubts = [pairs for name, pairs in rig.hands.events if name == "in-doubt"]
    assert doubts == [{"queue_id": queue_id, "domain": b"x.out.test", "remote_mta": b""}]
    rig.mute = set()
    rig.later(HOUR)
    assert (len(rig.sent), rig.hands.envelopes) == (2, {})


def test_a_queue_that_closes_begins_nothing_and_writes_down_what_hosts_still_say(rig):
    """Else a restart would send all of that a second time."""
    rig.mute = {b"slow.out.test"}
    queue_id = rig.accept(1, envelope_of(b"a@slow.out.test", b"b@slow.out.test"))
    rig.run()
    rig.queue.close()
    rig.accept(2, envelope_of(b"a@quick.out.test"))
    rig.run()
    assert [domain for _, domain, _ in rig.sent] == [b"slow.out.test"]
    assert rig.queue.outward.under_way == 1
    rig.cleans = False
    rig.answer_send(*rig.hanging[0])
    rig.run()
    assert rig.queue.outward.under_way == 0
    assert rig.hands.progresses[queue_id].count(b"relayed") == 2


def test_the_directory_hears_for_whom_a_message_was_here_before(rig):
    """As its envelope says."""
    said = []
    rig.hands.tell = lambda peer, message: said.append(message) or True
    rig.accept(envelope=envelope_of(b"joe@example.test", b"ann@example.test", options=b"PASSED=1"))
    rig.queue.pump(rig.now)
    assert [question.passed for question in said] == [False, True]


@pytest.mark.parametrize(
    ("host", "told"), [(b"mx.out.test (192.0.2.9)", {"tls": b"TLSv1.3 X", "stage": b"rcpt"}), (b"", {})]
)
def test_the_trace_is_told_of_the_conversation(rig, host, told):
    """To which command the host said it, and whether that was encrypted; where nobody said anything, nothing."""
    rig.silent = {"remotespawn"}
    rig.accept(1, envelope_of(b"a@x.out.test"))
    rig.run()
    tag = next(iter(rig.queue.outward._sends))
    answer = m.Sent(tag, 0, b"delayed", b"4.2.1", b"451 later", host, b"TLSv1.3 X", stage=b"rcpt")
    rig.queue.outward.sent(answer, rig.now)
    pairs = next(pairs for name, pairs in rig.hands.events if name == "deferred")
    assert {name: value for name, value in pairs.items() if name in ("tls", "stage")} == told
