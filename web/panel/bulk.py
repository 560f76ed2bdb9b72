"""Many at once: what was ticked in a list, or all that the list is searched for; what shall be done to them; and a draft of it.

A reader would otherwise get wrong: nothing is done here. The draft's own page shows what would change and is where it is begun;
the page that the job leaves behind is where it is undone.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, Invalid, NotFound
from appliance.services import authorisation, bulk, domains
from appliance.services.bulk import DEEDS, Deed
from web.panel import drafts
from web.panel.desk import Desk, Managing
from web.panel.forms import ChosenForm, day_in, faults_of, limits_in, size_in
from web.panel.links import url, with_query
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

LISTS = {"mailbox": "mailboxes", "alias": "aliases", "forward": "forwards"}
FIELDS = ("verb", "what", "quota", "expires", *bulk.LIMITS)


@router.post("/bulk/choose")
def choose(desk: Managing, chosen: ChosenForm) -> Response:
    """What shall be done to them?"""
    return _choose(desk, chosen.fields, chosen.names, None)


def _choose(desk: Desk, form: Typed, names: list[str], refusal: ApplianceError | None) -> Response:
    noun = _noun(form)
    is_all = bool(form["all"])
    domain = ""
    if noun != "domain":
        with desk.reading() as session:
            domain = domains.get(session, form["domain"], actor=desk.actor).name
    if not names and not is_all:
        return desk.see_other(_list_of(form), "Tick what shall be changed, then choose what shall be done.")
    return desk.page(
        "bulk/choose.html", refusal=refusal, form=form, errors=faults_of(refusal, *FIELDS) if refusal else Typed(),
        noun=noun, verbs=DEEDS[noun], names=[] if is_all else names, is_all=is_all, domain=domain, search=form["search"],
        stops=tuple(authorisation.STOPS), limits=bulk.LIMITS, back=_list_of(form),
    )  # fmt: skip


def _noun(form: Typed) -> str:
    if form["noun"] not in DEEDS:
        raise NotFound(f"there is no list of {form['noun'][:20]}")
    return form["noun"]


def _list_of(form: Mapping[str, str]) -> str:
    noun = form["noun"]
    where = "/domains" if noun == "domain" else url("domains", form["domain"], LISTS[noun])
    return with_query(where, search=form["search"])


@router.post("/bulk")
def draft(desk: Managing, chosen: ChosenForm) -> Response:
    """Show what would become of them."""
    form = chosen.fields
    try:
        deed = _deed(form, desk.me.zone)
        about = {"deed": deed.said, "domain": form["domain"], "search": form["search"] if form["all"] else ""}
        wanted = _all_of(desk, deed.noun, form) if form["all"] else iter([{"name": name} for name in chosen.names])
        job = drafts.make(desk, bulk.KIND, wanted, about)
    except Invalid as refusal:
        return _choose(desk, form, chosen.names, refusal)
    return desk.see_other(url("jobs", job))


def _all_of(desk: Desk, noun: str, form: Typed) -> Iterator[dict[str, Any]]:
    """Read before anything is written, so that nobody waits for the one while the other is done."""
    domain = None if noun == "domain" else form["domain"]
    with desk.reading() as session:
        names = list(bulk.choose(session, noun, actor=desk.actor, domain=domain, search=form["search"]))
    return iter(names)


def _deed(form: Typed, zone: dt.tzinfo) -> Deed:
    """What the form asks for.

    Raises:
        Invalid: nothing, or a value that makes no sense.
    """
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
    return Deed.of({"noun": _noun(form), "verb": verb, "value": value})
