"""Who is told what: NOTIFY, RET, ORCPT and ENVID (RFC 3461) from the envelope to what the bouncer is asked for."""

import itertools

import pytest

from mta.record import replace
from mta.roles.scheduler.attempt import Attempt, Home, Result
from mta.roles.scheduler.reports import DELAY_SECONDS, due
from mta.spool.envelope import Generation, Recipient
from mta.spool.progress import Progress
from mta.vocabulary import Action
from mta.wire import messages as m
from mta.wire.netstring import unpack
from tests.mta.roles.scheduler._rig import DAY, Rig, envelope_of

JOE, ANN, TEAM = b"joe@example.test", b"ann@example.test", b"team@example.test"
FAILS, DELAYS = (b"failed", b"5.1.1"), (b"delayed", b"4.2.2")


@pytest.fixture
def rig():
    return Rig()


def told(rig):
    """What each notification said of whom."""
    return [[(r.action, r.final_recipient) for r in recipients] for _, recipients in rig.bounces]


@pytest.mark.parametrize(
    ("notify", "outcome", "expected"),
    [
        (b"", FAILS, [[(b"failed", JOE)]]),
        (b"NOTIFY=FAILURE", FAILS, [[(b"failed", JOE)]]),
        (b"notify=delay,failure", FAILS, [[(b"failed", JOE)]]),
        (b"ORCPT=rfc822;x@y.test", FAILS, [[(b"failed", JOE)]]),
        (b"NOTIFY=NEVER", FAILS, []),
        (b"NOTIFY=SUCCESS", FAILS, []),
        (b"NOTIFY=DELAY", FAILS, []),
        (b"", (b"delivered", b"2.0.0"), []),
        (b"NOTIFY=NEVER", (b"delivered", b"2.0.0"), []),
        (b"NOTIFY=FAILURE,DELAY", (b"delivered", b"2.0.0"), []),
        (b"NOTIFY=SUCCESS,FAILURE", (b"delivered", b"2.0.0"), [[(b"delivered", JOE)]]),
    ],
)
def test_the_sender_hears_of_what_he_asked_for_and_of_failure_when_he_said_nothing(rig, notify, outcome, expected):
    """RFC 3461 4.1; the message is gone afterwards in every case."""
    rig.outcomes = {JOE: outcome}
    rig.accept(envelope=envelope_of(JOE, of_recipients=notify))
    rig.run()
    assert told(rig) == expected
    assert (rig.hands.envelopes, rig.hands.progresses) == ({}, {})


def test_the_bouncer_gets_the_senders_own_words(rig):
    """ENVID and ORCPT come back as they were given; RET=FULL asks for the content, and the authority is for that."""
    rig.outcomes = {JOE: FAILS}
    options, of_recipients = b"RET=full ENVID=QQ+2B1 SMTPUTF8", b"NOTIFY=FAILURE ORCPT=rfc822;old@x.test"
    queue_id = rig.accept(envelope=envelope_of(JOE, options=options, of_recipients=of_recipients))
    rig.run()
    ((bounce, (recipient,)),) = rig.bounces
    assert (bounce.envelope_id, bounce.full, bounce.utf_8) == (b"QQ+2B1", True, True)
    assert bounce.authority == b"full authority of " + queue_id
    assert (recipient.original_recipient, recipient.forward_path) == (b"rfc822;old@x.test", JOE)


def test_content_comes_back_only_when_something_failed(rig):
    """RFC 3461 4.3: a notification of success has the header alone, whatever RET says."""
    rig.accept(envelope=envelope_of(JOE, options=b"RET=FULL", of_recipients=b"NOTIFY=SUCCESS"))
    rig.run()
    assert [bounce.full for bounce, _ in rig.bounces] == [False]


@pytest.mark.parametrize(
    ("options", "identity", "full"), [(b"", b"joe-1", True), (b"RET=HDRS", b"joe-1", False), (b"", b"", False)]
)
def test_who_said_nothing_gets_his_own_message_back_when_he_is_one_of_ours(rig, options, identity, full):
    """RFC 3461 4.3 leaves it to us; a stranger's reverse-path may be forged, and nobody wants to be sent spam."""
    rig.outcomes = {JOE: FAILS}
    rig.accept(envelope=envelope_of(JOE, options=options, identity=identity))
    rig.run()
    assert [bounce.full for bounce, _ in rig.bounces] == [full]


# --- what goes to other hosts

BOB, EVE = b"bob@one.out.test", b"eve@two.out.test"


@pytest.mark.parametrize("notify", [b"NOTIFY=SUCCESS", b"NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@y.test"])
def test_a_relayed_copy_is_told_only_when_the_next_host_cannot_tell(rig, notify):
    """RFC 3461 5.2.1, 5.2.2: who took the request over tells the sender, who would hear of it twice."""
    rig.notifying = {b"one.out.test"}
    rig.accept(envelope=envelope_of(BOB, EVE, of_recipients=notify))
    rig.run()
    assert rig.asked_of_hosts == [(BOB, notify), (EVE, notify)]
    assert told(rig) == [[(b"relayed", EVE)]]
    ((_, (report,)),) = rig.bounces
    assert report.remote_mta == b"mx.out.test (192.0.2.9)"
    assert rig.hands.envelopes == {}


def test_what_was_handed_over_is_not_told_after_a_restart_and_the_host_is_still_named(rig):
    """It stands in the line of progress."""
    rig.notifying, rig.bounces_done = {b"one.out.test"}, False
    rig.outcomes = {ANN: DELAYS}
    rig.accept(envelope=envelope_of(BOB, EVE, ANN, of_recipients=b"NOTIFY=SUCCESS"))
    rig.run()
    again = Rig(rig.hands, rig.now)
    again.list()
    again.later(1000)
    assert told(again) == [[(b"relayed", EVE), (b"delivered", ANN)]]
    assert [r.remote_mta for r in again.bounces[0][1]] == [b"mx.out.test (192.0.2.9)", b""]
    assert again.sent == []


def test_a_refusal_that_is_told_after_a_restart_names_the_host(rig):
    """RFC 3464 2.3.5."""
    rig.outcomes, rig.bounces_done = {BOB: FAILS}, False
    rig.accept(envelope=envelope_of(BOB))
    rig.run()
    again = Rig(rig.hands, rig.now)
    again.list()
    again.later(1000)
    ((_, (report,)),) = again.bounces
    assert (report.final_recipient, report.remote_mta, report.diagnostic_code) == (
        BOB, b"mx.out.test (192.0.2.9)", b"it said",
    )  # fmt: skip


def test_of_an_alias_that_leads_outside_the_host_is_not_named(rig):
    """To whom it leads is the alias' own affair."""
    rig.expansions = {TEAM: [EVE]}
    rig.accept(envelope=envelope_of(TEAM, of_recipients=b"NOTIFY=SUCCESS"))
    rig.run()
    ((_, (report,)),) = rig.bounces
    assert (report.final_recipient, report.remote_mta) == (TEAM, b"")


def test_wishes_that_cannot_be_handed_over_stay_ours(rig):
    """RFC 3461 5.2.7.3: an alias of several; and one address that two recipients come to, with different wishes for each."""
    rig.notifying = {b"one.out.test"}
    rig.expansions = {TEAM: [BOB, JOE]}
    rig.accept(1, envelope_of(TEAM, of_recipients=b"NOTIFY=SUCCESS"))
    rig.run()
    assert (rig.asked_of_hosts, told(rig)) == ([(BOB, b"")], [[(b"expanded", TEAM)]])

    rig.asked_of_hosts, rig.bounces = [], []
    rig.expansions = {ANN: [BOB], JOE: [BOB]}
    envelope = envelope_of(ANN, JOE)
    recipients = (Recipient(ANN, b"", b"NOTIFY=NEVER"), Recipient(JOE, b"", b"NOTIFY=SUCCESS"))
    rig.accept(2, replace(envelope, recipients=recipients))
    rig.run()
    assert (rig.asked_of_hosts, told(rig)) == ([(BOB, b"")], [[(b"relayed", JOE)]])


# --- aliases


def test_an_alias_of_several_is_expanded_and_nobody_learns_who_is_behind_it(rig):
    """RFC 3461 5.2.7.3 and 5.2.7.4; an alias of one is simply delivered."""
    rig.expansions = {TEAM: [JOE, ANN], b"joey@example.test": [JOE]}
    rig.accept(envelope=envelope_of(TEAM, b"joey@example.test", of_recipients=b"NOTIFY=SUCCESS"))
    rig.run()
    assert told(rig) == [[(b"expanded", TEAM), (b"delivered", b"joey@example.test")]]


def test_of_an_alias_the_failed_copy_and_the_rest_are_told_together(rig):
    """One of two mailboxes fails: both are true."""
    rig.expansions, rig.outcomes = {TEAM: [JOE, ANN]}, {ANN: FAILS}
    rig.accept(envelope=envelope_of(TEAM, of_recipients=b"NOTIFY=SUCCESS,FAILURE"))
    rig.run()
    assert told(rig) == [[(b"failed", ANN), (b"expanded", TEAM)]]


def test_a_failure_is_told_at_once_though_another_recipient_still_waits(rig):
    """Nobody should wait five days for a typing mistake; and the second notification does not tell it again."""
    rig.outcomes = {JOE: FAILS, ANN: DELAYS}
    rig.accept(envelope=envelope_of(JOE, ANN))
    rig.run()
    assert told(rig) == [[(b"failed", JOE)]]
    rig.outcomes = {ANN: FAILS}
    rig.later(600)
    assert told(rig) == [[(b"failed", JOE)], [(b"failed", ANN)]]
    assert rig.hands.envelopes == {}


def test_what_could_not_be_told_is_told_with_the_next_attempt_of_the_others(rig):
    """No attempt is made only because the bouncer was away."""
    rig.outcomes, rig.bounces_done = {JOE: FAILS, ANN: DELAYS}, False
    rig.accept(envelope=envelope_of(JOE, ANN))
    rig.run()
    rig.later(5)
    assert told(rig) == []
    rig.bounces_done = True
    rig.later(5)
    assert told(rig) == []
    rig.later(600)
    assert told(rig) == [[(b"failed", JOE)]]
    rig.outcomes = {ANN: FAILS}
    rig.later(1200)
    assert told(rig) == [[(b"failed", JOE)], [(b"failed", ANN)]]


@pytest.mark.parametrize("restart", [False, True])
def test_a_delay_is_told_after_four_hours_once_to_who_asked(rig, restart):
    """And a restarted scheduler knows that it was."""
    rig.outcomes = {JOE: DELAYS, ANN: DELAYS}
    rig.accept(1, envelope_of(JOE, of_recipients=b"NOTIFY=DELAY"))
    rig.accept(2, envelope_of(ANN))
    for _ in range(int(DELAY_SECONDS // 600) - 1):
        rig.later(600)
    assert told(rig) == []
    for _ in range(12):
        rig.later(600)
    assert told(rig) == [[(b"delayed", JOE)]]
    assert rig.bounces[0][0].retry_until == envelope_of(JOE).arrival + 5 * DAY
    again = Rig(rig.hands, rig.now) if restart else rig
    again.outcomes = rig.outcomes
    again.list()
    for _ in range(100):
        again.later(3600)
    assert told(again) == ([] if restart else [[(b"delayed", JOE)]])


def test_a_delay_that_nobody_could_be_told_of_is_told_with_the_next_attempt(rig):
    """It is not worth an attempt of its own."""
    rig.outcomes, rig.bounces_done = {JOE: DELAYS}, False
    rig.accept(1, envelope_of(JOE, of_recipients=b"NOTIFY=DELAY,SUCCESS"))
    for _ in range(30):
        rig.later(600)
    rig.bounces_done = True
    for _ in range(12):
        rig.later(600)
    assert told(rig) == [[(b"delayed", JOE)]]
    rig.outcomes = {}
    for _ in range(30):
        rig.later(600)
    assert told(rig) == [[(b"delayed", JOE)], [(b"delivered", JOE)]]


@pytest.mark.parametrize("outcome", [DELAYS, (b"delivered", b"2.0.0")])
def test_a_null_reverse_path_is_told_nothing_but_that_the_postmaster_hears_of_failure(rig, outcome):
    """A notification that asks for notifications is somebody's mistake or worse."""
    rig.outcomes = {JOE: outcome}
    envelope = envelope_of(
        JOE, generation=Generation.BOUNCE, reverse_path=b"", of_recipients=b"NOTIFY=SUCCESS,DELAY,FAILURE"
    )
    rig.accept(envelope=envelope)
    for _ in range(40):
        rig.later(600)
    assert told(rig) == []


def test_success_is_told_once_even_when_the_scheduler_ends_before_the_cleaner_comes(rig):
    """As failure is."""
    rig.accept(envelope=envelope_of(JOE, of_recipients=b"NOTIFY=SUCCESS"))
    rig.cleans = False
    rig.run()
    assert told(rig) == [[(b"delivered", JOE)]]
    again = Rig(rig.hands, rig.now)
    again.list()
    again.later(1000)
    assert (told(again), again.delivered, rig.hands.envelopes) == ([], [], {})


def test_success_that_could_not_be_told_is_not_delivered_again(rig):
    """The copy may have been read and removed by now."""
    rig.bounces_done = False
    queue_id = rig.accept(envelope=envelope_of(JOE, of_recipients=b"NOTIFY=SUCCESS"))
    rig.run()
    again = Rig(rig.hands, rig.now)
    again.list()
    again.later(1000)
    assert rig.delivered == [(queue_id, JOE)]
    assert (told(again), again.delivered) == ([[(b"delivered", JOE)]], [])


@pytest.mark.parametrize(
    ("envelope", "counted"),
    [
        (envelope_of(JOE), True),
        (envelope_of(JOE, of_recipients=b"NOTIFY=FAILURE"), True),
        (envelope_of(JOE, of_recipients=b"NOTIFY=NEVER"), False),
        (envelope_of(JOE, session=b""), False),
        (envelope_of(JOE, generation=Generation.BOUNCE, reverse_path=b""), False),
    ],
)
def test_a_failure_that_could_have_been_refused_is_counted_when_an_outsider_hears_of_it(rig, envelope, counted):
    """Promise P3: only what a client brought, and only when somebody is told."""
    rig.expansions = {JOE: (True, b"5.1.1")}
    rig.refusable = True
    queue_id = rig.accept(envelope=envelope)
    rig.run()
    expected = {"queue_id": queue_id, "reverse_path": envelope.reverse_path, "forward_path": JOE}
    assert [pairs for name, pairs in rig.hands.events if name == "backscatter"] == ([expected] if counted else [])


def test_mail_for_a_domain_without_a_way_out_waits_by_the_schedule_and_fails_at_the_end(rig):
    """Some tens of attempts in five days, never two within minutes; then its sender hears that it took too long."""
    rig.expansions = {JOE: (False, b"4.4.0")}
    asked = []
    rig.hands.event = lambda name, **_: asked.append(rig.now) if name == "deferred" else None
    rig.accept()
    while rig.hands.envelopes:
        rig.later(30)
    assert 5 * DAY <= rig.now - envelope_of().arrival < 5 * DAY + 5 * 3600
    assert 20 < len(asked) < 60
    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) >= 150
    assert [(r.action, r.status) for _, (r,) in rig.bounces] == [(b"failed", b"5.4.7")]


def test_what_is_given_up_is_an_event_like_any_failure(rig):
    """Log and figures would know of no end else."""
    rig.hosts = {b"one.out.test": (b"delayed", b"4.2.0")}
    rig.accept(envelope=envelope_of(BOB))
    rig.run()
    rig.later(6 * DAY)
    (failed,) = [pairs for name, pairs in rig.hands.events if name == "failed"]
    assert (failed["final_recipient"], failed["status"]) == (BOB, b"5.4.7")
    assert [r.remote_mta for r in rig.bounces[0][1]] == [b"mx.out.test (192.0.2.9)"]


def test_what_a_local_said_at_length_still_fits_into_what_the_bouncer_is_told(rig):
    """A message that is given up quotes the last reason, and that may be as long as a field can be."""
    rig.outcomes[JOE], rig.diagnostic_code = DELAYS, b"x" * 1000
    rig.accept()
    rig.run()
    rig.later(6 * DAY)
    (_, (report,)) = rig.bounces[0]
    assert m.read_message(unpack(report.encode()), frozenset({m.ReportedRecipient})) == report


class Counted(dict):
    """Knows how often all of it was looked at."""

    looks = 0

    def items(self):
        self.looks += 1
        return super().items()


def test_what_many_recipients_came_to_is_looked_at_once_for_all(rig):
    """A thousand who ask for success, each beside a thousand others, would otherwise stop all mail for seconds."""
    envelope = envelope_of(
        *[b"u%d@example.test" % number for number in range(50)], of_recipients=b"NOTIFY=SUCCESS,DELAY"
    )
    attempt = Attempt.begin(b"x", envelope, b"example.test", Progress(), fresh=True)
    for index in range(25):
        final = b"u%d@example.test" % index
        attempt.expanded(index, {final: Home((b"example.test", b"u%d" % index), b"")}, 0.0)
        attempt.note((index, final), Result(Action.DELIVERED, b"2.0.0", b""), 0.0)
    attempt.decided, attempt.delayed = Counted(attempt.decided), Counted(attempt.delayed)
    told = due(attempt, envelope.arrival + DELAY_SECONDS)
    assert [outcome.action for outcome in told] == [Action.DELIVERED] * 25 + [Action.DELAYED] * 25
    assert attempt.decided.looks + attempt.delayed.looks <= 4
