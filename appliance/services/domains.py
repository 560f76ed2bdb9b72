"""Domains: a name, the one tenant it belongs to, and what happens to unknown recipients in it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, Taken
from appliance.models import Alias, Domain, Mailbox, Tenant
from appliance.services import (
    addresses,
    audit,
    authorisation,
    changes,
    consents,
    contents,
    dns_checks,
    limits,
    proof,
    relays,
    removals,
    tenants,
)
from appliance.services.actor import Actor
from appliance.services.authorisation import EVERYTHING
from appliance.services.common import UNCHANGED, Unchanged
from appliance.services.paging import MOST_SORTED, Orders, Page, as_read, page_in_order
from appliance.services.relays import Route
from appliance.services.removals import Removed

__all__ = [
    "LANGUAGES",
    "LOCAL_ONLY",
    "TAG_SEPARATORS",
    "VALIDATIONS",
    "Domain",
    "counts",
    "create",
    "find",
    "find_removable",
    "get",
    "list_domains",
    "remove",
    "restore_held",
    "resume",
    "suspend",
    "update",
]

VALIDATIONS = ("rcpt", "data", "off")
LANGUAGES = ("en", "de")  # in which notifications are written
TAG_SEPARATORS = ("", "+", "-")  # empty: no address has a tag
LOCAL_ONLY = ("", "host", "tenant", "domain")  # within what mail stays, both ways; empty: it goes anywhere
_SHOWN = 5  # addresses that a refusal names
_TENANT = select(as_read(Tenant.name)).where(Tenant.id == Domain.tenant_id).scalar_subquery()
_ORDERS = Orders(Domain.id, "name", {"name": Domain.name, "-created": Domain.id}, {"tenant": _TENANT})
_SIZES = {
    f"-{noun}": select(func.count(model.id)).where(model.domain_id == Domain.id).correlate(Domain).scalar_subquery()
    for noun, model in (("mailboxes", Mailbox), ("aliases", Alias))
}


def create(  # noqa: PLR0913 - all that may be said of one
    session: Session,
    name: str,
    *,
    actor: Actor,
    tenant_id: int | None = None,
    alias_of: str | None = None,
    catch_all: str | None = None,
    validation: str = "rcpt",
    greylist: bool = False,
    dnsbl: bool = True,
    batv: bool = False,
    language: str = "en",
    tag_separator: str = "+",
    local_only: str = "",
    route: Route | None = None,
    discard: bool = False,
) -> Domain:
    """A new domain of *tenant_id* (the actor's own when not given); with *alias_of*, another name of that domain.

    With a *route* its mail is only relayed. With *discard*, one that was removed under this name cannot be had back any more.

    Raises:
        Invalid: not a domain name, no such validation or language, a catch-all that nobody answers for, a source that makes
            no sense.
        Taken: it is served already, whoever has it.
        LimitReached: the tenant, or one above it, has no room.
        NotFound, Forbidden: tenant or domain is not the actor's.
    """
    label = addresses.parse_domain(name, "name")
    real = get(session, alias_of, actor=actor) if alias_of else None
    chosen = _tenant_for(session, actor, tenant_id, real)
    tenant = authorisation.require(session, actor, "domain.create", chosen, f"tenant {tenant_id}")
    present = addresses.domain_named(session, label)
    if present is not None and not proof.lapse(session, present, actor, tenant.id):
        holder = f"domains/{label}" if authorisation.allows(session, actor, "domain.see", present) else ""
        raise Taken(f"{label} is already served here", code="domain_taken", field="name", holder=holder)
    removals.discard_domain(session, label, tenant.id, actor=actor, discard=discard)
    _require_one_kind(real, route, catch_all)
    limits.require_room(session, tenant.id, "domains")
    kind = "alias" if real else "relay" if route is not None else "hosted"
    domain = Domain(name=label, kind=kind, tenant=tenant, alias_of=real, greylist=greylist, dnsbl=dnsbl)
    domain.validation = _validation(validation)
    domain.batv, domain.language = batv, _language(language)
    domain.tag_separator, domain.local_only = _separator(tag_separator), _local_only(session, domain, local_only)
    domain.source, domain.source_settings = "", {}
    proof.begin(session, domain, actor)
    if route is not None:
        relays.set_route(domain, actor, route)
    session.add(domain)
    session.flush()
    if catch_all:
        _set_catch_all(session, domain, catch_all)
    if domain.proved_at is not None:
        addresses.take_over_targets(session, label)
        addresses.refuse_revived_rings(session, label)
    _tell(session, actor, "domain.created", domain, after=_describe(domain))
    return domain


def _require_one_kind(real: Domain | None, route: Route | None, catch_all: str | None) -> None:
    if real is not None and (real.kind != "hosted" or catch_all):
        raise Invalid("another name stands for a hosted domain, and takes its catch-all", field="alias_of")
    if route is not None and (route.next_hop is None or real is not None or catch_all):
        raise Invalid(
            "a relayed domain has a next hop, is no other name of one, and has no catch-all", field="next_hop"
        )


def _tenant_for(session: Session, actor: Actor, tenant_id: int | None, real: Domain | None) -> Tenant | None:
    if tenant_id is not None:
        return session.get(Tenant, tenant_id)
    return real.tenant if real is not None else tenants.own(session, actor)


def get(session: Session, name: str, *, actor: Actor) -> Domain:
    """The domain called *name*, in either form.

    Raises:
        Invalid: not a domain name.
        NotFound: there is none, or it is not in the actor's part.
    """
    return find(session, actor, "domain.see", name)


def list_domains(
    session: Session,
    *,
    actor: Actor,
    tenant_id: int | None = None,
    dns: str = "",
    search: str = "",
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Domain]:
    """Domains in the actor's part by name; of one tenant, with *dns* wrong (`dns_checks`), or with *search* in the name.

    *sort*: name, created, tenant; and where not much is in them, mailboxes and aliases.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Domain), actor, Domain)
    if tenant_id is not None:
        wanted = wanted.where(Domain.tenant_id == tenant_id)
    if dns:
        wanted = wanted.where(dns_checks.with_faults(dns))
    if search:
        wanted = wanted.where(Domain.name.contains(search.strip().lower(), autoescape=True))
    return page_in_order(session, wanted, _orders(session, wanted, sort), sort, limit, cursor)


def _orders(session: Session, wanted: Select[Domain], sort: str | None) -> Orders:
    """By size only where all that is in *wanted* is counted while somebody waits."""
    if sort is None:
        return _ORDERS
    ids = wanted.with_only_columns(Domain.id)
    for model in (Mailbox, Alias):
        some = select(model.id).where(model.domain_id.in_(ids)).limit(MOST_SORTED + 1).subquery()
        if (session.scalar(select(func.count()).select_from(some)) or 0) > MOST_SORTED:
            return _ORDERS
    return replace(_ORDERS, few={**_ORDERS.few, **_SIZES})


def counts(session: Session, domains: Sequence[Domain]) -> dict[int, tuple[int, int]]:
    """For each domain's id, how many mailboxes and aliases it has."""
    ids = [domain.id for domain in domains]
    found = {number: [0, 0] for number in ids}
    models: tuple[type[Mailbox | Alias], ...] = (Mailbox, Alias)
    for place, model in enumerate(models):
        counted = select(model.domain_id, func.count()).where(model.domain_id.in_(ids)).group_by(model.domain_id)
        for number, count in session.execute(counted):
            found[number][place] = count
    return {number: (pair[0], pair[1]) for number, pair in found.items()}


def update(  # noqa: PLR0913 - as above
    session: Session,
    name: str,
    *,
    actor: Actor,
    catch_all: str | Unchanged | None = UNCHANGED,
    validation: str | None = None,
    greylist: bool | None = None,
    dnsbl: bool | None = None,
    batv: bool | None = None,
    language: str | None = None,
    tag_separator: str | None = None,
    local_only: str | None = None,
    route: Route | None = None,
    tenant_id: int | None = None,
    **given: int | None,
) -> Domain:
    """Change what is given; a catch_all of None means that unknown recipients are refused, a limit of None that there is none.

    *given* are some of `limits.OF_DOMAINS`, and whoever may suspend the domain says them.

    Raises:
        Invalid: no such validation or language, nobody answers for the catch-all, or a source that makes no sense.
        LimitReached: the new tenant has no room.
        Conflict: mail would run in a ring; or it shall stay inside, and goes on from here to somewhere else.
        NotFound, Forbidden: it is not the actor's to change.
    """
    domain = find(session, actor, "domain.update", name)
    before = _describe(domain)
    if validation is not None:
        domain.validation = _validation(validation)
    domain.greylist = domain.greylist if greylist is None else greylist
    domain.dnsbl = domain.dnsbl if dnsbl is None else dnsbl
    domain.batv = domain.batv if batv is None else batv
    domain.language = domain.language if language is None else _language(language)
    _rename(session, domain, tag_separator, local_only)
    if route is not None:
        _reroute(session, actor, domain, route)
    if not isinstance(catch_all, Unchanged):
        if domain.kind != "hosted" and catch_all:
            raise Invalid("only a hosted domain has a catch-all of its own", field="catch_all")
        _set_catch_all(session, domain, catch_all)
    if given:
        authorisation.require(session, actor, "domain.suspend", domain, f"domain {domain.name}")
        limits.check(given)
        for key, value in given.items():
            setattr(domain, key, value)
    if tenant_id is not None and tenant_id != domain.tenant_id:
        _move(session, actor, domain, tenant_id)
    before, after = audit.difference(before, _describe(domain))
    if after or (route is not None and route.sealed_secret is not None):
        domain.version += 1
        _tell(session, actor, "domain.changed", domain, before=before, after=after)
    return domain


def _rename(session: Session, domain: Domain, tag_separator: str | None, local_only: str | None) -> None:
    """What names stand for in it, and within what its mail stays."""
    if tag_separator is not None and tag_separator != domain.tag_separator:
        domain.tag_separator = _separator(tag_separator)
        # Whose name looks like another's with a tag, of that it is written down that it is nobody else's.
        looking_so = Mailbox.domain_id == domain.id, Mailbox.folded.contains("-")
        changes.announce_each(session, changes.SENDERS, select(Mailbox.folded + f"@{domain.name}").where(*looking_so))
    if local_only is not None and local_only != domain.local_only:
        domain.local_only = _local_only(session, domain, local_only)
        session.flush()
        _require_inside(session, domain)


def _require_inside(session: Session, domain: Domain) -> None:
    """Go on when nothing that is in *domain* sends mail on to where it shall not go.

    Raises:
        Conflict: something does; the sentence names some of it.
    """
    if not domain.local_only:
        return
    going = (
        [f"the catch-all → {domain.catch_all}"]
        if domain.catch_all and _leaves(session, domain, domain.catch_all)
        else []
    )
    for holder, target in contents.targets_elsewhere(session, domain):
        if len(going) >= _SHOWN:
            break
        going += [f"{holder} → {target}"] if _leaves(session, domain, target) else []
    if going:
        raise Conflict(
            f"mail of {domain.name} goes on to others: {'; '.join(going)}", code="goes_outside", field="local_only"
        )


def _leaves(session: Session, domain: Domain, target: str) -> bool:
    return not addresses.is_inside(session, domain, addresses.split_key(target)[1])


def _reroute(session: Session, actor: Actor, domain: Domain, route: Route) -> None:
    authorisation.require(session, actor, "domain.route", domain, f"domain {domain.name}")
    if domain.kind != "relay":
        raise Conflict(f"{domain.name} is not a relayed domain", code="not_relayed", field="next_hop")
    was_list = domain.source == "list"
    relays.set_route(domain, actor, route)
    if was_list and domain.source != "list":
        contents.remove_recipients(session, domain)


def _move(session: Session, actor: Actor, domain: Domain, tenant_id: int) -> None:
    authorisation.require(session, actor, "domain.remove", domain, f"domain {domain.name}")
    authorisation.require_not_held(domain, actor, f"domain {domain.name}")
    tenant = authorisation.require(
        session, actor, "domain.create", session.get(Tenant, tenant_id), f"tenant {tenant_id}"
    )
    for noun in limits.NOUNS:
        limits.require_move(session, domain, tenant.id, noun)
    contents.remove_accounts(session, domain)  # They were the former tenant's people.
    removals.move(session, domain.tenant_id, tenant.id, domain_id=domain.id)
    domain.tenant = tenant
    session.flush()  # Or whoever shows it next would show the former tenant.
    _require_inside(session, domain)


def suspend(session: Session, name: str, *, actor: Actor, what: Collection[str] = EVERYTHING) -> Domain:
    """Refuse mail for the domain until `resume`.

    Raises:
        NotFound, Forbidden: it is not the actor's to suspend.
        Conflict: it is the host's own.
    """
    domain = find(session, actor, "domain.suspend", name)
    _refuse_host_domain(session, domain)
    if authorisation.suspend(domain, actor, what):
        _tell(session, actor, "domain.suspended", domain, after={"suspended_for": domain.suspended_for})
    return domain


def resume(session: Session, name: str, *, actor: Actor, what: Collection[str] = EVERYTHING) -> Domain:
    """Undo `suspend`.

    Raises:
        NotFound, Forbidden: it is not the actor's, or someone above suspended it.
    """
    domain = find(session, actor, "domain.suspend", name)
    if authorisation.resume(domain, actor, f"domain {domain.name}", what):
        _tell(session, actor, "domain.resumed", domain, after={"suspended_for": domain.suspended_for})
    return domain


def restore_held(session: Session, name: str, held: Mapping[str, int], *, actor: Actor) -> Domain:
    """Take `suspend` and `resume` back: what stood still before does again, and nothing else.

    Raises:
        NotFound, Forbidden: it is not the actor's, or someone above said so since.
    """
    domain = find(session, actor, "domain.suspend", name)
    _refuse_host_domain(session, domain)
    was_suspended = set(domain.suspended_for)
    authorisation.restore_held(domain, actor, f"domain {domain.name}", held)
    deed = "domain.suspended" if set(domain.suspended_for) - was_suspended else "domain.resumed"
    _tell(session, actor, deed, domain, after={"suspended_for": domain.suspended_for})
    return domain


def remove(session: Session, name: str, *, actor: Actor, days: int = removals.DAYS) -> Removed:
    """Remove the domain with all its mailboxes and aliases; for so many *days* `removals.undo` brings it back with their mail.

    Raises:
        NotFound, Forbidden: it is not the actor's to remove, or something in it was suspended by someone above.
        Conflict: it is the host's own, or other names stand for it.
    """
    domain = find_removable(session, name, actor=actor)
    forwarded_by = contents.forwarded_by(session, domain)
    removal = removals.keep_domain(session, domain, actor=actor, days=days)
    contents.remove(session, domain)
    _tell(
        session, actor, "domain.removed", domain,
        before={**_describe(domain), "mailboxes": removal.mailboxes, "aliases": removal.aliases},
        after={"removal": removal.id},
    )  # fmt: skip
    session.flush()
    session.delete(domain)
    if domain.proved_at is not None:
        consents.withdraw(session, domain.name)
        removals.withdraw(session, domain.name, spared=removal)
    session.flush()
    return Removed(removal, forwarded_by)


def find_removable(session: Session, name: str, *, actor: Actor) -> Domain:
    """The domain called *name*, when `remove` would do it.

    Raises:
        NotFound, Forbidden, Conflict: as `remove`.
    """
    domain = find(session, actor, "domain.remove", name)
    _refuse_host_domain(session, domain)
    authorisation.require_not_held(domain, actor, f"domain {domain.name}")
    suspended = select(Mailbox).where(Mailbox.domain_id == domain.id, Mailbox.suspended)
    for mailbox in session.scalars(suspended):
        authorisation.require_not_held(mailbox, actor, f"mailbox {mailbox.address}")
    names = list(session.scalars(select(Domain.name).where(Domain.alias_of_id == domain.id)))
    if names:
        raise Conflict(f"{', '.join(names)} stands for {domain.name}: remove that first", code="domain_has_aliases")
    return domain


def _refuse_host_domain(session: Session, domain: Domain) -> None:
    if domain.name == addresses.host_name(session):
        raise Conflict(
            f"{domain.name} is this host's own: its postmaster answers for domains that have none", code="host_domain"
        )


def _validation(value: str) -> str:
    if value not in VALIDATIONS:
        raise Invalid(f"validation is one of {', '.join(VALIDATIONS)}", field="validation")
    return value


def _language(value: str) -> str:
    if value not in LANGUAGES:
        raise Invalid(f"language is one of {', '.join(LANGUAGES)}", field="language")
    return value


def _separator(value: str) -> str:
    if value not in TAG_SEPARATORS:
        raise Invalid("tag_separator is + or -, or empty: no tags", field="tag_separator")
    return value


def _local_only(session: Session, domain: Domain, value: str) -> str:
    if value not in LOCAL_ONLY:
        raise Invalid(f"local_only is one of {', '.join(LOCAL_ONLY[1:])}, or empty", field="local_only")
    if value and domain.kind != "hosted":
        raise Conflict("mail stays inside where it is stored: in a hosted domain", field="local_only")
    if value:
        _refuse_host_domain(session, domain)
    return value


def _set_catch_all(session: Session, domain: Domain, target: str | None) -> None:
    if not target:
        domain.catch_all = None
        return
    key = addresses.parse_targets(session, [target], "catch_all")[0]
    domain.catch_all = None
    # Asked before it is set: with it, every address of the domain would exist. And never at another host: whoever invents
    # addresses here would have us write there.
    addresses.require_targets(session, [key], "catch_all")
    if _leaves(session, domain, key):
        raise Invalid(
            f"mail for {domain.name} stays inside, and {key} is not", code="target_outside", field="catch_all"
        )
    domain.catch_all = key
    addresses.require_no_ring(session, key)


def find(session: Session, actor: Actor, action: str, name: str) -> Domain:
    """The domain called *name*, when the actor may do *action* to it.

    Raises:
        Invalid, NotFound, Forbidden: as `authorisation.require`.
    """
    label = addresses.parse_domain(name)
    return authorisation.require(session, actor, action, addresses.domain_named(session, label), f"domain {label}")


def _describe(domain: Domain) -> dict[str, Any]:
    return {
        "tenant": domain.tenant.name,
        "kind": domain.kind,
        "alias_of": domain.alias_of.name if domain.alias_of else None,
        "catch_all": domain.catch_all,
        "validation": domain.validation,
        "greylist": domain.greylist,
        "dnsbl": domain.dnsbl,
        "batv": domain.batv,
        "language": domain.language,
        "tag_separator": domain.tag_separator,
        "local_only": domain.local_only,
        **{name: getattr(domain, name) for name in limits.OF_DOMAINS if getattr(domain, name) is not None},
        **({"next_hop": domain.next_hop, "source": domain.source} if domain.kind == "relay" else {}),
        **({"source_settings": dict(domain.source_settings)} if domain.source_settings else {}),
    }


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    domain: Domain,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(
        session, actor, action, domain.name,
        tenant_id=domain.tenant_id, domain_id=domain.id, before=before, after=after,
    )  # fmt: skip
    changes.announce(session, changes.DOMAIN, domain.name)
