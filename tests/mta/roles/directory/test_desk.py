"""The directory at its channels: questions, tickets, the ledger's word, expansions, and a snapshot that comes and goes."""

import os
import shutil
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk
from mta.snapshot.records import Alias, Domain, Host, Mailbox, Tenant, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word
from mta.wire import asking, tickets
from mta.wire import messages as m
from mta.wire.channel import ChannelClosed
from tests.fakes.house import House, events

TICKET_KEY, SESSION_KEY, INSTANCE = b"t" * 32, b"s" * 32, b"i" * 16
SETTINGS = {
    roster.TICKET_KEY: TICKET_KEY,
    roster.SESSION_KEY: SESSION_KEY,
    "limits.unknown_recipients_per_minute": b"3",
}
RECORDS = {
    b"h:": Host(b"mx.example", b"postmaster@mx.example"),
    b"t:1": Tenant(b""),
    b"d:mx.example": Domain(b"1"),
    b"a:bob@mx.example": Mailbox(b"Bob@mx.example", b"bob"),
    b"a:small@mx.example": Mailbox(b"small@mx.example", b"small", quota_bytes=1000),
    b"a:off@mx.example": Mailbox(b"off@mx.example", b"off", suspended=True),
}


def publish(folder, records, change=1):
    SnapshotWriter(folder).publish_all(INSTANCE, change, [(key, pack_record(value)) for key, value in records.items()])


@pytest.fixture
def empty_house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.DIRECTORY, dict(SETTINGS)) as house:
        directory.serve(house.loop, house.start, descriptor)
        yield house
    os.close(descriptor)


@pytest.fixture
def house(empty_house, tmp_path):
    publish(tmp_path, RECORDS)
    return empty_house


def question(forward_path, tag=1, size=0, client=b"192.0.2.1", session=b"s1", token=None):
    token = tickets.session_token(SESSION_KEY, session, client) if token is None else token
    return m.Question(tag, session, client, token, b"from@else.example", forward_path, size)


def word(house, smtpd, *args, **rest):
    (verdict,) = house.ask(smtpd, question(*args, **rest))
    return Word(verdict.word)


def test_a_yes_comes_with_a_ticket_that_the_enqueuer_believes(house):
    """For exactly this session, reverse-path and forward-path as given, and for a while."""
    smtpd = house.client("smtpd")
    (verdict,) = house.ask(smtpd, question(b"BOB+x@mx.example", tag=7))
    assert (verdict.tag, verdict.word, verdict.counted) == (7, b"accept", b"")
    said = (b"s1", b"from@else.example", b"BOB+x@mx.example", b"", verdict.expiry)
    now = int(time.time())
    assert tickets.ticket_holds(TICKET_KEY, verdict.ticket, *said, now)
    assert not tickets.ticket_holds(TICKET_KEY, verdict.ticket, *said, now + 2 * tickets.TICKET_SECONDS)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"nobody@mx.example", Word.UNKNOWN),
        (b"off@mx.example", Word.SUSPENDED),
        (b"bob@else.example", Word.FOREIGN),
    ],
)
def test_a_no_comes_without_a_ticket(house, path, expected):
    """Nor with anything else that could be used."""
    (verdict,) = house.ask(house.client("smtpd"), question(path))
    assert verdict == m.Verdict(1, expected.value, b"", 0, b"")


@pytest.mark.parametrize("forged", [b"", b"x" * 16, "other-session", "other-client", "other-key"])
def test_a_question_with_a_forged_session_token_never_gets_a_yes(house, forged):
    """A taken-over smtpd cannot ask in the name of another client or session; the journal hears of it."""
    if isinstance(forged, str):
        key = b"k" * 32 if forged == "other-key" else SESSION_KEY
        session = b"s2" if forged == "other-session" else b"s1"
        client = b"192.0.2.2" if forged == "other-client" else b"192.0.2.1"
        forged = tickets.session_token(key, session, client)
    journal, smtpd = house.server("journal"), house.client("smtpd")
    (verdict,) = house.ask(smtpd, question(b"bob@mx.example", token=forged))
    assert verdict == m.Verdict(1, b"try-later", b"", 0, b"")
    assert [name for name, _ in events(journal, house)] == [b"token-refused"]
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT


def test_a_message_that_is_no_question_hangs_up(house):
    """smtpd cannot expand: what a recipient leads to is not its business."""
    smtpd = house.client("smtpd")
    smtpd.send(m.Expand(1, b"bob@mx.example"))
    house.settle()
    with pytest.raises(ChannelClosed):
        house.hear(smtpd)


# --- ledger ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "reserved", "expected"), [(0, 0, Word.ACCEPT), (900, 0, Word.FULL), (0, 900, Word.FULL)]
)
def test_a_mailbox_with_a_quota_is_asked_of_the_ledger(house, stored, reserved, expected):
    """What is stored, what is on its way, and the size that the client declared."""
    smtpd, ledger = house.client("smtpd"), house.server("ledger")
    assert house.ask(smtpd, question(b"small@mx.example", tag=5, size=200)) == []
    (asked,) = house.hear(ledger)
    assert asked.mailbox == b"small@mx.example"
    house.ask(ledger, m.Usage(asked.tag, stored, reserved))
    (verdict,) = house.hear(smtpd)
    assert (verdict.tag, verdict.word) == (5, expected.value)
    assert verdict.counted == (b"small@mx.example" if expected is Word.ACCEPT else b"")
    if expected is Word.ACCEPT:
        said = (b"s1", b"from@else.example", b"small@mx.example", b"small@mx.example", verdict.expiry)
        assert tickets.ticket_holds(TICKET_KEY, verdict.ticket, *said, int(time.time()))


def test_without_a_ledger_a_mailbox_is_not_full(house):
    """An overrun is delivered, a false refusal is lost; the journal hears of it."""
    journal, smtpd = house.server("journal"), house.client("smtpd")
    assert word(house, smtpd, b"small@mx.example", size=5000) is Word.ACCEPT
    assert [name for name, _ in events(journal, house)] == [b"usage-unknown"]


def test_a_ledger_that_ends_with_questions_open_answers_none_and_we_answer_all(house):
    """At once, not after the time is up; each question once."""
    smtpd, ledger = house.client("smtpd"), house.server("ledger")
    house.ask(smtpd, *[question(b"small@mx.example", tag=tag) for tag in range(5)])
    ledger.close()
    house.settle()
    assert [verdict.tag for verdict in house.hear(smtpd)] == [0, 1, 2, 3, 4]


def test_a_ledger_that_does_not_answer_is_not_waited_for_longer_than_its_time(house, monkeypatch):
    """And its late answer is not a second verdict."""
    monkeypatch.setattr(desk, "LEDGER_SECONDS", 0.05)
    monkeypatch.setattr(asking, "SWEEP_SECONDS", 0.02)
    smtpd, ledger = house.client("smtpd"), house.server("ledger")
    house.ask(smtpd, question(b"small@mx.example"))
    (asked,) = house.hear(ledger)
    house.serve_for(0.2)
    assert [verdict.word for verdict in house.hear(smtpd)] == [b"accept"]
    house.ask(ledger, m.Usage(asked.tag, 10**9, 0))
    assert house.hear(smtpd) == []


def test_questions_without_a_quota_do_not_ask_the_ledger(house):
    """The hot path has one hop."""
    smtpd, ledger = house.client("smtpd"), house.server("ledger")
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    assert house.hear(ledger) == []


# --- guessing --------------------------------------------------------------------------------------------------------


def test_a_client_that_guesses_is_slowed_down_but_not_shut_out(house):
    """Beyond the limit `unknown` becomes `slow-down`; next time who exists is accepted; others are not concerned."""
    smtpd = house.client("smtpd")
    words = [word(house, smtpd, b"guess%d@mx.example" % number) for number in range(5)]
    assert words == [Word.UNKNOWN] * 3 + [Word.SLOW_DOWN] * 2
    assert word(house, smtpd, b"bob@mx.example", session=b"s2") is Word.ACCEPT
    assert word(house, smtpd, b"guess@mx.example", client=b"192.0.2.9", session=b"s3") is Word.UNKNOWN


# --- expansion -------------------------------------------------------------------------------------------------------


def test_an_expansion_names_each_mailbox_and_ends(house, tmp_path):
    """In order, the last one marked; addresses as their owners wrote them; counted where a quota applies."""
    both = Alias((b"small@mx.example", b"bob@mx.example"))
    publish(tmp_path, {**RECORDS, b"a:both@mx.example": both}, change=2)
    found = house.ask(house.client("scheduler"), m.Expand(9, b"both@mx.example"))
    assert found == [
        m.Expansion(9, b"small@mx.example", b"mx.example", b"small", b"small@mx.example", last=False),
        m.Expansion(9, b"Bob@mx.example", b"mx.example", b"bob", b"", last=True),
    ]


@pytest.mark.parametrize(
    ("recipient", "permanent", "status"),
    [
        (b"gone@mx.example", True, b"5.1.1"),
        (b"bob@else.example", True, b"5.4.4"),
        (b"off@mx.example", False, b"4.2.1"),
    ],
)
def test_an_address_that_leads_nowhere_is_failed_or_deferred(house, recipient, permanent, status):
    """What may come back is deferred; what is gone fails and becomes a dsn."""
    (answer,) = house.ask(house.client("scheduler"), m.Expand(1, recipient, client=b"192.0.2.1"))
    assert (answer.tag, answer.permanent, answer.status) == (1, permanent, status)


def test_an_expansion_larger_than_the_channel_takes_arrives_as_the_scheduler_reads(house, tmp_path):
    """Fifteen expansions of 900 mailboxes each, asked at once: nothing is lost and the channel stays."""
    names = [b"u%d@mx.example" % number for number in range(900)]
    records = {b"a:" + name: Mailbox(name, name.partition(b"@")[0]) for name in names}
    publish(tmp_path, {**RECORDS, **records, b"a:all@mx.example": Alias(tuple(names))}, change=2)
    scheduler = house.client("scheduler")
    for tag in range(15):
        scheduler.send(m.Expand(tag, b"all@mx.example"))
    heard = []
    end = time.monotonic() + 30
    while len(heard) < 15 * 900 and time.monotonic() < end:
        house.serve_for(0.005)
        heard += [message for message, _ in scheduler.receive()]
    assert [message.tag for message in heard if message.last] == list(range(15))
    assert [message.recipient for message in heard[:900]] == names


# --- snapshot --------------------------------------------------------------------------------------------------------


def test_without_a_snapshot_everything_is_try_later_until_it_appears(empty_house, tmp_path):
    """Cold start before the first publication: never `unknown`; the journal is told once, and again when it is there."""
    house = empty_house
    journal, smtpd, scheduler = house.server("journal"), house.client("smtpd"), house.client("scheduler")
    assert [word(house, smtpd, b"bob@mx.example") for _ in range(3)] == [Word.TRY_LATER] * 3
    (answer,) = house.ask(scheduler, m.Expand(1, b"bob@mx.example"))
    assert (answer.permanent, answer.status) == (False, b"4.3.0")
    assert [name for name, _ in events(journal, house)] == [b"snapshot-awaited"]
    publish(tmp_path, RECORDS)
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    assert [name for name, _ in events(journal, house)] == [b"snapshot-in-use"]


def test_a_snapshot_that_is_removed_or_spoiled_under_us_changes_no_answer(house, tmp_path):
    """We go on with what we have and say so once."""
    journal, smtpd = house.server("journal"), house.client("smtpd")
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    (tmp_path / "current").write_bytes(b"nonsense")
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    for path in tmp_path.iterdir():
        path.unlink()
    assert [word(house, smtpd, b"bob@mx.example") for _ in range(3)] == [Word.ACCEPT] * 3
    assert word(house, smtpd, b"nobody@mx.example") is Word.UNKNOWN
    assert {name for name, _ in events(journal, house)} == {b"snapshot-trouble"}


def test_a_change_is_seen_at_the_next_question(house, tmp_path):
    """A mailbox that is made, suspended and removed by batches, answers remembered or not."""
    smtpd, writer = house.client("smtpd"), SnapshotWriter(tmp_path)
    expected = [
        (Mailbox(b"new@mx.example", b"new"), Word.ACCEPT),
        (Mailbox(b"new@mx.example", b"new", suspended=True), Word.SUSPENDED),
        (None, Word.UNKNOWN),
    ]
    assert word(house, smtpd, b"new@mx.example") is Word.UNKNOWN
    for change, (record, answer) in enumerate(expected, 2):
        value = None if record is None else pack_record(record)
        writer.publish_changes(INSTANCE, change, [(b"a:new@mx.example", value)])
        assert word(house, smtpd, b"new@mx.example") is answer


def test_a_wrong_record_is_try_later_and_told_once(house, tmp_path):
    """The compiler's mistake must not become a refusal; other addresses are answered."""
    SnapshotWriter(tmp_path).publish_changes(INSTANCE, 2, [(b"a:odd@mx.example", b"7:strange,")])
    journal, smtpd = house.server("journal"), house.client("smtpd")
    assert [word(house, smtpd, b"odd@mx.example") for _ in range(3)] == [Word.TRY_LATER] * 3
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    assert [name for name, _ in events(journal, house)].count(b"snapshot-record-wrong") == 1


def test_a_snapshot_that_is_cut_under_its_map_is_not_followed_off_the_end(house, tmp_path):
    """Nobody of ours cuts a generation; a damaged one put in its place is another file, and refused."""
    smtpd = house.client("smtpd")
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
    (cdb,) = tmp_path.glob("*.cdb")
    shutil.copy(cdb, tmp_path / "copy")
    os.truncate(tmp_path / "copy", 100)
    (tmp_path / "copy").rename(cdb)
    os.utime(tmp_path / "current")
    assert word(house, smtpd, b"bob@mx.example") is Word.ACCEPT
