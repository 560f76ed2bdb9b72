"""Whose a domain is: proved by a record that only its owner can publish, or said by the operator.

A reader would otherwise get wrong: until then a domain can be set up like any other and is in no snapshot. Mail for it goes where
it went before, also from our own customers: naming a domain must never be a way to get another's mail.
"""

import secrets
from collections.abc import Sequence

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden
from appliance.models import Domain, Tenant
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, changes, contents
from appliance.services.actor import Actor

__all__ = ["CLAIM_DAYS", "PREFIX", "begin", "challenge", "is_served", "lapse", "prove", "waive"]

PREFIX = "postern-domain="
CLAIM_DAYS = 7  # for so long a name that nobody has proved is kept for who named it first


def challenge(domain: Domain) -> tuple[str, str]:
    """Name and text of the record (TXT) that proves it."""
    return f"_postern-challenge.{domain.name}", f"{PREFIX}{domain.claim}"


def begin(session: Session, domain: Domain, actor: Actor) -> None:
    """A new domain: proved when the operator makes it, or its tenant may do without, or what stands above it in DNS is proved."""
    domain.claim = secrets.token_hex(16)
    # A row that is not written yet has no tenant_id, only a tenant.
    is_known = actor.sees_everything or _may_skip(session, domain.tenant.id) or _is_below_own(session, domain)
    domain.proved_at = now() if is_known else None


def _may_skip(session: Session, tenant_id: int) -> bool:
    tenants = [session.get_one(Tenant, number) for number in authorisation.upward(session, tenant_id)]
    return any(tenant.skips_proof for tenant in tenants)


def _is_below_own(session: Session, domain: Domain) -> bool:
    labels = domain.name.split(".")
    above = [".".join(labels[start:]) for start in range(1, len(labels) - 1)]
    wanted = select(Domain.id).where(
        Domain.name.in_(above), Domain.tenant_id == domain.tenant.id, Domain.proved_at.is_not(None)
    )
    return session.scalar(wanted.limit(1)) is not None


def is_served(domain: Domain | None) -> bool:
    """Is it one of ours, as far as mail goes?"""
    return domain is not None and domain.proved_at is not None


def prove(session: Session, domain: Domain, texts: Sequence[str], *, actor: Actor) -> None:
    """Take the domain in, when one of *texts* - what stands in DNS under `challenge` - is the one wanted. Again: nothing changes.

    Raises:
        Conflict: it is not there.
    """
    if domain.proved_at is not None:
        return
    name, text = challenge(domain)
    if text not in [found.strip() for found in texts]:
        raise Conflict(f'{name} has no TXT record "{text}" yet', code="not_proved")
    _take_in(session, domain, actor, "domain.proved")


def waive(session: Session, domain: Domain, *, actor: Actor) -> None:
    """Take it in on the operator's word.

    Raises:
        Forbidden: somebody else asks.
    """
    if not actor.sees_everything:
        raise Forbidden("only the operator may do without a proof", code="operators_word")
    if domain.proved_at is None:
        _take_in(session, domain, actor, "domain.proof_waived")


def _take_in(session: Session, domain: Domain, actor: Actor, action: str) -> None:
    domain.proved_at = now()
    domain.version += 1
    session.flush()
    addresses.take_over_targets(session, domain.name)
    addresses.refuse_revived_rings(session, domain.name)
    contents.announce(session, domain)
    audit.record(session, actor, action, domain.name, tenant_id=domain.tenant_id, domain_id=domain.id)


def lapse(session: Session, domain: Domain, actor: Actor, tenant_id: int) -> bool:
    """Make room for who names it now: a claim that was never proved goes when the operator wants the name, or it is old."""
    if domain.proved_at is not None or domain.tenant_id == tenant_id:
        return False
    if not actor.sees_everything and domain.created_at > now() - CLAIM_DAYS * 86400:
        return False
    contents.remove(session, domain)
    changes.trash_store(session, domain.name)
    audit.record(session, actor, "domain.claim_lapsed", domain.name, tenant_id=domain.tenant_id, domain_id=domain.id)
    session.flush()
    session.delete(domain)
    session.flush()
    return True
