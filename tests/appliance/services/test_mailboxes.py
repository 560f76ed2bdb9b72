"""Mailboxes, aliases and forwardings: an address is held by one thing, and its mail comes to an end."""

import pytest

from appliance.errors import Conflict, Forbidden, Invalid, NotFound, Taken
from appliance.services import aliases, changes, domains, forwardings, mailboxes, tenants
from tests.fixtures.database import HOST, OPERATOR


def test_an_address_is_held_by_one_thing(world):
    """Mailbox or alias, in any spelling."""
    for address in ("joe@own.test", "JOE@OWN.test", "info@own.test", "Info@own.test"):
        with pytest.raises(Taken) as caught:
            world.do(lambda s, address=address: mailboxes.create(s, address, actor=OPERATOR))
        assert (caught.value.code, caught.value.field) == ("address_taken", "address")
        with pytest.raises(Taken):
            world.do(lambda s, address=address: aliases.create(s, address, ["joe@own.test"], actor=OPERATOR))


def test_composition_is_not_another_address(world):
    """é written as one character or as two."""
    world.do(lambda s: mailboxes.create(s, "Jos\u00e9@own.test", actor=OPERATOR))
    with pytest.raises(Taken):
        world.do(lambda s: mailboxes.create(s, "jose\u0301@own.test", actor=OPERATOR))
    assert world.do(lambda s: mailboxes.get(s, "JOSE\u0301@own.test", actor=OPERATOR)).local_part == "Jos\u00e9"


def test_a_tagged_address_may_be_held_apart(world):
    """joe+lists is a mailbox of its own when somebody makes it one."""
    made = world.do(lambda s: mailboxes.create(s, "joe+lists@own.test", actor=OPERATOR))
    assert str(made.address) == "joe+lists@own.test"


@pytest.mark.parametrize("quota", [-1, (1 << 50) + 1])
def test_a_quota_makes_sense(world, quota):
    """0 is no limit."""
    with pytest.raises(Invalid) as caught:
        world.do(lambda s: mailboxes.create(s, "new@own.test", quota_bytes=quota, actor=OPERATOR))
    assert caught.value.field == "quota_bytes"


def test_a_removed_mailbox_is_gone_and_its_name_free(world):
    """Whoever still forwards to it is named."""
    assert world.do(lambda s: mailboxes.remove(s, "joe@own.test", actor=OPERATOR, days=0)).forwarded_by == [
        "info@own.test"
    ]
    with pytest.raises(NotFound):
        world.do(lambda s: mailboxes.get(s, "joe@own.test", actor=OPERATOR))
    made = world.do(lambda s: mailboxes.create(s, "joe@own.test", actor=OPERATOR))
    assert not made.has_password
    assert made.forwarding is None


@pytest.mark.parametrize("deed", [mailboxes.suspend, mailboxes.remove])
def test_the_hosts_postmaster_stays(world, deed):
    """RFC 5321 4.5.1: somebody answers."""
    with pytest.raises(Conflict) as caught:
        world.do(lambda s: deed(s, f"postmaster@{HOST}", actor=OPERATOR))
    assert caught.value.code == "host_postmaster"


def test_pages_hold_every_mailbox_once(world):
    """Over several domains, with folded names in order within each."""
    for number in range(12):
        world.do(lambda s, n=number: mailboxes.create(s, f"u{n}@own.test", actor=OPERATOR))
        world.do(lambda s, n=number: mailboxes.create(s, f"u{n}@foreign.test", actor=OPERATOR))
    found, cursor = [], None
    while True:
        page = world.do(lambda s, c=cursor: mailboxes.list_mailboxes(s, actor=OPERATOR, limit=5, cursor=c, search="U"))
        found += [str(mailbox.address) for mailbox in page.items]
        cursor = page.next
        if cursor is None:
            break
    own = sorted(f"u{number}" for number in range(12))
    assert found == [f"{name}@own.test" for name in own] + [f"{name}@foreign.test" for name in own]


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        ([], "no_targets"),
        (["nonsense"], "bad_address"),
        (["nobody@own.test"], "target_unknown"),
        ([f"t{n}@own.test" for n in range(1001)], "too_many_targets"),
    ],
)
def test_targets_exist(world, targets, code):
    """For aliases and forwardings alike; nothing is kept of a refused one."""
    for deed in (
        lambda s: aliases.create(s, "new@own.test", targets, actor=OPERATOR),
        lambda s: aliases.update(s, "info@own.test", targets, actor=OPERATOR),
        lambda s: forwardings.put(s, "joe@own.test", targets, actor=OPERATOR),
    ):
        with pytest.raises(Invalid) as caught:
            world.do(deed)
        assert (caught.value.code, caught.value.field) == (code, "targets")
    with pytest.raises(NotFound):
        world.do(lambda s: aliases.get(s, "new@own.test", actor=OPERATOR))
    assert list(world.do(lambda s: aliases.get(s, "info@own.test", actor=OPERATOR)).targets) == ["joe@own.test"]
    with pytest.raises(NotFound):
        world.do(lambda s: forwardings.get(s, "joe@own.test", actor=OPERATOR))


def test_targets_are_kept_once_each_in_their_order(world):
    """Two spellings are one target; of an address at another host the capitals count, and quotes are kept."""
    targets = ["JOE@own.test", "joe@foreign.test", "joe@OWN.test", "Ann@Elsewhere.test", '"a b"@bücher.example']
    made = world.do(lambda s: aliases.create(s, "new@own.test", targets, actor=OPERATOR))
    outside = ["Ann@elsewhere.test", '"a b"@xn--bcher-kva.example']
    assert list(made.targets) == ["joe@own.test", "joe@foreign.test", *outside]


def test_forwarding_to_other_hosts_is_a_tenants_right(world):
    """Which nobody gives himself, and which reaches down: an alias, a forwarding, made or changed."""
    deeds = (
        lambda s: aliases.create(s, "new@own.test", ["x@elsewhere.test"], actor=world.customer),
        lambda s: aliases.update(s, "info@own.test", ["joe@own.test", "x@elsewhere.test"], actor=world.customer),
        lambda s: forwardings.put(s, "joe@own.test", ["x@elsewhere.test"], actor=world.customer),
    )
    with pytest.raises(Forbidden):
        world.do(lambda s: tenants.update(s, world.customer_id, actor=world.customer, forwards_outside=False))
    top = world.do(lambda s: tenants.operator(s).id)
    for tenant_id in (world.customer_id, top):
        changed = world.do(lambda s, t=tenant_id: tenants.update(s, t, actor=OPERATOR, forwards_outside=False))
        assert not changed.forwards_outside
        for deed in deeds:
            with pytest.raises(Invalid) as caught:
                world.do(deed)
            assert (caught.value.code, caught.value.field) == ("target_outside", "targets")
        world.do(lambda s, t=tenant_id: tenants.update(s, t, actor=OPERATOR, forwards_outside=True))
    for deed in deeds:
        world.do(deed)


def test_what_was_elsewhere_is_compared_as_ours_once_it_is(world):
    """A domain that moves here finds the forwardings that led to it before."""
    world.do(lambda s: aliases.create(s, "new@own.test", ["Ann@moved.test"], actor=OPERATOR))
    world.do(lambda s: forwardings.put(s, "joe@own.test", ["Ann@moved.test", "x@other.test"], actor=OPERATOR))
    before = world.do(changes.newest)
    world.do(lambda s: domains.create(s, "moved.test", actor=OPERATOR))
    assert list(world.do(lambda s: aliases.get(s, "new@own.test", actor=OPERATOR)).targets) == ["ann@moved.test"]
    forwarding = world.do(lambda s: forwardings.get(s, "joe@own.test", actor=OPERATOR))
    assert list(forwarding.targets) == ["ann@moved.test", "x@other.test"]
    told = {change.key for change in world.do(lambda s: changes.since(s, before))}
    assert {"new@own.test", "joe@own.test"} <= told


@pytest.mark.parametrize(
    "deed",
    [
        lambda s: aliases.create(s, "new@own.test", ["new@own.test"], actor=OPERATOR),
        lambda s: aliases.update(s, "info@own.test", ["joe@own.test", "INFO+x@own.test"], actor=OPERATOR),
        lambda s: forwardings.put(s, "joe@own.test", ["joe@own.test"], actor=OPERATOR),
        lambda s: forwardings.put(s, "joe@own.test", ["info@own.test"], actor=OPERATOR),
        lambda s: forwardings.put(s, "joe@own.test", ["info@own.test"], keep_copy=False, actor=OPERATOR),
        lambda s: forwardings.put(s, "joe@own.test", ["info@own.test"], enabled=False, actor=OPERATOR),
    ],
)
def test_a_ring_is_refused_when_it_is_saved(world, deed):
    """Through tags and aliases, with a kept copy or not, enabled or not yet."""
    with pytest.raises(Conflict) as caught:
        world.do(deed)
    assert caught.value.code == "forward_loop"
    assert "→" in caught.value.sentence


def test_a_forwarding_is_put_replaced_and_cleared(world):
    """The one there is, never two."""
    world.do(lambda s: forwardings.put(s, "joe@own.test", ["joe@foreign.test"], actor=world.owner))
    world.do(
        lambda s: forwardings.put(
            s, "joe@own.test", [f"postmaster@{HOST}"], keep_copy=False, enabled=False, actor=world.owner
        )
    )
    found = world.do(lambda s: forwardings.describe(forwardings.get(s, "joe@own.test", actor=world.owner)))
    assert found == {"targets": [f"postmaster@{HOST}"], "keep_copy": False, "enabled": False}
    world.do(lambda s: forwardings.clear(s, "joe@own.test", actor=world.owner))
    with pytest.raises(NotFound):
        world.do(lambda s: forwardings.get(s, "joe@own.test", actor=world.owner))


def test_a_version_rises_with_each_change(world):
    """An ETag is made from it."""
    first = world.do(lambda s: mailboxes.get(s, "joe@own.test", actor=OPERATOR)).version
    world.do(lambda s: mailboxes.update(s, "joe@own.test", quota_bytes=1, actor=OPERATOR))
    world.do(lambda s: forwardings.put(s, "joe@own.test", ["joe@foreign.test"], actor=OPERATOR))
    world.do(lambda s: mailboxes.suspend(s, "joe@own.test", actor=OPERATOR))
    assert world.do(lambda s: mailboxes.get(s, "joe@own.test", actor=OPERATOR)).version == first + 3
