"""Who may do what, to what: the one place where it is judged.

A reader would otherwise get wrong: there are two questions. *Is it in his part of the house?* If not, the answer is the same
as for what does not exist (`NotFound`), or a customer could learn by asking who else is hosted here. *May he do this to it?*
Only then is the answer `Forbidden`. Both are answered from the tables below; an action that is not in them is not allowed.

And nobody gains power over somebody who ranks above him: whose mailbox it is may hold more than the mailbox (an
appointment), and then his password, his forwarding, his very address are no longer for those to change who merely manage the
domain that it happens to stand in.
"""

import enum
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from sqlalchemy import CompoundSelect, Select, and_, bindparam, false, or_, select
from sqlalchemy.orm import object_session
from sqlalchemy.sql.elements import ColumnElement

from appliance.database.session import Session
from appliance.errors import Forbidden, Invalid, NotFound
from appliance.models import (
    Account,
    Alias,
    ApiKey,
    Appointment,
    AuditEntry,
    Certificate,
    Domain,
    Job,
    Mailbox,
    Plan,
    Removal,
    Tenant,
    Webhook,
)
from appliance.services.actor import Actor, Part
from mta.vocabulary import fold_local_part

Target = (
    Tenant | Domain | Mailbox | Alias | Account | Appointment | ApiKey | Certificate | Job | Plan | Webhook | Removal
)
S = TypeVar("S", bound=Select[Any])
T = TypeVar("T", Tenant, Domain, Mailbox, Alias, Account, Appointment, ApiKey, Certificate, Job, Plan, Webhook, Removal)


class Reach(enum.Enum):
    """How far a right goes within an actor's part."""

    OWN = enum.auto()  # his own and everything below
    BELOW = enum.auto()  # only below: nobody suspends or enlarges himself


_SEEN_IN_A_DOMAIN = (
    "domain.see",
    "mailbox.see",
    "alias.see",
    "forwarding.see",
    "autoreply.see",
    "pattern.see",
    "disposable.see",
    "rule.see",
    "recipient.see",
    "message.see",
    "removal.see",
)
# What a domain administrator may be given or denied; he sees his domain in any case.
DOMAIN_RIGHTS: dict[str, tuple[str, ...]] = {
    "settings": ("domain.update",),
    "mailboxes": ("mailbox.create", "mailbox.update", "mailbox.suspend", "mailbox.remove"),
    "passwords": ("mailbox.password",),
    "aliases": ("alias.create", "alias.update", "alias.remove", "pattern.set", "disposable.set"),
    "forwarding": ("forwarding.set", "autoreply.set"),
    "rules": ("rule.set",),
    "recipients": ("recipient.set",),
}
_IN_A_DOMAIN = (*_SEEN_IN_A_DOMAIN, *(action for several in DOMAIN_RIGHTS.values() for action in several))
_SEEN_IN_A_TENANT = (
    *_SEEN_IN_A_DOMAIN, "tenant.see", "account.see", "key.see", "certificate.see", "plan.see", "event.see", "webhook.see",
    "job.see",
)  # fmt: skip
_IN_A_TENANT = (
    *_IN_A_DOMAIN, *_SEEN_IN_A_TENANT, "domain.create", "domain.suspend", "domain.remove",
    "account.create", "account.update", "account.remove", "key.create", "key.revoke",
    "domain.route",  # where a relayed domain's mail goes on to, and who knows its recipients
    "certificate.install", "certificate.remove", "webhook.set", "job.end",
    "queue.change",  # of what waits: hold, release, try again, take out
    "link.create",  # a link that logs somebody else in, who is his
)  # fmt: skip
# Not for a key with limits: what it made would not have them.
UNLIMITED = frozenset({"key.create", "account.create", "account.update", "link.create", "webhook.set", "support.enter"})
_OF_AN_OWNER = (
    "mailbox.see",
    "message.see",
    "mailbox.password",
    "forwarding.see",
    "forwarding.set",
    "autoreply.see",
    "autoreply.set",
    "pattern.see",
    "pattern.set",
    "disposable.see",
    "disposable.set",
    "rule.see",
    "rule.set",
)
_ABOVE_TENANTS = ("tenant.update", "tenant.suspend", "tenant.remove")
_OF_PLANS = ("plan.create", "plan.update", "plan.remove")

RIGHTS: dict[str, dict[str, Reach]] = {
    "reseller": {
        **dict.fromkeys(_IN_A_TENANT, Reach.OWN),
        "tenant.create": Reach.OWN,  # the target of a creation is what it will stand in: here, its parent
        **dict.fromkeys(_ABOVE_TENANTS, Reach.BELOW),
        **dict.fromkeys(_OF_PLANS, Reach.OWN),
    },
    "customer": dict.fromkeys(_IN_A_TENANT, Reach.OWN),
    "domain": dict.fromkeys(_IN_A_DOMAIN, Reach.OWN),
    "support": dict.fromkeys((*_SEEN_IN_A_TENANT, "support.enter"), Reach.OWN),
    "mailbox": dict.fromkeys(_OF_AN_OWNER, Reach.OWN),
}
ACTIONS = frozenset((*_IN_A_TENANT, *_ABOVE_TENANTS, *_OF_PLANS, "tenant.create", "support.enter"))
LOOKING = frozenset(action for action in ACTIONS if action.endswith(".see"))


_NOUNS: dict[type[Any], str] = {ApiKey: "key", AuditEntry: "event"}  # where the table has another name than the action


def require(session: Session, actor: Actor, action: str, target: T | None, what: str) -> T:
    """*target*, when *actor* may do *action* to it; *what* names it as he called it.

    Raises:
        NotFound: there is none, or not in his part.
        Forbidden: he sees it, and this is not his to do.
    """
    if action not in ACTIONS:
        raise ValueError(f"no such action: {action}")
    if target is None or not _sees(session, actor, target):
        raise NotFound(f"there is no {what}")
    if not _may(session, actor, action, target):
        raise Forbidden(f"you may not do this ({action}) to the {what}")
    return target


def require_operator(actor: Actor, what: str) -> None:
    """Go on when the actor may do everything; *what* is the host's own.

    Raises:
        NotFound: for everybody else it is not there.
    """
    if not actor.sees_everything or actor.actions is not None:
        raise NotFound(f"there is no {what}")


def allows(session: Session, actor: Actor, action: str, target: Target) -> bool:
    """Would `require` let it pass? For pages that show only the buttons that work."""
    return _sees(session, actor, target) and _may(session, actor, action, target)


def _may(session: Session, actor: Actor, action: str, target: Target) -> bool:
    if (actor.actions is not None and action not in actor.actions) or (actor.limited and action in UNLIMITED):
        return False
    if actor.sees_everything:
        return True
    if not any(_part_sees(session, part, target) and _part_may(part, action, target) for part in actor.parts):
        return False
    return action.endswith(".see") or _is_over(session, actor, target)


def _part_may(part: Part, action: str, target: Target) -> bool:
    if part.kind in ("system", "operator"):
        return True
    reach = RIGHTS[part.kind].get(action)
    if part.rights is not None and action not in _SEEN_IN_A_DOMAIN:
        return reach is not None and any(action in DOMAIN_RIGHTS.get(right, ()) for right in part.rights)
    if reach is Reach.BELOW:
        return _tenant_of(target) != part.tenant_id
    return reach is Reach.OWN


def _is_over(session: Session, actor: Actor, target: Target) -> bool:
    """Is everything that the owner of *target* holds besides it in the actor's hands anyway, or is he the owner?"""
    if isinstance(target, Mailbox):
        if any(part.mailbox_id == target.id for part in actor.parts):
            return True
        held = select(Appointment).where(Appointment.mailbox_id == target.id)
    elif isinstance(target, Account):
        if target.kind == "operator":
            return False
        held = select(Appointment).where(Appointment.account_id == target.id)
    else:
        return True
    return all(is_over_appointment(session, actor, row) for row in session.scalars(held).unique())


def is_over_appointment(session: Session, actor: Actor, appointment: Appointment) -> bool:
    """Might the actor have made it?"""
    if appointment.kind == "operator":
        return actor.sees_everything
    place = appointment.domain or appointment.tenant
    return actor.sees_everything or any(
        _part_sees(session, part, place) and _part_may(part, "account.create", place) for part in actor.parts
    )


def _tenant_of(target: Target) -> int:
    if isinstance(target, Tenant):
        return target.id
    if isinstance(target, Mailbox | Alias):
        return target.domain.tenant_id
    return target.tenant_id


def _domain_of(target: Target) -> int | None:
    if isinstance(target, Domain):
        return target.id
    return None if isinstance(target, Tenant | ApiKey | Certificate | Job | Plan | Webhook) else target.domain_id


def _sees(session: Session, actor: Actor, target: Target) -> bool:
    if actor.addresses is not None and not _is_listed(actor.addresses, target):
        return False
    return any(_part_sees(session, part, target) for part in actor.parts)


def _is_listed(addresses: frozenset[str], target: Target) -> bool:
    """Is it one of these addresses or domains, or in one of the domains?"""
    if isinstance(target, Domain):
        return target.name in addresses
    if isinstance(target, Removal):
        return target.key in addresses or target.key.rpartition("@")[2] in addresses
    if isinstance(target, Mailbox | Alias):
        key = f"{fold_local_part(target.local_part)}@{target.domain.name}"
        return key in addresses or target.domain.name in addresses
    return False


def _part_sees(session: Session, part: Part, target: Target) -> bool:
    if part.kind in ("system", "operator"):
        return True
    if part.kind == "mailbox":
        return isinstance(target, Mailbox) and target.id == part.mailbox_id
    if part.kind == "domain":
        # Accounts of the same domain are colleagues, not property.
        is_colleague = isinstance(target, Account | Appointment)
        return not is_colleague and _domain_of(target) == part.domain_id is not None
    return part.tenant_id is not None and part.tenant_id in upward(session, _tenant_of(target))


def upward(session: Session, tenant_id: int) -> list[int]:
    """The tenant's id and those above it, up to the operator's."""
    found: list[int] = []
    current: int | None = tenant_id
    while current is not None and current not in found:
        found.append(current)
        tenant = session.get(Tenant, current)
        current = tenant.parent_id if tenant else None
    return found


def subtree(tenant_id: int, called: str = "subtree") -> Select[int]:
    """Ids of the tenant and all below it; *called* so in a statement that asks for several."""
    tree = select(Tenant.id).where(Tenant.id == tenant_id).cte(called, recursive=True)
    tree = tree.union_all(select(Tenant.id).where(Tenant.parent_id == tree.c.id))
    return select(tree.c.id)


def tenants_of(actor: Actor) -> CompoundSelect[int] | None:
    """Ids of the tenants that make up the actor's part, each once, where it is tenants and nothing less; None: it is another."""
    tops = [part.tenant_id for part in actor.parts if part.kind in ("reseller", "customer")]
    if actor.addresses is not None or len(tops) < len(actor.parts):
        return None
    trees = [subtree(top, f"tenants_{number}") for number, top in enumerate(tops) if top is not None]
    return trees[0].union(*trees[1:]) if len(trees) == len(tops) else None


def restrict(wanted: S, actor: Actor, model: type[Any]) -> S:
    """*wanted*, a select from *model*, less what is not in the actor's part."""
    if actor.actions is not None and f"{_NOUNS.get(model, model.__tablename__)}.see" not in actor.actions:
        return wanted.where(false())
    if actor.addresses is not None:
        wanted = wanted.where(_listed(actor.addresses, model))
    if any(part.kind in ("system", "operator") for part in actor.parts):
        return wanted
    named = enumerate(actor.parts)  # somebody may be appointed at several tenants
    return wanted.where(or_(*(_in_part(part, model, f"subtree_{number}") for number, part in named)))


def _listed(addresses: frozenset[str], model: type[Any]) -> ColumnElement[bool]:
    if model is Domain:
        return Domain.name.in_(addresses)
    if model is Removal:
        names = (Removal.key.endswith(f"@{name}", autoescape=True) for name in addresses if "@" not in name)
        return or_(Removal.key.in_(addresses), *names)
    if model not in (Mailbox, Alias):
        return false()
    whole = model.domain_id.in_(select(Domain.id).where(Domain.name.in_(addresses)))
    pairs = [key.rpartition("@") for key in addresses if "@" in key]
    single = (
        and_(model.folded == part, model.domain_id.in_(select(Domain.id).where(Domain.name == name)))
        for part, _, name in pairs
    )
    return or_(whole, *single)


def _in_part(part: Part, model: type[Any], called: str) -> ColumnElement[bool]:
    if part.kind == "mailbox":
        return Mailbox.id == part.mailbox_id if model is Mailbox else false()
    if part.kind == "domain":
        return _in_domain(part, model)
    if part.tenant_id is None:
        return false()
    tenants = subtree(part.tenant_id, called)
    if model is Tenant:
        return Tenant.id.in_(tenants)
    if model in (Mailbox, Alias):
        return model.domain_id.in_(select(Domain.id).where(Domain.tenant_id.in_(tenants)))  # type: ignore[no-any-return]
    return model.tenant_id.in_(tenants)  # type: ignore[no-any-return]


def _in_domain(part: Part, model: type[Any]) -> ColumnElement[bool]:
    if model is Domain:
        return Domain.id == part.domain_id
    if model in (Mailbox, Alias, AuditEntry, Removal):
        return model.domain_id == part.domain_id  # type: ignore[no-any-return]
    return false()


_HELD = select(Tenant.parent_id, Tenant.log_in_held).where(Tenant.id == bindparam("id"))


def is_in_force(session: Session, tenant_id: int) -> bool:
    """May people of the tenant log in, as far as it and those above it go?"""
    session.flush()
    current: int | None = tenant_id
    while current is not None:
        found = session.execute(_HELD, {"id": current}).first()
        if found is None or found.log_in_held:
            return False
        current = found.parent_id
    return True


def may_receive(session: Session, tenant_id: int) -> bool:
    """Is mail for the tenant taken, as far as it and those above it go?"""
    return not without_mail(session, [tenant_id])


def without_mail(session: Session, tenant_ids: Collection[int]) -> set[int]:
    """Those of the tenants for whom no mail is taken, because of themselves or of somebody above them.

    A question for each step upward, however many they are: a page may show the domains of fifty.
    """
    known: dict[int, tuple[int | None, bool]] = {}
    asked = set(tenant_ids)
    while asked:
        wanted = select(Tenant.id, Tenant.parent_id, Tenant.receiving_held).where(Tenant.id.in_(asked))
        found = {number: (parent, bool(held)) for number, parent, held in session.execute(wanted)}
        known |= found | dict.fromkeys(asked - found.keys(), (None, True))  # Who is not there takes nothing.
        asked = {parent for parent, _ in found.values() if parent is not None} - known.keys()
    return {number for number in tenant_ids if _stands_still(known, number)}


def _stands_still(known: Mapping[int, tuple[int | None, bool]], number: int) -> bool:
    """Does the tenant with this *number*, or somebody above it? *known*: each one's parent, and whether it does by itself."""
    way = list[int]()
    current: int | None = number
    while current is not None and current not in way:
        way.append(current)
        current = known[current][0]
    return any(known[each][1] for each in way)


# What can stand still on its own, and in which column of `Suspendable` it is noted.
STOPS = {"receive": "receiving_held", "send": "sending_held", "log_in": "log_in_held"}
EVERYTHING = tuple(STOPS)


def suspend(row: Tenant | Domain | Mailbox, actor: Actor, what: Collection[str] = EVERYTHING) -> bool:
    """Note that one of the actor's rank says that *what*, some of STOPS, stands still; False when he had said so already.

    Raises:
        Invalid: nothing, or something that cannot stand still.
    """
    bit, changed = 1 << rank_over(row, actor), False
    for name in _columns(what):
        changed |= not getattr(row, name) & bit
        setattr(row, name, getattr(row, name) | bit)
    row.version += changed
    return changed


def resume(row: Tenant | Domain | Mailbox, actor: Actor, called: str, what: Collection[str] = EVERYTHING) -> bool:
    """Take back what one of the actor's rank said; where nobody did, what those below him said. False: there was nothing.

    So what somebody below had suspended before stays as he left it.

    Raises:
        Invalid: as `suspend`.
        Forbidden: someone of a higher rank said so, too.
    """
    rank, changed = rank_over(row, actor), False
    columns = _columns(what)
    if any(getattr(row, name) >> (rank + 1) for name in columns):
        raise Forbidden(f"the {called} was suspended by someone above you", code="suspended_above")
    for name in columns:
        held = getattr(row, name)
        setattr(row, name, held & ~(1 << rank) if held & (1 << rank) else 0)
        changed |= bool(held)
    row.version += changed
    return changed


def restore_held(row: Tenant | Domain | Mailbox, actor: Actor, called: str, held: Mapping[str, int]) -> None:
    """Put back who had said that what stands still, by the columns of `Suspendable`, as it was before the actor's like said so.

    Raises:
        Forbidden: that would take back, or say again, what someone of a higher rank said.
    """
    rank = rank_over(row, actor)
    if any((getattr(row, name) ^ bits) >> (rank + 1) for name, bits in held.items()):
        raise Forbidden(f"the {called} was suspended by someone above you", code="suspended_above")
    for name, bits in held.items():
        setattr(row, name, bits)
    row.version += 1


def _columns(what: Collection[str]) -> list[str]:
    if not what or not set(what) <= set(STOPS):
        raise Invalid(f"what stands still is some of {', '.join(STOPS)}", code="bad_stop", field="what")
    return [column for name, column in STOPS.items() if name in what]


def rank_over(row: Tenant | Domain | Mailbox | Alias | Removal, actor: Actor) -> int:
    """The actor's rank in that part of his in which *row* lies."""
    session = object_session(row)
    assert session is None or isinstance(session, Session)
    ranks = [part.rank for part in actor.parts if session is None or _part_sees(session, part, row)]
    return max(ranks, default=0)


def require_not_held(row: Tenant | Domain | Mailbox, actor: Actor, what: str) -> None:
    """Go on unless *row* was suspended by a higher rank: removing and making it anew would be a way around.

    Raises:
        Forbidden: it was.
    """
    rank = rank_over(row, actor)
    if any(getattr(row, name) >> (rank + 1) for name in STOPS.values()):
        raise Forbidden(f"the {what} was suspended by someone above you", code="suspended_above")
