"""What keeps unwanted mail out: a domain's validation and switches, access rules, where a relayed domain's mail goes on to.

A reader would otherwise get wrong: the list of rules is one part of a page that three pages have - a domain's, a mailbox's
(its owner's own too) and the operator's for the host. Refused, a rule is shown on the page it was typed on.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.database.session import Session
from appliance.errors import ApplianceError, Invalid
from appliance.services import access_rules, authorisation, domains, mailboxes, recipients
from web.panel.desk import Desk, Managing, Signed
from web.panel.domains import shown
from web.panel.forms import Form, day_in, faults_of
from web.panel.links import url
from web.panel.mailboxes import show_mailbox
from web.panel.relaying import RELAY_FIELDS, as_typed, route_in, sources_for
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

RULE_FIELDS = ("pattern", "note", "expires")
SEEN_RECIPIENTS = 100  # of a list that may have a hundred thousand


# ---- a domain


@router.get("/domains/{name}/protection")
def domain_page(desk: Signed, name: str) -> Response:
    """How a domain is protected."""
    return _domain_page(desk, name, None, None)


def _domain_page(desk: Desk, name: str, form: Typed | None, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        context = {
            "domain": shown(session, [domain])[0],
            "protected": domain,
            "rules": access_rules.list_rules(session, actor=desk.actor, domain=domain.name),
            "listed": recipients.count(session, domain) if domain.source == "list" else 0,
            "seen": _first_recipients(session, desk, domain),
            "may_route": authorisation.allows(session, desk.actor, "domain.route", domain),
            "sources": sources_for(desk, domain.source),
        }
        kept = _of_domain(domain)
    known = ("validation", *RELAY_FIELDS, "recipients", *RULE_FIELDS)
    faults = faults_of(as_typed(refusal), *known) if refusal else Typed()
    return desk.page(
        "domains/protection.html", refusal=refusal, form=Typed({**kept, **(form or {})}), errors=faults, **context
    )


def _first_recipients(session: Session, desk: Desk, domain: domains.Domain) -> list[str]:
    if domain.source != "list":
        return []
    page = recipients.list_recipients(session, domain.name, actor=desk.actor, limit=SEEN_RECIPIENTS)
    return [row.folded for row in page.items]


def _of_domain(domain: domains.Domain) -> dict[str, str]:
    settings: Mapping[str, str] = domain.source_settings
    return {
        "validation": domain.validation,
        "greylist": "yes" if domain.greylist else "",
        "dnsbl": "yes" if domain.dnsbl else "",
        "batv": "yes" if domain.batv else "",
        "next_hop": domain.next_hop or "",
        "source": domain.source,
        **settings,
    }


@router.post("/domains/{name}/protection")
def protect(desk: Signed, name: str, form: Form) -> Response:
    """Validation, greylisting, DNS lists, signed return paths."""
    try:
        with desk.changing() as session:
            domain = domains.update(
                session, name, actor=desk.actor, validation=form["validation"], greylist=bool(form["greylist"]),
                dnsbl=bool(form["dnsbl"]), batv=bool(form["batv"]),
            )  # fmt: skip
    except ApplianceError as refusal:
        return _domain_page(desk, name, Typed({"greylist": "", "dnsbl": "", "batv": "", **form}), refusal)
    return desk.see_other(url("domains", domain.name, "protection"), "The protection is changed.")


@router.post("/domains/{name}/relay")
def relay(desk: Signed, name: str, form: Form) -> Response:
    """Where the domain's mail goes on to, and who knows its recipients."""
    try:
        wanted = route_in(desk, form)
        with desk.changing() as session:
            domain = domains.update(session, name, actor=desk.actor, route=wanted)
    except ApplianceError as refusal:
        return _domain_page(desk, name, form, refusal)
    return desk.see_other(url("domains", domain.name, "protection"), f"Mail goes on to {domain.next_hop}.")


@router.post("/domains/{name}/recipients")
def set_recipients(desk: Signed, name: str, form: Form) -> Response:
    """A list that was pasted; a longer one goes over the API or the command line."""
    modes: dict[str, recipients.Mode] = {"replace": "replace", "add": "add", "remove": "remove"}
    try:
        if form["mode"] not in modes:
            raise Invalid("Say what to do with them.", field="recipients")
        with desk.reading() as session:
            domain = domains.find(session, desk.actor, "recipient.set", name)
        folded = recipients.read_list(domain.name, form["recipients"].splitlines())
        with desk.changing() as session:
            done = recipients.apply(session, name, folded, modes[form["mode"]], actor=desk.actor)
    except ApplianceError as refusal:
        return _domain_page(desk, name, form, refusal)
    notice = f"{done.added} added, {done.removed} removed: {done.total} recipients."
    return desk.see_other(url("domains", domain.name, "protection"), notice)


@router.post("/domains/{name}/rules")
def add_domain_rule(desk: Signed, name: str, form: Form) -> Response:
    """For all of the domain's recipients."""
    return _add(
        desk, form, {"domain": name}, url("domains", name, "protection"),
        lambda refusal: _domain_page(desk, name, form, refusal),
    )  # fmt: skip


@router.post("/domains/{name}/rules/{rule:int}/remove")
def remove_domain_rule(desk: Signed, name: str, rule: int, form: Form) -> Response:
    """Those below it move up."""
    return _remove(desk, rule, {"domain": name}, url("domains", name, "protection"))


# ---- a mailbox


@router.post("/mailboxes/{address:path}/rules")
def add_mailbox_rule(desk: Signed, address: str, form: Form) -> Response:
    """For this mailbox alone; its owner may."""

    def refused(refusal: ApplianceError) -> Response:
        with desk.reading() as session:
            mailboxes.get(session, address, actor=desk.actor)
        return show_mailbox(desk, address, None, as_typed(refusal), form)

    return _add(desk, form, {"mailbox": address}, url("mailboxes", address), refused)


@router.post("/mailboxes/{address:path}/rules/{rule:int}/remove")
def remove_mailbox_rule(desk: Signed, address: str, rule: int, form: Form) -> Response:
    """Those below it move up."""
    return _remove(desk, rule, {"mailbox": address}, url("mailboxes", address))


# ---- the host


@router.get("/rules")
def host_page(desk: Managing) -> Response:
    """The host's own rules, for operators."""
    return _host_page(desk, Typed(), None)


def _host_page(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        rules = access_rules.list_rules(session, actor=desk.actor)
    faults = faults_of(as_typed(refusal), *RULE_FIELDS) if refusal else Typed()
    return desk.page("rules/index.html", refusal=refusal, form=form, errors=faults, rules=rules)


@router.post("/rules")
def add_host_rule(desk: Managing, form: Form) -> Response:
    """For every recipient of this host."""
    return _add(desk, form, {}, "/rules", lambda refusal: _host_page(desk, form, refusal))


@router.post("/rules/{rule:int}/remove")
def remove_host_rule(desk: Managing, rule: int, form: Form) -> Response:
    """Those below it move up."""
    return _remove(desk, rule, {}, "/rules")


# ---- all three


def _add(
    desk: Desk, form: Typed, scope: dict[str, Any], where: str, refused: Callable[[ApplianceError], Response]
) -> Response:
    try:
        expires_at = day_in(form, "expires", desk.me.zone)
        with desk.changing() as session:
            rule = _added(session, desk, form, scope, expires_at)
    except ApplianceError as refusal:
        return refused(refusal)
    verb = "let in" if rule.verb == "allow" else "kept out"
    return desk.see_other(where, f"{rule.pattern} is {verb} from now on.")


def _added(
    session: Session, desk: Desk, form: Typed, scope: dict[str, Any], expires_at: int | None
) -> access_rules.AccessRule:
    return access_rules.add(
        session, form["verb"], form["pattern"], actor=desk.actor, note=form["note"], expires_at=expires_at,
        position=1 if form["place"] == "top" else None, **scope,
    )  # fmt: skip


def _remove(desk: Desk, rule: int, scope: dict[str, Any], where: str) -> Response:
    with desk.changing() as session:
        access_rules.remove(session, rule, actor=desk.actor, **scope)
    return desk.see_other(where, "The rule is gone.")
