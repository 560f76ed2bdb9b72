"""Whose a domain is: until that is proved it can be set up, and draws nobody's mail."""

import contextlib

import pytest

from appliance.compile import collect, standing
from appliance.compile.source import open_source
from appliance.errors import Conflict, Forbidden, Taken
from appliance.models import Domain, Tenant
from appliance.services import addresses, aliases, audit, domains, forwardings, mailboxes, proof, routes
from appliance.services.relays import Route
from mta.roles.directory.resolve import Resolver
from mta.vocabulary import Word
from tests.fixtures.database import OPERATOR

NAME, ANN = "claimed.test", "ann@claimed.test"


def compiled(world) -> dict[str, dict[bytes, bytes]]:
    """Everything that is published, by audience; and piece by piece the same."""
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source), source.reading() as query:
        state = collect.state(query)
        rows = list(collect.tenants(query)), list(collect.domains(query))
        whole = {name: dict(found) for name, found in standing.everything(query, state, *rows, {})[0].items()}
        pieces = standing.changed(query, collect.changes(query, 0, 10_000), state.host_name, {}, is_same_host=True)
    for name, changed in pieces.items():
        for key, value in changed.items():
            assert whole[name].get(key) == value, key
    return whole


def takes(world, address: str) -> bool:
    return Resolver(compiled(world)["recipients"].get).judge(address.encode()).word is Word.ACCEPT


@pytest.fixture
def claimed(world):
    """A customer named a domain, and set it up."""
    world.do(lambda s: domains.create(s, NAME, actor=world.customer))
    world.do(lambda s: mailboxes.create(s, ANN, sealed_hash="c2VhbGVk", actor=world.customer))
    world.do(lambda s: aliases.create(s, "all@claimed.test", [ANN], actor=world.customer))
    return world


def prove(world) -> None:
    """Show the record that was asked for, among others."""

    def show(session):
        domain = domains.get(session, NAME, actor=OPERATOR)
        proof.prove(session, domain, ["v=spf1 -all", proof.challenge(domain)[1]], actor=world.customer)

    world.do(show)


def test_what_nobody_has_proved_is_in_no_snapshot(claimed):
    """Neither its name nor a route to it nor a source of recipients; proved, all of it is there at once."""
    claimed.do(lambda s: routes.put(s, f"@{NAME}", routes.Wanted(tls="verify"), actor=claimed.customer))
    relay = Route("mail.example.net", "call-ahead")
    claimed.do(lambda s: domains.create(s, "relayed.test", route=relay, actor=claimed.customer))
    before = compiled(claimed)
    named = [key for found in before.values() for key in found if b"claimed.test" in key or b"relayed.test" in key]
    assert {key[:2] for key in named} <= {b"a:", b"m:", b"f:"}  # addresses mean nothing without their domain
    assert not takes(claimed, ANN)
    prove(claimed)
    assert takes(claimed, ANN)
    assert takes(claimed, "all@claimed.test")
    assert b"n:@claimed.test" in compiled(claimed)["routes"]


def test_mail_of_others_goes_where_it_went(claimed):
    """A stranger's forwarding to the name that somebody claims is one to another host, and becomes ours with the proof."""
    somebody = lambda s: forwardings.put(s, "joe@foreign.test", ["Some.One@claimed.test"], actor=OPERATOR)  # noqa: E731
    claimed.do(somebody)
    found = Resolver(compiled(claimed)["recipients"].get).expand(b"joe@foreign.test")
    assert [type(end).__name__ for end in found] == ["Final", "Beyond"]
    claimed.do(lambda s: mailboxes.create(s, "some.one@claimed.test", actor=claimed.customer))
    prove(claimed)
    found = Resolver(compiled(claimed)["recipients"].get).expand(b"joe@foreign.test")
    assert [type(end).__name__ for end in found] == ["Final", "Final"]


@pytest.mark.parametrize("found", [[], ["v=spf1 -all"], ["postern-domain="], ["postern-domain=0123"]])
def test_only_the_record_that_was_asked_for_proves_anything(claimed, found):
    """And not that of another domain."""
    other = claimed.do(lambda s: domains.create(s, "other.test", actor=claimed.customer)).claim
    tried = [*found, f"{proof.PREFIX}{other}"]
    with pytest.raises(Conflict) as caught:
        claimed.do(lambda s: proof.prove(s, domains.get(s, NAME, actor=OPERATOR), tried, actor=claimed.customer))
    assert caught.value.code == "not_proved"
    assert "_postern-challenge.claimed.test" in caught.value.sentence


def test_the_operator_says_so_and_nobody_else(claimed):
    """For one domain, for all of a tenant and those below it, and for what he makes himself."""
    with pytest.raises(Forbidden):
        claimed.do(lambda s: proof.waive(s, domains.get(s, NAME, actor=OPERATOR), actor=claimed.customer))
    claimed.do(lambda s: proof.waive(s, domains.get(s, NAME, actor=OPERATOR), actor=OPERATOR))
    assert takes(claimed, ANN)
    claimed.do(lambda s: setattr(s.get(Tenant, claimed.reseller_id), "skips_proof", True))
    assert claimed.do(lambda s: domains.create(s, "free.test", actor=claimed.customer)).proved_at
    told = claimed.do(
        lambda s: [row.action for row in audit.list_entries(s, subject=NAME, actor=claimed.customer).items]
    )
    assert told[0] == "domain.proof_waived"


def test_what_stands_below_a_proved_domain_of_ones_own_is_ones_own(world):
    """And below a stranger's it is not; nor below one that is itself only claimed."""
    for name, expected in (
        ("a.own.test", True),
        ("a.foreign.test", False),
        ("b.a.own.test", True),
        ("x.test", False),
        ("a.x.test", False),
    ):
        made = world.do(lambda s, name=name: domains.create(s, name, actor=world.customer))
        assert (made.proved_at is not None) == expected, name


def test_a_claim_keeps_nobody_out_for_long(claimed):
    """For a week from other customers, from the operator not at all; what is proved keeps its name."""
    stranger = type(claimed.customer)("customer", "x", tenant_id=claimed.foreign_customer_id)
    take = lambda actor: lambda s: domains.create(s, NAME, tenant_id=claimed.foreign_customer_id, actor=actor)  # noqa: E731
    with pytest.raises(Taken):
        claimed.do(take(stranger))
    claimed.do(lambda s: setattr(addresses.domain_named(s, NAME), "created_at", 1))
    assert claimed.do(take(stranger)).tenant_id == claimed.foreign_customer_id
    assert claimed.do(lambda s: mailboxes.list_mailboxes(s, domain=NAME, actor=OPERATOR)).items == []
    claimed.do(lambda s: domains.remove(s, NAME, actor=stranger))
    claimed.do(lambda s: domains.create(s, NAME, actor=claimed.customer))
    assert claimed.do(take(OPERATOR)).proved_at
    with pytest.raises(Taken):
        claimed.do(lambda s: domains.create(s, NAME, actor=claimed.customer))


def test_what_was_there_before_stays_served(world):
    """The fixture's domains were made by the operator."""
    assert all(world.do(lambda s: [row.proved_at for row in s.query(Domain).all()]))
