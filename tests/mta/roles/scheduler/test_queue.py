"""Scheduler's judgement: nothing is lost, nothing is told twice, fresh mail does not wait for old."""

import itertools

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mta.roles.scheduler import queue as judgement
from mta.roles.scheduler import telling
from mta.spool.envelope import Generation, render, seal
from mta.wire import messages as m
from mta.wire.channel import MAX_BACKLOG
from tests.mta.roles.scheduler._rig import ARRIVAL, DAY, Hands, Rig, envelope_of, queue_id_of


@pytest.fixture
def rig():
    return Rig()


def test_one_recipient_delivered_at_once_writes_no_progress_and_is_cleaned(rig):
    """The common way costs no file."""
    wrote = []
    rig.hands.record = lambda *given: wrote.append(given) or True
    queue_id = rig.accept()
    rig.run()
    assert rig.delivered == [(queue_id, b"joe@example.test")]
    assert (rig.hands.envelopes, wrote, len(rig.queue)) == ({}, [], 0)


def test_an_announcement_that_comes_after_the_listing_is_the_same_message(rig):
    """Found in the folder, delivered, removed - and then Queued arrives: it is not delivered again."""
    queue_id = rig.accept(tell=False)
    octets = rig.hands.envelopes[queue_id]
    rig.list()
    rig.run()
    rig.queue.queued(queue_id, octets)
    rig.run()
    assert rig.delivered == [(queue_id, b"joe@example.test")]


def test_an_alias_is_delivered_to_each_mailbox_and_two_recipients_of_one_mailbox_share_it(rig):
    """One file in each mailbox, however many addresses led there."""
    rig.expansions = {b"team@example.test": [b"joe@example.test", b"ann@example.test"]}
    queue_id = rig.accept(envelope=envelope_of(b"joe@example.test", b"team@example.test"))
    rig.run()
    assert sorted(rig.delivered) == [(queue_id, b"ann@example.test"), (queue_id, b"joe@example.test")]
    assert len(rig.queue) == 0


def test_what_is_delivered_is_not_delivered_again_when_another_recipient_is_deferred(rig):
    """Progress remembers each final recipient, over a restart too."""
    rig.expansions = {b"team@example.test": [b"joe@example.test", b"ann@example.test"]}
    rig.outcomes = {b"ann@example.test": (b"delayed", b"4.2.2")}
    queue_id = rig.accept(envelope=envelope_of(b"team@example.test", b"bob@example.test"))
    rig.run()
    restarted = Rig(rig.hands, rig.now)
    restarted.expansions = rig.expansions
    restarted.list()
    restarted.run()
    assert restarted.delivered == []
    restarted.later(1000)
    assert restarted.delivered == [(queue_id, b"ann@example.test")]
    assert (rig.hands.envelopes, rig.hands.progresses) == ({}, {})


def test_a_crash_between_two_outcomes_of_one_alias_leaves_the_other_mailbox_undecided(rig):
    """A line that says `joe has it` must not read as `team@ is done`."""
    rig.expansions = {b"team@example.test": [b"joe@example.test", b"ann@example.test"]}
    rig.outcomes = {b"ann@example.test": (b"delayed", b"4.2.2")}
    queue_id = rig.accept(envelope=envelope_of(b"team@example.test"))
    rig.run()
    lines = rig.hands.progresses[queue_id].splitlines(keepends=True)
    for kept in range(len(lines) + 1):
        hands = Hands()
        hands.envelopes, hands.progresses = dict(rig.hands.envelopes), {queue_id: b"".join(lines[:kept]) + b"5:torn"}
        again = Rig(hands, rig.now)
        again.expansions = rig.expansions
        again.list()
        again.later(1000)
        assert (queue_id, b"ann@example.test") in again.delivered
        assert hands.envelopes == {}


def test_old_mail_is_tried_quadratically_and_never_more_than_four_hours_apart(rig):
    """5, 20, 45 … minutes after its arrival, and at last 5.4.7 to its sender."""
    rig.outcomes = {b"joe@example.test": (b"delayed", b"4.2.2")}
    tried = []
    rig.hands.event = lambda name, **pairs: tried.append(rig.now - ARRIVAL) if name == "deferred" else None
    queue_id = rig.accept()
    rig.run()
    while rig.hands.envelopes and rig.now < ARRIVAL + 6 * DAY:
        rig.later(30)
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert [round(moment / 60) for moment in tried[:4]] == [0, 5, 20, 45]
    assert max(pauses) <= 4 * 3600 + 30
    assert 5 * DAY <= rig.now - ARRIVAL < 5 * DAY + 5 * 3600
    assert rig.notified == [(queue_id, [b"joe@example.test"])]


@pytest.mark.parametrize("peer", ["directory", "localspawn"])
def test_a_peer_that_dies_with_a_question_in_hand_delays_by_seconds_and_fails_nobody(rig, peer):
    """Perhaps it was done, perhaps not: it is tried again, and nobody is told anything."""
    rig.silent = {peer}
    queue_id = rig.accept()
    rig.run()
    rig.queue.lost(peer, rig.now)
    rig.silent = set()
    rig.later(2.5)
    assert rig.delivered == [(queue_id, b"joe@example.test")]
    assert (rig.notified, rig.hands.progresses) == ([], {})


@pytest.mark.parametrize("peer", ["directory", "localspawn", "bouncer", "cleaner"])
def test_without_a_peer_mail_waits_and_goes_on_when_it_is_back(rig, peer):
    """No attempt is wasted on whom is away, and nothing is forgotten."""
    rig.outcomes = {b"bad@example.test": (b"failed", b"5.1.1")}
    good, bad = rig.accept(1), rig.accept(2, envelope_of(b"bad@example.test"))
    rig.hands.away = {peer}
    for _ in range(10):
        rig.later(1)
    rig.hands.away = set()
    for _ in range(200):
        rig.later(1)
    assert rig.delivered == [(good, b"joe@example.test")]
    assert rig.notified == [(bad, [b"bad@example.test"])]
    assert (rig.hands.envelopes, len(rig.queue)) == ({}, 0)


def test_a_full_disk_defers_by_seconds_and_writes_nothing(rig):
    """4.3.x is our own trouble: within a minute of its end the mail is there, without a progress file on the full disk."""
    rig.outcomes = {b"joe@example.test": (b"delayed", b"4.3.1")}
    queue_id = rig.accept()
    for _ in range(600):
        rig.later(1)
    assert rig.hands.progresses == {}
    rig.outcomes = {}
    for _ in range(95):
        rig.later(1)
    assert rig.delivered == [(queue_id, b"joe@example.test")]


def test_failure_is_told_once_even_when_the_scheduler_ends_before_the_cleaner_comes(rig):
    """The line that says bounced keeps the next scheduler from telling again."""
    rig.outcomes = {b"joe@example.test": (b"failed", b"5.1.1")}
    queue_id = rig.accept()
    rig.cleans = False
    rig.run()
    assert rig.notified == [(queue_id, [b"joe@example.test"])]
    again = Rig(rig.hands, rig.now)
    again.list()
    again.later(1000)
    assert (again.notified, again.delivered, rig.hands.envelopes) == ([], [], {})


def test_a_notification_that_cannot_be_made_now_is_made_later_without_another_attempt(rig):
    """What failed has failed: only the telling is repeated."""
    rig.outcomes = {b"joe@example.test": (b"failed", b"5.1.1")}
    queue_id = rig.accept()
    rig.bounces_done = False
    rig.run()
    rig.outcomes, rig.bounces_done = {}, True
    rig.later(3)
    assert (rig.notified, rig.delivered) == ([(queue_id, [b"joe@example.test"])], [])


def test_a_failing_double_bounce_is_dropped_and_counted(rig):
    """Generation 2 tells nobody."""
    rig.outcomes = {b"postmaster@mx.test": (b"failed", b"5.1.1")}
    rig.accept(envelope=envelope_of(b"postmaster@mx.test", generation=Generation.DOUBLE_BOUNCE, reverse_path=b""))
    rig.run()
    assert (rig.notified, rig.hands.envelopes) == ([], {})
    assert [name for name, _ in rig.hands.events].count("double-bounce-dropped") == 1


def test_an_address_that_is_gone_fails_and_one_that_is_suspended_waits(rig):
    """The directory's permanent and temporary no."""
    rig.expansions = {b"gone@example.test": (True, b"5.1.1"), b"held@example.test": (False, b"4.2.1")}
    gone, held = rig.accept(1, envelope_of(b"gone@example.test")), rig.accept(2, envelope_of(b"held@example.test"))
    rig.run()
    assert rig.notified == [(gone, [b"gone@example.test"])]
    assert list(rig.hands.envelopes) == [held]


def test_an_envelope_of_a_newer_version_is_left_alone_and_told(rig):
    """A downgrade must not lose what the newer Postern accepted."""
    queue_id = queue_id_of(1)
    rig.hands.envelopes[queue_id] = seal([b"postern-envelope 2", b"something new"])
    rig.list()
    rig.run()
    assert list(rig.hands.envelopes) == [queue_id]
    assert [name for name, _ in rig.hands.events] == ["spool-version-unknown"]


def test_an_envelope_that_is_being_written_is_ignored_until_it_is_announced(rig):
    """Seen half at the listing, told whole a moment later."""
    queue_id = rig.accept(tell=False)
    whole = rig.hands.envelopes[queue_id]
    rig.hands.envelopes[queue_id] = whole[:-3]
    rig.queue.listed([], [], rig.now)
    rig.queue._known.add(queue_id)
    rig.queue._fresh.add(b"", queue_id, None)
    rig.run()
    assert rig.delivered == []
    rig.hands.envelopes[queue_id] = whole
    rig.queue.queued(queue_id, whole)
    rig.run()
    assert rig.delivered == [(queue_id, b"joe@example.test")]


def test_progress_without_envelope_is_what_a_stopped_cleaner_left_and_is_cleaned(rig):
    """S4: finished, so nothing is delivered and everything goes."""
    rig.hands.progresses[queue_id_of(7)] = b"anything"
    rig.list()
    rig.run()
    assert (rig.hands.progresses, rig.delivered, len(rig.queue)) == ({}, [], 0)


def test_fresh_mail_goes_before_old_and_one_stuck_domain_leaves_places_for_others(rig):
    """However much old mail is due and however much of it hangs, a fresh message of another domain starts at once."""
    rig.silent = {"localspawn"}
    for number in range(3000):
        rig.accept(number, envelope_of(b"x@stuck.test"), tell=False)
    rig.list()
    rig.run()
    assert len(rig.queue._attempts) == judgement.DOMAIN_PLACES
    rig.silent = set()
    fresh = rig.accept(5000)
    rig.run()
    assert (fresh, b"joe@example.test") in rig.delivered


def test_memory_for_a_message_that_waits_is_its_id_and_its_moment(rig):
    """100,000 undeliverable messages would otherwise be a gigabyte."""
    import tracemalloc

    rig.outcomes = {b"joe@example.test": (b"delayed", b"4.2.2")}
    rig.hands.event = lambda *_, **__: None
    numbers = range(3000)
    for number in numbers:
        rig.accept(number, tell=False)
    rig.list()
    tracemalloc.start()
    rig.run()
    taken = sum(
        statistic.size
        for statistic in tracemalloc.take_snapshot().statistics("filename")
        if "roles/scheduler" in statistic.traceback[0].filename
    )
    tracemalloc.stop()
    assert len(rig.queue._sleeping) == len(numbers)
    assert taken / len(numbers) < 300


class Anything(RuleBasedStateMachine):
    """Messages, deaths of everybody, a full disk, restarts with lost lines: every accepted message is decided once at last."""

    def __init__(self):
        super().__init__()
        self.rig = Rig()
        self.rig.expansions = {
            b"team@x.test": [b"joe@x.test", b"ann@x.test", b"bad@x.test"],
            b"gone@x.test": (True, b"5.1.1"), b"held@x.test": (False, b"4.2.1"),
        }  # fmt: skip
        self.rig.outcomes = {b"bad@x.test": (b"failed", b"5.2.0"), b"full@x.test": (b"delayed", b"4.3.1")}
        self.rig.outcomes[b"no@out.test"] = (b"failed", b"5.7.1")
        self.rig.outward = dict.fromkeys([b"far@out.test", b"no@out.test"], (b"out.test", b""))
        self.number = 0
        self.accepted = {}
        self.removed = set()

    @rule(
        paths=st.lists(
            st.sampled_from(
                [b"%b@x.test" % name for name in (b"joe", b"ann", b"team", b"gone", b"held", b"full", b"bad")]
                + [b"far@out.test", b"no@out.test", b"far@b.out.test"]
            ),
            min_size=1, max_size=4, unique=True,
        ),
        tell=st.booleans(), inline=st.booleans(),
        notify=st.sampled_from([b"", b"NOTIFY=SUCCESS,DELAY,FAILURE", b"NOTIFY=NEVER"]),
    )  # fmt: skip
    def accept(self, paths, tell, inline, notify):
        self.number += 1
        envelope = envelope_of(*paths, of_recipients=notify)
        self.accepted[self.rig.accept(self.number, envelope, tell=tell, inline=inline)] = paths, notify

    @rule(seconds=st.sampled_from([0, 1, 30, 1000]))
    def later(self, seconds):
        self.rig.later(seconds)

    @rule(host=st.sampled_from([b"out.test", b"b.out.test"]), trouble=st.sampled_from([
        (b"delayed", b"4.4.1", True, 0), (b"delayed", b"4.3.2", True, 5000), (b"delayed", b"4.7.1"), None,
    ]))  # fmt: skip
    def host_changes(self, host, trouble):
        self.rig.hosts[host] = trouble or (b"relayed", b"2.0.0")

    @rule(what=st.sampled_from([b"hold", b"release", b"retry", b"remove", b"flush"]), number=st.integers(0, 6))
    def operator(self, what, number):
        by = b"id" if number else b"all"
        if what == b"remove":
            if not number or not self.rig.queue.is_owed(queue_id_of(number)):
                return
            self.removed.add(queue_id_of(number))
        self.rig.queue.orders.take(m.QueueOrder(1, what, by, queue_id_of(number), b"", 10), self.rig.now)

    @rule(peer=st.sampled_from(["directory", "localspawn", "remotespawn", "bouncer", "cleaner"]))
    def falls_silent_and_dies(self, peer):
        self.rig.silent = {peer}
        self.rig.run()
        self.rig.silent = set()
        self.rig.queue.lost(peer, self.rig.now)

    @rule(peer=st.sampled_from(["directory", "localspawn", "remotespawn", "bouncer", "cleaner"]), away=st.booleans())
    def goes_or_comes(self, peer, away):
        (self.rig.hands.away.add if away else self.rig.hands.away.discard)(peer)

    @rule(full=st.booleans())
    def disk(self, full):
        self.rig.hands.full = full

    @rule(lose=st.integers(0, 60))
    def restart(self, lose):
        hands = self.rig.hands
        hands.said.clear()
        for queue_id, lines in hands.progresses.items():
            hands.progresses[queue_id] = lines[: len(lines) - lose]
        self.rig.queue = Rig(hands).queue
        self.rig._collecting.clear()
        self.rig._sending.clear()
        self.rig.list()

    @invariant()
    def nothing_is_gone_that_was_not_decided(self):
        for queue_id, (paths, notify) in self.accepted.items():
            if queue_id not in self.rig.hands.envelopes and queue_id not in self.removed:
                self.check(queue_id, paths, notify)

    def check(self, queue_id, paths, notify):
        delivered = {final for one, final in self.rig.delivered if one == queue_id}
        delivered |= {final for one, _, finals in self.rig.relayed if one == queue_id for final in finals}
        told = [r for bounce, recipients in self.rig.bounces if bounce.queue_id == queue_id for r in recipients]
        failed = {r.final_recipient for r in told if r.action == b"failed"}
        succeeded = {r.final_recipient for r in told if r.action in (b"delivered", b"relayed", b"expanded")}
        assert not told or b"NEVER" not in notify
        for path in paths:
            finals = self.rig.expansions.get(path, [path])
            finals = [path] if isinstance(finals, tuple) else finals
            for final in finals:
                hopeless = b"NEVER" in notify and final[:4] not in (b"joe@", b"ann@", b"far@")
                assert final in delivered or final in failed or hopeless, (queue_id, final)
            assert b"SUCCESS" not in notify or not delivered.intersection(finals) or path in succeeded, (queue_id, path)

    def teardown(self):
        """In a world that is well again everything ends."""
        rig = self.rig
        rig.hands.away, rig.hands.full, rig.silent = set(), False, set()
        rig.expansions[b"held@x.test"] = [b"held@x.test"]
        rig.outcomes.pop(b"full@x.test")
        rig.hosts.clear()
        rig.list()
        rig.later(7200)
        rig.queue.orders.take(m.QueueOrder(1, b"release", b"all", b"", b"", 10), rig.now)
        for _ in range(60):
            rig.later(600)
        assert (rig.hands.envelopes, rig.hands.progresses, len(rig.queue)) == ({}, {}, 0)
        self.nothing_is_gone_that_was_not_decided()


TestAnything = Anything.TestCase
TestAnything.settings = hypothesis_settings(max_examples=60, stateful_step_count=30)


def test_ten_thousand_recipients_never_flood_a_peer(rig):
    """However many recipients many messages have, what waits for one peer stays below what its channel holds."""
    paths = [b"r%d@d%d.test" % (number, number % 50) for number in range(1000)]
    rig.outcomes = dict.fromkeys(paths, (b"failed", b"5.1.1"))
    for number in range(judgement.DOMAIN_PLACES):
        rig.accept(number, envelope_of(*paths[number % 50 :]))
    rig.queue.pump(rig.now)
    assert len(rig.hands.said) <= judgement.PLACES * judgement.WINDOW < MAX_BACKLOG
    assert judgement.MAX_CLEANING < MAX_BACKLOG
    assert telling.MAX_TOLD < MAX_BACKLOG


def test_a_hundred_thousand_undeliverable_messages_delay_no_fresh_one(rig):
    """A fresh message is asked for at the next look, whatever is due."""
    rig.silent = {"localspawn"}
    old = [queue_id_of(number) for number in range(100_000)]
    rig.hands.progresses = dict.fromkeys(old, b"")
    octets = render(envelope_of(b"x@slow.test"))
    rig.hands.envelopes = dict.fromkeys(old, octets)
    rig.list()
    for _ in range(5):
        rig.later(300)
    assert rig.queue._due
    rig.silent = set()
    rig.hands.event = lambda *_, **__: None
    fresh = rig.accept(200_000)
    rig.queue.pump(rig.now)
    asked = [message.recipient for _, message in rig.hands.said if isinstance(message, m.Expand)]
    assert asked[-1:] == [b"joe@example.test"] or b"joe@example.test" in asked
    assert len(asked) <= 2
    assert fresh in rig.queue._known


def test_a_double_announcement_asks_nobody_twice(rig):
    """The same Queued twice is one message."""
    queue_id = rig.accept()
    rig.queue.queued(queue_id, rig.hands.envelopes[queue_id])
    rig.run()
    assert len(rig.delivered) == 1
    assert not any(isinstance(message, m.Deliver) for _, message in rig.hands.said)


def test_a_message_has_not_more_targets_than_fit_in_memory(rig, monkeypatch):
    """What is beyond is deferred with 4.5.3 like one alias that is too long; the others are delivered, and once."""
    monkeypatch.setattr(judgement, "MAX_TARGETS", 5)
    for name in (b"a", b"b", b"c"):
        rig.expansions[name + b"@example.test"] = [name + b"%d@example.test" % number for number in range(2)]
    rig.accept(envelope=envelope_of(*rig.expansions))
    rig.run()
    rig.later(DAY)
    assert sorted(final for _, final in rig.delivered) == [
        b"%b%d@example.test" % (n, i) for n in (b"a", b"b") for i in (0, 1)
    ]
    assert [p["status"] for name, p in rig.hands.events if name == "deferred"] == [b"4.5.3"] * 2
    rig.later(5 * DAY)
    assert [final for _, finals in rig.notified for final in finals] == [b"c@example.test"]
    assert (len(rig.queue), rig.queue._targets) == (0, 0)


def test_messages_with_many_targets_wait_for_one_another_and_small_ones_do_not(rig, monkeypatch):
    """All in memory together have a bound; whoever has few is let through all the same."""
    monkeypatch.setattr(judgement, "ALL_TARGETS", 3)
    monkeypatch.setattr(judgement, "FEW_TARGETS", 1)
    rig.expansions[b"team@example.test"] = [b"t%d@example.test" % number for number in range(3)]
    rig.silent = {"localspawn"}
    for number in (1, 2):
        rig.accept(number, envelope_of(b"team@example.test"))
    rig.accept(3)
    rig.run()
    assert rig.queue._targets == 4
    rig.silent = set()
    rig.queue.lost("localspawn", rig.now)
    for _ in range(20):
        rig.later(30)
    assert len(rig.delivered) == len(set(rig.delivered)) == 7
    assert (len(rig.queue), rig.queue._targets) == (0, 0)


def test_one_alias_alone_may_be_longer_than_that(rig, monkeypatch):
    """How long it may be is a setting; also when some of it was delivered in an attempt before."""
    monkeypatch.setattr(judgement, "MAX_TARGETS", 2)
    monkeypatch.setattr(judgement, "ALL_TARGETS", 2)
    monkeypatch.setattr(judgement, "FEW_TARGETS", 1)
    rig.expansions[b"team@example.test"] = finals = [b"t%d@example.test" % number for number in range(5)]
    rig.outcomes[finals[0]] = (b"delayed", b"4.2.2")
    rig.accept(envelope=envelope_of(b"team@example.test"))
    rig.run()
    assert [final for _, final in rig.delivered] == finals[1:]
    rig.outcomes.clear()
    rig.later(DAY)
    assert sorted(final for _, final in rig.delivered) == finals
    assert (len(rig.queue), rig.queue._targets) == (0, 0)
