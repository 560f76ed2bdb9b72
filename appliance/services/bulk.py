"""One change for many mailboxes, aliases, forwardings, domains or tenants, chosen by name or by a list's search; and undoing it.

A reader would otherwise get wrong: nothing is judged here. Each target goes through the service that changes one, which asks
whether the actor may; so of a thousand some may be refused, and the others are changed. What stood before is written down with
what stands now: only what is still so can be undone, since somebody may have decided otherwise meanwhile. New passwords cannot
be undone at all: nobody knows the former ones. A tenant is named by its number, because several may have one name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, NotFound
from appliance.models import Alias, Domain, Forwarding, Mailbox, Tenant
from appliance.services import (
    addresses,
    aliases,
    authorisation,
    domains,
    forwardings,
    holders,
    limits,
    mailboxes,
    plans,
    removals,
    tenants,
)
from appliance.services.actor import Actor
from appliance.services.authorisation import STOPS
from appliance.services.new_passwords import Issuer

__all__ = [
    "DEEDS", "FINAL", "KIND", "LIMITS", "MOST", "Deed", "called", "choose", "do", "removal_of", "state_of", "tenant_of", "undo",
]  # fmt: skip

KIND = "bulk"  # of job
MOST = 200_000  # targets of one change
DEEDS: dict[str, tuple[str, ...]] = {
    "mailbox": ("suspend", "resume", "quota", "password", "remove"),
    "alias": ("expire", "remove"),
    "forward": ("stop", "copy"),
    "domain": ("suspend", "resume", "limit", "tenant", "remove"),
    "tenant": ("plan",),
}
FINAL = ("password",)  # cannot be undone
LIMITS = limits.OF_DOMAINS
_HELD = tuple(STOPS.values())
_MOST_DIGITS = 18  # more would not fit into 64 bits
Row = Mailbox | Alias | Domain | Tenant
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deed:
    """What shall be done to each: *verb*, one of DEEDS for the *noun*, with *value*.

    The value of suspend and resume: some of `authorisation.STOPS`; of quota: octets; of expire: seconds since 1970 or None;
    of copy: whether one is kept; of limit: a dict of some of LIMITS; of tenant: the number of the one that they are given to; of
    plan: its number, or None. A new password has none: each gets its own.
    """

    noun: str
    verb: str
    value: Any = None

    @classmethod
    def of(cls, said: Body) -> "Deed":
        """As `said` wrote it down.

        Raises:
            Invalid: it is none.
        """
        deed = cls(str(said.get("noun", "")), str(said.get("verb", "")), said.get("value"))
        if deed.verb not in DEEDS.get(deed.noun, ()):
            raise Invalid("choose what shall be done", code="no_deed", field="verb")
        if deed.verb in ("suspend", "resume") and (not deed.value or not set(deed.value) <= set(STOPS)):
            raise Invalid("choose what stands still or goes on", code="bad_stop", field="what")
        if deed.verb == "limit":
            if not deed.value or not set(deed.value) <= set(LIMITS):
                raise Invalid("write at least one limit", field="max_mailboxes")
            limits.check(deed.value)
        if deed.verb == "tenant" and not isinstance(deed.value, int):
            raise Invalid("choose to whom they shall be given", code="no_tenant", field="tenant_id")
        return deed

    @property
    def said(self) -> Body:
        """To be written down."""
        return {"noun": self.noun, "verb": self.verb, "value": self.value}


def removal_of(noun: str) -> Body:
    """The deed that removes one of *noun*, as it is written down."""
    return Deed(noun, "remove").said


def choose(session: Session, noun: str, *, actor: Actor, domain: str | None, search: str) -> Iterator[Body]:
    """All that the list of *noun* shows for *search*, as `do` wants them; at most MOST.

    Raises:
        NotFound: there is no such domain in the actor's part; of tenants, *domain* is the number of the one they stand below.
    """
    if noun == "tenant":
        yield from _tenants(session, actor, domain or "", search)
        return
    if noun == "domain":
        wanted = authorisation.restrict(select(Domain.name), actor, Domain)
        if search:
            wanted = wanted.where(Domain.name.contains(search.strip().lower(), autoescape=True))
        names: Iterator[str] = iter(session.scalars(wanted.order_by(Domain.name).limit(MOST)))
    elif noun == "forward":
        names = _forwarding(session, actor, domain or "", search)
    elif noun == "alias":
        names = holders.names_of(session, Alias, actor=actor, domain=domain, search=search, most=MOST)
    else:
        names = holders.names_of(session, Mailbox, actor=actor, domain=domain, search=search, most=MOST)
    for name in names:
        yield {"name": name}


def _tenants(session: Session, actor: Actor, under: str, search: str) -> Iterator[Body]:
    """Those below the actor's own, or below the one that the list is looked at under: nobody chooses a plan for himself."""
    top = tenant_of(session, under, actor=actor) if under else tenants.own(session, actor)
    seen = authorisation.restrict(select(Tenant.id), actor, Tenant)
    wanted = select(Tenant.id, Tenant.name).where(
        Tenant.id.in_(seen), Tenant.id.in_(authorisation.subtree(top.id, "listed"))
    )
    wanted = wanted.where(Tenant.id != top.id)
    if search:
        wanted = wanted.where(func.lower(Tenant.name).contains(search.strip().lower(), autoescape=True))
    for number, name in session.execute(wanted.order_by(Tenant.id).limit(MOST)):
        yield {"name": str(number), "shown": name}


def tenant_of(session: Session, number: str, *, actor: Actor) -> Tenant:
    """The tenant with this *number*, as lists name it.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    if not number.isascii() or not number.isdigit() or len(number) > _MOST_DIGITS:
        raise NotFound(f"there is no tenant {number[:20]}")
    return tenants.get(session, int(number), actor=actor)


def called(session: Session, deed: Deed, *, actor: Actor) -> str:
    """What pages call the tenant or the plan of the *deed*; empty: it has none.

    Raises:
        NotFound: it is not in the actor's part.
    """
    if deed.verb == "tenant":
        return tenants.get(session, deed.value, actor=actor).name
    return plans.get(session, deed.value, actor=actor).name if deed.verb == "plan" and deed.value is not None else ""


def _forwarding(session: Session, actor: Actor, domain: str, search: str) -> Iterator[str]:
    cursor: str | None = None
    while True:
        page = forwardings.list_forwarding(session, actor=actor, domain=domain, search=search, limit=500, cursor=cursor)
        yield from (addresses.show(mailbox.address) for mailbox in page.items)
        cursor = page.next
        if cursor is None:
            return


def do(
    session: Session, deed: Deed, name: str, *, actor: Actor, days: int = removals.DAYS, issuer: Issuer | None = None
) -> Body:
    """Do it to the one called *name*; a removal can be undone for so many *days*. Returns what `undo` wants to know of it.

    *issuer* says what new passwords are; nothing else wants one.

    Raises:
        Refused: as the service that changes one.
    """
    if deed.verb == "password":
        return _give_password(session, name, actor, issuer)
    if deed.verb == "remove":
        return _remove(session, deed, name, actor, days)
    row = _row(session, deed.noun, name, actor)
    before, former = state_of(session, deed, name, actor=actor), _former(deed, row)
    _change(session, deed, row, name, actor)
    after = state_of(session, deed, name, actor=actor)
    if after == before:
        return {"name": name, "unchanged": True}
    told = {"name": name, "noun": deed.noun, "verb": deed.verb, "id": row.id, "before": before, "after": after}
    return told if former is None else {**told, "former": former}


def _former(deed: Deed, row: Row) -> str | None:
    """What pages call the plan or the tenant that it had before; None: the deed is another one."""
    if isinstance(row, Tenant):
        return row.plan.name if row.plan is not None else ""
    return row.tenant.name if deed.verb == "tenant" and isinstance(row, Domain) else None


def _give_password(session: Session, name: str, actor: Actor, issuer: Issuer | None) -> Body:
    if issuer is None:
        raise ValueError("nobody makes the passwords")
    mailbox = mailboxes.find(session, actor, "mailbox.password", name)
    if any(part.mailbox_id == mailbox.id for part in actor.parts):
        raise Conflict(
            "your own password you change yourself: the sheet could not be taken without it", code="own_password"
        )
    address = addresses.key_of(mailbox.address)
    sealed_hash, for_sheet = issuer.issue(address)
    mailboxes.set_password(session, name, sealed_hash, actor=actor)
    return {"name": address, "noun": "mailbox", "verb": "password", "id": mailbox.id, "sealed": for_sheet}


def state_of(session: Session, deed: Deed, name: str, *, actor: Actor) -> object:
    """What of the one called *name* the *deed* changes, as it is now.

    Raises:
        Refused: there is none, or it is not the actor's.
    """
    return _STATES[deed.noun, deed.verb](_row(session, deed.noun, name, actor))


def _row(session: Session, noun: str, name: str, actor: Actor) -> Row:
    if noun == "tenant":
        return tenant_of(session, name, actor=actor)
    if noun == "domain":
        return domains.get(session, name, actor=actor)
    if noun == "alias":
        return aliases.get(session, name, actor=actor)
    return mailboxes.get(session, name, actor=actor)


def _change(session: Session, deed: Deed, row: Row, name: str, actor: Actor) -> None:
    if deed.verb in ("suspend", "resume"):
        service: Any = domains if deed.noun == "domain" else mailboxes
        getattr(service, deed.verb)(session, name, actor=actor, what=deed.value)
    elif deed.verb == "quota":
        mailboxes.update(session, name, actor=actor, quota_bytes=deed.value)
    elif deed.verb == "limit":
        domains.update(session, name, actor=actor, **deed.value)
    elif deed.verb == "tenant":
        domains.update(session, name, actor=actor, tenant_id=deed.value)
    elif deed.verb == "plan":
        tenants.update(session, row.id, actor=actor, plan_id=deed.value)
    elif deed.verb == "expire":
        aliases.update(session, name, actor=actor, expires_at=deed.value)
    else:
        is_kept = {"keep_copy": deed.value} if deed.verb == "copy" else {"enabled": False}
        _forward(session, row, name, is_kept, actor)


def _forward(session: Session, row: object, name: str, changed: Body, actor: Actor) -> None:
    forwarding = row.forwarding if isinstance(row, Mailbox) else None
    if forwarding is None:
        raise NotFound(f"there is no forwarding of {name}")
    said = {"keep_copy": forwarding.keep_copy, "enabled": forwarding.enabled, **changed}
    forwardings.put(session, name, list(forwarding.targets), actor=actor, **said)


def _remove(session: Session, deed: Deed, name: str, actor: Actor, days: int) -> Body:
    service: Any = {"mailbox": mailboxes, "alias": aliases, "domain": domains}[deed.noun]
    removal = service.remove(session, name, actor=actor, days=days).removal
    return {"name": name, "noun": deed.noun, "verb": "remove", "id": removal.id, "before": None, "after": None}


def undo(session: Session, one: Body, *, actor: Actor) -> Body:
    """Take back what `do` returned as *one*.

    Raises:
        Conflict: somebody has changed it since.
        Refused: as the service that changes one.
    """
    if one["verb"] == "remove":
        removals.undo(session, one["id"], actor=actor)
        return {"name": one["name"]}
    if one["verb"] in FINAL:
        raise Conflict("this cannot be undone", code="nothing_to_undo")
    deed = Deed(one["noun"], one["verb"])
    row = _row(session, deed.noun, one["name"], actor)
    present = _STATES[deed.noun, deed.verb](row)
    if row.id != one["id"] or present != one["after"]:
        called_so = one.get("shown") or one["name"]
        raise Conflict(f"{called_so} has been changed since: it stays as it is", code="changed_since")
    _restore(session, deed, row, one, actor)
    return {"name": one["name"]}


def _restore(session: Session, deed: Deed, row: Row, one: Body, actor: Actor) -> None:
    name, before = one["name"], one["before"]
    if deed.verb in ("suspend", "resume"):
        service: Any = domains if deed.noun == "domain" else mailboxes
        service.restore_held(session, name, before, actor=actor)
    elif deed.verb == "quota":
        mailboxes.update(session, name, actor=actor, quota_bytes=before)
    elif deed.verb == "limit":
        domains.update(session, name, actor=actor, **before)
    elif deed.verb == "tenant":
        domains.update(session, name, actor=actor, tenant_id=before)
    elif deed.verb == "plan":
        tenants.update(session, row.id, actor=actor, plan_id=before)
    elif deed.verb == "expire":
        aliases.update(session, name, actor=actor, expires_at=before)
    else:
        _forward(session, row, name, before, actor)


def _held(row: Any) -> Body:  # noqa: ANN401 - of either kind that stands still
    return {name: getattr(row, name) for name in _HELD}


def _quota(row: Any) -> int:  # noqa: ANN401 - as above
    return int(row.quota_bytes)


def _limits(row: Any) -> Body:  # noqa: ANN401 - as above
    return {name: getattr(row, name) for name in LIMITS}


def _owner(row: Any) -> int:  # noqa: ANN401 - as above
    return int(row.tenant_id)


def _plan(row: Any) -> int | None:  # noqa: ANN401 - as above
    return row.plan_id  # type: ignore[no-any-return]


def _expiry(row: Any) -> int | None:  # noqa: ANN401 - as above
    return row.expires_at  # type: ignore[no-any-return]


def _forwarded(row: Any) -> Body | None:  # noqa: ANN401 - as above
    forwarding: Forwarding | None = row.forwarding
    return {"enabled": forwarding.enabled, "keep_copy": forwarding.keep_copy} if forwarding is not None else None


_STATES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("mailbox", "suspend"): _held,
    ("mailbox", "resume"): _held,
    ("mailbox", "quota"): _quota,
    ("alias", "expire"): _expiry,
    ("forward", "stop"): _forwarded,
    ("forward", "copy"): _forwarded,
    ("domain", "suspend"): _held,
    ("domain", "resume"): _held,
    ("domain", "limit"): _limits,
    ("domain", "tenant"): _owner,
    ("tenant", "plan"): _plan,
}
