"""A domain's DNS: what should stand in its zone and what does, and the record that proves whose it is.

A reader would otherwise get wrong: the page itself asks no name server, so it is there at once; what is in DNS now is asked for
by the page's second request, or by the link in it where no scripts run. What was found then is kept beside the domain.
"""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from appliance.database.session import Session
from appliance.errors import ApplianceError
from appliance.services import authorisation, dns_page, domains, proof
from appliance.services.dns_page import Judged
from web import dns_checks
from web.panel.desk import Desk, Signed
from web.panel.domains import shown
from web.panel.forms import Form, faults_of
from web.panel.links import url
from web.panel.rendering import Typed, is_fragment

router = APIRouter(include_in_schema=False)


@router.get("/domains/{name}/dns")
def page(desk: Signed, name: str, check: bool = False) -> Response:
    """What should be there; with *check*, what is."""
    return _page(desk, name, None, check=check)


def _page(desk: Desk, name: str, refusal: ApplianceError | None, *, check: bool) -> Response:
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        records = _records(session, desk, domain)
        view = shown(session, [domain])[0]
        may_update = authorisation.allows(session, desk.actor, "domain.update", domain)
    judged: list[Judged] = []
    try:
        judged = dns_checks.check(desk.wiring, domain, records) if check else []
    except ApplianceError as away:
        refusal = refusal or away
    whole = not is_fragment(desk.request)
    return desk.page(
        "domains/dns.html" if whole else "domains/_records.html",
        refusal=refusal if whole else None, errors=faults_of(refusal) if refusal else Typed(),
        domain=view, judged=judged, records=records, zone=dns_page.zone(records), challenge=proof.challenge(domain),
        may_update=may_update, wrong=sum(one.wanted.required and one.state != "right" for one in judged),
    )  # fmt: skip


def _records(session: Session, desk: Desk, domain: domains.Domain) -> list[dns_page.Wanted]:
    """What should be there; the proof no more once it was found."""
    done = proof.challenge(domain)[0] if domain.proved_at is not None else ""
    records = dns_checks.records_of(desk.wiring, session, domain, desk.actor)
    return [record for record in records if record.name != done]


@router.get("/domains/{name}/dns/zone")
def zone(desk: Signed, name: str) -> Response:
    """The same as lines of a zone file, to be kept or to be read by a program."""
    with desk.reading() as session:
        domain = domains.get(session, name, actor=desk.actor)
        text = dns_page.zone(_records(session, desk, domain))
    return PlainTextResponse(text, headers={"Content-Disposition": f'attachment; filename="{domain.name}.zone"'})


@router.post("/domains/{name}/proof")
def prove(desk: Signed, name: str, form: Form) -> Response:
    """Look for the record; or do without it, on the operator's word."""
    try:
        with desk.reading() as session:
            question = ("TXT", proof.challenge(domains.find(session, desk.actor, "domain.update", name))[0])
        texts = () if form["waive"] else desk.wiring.resolver.look_up([question])[0].records
        with desk.changing() as session:
            domain = domains.find(session, desk.actor, "domain.update", name)
            if form["waive"]:
                proof.waive(session, domain, actor=desk.actor)
            else:
                proof.prove(session, domain, texts, actor=desk.actor)
    except ApplianceError as refusal:
        return _page(desk, name, refusal, check=False)
    return desk.see_other(url("domains", name), f"{domain.name} is yours: mail for it is taken from now on.")
