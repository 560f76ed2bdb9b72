"""What became of messages, told to whom it concerns and to nobody else."""

import os
from dataclasses import replace

import pytest

from appliance.database.session import reading, unit_of_work
from appliance.errors import DatabaseUnavailable, Invalid, NotFound
from appliance.models import Domain
from appliance.services import messages
from appliance.services.messages import EVERYTHING, Asked, Scope
from appliance.services.trace import Wanted
from mta.roles.journal import lines
from mta.roles.journal.files import Files
from mta.roles.tracer.gather import Gatherer
from mta.roles.tracer.store import Store
from mta.roles.tracer.tail import Place
from tests.fixtures.database import OPERATOR

NOW = 1_900_000_000.0  # after everything that the tests make
ONE, TWO, THREE, FOUR = (f"{number:020x}" for number in range(1, 5))


class Traces:
    """A store, filled as tracer does it."""

    def __init__(self, folder) -> None:
        self.file = folder / "trace.db"
        self.store = Store(self.file)
        self.gatherer = Gatherer(self.store, 0)
        self.at = NOW

    def say(self, role, event, **words) -> None:
        self.at += 1
        line = lines.record(self.at, role, event, words)
        self.store.take(self.gatherer.gather([line]), Place("x", 1))

    def accept(self, queue_id, sender, recipients, *, identity="", session="s1") -> None:
        self.say("listener", "connected", session=session, client="192.0.2.1", service="smtp")
        self.say("enqueuer", "accepted", session=session, client="192.0.2.1", queue_id=queue_id, reverse_path=sender,
                 forward_path=recipients[0], recipients=str(len(recipients)), size="100")  # fmt: skip
        if identity:
            self.say("submitter", "submitted", session=session, queue_id=queue_id, identity=identity, signatures="2")
        for recipient in recipients:
            self.say("scheduler", "delivered", queue_id=queue_id, original_recipient=recipient,
                     final_recipient=recipient, status="2.0.0")  # fmt: skip


@pytest.fixture
def traces(tmp_path):
    made = Traces(tmp_path)
    yield made
    made.store.close()


def ids(traces, scope, limit=50, cursor=None, **asked):
    return [
        each.id for each in messages.list_messages(traces.file, scope, Asked(**asked), limit=limit, cursor=cursor).items
    ]


def scope_of(world, actor):
    with reading(world.engine) as session:
        return messages.scope_of(session, actor)


def test_a_recipients_side_sees_its_own_part_of_a_message(world, traces):
    """Not who else got it, not what became of that, not even how many they are."""
    traces.accept(ONE, "x@outside.test", ["joe@foreign.test", "joe@own.test"])
    traces.say("scheduler", "failed", queue_id=ONE, original_recipient="zoe@foreign.test", final_recipient="zoe@foreign.test",
               status="5.1.1")  # fmt: skip
    told = messages.get(traces.file, scope_of(world, world.customer), ONE)
    assert (told.recipients, told.state, told.identity) == (["joe@own.test"], "delivered", None)
    assert "foreign" not in repr(told)
    assert [entry["event"] for entry in told.events] == ["connected", "accepted", "delivered"]
    assert set(messages.get(traces.file, EVERYTHING, ONE).recipients) == {
        "joe@foreign.test", "joe@own.test", "zoe@foreign.test",
    }  # fmt: skip


def test_who_answers_by_himself_is_told_to_his_own_side_alone(world, traces):
    """The mailbox behind an alias, and that it is away, is nobody's who wrote to somebody else."""
    traces.accept(ONE, "x@outside.test", ["joe@foreign.test", "joe@own.test"])
    for event, why in (("replied", {}), ("reply-withheld", {"why": "list"})):
        for mailbox in ("boss@foreign.test", "joe@own.test"):
            traces.say("bouncer", event, queue_id=ONE, final_recipient=mailbox, reverse_path="x@outside.test", **why)
    told = messages.get(traces.file, scope_of(world, world.customer), ONE)
    assert "foreign" not in repr(told)
    assert [entry["event"] for entry in told.events][-2:] == ["replied", "reply-withheld"]


def test_the_side_that_was_logged_in_sees_all_of_it_and_a_reverse_path_proves_nothing(world, traces):
    traces.accept(ONE, "joe@own.test", ["a@outside.test", "joe@foreign.test"], identity="joe@own.test")
    traces.accept(TWO, "joe@own.test", ["joe@foreign.test"], session="s2")  # a stranger says so
    own = scope_of(world, world.customer)
    assert ids(traces, own) == [ONE]
    told = messages.get(traces.file, own, ONE)
    assert (told.identity, told.recipients) == ("joe@own.test", ["a@outside.test", "joe@foreign.test"])
    with pytest.raises(NotFound):
        messages.get(traces.file, own, TWO)
    assert ids(traces, own, sender="joe@own.test") == [ONE]


def test_each_actor_has_his_part(world, traces):
    traces.accept(ONE, "x@outside.test", ["joe@own.test"])
    traces.accept(TWO, "x@outside.test", ["joe@foreign.test"])
    traces.accept(THREE, "x@outside.test", ["info@own.test"])
    seen = {
        name: ids(traces, scope_of(world, getattr(world, name)))
        for name in ("reseller", "customer", "domain_admin", "owner")
    }
    assert seen == {"reseller": [THREE, ONE], "customer": [THREE, ONE], "domain_admin": [THREE, ONE], "owner": [ONE]}
    assert ids(traces, scope_of(world, OPERATOR)) == [THREE, TWO, ONE]
    assert ids(traces, Scope()) == []


def test_a_key_sees_messages_when_it_was_given_that_and_of_what_it_was_given(world, traces):
    traces.accept(ONE, "x@outside.test", ["joe@own.test"])
    traces.accept(TWO, "x@outside.test", ["info@own.test"])
    without = replace(world.customer, actions=frozenset({"mailbox.see"}))
    single = replace(world.customer, actions=frozenset({"message.see"}), addresses=frozenset({"joe@own.test"}))
    foreign = replace(world.customer, addresses=frozenset({"joe@foreign.test", "foreign.test"}))
    assert [ids(traces, scope_of(world, actor)) for actor in (without, single, foreign)] == [[], [ONE], []]


def test_who_gets_a_domain_later_does_not_see_what_was_before(world, traces):
    traces.accept(ONE, "x@outside.test", ["joe@own.test"])
    with unit_of_work(world.engine) as session:
        session.query(Domain).filter_by(name="own.test").one().created_at = int(NOW) + 1000
    later = scope_of(world, world.customer)
    assert ids(traces, later) == []
    with pytest.raises(NotFound):
        messages.get(traces.file, later, ONE)


def test_messages_are_found_by_sender_recipient_time_and_state(world, traces):
    traces.accept(ONE, "Ann@a.test", ["joe@own.test"])
    moment = traces.at
    traces.accept(TWO, "bob@a.test", ["info@own.test"])
    traces.say("smtpd", "refused", session="s9", client="192.0.2.9", reply="550 5.1.1", reverse_path="ann@a.test",
               forward_path="nobody@own.test")  # fmt: skip
    for scope in (EVERYTHING, scope_of(world, world.customer)):
        assert ids(traces, scope, sender="ann@A.test")[1:] == [ONE]
        assert ids(traces, scope, sender="@a.test")[1:] == [TWO, ONE]
        assert ids(traces, scope, recipient="joe@own.test", sender="@a.test") == [ONE]
        assert ids(traces, scope, recipient="joe@own.test", sender="bob@a.test") == []
        assert ids(traces, scope, until=moment + 0.5) == [ONE]
        assert ids(traces, scope, since=moment + 0.5)[1:] == [TWO]
        assert ids(traces, scope, state="delivered") == [TWO, ONE]
        (refused,) = ids(traces, scope, state="refused")
        assert messages.get(traces.file, scope, refused).events[-1]["reply"] == "550 5.1.1"
    with pytest.raises(Invalid):
        Asked(state="lost")


@pytest.mark.parametrize("merged", [50, 0])
def test_pages_follow_one_another_without_a_gap(world, traces, monkeypatch, merged):
    """Whether lists of domains are merged or all messages looked at, however few at a time."""
    monkeypatch.setattr(messages, "MERGED", merged)
    monkeypatch.setattr(messages, "SCANNED", 7)
    for number in range(30):
        to = ["joe@own.test", "info@own.test"] if number % 3 == 0 else ["joe@foreign.test"]
        traces.accept(f"{number:020x}", "x@outside.test", to, session=f"s{number}")
    own, found, cursor = scope_of(world, world.customer), [], None
    for _ in range(20):
        page = messages.list_messages(traces.file, own, Asked(), limit=2, cursor=cursor)
        found += [int(each.id, 16) for each in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == list(range(27, -1, -3))


def test_a_store_that_nobody_has_made_or_writes_is_read_or_empty(tmp_path, world):
    missing = tmp_path / "none.db"
    assert messages.list_messages(missing, EVERYTHING, Asked()).items == []
    assert messages.stories(missing, Wanted(identity=ONE)) == []
    with pytest.raises(NotFound):
        messages.get(missing, EVERYTHING, ONE)
    traces = Traces(tmp_path)
    traces.accept(ONE, "x@outside.test", ["joe@own.test"])
    traces.store.close()
    assert not (tmp_path / "trace.db-shm").exists()
    tmp_path.chmod(0o500)
    try:
        assert ids(traces, EVERYTHING) == [ONE]
    finally:
        tmp_path.chmod(0o700)
    traces.file.write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseUnavailable):
        ids(traces, EVERYTHING)


def test_a_story_goes_from_the_connection_to_the_notification(tmp_path, traces):
    """As `trace.tell` puts it together out of the journal's files."""
    traces.say(
        "smtpd",
        "refused",
        session="s1",
        client="192.0.2.1",
        reply="550",
        reverse_path="ann@a.test",
        forward_path="z@b.test",
    )
    traces.accept(ONE, "ann@a.test", ["joe@b.test"])
    traces.say("enqueuer", "queued", queue_id=TWO, original_queue_id=ONE, forward_path="ann@a.test", size="9")
    traces.say("scheduler", "delivered", queue_id=TWO, original_recipient="ann@a.test", final_recipient="ann@a.test")
    traces.accept(THREE, "ann@a.test", ["joe@b.test"], session="s3")
    for wanted in (Wanted(forward_path="joe@b.test", reverse_path="ann@a.test"), Wanted(identity=ONE)):
        story = messages.stories(traces.file, wanted)[0]
        kinds = [entry["event"] for entry in story.in_order()]
        assert kinds == ["connected", "accepted", "delivered", "queued", "delivered"]
        assert (story.client, story.queue_ids) == ("192.0.2.1", [ONE, TWO])
    assert len(messages.stories(traces.file, Wanted(identity="s1"))) == 1
    assert len(messages.stories(traces.file, Wanted(forward_path="joe@b.test"))) == 2
    assert messages.stories(traces.file, Wanted(forward_path="never@b.test")) == []


def test_it_says_how_far_it_was_read(tmp_path, traces):
    assert messages.read_up_to(traces.file) is None
    folder = os.open(tmp_path, os.O_RDONLY)
    Files(folder).write([lines.record(NOW, "enqueuer", "accepted", {"queue_id": ONE})])
    os.close(folder)
    traces.say("enqueuer", "accepted", queue_id=FOUR)
    assert messages.read_up_to(traces.file) == 1
