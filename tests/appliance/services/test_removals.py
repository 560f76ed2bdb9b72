"""What was removed comes back as it was, or goes for good; and nobody gets another's name or mail by it."""

import contextlib
import datetime as dt

import pytest
from sqlalchemy import func, select

from appliance.compile import removals as housekeeping
from appliance.compile.source import open_source
from appliance.database.session import reading, unit_of_work
from appliance.errors import Conflict, Forbidden, LimitReached, NotFound, Taken
from appliance.models import Base, Change, Removal, RemovedRows, StoreTask
from appliance.services import (
    acceptance,
    access_rules,
    accounts,
    aliases,
    appointments,
    audit,
    domains,
    forwardings,
    mailboxes,
    many_mailboxes,
    remains,
    removals,
    routes,
    senders,
    sending,
    tenants,
)
from appliance.services.actor import Actor
from appliance.services.many_mailboxes import NewMailbox
from tests.fixtures.database import OPERATOR

JOE, DOMAIN = "joe@own.test", "own.test"
# What tells of deeds, or of the removal itself; and what ends with whoever was logged in.
TELLS = {
    "audit_entry",
    "change",
    "store_task",
    "removal",
    "removed_rows",
    "login_session",
    "login_link",
    "publish_request",
}


@pytest.fixture
def world(world):
    """joe has everything that a mailbox may have, and his domain everything that one may."""

    def furnish(session):
        mailboxes.set_password(session, JOE, "c2VhbGVk", actor=OPERATOR)
        mailboxes.update(session, JOE, actor=OPERATOR, quota_bytes=1000, display_name="Joe")
        aliases.create(session, "sales@own.test", [JOE, "ann@away.example"], actor=OPERATOR)
        forwardings.put(session, JOE, ["ann@away.example"], actor=OPERATOR, keep_copy=True)
        senders.give(session, JOE, "sales@own.test", actor=OPERATOR)
        senders.give(session, "joe@foreign.test", "sales@own.test", actor=OPERATOR)
        access_rules.add(session, "deny", "x.test", actor=OPERATOR, mailbox=JOE)
        access_rules.add(session, "deny", "y.test", actor=OPERATOR, domain=DOMAIN)
        sending.change(session, JOE, actor=OPERATOR, per_hour=5)
        appointments.appoint(session, JOE, actor=OPERATOR, domain=DOMAIN)
        accounts.create(session, "own-manager", actor=OPERATOR, domain=DOMAIN, sealed_hash="sealed")
        routes.put(session, "@own.test", routes.Wanted(tls="verify"), actor=OPERATOR)
        mailboxes.suspend(session, JOE, actor=world.customer, what=("send",))

    world.do(furnish)
    return world


def foreigner(world):
    return Actor("customer", "f", tenant_id=world.foreign_customer_id)


def everything(world):
    """Every row of every table that holds what somebody made."""
    with reading(world.engine) as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table))))
            for table in Base.metadata.sorted_tables
            if table.name not in TELLS
        }


def remove(world, service, name, actor=None, **more):
    return world.do(lambda s: service.remove(s, name, actor=actor or OPERATOR, **more)).removal.id


def undo(world, number, actor=OPERATOR):
    return world.do(lambda s: removals.undo(s, number, actor=actor))


def tasks(world):
    with reading(world.engine) as session:
        rows = session.scalars(select(StoreTask).where(StoreTask.op != "make").order_by(StoreTask.id))
        return [(row.op, row.domain, row.local_part, row.removal_id) for row in rows]


@pytest.mark.parametrize(("service", "name"), [(mailboxes, JOE), (domains, DOMAIN), (aliases, "sales@own.test")])
def test_undone_it_is_as_it_was(world, service, name):
    """Every row of every table; and whatever the compiler has to look at anew is announced."""
    before = everything(world)
    with reading(world.engine) as session:
        first = session.scalar(select(func.max(Change.id)))
    number = remove(world, service, name)
    with reading(world.engine) as session:
        told_off = {(row.kind, row.key) for row in session.scalars(select(Change).where(Change.id > first))}
        last = session.scalar(select(func.max(Change.id)))
    assert everything(world) != before
    undo(world, number)
    assert everything(world) == before
    with reading(world.engine) as session:
        told_on = {(row.kind, row.key) for row in session.scalars(select(Change).where(Change.id > last))}
    assert told_off <= told_on
    with pytest.raises(NotFound):
        undo(world, number)


def test_it_can_be_removed_and_undone_again_and_again(world):
    """A mailbox, then its domain; and each brings back its own."""
    before = everything(world)
    for _ in range(2):
        inner = remove(world, mailboxes, JOE)
        outer = remove(world, domains, DOMAIN)
        with pytest.raises(Conflict, match="have that back first"):
            undo(world, inner)
        undo(world, outer)
        undo(world, inner)
    assert everything(world) == before


def test_what_a_table_to_come_holds_of_a_mailbox_is_kept_too():
    """Whatever hangs on it by a foreign key; and what names it otherwise is known here."""
    kept = {table.name for table in remains.of("mailbox", 1)} | {table.name for table in remains.of("domain", 1)}
    naming = {
        table.name
        for table in Base.metadata.sorted_tables
        if {"mailbox_id", "domain_id", "alias_id"} & set(table.columns.keys())
    }
    assert naming - kept <= {
        "audit_entry",
        "removal",
        "login_attempt",
        "login_link",
        "login_session",
        "login_step",
        "recovery_mail",
    }


def test_mail_is_put_aside_and_comes_back_by_the_number_of_the_removal(world):
    first = remove(world, mailboxes, JOE)
    undo(world, first)
    second = remove(world, domains, DOMAIN)
    undo(world, second)
    assert tasks(world)[-4:] == [
        ("keep", DOMAIN, "joe", first), ("restore", DOMAIN, "", first),
        ("keep", DOMAIN, "", second), ("restore", DOMAIN, "", second),
    ]  # fmt: skip


def test_what_is_removed_counts_for_no_limit_and_is_judged_by_them_when_it_comes_back(world):
    world.do(lambda s: tenants.update(s, world.customer_id, actor=OPERATOR, max_mailboxes=1))
    number = remove(world, mailboxes, JOE)
    world.do(lambda s: mailboxes.create(s, "ann@own.test", actor=OPERATOR))
    with pytest.raises(LimitReached):
        undo(world, number)
    remove(world, mailboxes, "ann@own.test")
    world.do(lambda s: tenants.update(s, world.customer_id, actor=OPERATOR, max_storage_bytes=999))
    with pytest.raises(LimitReached):
        undo(world, number)
    world.do(lambda s: tenants.update(s, world.customer_id, actor=OPERATOR, max_storage_bytes=1000))
    undo(world, number)


def test_an_address_is_made_anew_only_when_what_was_there_may_go(world):
    """One by one and many together; and then it cannot be undone any more."""
    number = remove(world, mailboxes, JOE)
    with pytest.raises(Taken, match="can be had back") as refused:
        world.do(lambda s: mailboxes.create(s, JOE, actor=OPERATOR))
    assert (refused.value.code, refused.value.holder) == ("mailbox_removed", f"removals/{number}")
    (outcome,) = world.do(lambda s: many_mailboxes.create_each(s, [NewMailbox(JOE)], actor=OPERATOR))
    assert isinstance(outcome, Taken)
    (outcome,) = world.do(lambda s: many_mailboxes.create_each(s, [NewMailbox(JOE, discard=True)], actor=OPERATOR))
    assert outcome.address.local_part == "joe"
    assert tasks(world)[-2:] == [("keep", DOMAIN, "joe", number), ("drop", DOMAIN, "", number)]
    with pytest.raises(NotFound):
        undo(world, number)
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(RemovedRows)) == 0


def test_who_is_refused_a_mailbox_has_discarded_nothing(world):
    """There is no room for it: then the removed one can still be had back."""
    number = remove(world, mailboxes, JOE, actor=OPERATOR)
    world.do(lambda s: tenants.update(s, world.customer_id, actor=OPERATOR, max_mailboxes=0))
    wanted = [NewMailbox(JOE, discard=True), NewMailbox("joe@foreign.test", discard=True)]
    outcomes = world.do(lambda s: many_mailboxes.create_each(s, wanted, actor=OPERATOR))
    assert [type(outcome) for outcome in outcomes] == [LimitReached, Taken]
    world.do(lambda s: tenants.update(s, world.customer_id, actor=OPERATOR, max_mailboxes=None))
    undo(world, number)


def test_an_alias_may_take_a_removed_mailboxs_address_and_stands_in_its_way(world):
    number = remove(world, mailboxes, JOE)
    world.do(lambda s: aliases.create(s, JOE, ["joe@foreign.test"], actor=OPERATOR))
    with pytest.raises(Taken):
        undo(world, number)
    remove(world, aliases, JOE)
    undo(world, number)


def test_nobody_else_gets_a_removed_domain_and_its_owner_only_when_it_may_go(world):
    """Not even who can prove that the name is his now: its mail is another's."""
    number = remove(world, domains, DOMAIN)
    for discard in (False, True):
        with pytest.raises(Taken) as refused:
            world.do(lambda s, d=discard: domains.create(s, DOMAIN, actor=foreigner(world), discard=d))
        assert (refused.value.sentence, refused.value.holder) == (f"{DOMAIN} is already served here", "")
    with pytest.raises(Taken, match="can be had back"):
        world.do(lambda s: domains.create(s, DOMAIN, actor=OPERATOR, tenant_id=world.customer_id))
    world.do(lambda s: domains.create(s, DOMAIN, actor=OPERATOR, tenant_id=world.customer_id, discard=True))
    with pytest.raises(NotFound):
        undo(world, number)


def house_keeping(world, *, late=False):
    """What the compiler does about it, until there is nothing more; storekeeper does what it is told at once."""
    moment = int(dt.datetime.now(dt.UTC).timestamp()) + late * 31 * 86400
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source):
        for _ in range(5):
            with source.writing() as query:
                housekeeping.end(query, list(housekeeping.due(query, moment)))
            with source.writing() as query:
                query.run("DELETE FROM store_task WHERE domain <> ?", ("",))


def test_a_domains_name_is_free_when_its_mail_is_put_away(world):
    """And not a moment before: who comes next must not find it."""
    number = remove(world, domains, DOMAIN, actor=world.customer)
    world.do(lambda s: removals.end(s, number, actor=world.customer))
    assert tasks(world)[-2:] == [("keep", DOMAIN, "", number), ("drop", DOMAIN, "", number)]
    with pytest.raises(Taken):
        world.do(lambda s: domains.create(s, DOMAIN, actor=foreigner(world), discard=True))
    with pytest.raises(NotFound):
        undo(world, number)
    house_keeping(world)
    world.do(lambda s: domains.create(s, DOMAIN, actor=foreigner(world)))


def test_after_its_time_all_of_it_is_forgotten(world):
    """A mailbox, and a domain in which another was removed before. It is told in the audit log, by whom it is done."""
    remove(world, mailboxes, "joe@foreign.test")
    remove(world, mailboxes, JOE)
    remove(world, domains, DOMAIN)
    house_keeping(world)
    with reading(world.engine) as session:
        assert session.scalar(select(func.count()).select_from(Removal)) == 3
    house_keeping(world, late=True)
    with reading(world.engine) as session:
        for table in (Removal, RemovedRows):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        told = [entry.action for entry in audit.list_entries(session, actor=OPERATOR).items if entry.actor == "postern"]
        assert audit.verify(session).wrong == ""
    assert sorted(told) == ["domain.purged", "mailbox.purged", "mailbox.purged"]


def test_after_its_time_it_cannot_be_undone_even_if_nobody_came_to_forget_it(world, monkeypatch):
    number = remove(world, mailboxes, JOE)
    later = removals.now() + 31 * 86400
    monkeypatch.setattr(removals, "now", lambda: later)
    with pytest.raises(NotFound):
        undo(world, number)
    assert world.do(lambda s: removals.list_removals(s, actor=OPERATOR)).items == []


def test_what_somebody_above_removed_comes_back_by_nobody_below(world):
    """Nor does he make room by discarding it."""
    number = remove(world, mailboxes, JOE)
    for act in (removals.undo, removals.end):
        with pytest.raises(Forbidden, match="above you"):
            world.do(lambda s, act=act: act(s, number, actor=world.customer))
    with pytest.raises(Forbidden, match="above you"):
        world.do(lambda s: mailboxes.create(s, JOE, actor=world.customer, discard=True))
    undo(world, number)


def test_whoever_held_more_than_his_mailbox_is_brought_back_by_nobody_below_that(world):
    """An operator's mailbox in a customer's domain: with it would come what he may."""
    root = world.do(lambda s: tenants.operator(s).id)
    number = remove(world, mailboxes, JOE, actor=world.customer)
    with unit_of_work(world.engine) as session:  # As if the removal had been the customer's own all the same.
        rows = session.scalar(select(RemovedRows).where(RemovedRows.table == "appointment"))
        rows.rows = [{**row, "kind": "operator", "tenant_id": root, "domain_id": None} for row in rows.rows]
    with pytest.raises(Forbidden):
        undo(world, number, actor=world.customer)
    undo(world, number)


def test_what_belonged_to_who_is_gone_does_not_come_back(world):
    """A row of another's that went with the domain, when that one went meanwhile; all else comes."""
    number = remove(world, domains, DOMAIN)
    remove(world, mailboxes, "joe@foreign.test")
    undo(world, number)
    assert world.do(lambda s: senders.given(s, JOE, actor=OPERATOR)) == ["sales@own.test"]


def test_a_tenants_removals_go_to_who_stands_above_him(world):
    number = remove(world, domains, DOMAIN)
    world.do(lambda s: tenants.remove(s, world.customer_id, actor=OPERATOR))
    undo(world, number)
    assert world.do(lambda s: domains.get(s, DOMAIN, actor=OPERATOR).tenant_id) == world.reseller_id


def test_a_removal_that_is_undone_changes_nothing_at_the_port(world):
    """What a dry run would show."""
    before = world.do(lambda s: acceptance.is_accepted(s, JOE))
    number = remove(world, mailboxes, JOE)
    assert not world.do(lambda s: acceptance.is_accepted(s, JOE))
    undo(world, number)
    assert world.do(lambda s: acceptance.is_accepted(s, JOE)) == before


def test_what_comes_back_writes_to_nobody_elsewhere_who_never_agreed(world):
    """An alias led into a domain of ours, which went meanwhile, and came back."""
    world.do(lambda s: domains.create(s, "other.test", actor=OPERATOR, tenant_id=world.customer_id))
    world.do(lambda s: mailboxes.create(s, "x@other.test", actor=OPERATOR))
    world.do(lambda s: aliases.create(s, "x@own.test", ["x@other.test", JOE], actor=world.customer))

    def waiting():
        return world.do(lambda s: list(aliases.get(s, "x@own.test", actor=OPERATOR).waiting))

    number = remove(world, aliases, "x@own.test", actor=world.customer)
    domain = remove(world, domains, "other.test")
    undo(world, number)
    assert waiting() == ["x@other.test"]
    number = remove(world, aliases, "x@own.test", actor=world.customer)
    undo(world, domain)
    undo(world, number)
    assert waiting() == []


def test_a_large_domain_comes_back_whole(world, monkeypatch):
    """In pieces, each with what hangs on it."""
    monkeypatch.setattr(remains, "PIECE", 3)
    for number in range(8):
        world.do(lambda s, n=number: mailboxes.create(s, f"m{n}@own.test", actor=OPERATOR, quota_bytes=n))
    before = everything(world)
    undo(world, remove(world, domains, DOMAIN))
    assert everything(world) == before


def test_without_days_nothing_is_kept(world):
    number = remove(world, mailboxes, JOE, days=0)
    with pytest.raises(NotFound):
        undo(world, number)
    world.do(lambda s: mailboxes.create(s, JOE, actor=OPERATOR))
