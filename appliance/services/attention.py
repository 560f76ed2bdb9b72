"""What somebody should look at in his part of the house, for the page that he sees first.

A reader would otherwise get wrong: it is a look, not a watch. Each question is bounded and asked of an index, so that the page is
there at once with a million mailboxes; what takes counting - messages - is `traffic`.
"""

import re
from dataclasses import dataclass

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.models import Certificate, Domain, Tenant, Webhook
from appliance.models.base import now
from appliance.services import authorisation, dns_checks, limits, sending, tenants
from appliance.services.actor import Actor
from appliance.services.isolation import OFTEN, RECENT_SECONDS, House

MOST = 20  # of one kind
ENDING_SECONDS = 21 * 24 * 3600
NEAR = 0.9  # of a limit
_BACKSCATTER = re.compile(r"^postern_backscatter_total(?:\{[^}]*\})? (\d{1,15})(?:\.0)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Need:
    """One thing. *kind*: what is the matter; *subject*: with whom; *number*: how much of it, or when."""

    kind: str  # braked, dns, unproved, unguarded, ending, near, webhook; of the house: wall, down, restarting, silent, backscatter
    subject: str
    number: int = 0
    of: int = 0
    parts: tuple[tuple[str, int], ...] = ()  # of dns: how many domains lack each kind of record


def needs(session: Session, *, actor: Actor) -> list[Need]:
    """What wants to be looked at, the most pressing first."""
    found = [
        Need("braked", row.subject, row.braked_at or 0) for row in sending.braked(session, actor=actor, limit=MOST)
    ]
    found += _certificates(session, actor)
    found += _zones(session, actor)
    found += _domains(session, actor)
    found += _webhooks(session, actor)
    return found + _limits(session, actor)


def of_house(house: House) -> list[Need]:
    """The same of the processes: walls that do not stand, roles that do not serve or keep ending."""
    found = [Need("wall", room.name) for room in house.alarms]
    for room in house.rooms:
        if room.is_down:
            found.append(Need("down", room.name))
        elif any(one.restarts >= OFTEN and one.since > now() - RECENT_SECONDS for one in room.processes):
            found.append(Need("restarting", room.name, max(process.restarts for process in room.processes)))
    return found


def of_figures(figures: str) -> list[Need]:
    """The same of what the journal counted since it started: it says `postern_backscatter_total 3`."""
    found = sum(int(count) for count in _BACKSCATTER.findall(figures))
    return [Need("backscatter", "", found)] if found else []


def _certificates(session: Session, actor: Actor) -> list[Need]:
    wanted = authorisation.restrict(select(Certificate), actor, Certificate)
    wanted = wanted.where(Certificate.not_after < now() + ENDING_SECONDS).order_by(Certificate.not_after).limit(MOST)
    return [
        Need("ending", ", ".join(name.name for name in row.rows[:3]), row.not_after) for row in session.scalars(wanted)
    ]


def _zones(session: Session, actor: Actor) -> list[Need]:
    """One line for all domains: when the host's name changes, it is every one of them."""
    found = dns_checks.tally(session, actor=actor)
    count = found.pop(dns_checks.WRONG, 0)
    return [Need("dns", "", count, parts=tuple(found.items()))] if count else []


def _domains(session: Session, actor: Actor) -> list[Need]:
    mine = authorisation.restrict(select(Domain), actor, Domain)
    unproved = mine.where(Domain.proved_at.is_(None)).order_by(Domain.id).limit(MOST)
    unguarded = mine.where(Domain.validation == "off").order_by(Domain.id).limit(MOST)
    return [
        *(Need("unguarded", row.name) for row in session.scalars(unguarded)),
        *(Need("unproved", row.name, row.created_at) for row in session.scalars(unproved)),
    ]


def _webhooks(session: Session, actor: Actor) -> list[Need]:
    wanted = authorisation.restrict(select(Webhook), actor, Webhook)
    wanted = wanted.where((Webhook.disabled_why != "") | Webhook.failing_since.is_not(None)).limit(MOST)
    return [Need("webhook", row.url, row.failing_since or 0) for row in session.scalars(wanted)]


def _limits(session: Session, actor: Actor) -> list[Need]:
    """Of the actor's own tenant. Only what is limited is counted."""
    if actor.sees_everything or actor.tenant_id is None or actor.kind == "domain":
        return []
    tenant: Tenant = tenants.own(session, actor)
    found = []
    for noun in limits.NOUNS:
        limit = limits.limit_of(tenant, f"max_{noun}")
        used = limits.count(session, tenant.id, noun) if limit else 0
        if limit and used >= limit * NEAR:
            found.append(Need("near", noun, used, limit))
    return found


def sums(session: Session, *, actor: Actor) -> dict[str, int]:
    """How many domains, and tenants below his own, there are in the actor's part."""
    told = {}
    for noun, model in (("domains", Domain), ("tenants", Tenant)):
        told[noun] = session.scalar(authorisation.restrict(select(func.count(model.id)), actor, model)) or 0
    return told
