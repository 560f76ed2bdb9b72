"""How much a mailbox, a domain or a tenant may send, whether any address will do, and the hijack brake.

A reader would otherwise get wrong: nothing here counts. The ledger does, from the moment a limit is published, and goes on
when the database is away. Limits above a mailbox hold for all that is below them together.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid
from appliance.models import Domain, Mailbox, Sending, Tenant
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, changes, holders
from appliance.services.actor import Actor
from appliance.services.common import UNCHANGED, Unchanged

__all__ = ["UNCHANGED", "Standing", "braked", "change", "release", "show"]

MAX_RECIPIENTS = 1_000_000_000
Owner = Mailbox | Domain | Tenant


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for one of them."""

    subject: str
    per_hour: int | None  # recipients; 0: no limit; None: for a mailbox the host's, else none
    per_day: int | None
    any_address: bool
    brake: bool
    braked_at: int | None
    brake_reason: str
    version: int


def show(session: Session, subject: str, *, actor: Actor) -> Standing:
    """What holds for *subject*: an address, a domain's name, or a tenant's id.

    Raises:
        Invalid: none of these.
        NotFound: it is not in the actor's part.
    """
    owner = _find(session, actor, "see", subject)
    return _standing(owner, _row(session, owner))


def change(
    session: Session,
    subject: str,
    *,
    actor: Actor,
    per_hour: int | Unchanged | None = UNCHANGED,
    per_day: int | Unchanged | None = UNCHANGED,
    any_address: bool | None = None,
    brake: bool | None = None,
) -> Standing:
    """Change what is given.

    Raises:
        Invalid: a number that makes no sense.
        Conflict: a word about what *subject* has not.
        NotFound, Forbidden: it is not the actor's to change.
    """
    owner = _find(session, actor, "update", subject)
    if any_address is not None and not isinstance(owner, Domain):
        raise Conflict("only a domain lets its mailboxes write as any address of it", field="any_address")
    if brake is not None and not isinstance(owner, Mailbox):
        raise Conflict("the brake is a mailbox's; the host's stands in the settings file", field="brake")
    row = _row(session, owner) or _make(session, owner)
    before = _describe(row)
    if not isinstance(per_hour, Unchanged):
        row.per_hour = _checked(per_hour, "per_hour")
    if not isinstance(per_day, Unchanged):
        row.per_day = _checked(per_day, "per_day")
    row.any_address = row.any_address if any_address is None else any_address
    row.brake = row.brake if brake is None else brake
    before, after = audit.difference(before, _describe(row))
    if after:
        row.version += 1
        _tell(session, actor, "sending.changed", owner, before, after)
    return _standing(owner, row)


def release(session: Session, address: str, *, actor: Actor) -> Standing:
    """Let the braked mailbox send again; what it queued meanwhile waits for `postern queue`.

    Raises:
        Invalid: a malformed address.
        NotFound, Forbidden: it is not the actor's; its own owner may not either.
        Conflict: it is not braked.
    """
    mailbox = holders.find(session, actor, "mailbox.suspend", Mailbox, address)
    row = _row(session, mailbox)
    if row is None or row.braked_at is None:
        raise Conflict(f"{addresses.show(mailbox.address)} is not braked", code="not_braked")
    before = {"why": row.brake_reason}
    # A clock that was put back must not make this release older than the brake.
    row.released_at, row.braked_at, row.brake_reason = max(now(), row.braked_at), None, ""
    row.version += 1
    _tell(session, actor, "sending.released", mailbox, before, {})
    return _standing(mailbox, row)


def _find(session: Session, actor: Actor, action: str, subject: str) -> Owner:
    if "@" in subject:
        return holders.find(session, actor, f"mailbox.{action}", Mailbox, subject)
    if subject.isdigit():
        tenant = session.get(Tenant, int(subject)) if len(subject) < 19 else None
        return authorisation.require(session, actor, f"tenant.{action}", tenant, f"tenant {subject}")
    label = addresses.parse_domain(subject)
    # Whoever may suspend a domain may limit it, and its own administrator may neither.
    right = "domain.see" if action == "see" else "domain.suspend"
    return authorisation.require(session, actor, right, addresses.domain_named(session, label), f"domain {label}")


def _row(session: Session, owner: Owner) -> Sending | None:
    return session.scalar(select(Sending).where(getattr(Sending, _column(owner)) == owner.id))


def _make(session: Session, owner: Owner) -> Sending:
    row = Sending(**{_column(owner): owner.id})
    row.any_address, row.brake, row.brake_reason, row.released_at, row.version = False, True, "", 0, 1
    session.add(row)
    session.flush()
    return row


def _column(owner: Owner) -> str:
    return f"{type(owner).__name__.lower()}_id"


def _checked(number: int | None, field: str) -> int | None:
    if number is not None and not 0 <= number <= MAX_RECIPIENTS:
        raise Invalid(f"{field} is a number of recipients from 0 (no limit) to {MAX_RECIPIENTS}", field=field)
    return number


def _describe(row: Sending) -> dict[str, Any]:
    return {"per_hour": row.per_hour, "per_day": row.per_day, "any_address": row.any_address, "brake": row.brake}


def _standing(owner: Owner, row: Sending | None) -> Standing:
    subject = owner.name if not isinstance(owner, Mailbox) else addresses.show(owner.address)
    if row is None:
        return Standing(subject, None, None, any_address=False, brake=True, braked_at=None, brake_reason="", version=0)
    return Standing(
        subject, row.per_hour, row.per_day, row.any_address, row.brake, row.braked_at, row.brake_reason, row.version
    )


def _tell(
    session: Session, actor: Actor, action: str, owner: Owner, before: dict[str, Any], after: dict[str, Any]
) -> None:
    if isinstance(owner, Tenant):
        audit.record(session, actor, action, owner.name, tenant_id=owner.id, before=before, after=after)
        changes.announce(session, changes.TENANT, str(owner.id))
        return
    domain = owner.domain if isinstance(owner, Mailbox) else owner
    subject = addresses.key_of(owner.address) if isinstance(owner, Mailbox) else owner.name
    audit.record(
        session, actor, action, subject, tenant_id=domain.tenant_id, domain_id=domain.id, before=before, after=after
    )
    changes.announce(session, changes.SENDERS if isinstance(owner, Mailbox) else changes.DOMAIN, subject)


def braked(session: Session, *, actor: Actor, limit: int = 100) -> list[Standing]:
    """Braked mailboxes in the actor's part."""
    # Not joined: a planner that has seen no braked one yet would go through all mailboxes to find one.
    braked = select(Sending.mailbox_id).where(Sending.braked_at.is_not(None))
    wanted = select(Mailbox).where(Mailbox.id.in_(braked))
    found = session.scalars(authorisation.restrict(wanted, actor, Mailbox).limit(limit)).unique()
    return [_standing(mailbox, _row(session, mailbox)) for mailbox in found]
