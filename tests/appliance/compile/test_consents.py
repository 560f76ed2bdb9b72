"""Who is written to for his consent, and how often."""

import contextlib

import pytest
from sqlalchemy import select

from appliance.compile import consents as consents_of_compiler
from appliance.compile.consents import MAX_A_DAY_FOR_ONE, MAX_A_DAY_TO_ONE, MAX_AN_HOUR, Consents
from appliance.compile.source import open_source
from appliance.models import ConsentRequest
from appliance.models.base import now
from appliance.services import aliases, consents, domains, forwardings
from mta.wire import messages as m
from mta.wire.tickets import consent_authority_holds
from tests.fakes.desk import Desk, Wire
from tests.fixtures.database import OPERATOR

KEY, PANEL = b"c" * 32, "https://mail.example.net"
JOE, ANN = "joe@own.test", "Ann@away.example"


@pytest.fixture
def desk(world):
    source = open_source(world.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source):
        desk = Desk(source, "bouncer")
        desk.consents = Consents(desk, KEY, PANEL)
        yield desk


def forward(world, *targets, actor=None):
    world.do(lambda s: forwardings.put(s, JOE, targets, actor=actor or world.owner))


def asked(desk):
    """Whom the bouncer is asked to write to now, one after another; it does."""
    desk.consents.look()
    written = 0
    while written < len(desk.told):
        desk.consents.answered(Wire(), (m.Noticed(desk.told[written].tag, True), ()))
        written += 1
    told, desk.told = desk.told, []
    return told


def test_whoever_waits_is_asked_once_with_a_link_that_is_good(world, desk):
    """By an authority for him alone; the link is the panel's, and saying yes there is enough."""
    forward(world, ANN)
    (message,) = asked(desk)
    assert (message.target, message.holder) == (ANN.encode(), JOE.encode())
    assert consent_authority_holds(KEY, message.authority, message.target, message.until, now())
    where, token = message.link.decode().rsplit("/", 1)
    assert where == f"{PANEL}/consent"
    assert desk.events == [("consent-asked", {"target": ANN, "holder": JOE})]
    assert asked(desk) == []
    world.do(lambda s: consents.agree(s, token, source=""))
    assert world.do(lambda s: forwardings.get(s, JOE, actor=world.owner).waiting) == []


@pytest.mark.parametrize("why", ["not done", "bouncer away", "bouncer lost"])
def test_what_could_not_be_written_is_tried_again(world, desk, why):
    """Nothing is noted as sent before it is."""
    forward(world, ANN)
    desk.is_there = why != "bouncer away"
    desk.consents.look()
    if why == "not done":
        desk.consents.answered(Wire(), (m.Noticed(desk.told[0].tag, False), ()))
    elif why == "bouncer lost":
        desk.consents.lost()
    desk.is_there, desk.told = True, []
    assert len(asked(desk)) == 1
    assert len(desk.events) == 1


def test_who_needs_not_be_asked_any_more_is_not(world, desk):
    """Removed, agreed by the operator, or in a domain that nobody proved."""
    forward(world, ANN)
    forward(world, ANN, actor=OPERATOR)
    world.do(lambda s: aliases.create(s, "x@own.test", [ANN], actor=world.customer))
    world.do(lambda s: aliases.remove(s, "x@own.test", actor=world.customer))
    world.do(lambda s: domains.create(s, "claimed.test", actor=world.customer))
    world.do(lambda s: aliases.create(s, "x@claimed.test", [ANN], actor=world.customer))
    assert len(world.do(lambda s: list(s.scalars(select(ConsentRequest))))) == 3
    assert asked(desk) == []


def test_nobody_is_written_to_more_than_a_few_times_a_day(world, desk):
    """Whoever wants it: there may be as many aliases as one likes. The rest waits for tomorrow."""
    for number in range(MAX_A_DAY_TO_ONE + 2):
        world.do(lambda s, number=number: aliases.create(s, f"x{number}@own.test", [ANN], actor=world.customer))
    assert len(asked(desk)) == MAX_A_DAY_TO_ONE

    def age(session):
        for row in session.scalars(select(ConsentRequest).where(ConsentRequest.sent_at.is_not(None))):
            row.sent_at -= consents_of_compiler.DAY_SECONDS

    world.do(age)
    assert len(asked(desk)) == 2


@pytest.mark.parametrize(
    ("most", "tenant"), [(MAX_A_DAY_FOR_ONE, "own"), (MAX_AN_HOUR, "another's")], ids=["tenant", "all"]
)
def test_neither_one_tenant_nor_all_together_have_more_written_than_that(world, desk, most, tenant):
    """One short of it, one goes out and one waits."""
    forward(world, ANN, "bob@away.example")
    tenant_id = world.customer_id if tenant == "own" else world.foreign_customer_id

    def fill(session):
        for number in range(most - 1):
            session.add(
                ConsentRequest(
                    kind="alias", holder_id=0, target=f"t{number}@x.example", tenant_id=tenant_id, sent_at=now()
                )
            )

    world.do(fill)
    assert len(asked(desk)) == 1


def test_a_peer_that_says_something_else_is_hung_up_on_and_without_a_key_nobody_is_asked(world, desk):
    """An appliance whose supervisor is older hands none out."""
    wire = Wire()
    desk.consents.answered(wire, (m.Poke(), ()))
    assert wire.closed
    forward(world, ANN)
    Consents(desk, b"", PANEL).look()
    assert desk.told == []
    desk.consents.begin()
    assert len(desk.told) == len(desk.calls) == 1
