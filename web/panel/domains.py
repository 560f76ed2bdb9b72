"""Domains: the list, a domain's own pages, and everything that is done to a domain."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from starlette.responses import Response

from appliance.database.session import Session
from appliance.errors import ApplianceError
from appliance.services import (
    addresses,
    aliases,
    authorisation,
    bulk,
    dkim,
    dns_checks,
    domains,
    forwardings,
    limits,
    mailboxes,
    tenants,
)
from appliance.services.limits import IN_DOMAINS, OF_DOMAINS
from appliance.services.paging import Page
from web import LARGEST
from web.panel import drafts
from web.panel.desk import Desk, Managing, Signed
from web.panel.forms import (
    Form,
    faults_of,
    limits_as_typed,
    limits_in,
    number_in,
    require_confirmed,
    still_sending,
    stops_in,
)
from web.panel.guide import guide_for
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, Wanted, filters, show_list
from web.panel.relaying import RELAY_FIELDS, as_typed, route_in, sources_for
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

LANGUAGES = (("en", "English"), ("de", "German"))
SEPARATORS = (("+", "anna+shop@: a plus"), ("-", "anna-shop@: a hyphen"), ("", "None: there are no tags"))
INSIDES = (
    ("", "Anywhere"),
    ("host", "Only within this host"),
    ("tenant", "Only within its tenant"),
    ("domain", "Only within this domain"),
)
REMOVED_AT_ONCE = 2000  # mailboxes and aliases, while somebody waits: a quarter of a second
MAX_OWNERS = 500  # in a form's list; whoever has more tenants makes domains on the tenant's page


class Shown(NamedTuple):
    """A domain as the pages tell of it."""

    name: str
    written: str  # as people write it: international names not as A-labels
    alias_of: str | None
    tenant: str
    suspended: bool
    suspended_for: list[str]
    tenant_suspended: bool
    mailboxes: int
    aliases: int
    catch_all: str | None
    created_at: int
    next_hop: str | None  # of a relayed domain
    proved: bool  # that it is its tenant's; until then it is in no snapshot
    dns_checked_at: int | None
    dns_missing: list[str]  # kinds of records; of a domain that is not proved, what else


def shown(session: Session, found: Sequence[domains.Domain]) -> list[Shown]:
    """*found* with what is counted and looked up beside it."""
    counts = domains.counts(session, found)
    suspended = authorisation.without_mail(session, {domain.tenant_id for domain in found})
    return [
        Shown(
            name=domain.name,
            written=domain.unicode_name,
            alias_of=domain.alias_of.name if domain.alias_of else None,
            tenant=domain.tenant.name,
            suspended=domain.suspended,
            suspended_for=domain.suspended_for,
            tenant_suspended=domain.tenant_id in suspended,
            mailboxes=counts[domain.id][0],
            aliases=counts[domain.id][1],
            catch_all=domain.catch_all,
            created_at=domain.created_at,
            next_hop=domain.next_hop,
            proved=domain.proved_at is not None,
            dns_checked_at=domain.dns_checked_at,
            dns_missing=domain.dns_missing if domain.proved_at is not None else [],
        )
        for domain in found
    ]


@router.get("/domains")
def index(desk: Managing, asked: Asked) -> Response:
    """All domains in one's part of the house; with `dns` those of which something is wrong there."""
    form = filters(desk, "dns")
    with desk.reading() as session:
        page = domains.list_domains(
            session,
            actor=desk.actor,
            search=asked.search,
            sort=asked.sort,
            dns=form["dns"],
            limit=PAGE_LENGTH,
            cursor=asked.cursor,
        )
        rows = shown(session, page.items)
        wrong = dns_checks.tally(session, actor=desk.actor)
    return show_list(
        desk, asked, page, "/domains", ("domains/index.html", "domains/_list.html"), query=form,
        rows=rows, form=form, narrowings=_narrowings(wrong, form["dns"]),
    )  # fmt: skip


def _narrowings(wrong: dict[str, int], chosen: str) -> list[tuple[str, str, int]]:
    """To what the list can be narrowed, and always to the *chosen*: the word in its address, what it is called, and of how many."""
    called = {dns_checks.WRONG: "Wrong in DNS", **{kind: kind for kind in dns_checks.KINDS}}
    found = [(key.lower(), words, wrong.get(key, 0)) for key, words in called.items()]
    return [("", "All", 0), *(one for one in found if one[2] or one[0] == chosen)]


@router.get("/domains/new")
def new(desk: Managing, tenant: Annotated[int | None, Query(ge=0, le=LARGEST)] = None) -> Response:
    """The form for a new domain, of *tenant* when one came from there."""
    return _new(desk, Typed() if tenant is None else Typed(tenant_id=str(tenant)), None)


def _new(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        found = tenants.list_tenants(session, actor=desk.actor, limit=MAX_OWNERS).items
        own = tenants.own(session, desk.actor).id
        form.setdefault("tenant_id", str(own))
        owners = {tenant.id: tenant.name for tenant in found}
        chosen = None if refusal and refusal.field == "tenant_id" else number_in(form, "tenant_id")
        # One of so many that the list does not hold them; his own is in no list of who administers a domain alone.
        if chosen is not None and chosen not in (own, *owners):
            owners[chosen] = tenants.get(session, chosen, actor=desk.actor).name
    faults = faults_of(as_typed(refusal), "name", "alias_of", *RELAY_FIELDS) if refusal else Typed()
    return desk.page(
        "domains/new.html",
        refusal=refusal,
        form=form,
        errors=faults,
        owners=list(owners.items()),
        sources=sources_for(desk),
    )


@router.post("/domains")
def create(desk: Managing, form: Form) -> Response:
    """Make a domain, then show it."""
    try:
        route = route_in(desk, form) if form["next_hop"].strip() else None
        with desk.changing() as session:
            domain = domains.create(
                session,
                form["name"],
                actor=desk.actor,
                tenant_id=number_in(form, "tenant_id"),
                alias_of=form["alias_of"] or None,
                route=route,
            )
    except ApplianceError as refusal:
        return _new(desk, form, refusal)
    notice = (
        f"{domain.name} is served from now on."
        if domain.proved_at is not None
        else f"{domain.name} is here. Show that it is yours, and mail for it is taken."
    )
    return desk.see_other(url("domains", domain.name), notice)


@router.get("/domains/{name}")
def detail(desk: Signed, name: str) -> Response:
    """A domain at a glance: what wants to be done, how much of its limits is used, how it is set up."""
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        view = shown(session, [domain])[0]
        use = [(noun, limits.count_in(session, domain, noun), getattr(domain, f"max_{noun}")) for noun in IN_DOMAINS]
        return desk.page(
            "domains/detail.html", domain=view, row=domain, use=use, needs=_needs(session, domain, view),
            signing=dkim.keys_of(session, domain.name, actor=desk.actor), guide=guide_for(desk, session),
            may_update=authorisation.allows(session, desk.actor, "domain.update", domain),
        )  # fmt: skip


def _needs(session: Session, domain: domains.Domain, view: Shown) -> list[str]:
    """What somebody should do about the domain, the most pressing first; the page has the words."""
    is_open = domain.validation == "off" or (domain.kind == "relay" and not domain.source)
    found = {
        "prove": not view.proved,
        "dns": bool(view.dns_missing),
        "unguarded": is_open,
        "failing": domain.kind == "hosted" and forwardings.is_any_failing(session, domain),
        "empty": domain.kind == "hosted" and not view.mailboxes and not view.aliases,
        "catch-all": bool(domain.catch_all),
    }
    return [need for need, is_so in found.items() if is_so]


@router.get("/domains/{name}/mailboxes")
def list_mailboxes(desk: Signed, name: str, asked: Asked) -> Response:
    """A domain with its mailboxes."""
    templates = ("domains/mailboxes.html", "mailboxes/_list.html")
    return _tab(desk, asked, name, mailboxes.list_mailboxes, templates, url("domains", name, "mailboxes"))


@router.get("/domains/{name}/forwards")
def list_forwards(desk: Signed, name: str, asked: Asked) -> Response:
    """Those of its mailboxes that send their mail on."""
    templates = ("domains/forwards.html", "domains/_forwards.html")
    return _tab(desk, asked, name, forwardings.list_forwarding, templates, url("domains", name, "forwards"))


@router.get("/domains/{name}/aliases")
def list_aliases(desk: Signed, name: str, asked: Asked) -> Response:
    """A domain with its aliases."""
    templates = ("domains/aliases.html", "aliases/_list.html")
    return _tab(desk, asked, name, aliases.list_aliases, templates, url("domains", name, "aliases"))


def _tab(
    desk: Desk, asked: Wanted, name: str, list_page: Callable[..., Page[Any]], templates: tuple[str, str], where: str
) -> Response:
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        page = list_page(
            session,
            actor=desk.actor,
            domain=domain.name,
            search=asked.search,
            sort=asked.sort,
            limit=PAGE_LENGTH,
            cursor=asked.cursor,
        )
        return show_list(desk, asked, page, where, templates, domain=shown(session, [domain])[0])


@router.get("/domains/{name}/settings")
def settings(desk: Signed, name: str) -> Response:
    """What else can be said about a domain."""
    return _settings(desk, name, None, None)


def _settings(desk: Desk, name: str, form: Typed | None, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        view = shown(session, [domain])[0]
        may = authorisation.allows(session, desk.actor, "domain.remove", domain)
        is_host = domain.name == addresses.host_name(session)
        kept = Typed(
            catch_all=view.catch_all or "", language=domain.language, tenant_id=str(domain.tenant_id),
            tag_separator=domain.tag_separator, local_only=domain.local_only,
            **limits_as_typed(domain, OF_DOMAINS),
        )  # fmt: skip
        owners = tenants.list_tenants(session, actor=desk.actor, limit=MAX_OWNERS).items if may else []
    shown_fields = ("catch_all", "language", "tenant_id", "tag_separator", "local_only", *OF_DOMAINS)
    faults = faults_of(refusal, *shown_fields) if refusal else Typed()
    return desk.page(
        "domains/settings.html", refusal=refusal, form=Typed({**kept, **(form or {})}), errors=faults, domain=view,
        may_remove=may and not is_host, may_limit=may, languages=LANGUAGES,
        is_hosted=view.next_hop is None and view.alias_of is None, separators=SEPARATORS, insides=INSIDES,
        owners=[(tenant.id, tenant.name) for tenant in owners], limits=OF_DOMAINS,
    )  # fmt: skip


@router.post("/domains/{name}/names")
def set_names(desk: Signed, name: str, form: Form) -> Response:
    """What stands between a name and its tag, and how far mail of the domain goes."""
    try:
        with desk.changing() as session:
            domains.update(
                session, name, actor=desk.actor, tag_separator=form["tag_separator"], local_only=form["local_only"]
            )
    except ApplianceError as refusal:
        return _settings(desk, name, form, refusal)
    return desk.see_other(url("domains", name, "settings"), "The rules for its addresses are changed.")


@router.post("/domains/{name}/limits")
def set_limits(desk: Signed, name: str, form: Form) -> Response:
    """How much may be in it; an empty limit is none of its own."""
    try:
        wanted: dict[str, Any] = limits_in(form, OF_DOMAINS)
        with desk.changing() as session:
            domain = domains.update(session, name, actor=desk.actor, **wanted)
    except ApplianceError as refusal:
        return _settings(desk, name, form, refusal)
    return desk.see_other(url("domains", domain.name, "settings"), "The limits are changed.")


@router.post("/domains/{name}/transfer")
def transfer(desk: Signed, name: str, form: Form) -> Response:
    """Give it to another tenant, with all that is in it."""
    try:
        with desk.changing() as session:
            # Also when it goes to where it is: the answer must not depend on that.
            domains.find(session, desk.actor, "domain.remove", name)
            domain = domains.update(session, name, actor=desk.actor, tenant_id=number_in(form, "tenant_id"))
            owner = domain.tenant.name
    except ApplianceError as refusal:
        return _settings(desk, name, form, refusal)
    return desk.see_other(url("domains", domain.name, "settings"), f"{domain.name} belongs to {owner} now.")


@router.post("/domains/{name}/language")
def set_language(desk: Signed, name: str, form: Form) -> Response:
    """Say in which language the domain's people are written to."""
    try:
        with desk.changing() as session:
            domain = domains.update(session, name, actor=desk.actor, language=form["language"])
    except ApplianceError as refusal:
        return _settings(desk, name, form, refusal)
    notice = f"Notifications are written in {dict(LANGUAGES)[domain.language]}."
    return desk.see_other(url("domains", domain.name, "settings"), notice)


@router.post("/domains/{name}/catch-all")
def set_catch_all(desk: Signed, name: str, form: Form) -> Response:
    """Say who gets what nobody answers for, or that nobody does."""
    try:
        with desk.changing() as session:
            domain = domains.update(session, name, actor=desk.actor, catch_all=form["catch_all"].strip() or None)
    except ApplianceError as refusal:
        return _settings(desk, name, form, refusal)
    notice = (
        f"Mail to unknown addresses goes to {domain.catch_all}."
        if domain.catch_all
        else "Unknown addresses are refused."
    )
    return desk.see_other(url("domains", domain.name, "settings"), notice)


@router.post("/domains/{name}/suspend")
def suspend(desk: Signed, name: str, form: Form) -> Response:
    """Refuse mail until it is resumed."""
    with desk.changing() as session:
        domain = domains.suspend(session, name, actor=desk.actor, what=stops_in(form))
    return desk.see_other(url("domains", domain.name, "settings"), f"{domain.name} is suspended.")


@router.post("/domains/{name}/resume")
def resume(desk: Signed, name: str, form: Form) -> Response:
    """Accept mail again."""
    with desk.changing() as session:
        domain = domains.resume(session, name, actor=desk.actor, what=stops_in(form))
    return desk.see_other(url("domains", domain.name, "settings"), f"{domain.name} accepts mail again.")


@router.get("/domains/{name}/remove")
def confirm_removal(desk: Signed, name: str) -> Response:
    """What would be lost."""
    return _confirm_removal(desk, name, Typed(), None)


def _confirm_removal(desk: Desk, name: str, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        view = shown(session, [domains.get(session, name, actor=desk.actor)])[0]
    faults = faults_of(refusal, "confirm") if refusal else Typed()
    return desk.page("domains/remove.html", refusal=refusal, form=form, errors=faults, domain=view)


def _is_large(desk: Desk, name: str) -> bool:
    with desk.reading() as session:
        domain = domains.find(session, desk.actor, "domain.remove", name)
        return desk.me.manages and sum(domains.counts(session, [domain])[domain.id]) > REMOVED_AT_ONCE


@router.post("/domains/{name}/remove")
def remove(desk: Signed, name: str, form: Form) -> Response:
    """Remove the domain with all that is in it; in the background, when that is much."""
    try:
        require_confirmed(form, name)
        if _is_large(desk, name):
            return desk.see_other(url("jobs", drafts.go(desk, bulk.KIND, {"name": name}, bulk.removal_of("domain"))))
        with desk.changing() as session:
            days = desk.wiring.settings.limits.trash_days
            gone = domains.remove(session, name, actor=desk.actor, days=days)
    except ApplianceError as refusal:
        return _confirm_removal(desk, name, form, refusal)
    notice = f"{name} and its {gone.removal.mailboxes} mailboxes are gone."
    notice += still_sending(gone.forwarded_by)
    return desk.see_other("/domains", notice)
