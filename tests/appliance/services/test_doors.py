"""Who may write to an alias, within what a domain's mail stays, and what a tag stands behind, as they are saved."""

import pytest

from appliance.compile import collect, sending
from appliance.compile.source import open_source
from appliance.errors import Conflict, Invalid
from appliance.services import addresses, aliases, domains, foretelling, forwardings, mailboxes, patterns
from tests.fixtures.database import HOST, OPERATOR

JOE, INFO = "joe@own.test", "info@own.test"


def change(world, **given):
    return world.do(lambda s: aliases.update(s, INFO, actor=world.customer, **given))


def test_an_alias_is_kept_for_some_and_opened_again(world):
    """What is not given stays; a list goes with what it was for."""
    assert (change(world).open_to, change(world).version) == ("everybody", 1)
    assert change(world, open_to="members").open_to == "members"
    alias = change(world, open_to="listed", listed=["Boss@Partner.test", "friends.test", "boss@partner.test"])
    assert alias.listed == ["boss@partner.test", "friends.test"]
    assert change(world, targets=["joe+x@own.test"]).listed == alias.listed
    assert change(world, listed=["x@partner.test"]).listed == ["x@partner.test"]
    alias = change(world, open_to="domain")
    assert (alias.open_to, alias.listed, list(alias.targets)) == ("domain", [], ["joe+x@own.test"])
    told = world.do(lambda s: foretelling.foretell(s, INFO, actor=world.customer))
    assert "open to people of its domain alone, an alias of joe+x@own.test" in [step.outcome for step in told.steps]
    assert change(world, open_to="everybody").open_to == "everybody"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"open_to": "nobody"}, "open_to"),
        ({"open_to": "listed"}, "listed"),
        ({"open_to": "listed", "listed": []}, "listed"),
        ({"open_to": "members", "listed": ["x@y.test"]}, "listed"),
        ({"listed": ["x@y.test"]}, "listed"),
        ({"open_to": "listed", "listed": ["no address@y.test"]}, "listed"),
        ({"open_to": "listed", "listed": ["*"]}, "listed"),
        ({"open_to": "listed", "listed": [f"x{number}@y.test" for number in range(aliases.MAX_LISTED + 1)]}, "listed"),
    ],
)
def test_what_would_let_nobody_in_is_refused(world, given, field):
    """Or what would not count."""
    with pytest.raises(Invalid) as caught:
        change(world, **given)
    assert caught.value.field == field


def test_whom_everybody_must_reach_stays_open(world):
    """RFC 5321 4.5.1."""
    with pytest.raises(Invalid) as caught:
        world.do(lambda s: aliases.create(s, "abuse@own.test", [JOE], open_to="members", actor=world.customer))
    assert caught.value.code == "role_address"


def test_who_is_listed_by_another_name_of_a_domain_is_listed_by_its_own(world):
    """So that the directory, which follows other names, finds it."""
    world.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))
    alias = change(world, open_to="listed", listed=["JOE@other.test", "Other.test", "BÜCHER.test"])
    assert alias.listed == ["joe@own.test", "own.test", "xn--bcher-kva.test"]


def confine(world, scope, name="own.test"):
    return world.do(lambda s: domains.update(s, name, local_only=scope, actor=OPERATOR)).local_only


@pytest.fixture
def sister(world):
    """Another domain of the same customer, with somebody in it."""
    world.do(lambda s: domains.create(s, "sister.test", tenant_id=world.customer_id, actor=OPERATOR))
    world.do(lambda s: mailboxes.create(s, "sue@sister.test", actor=OPERATOR))
    return world


def test_what_stays_inside_is_not_sent_on_elsewhere(sister):
    """Aliases, forwardings, catch-all; in clear words, where it is said and where it was said before."""
    world = sister
    reached = {
        "domain": {JOE},
        "tenant": {JOE, "sue@sister.test"},
        "host": {JOE, "sue@sister.test", "joe@foreign.test"},
    }
    for scope, inside in reached.items():
        assert confine(world, scope) == scope
        for target in ("joe+x@own.test", "sue@sister.test", "joe@foreign.test", "x@else.test"):
            acts = (
                lambda s, t=target: aliases.update(s, INFO, [t], actor=OPERATOR),
                lambda s, t=target: domains.update(s, "own.test", catch_all=t, actor=OPERATOR),
                lambda s, t=target: forwardings.put(s, JOE, [t], actor=OPERATOR),
            )
            for act in acts[: 2 if target.startswith("joe+") else 3]:
                if target.replace("+x", "") in inside:
                    world.do(act)
                    continue
                with pytest.raises(Invalid) as caught:
                    world.do(act)
                assert caught.value.code in ("target_outside", "target_not_hosted")
        world.do(lambda s: forwardings.clear(s, JOE, actor=OPERATOR))
        world.do(lambda s: domains.update(s, "own.test", catch_all=None, actor=OPERATOR))
        world.do(lambda s: aliases.update(s, INFO, [JOE], actor=OPERATOR))
    assert confine(world, "") == ""
    world.do(lambda s: forwardings.put(s, JOE, ["x@else.test"], actor=OPERATOR))
    with pytest.raises(Conflict) as refused:
        confine(world, "host")
    assert (refused.value.code, refused.value.field) == ("goes_outside", "local_only")
    assert "joe@own.test → x@else.test" in refused.value.sentence


def test_what_stays_within_its_tenant_goes_to_no_other_with_what_it_sends_to_the_former(sister):
    """What was inside would be outside then."""
    confine(sister, "tenant")
    sister.do(lambda s: aliases.update(s, INFO, ["sue@sister.test"], actor=OPERATOR))
    given = {"tenant_id": sister.foreign_customer_id, "actor": OPERATOR}
    with pytest.raises(Conflict) as refused:
        sister.do(lambda s: domains.update(s, "own.test", **given))
    assert refused.value.code == "goes_outside"
    sister.do(lambda s: aliases.update(s, INFO, [JOE], actor=OPERATOR))
    assert sister.do(lambda s: domains.update(s, "own.test", **given)).tenant_id == sister.foreign_customer_id


def test_only_where_mail_is_stored_it_can_stay(world):
    """Not at the host's own name, whose postmaster answers for all; nor in what is only passed on or another name."""
    world.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))
    for name in (HOST, "other.test"):
        with pytest.raises(Conflict):
            confine(world, "host", name)
    with pytest.raises(Invalid):
        confine(world, "village")


def test_a_domain_says_what_a_tag_stands_behind(world):
    """And targets exist by that."""
    world.do(lambda s: mailboxes.create(s, "mary-ann@own.test", actor=OPERATOR))

    def leads(folded):
        return world.do(lambda s: addresses.next_of(s, f"{folded}@own.test"))

    for separator, tagged in (("-", ["joe-x", "mary-ann-x"]), ("", []), ("+", ["joe+x", "mary-ann+x"])):
        given = world.do(
            lambda s, one=separator: domains.update(s, "own.test", tag_separator=one, actor=world.customer)
        )
        assert given.tag_separator == separator
        found = [each for each in ("joe-x", "joe+x", "mary-ann-x", "mary-ann+x") if leads(each)]
        assert found == tagged
    with pytest.raises(Invalid):
        world.do(lambda s: domains.update(s, "own.test", tag_separator="=", actor=world.customer))


def test_the_compiler_reads_it_on_both_databases(world):
    """Lists as lists, and who is nobody's rival, as the services wrote it."""
    world.do(lambda s: aliases.update(s, INFO, open_to="listed", listed=["friends.test"], actor=world.customer))
    world.do(lambda s: mailboxes.create(s, "joe-own@own.test", actor=OPERATOR))
    world.do(lambda s: mailboxes.create(s, "ann+own@own.test", actor=OPERATOR))
    world.do(lambda s: patterns.put(s, JOE, ["joe-*@own.test"], actor=world.customer))
    world.do(lambda s: domains.update(s, "own.test", local_only="tenant", tag_separator="", actor=OPERATOR))
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with source.reading() as query:
        (row,) = (row for row in collect.aliases(query) if row.key == INFO)
        assert (row.open_to, row.listed) == ("listed", ("friends.test",))
        assert list(collect.patterns(query, "own.test", ["joe-"])) == [collect.PatternRow("joe-@own.test", JOE)]
        (row,) = collect.domains(query, ["own.test"])
        assert (row.tag_separator, row.local_only) == ("", "tenant")
        told = dict(sending.senders(query))
        _, changed = sending.changed(query, ["joe-own@own.test", "ann+own@own.test", JOE])
    source.close()
    assert {b"f:joe-own@own.test", b"f:ann+own@own.test"} <= told.keys()
    assert (changed[b"f:joe-own@own.test"], changed[b"f:joe@own.test"]) == (told[b"f:joe-own@own.test"], None)
