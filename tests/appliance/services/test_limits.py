"""Plans, and limits at every level: pooled downwards, in the transaction of the change."""

import contextlib

import pytest

from appliance.compile import collect
from appliance.compile.source import open_source
from appliance.errors import ApplianceError, Conflict, Invalid, LimitReached, NotFound, Taken
from appliance.services import aliases, domains, forwardings, limits, mailboxes, many_mailboxes, plans, sending, tenants
from appliance.services.many_mailboxes import NewMailbox
from tests.fixtures.database import HOST, OPERATOR

GIB = 1 << 30


def allow(world, tenant_id=None, **given):
    world.do(lambda s: tenants.update(s, tenant_id or world.customer_id, actor=OPERATOR, **given))


def refused(world, deed) -> str:
    with pytest.raises(LimitReached) as caught:
        world.do(deed)
    return caught.value.code


DEEDS = {
    "domains": lambda s, w: domains.create(s, "new.test", tenant_id=w.customer_id, actor=w.customer),
    "mailboxes": lambda s, w: mailboxes.create(s, "new@own.test", actor=w.customer),
    "aliases": lambda s, w: aliases.create(s, "new@own.test", ["joe@own.test"], actor=w.customer),
    "forwards": lambda s, w: forwardings.put(s, "joe@own.test", [f"postmaster@{HOST}"], actor=w.owner),
}


@pytest.mark.parametrize("level", ["domain", "customer", "reseller", "operator"])
@pytest.mark.parametrize("noun", DEEDS)
def test_nothing_goes_beyond_a_limit_of_any_level(world, noun, level):
    """Of the domain, its tenant, or one above; and what fits is done."""
    if level == "domain" and noun == "domains":
        level = "customer"
    amount = {"domains": 1, "mailboxes": 1, "aliases": 1, "forwards": 0}[noun]
    if level == "operator":
        amount = world.do(lambda s: limits.count(s, 1, noun))
    for spare, fits in ((0, False), (1, True)):
        limit = {f"max_{noun}": amount + spare}
        if level == "domain":
            world.do(lambda s, limit=limit: domains.update(s, "own.test", actor=OPERATOR, **limit))
        else:
            allow(world, {"customer": world.customer_id, "reseller": world.reseller_id, "operator": 1}[level], **limit)
        deed = lambda s: DEEDS[noun](s, world)  # noqa: E731
        if fits:
            world.do(deed)
        else:
            assert refused(world, deed) == f"limit_{noun}"


def test_whose_limit_it_is_is_told_and_never_whose_above(world):
    """A customer need not learn how much his reseller bought."""

    def lift(session):
        domains.update(session, "own.test", actor=OPERATOR, max_mailboxes=None)

    for change, words in (
        (lambda s: domains.update(s, "own.test", actor=OPERATOR, max_mailboxes=1), "the domain's limit"),
        (lambda s: lift(s) or tenants.update(s, world.customer_id, actor=OPERATOR, max_mailboxes=0), "your limit"),
        (lambda s: tenants.update(s, world.reseller_id, actor=OPERATOR, max_mailboxes=0), "limit of mailboxes"),
    ):
        world.do(change)
        with pytest.raises(LimitReached, match=words) as caught:
            world.do(lambda s: mailboxes.create(s, "new@own.test", actor=world.customer))
        assert "own reseller" not in caught.value.sentence


def test_storage_is_what_quotas_promise(world):
    """All of them together; where it is limited, nobody is without."""
    world.do(lambda s: mailboxes.update(s, "joe@own.test", quota_bytes=GIB, actor=OPERATOR))
    allow(world, max_storage_bytes=3 * GIB)
    make = lambda name, quota: lambda s: mailboxes.create(s, name, quota_bytes=quota, actor=world.customer)  # noqa: E731
    assert refused(world, make("a@own.test", 2 * GIB + 1)) == "limit_storage"
    assert refused(world, make("a@own.test", 0)) == "quota_wanted"
    assert refused(world, make("a@own.test", None)) == "quota_wanted"
    world.do(make("a@own.test", 2 * GIB))
    grow = lambda quota: lambda s: mailboxes.update(s, "joe@own.test", quota_bytes=quota, actor=world.customer)  # noqa: E731
    assert refused(world, grow(GIB + 1)) == "limit_storage"
    assert refused(world, grow(0)) == "quota_wanted"
    world.do(grow(GIB // 2))
    world.do(make("b@own.test", GIB // 2))


def test_many_at_once_get_what_one_by_one_would(world):
    """The last place and the last octet are given once; without a quota each gets the plan's."""
    plan = world.do(lambda s: plans.create(s, "small", actor=OPERATOR, default_quota_bytes=GIB, max_mailboxes=4)).id
    allow(world, plan_id=plan, max_storage_bytes=4 * GIB)
    wanted = [
        NewMailbox("a@own.test"),
        NewMailbox("b@own.test", quota_bytes=0),
        NewMailbox("c@own.test", quota_bytes=4 * GIB),
        NewMailbox("d@own.test", quota_bytes=2 * GIB),
        NewMailbox("e@own.test", quota_bytes=GIB),
        NewMailbox("f@own.test", quota_bytes=GIB),
    ]
    outcomes = world.do(lambda s: many_mailboxes.create_each(s, wanted, actor=world.customer))
    told = [one.code if isinstance(one, ApplianceError) else one.quota_bytes for one in outcomes]
    assert told == [GIB, "quota_wanted", "limit_storage", 2 * GIB, GIB, "limit_mailboxes"]


def test_a_plan_says_what_its_tenants_do_not_say(world):
    """For all of them, from when it changes; a tenant's own word goes before it."""
    plan = world.do(lambda s: plans.create(s, "small", actor=world.reseller, max_mailboxes=1, sends_per_day=9)).id
    world.do(lambda s: tenants.update(s, world.customer_id, plan_id=plan, actor=world.reseller))
    make = lambda s: mailboxes.create(s, "new@own.test", actor=world.customer)  # noqa: E731
    assert refused(world, make) == "limit_mailboxes"
    assert sends(world) == 9
    world.do(lambda s: plans.update(s, plan, sends_per_day=7, actor=world.reseller))
    assert sends(world) == 7
    world.do(lambda s: sending.change(s, str(world.customer_id), per_day=5, actor=world.reseller))
    assert sends(world) == 5
    allow(world, max_mailboxes=2)
    world.do(make)


def sends(world) -> int:
    """What the snapshot will say the customer sends a day, and that the change feed says to look."""
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source), source.reading() as query:
        assert collect.changes(query, 0, 10_000)[-1].kind == "tenant"
        return next(iter(collect.tenants(query, [world.customer_id]))).sends_per_day


def test_plans_are_their_owners(world):
    """A reseller gives his own, and neither sees nor gives another's; a customer has none."""
    of_operator = world.do(lambda s: plans.create(s, "big", actor=OPERATOR)).id
    for actor, deed in (
        (world.reseller, lambda s, a: plans.get(s, of_operator, actor=a)),
        (world.reseller, lambda s, a: plans.update(s, of_operator, max_domains=1, actor=a)),
        (world.reseller, lambda s, a: tenants.update(s, world.customer_id, plan_id=of_operator, actor=a)),
        (world.reseller, lambda s, a: plans.create(s, "x", tenant_id=world.foreign_reseller_id, actor=a)),
        (world.customer, lambda s, a: plans.get(s, of_operator, actor=a)),
    ):
        with pytest.raises(NotFound):
            world.do(lambda s, deed=deed, actor=actor: deed(s, actor))
    assert world.do(lambda s: plans.list_plans(s, actor=world.reseller)).items == []


def test_a_plan_that_somebody_has_stays(world):
    """And two of one owner have not the same name."""
    plan = world.do(lambda s: plans.create(s, "small", actor=OPERATOR)).id
    with pytest.raises(Taken):
        world.do(lambda s: plans.create(s, "small", actor=OPERATOR))
    allow(world, plan_id=plan)
    with pytest.raises(Conflict) as caught:
        world.do(lambda s: plans.remove(s, plan, actor=OPERATOR))
    assert caught.value.code == "plan_in_use"
    allow(world, plan_id=None)
    world.do(lambda s: plans.remove(s, plan, actor=OPERATOR))
    with pytest.raises(Invalid):
        world.do(lambda s: plans.create(s, "bad", max_domains=-1, actor=OPERATOR))


def test_a_domain_moves_only_where_there_is_room(world):
    """What it takes along counts where it did not count before: not with a reseller who had it already."""
    beside = world.do(lambda s: tenants.create(s, "beside", parent_id=world.reseller_id, actor=OPERATOR)).id
    full = {f"max_{noun}": world.do(lambda s, n=noun: limits.count(s, world.reseller_id, n)) for noun in DEEDS}
    allow(world, world.reseller_id, **full)
    move = lambda to: lambda s: domains.update(s, "own.test", tenant_id=to, actor=OPERATOR)  # noqa: E731
    for noun in ("domains", "mailboxes", "aliases"):
        allow(world, beside, **{f"max_{noun}": 0})
        assert refused(world, move(beside)) == f"limit_{noun}"
        allow(world, beside, **{f"max_{noun}": 1})
    allow(world, beside, max_storage_bytes=GIB)
    assert refused(world, move(beside)) == "quota_wanted"
    world.do(lambda s: mailboxes.update(s, "joe@own.test", quota_bytes=GIB, actor=OPERATOR))
    world.do(move(beside))


def test_a_domains_own_limits_are_said_by_who_may_suspend_it(world):
    """Its administrator would else enlarge himself."""
    with pytest.raises(ApplianceError) as caught:
        world.do(lambda s: domains.update(s, "own.test", max_mailboxes=9, actor=world.domain_admin))
    assert caught.value.code == "forbidden"
    assert world.do(lambda s: domains.update(s, "own.test", max_mailboxes=9, actor=world.customer)).max_mailboxes == 9
