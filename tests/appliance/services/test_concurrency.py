"""Many at once: a name has one holder, and the last place of a limit is taken once."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, func, select

from appliance.database.session import Session, unit_of_work
from appliance.errors import LimitReached, Refused, Taken
from appliance.models import Alias, Domain, Mailbox
from appliance.services import aliases, domains, mailboxes, many_mailboxes, tenants
from appliance.services.many_mailboxes import NewMailbox
from tests.fixtures.database import OPERATOR

CLIENTS = 20
ROOM = 7


def at_once(engine: Engine, acts: list[Callable[[Session], object]]) -> list[object]:
    """What each of *acts*, begun at the same moment in a transaction of its own, came to: its value or its refusal."""
    outcomes: list[object] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(number: int) -> None:
        barrier.wait()
        try:
            with unit_of_work(engine) as session:
                outcomes[number] = acts[number](session)
        except Refused as refusal:
            outcomes[number] = refusal

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.fixture
def shop(engine: Engine) -> int:
    """A customer with a domain and room for ROOM of everything."""
    with unit_of_work(engine) as session:
        tenant = tenants.create(
            session, "shop", actor=OPERATOR, max_domains=ROOM + 1, max_mailboxes=ROOM, max_aliases=ROOM
        )
        domains.create(session, "shop.test", actor=OPERATOR, tenant_id=tenant.id)
        return tenant.id


def test_an_address_has_one_holder(engine: Engine, shop: int) -> None:
    """Mailboxes, aliases and batches after the same name in all its forms."""
    target = ["postmaster@mx.example.test"]
    acts: list[Callable[[Session], object]] = []
    for number in range(CLIENTS):
        name = ("Anna@shop.test", "ANNA@Shop.test", "anna@shop.test")[number % 3]
        acts.append(
            (
                lambda session, name=name: mailboxes.create(session, name, actor=OPERATOR),
                lambda session, name=name: aliases.create(session, name, target, actor=OPERATOR),
                lambda session, name=name: many_mailboxes.create_each(session, [NewMailbox(name)], actor=OPERATOR)[0],
            )[number % 3]
        )
    outcomes = at_once(engine, acts)
    assert sum(isinstance(outcome, Taken) for outcome in outcomes) == CLIENTS - 1, outcomes
    with unit_of_work(engine) as session:
        held = [
            session.scalar(select(func.count()).select_from(kind).where(kind.folded == "anna"))
            for kind in (Mailbox, Alias)
        ]
    assert sum(held) == 1


def test_a_domain_has_one_owner(engine: Engine, shop: int) -> None:
    acts = [
        lambda session, name=name: domains.create(session, name, actor=OPERATOR, tenant_id=shop)
        for name in ("new.test", "NEW.test") * (CLIENTS // 2)
    ]
    outcomes = at_once(engine, acts)
    assert sum(isinstance(outcome, Taken) for outcome in outcomes) == CLIENTS - 1, outcomes


@pytest.mark.parametrize("noun", ["domains", "mailboxes", "aliases", "batches"])
def test_the_last_place_is_taken_once(engine: Engine, shop: int, noun: str) -> None:
    target = ["postmaster@mx.example.test"]

    def act(number: int) -> Callable[[Session], object]:
        name = f"n{number}@shop.test"
        return {
            "domains": lambda session: domains.create(session, f"n{number}.test", actor=OPERATOR, tenant_id=shop),
            "mailboxes": lambda session: mailboxes.create(session, name, actor=OPERATOR),
            "aliases": lambda session: aliases.create(session, name, target, actor=OPERATOR),
            "batches": lambda session: many_mailboxes.create_each(session, [NewMailbox(name)], actor=OPERATOR)[0],
        }[noun]

    outcomes = at_once(engine, [act(number) for number in range(CLIENTS)])
    assert sum(isinstance(outcome, LimitReached) for outcome in outcomes) == CLIENTS - ROOM, outcomes
    kind, there = {"domains": (Domain, ROOM + 1), "aliases": (Alias, ROOM)}.get(noun, (Mailbox, ROOM))
    own = (
        Domain.tenant_id == shop
        if kind is Domain
        else kind.domain_id.in_(select(Domain.id).where(Domain.tenant_id == shop))
    )
    with unit_of_work(engine) as session:
        assert session.scalar(select(func.count()).select_from(kind).where(own)) == there
