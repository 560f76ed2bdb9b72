"""Every change leaves its audit entry and its change entries, in its own transaction."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from appliance.database.session import unit_of_work
from appliance.models import AuditEntry, Change
from appliance.services import accounts, aliases, changes, domains, forwardings, keys, mailboxes, tenants
from tests.fixtures.database import HOST, OPERATOR
from tests.fixtures.world import World

POSTMASTER = f"postmaster@{HOST}"
Deed = Callable[[Any, World], object]


def _key(session: Any, world: World) -> str:
    return keys.list_keys(session, actor=OPERATOR, tenant_id=world.customer_id).items[0].public_id


# The deed; the action written down; which entries of the feed the compiler must see.
DEEDS: list[tuple[str, Deed, set[tuple[str, str]]]] = [
    ("tenant.created", lambda s, w: tenants.create(s, "new", actor=OPERATOR), {("tenant", "6")}),
    ("tenant.changed", lambda s, w: tenants.update(s, w.customer_id, max_domains=9, actor=OPERATOR), {("tenant", "3")}),
    ("tenant.suspended", lambda s, w: tenants.suspend(s, w.reseller_id, actor=OPERATOR), {("tenant", "2")}),
    ("domain.created", lambda s, w: domains.create(s, "new.test", actor=OPERATOR), {("domain", "new.test")}),
    (
        "domain.changed",
        lambda s, w: domains.update(s, "own.test", catch_all="joe@own.test", actor=OPERATOR),
        {("domain", "own.test")},
    ),
    ("domain.suspended", lambda s, w: domains.suspend(s, "own.test", actor=OPERATOR), {("domain", "own.test")}),
    (
        "domain.removed",
        lambda s, w: domains.remove(s, "own.test", actor=OPERATOR),
        {
            ("domain", "own.test"),
            ("address", "joe@own.test"),
            ("address", "info@own.test"),
            ("senders", "info@own.test"),
            ("signing", "own.test"),
            ("password", "joe@own.test"),
        },
    ),
    (
        "mailbox.created",
        lambda s, w: mailboxes.create(s, "NEW@own.test", actor=OPERATOR),
        {("address", "new@own.test")},
    ),
    (
        "mailbox.created",
        lambda s, w: mailboxes.create(s, "new@own.test", sealed_hash="sealed", actor=OPERATOR),
        {("address", "new@own.test"), ("password", "new@own.test")},
    ),
    (
        "mailbox.changed",
        lambda s, w: mailboxes.update(s, "joe@own.test", quota_bytes=5, actor=OPERATOR),
        {("address", "joe@own.test"), ("password", "joe@own.test")},
    ),
    (
        "mailbox.password_set",
        lambda s, w: mailboxes.set_password(s, "joe@own.test", "other", actor=OPERATOR),
        {("password", "joe@own.test")},
    ),
    (
        "mailbox.suspended",
        lambda s, w: mailboxes.suspend(s, "joe@own.test", actor=OPERATOR),
        {("address", "joe@own.test"), ("password", "joe@own.test")},
    ),
    (
        "mailbox.removed",
        lambda s, w: mailboxes.remove(s, "joe@own.test", actor=OPERATOR),
        {("address", "joe@own.test"), ("password", "joe@own.test")},
    ),
    (
        "alias.created",
        lambda s, w: aliases.create(s, "new@own.test", ["joe@own.test"], actor=OPERATOR),
        {("address", "new@own.test"), ("senders", "new@own.test")},
    ),
    (
        "alias.changed",
        lambda s, w: aliases.update(s, "info@own.test", [POSTMASTER], actor=OPERATOR),
        {("address", "info@own.test"), ("senders", "info@own.test")},
    ),
    (
        "alias.removed",
        lambda s, w: aliases.remove(s, "info@own.test", actor=OPERATOR),
        {("address", "info@own.test"), ("senders", "info@own.test")},
    ),
    (
        "forwarding.set",
        lambda s, w: forwardings.put(s, "joe@own.test", [POSTMASTER], actor=OPERATOR),
        {("address", "joe@own.test")},
    ),
    ("account.created", lambda s, w: accounts.create(s, "new", actor=OPERATOR), {("account", "new")}),
    (
        "account.password_reset",
        lambda s, w: accounts.reset_password(s, "own-admin", "other", actor=OPERATOR),
        {("account", "own-admin")},
    ),
    ("account.removed", lambda s, w: accounts.remove(s, "own-admin", actor=OPERATOR), {("account", "own-admin")}),
    ("key.revoked", lambda s, w: keys.revoke(s, _key(s, w), actor=OPERATOR), {("key", "")}),
]


def trail(session: Any, after: tuple[int, int]) -> tuple[list[AuditEntry], set[tuple[str, str]]]:
    entries = list(session.scalars(select(AuditEntry).where(AuditEntry.id > after[0])))
    rows = session.scalars(select(Change).where(Change.id > after[1]))
    return entries, {(row.kind, "" if row.kind == "key" else row.key) for row in rows}


def now_at(session: Any) -> tuple[int, int]:
    newest = session.scalar(select(AuditEntry.id).order_by(AuditEntry.id.desc()).limit(1))
    return newest, changes.newest(session)


@pytest.mark.parametrize(("action", "deed", "feed"), DEEDS)
def test_a_deed_writes_who_did_it_and_what_changed(world, action, deed, feed):
    """One audit entry with the actor and where he was; exactly the feed entries that the snapshot needs."""
    before = world.do(now_at)
    world.do(lambda session: deed(session, world))
    entries, seen = world.do(lambda session: trail(session, before))
    assert [entry.action for entry in entries] == [action]
    assert (entries[0].actor, entries[0].actor_kind, entries[0].source) == ("operator", "operator", "192.0.2.1")
    assert seen == feed


@pytest.mark.parametrize(("action", "deed", "feed"), DEEDS)
def test_a_deed_taken_back_leaves_no_trail(world, action, deed, feed):
    """Trail and deed are one transaction: there is no state with one of them."""
    before = world.do(now_at)
    with unit_of_work(world.engine, dry_run=True) as session:
        deed(session, world)
        session.flush()
        assert trail(session, before)[1] == feed
    assert world.do(lambda session: trail(session, before)) == ([], set())


def test_no_secret_is_written_down(world):
    """Not the sealed hash, not a key's digest: the audit log is read by more people than the rows."""
    made = world.do(lambda s: keys.create(s, actor=OPERATOR))
    world.do(lambda s: mailboxes.create(s, "new@own.test", sealed_hash="SEALED-BLOB", actor=OPERATOR))
    world.do(lambda s: mailboxes.set_password(s, "new@own.test", "SEALED-BLOB-2", actor=OPERATOR))
    entries = world.do(lambda s: [(e.subject, e.before, e.after) for e in s.scalars(select(AuditEntry))])
    text = repr(entries)
    assert "SEALED" not in text
    assert made.secret.rpartition("_")[2] not in text
    assert made.key.sha256 not in text


def test_what_changes_nothing_leaves_no_trail(world):
    """Setting a value to what it is, suspending what is suspended, clearing what is not set."""
    world.do(lambda s: domains.suspend(s, "own.test", actor=OPERATOR))
    before = world.do(now_at)

    def idle(session):
        domains.suspend(session, "own.test", actor=OPERATOR)
        domains.update(session, "own.test", validation="rcpt", actor=OPERATOR)
        tenants.update(session, world.customer_id, name="own customer", actor=OPERATOR)
        mailboxes.update(session, "joe@own.test", quota_bytes=0, actor=OPERATOR)
        aliases.update(session, "info@own.test", ["joe@own.test"], actor=OPERATOR)
        forwardings.clear(session, "joe@own.test", actor=OPERATOR)

    world.do(idle)
    assert world.do(lambda session: trail(session, before)) == ([], set())


def test_suspending_a_tenant_costs_one_entry(world):
    """However much hangs on it: design says it is resolved at look-up."""
    before = world.do(now_at)
    world.do(lambda s: tenants.suspend(s, world.reseller_id, actor=OPERATOR))
    assert world.do(lambda s: len(changes.since(s, before[1]))) == 1


def test_numbers_of_the_feed_are_never_given_twice(world):
    """Also when all old entries were forgotten: a number that comes again would look like an older database."""
    newest = world.do(changes.newest)
    world.do(lambda s: changes.forget(s, newest + 1000))
    assert world.do(changes.newest) == newest
    world.do(lambda s: domains.create(s, "new.test", actor=OPERATOR))
    assert world.do(changes.newest) == newest + 1


def test_the_storekeeper_is_told_of_mailboxes_that_come_and_go(world):
    """By folded local-part; a removed domain is one task."""
    world.do(lambda s: [s.delete(task) for task in changes.store_tasks(s)])
    world.do(lambda s: mailboxes.create(s, "New@own.test", actor=OPERATOR))
    world.do(lambda s: mailboxes.remove(s, "new@own.test", actor=OPERATOR))
    world.do(lambda s: domains.remove(s, "own.test", actor=OPERATOR))
    told = world.do(lambda s: [(t.op, t.domain, t.local_part) for t in changes.store_tasks(s)])
    assert told == [("make", "own.test", "new"), ("keep", "own.test", "new"), ("keep", "own.test", "")]


def test_a_usage_report_is_no_deed(world):
    """The ledger reports after each delivery: neither the log nor the snapshot may grow by it."""
    before = world.do(now_at)
    world.do(lambda s: mailboxes.report_usage(s, "joe@own.test", 4096))
    world.do(lambda s: mailboxes.report_usage(s, "gone@own.test", 4096))
    assert world.do(lambda session: trail(session, before)) == ([], set())
    assert world.do(lambda s: mailboxes.get(s, "joe@own.test", actor=OPERATOR).used_bytes) == 4096
