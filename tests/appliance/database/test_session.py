"""One unit of work = one transaction."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text

from appliance.database.engine import open_engine
from appliance.database.session import part_of_work, reading, unit_of_work
from appliance.errors import Conflict, DatabaseUnavailable, Invalid
from appliance.models import Domain, StoreTask
from appliance.services import accounts, aliases, changes, domains, keys, mailboxes, tenants
from tests.fixtures.database import OPERATOR


def names(engine) -> set[str]:
    with reading(engine) as session:
        return set(session.scalars(select(Domain.name)))


def test_what_ends_well_is_committed(engine):
    """Others see it."""
    with unit_of_work(engine) as session:
        domains.create(session, "new.test", actor=OPERATOR)
    assert "new.test" in names(engine)


def test_what_raises_leaves_nothing(engine):
    """Neither the row, nor its audit entry, nor its change entry."""
    with reading(engine) as session:
        before = changes.newest(session)
    with pytest.raises(RuntimeError), unit_of_work(engine) as session:  # noqa: PT012 - the deed and then the failure
        domains.create(session, "new.test", actor=OPERATOR)
        raise RuntimeError
    assert "new.test" not in names(engine)
    with reading(engine) as session:
        assert changes.newest(session) == before
        assert session.scalar(text("SELECT count(*) FROM audit_entry WHERE subject = 'new.test'")) == 0


def test_a_dry_run_leaves_nothing_and_refuses_the_same(engine):
    """It runs the whole deed, then takes it back."""
    with unit_of_work(engine, dry_run=True) as session:
        made = domains.create(session, "new.test", actor=OPERATOR)
        operator = tenants.update(session, tenants.operator(session).id, actor=OPERATOR, max_domains=7)
    assert (made.name, operator.max_domains) == ("new.test", 7)  # What would be is shown,
    assert "new.test" not in names(engine)  # and is not.
    with reading(engine) as session:
        assert tenants.operator(session).max_domains is None


def test_two_writers_wait_for_each_other(engine):
    """What the second checked is still so when it writes: of two who want the last place, one gets it."""
    with unit_of_work(engine) as session:
        tenants.update(session, tenants.operator(session).id, actor=OPERATOR, max_domains=2)  # one is the host's
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def want(name: str) -> None:
        together.wait()
        try:
            with unit_of_work(engine) as session:
                domains.create(session, name, actor=OPERATOR)
        except Exception as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append("created")

    threads = [threading.Thread(target=want, args=(f"{n}.test",)) for n in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["LimitReached", "created"]


def test_a_missing_database_is_noticed_and_not_made(tmp_path):
    """An empty database made by accident would look like one without customers."""
    path = tmp_path / "gone.db"
    with pytest.raises(DatabaseUnavailable), reading(open_engine(f"sqlite:///{path}")) as session:
        session.execute(text("SELECT 1"))
    assert not path.exists()


def test_a_locked_database_is_unavailable_and_not_an_error_of_ours(engine):
    """Somebody else writes for longer than we wait."""
    other = sqlite3.connect(engine.url.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = open_engine(str(engine.url), busy_seconds=0.05)
    with pytest.raises(DatabaseUnavailable, match="locked"), unit_of_work(impatient) as session:
        tenants.operator(session)
    impatient.dispose()
    other.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path):
    """A restored file may be anything."""
    path = tmp_path / "text.db"
    path.write_text("this is no database, and long enough to be looked at as one " * 20, encoding="ascii")
    with pytest.raises(DatabaseUnavailable), reading(open_engine(f"sqlite:///{path}")) as session:
        session.execute(text("SELECT 1"))


@pytest.mark.parametrize("tenant", [1 << 70, -(1 << 70)])
def test_a_number_that_no_column_holds_is_refused(engine, tenant):
    """From a client it is a mistake, not a failure of ours."""
    with pytest.raises(Invalid), unit_of_work(engine) as session:
        tenants.get(session, tenant, actor=OPERATOR)


def test_half_a_character_is_refused(engine):
    """JSON can spell a lone surrogate; no database can store it."""
    with pytest.raises(Invalid), unit_of_work(engine) as session:
        tenants.find(session, "\ud800", actor=OPERATOR)


@pytest.mark.parametrize("name", ["with space", "100%", "what?", "#1", "ünïcode"])
def test_the_state_folder_may_have_any_name(founded_file, tmp_path, name):
    """The path goes into a URI: nothing in it may be read as one."""
    folder = tmp_path / name
    folder.mkdir()
    path = Path(folder / "postern.db")
    path.write_bytes(founded_file.read_bytes())
    engine = open_engine(f"sqlite:///{path}")
    with reading(engine) as session:
        assert tenants.operator(session).kind == "operator"
    engine.dispose()


def test_foreign_keys_hold_and_commits_are_durable(engine):
    """A commit that a power cut takes back would leave the snapshot ahead of the database."""
    with reading(engine) as session:
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA synchronous")) == 2
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"


def test_rows_can_be_shown_after_the_commit(engine):
    """Answers are built when the deed is in force: everything they show must have been loaded by then."""
    with unit_of_work(engine) as session:
        domains.create(session, "real.test", actor=OPERATOR)
        domains.create(session, "other.test", alias_of="real.test", actor=OPERATOR)
        mailboxes.create(session, "joe@real.test", actor=OPERATOR)
        aliases.create(session, "info@real.test", ["joe@real.test"], actor=OPERATOR)
    with unit_of_work(engine) as session:
        other = domains.suspend(session, "other.test", actor=OPERATOR)
        real = domains.suspend(session, "real.test", actor=OPERATOR)
    with unit_of_work(engine) as session:
        mailbox = mailboxes.suspend(session, "joe@real.test", actor=OPERATOR)
    with reading(engine) as session:
        alias = aliases.get(session, "info@real.test", actor=OPERATOR)
        account = accounts.get(session, "operator", actor=OPERATOR)
        key = keys.create(session, actor=OPERATOR).key
        page = domains.list_domains(session, actor=OPERATOR)
    assert (other.alias_of.name, other.tenant.name) == ("real.test", "operator")
    assert real.alias_of is None
    assert (mailbox.forwarding, mailbox.domain.tenant.name, mailbox.domain.alias_of) == (None, "operator", None)
    assert (list(alias.targets), alias.domain.alias_of) == (["joe@real.test"], None)
    assert (account.tenant.name, account.domain, key.tenant.name) == ("operator", None, "operator")
    assert [domain.alias_of and domain.alias_of.name for domain in page.items] == [None, "real.test", None]


def test_noted_rows_are_there_for_every_question_and_in_their_order(engine):
    """Those with other columns between them, too."""
    with unit_of_work(engine) as session:
        session.execute(delete(StoreTask))
        for number in range(4):
            more = {"removal_id": number} if number == 2 else {}
            session.note(StoreTask, op="make", domain="own.test", local_part=str(number), **more)
        assert [task.local_part for task in session.scalars(select(StoreTask).order_by(StoreTask.id))] == list("0123")


def test_noted_rows_go_with_the_savepoint_they_were_noted_in(engine):
    """And those from before it stay; what a unit of work that failed has noted is nowhere."""

    def note(session, name):
        session.note(StoreTask, op="make", domain="own.test", local_part=name)

    with unit_of_work(engine) as session:
        session.execute(delete(StoreTask))
        note(session, "before")
        with pytest.raises(Conflict), part_of_work(session):  # noqa: PT012 - the deed and then the failure
            note(session, "within")
            raise Conflict("no")
        note(session, "behind")
    with pytest.raises(Conflict), unit_of_work(engine) as session:  # noqa: PT012 - as above
        note(session, "lost")
        raise Conflict("no")
    with reading(engine) as session:
        assert set(session.scalars(select(StoreTask.local_part))) == {"before", "behind"}
