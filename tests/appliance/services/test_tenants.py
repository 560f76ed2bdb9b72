"""The tree of tenants, and the limits at each of its levels."""

import pytest

from appliance.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound, Taken
from appliance.services import accounts, aliases, authorisation, changes, domains, keys, mailboxes, tenants
from tests.fixtures.database import OPERATOR


@pytest.mark.parametrize(
    ("kind", "parent", "refusal"),
    [
        ("operator", "operator", Invalid),
        ("king", "operator", Invalid),
        ("reseller", "reseller", Conflict),
        ("customer", "customer", Conflict),
    ],
)
def test_the_tree_has_three_levels(world, kind, parent, refusal):
    """operator > reseller > customer, and nothing else."""
    ids = {"operator": 1, "reseller": world.reseller_id, "customer": world.customer_id}
    with pytest.raises(refusal):
        world.do(lambda s: tenants.create(s, "new", kind, parent_id=ids[parent], actor=OPERATOR))


def test_a_name_is_taken_only_beside_it(world):
    """A reseller must not learn from a refusal whom another one serves."""
    with pytest.raises(Taken):
        world.do(lambda s: tenants.create(s, "own customer", parent_id=world.reseller_id, actor=OPERATOR))
    world.do(lambda s: tenants.create(s, "own customer", parent_id=world.foreign_reseller_id, actor=OPERATOR))
    with pytest.raises(Conflict, match="give the id"):
        world.do(lambda s: tenants.find(s, "own customer", actor=OPERATOR))
    found = world.do(lambda s: tenants.find(s, "own customer", actor=world.reseller))
    assert found.id == world.customer_id


def test_a_tenant_is_found_by_its_id_too(world):
    """A name of digits goes first."""
    assert world.do(lambda s: tenants.find(s, str(world.customer_id), actor=OPERATOR)).name == "own customer"
    made = world.do(lambda s: tenants.create(s, "2", actor=OPERATOR))
    assert world.do(lambda s: tenants.find(s, "2", actor=OPERATOR)).id == made.id


@pytest.mark.parametrize("level", ["own", "above"])
@pytest.mark.parametrize(
    ("noun", "add"),
    [
        ("domains", lambda s, w, n: domains.create(s, f"new{n}.test", tenant_id=w.customer_id, actor=OPERATOR)),
        ("mailboxes", lambda s, w, n: mailboxes.create(s, f"new{n}@own.test", actor=OPERATOR)),
        ("aliases", lambda s, w, n: aliases.create(s, f"new{n}@own.test", ["joe@own.test"], actor=OPERATOR)),
    ],
)
def test_limits_hold_at_every_level(world, noun, add, level):
    """Also for the operator: he may raise the limit, and then says so."""
    tenant = world.customer_id if level == "own" else world.reseller_id
    world.do(lambda s: tenants.update(s, tenant, actor=OPERATOR, **{f"max_{noun}": 2}))  # One is there.
    world.do(lambda s: add(s, world, 1))
    with pytest.raises(LimitReached) as caught:
        world.do(lambda s: add(s, world, 2))
    assert caught.value.code == f"limit_{noun}"
    assert ("provider" in caught.value.sentence) is (level == "above")
    world.do(lambda s: tenants.update(s, tenant, actor=OPERATOR, **{f"max_{noun}": None}))
    world.do(lambda s: add(s, world, 2))


def test_a_moved_domain_needs_room_where_it_goes(world):
    """With all that is in it."""
    world.do(lambda s: tenants.update(s, world.foreign_customer_id, max_mailboxes=1, actor=OPERATOR))
    with pytest.raises(LimitReached):
        world.do(lambda s: domains.update(s, "own.test", tenant_id=world.foreign_customer_id, actor=OPERATOR))
    world.do(lambda s: tenants.update(s, world.foreign_customer_id, max_mailboxes=2, actor=OPERATOR))
    world.do(lambda s: accounts.create(s, "helper", domain="own.test", actor=OPERATOR))
    world.do(lambda s: domains.update(s, "own.test", tenant_id=world.foreign_customer_id, actor=OPERATOR))
    with pytest.raises(NotFound):
        world.do(lambda s: domains.get(s, "own.test", actor=world.customer))
    with pytest.raises(NotFound):  # Its administrator was the former tenant's.
        world.do(lambda s: accounts.get(s, "helper", actor=OPERATOR))


@pytest.mark.parametrize("limit", [-1, 1_000_000_001])
def test_a_limit_that_makes_no_sense_is_refused(world, limit):
    """With its field."""
    with pytest.raises(Invalid) as caught:
        world.do(lambda s: tenants.create(s, "new", max_domains=limit, actor=OPERATOR))
    assert caught.value.field == "max_domains"


def test_suspension_reaches_downward_and_resumption_too(world):
    """A customer is out of force when his reseller is."""
    world.do(lambda s: tenants.suspend(s, world.reseller_id, actor=OPERATOR))
    assert not world.do(lambda s: authorisation.is_in_force(s, world.customer_id))
    assert world.do(lambda s: authorisation.is_in_force(s, world.foreign_customer_id))
    world.do(lambda s: tenants.resume(s, world.reseller_id, actor=OPERATOR))
    assert world.do(lambda s: authorisation.is_in_force(s, world.customer_id))


def test_only_an_empty_tenant_is_removed(world):
    """Its accounts and keys go with it, and the authenticator hears of each."""
    for tenant, left in ((world.reseller_id, "tenants"), (world.customer_id, "domains")):
        with pytest.raises(Conflict, match=left) as caught:
            world.do(lambda s, tenant=tenant: tenants.remove(s, tenant, actor=OPERATOR))
        assert caught.value.code == "tenant_not_empty"
    world.do(lambda s: domains.remove(s, "own.test", actor=OPERATOR))
    before = world.do(changes.newest)
    world.do(lambda s: tenants.remove(s, world.customer_id, actor=OPERATOR))
    kinds = world.do(lambda s: sorted(change.kind for change in changes.since(s, before)))
    assert kinds == ["account", "key", "tenant"]
    assert world.do(lambda s: keys.list_keys(s, tenant_id=world.customer_id, actor=OPERATOR)).items == []


@pytest.mark.parametrize("deed", [tenants.suspend, tenants.remove])
def test_the_operator_stays(world, deed):
    """Nobody could undo it."""
    with pytest.raises(Forbidden):
        world.do(lambda s: deed(s, tenants.operator(s).id, actor=OPERATOR))
