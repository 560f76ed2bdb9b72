"""Who may do what, to what: the whole table, against both his own and a stranger's part."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, func, select

from appliance.database.session import unit_of_work
from appliance.errors import ApplianceError, Forbidden, NotFound
from appliance.models import Account, AuditEntry, Change, Domain, Mailbox
from appliance.services import (
    access_rules,
    accounts,
    aliases,
    audit,
    authorisation,
    certificates,
    domains,
    forwardings,
    keys,
    mailboxes,
    recipients,
    tenants,
)
from appliance.services.actor import Actor
from appliance.services.relays import Route
from tests.fixtures.database import HOST, OPERATOR
from tests.fixtures.world import World

Deed = Callable[[Any, Actor], object]

KINDS = ("reseller", "customer", "domain_admin", "owner")
R, C, D, M = KINDS
NOBODY: tuple[str, ...] = ()


@pytest.fixture
def world(world):
    """With a relayed domain and a certificate on either side."""

    def furnish(session):
        for name, customer in (("own", world.customer_id), ("foreign", world.foreign_customer_id)):
            route = Route("mail.example.net", "list")
            domains.create(session, f"relay.{name}.test", actor=OPERATOR, tenant_id=customer, route=route)
            offered = certificates.make_self_signed(f"mail.{name}.test")
            world.certificates[name] = certificates.install(session, offered, "sealed", actor=OPERATOR).id

    world.do(furnish)
    return world


def deeds(world: World, name: str, customer: int, reseller: int) -> dict[str, tuple[Deed, tuple[str, ...]]]:
    """What can be done in the part called *name*, and which of its actors may."""
    domain, joe, info = f"{name}.test", f"joe@{name}.test", f"info@{name}.test"
    account = f"{name}-admin"
    relay = f"relay.{name}.test"
    number = world.certificates[name]
    key = world.do(lambda s: keys.list_keys(s, actor=OPERATOR, tenant_id=customer).items[0].public_id)
    return {
        "see the reseller": (lambda s, a: tenants.get(s, reseller, actor=a), (R,)),
        "see the customer": (lambda s, a: tenants.get(s, customer, actor=a), (R, C)),
        "add a customer": (lambda s, a: tenants.create(s, "n", actor=a, parent_id=reseller), (R,)),
        "change the customer": (lambda s, a: tenants.update(s, customer, name="n", actor=a), (R,)),
        "change the reseller": (lambda s, a: tenants.update(s, reseller, max_domains=None, actor=a), NOBODY),
        "suspend the customer": (lambda s, a: tenants.suspend(s, customer, actor=a), (R,)),
        "resume the customer": (lambda s, a: tenants.resume(s, customer, actor=a), (R,)),
        "suspend the reseller": (lambda s, a: tenants.suspend(s, reseller, actor=a), NOBODY),
        "see the domain": (lambda s, a: domains.get(s, domain, actor=a), (R, C, D)),
        "add a domain": (lambda s, a: domains.create(s, "new.test", tenant_id=customer, actor=a), (R, C)),
        "add another name": (lambda s, a: domains.create(s, "new.test", alias_of=domain, actor=a), (R, C)),
        "change the domain": (lambda s, a: domains.update(s, domain, catch_all=joe, actor=a), (R, C, D)),
        "suspend the domain": (lambda s, a: domains.suspend(s, domain, actor=a), (R, C)),
        "resume the domain": (lambda s, a: domains.resume(s, domain, actor=a), (R, C)),
        "remove the domain": (lambda s, a: domains.remove(s, domain, actor=a), (R, C)),
        "see the mailbox": (lambda s, a: mailboxes.get(s, joe, actor=a), (R, C, D, M)),
        "list the domain's mailboxes": (lambda s, a: mailboxes.list_mailboxes(s, domain=domain, actor=a), (R, C, D)),
        "add a mailbox": (lambda s, a: mailboxes.create(s, f"new@{domain}", actor=a), (R, C, D)),
        "change a mailbox": (lambda s, a: mailboxes.update(s, joe, quota_bytes=1, actor=a), (R, C, D)),
        "set its password": (lambda s, a: mailboxes.set_password(s, joe, "sealed", actor=a), (R, C, D, M)),
        "suspend a mailbox": (lambda s, a: mailboxes.suspend(s, joe, actor=a), (R, C, D)),
        "resume a mailbox": (lambda s, a: mailboxes.resume(s, joe, actor=a), (R, C, D)),
        "remove a mailbox": (lambda s, a: mailboxes.remove(s, joe, actor=a), (R, C, D)),
        "see the alias": (lambda s, a: aliases.get(s, info, actor=a), (R, C, D)),
        "add an alias": (lambda s, a: aliases.create(s, f"new@{domain}", [joe], actor=a), (R, C, D)),
        "change an alias": (lambda s, a: aliases.update(s, info, [f"postmaster@{HOST}"], actor=a), (R, C, D)),
        "remove an alias": (lambda s, a: aliases.remove(s, info, actor=a), (R, C, D)),
        "see the domain's rules": (lambda s, a: access_rules.list_rules(s, domain=domain, actor=a), (R, C, D)),
        "add a rule of the domain": (lambda s, a: access_rules.add(s, "deny", "x.test", domain=domain, actor=a), (R, C, D)),
        "add a rule of the mailbox": (lambda s, a: access_rules.add(s, "deny", "x.test", mailbox=joe, actor=a), (R, C, D, M)),
        "see the mailbox's rules": (lambda s, a: access_rules.list_rules(s, mailbox=joe, actor=a), (R, C, D, M)),
        "protect the domain": (lambda s, a: domains.update(s, domain, validation="data", greylist=True, actor=a), (R, C, D)),
        "see the recipients": (lambda s, a: recipients.list_recipients(s, relay, actor=a), (R, C)),
        "change the recipients": (lambda s, a: recipients.apply(s, relay, ["x"], "add", actor=a), (R, C)),
        "change the next hop": (lambda s, a: domains.update(s, relay, route=Route("b.test"), actor=a), (R, C)),
        "see a certificate": (lambda s, a: certificates.get(s, number, actor=a), (R, C)),
        "remove a certificate": (lambda s, a: certificates.remove(s, number, actor=a), (R, C)),
        "set a forwarding": (lambda s, a: forwardings.put(s, joe, [f"postmaster@{HOST}"], actor=a), (R, C, D, M)),
        "clear a forwarding": (lambda s, a: forwardings.clear(s, joe, actor=a), (R, C, D, M)),
        "see an account": (lambda s, a: accounts.get(s, account, actor=a), (R, C)),
        "add an account": (lambda s, a: accounts.create(s, "new", tenant_id=customer, actor=a), (R, C)),
        "add a domain administrator": (lambda s, a: accounts.create(s, "new", domain=domain, actor=a), (R, C)),
        "reset a password": (lambda s, a: accounts.reset_password(s, account, "sealed", actor=a), (R, C)),
        "remove an account": (lambda s, a: accounts.remove(s, account, actor=a), (R, C)),
        "see a key": (lambda s, a: keys.get(s, key, actor=a), (R, C)),
        "make a key": (lambda s, a: keys.create(s, tenant_id=customer, actor=a), (R, C)),
        "make the reseller's key": (lambda s, a: keys.create(s, tenant_id=reseller, actor=a), (R,)),
        "revoke a key": (lambda s, a: keys.revoke(s, key, actor=a), (R, C)),
    }  # fmt: skip


def outcome(world: World, deed: Deed, actor: Actor) -> str:
    try:
        world.do(lambda session: deed(session, actor))
    except ApplianceError as error:
        return type(error).__name__
    return "done"


DEEDS = 48


@pytest.mark.parametrize("place", range(DEEDS))
@pytest.mark.parametrize("kind", KINDS)
def test_each_actor_does_in_his_part_what_the_table_says(world, kind, place):
    """And nothing else: what he may not do is forbidden when he sees it, and not there when he does not."""
    own = deeds(world, "own", world.customer_id, world.reseller_id)
    assert len(own) == DEEDS
    name, (deed, allowed) = list(own.items())[place]
    found = outcome(world, deed, getattr(world, kind))
    if kind in allowed:
        assert found == "done", name
    else:
        assert found in ("Forbidden", "NotFound"), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_strangers_part_does_not_exist(world, kind):
    """Everything in it is not found: never forbidden, which would say that it is there."""
    actor = getattr(world, kind)
    for name, (deed, _) in deeds(world, "foreign", world.foreign_customer_id, world.foreign_reseller_id).items():
        assert outcome(world, deed, actor) == "NotFound", name


@pytest.mark.parametrize("kind", KINDS)
def test_not_there_and_not_his_are_told_in_the_same_words(world, kind):
    """The sentence must not tell what the kind of refusal hides."""
    actor = getattr(world, kind)

    def sentence(address: str) -> str:
        with pytest.raises(NotFound) as caught:
            world.do(lambda s: mailboxes.get(s, address, actor=actor))
        return caught.value.sentence.replace(address, "X")

    assert sentence("joe@foreign.test") == sentence("nobody@nowhere.test")


@pytest.mark.parametrize("kind", KINDS)
def test_lists_hold_only_his_part(world, kind):
    """Tenants, domains, mailboxes, aliases, accounts, keys and the audit log alike."""
    actor = getattr(world, kind)
    foreign = {world.foreign_customer_id, world.foreign_reseller_id}

    def look(session):
        names = [row.name for row in domains.list_domains(session, actor=actor).items]
        held = [
            *mailboxes.list_mailboxes(session, actor=actor).items,
            *aliases.list_aliases(session, actor=actor).items,
        ]
        of_tenants = [
            *accounts.list_accounts(session, actor=actor).items,
            *keys.list_keys(session, actor=actor).items,
            *audit.list_entries(session, actor=actor).items,
        ]
        seen = [row.id for row in tenants.list_tenants(session, actor=actor).items]
        return names, {str(row.address) for row in held}, {row.tenant_id for row in of_tenants}, set(seen)

    names, held, tenant_ids, seen = world.do(look)
    wanted = {"owner": [], "domain_admin": ["own.test"]}.get(kind, ["own.test", "relay.own.test"])
    assert names == wanted
    assert held == ({"joe@own.test"} if kind == "owner" else {"joe@own.test", "info@own.test"})
    assert not (tenant_ids | seen) & foreign
    assert seen == {"reseller": {world.reseller_id, world.customer_id}, "customer": {world.customer_id}}.get(
        kind, set()
    )


def test_an_operator_may_do_everything(world):
    """To the part of anybody."""
    for name, (deed, _) in deeds(world, "foreign", world.foreign_customer_id, world.foreign_reseller_id).items():
        try:
            # Taken back each time: removing the domain must not spoil the next.
            with unit_of_work(world.engine, dry_run=True) as session:
                deed(session, OPERATOR)
        except ApplianceError as error:
            pytest.fail(f"{name}: {error}")


def test_an_action_that_is_not_in_the_table_is_a_mistake_of_ours(world):
    """A misspelt action must not quietly be allowed to operators."""
    with pytest.raises(ValueError, match=r"mailbox\.steal"):
        world.do(lambda s: authorisation.require(s, OPERATOR, "mailbox.steal", None, "x"))


@pytest.mark.parametrize(
    ("suspend", "resume", "remove"),
    [
        (
            lambda s, a: mailboxes.suspend(s, "joe@own.test", actor=a),
            lambda s, a: mailboxes.resume(s, "joe@own.test", actor=a),
            lambda s, a: mailboxes.remove(s, "joe@own.test", actor=a),
        ),
        (
            lambda s, a: domains.suspend(s, "own.test", actor=a),
            lambda s, a: domains.resume(s, "own.test", actor=a),
            lambda s, a: domains.remove(s, "own.test", actor=a),
        ),
        (
            lambda s, a: mailboxes.suspend(s, "joe@own.test", actor=a),
            lambda s, a: mailboxes.resume(s, "joe@own.test", actor=a),
            lambda s, a: domains.remove(s, "own.test", actor=a),
        ),
    ],
)
def test_what_somebody_above_suspended_stays_so(world, suspend, resume, remove):
    """Neither by resuming nor by removing and making it anew."""
    world.do(lambda s: suspend(s, world.reseller))
    for deed in (resume, remove):
        with pytest.raises(Forbidden) as caught:
            world.do(lambda s, deed=deed: deed(s, world.customer))
        assert caught.value.code == "suspended_above"
    world.do(lambda s: suspend(s, world.customer))  # He may say so too; it does not lower the rank.
    with pytest.raises(Forbidden):
        world.do(lambda s: resume(s, world.customer))
    world.do(lambda s: resume(s, OPERATOR))
    world.do(lambda s: suspend(s, world.customer))
    world.do(lambda s: resume(s, world.customer))


def test_a_refused_deed_leaves_no_trace(world):
    """No row, no audit entry, no change entry."""

    def counts(session):
        return [
            session.scalar(select(func.count()).select_from(m)) for m in (Domain, Mailbox, Account, AuditEntry, Change)
        ]

    before = world.do(counts)
    for name, (deed, _) in deeds(world, "foreign", world.foreign_customer_id, world.foreign_reseller_id).items():
        assert outcome(world, deed, world.customer) == "NotFound", name
    assert world.do(counts) == before


def test_the_hosts_rules_are_there_for_operators_only(world):
    """For everybody else they do not exist."""
    for kind in KINDS:
        for deed in (
            lambda s, a: access_rules.list_rules(s, actor=a),
            lambda s, a: access_rules.add(s, "deny", "x.test", actor=a),
        ):
            assert outcome(world, deed, getattr(world, kind)) == "NotFound"
    assert outcome(world, lambda s, a: access_rules.add(s, "deny", "x.test", actor=a), OPERATOR) == "done"


def test_what_is_in_one_list_is_not_reached_through_another(world):
    """A rule's id alone opens nothing."""
    rule = world.do(lambda s: access_rules.add(s, "deny", "x.test", domain="foreign.test", actor=OPERATOR)).id
    for scope in ({"domain": "own.test"}, {"mailbox": "joe@own.test"}):
        with pytest.raises(NotFound):
            world.do(lambda s, scope=scope: access_rules.remove(s, rule, actor=world.customer, **scope))
    assert len(world.do(lambda s: access_rules.list_rules(s, domain="foreign.test", actor=OPERATOR))) == 1


def test_who_takes_no_mail_is_seen_for_all_at_once(world) -> None:
    """Whoever stands above stops it too; one question for each step upward, whether for two or for many."""
    with unit_of_work(world.engine) as session:
        top = tenants.create(session, "reseller", "reseller", actor=OPERATOR)
        still = tenants.create(session, "still", "reseller", actor=OPERATOR)
        flowing = [
            tenants.create(session, f"c{number}", "customer", actor=OPERATOR, parent_id=top.id).id
            for number in range(20)
        ]
        below = tenants.create(session, "below", "customer", actor=OPERATOR, parent_id=still.id).id
        tenants.suspend(session, still.id, actor=OPERATOR)
        tenants.suspend(session, flowing[3], actor=OPERATOR)
        still_id = still.id
    asked = list[str]()

    def note(*told: Any) -> None:
        asked.append(told[2])

    event.listen(world.engine, "before_cursor_execute", note)
    with unit_of_work(world.engine) as session:
        before = len(asked)
        found = authorisation.without_mail(session, {*flowing, below, still_id, 10**9})
        count = len(asked) - before
    event.remove(world.engine, "before_cursor_execute", note)
    assert found == {flowing[3], below, still_id, 10**9}
    assert count == 3
