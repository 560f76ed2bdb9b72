"""From the journal's files to the store: whole, once, in whatever order it was noted, and not for ever."""

import os
import sqlite3
import time

import pytest

from mta.roles.journal import lines
from mta.roles.journal.files import Files
from mta.roles.tracer import store
from mta.roles.tracer.desk import DAY, Desk
from mta.roles.tracer.store import StoreTooNew
from mta.traces import IDENTITY, RECIPIENT, REVERSE_PATH
from mta.wire.loop import Loop

NOW = 1_800_000_000.0
ONE, TWO = f"{1:020x}", f"{2:020x}"


class Told:
    """Stands for the peers."""

    def __init__(self) -> None:
        self.events = []

    def event(self, name, **pairs) -> None:
        self.events.append((name, pairs))


class Rig:
    """A folder of the journal's, and a tracer that reads it."""

    def __init__(self, folder, most_octets=1 << 30) -> None:
        self.log, self.path = folder / "log", folder / "trace.db"
        self.log.mkdir()
        self.descriptor = os.open(self.log, os.O_RDONLY | os.O_DIRECTORY)
        self.files = Files(self.descriptor, max_octets=4000)
        self.most_octets = most_octets
        self.now = NOW
        self.told = Told()
        self.start()

    def start(self) -> None:
        self.desk = Desk(
            Loop(), self.descriptor, self.path, days=30, most_octets=self.most_octets, now=lambda: self.now
        )
        self.desk.peers = self.told

    def say(self, role, event, at=0.0, **words) -> None:
        self.files.write([lines.record(NOW + at, role, event, words)])

    def read(self) -> "Rig":
        while self.desk.look():
            pass
        return self

    def rows(self, statement, *parameters):
        with sqlite3.connect(self.path) as database:
            return database.execute(statement, parameters).fetchall()

    def message(self, queue_id=ONE, sender="ann@a.test", to="joe@b.test", at=0.0) -> None:
        self.say("enqueuer", "accepted", at, session="s1", client="192.0.2.1", queue_id=queue_id, reverse_path=sender,
                 forward_path=to, recipients="2", size="100")  # fmt: skip
        self.say("scheduler", "delivered", at + 1, queue_id=queue_id, original_recipient=to, final_recipient=to,
                 status="2.0.0")  # fmt: skip


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    made.desk.close()
    os.close(made.descriptor)


def test_a_message_is_kept_with_its_events_and_who_may_find_it(rig):
    rig.say("listener", "connected", session="s1", client="192.0.2.1", service="smtp")
    rig.message(to="<Joe@B.test>")
    rig.read()
    assert rig.rows("SELECT queue_id, session, client, reverse_path, size, recipients, state FROM message") == [
        (ONE, "s1", "192.0.2.1", "ann@a.test", 100, 2, "delivered")
    ]
    assert [event for (event,) in rig.rows("SELECT event FROM event ORDER BY at")] == [
        "connected",
        "accepted",
        "delivered",
    ]
    assert set(rig.rows("SELECT way, address, domain FROM party")) == {
        (REVERSE_PATH, "ann@a.test", "a.test"),
        (RECIPIENT, "joe@b.test", "b.test"),
    }


def test_what_was_noted_before_its_message_began_belongs_to_it(rig):
    """In one batch, or with a look in between."""
    for queue_id, pause in ((ONE, False), (TWO, True)):
        rig.say(
            "scheduler", "delivered", queue_id=queue_id, original_recipient="joe@b.test", final_recipient="joe@b.test"
        )
        rig.say("submitter", "submitted", queue_id=queue_id, session="s1", identity="ann@a.test")
        if pause:
            rig.read()
        rig.say("enqueuer", "accepted", queue_id=queue_id, session="s1", client="192.0.2.1", reverse_path="ann@a.test",
                forward_path="joe@b.test", recipients="1", size="9")  # fmt: skip
    rig.read()
    assert (
        rig.rows("SELECT session, client, reverse_path, identity, size, state FROM message")
        == [("s1", "192.0.2.1", "ann@a.test", "ann@a.test", 9, "delivered")] * 2
    )
    assert len(rig.rows("SELECT 1 FROM party WHERE way = ?", IDENTITY)) == 2


def test_a_refusal_is_kept_without_a_queue_id_and_a_claim_not_at_all(rig):
    rig.say("smtpd", "refused", session="s2", client="192.0.2.9", reply="550 5.1.1", reverse_path="x@y.test",
            forward_path="nobody@b.test")  # fmt: skip
    rig.say("smtpd", "delivered", queue_id=ONE, final_recipient="evil@b.test")
    rig.say("smtpd", "accepted", queue_id=TWO, reverse_path="evil@b.test")
    rig.read()
    assert rig.rows("SELECT queue_id, client, state FROM message") == [(None, "192.0.2.9", "refused")]


def test_who_sent_what_was_refused_is_believed_where_people_log_in(rig):
    """Else whoever took an smtpd over could put refusals into anybody's own list."""
    words = {"client": "192.0.2.9", "reply": "550 5.1.1", "reverse_path": "a+b@y.test", "forward_path": "nobody@b.test"}
    for role, session in (("submissiond", "s1"), ("smtpd", "s2"), ("qmtpd", "s3")):
        rig.say(role, "refused", session=session, identity="ann@a.test", **words)
    rig.read()
    assert rig.rows("SELECT session, identity FROM message ORDER BY id") == [
        ("s1", "ann@a.test"),
        ("s2", ""),
        ("s3", ""),
    ]
    assert len(rig.rows("SELECT 1 FROM party WHERE way = ?", IDENTITY)) == 1


def test_a_notification_names_what_it_is_about(rig):
    rig.say("enqueuer", "queued", queue_id=TWO, original_queue_id=ONE, forward_path="ann@a.test", size="9")
    rig.read()
    assert rig.rows("SELECT queue_id, original, state FROM message") == [(TWO, ONE, "queued")]


def test_files_are_read_on_over_turns_of_the_journal_and_of_ours(rig):
    """Each line once: while files are renamed under us, and when another process goes on."""
    for number in range(120):
        rig.message(f"{number:020x}", at=number)
        if number % 7 == 0:
            rig.read()
        if number % 30 == 0:
            rig.desk.close()
            rig.start()
    assert len(list(rig.log.iterdir())) > 5
    rig.read()
    assert rig.rows("SELECT count(*), count(DISTINCT queue_id) FROM message") == [(120, 120)]
    assert rig.rows("SELECT count(*) FROM event") == [(240,)]


def test_what_was_turned_away_meanwhile_is_lost_and_the_oldest_left_comes_next(rig):
    rig.message(ONE)
    rig.read()
    rig.desk.close()
    for number in range(10, 300):
        rig.message(f"{number:020x}", at=number)
    rig.start()
    rig.read()
    kept = [int(queue_id, 16) for (queue_id,) in rig.rows("SELECT queue_id FROM message ORDER BY id")]
    assert kept[0] == 1
    assert kept[1] > 100
    assert kept[1:] == list(range(kept[1], 300))


def test_torn_and_foreign_lines_are_passed_over(rig):
    with (rig.log / "events.log").open("ab") as file:
        file.write(b'{"time":1.0,"role":"enqueuer","event":"accepted","queue_id":\n\xff\xfe\n[]\n"x"\n')
        file.write(b'{"time":1.0,"role":"enqueuer","event":"accepted","queue_id":7}\n' + b"[" * 100_000 + b"\n")
    rig.message(ONE)
    assert rig.read().rows("SELECT queue_id FROM message") == [(ONE,)]


def test_half_a_line_waits_for_its_other_half(rig):
    whole = lines.record(NOW, "enqueuer", "accepted", {"queue_id": ONE, "reverse_path": "ann@a.test"})
    with (rig.log / "events.log").open("ab", buffering=0) as file:
        file.write(whole[:-20])
        rig.read()
        file.write(whole[-20:])
    assert rig.read().rows("SELECT queue_id FROM message") == [(ONE,)]


def test_the_old_goes_and_with_it_all_that_was_known_of_it(rig):
    rig.message(ONE, at=-31 * DAY)
    rig.message(TWO)
    rig.read()
    while rig.desk.purge():
        pass
    assert rig.rows("SELECT queue_id FROM message") == [(TWO,)]
    for table in ("event", "party"):
        assert rig.rows(f"SELECT count(*) FROM {table} WHERE message_id NOT IN (SELECT id FROM message)") == [(0,)]


def purged(rig):
    while rig.desk.purge():
        pass
    return rig


def findable(rig, domain):
    """By which domain's people which messages are found."""
    statement = "SELECT DISTINCT queue_id FROM message m JOIN party p ON p.message_id = m.id WHERE p.domain = ? ORDER BY queue_id"
    return [queue_id for (queue_id,) in rig.rows(statement, domain)]


def test_a_domain_whose_tenant_wants_it_is_forgotten_earlier_and_others_keep_what_is_theirs(rig):
    """What two domains of ours share the one finds no more, the other as long as ever; what nobody may find is gone."""
    for number, (days, to) in enumerate([(9, "joe@short.test"), (9, "joe@long.test"), (5, "joe@short.test")]):
        rig.message(f"{number:020x}", at=-days * DAY, sender="ann@short.test" if "long" in to else "x@else.test", to=to)
    rig.say("compiler", "trace-days", domain="*", days="0")
    rig.say("compiler", "trace-days", domain="short.test", days="7")
    rig.say("compiler", "trace-days", domain="long.test", days="0")
    rig.say("smtpd", "trace-days", domain="long.test", days="1")  # not for it to say
    purged(rig.read())
    assert findable(rig, "short.test") == [f"{2:020x}"]
    assert findable(rig, "long.test") == [f"{1:020x}"]
    assert rig.rows("SELECT count(*) FROM message") == [(2,)]
    for table in ("event", "party"):
        assert rig.rows(f"SELECT count(*) FROM {table} WHERE message_id NOT IN (SELECT id FROM message)") == [(0,)]

    rig.now += 3 * DAY
    rig.say("compiler", "trace-days", domain="*", days="0")  # told anew: nobody says anything of his own
    purged(rig.read())
    assert findable(rig, "short.test") == [f"{2:020x}"]


def test_forgetting_for_domains_goes_in_steps_and_from_the_first_again(rig, monkeypatch):
    """However many there are: a bounded number of messages and domains at once."""
    monkeypatch.setattr(store, "PURGE_AT_ONCE", 3)
    monkeypatch.setattr(store, "DOMAINS_AT_ONCE", 2)
    for number in range(5):
        rig.say("compiler", "trace-days", domain=f"d{number}.test", days="1")
        for message in range(4):
            rig.message(f"{number * 10 + message:020x}", at=-2 * DAY, sender="x@else.test", to=f"joe@d{number}.test")
    rig.read()
    rounds = 1
    while rig.desk.purge():
        rounds += 1
    assert rounds > 10
    assert rig.rows("SELECT count(*) FROM message") == [(0,)]
    rig.message(ONE, at=-2 * DAY, sender="x@else.test", to="joe@d0.test")
    purged(rig.read())
    assert rig.rows("SELECT count(*) FROM message") == [(0,)]


def test_it_never_takes_more_room_than_it_was_given(tmp_path):
    """A stranger who has himself refused all day pushes out what is old, and fills no disk."""
    rig = Rig(tmp_path, most_octets=200_000)
    for number in range(2000):
        rig.message(f"{number:020x}", at=number / 1000)
        if number % 100 == 0:
            rig.read()
            while rig.desk.purge():
                pass
    rig.read()
    while rig.desk.purge():
        pass
    newest = rig.rows("SELECT max(queue_id) FROM message")
    assert newest == [(f"{1999:020x}",)]
    assert rig.path.stat().st_size < 600_000
    rig.desk.close()
    os.close(rig.descriptor)


def test_a_damaged_store_is_put_aside_and_made_anew(rig):
    rig.message(ONE)
    rig.path.write_bytes(b"no database" * 100)
    rig.read()
    assert rig.told.events[0][0] == "trace-begun-anew"
    assert rig.rows("SELECT queue_id FROM message") == [(ONE,)]
    assert rig.path.with_name("trace.db.damaged").exists()


def test_the_store_of_a_later_program_is_left_alone(rig):
    with sqlite3.connect(rig.path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew):
        rig.desk.look()


@pytest.mark.alone
def test_it_keeps_up_with_a_thousand_messages_a_second(rig, figure):
    """Four lines each, at a third of a core or less."""
    rig.files = Files(rig.descriptor)
    told = []
    for number in range(5000):
        queue_id, session = f"{number:020x}", f"{number:016x}"
        words = {"session": session, "client": f"192.0.2.{number % 250}"}
        told.append(lines.record(NOW, "listener", "connected", {**words, "service": "smtp"}))
        accepted = {**words, "queue_id": queue_id, "reverse_path": f"s{number}@from{number % 500}.test",
                    "forward_path": f"r{number}@to{number % 900}.test", "recipients": "1", "size": "4000"}  # fmt: skip
        told.append(lines.record(NOW, "enqueuer", "accepted", accepted))
        outcome = {"queue_id": queue_id, "original_recipient": accepted["forward_path"],
                   "final_recipient": accepted["forward_path"], "status": "2.0.0"}  # fmt: skip
        told.append(lines.record(NOW, "scheduler", "delivered", outcome))
    rig.files.write(told)
    began = time.process_time()
    rig.read()
    spent = (time.process_time() - began) / 5000
    figure("CPU a message, microseconds", round(spent * 1e6))
    assert rig.rows("SELECT count(*) FROM event") == [(15_000,)]
    assert spent < 333e-6
