"""Many at once: what was ticked in a list, or all that the list is searched for; what shall be done to them; and a draft of it.

A reader would otherwise get wrong: nothing is done here. The draft's own page shows what would change and is where it is begun;
the page that the job leaves behind is where it is undone.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, Invalid, NotFound, Refused
from appliance.services import authorisation, bulk, domains, new_passwords, plans, tenants
from appliance.services.bulk import DEEDS, Deed
from web.panel import drafts, sheet_cookies
from web.panel.desk import Desk, Managing
from web.panel.forms import ChosenForm, day_in, faults_of, limits_in, number_in, size_in
from web.panel.links import url, with_query
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

LISTS = {"mailbox": "mailboxes", "alias": "aliases", "forward": "forwards"}
FIELDS = ("verb", "what", "quota", "expires", "tenant", "plan", *bulk.LIMITS)
MAX_OFFERED = 500  # tenants or plans in a form's list; where there are more tenants, one is named


@router.post("/bulk/choose")
def choose(desk: Managing, chosen: ChosenForm) -> Response:
    """What shall be done to them?"""
    return _choose(desk, chosen.fields, chosen.names, None)


def _choose(desk: Desk, form: Typed, names: list[str], refusal: ApplianceError | None) -> Response:
    noun = _noun(form)
    is_all = bool(form["all"])
    domain = ""
    if noun in LISTS:
        with desk.reading() as session:
            domain = domains.get(session, form["domain"], actor=desk.actor).name
    if not names and not is_all:
        return desk.see_other(_list_of(form), "Tick what shall be changed, then choose what shall be done.")
    return desk.page(
        "bulk/choose.html", refusal=refusal, form=form, errors=faults_of(refusal, *FIELDS) if refusal else Typed(),
        noun=noun, verbs=DEEDS[noun], names=[] if is_all else names,
        shown=_shown(desk, noun, names), is_all=is_all, domain=domain, search=form["search"],
        stops=tuple(authorisation.STOPS), limits=bulk.LIMITS, back=_list_of(form), **_offered(desk, noun),
    )  # fmt: skip


def _shown(desk: Desk, noun: str, names: list[str]) -> list[str]:
    return [one.get("shown") or one["name"] for one in _ticked(desk, noun, names)]


def _offered(desk: Desk, noun: str) -> dict[str, Any]:
    """To whom domains may be given, and what plans tenants may have."""
    owners: list[tuple[str, str]] | None = []
    offered: list[tuple[str, str]] = []
    with desk.reading() as session:
        if noun == "domain":
            page = tenants.list_tenants(session, actor=desk.actor, limit=MAX_OFFERED)
            owners = None if page.next else [(str(tenant.id), tenant.name) for tenant in page.items]
        elif noun == "tenant":
            found = plans.list_plans(session, actor=desk.actor, limit=MAX_OFFERED).items
            offered = [("", "No plan"), *((str(plan.id), plan.name) for plan in found)]
    return {"owners": owners, "plans": offered}


def _noun(form: Typed) -> str:
    if form["noun"] not in DEEDS:
        raise NotFound(f"there is no list of {form['noun'][:20]}")
    return form["noun"]


def _list_of(form: Mapping[str, str]) -> str:
    noun = form["noun"]
    if noun == "tenant":
        return with_query("/tenants", search=form["search"], under=form["domain"])
    where = "/domains" if noun == "domain" else url("domains", form["domain"], LISTS[noun])
    return with_query(where, search=form["search"])


@router.post("/bulk")
def draft(desk: Managing, chosen: ChosenForm) -> Response:
    """Show what would become of them."""
    form = chosen.fields
    try:
        deed = _deed(desk, form)
        about = {"deed": deed.said, "domain": form["domain"], "search": form["search"] if form["all"] else ""}
        names = _all_of(desk, deed.noun, form) if form["all"] else _ticked(desk, deed.noun, chosen.names)
        if deed.verb == "password" and len(names) > new_passwords.MOST:
            raise Invalid(f"New passwords are made for at most {new_passwords.MOST} at once.", field="verb")
        with desk.reading() as session:
            about["called"] = bulk.called(session, deed, actor=desk.actor)
        if deed.verb == "password":
            return sheet_cookies.draft(desk, names, about)
        job = drafts.make(desk, bulk.KIND, iter(names), about)
    except Invalid as refusal:
        return _choose(desk, form, chosen.names, refusal)
    return desk.see_other(url("jobs", job))


def _all_of(desk: Desk, noun: str, form: Typed) -> list[dict[str, Any]]:
    """Read before anything is written, so that nobody waits for the one while the other is done."""
    domain = None if noun == "domain" else form["domain"]
    with desk.reading() as session:
        return list(bulk.choose(session, noun, actor=desk.actor, domain=domain, search=form["search"]))


def _ticked(desk: Desk, noun: str, names: list[str]) -> list[dict[str, Any]]:
    """Of tenants with what they are called; one that is not there is refused when it is looked at."""
    if noun != "tenant":
        return [{"name": name} for name in names]
    told = {}
    with desk.reading() as session:
        for name in names:
            with contextlib.suppress(Refused):
                told[name] = bulk.tenant_of(session, name, actor=desk.actor).name
    return [{"name": name, "shown": told.get(name, name)} for name in names]


def _deed(desk: Desk, form: Typed) -> Deed:
    """What the form asks for.

    Raises:
        Invalid: nothing, or a value that makes no sense.
    """
    zone = desk.me.zone
    verb = form["verb"]
    value: Any = None
    if verb in ("suspend", "resume"):
        value = [name for name in authorisation.STOPS if form[f"{verb}_{name}"]]
    elif verb == "quota":
        value = size_in(form, "quota")
    elif verb == "expire":
        value = day_in(form, "expires", zone)
    elif verb == "copy":
        value = form["copy"] == "yes"
    elif verb == "limit":
        value = {name: limit for name, limit in limits_in(form, bulk.LIMITS).items() if limit is not None}
    elif verb == "plan":
        value = number_in(form, "plan")
    elif verb == "tenant":
        value = _owner_in(desk, form)
    return Deed.of({"noun": _noun(form), "verb": verb, "value": value})


def _owner_in(desk: Desk, form: Typed) -> int:
    """The number of the tenant that was chosen, or named.

    Raises:
        Invalid: there is none, or several are called so.
    """
    try:
        with desk.reading() as session:
            return tenants.find(session, form["tenant"].strip(), actor=desk.actor).id
    except Refused as refusal:
        raise Invalid(refusal.sentence, code=refusal.code, field="tenant") from refusal
