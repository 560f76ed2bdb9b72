"""A tenant's limits, checked at every level upward in the transaction that would exceed them.

A reader would otherwise get wrong: the count is taken while the write lock is held, so two requests cannot both take the
last place. It is taken only for levels that have a limit: where none is set, a creation costs the same at any size.
"""

import math
from dataclasses import dataclass

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Invalid, LimitReached
from appliance.models import Alias, Domain, Mailbox, Tenant
from appliance.services.authorisation import subtree, upward


def require_room(session: Session, tenant_id: int, noun: str, wanted: int = 1) -> None:
    """Go on when *wanted* more *noun* fit at every level from the tenant upward.

    Raises:
        LimitReached: at one of them they do not.
    """
    room = room_for(session, tenant_id, noun)
    if wanted > room.left:
        raise room.refusal


@dataclass(frozen=True, slots=True)
class Room:
    """How many more fit, and what whoever wants more than that is told."""

    left: float
    refusal: LimitReached


def room_for(session: Session, tenant_id: int, noun: str) -> Room:
    """How many more *noun* fit at every level from the tenant upward."""
    least, whose = math.inf, "your"
    for level in upward(session, tenant_id):
        limit = getattr(session.get_one(Tenant, level), f"max_{noun}")
        left = math.inf if limit is None else max(0, limit - count(session, level, noun))
        if left < least:
            # Not whose limit: a customer need not learn how much his reseller bought.
            least, whose = left, "your" if level == tenant_id else "your provider's"
    return Room(least, LimitReached(f"{whose} limit of {noun} is reached", code=f"limit_{noun}"))


def count(session: Session, tenant_id: int, noun: str) -> int:
    """How many *noun* (domains, mailboxes, aliases) the tenant and all below it have."""
    tenants = subtree(tenant_id)
    if noun == "domains":
        counted = select(func.count()).select_from(Domain).where(Domain.tenant_id.in_(tenants))
    else:
        model = Mailbox if noun == "mailboxes" else Alias
        own = select(Domain.id).where(Domain.tenant_id.in_(tenants))
        counted = select(func.count()).select_from(model).where(model.domain_id.in_(own))
    return session.scalar(counted) or 0


def check(limits: dict[str, int | None]) -> None:
    """Go on when each limit is None or a number that makes sense.

    Raises:
        Invalid: one is not.
    """
    for name, value in limits.items():
        if value is not None and not 0 <= value <= 1_000_000_000:
            raise Invalid(f"{name} is a number from 0 to 1000000000, or none", field=name)
