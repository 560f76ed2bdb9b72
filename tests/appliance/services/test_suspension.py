"""What stands still where: said by a service, compiled, and judged by directory and authenticator."""

import contextlib
from types import SimpleNamespace

import pytest

from appliance.compile import collect, standing
from appliance.compile.source import open_source
from appliance.errors import Forbidden, Invalid, NotSignedIn
from appliance.services import authorisation, changes, domains, keys, mailboxes, sessions, tenants
from mta.roles.authenticator import judge
from mta.roles.directory.resolve import Resolver
from mta.roles.directory.senders import HostLimits, Senders
from mta.snapshot.records import (
    LOGGING_IN,
    RECEIVING,
    SENDING_OUT,
    Domain,
    Login,
    Mailbox,
    Tenant,
    pack_record,
    unpack_record,
)
from mta.vocabulary import Word
from tests.fixtures.database import OPERATOR

JOE = "joe@own.test"


def in_force(world) -> SimpleNamespace:
    """Whether joe receives, sends and logs in, as the data plane sees it, after everything was compiled."""
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source), source.reading() as query:
        state = collect.state(query)
        rows = list(collect.tenants(query)), list(collect.domains(query))
        records, _ = standing.everything(query, state, *rows, {})
        recipients, credentials = dict(records["recipients"]), dict(records["credentials"])
        change = collect.changes(query, 0, 10_000)
        piecemeal = standing.changed(query, change, state.host_name, {}, is_same_host=True)
    for whole, audience in ((recipients, "recipients"), (credentials, "credentials")):
        for key, value in piecemeal[audience].items():
            assert whole.get(key) == value, key  # However it got there, the same stands there.
    key = JOE.encode()
    return SimpleNamespace(
        receives=Resolver(recipients.get).judge(key).word is Word.ACCEPT,
        sends=Senders(recipients.get, HostLimits()).find(key) is not None,
        queued_goes_on=not Resolver(recipients.get).may_not_send(key),
        logs_in=judge.login_of(b"mailbox", key, credentials.get) is not None,
    )


LEVELS = {
    "mailbox": lambda world: (mailboxes, JOE),
    "domain": lambda world: (domains, "own.test"),
    "customer": lambda world: (tenants, world.customer_id),
    "reseller": lambda world: (tenants, world.reseller_id),
}
PARTS = {
    ("receive",): {"receives"},
    ("send",): {"sends", "queued_goes_on"},
    ("log_in",): {"logs_in"},
    ("receive", "log_in"): {"receives", "logs_in"},
    authorisation.EVERYTHING: {"receives", "sends", "queued_goes_on", "logs_in"},
}


@pytest.fixture
def world(world):
    world.do(lambda s: mailboxes.set_password(s, JOE, "c2VhbGVk", actor=OPERATOR))
    return world


@pytest.mark.parametrize("what", PARTS, ids="+".join)
@pytest.mark.parametrize("level", LEVELS)
def test_each_part_stands_still_on_its_own_and_goes_on_again(world, level, what):
    """At each level, and nothing else does."""
    service, name = LEVELS[level](world)
    world.do(lambda s: service.suspend(s, name, actor=OPERATOR, what=what))
    assert {part for part, works in vars(in_force(world)).items() if not works} == PARTS[what]
    world.do(lambda s: service.resume(s, name, actor=OPERATOR, what=what))
    assert all(vars(in_force(world)).values())


def test_another_name_of_a_domain_takes_no_mail_where_the_domain_takes_none(world):
    """But it does where only log-ins stand still."""
    world.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))
    for what, taken in ((("log_in", "send"), True), (("receive",), False)):
        world.do(lambda s, what=what: domains.suspend(s, "own.test", actor=OPERATOR, what=what))
        source = open_source(world.engine.url.render_as_string(hide_password=False))
        with contextlib.closing(source), source.reading() as query:
            rows = list(collect.tenants(query)), list(collect.domains(query))
            found = dict(standing.everything(query, collect.state(query), *rows, {})[0]["recipients"])
        assert (Resolver(found.get).judge(b"joe@other.test").word is Word.ACCEPT) == taken


def test_what_one_has_said_outlives_what_another_says(world):
    """The customer stopped sending; the operator stops all and lets go again: sending stays as the customer left it."""
    world.do(lambda s: domains.suspend(s, "own.test", actor=world.customer, what=["send"]))
    world.do(lambda s: tenants.suspend(s, world.customer_id, actor=OPERATOR))
    world.do(lambda s: domains.suspend(s, "own.test", actor=OPERATOR))
    assert not any(vars(in_force(world)).values())
    world.do(lambda s: tenants.resume(s, world.customer_id, actor=OPERATOR))
    back = world.do(lambda s: domains.resume(s, "own.test", actor=OPERATOR))
    assert back.suspended_for == ["send"]
    found = in_force(world)
    assert (found.receives, found.sends, found.logs_in) == (True, False, True)
    assert world.do(lambda s: domains.resume(s, "own.test", actor=world.customer)).suspended_for == []


def test_each_resumes_what_those_below_him_stopped_and_nothing_above(world):
    """Part by part: what is not held above goes on."""
    world.do(lambda s: mailboxes.suspend(s, JOE, actor=world.domain_admin, what=["send"]))
    world.do(lambda s: mailboxes.suspend(s, JOE, actor=OPERATOR, what=["log_in"]))
    with pytest.raises(Forbidden) as caught:
        world.do(lambda s: mailboxes.resume(s, JOE, actor=world.customer))
    assert caught.value.code == "suspended_above"
    left = world.do(lambda s: mailboxes.resume(s, JOE, actor=world.customer, what=["send"]))
    assert left.suspended_for == ["log_in"]
    with pytest.raises(Forbidden):
        world.do(lambda s: mailboxes.remove(s, JOE, actor=world.customer))


def test_saying_it_again_changes_nothing(world):
    """Neither the row's version nor the feed."""
    first = world.do(lambda s: domains.suspend(s, "own.test", actor=OPERATOR, what=["send"])).version
    before = world.do(changes.newest)
    assert world.do(lambda s: domains.suspend(s, "own.test", actor=OPERATOR, what=["send"])).version == first
    assert world.do(changes.newest) == before


@pytest.mark.parametrize("what", [[], ["fly"], ["send", "fly"]])
def test_only_what_there_is_can_stand_still(world, what):
    """And something has to be named."""
    with pytest.raises(Invalid):
        world.do(lambda s: domains.suspend(s, "own.test", actor=OPERATOR, what=what))


def test_who_may_not_log_in_is_out_at_once_and_who_may_not_send_is_not(world):
    """A session asks each time; a key too."""
    token = world.do(lambda s: sessions.create(s, JOE)).token
    key = world.do(lambda s: keys.create(s, tenant_id=world.customer_id, actor=OPERATOR)).key.public_id
    world.do(lambda s: tenants.suspend(s, world.customer_id, actor=OPERATOR, what=["send", "receive"]))
    assert world.do(lambda s: sessions.find(s, token)).actor.name == JOE
    assert world.do(lambda s: keys.actor_of(s, key)).kind == "customer"
    world.do(lambda s: tenants.suspend(s, world.customer_id, actor=OPERATOR, what=["log_in"]))
    for deed in (lambda s: sessions.find(s, token), lambda s: keys.actor_of(s, key)):
        with pytest.raises(NotSignedIn):
            world.do(deed)


@pytest.mark.parametrize("stops", range(8))
def test_records_keep_what_stands_still(stops):
    """In the one field that always said so; what an older program wrote is understood."""
    for record in (
        Mailbox(b"a@b", b"a", 7, stops=stops, targets=(b"x@y",)),
        Domain(b"1", stops=stops, catch_all=b"x@y"),
        Tenant(b"1", stops=stops, sends_per_day=4),
        Login(b"sealed", suspended=False, domain=b"d", tenant=b"", stops=stops),
    ):
        assert unpack_record(pack_record(record)) == record
    assert {RECEIVING, SENDING_OUT, LOGGING_IN} == {1, 2, 4}
