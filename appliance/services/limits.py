"""Limits of tenants and domains, checked at every level upward in the transaction that would exceed them.

A reader would otherwise get wrong: the count is taken while the write lock is held, so two requests cannot both take the
last place. It is taken only for levels that have a limit: where none is set, a creation costs the same at any size. What a
tenant does not say itself, its plan says. Of storage, quotas are counted and not octets: what is promised must be there.
Patterns count as aliases.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, any_, func, select
from sqlalchemy.orm import InstrumentedAttribute

from appliance.database.session import Session
from appliance.errors import Invalid, LimitReached
from appliance.models import Alias, Domain, Forwarding, Mailbox, Pattern, Tenant
from appliance.services.authorisation import subtree, upward

STORAGE = "storage_bytes"
IN_DOMAINS = ("mailboxes", "aliases", "forwards", STORAGE)
NOUNS = ("domains", *IN_DOMAINS)
OF_TENANTS = tuple(f"max_{noun}" for noun in NOUNS)
OF_DOMAINS = tuple(f"max_{noun}" for noun in IN_DOMAINS)
MOST = {"max_storage_bytes": 1 << 60, "default_quota_bytes": 1 << 50}  # others are numbers of things
_WORDS = {STORAGE: "storage"}


def require_room(session: Session, tenant_id: int, noun: str, wanted: int = 1, *, domain: Domain | None = None) -> None:
    """Go on when *wanted* more *noun* fit into *domain* and at every level from the tenant upward.

    Raises:
        LimitReached: at one of them they do not.
    """
    room = room_for(session, tenant_id, noun, domain=domain)
    if wanted > room.left:
        raise room.refusal


def require_storage(session: Session, domain: Domain, quota_bytes: int, before: int = 0) -> None:
    """Go on when a mailbox of *domain* may have this quota instead of *before*.

    Raises:
        LimitReached: it does not fit; where there is any limit of storage, none (0) does not either.
    """
    if quota_bytes != before or not quota_bytes:
        room_for(session, domain.tenant_id, STORAGE, domain=domain).take_quota(quota_bytes, before)


def require_move(session: Session, domain: Domain, tenant_id: int, noun: str) -> None:
    """Go on when what the domain has of *noun* fits at the levels that are above its new tenant and were not above it before.

    Raises:
        LimitReached: it does not.
    """
    room = room_for(session, tenant_id, noun, spared=upward(session, domain.tenant_id))
    if math.isinf(room.left):
        return
    if noun == STORAGE:
        without = select(Mailbox.id).where(Mailbox.domain_id == domain.id, Mailbox.quota_bytes == 0).limit(1)
        if session.scalar(without) is not None:
            room.take_quota(0)
    if (1 if noun == "domains" else count_in(session, domain, noun)) > room.left:
        raise room.refusal


@dataclass(slots=True)
class Room:
    """How many more fit, and what whoever wants more than that is told."""

    left: float
    refusal: LimitReached

    def take_quota(self, quota_bytes: int, before: int = 0) -> None:
        """Let a mailbox have it.

        Raises:
            LimitReached: it does not fit.
        """
        if math.isinf(self.left):
            return
        if not quota_bytes:
            raise LimitReached(
                "where storage is limited, a mailbox has a quota", code="quota_wanted", field="quota_bytes"
            )
        if quota_bytes - before > self.left:
            raise self.refusal
        self.left -= quota_bytes - before


def room_for(
    session: Session, tenant_id: int, noun: str, *, domain: Domain | None = None, spared: Collection[int] = ()
) -> Room:
    """How many more *noun* fit into *domain*, and at every level from the tenant upward but the *spared* ones."""
    least, whose = math.inf, "your"
    if domain is not None:
        limit = getattr(domain, f"max_{noun}")
        if limit is not None:
            least, whose = _left(limit, session, noun, Domain.id == domain.id), "the domain's"
    for level in upward(session, tenant_id):
        if level in spared:
            break  # and so are all above it
        limit = limit_of(session.get_one(Tenant, level), f"max_{noun}")
        if limit is None:
            continue
        left = _left(limit, session, noun, Domain.tenant_id.in_(subtree(level)))
        if left < least:
            # Not whose limit: a customer need not learn how much his reseller bought.
            least, whose = left, "your" if level == tenant_id else "your provider's"
    called = _WORDS.get(noun, noun)
    return Room(least, LimitReached(f"{whose} limit of {called} is reached", code=f"limit_{called}"))


def _left(limit: int, session: Session, noun: str, where: ColumnElement[bool]) -> float:
    return max(0, limit - _count(session, noun, where))


def limit_of(tenant: Tenant, name: str) -> int | None:
    """What holds for the tenant: its own word, else its plan's; None is no limit."""
    own: int | None = getattr(tenant, name)
    return own if own is not None or tenant.plan is None else getattr(tenant.plan, name)


def default_quota(session: Session, domain: Domain, otherwise: int) -> int:
    """Of a mailbox that is made without one: what the plan of the nearest tenant upward says."""
    for level in upward(session, domain.tenant_id):
        plan = session.get_one(Tenant, level).plan
        if plan is not None and plan.default_quota_bytes is not None:
            return plan.default_quota_bytes
    return otherwise


def count(session: Session, tenant_id: int, noun: str) -> int:
    """How many *noun* (of storage: octets of quota) the tenant and all below it have."""
    return _count(session, noun, Domain.tenant_id.in_(subtree(tenant_id)))


def count_in(session: Session, domain: Domain, noun: str) -> int:
    """How many *noun* the domain has."""
    return _count(session, noun, Domain.id == domain.id)


def _count(session: Session, noun: str, where: ColumnElement[bool]) -> int:
    own = select(Domain.id).where(where)

    def is_own(domain_id: InstrumentedAttribute[int]) -> ColumnElement[bool]:
        if session.get_bind().dialect.name == "postgresql":
            # It takes a tree of tenants for nearly all there are, and reads every mailbox; an array it looks up, one by one.
            return domain_id == any_(func.array(own.scalar_subquery()))
        return domain_id.in_(own)

    if noun == "domains":
        wanted = select(func.count()).select_from(Domain).where(where)
    elif noun == STORAGE:
        wanted = select(func.sum(Mailbox.quota_bytes)).where(is_own(Mailbox.domain_id))
    elif noun == "forwards":
        wanted = select(func.count()).select_from(Forwarding).join(Mailbox, Mailbox.id == Forwarding.mailbox_id)
        wanted = wanted.where(is_own(Mailbox.domain_id))
    elif noun == "mailboxes":
        wanted = select(func.count()).select_from(Mailbox).where(is_own(Mailbox.domain_id))
    else:
        patterns = select(func.count()).select_from(Pattern).where(is_own(Pattern.domain_id)).scalar_subquery()
        wanted = select(func.count() + patterns).select_from(Alias).where(is_own(Alias.domain_id))
    return int(session.scalar(wanted) or 0)


def check(limits: dict[str, int | None]) -> None:
    """Go on when each limit is None or a number that makes sense.

    Raises:
        Invalid: one is not.
    """
    for name, value in limits.items():
        most = MOST.get(name, 1_000_000_000)
        if value is not None and not 0 <= value <= most:
            raise Invalid(f"{name} is a number from 0 to {most}, or none", field=name)
