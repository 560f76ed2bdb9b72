"""What a mailbox that logged in may send: its limits go to the ledger with each recipient, and the ledger's word is obeyed."""

import os
import time

import pytest

from mta import roster
from mta.record import replace
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk, senders
from mta.roles.directory.senders import HostLimits, Senders
from mta.snapshot.records import Domain, Sending, Tenant, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from tests.fakes.house import House, events
from tests.mta.roles.directory.test_desk import INSTANCE, RECORDS, SESSION_KEY, SETTINGS, TICKET_KEY

SESSION, CLIENT, BOB = b"%x" % time.time_ns(), b"192.0.2.1", b"bob@mx.example"
HOST = {"limits.sends_per_hour": b"10", "limits.sends_per_day": b"100"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    publish(tmp_path, {}, 1)
    return tmp_path


def publish(folder, more, number):
    records = [(key, pack_record(value)) for key, value in (RECORDS | more).items()]
    SnapshotWriter(folder).publish_all(INSTANCE, number, records)


@pytest.fixture
def house(folder):
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.DIRECTORY, SETTINGS | HOST) as house:
        directory.serve(house.loop, house.start, descriptor)
        yield house
    os.close(descriptor)


def asked(forward_path=BOB, identity=BOB):
    expiry = int(time.time()) + 60
    login = tickets.login_ticket(TICKET_KEY, SESSION, identity, expiry, b"password")
    token = tickets.session_token(SESSION_KEY, SESSION, CLIENT)
    return m.Question(7, SESSION, CLIENT, token, BOB, forward_path, 0, identity, login, expiry)


def submit(house, ledger, answer, **question):
    """Ask; the ledger answers *answer*; what did it hear, and what does the client hear?"""
    client = house.client("smtpd")
    assert house.ask(client, asked(**question)) == []
    (spend,) = house.hear(ledger)
    (verdict,) = house.ask(ledger, m.Spent(spend.tag, *answer)) or house.hear(client)
    return spend, verdict


def test_each_recipient_is_spent_before_it_is_accepted(house):
    """Host's limits where there are no others; the domain's and the tenants' behind it, nearest first."""
    spend, verdict = submit(house, house.server("ledger"), (b"yes", b""))
    assert Word(verdict.word) is Word.ACCEPT
    assert verdict.ticket
    assert (spend.identity, spend.domain, spend.recipients, spend.brake) == (BOB, b"mx.example", 1, True)
    assert spend.limits.split()[0] == b"10/100"
    assert len(spend.limits.split()) == 2 + len(spend.tenants.split())
    assert BOB not in spend.digest


def test_limits_of_every_level_are_said(house, folder):
    """A mailbox's own instead of the host's; 0 is no limit and not the host's."""
    tenants = {key: value for key, value in RECORDS.items() if isinstance(value, Tenant)}
    domain = RECORDS[b"d:mx.example"]
    more = {
        b"w:" + BOB: Sending(0, 50, brake=False, released=77),
        b"d:mx.example": Domain(domain.tenant, sends_per_hour=200, sends_per_day=300),
        b"t:" + domain.tenant: Tenant(tenants[b"t:" + domain.tenant].parent, sends_per_hour=1, sends_per_day=2),
    }
    publish(folder, more, 2)
    spend, _ = submit(house, house.server("ledger"), (b"yes", b""))
    assert spend.limits.startswith(b"0/50 200/300 1/2")
    assert spend.tenants.split()[0] == domain.tenant
    assert (spend.brake, spend.released) == (False, 77)


def test_who_has_had_enough_is_told_which_limit_it_was(house):
    """450, and later it will do."""
    _, verdict = submit(house, house.server("ledger"), (b"limit", b"domain day"))
    assert Word(verdict.word) is Word.OVER_LIMIT
    assert b"domain day" in verdict.detail
    assert (verdict.ticket, verdict.expiry) == (b"", 0)


def test_who_is_braked_sends_nothing_and_what_he_queued_waits_at_once(house, folder):
    """Without the database; when somebody released him, all goes on."""
    ledger, scheduler = house.server("ledger"), house.client("scheduler")
    _, verdict = submit(house, ledger, (b"braked", b"why"))
    assert Word(verdict.word) is Word.BRAKED
    (verdict,) = house.ask(house.client("smtpd"), asked())
    assert Word(verdict.word) is Word.BRAKED
    (parked,) = house.ask(scheduler, m.Expand(1, BOB, identity=BOB))
    assert parked.parked
    assert isinstance(house.ask(scheduler, m.Expand(1, BOB))[0], m.Expansion)
    publish(folder, {b"w:" + BOB: Sending(released=int(time.time()))}, 2)
    assert isinstance(house.ask(scheduler, m.Expand(1, BOB, identity=BOB))[0], m.Expansion)
    _, verdict = submit(house, ledger, (b"yes", b""))
    assert Word(verdict.word) is Word.ACCEPT


def test_what_the_snapshot_says_of_a_brake_holds_after_a_restart(house, folder):
    """A directory that begins anew has heard nothing from the ledger."""
    publish(folder, {b"w:" + BOB: Sending(braked=True)}, 2)
    (verdict,) = house.ask(house.client("smtpd"), asked())
    assert Word(verdict.word) is Word.BRAKED
    (parked,) = house.ask(house.client("scheduler"), m.Expand(1, BOB, identity=BOB))
    assert parked.parked


def test_an_unknown_recipient_is_missed_and_costs_nothing(house):
    """The ledger hears that somebody guesses; a stranger's guess is not told."""
    ledger = house.server("ledger")
    (verdict,) = house.ask(house.client("smtpd"), asked(b"nobody@mx.example"))
    assert Word(verdict.word) is Word.UNKNOWN
    assert house.hear(ledger) == [m.Missed(BOB)]
    stranger = asked(b"nobody@mx.example")
    stranger = m.Question(*[getattr(stranger, name) for name in m.Question.__slots__[:7]])
    house.ask(house.client("smtpd"), stranger)
    assert house.hear(ledger) == []


def test_without_a_ledger_mail_goes_on_and_the_journal_hears_it(house):
    """A disk that is full stops no letter."""
    journal = house.server("journal")
    (verdict,) = house.ask(house.client("smtpd"), asked())
    assert Word(verdict.word) is Word.ACCEPT
    assert [name for name, _ in events(journal, house)] == [b"limits-unknown"]


@pytest.mark.parametrize("identity", [b"off@mx.example", b"gone@mx.example", b"bob@nowhere.example"])
def test_who_was_suspended_since_he_logged_in_sends_nothing(house, identity):
    """Or was removed; in his own words, not as if the recipient had refused."""
    ledger = house.server("ledger")
    (verdict,) = house.ask(house.client("smtpd"), asked(identity=identity))
    assert Word(verdict.word) is Word.DENIED
    assert b"suspended" in verdict.detail
    assert house.hear(ledger) == []


def test_the_same_recipient_in_capitals_is_the_same():
    """Else a counter of different recipients would be easy to fool, in the wrong direction too."""
    found = Senders({key: pack_record(value) for key, value in RECORDS.items()}.get, HostLimits()).find(BOB)
    assert found.spend(1, b"A@x.example").digest == found.spend(1, b"a@X.example").digest
    assert found.spend(1, b"b@x.example").digest != found.spend(1, b"a@x.example").digest


def test_what_is_remembered_of_brakes_is_bounded(monkeypatch):
    """The snapshot knows of the others."""
    monkeypatch.setattr(senders, "MAX_BRAKED", 3)
    known = Senders({key: pack_record(value) for key, value in RECORDS.items()}.get, HostLimits())
    one = known.find(BOB)
    for number in range(10):
        known.heed(replace(one, identity=b"%d" % number), m.Spent(1, b"braked", b""))
    assert len(known._braked) == 3
