"""App passwords, other senders, sending limits and the brake: who may set them, and how they reach the data plane and come back."""

import base64
import hashlib

import pytest

from appliance.compile import sending as compiled
from appliance.compile.facts import apply
from appliance.compile.source import open_source
from appliance.errors import Conflict, Forbidden, Invalid, LimitReached, NotFound
from appliance.services import aliases, audit, changes, domains, mailboxes, senders, sending
from appliance.services.actor import Actor
from appliance.services.passwords import Sealer
from mta import scram, seal
from mta.seal import PASSWORD_HASH, Opener
from mta.snapshot.records import AppPasswords, Senders, Sending, unpack_record
from mta.wire import messages as m
from tests.fixtures.database import OPERATOR

OPENER = Opener(b"p" * 32, PASSWORD_HASH)
SEALER = Sealer(OPENER.public_key)
JOE = "joe@own.test"


@pytest.fixture
def joe(world):
    world.do(lambda s: mailboxes.set_password(s, JOE, SEALER.seal_password("right horse", JOE), actor=OPERATOR))
    return world


def owner_of(world, address):
    found = world.do(lambda s: mailboxes.get(s, address, actor=OPERATOR))
    return Actor("mailbox", address, mailbox_id=found.id)


def news(world, after):
    return [(row.kind, row.key) for row in world.do(lambda s: changes.since(s, after))]


def newest(world):
    return world.do(changes.newest)


# --- app passwords


def test_an_app_password_is_shown_once_and_sealed(joe):
    """What is kept is a digest and what SCRAM wants, for this mailbox's salt; the journal of deeds has its name alone."""
    before = newest(joe)
    row, secret = joe.do(lambda s: senders.add_app_password(s, JOE, " my  phone ", actor=OPERATOR, sealer=SEALER))
    assert row.name == "my phone"
    stored, keys = scram.split(OPENER.open(base64.b64decode(row.sealed_hash)))
    assert stored == b"sha256:" + hashlib.sha256(secret.encode()).hexdigest().encode()
    assert keys == scram.keys_of(secret.encode(), scram.salt_of(OPENER.public_key, JOE.encode()))
    assert news(joe, before) == [("senders", JOE)]
    told = joe.do(lambda s: audit.list_entries(s, actor=OPERATOR)).items[0]
    assert (told.action, told.after) == ("app_password.made", {"name": "my phone"})
    assert secret not in repr([vars(entry) for entry in joe.do(lambda s: audit.list_entries(s, actor=OPERATOR)).items])


def test_an_owner_makes_and_revokes_his_own(joe):
    """And nobody else's."""
    joe.do(lambda s: mailboxes.create(s, "eve@own.test", actor=OPERATOR))
    owner, eve = owner_of(joe, JOE), owner_of(joe, "eve@own.test")
    joe.do(lambda s: senders.add_app_password(s, JOE, "phone", actor=owner, sealer=SEALER))
    with pytest.raises(NotFound):
        joe.do(lambda s: senders.add_app_password(s, JOE, "x", actor=eve, sealer=SEALER))
    with pytest.raises(NotFound):
        joe.do(lambda s: senders.remove_app_password(s, JOE, "phone", actor=eve))
    joe.do(lambda s: senders.remove_app_password(s, JOE, "phone", actor=owner))
    assert joe.do(lambda s: senders.app_passwords(s, JOE, actor=owner)) == []
    with pytest.raises(NotFound):
        joe.do(lambda s: senders.remove_app_password(s, JOE, "phone", actor=owner))


def test_names_are_one_each_and_there_is_a_bound(joe, monkeypatch):
    """And a mailbox that nobody logs in to has none."""
    monkeypatch.setattr(senders, "MAX_APP_PASSWORDS", 2)
    for name in ("one", "two"):
        joe.do(lambda s, name=name: senders.add_app_password(s, JOE, name, actor=OPERATOR, sealer=SEALER))
    with pytest.raises(Conflict):
        joe.do(lambda s: senders.add_app_password(s, JOE, "one", actor=OPERATOR, sealer=SEALER))
    with pytest.raises(LimitReached):
        joe.do(lambda s: senders.add_app_password(s, JOE, "three", actor=OPERATOR, sealer=SEALER))
    joe.do(lambda s: mailboxes.create(s, "eve@own.test", actor=OPERATOR))
    with pytest.raises(Conflict):
        joe.do(lambda s: senders.add_app_password(s, "eve@own.test", "one", actor=OPERATOR, sealer=SEALER))


# --- senders


def test_a_sender_is_given_by_who_has_its_domain(joe):
    """Again changes nothing; taken twice is not there."""
    assert joe.do(lambda s: senders.give(s, JOE, "Team@own.test", actor=OPERATOR)) == "team@own.test"
    assert joe.do(lambda s: senders.give(s, JOE, "team@OWN.test", actor=OPERATOR)) == "team@own.test"
    assert joe.do(lambda s: senders.given(s, JOE, actor=owner_of(joe, JOE))) == ["team@own.test"]
    with pytest.raises(Forbidden):
        joe.do(lambda s: senders.give(s, JOE, "boss@own.test", actor=owner_of(joe, JOE)))
    joe.do(lambda s: senders.take(s, JOE, "team@own.test", actor=OPERATOR))
    with pytest.raises(NotFound):
        joe.do(lambda s: senders.take(s, JOE, "team@own.test", actor=OPERATOR))
    with pytest.raises(NotFound):
        joe.do(lambda s: senders.give(s, JOE, "x@nowhere.test", actor=OPERATOR))


def test_nobody_gives_an_address_of_anothers_domain(joe):
    """A customer's administrator, for his own mailbox."""
    domain = joe.do(lambda s: domains.get(s, "own.test", actor=OPERATOR))
    admin = Actor("domain", "admin", tenant_id=domain.tenant_id, domain_id=domain.id)
    joe.do(lambda s: senders.give(s, JOE, "team@own.test", actor=admin))
    with pytest.raises(NotFound):
        joe.do(lambda s: senders.give(s, JOE, "boss@foreign.test", actor=admin))


# --- limits and the brake


def test_limits_stand_at_each_level(joe):
    """None is no word of its own, 0 no limit; what does not fit a level is refused."""
    before = newest(joe)
    joe.do(lambda s: sending.change(s, JOE, actor=OPERATOR, per_hour=5, brake=False))
    joe.do(lambda s: sending.change(s, JOE, actor=OPERATOR, per_day=0))
    assert joe.do(lambda s: sending.change(s, "own.test", actor=OPERATOR, any_address=True)).any_address
    tenant = joe.do(lambda s: domains.get(s, "own.test", actor=OPERATOR)).tenant_id
    joe.do(lambda s: sending.change(s, str(tenant), actor=OPERATOR, per_day=9))
    assert news(joe, before) == [("senders", JOE)] * 2 + [("domain", "own.test"), ("tenant", str(tenant))]
    found = joe.do(lambda s: sending.show(s, JOE, actor=OPERATOR))
    assert (found.per_hour, found.per_day, found.brake) == (5, 0, False)
    refused = (
        (JOE, {"any_address": True}, Conflict),
        ("own.test", {"brake": False}, Conflict),
        (JOE, {"per_hour": -1}, Invalid),
    )
    for subject, wrong, error in refused:
        with pytest.raises(error):
            joe.do(lambda s, subject=subject, wrong=wrong: sending.change(s, subject, actor=OPERATOR, **wrong))


def test_nobody_raises_his_own_limit(joe):
    """An owner not the mailbox's, a domain's administrator not the domain's, a customer not the tenant's."""
    domain = joe.do(lambda s: domains.get(s, "own.test", actor=OPERATOR))
    admin = Actor("domain", "admin", tenant_id=domain.tenant_id, domain_id=domain.id)
    customer = Actor("customer", "customer", tenant_id=domain.tenant_id)
    for actor, subject in ((owner_of(joe, JOE), JOE), (admin, "own.test"), (customer, str(domain.tenant_id))):
        with pytest.raises(Forbidden):
            joe.do(lambda s, actor=actor, subject=subject: sending.change(s, subject, actor=actor, per_hour=0))
    assert joe.do(lambda s: sending.change(s, JOE, actor=admin, per_hour=7)).per_hour == 7


@pytest.fixture
def source(joe):
    made = open_source(joe.engine.url.render_as_string(hide_password=False))
    yield made
    made.close()


def tell(source, *facts):
    with source.writing() as query:
        return apply(query, [m.Fact(1, number, *fact) for number, fact in enumerate(facts, 1)])


def record(source, key, place=0):
    with source.reading() as query:
        found = compiled.changed(query, [key])[place]
    return {where: octets and unpack_record(octets) for where, octets in found.items()}


def test_a_brake_is_shown_published_and_written_down_once(joe, source):
    """Until somebody releases it; a fact from before that is old news."""
    before = newest(joe)
    assert tell(source, (b"braked", JOE.encode(), b"1700000000 300 recipients"))
    assert not tell(source, (b"braked", JOE.encode(), b"1700000000 300 recipients"))
    assert news(joe, before) == [("senders", JOE)]
    (found,) = joe.do(lambda s: sending.braked(s, actor=OPERATOR))
    assert (found.subject, found.braked_at, found.brake_reason) == (JOE, 1_700_000_000, "300 recipients")
    assert record(source, JOE)[b"w:" + JOE.encode()].braked
    assert joe.do(lambda s: audit.list_entries(s, actor=OPERATOR)).items[0].action == "sending.braked"
    with pytest.raises(Forbidden):
        joe.do(lambda s: sending.release(s, JOE, actor=owner_of(joe, JOE)))
    assert joe.do(lambda s: sending.release(s, JOE, actor=OPERATOR)).braked_at is None
    with pytest.raises(Conflict):
        joe.do(lambda s: sending.release(s, JOE, actor=OPERATOR))
    assert not tell(source, (b"braked", JOE.encode(), b"1700000000 300 recipients"))
    sent = record(source, JOE)[b"w:" + JOE.encode()]
    assert not sent.braked
    assert sent.released >= 1_700_000_000


def test_a_better_hash_replaces_exactly_what_it_was_made_from(joe, source):
    """A password that was set in the meantime stays."""
    old = joe.do(lambda s: mailboxes.get(s, JOE, actor=OPERATOR)).sealed_hash
    was = hashlib.sha256(base64.b64decode(old)).hexdigest().encode()
    better = base64.b64encode(seal.seal(OPENER.public_key, PASSWORD_HASH, b"better"))
    before = newest(joe)
    assert not tell(source, (b"rehash", JOE.encode(), b"0" * 64 + b" " + better))
    assert tell(source, (b"rehash", JOE.encode(), was + b" " + better))
    assert not tell(source, (b"rehash", JOE.encode(), was + b" " + better))
    assert news(joe, before) == [("password", JOE)]
    assert joe.do(lambda s: mailboxes.get(s, JOE, actor=OPERATOR)).sealed_hash == better.decode()


def test_the_day_of_a_use_is_noted_at_the_app_password_that_was_shown(joe, source):
    """Never an earlier one, and at no other."""
    sealer = Sealer(OPENER.public_key)
    for name in ("phone", "laptop"):
        joe.do(lambda s, name=name: senders.add_app_password(s, JOE, name, actor=OPERATOR, sealer=sealer))
    rows = {row.name: row for row in joe.do(lambda s: senders.app_passwords(s, JOE, actor=OPERATOR))}
    shown = hashlib.sha256(base64.b64decode(rows["phone"].sealed_hash)).hexdigest()[:16]
    before = newest(joe)
    for at in (1_700_000_000, 1_700_090_000, 1_700_050_000):
        assert not tell(source, (b"shown", f"{shown} {JOE}".encode(), b"%d" % at))
    assert newest(joe) == before, "nothing is published for it"
    used = {row.name: row.used_at for row in joe.do(lambda s: senders.app_passwords(s, JOE, actor=OPERATOR))}
    assert used == {"phone": 1_700_090_000, "laptop": None}


@pytest.mark.parametrize("kind", [b"braked", b"shown", b"rehash", b"usage", b"of-a-later-ledger"])
@pytest.mark.parametrize("key", [b"gone@own.test", b"joe@gone.test", b"", b"\xff"])
def test_a_fact_about_nobody_changes_nothing(joe, source, kind, key):
    """It was removed since; or the ledger knows more than we do."""
    before = newest(joe)
    assert not tell(source, (kind, key, b"12"))
    assert newest(joe) == before


def test_what_the_authenticator_is_told(joe, source):
    """App passwords, an alias's targets with who was given it, and that a tagged mailbox is nobody else's."""
    joe.do(lambda s: senders.add_app_password(s, JOE, "phone", actor=OPERATOR, sealer=SEALER))
    joe.do(lambda s: mailboxes.create(s, "joe+own@own.test", actor=OPERATOR))
    joe.do(lambda s: aliases.create(s, "sales@own.test", [JOE], actor=OPERATOR))
    joe.do(lambda s: senders.give(s, "joe+own@own.test", "sales@own.test", actor=OPERATOR))
    joe.do(lambda s: senders.give(s, JOE, "free@own.test", actor=OPERATOR))
    joe.do(lambda s: sending.change(s, JOE, actor=OPERATOR, per_hour=5))
    with source.reading() as query:
        told = {
            key: unpack_record(octets) for key, octets in [*compiled.app_passwords(query), *compiled.senders(query)]
        }
        limits = {key: unpack_record(octets) for key, octets in compiled.of_mailboxes(query)}
    assert isinstance(told[b"p:joe@own.test"], AppPasswords)
    assert told[b"f:sales@own.test"] == Senders((b"joe@own.test", b"joe+own@own.test"))
    assert told[b"f:joe+own@own.test"] == Senders(())
    assert told[b"f:free@own.test"] == Senders((b"joe@own.test",))
    assert limits == {b"w:joe@own.test": Sending(5)}
    for key, value in told.items():  # one by one it is the same
        assert record(source, key[2:].decode(), 1)[key] == value


def test_what_goes_with_a_mailbox_and_with_a_domain_is_announced(joe, source):
    """Else a mailbox made anew under the name would have the former one's app passwords."""
    joe.do(lambda s: senders.add_app_password(s, JOE, "phone", actor=OPERATOR, sealer=SEALER))
    joe.do(lambda s: senders.give(s, JOE, "free@own.test", actor=OPERATOR))
    before = newest(joe)
    joe.do(lambda s: mailboxes.remove(s, JOE, actor=OPERATOR))
    assert {("senders", JOE), ("senders", "free@own.test")} <= set(news(joe, before))
    assert record(source, JOE, 1)[b"p:joe@own.test"] is None
    assert record(source, "free@own.test", 1)[b"f:free@own.test"] is None
    joe.do(
        lambda s: mailboxes.create(
            s, JOE, actor=OPERATOR, discard=True, sealed_hash=SEALER.seal_password("right horse")
        )
    )
    joe.do(lambda s: senders.add_app_password(s, JOE, "phone", actor=OPERATOR, sealer=SEALER))
    joe.do(lambda s: senders.give(s, JOE, "free@own.test", actor=OPERATOR))
    before = newest(joe)
    joe.do(lambda s: domains.remove(s, "own.test", actor=OPERATOR))
    assert {("senders", JOE), ("senders", "free@own.test"), ("senders", "info@own.test")} <= set(news(joe, before))
    with source.reading() as query:
        assert b"p:joe@own.test" not in dict(compiled.app_passwords(query))
        assert b"f:free@own.test" not in dict(compiled.senders(query))
