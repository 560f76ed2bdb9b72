"""The audit log: found again, given out, and tied so that nobody changes it behind everybody's back."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from appliance import audit_chain
from appliance.audit_chain import Anchor, write_anchor
from appliance.compile.source import open_source
from appliance.compile.trail import Trail
from appliance.database.session import reading, unit_of_work
from appliance.errors import Invalid
from appliance.models import AuditEntry
from appliance.services import audit, domains, mailboxes
from appliance.services.actor import Part
from appliance.services.audit import Search
from tests.fixtures.database import OPERATOR


class Told:
    """Stands for the journal."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.peers = self

    def event(self, name: str, **_: object) -> None:
        self.events.append(name)


def deeds(world, **wanted):
    with reading(world.engine) as session:
        return [entry.subject for entry in audit.list_entries(session, actor=OPERATOR, search=Search(**wanted)).items]


def without_guards(engine):
    """What somebody can do who has the whole database."""
    drop = ("DROP TRIGGER audit_entry_kept ON audit_entry",) if engine.dialect.name == "postgresql" else (
        "DROP TRIGGER audit_entry_unchanged", "DROP TRIGGER audit_entry_kept",
    )  # fmt: skip
    with unit_of_work(engine) as session:
        for statement in drop:
            session.execute(text(statement))


def tampered(engine, statement):
    without_guards(engine)
    with unit_of_work(engine) as session:
        session.execute(text(statement))
    with reading(engine) as session:
        return audit.verify(session).wrong


def test_entries_are_found_by_who_what_whom_and_when(world):
    assert deeds(world, subject="joe@own.test") == ["joe@own.test"]
    assert deeds(world, actor="nobody") == []
    assert set(deeds(world, action="mailbox.")) >= {"joe@own.test", "joe@foreign.test"}
    assert deeds(world, action="mailbox.creat") == []
    assert deeds(world, until=1) == []
    assert deeds(world, since=1 << 40) == []
    with pytest.raises(Invalid):
        deeds(world, action="%")


@pytest.mark.parametrize("search", [Search(), Search(action="mailbox."), Search(subject="joe@own.test")])
@pytest.mark.parametrize("who", ["reseller", "customer", "both"])
def test_page_by_page_he_reads_what_is_his_however_it_is_found(world, who, search):
    """The newest first, none left out and none twice, whatever others did in between."""
    theirs = Part(
        "customer", world.foreign_customer_id
    )  # of "both": appointed there too, and within his own part again
    several = replace(world.reseller, others=(theirs, Part("customer", world.customer_id)))
    actor, read, cursor = several if who == "both" else getattr(world, who), [], None
    with reading(world.engine) as session:
        own = [json.loads(line)["id"] for line in audit.export(session, actor=actor, search=search)]
        while cursor or not read:
            page = audit.list_entries(session, actor=actor, search=search, limit=2, cursor=cursor)
            read += [entry.id for entry in page.items]
            cursor = page.next
            if cursor is None:
                break
    assert read == sorted(own, reverse=True) != []


def test_an_actor_exports_his_own_part_alone(world):
    with reading(world.engine) as session:
        lines = [json.loads(line) for line in audit.export(session, actor=world.customer)]
    assert {line["tenant_id"] for line in lines} == {world.customer_id}
    assert [line["id"] for line in lines] == sorted(line["id"] for line in lines)


def test_whoever_has_all_lines_can_follow_the_chain_himself(world):
    """It is no secret of ours how it is made."""
    with reading(world.engine) as session:
        lines = [json.loads(line) for line in audit.export(session, actor=OPERATOR)]
    digest = audit_chain.BEGINNING
    for line in lines:
        digest = audit_chain.link(digest, line)
        assert digest == line["digest"]


def test_a_savepoint_that_is_taken_back_takes_its_entries_along(world):
    with unit_of_work(world.engine) as session:
        mailboxes.create(session, "a@own.test", actor=OPERATOR)
        with session.begin_nested() as savepoint:
            mailboxes.create(session, "b@own.test", actor=OPERATOR)
            savepoint.rollback()
        mailboxes.create(session, "c@own.test", actor=OPERATOR)
    with unit_of_work(world.engine) as session:
        domains.create(session, "late.test", actor=OPERATOR)
    with reading(world.engine) as session:
        assert audit.verify(session) == audit.Verdict(session.query(AuditEntry).count())
    assert deeds(world, action="mailbox.created")[:2] == ["c@own.test", "a@own.test"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET actor = 'somebody else' WHERE id = 3",
        "UPDATE audit_entry SET at = at - 1 WHERE id = 3",
        "UPDATE audit_entry SET tenant_id = 9 WHERE id = 1",
        "DELETE FROM audit_entry WHERE id = 2",
        "DELETE FROM audit_entry WHERE id = 1",
        "UPDATE audit_entry SET domain_id = NULL WHERE id = (SELECT min(id) FROM audit_entry WHERE domain_id IS NOT NULL)",
    ],
)
def test_nothing_is_changed_or_taken_out_unnoticed(world, statement):
    assert tampered(world.engine, statement)


@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry"])
def test_the_database_itself_refuses(world, statement):
    """Against mistakes of ours: who has the whole database takes the guards away."""
    with pytest.raises(DatabaseError, match="only ever grows"), world.engine.begin() as connection:
        connection.execute(text(statement))


def test_the_end_cannot_be_cut_off_unnoticed(world, tmp_path):
    """The compiler remembers it, where nobody else may write; and what it remembers stays."""
    told, source = Told(), open_source(world.engine.url.render_as_string(hide_password=False))
    trail = Trail(tmp_path, told)

    def look():
        with source.reading() as query:
            trail.look(query)
        return (tmp_path / audit_chain.FILE).read_text()

    look()
    world.do(lambda session: domains.create(session, "late.test", actor=OPERATOR))
    seen = look()
    with reading(world.engine) as session:
        newest = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
        assert seen == f"{newest.id} {newest.digest}\n"
        assert audit.verify(session, tmp_path).wrong == ""
    without_guards(world.engine)
    world.do(lambda session: session.execute(text(f"DELETE FROM audit_entry WHERE id = {newest.id}")))
    assert (look(), look()) == (seen, seen)
    assert told.events == ["audit-broken"]
    with reading(world.engine) as session:
        assert audit.verify(session).wrong == ""
        assert "cut off" in audit.verify(session, tmp_path).wrong
    source.close()


def test_a_chain_made_anew_is_another(world, tmp_path):
    with reading(world.engine) as session:
        first = session.scalars(select(AuditEntry).order_by(AuditEntry.id).limit(1)).one()
    write_anchor(tmp_path, Anchor(first.id, "0" * 64))
    with reading(world.engine) as session:
        assert "made anew" in audit.verify(session, tmp_path).wrong


def test_an_anchor_that_makes_no_sense_is_none(tmp_path):
    assert audit_chain.read_anchor(tmp_path) is None
    for content in ("", "x y\n", "7\n", "é 1"):
        (tmp_path / audit_chain.FILE).write_text(content)
        assert audit_chain.read_anchor(tmp_path) is None
