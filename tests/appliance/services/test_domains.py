"""Domains."""

import pytest

from appliance.errors import Conflict, Invalid, NotFound, Taken
from appliance.services import aliases, domains, forwardings, mailboxes
from tests.fixtures.database import HOST, OPERATOR


def test_a_domain_belongs_to_one_tenant(world):
    """Whoever comes second is refused, in any spelling."""
    world.do(lambda s: domains.create(s, "bücher.example", actor=OPERATOR))
    for name in ("BÜCHER.example", "xn--bcher-kva.example", "own.test"):
        with pytest.raises(Taken) as caught:
            world.do(lambda s, name=name: domains.create(s, name, actor=world.customer))
        assert (caught.value.code, caught.value.field) == ("domain_taken", "name")


def test_people_see_the_name_they_typed(world):
    """Inside it is the A-label."""
    made = world.do(lambda s: domains.create(s, "Bücher.example", actor=OPERATOR))
    assert (made.name, made.unicode_name) == ("xn--bcher-kva.example", "bücher.example")


def test_a_malformed_name_is_refused_with_its_field(world):
    """The form shows it beside the box."""
    with pytest.raises(Invalid) as caught:
        world.do(lambda s: domains.create(s, "not a domain", actor=OPERATOR))
    assert (caught.value.code, caught.value.field) == ("bad_domain", "name")


def test_pages_hold_every_domain_once(world):
    """In the order of names, whatever the size of the page."""
    names = sorted(f"zq{number}.test" for number in range(25))
    for name in names:
        world.do(lambda s, name=name: domains.create(s, name, tenant_id=world.customer_id, actor=OPERATOR))
    found, cursor, pages = [], None, 0
    while True:
        page = world.do(
            lambda s, cursor=cursor: domains.list_domains(s, actor=world.customer, limit=7, cursor=cursor, search="ZQ")
        )
        found += [domain.name for domain in page.items]
        pages, cursor = pages + 1, page.next
        if cursor is None:
            break
    assert found == names
    assert pages == 4


def test_a_search_takes_its_words_literally(world):
    """A percent sign is not "everything"."""
    assert world.do(lambda s: domains.list_domains(s, actor=OPERATOR, search="%")).items == []
    assert len(world.do(lambda s: domains.list_domains(s, actor=OPERATOR, search="WN.te")).items) == 1


def test_another_name_stands_for_a_domain(world):
    """It belongs to the same tenant, holds no addresses, and must go first."""
    made = world.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))
    assert (made.kind, made.tenant_id) == ("alias", world.customer_id)
    for deed in (mailboxes.create, lambda s, a, actor: aliases.create(s, a, ["joe@own.test"], actor=actor)):
        with pytest.raises(Conflict) as caught:
            world.do(lambda s, deed=deed: deed(s, "new@other.test", actor=OPERATOR))
        assert caught.value.code == "domain_is_alias"
    with pytest.raises(Conflict, match=r"other\.test"):
        world.do(lambda s: domains.remove(s, "own.test", actor=OPERATOR))
    with pytest.raises(Invalid):
        world.do(lambda s: domains.create(s, "third.test", alias_of="other.test", actor=OPERATOR))


def test_nobody_makes_another_name_of_a_strangers_domain(world):
    """For him it does not exist."""
    with pytest.raises(NotFound):
        world.do(lambda s: domains.create(s, "new.test", alias_of="foreign.test", actor=world.customer))


@pytest.mark.parametrize(
    ("target", "code"),
    [("nobody@own.test", "target_unknown"), ("x@elsewhere.test", "target_not_hosted"), ("nonsense", "bad_address")],
)
def test_a_catch_all_must_reach_someone(world, target, code):
    """Also when one is set already: it does not answer for itself."""
    world.do(lambda s: domains.update(s, "own.test", catch_all="joe@own.test", actor=OPERATOR))
    with pytest.raises(Invalid) as caught:
        world.do(lambda s: domains.update(s, "own.test", catch_all=target, actor=OPERATOR))
    assert (caught.value.code, caught.value.field) == (code, "catch_all")
    assert world.do(lambda s: domains.get(s, "own.test", actor=OPERATOR)).catch_all == "joe@own.test"


def test_a_catch_all_that_closes_a_ring_is_refused(world):
    """joe forwards to an address that nobody holds any more; with the catch-all it would come back to him."""
    world.do(lambda s: mailboxes.create(s, "gone@own.test", actor=OPERATOR))
    world.do(lambda s: forwardings.put(s, "joe@own.test", ["gone@own.test"], actor=OPERATOR))
    assert world.do(lambda s: mailboxes.remove(s, "gone@own.test", actor=OPERATOR)).forwarded_by == ["joe@own.test"]
    with pytest.raises(Conflict) as caught:
        world.do(lambda s: domains.update(s, "own.test", catch_all="joe@own.test", actor=OPERATOR))
    assert caught.value.code == "forward_loop"


def test_a_domain_that_comes_back_may_close_a_ring(world):
    """Somebody's forwarding still names it."""
    world.do(lambda s: domains.create(s, "other.test", alias_of="foreign.test", actor=OPERATOR))
    world.do(lambda s: forwardings.put(s, "joe@own.test", ["joe@other.test"], actor=OPERATOR))
    world.do(lambda s: domains.remove(s, "other.test", actor=OPERATOR, days=0))
    with pytest.raises(Conflict, match="ring"):
        world.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))


def test_a_removed_domain_takes_its_contents_and_says_so(world):
    """What forwards into it from elsewhere is named, and its addresses do not come back with its name."""
    world.do(lambda s: aliases.create(s, "across@foreign.test", ["joe@own.test"], actor=OPERATOR))
    world.do(lambda s: forwardings.put(s, "joe@foreign.test", ["info@own.test"], actor=OPERATOR))
    removed = world.do(lambda s: domains.remove(s, "own.test", actor=OPERATOR, days=0))
    assert (removed.removal.mailboxes, removed.removal.aliases) == (1, 1)
    assert removed.forwarded_by == ["across@foreign.test", "joe@foreign.test"]
    world.do(lambda s: domains.create(s, "own.test", actor=OPERATOR))
    assert world.do(lambda s: mailboxes.list_mailboxes(s, domain="own.test", actor=OPERATOR)).items == []
    with pytest.raises(NotFound):
        world.do(lambda s: aliases.get(s, "info@own.test", actor=OPERATOR))


@pytest.mark.parametrize("deed", [domains.suspend, domains.remove])
def test_the_hosts_own_domain_stays(world, deed):
    """Its postmaster answers for everybody."""
    with pytest.raises(Conflict) as caught:
        world.do(lambda s: deed(s, HOST, actor=OPERATOR))
    assert caught.value.code == "host_domain"


def test_counts_are_per_domain(world):
    """Mailboxes and aliases, none for the empty one."""

    def look(session):
        found = [domains.get(session, name, actor=OPERATOR) for name in ("own.test", HOST)]
        return [domains.counts(session, found)[domain.id] for domain in found]

    assert world.do(look) == [(1, 1), (1, 0)]
