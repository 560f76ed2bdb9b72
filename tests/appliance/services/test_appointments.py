"""Several duties of one person, a choice of rights, support, and that nobody gains power over somebody above him."""

from dataclasses import replace

import pytest

from appliance.errors import ApplianceError, Conflict, Invalid, LimitReached, NotFound
from appliance.services import (
    accounts,
    aliases,
    appointments,
    authorisation,
    domains,
    forwardings,
    mailboxes,
    senders,
    sessions,
    tenants,
)
from appliance.services.actor import Actor, Part, acting
from tests.fixtures.database import OPERATOR

JOE = "joe@own.test"


def signed_in(world, name):
    """The actor that *name* is when he logs in."""
    return world.do(lambda s: sessions.create(s, name).actor)


def refusal(world, deed) -> str:
    try:
        world.do(deed)
    except ApplianceError as error:
        return type(error).__name__
    return "done"


POWER = {
    "set his password": lambda s, a: mailboxes.set_password(s, JOE, "mine", actor=a),
    "change his mailbox": lambda s, a: mailboxes.update(s, JOE, quota_bytes=1, actor=a),
    "suspend it": lambda s, a: mailboxes.suspend(s, JOE, actor=a),
    "remove it": lambda s, a: mailboxes.remove(s, JOE, actor=a),
    "read his mail": lambda s, a: forwardings.put(s, JOE, ["info@own.test"], actor=a),
    "write as he": lambda s, a: senders.give(s, "mo@own.test", JOE, actor=a),
}


@pytest.mark.parametrize("deed", POWER.values(), ids=POWER)
def test_the_manager_of_a_domain_has_no_power_over_who_ranks_above_him(world, deed):
    """Whatever address that one has; and those who stand above both have it."""
    world.do(lambda s: mailboxes.create(s, "mo@own.test", actor=OPERATOR))
    world.do(lambda s: appointments.appoint(s, JOE, tenant_id=world.customer_id, actor=OPERATOR))
    assert refusal(world, lambda s: deed(s, world.domain_admin)) == "Forbidden"
    assert world.do(lambda s: mailboxes.get(s, JOE, actor=world.domain_admin)).folded == "joe"
    aliases_of_his = world.do(lambda s: aliases.list_aliases(s, actor=world.domain_admin).items)
    assert len(aliases_of_his) == 1
    # The reseller could have appointed him, and so may do all this.
    world.do(lambda s: aliases.remove(s, "info@own.test", actor=world.reseller))
    world.do(lambda s: mailboxes.create(s, "info@own.test", actor=world.reseller))
    assert refusal(world, lambda s: deed(s, world.reseller)) == "done"


@pytest.mark.parametrize("deed", POWER.values(), ids=POWER)
def test_whoever_holds_something_elsewhere_is_not_the_customers_to_change(world, deed):
    """By his mailbox's password a customer would reach into a stranger's part."""
    world.do(lambda s: mailboxes.create(s, "mo@own.test", actor=OPERATOR))
    world.do(lambda s: appointments.appoint(s, JOE, domain="foreign.test", actor=OPERATOR))
    for actor in (world.domain_admin, world.customer, world.reseller):
        assert refusal(world, lambda s, actor=actor: deed(s, actor)) == "Forbidden"


def test_an_owner_keeps_his_own_mailbox(world):
    """Also when he is mighty: his password is his."""
    world.do(lambda s: appointments.appoint(s, JOE, tenant_id=world.reseller_id, actor=OPERATOR))
    joe = signed_in(world, JOE)
    assert (joe.kind, joe.name) == ("reseller", JOE)
    world.do(lambda s: mailboxes.set_password(s, JOE, "new", actor=joe))


def test_an_operators_account_is_nobody_elses(world):
    """Not even that of one who administers a tenant besides."""
    world.do(lambda s: appointments.appoint(s, "own-admin", tenant_id=1, actor=OPERATOR))
    for actor in (world.customer, world.reseller):
        deed = lambda s, actor=actor: accounts.reset_password(s, "own-admin", "mine", actor=actor)  # noqa: E731
        assert refusal(world, deed) == "Forbidden"
    assert signed_in(world, "own-admin").sees_everything


def test_one_person_may_do_what_any_of_his_parts_lets_him_and_only_there(world):
    """The owner of a mailbox who also manages a stranger's domain."""
    world.do(lambda s: appointments.appoint(s, JOE, domain="foreign.test", actor=OPERATOR))
    joe = signed_in(world, JOE)
    assert {part.kind for part in joe.parts} == {"domain", "mailbox"}
    assert [row.name for row in world.do(lambda s: domains.list_domains(s, actor=joe)).items] == ["foreign.test"]
    seen = world.do(lambda s: mailboxes.list_mailboxes(s, actor=joe)).items
    assert {str(row.address) for row in seen} == {JOE, "joe@foreign.test"}
    world.do(lambda s: mailboxes.create(s, "new@foreign.test", actor=joe))
    world.do(lambda s: forwardings.put(s, JOE, ["new@foreign.test"], actor=joe))
    for deed, expected in (
        (lambda s: mailboxes.create(s, "new@own.test", actor=joe), "NotFound"),
        (lambda s: mailboxes.update(s, JOE, quota_bytes=0, actor=joe), "Forbidden"),
        (lambda s: domains.remove(s, "foreign.test", actor=joe), "Forbidden"),
    ):
        assert refusal(world, deed) == expected


def test_what_is_taken_away_is_gone_with_the_next_request(world):
    """Also what is held where all stands still."""
    made = world.do(lambda s: appointments.appoint(s, JOE, tenant_id=world.foreign_customer_id, actor=OPERATOR)).id
    token = world.do(lambda s: sessions.create(s, JOE)).token
    world.do(lambda s: tenants.suspend(s, world.foreign_customer_id, actor=OPERATOR))
    assert world.do(lambda s: sessions.find(s, token)).actor.kind == "mailbox"
    world.do(lambda s: tenants.resume(s, world.foreign_customer_id, actor=OPERATOR))
    assert world.do(lambda s: sessions.find(s, token)).actor.kind == "customer"
    for actor in (world.customer, world.domain_admin):
        assert refusal(world, lambda s, actor=actor: appointments.dismiss(s, made, actor=actor)) == "NotFound"
    world.do(lambda s: appointments.dismiss(s, made, actor=OPERATOR))
    assert world.do(lambda s: sessions.find(s, token)).actor.kind == "mailbox"


def test_nobody_appoints_beyond_what_is_his(world):
    """Neither strangers to his own things nor his own people to strangers' things, nor anybody to what is above him."""
    for actor, holder, place, expected in (
        (world.customer, JOE, {"tenant_id": world.foreign_customer_id}, "NotFound"),
        (world.customer, JOE, {"tenant_id": world.reseller_id}, "NotFound"),
        (world.customer, JOE, {"tenant_id": 1}, "NotFound"),
        (world.customer, "joe@foreign.test", {"tenant_id": world.customer_id}, "NotFound"),
        (world.customer, "foreign-admin", {"tenant_id": world.customer_id}, "NotFound"),
        (world.domain_admin, JOE, {"domain": "own.test"}, "Forbidden"),
        (world.owner, JOE, {"domain": "own.test"}, "NotFound"),
        (world.customer, JOE, {"domain": "own.test"}, "done"),
    ):
        deed = lambda s, a=actor, h=holder, p=place: appointments.appoint(s, h, actor=a, **p)  # noqa: E731
        assert refusal(world, deed) == expected, (actor.kind, holder, place)
    assert [row.kind for row in world.do(lambda s: appointments.list_appointments(s, actor=world.customer)).items] == [
        "domain"
    ]
    assert world.do(lambda s: appointments.list_appointments(s, actor=world.domain_admin)).items == []


def test_a_domain_administrator_may_have_some_rights_only(world):
    """He sees all of his domain, and changes what he was given."""
    made = world.do(
        lambda s: accounts.create(
            s, "half", domain="own.test", rights=["aliases", "passwords"], sealed_hash="sealed", actor=world.customer
        )
    )
    assert made.rights == ["passwords", "aliases"]
    half = signed_in(world, "half")
    world.do(lambda s: aliases.create(s, "new@own.test", [JOE], actor=half))
    world.do(lambda s: mailboxes.set_password(s, JOE, "new", actor=half))
    assert world.do(lambda s: mailboxes.get(s, JOE, actor=half)).folded == "joe"
    for deed in (
        lambda s: mailboxes.create(s, "mo@own.test", actor=half),
        lambda s: mailboxes.remove(s, JOE, actor=half),
        lambda s: forwardings.put(s, JOE, ["info@own.test"], actor=half),
        lambda s: domains.update(s, "own.test", greylist=True, actor=half),
    ):
        assert refusal(world, deed) == "Forbidden"
    world.do(lambda s: accounts.update(s, "half", rights=None, actor=world.customer))
    world.do(lambda s: mailboxes.create(s, "mo@own.test", actor=signed_in(world, "half")))
    assert refusal(world, lambda s: accounts.update(s, "half", rights=None, actor=half)) == "NotFound"


def test_every_right_of_a_domain_administrator_can_be_chosen():
    """An action that stands in no group could be given to nobody."""
    chosen = {action for several in authorisation.DOMAIN_RIGHTS.values() for action in several}
    assert chosen == {action for action in authorisation.RIGHTS["domain"] if not action.endswith(".see")}


def test_rights_are_checked(world):
    """Unknown ones, and those of somebody who administers more than a domain."""
    wrong = {"domain": "own.test", "rights": ["everything"]}
    for options, refusal_kind in ((wrong, Invalid), ({"rights": ["aliases"]}, Conflict)):
        with pytest.raises(refusal_kind) as caught:
            world.do(lambda s, options=options: accounts.create(s, "x", actor=world.customer, **options))
        assert caught.value.field == "rights"


def test_support_looks_and_changes_nothing(world):
    """At all that is the tenant's, and below."""
    world.do(lambda s: accounts.create(s, "helper", tenant_id=world.reseller_id, support=True, actor=world.reseller))
    helper = signed_in(world, "helper")
    assert helper.kind == "support"
    assert world.do(lambda s: mailboxes.get(s, JOE, actor=helper)).folded == "joe"
    assert world.do(lambda s: tenants.get(s, world.customer_id, actor=helper)).id == world.customer_id
    assert refusal(world, lambda s: mailboxes.get(s, "joe@foreign.test", actor=helper)) == "NotFound"
    for deed in (*POWER.values(), lambda s, a: aliases.create(s, "new@own.test", [JOE], actor=a)):
        if deed is not POWER["write as he"]:
            assert refusal(world, lambda s, deed=deed: deed(s, helper)) == "Forbidden"
    assert refusal(world, lambda s: accounts.create(s, "y", actor=helper)) == "Forbidden"
    doing = {action for action in authorisation.RIGHTS["support"] if not action.endswith(".see")}
    assert doing == {"support.enter"}  # to look, as he whom it is about: tests/web/test_support.py


def test_a_person_has_only_so_many(world, monkeypatch):
    """Each is looked at with each of his requests."""
    monkeypatch.setattr(appointments, "MAX_APPOINTMENTS", 1)
    world.do(lambda s: appointments.appoint(s, JOE, domain="own.test", actor=world.customer))
    with pytest.raises(LimitReached):
        world.do(lambda s: appointments.appoint(s, JOE, tenant_id=world.customer_id, actor=world.customer))


def test_an_appointment_goes_with_its_holder(world):
    """Whoever gets the address next is somebody else."""
    world.do(lambda s: appointments.appoint(s, JOE, domain="own.test", actor=world.customer))
    world.do(lambda s: mailboxes.remove(s, JOE, actor=world.customer))
    world.do(lambda s: mailboxes.create(s, JOE, sealed_hash="sealed", actor=world.customer, discard=True))
    assert signed_in(world, JOE).parts == (Part("mailbox", **_of(signed_in(world, JOE))),)


def _of(actor):
    return {"domain_id": actor.domain_id, "mailbox_id": actor.mailbox_id}


def test_a_scoped_key_reaches_what_it_names_and_does_what_it_names(world):
    """Actions and addresses; both, or either."""
    few = Actor("customer", "key:1", tenant_id=world.customer_id, actions=frozenset({"mailbox.see"}))
    assert world.do(lambda s: mailboxes.get(s, JOE, actor=few)).folded == "joe"
    assert refusal(world, lambda s: mailboxes.set_password(s, JOE, "x", actor=few)) == "Forbidden"
    near = Actor("operator", "key:2", addresses=frozenset({"joe@own.test", "foreign.test"}))
    seen = world.do(lambda s: mailboxes.list_mailboxes(s, actor=near)).items
    assert {str(row.address) for row in seen} == {JOE, "joe@foreign.test"}
    assert world.do(lambda s: aliases.list_aliases(s, actor=near)).items[0].domain.name == "foreign.test"
    world.do(lambda s: mailboxes.set_password(s, JOE, "x", actor=near))
    for deed in (
        lambda s: aliases.get(s, "info@own.test", actor=near),
        lambda s: domains.get(s, "own.test", actor=near),
        lambda s: tenants.get(s, world.customer_id, actor=near),
        lambda s: accounts.get(s, "own-admin", actor=near),
    ):
        assert refusal(world, deed) == "NotFound"
    assert world.do(lambda s: tenants.list_tenants(s, actor=near)).items == []


def test_the_highest_part_comes_first():
    """By it an actor is called in the audit log."""
    actor = acting("x", [Part("mailbox", mailbox_id=3), Part("support", tenant_id=2), Part("customer", tenant_id=1)])
    assert (actor.kind, actor.tenant_id, actor.rank) == ("customer", 1, 2)
    assert [part.kind for part in actor.parts] == ["customer", "mailbox", "support"]


def test_an_account_that_has_another_kind_of_name_is_nobodys(world):
    """set_password is for oneself alone."""
    with pytest.raises(NotFound):
        world.do(lambda s: accounts.set_password(s, "own-admin", "x", actor=world.customer))


def test_somebody_at_several_tenants_lists_what_all_of_them_have(world):
    """Nothing twice, and nothing of others: also where one of them is within another."""
    parts = (Part("customer", world.foreign_customer_id), Part("customer", world.customer_id))
    several = replace(world.reseller, others=parts)
    found = world.do(lambda s: [row.name for row in domains.list_domains(s, actor=several).items])
    assert sorted(found) == ["foreign.test", "own.test"]
    held = world.do(lambda s: [row.folded for row in mailboxes.list_mailboxes(s, actor=several).items])
    assert len(held) == 2
