"""Domains."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from appliance.services import dns_page, domains, proof
from appliance.services.relays import Route
from appliance.services.seals import Seals
from web import dns_checks
from web.api import background
from web.api.background import ACCEPTED, Prefer
from web.api.dependencies import (
    Asking,
    Changing,
    Cursor,
    DryRun,
    Limit,
    Making,
    Ordering,
    Search,
    TenantId,
    given,
    refusals,
    told,
)
from web.api.schemas import Page, Standstill, stopping
from web.api.schemas.domains import Dns, DnsRecord, Domain, DomainChange, NewDomain, Proof
from web.api.schemas.removals import Removed

router = APIRouter(prefix="/domains")

WrongDns = Annotated[
    Literal["wrong", "mx", "spf", "dkim", "dmarc"] | None,
    Query(description="only proved ones whose zone lacked this at the last look; wrong: any of what mail rests on"),
]
OF_RELAYS = frozenset({"next_hop", "source", "source_settings", "source_password"})


def routed(seals: Seals, asked: Mapping[str, Any]) -> dict[str, Any]:
    """*asked*, with what is about relaying as the service takes it: together, and the password sealed."""
    rest = dict(asked)
    password = rest.pop("source_password", None)
    sealed = None if password is None else seals.source_secret(password)
    route = Route(rest.pop("next_hop", None), rest.pop("source", None), rest.pop("source_settings", None), sealed)
    return {**rest, "route": route} if route != Route() else rest


@router.get("", summary="List domains", responses=refusals(422))
def list_domains(
    asking: Asking,
    limit: Limit = 50,
    cursor: Cursor = None,
    search: Search = "",
    tenant_id: TenantId = None,
    dns: WrongDns = None,
) -> Page[Domain]:
    """By name; of one tenant, with *search* in the name, or of whose zone something was wrong at the last look."""
    with asking.wiring.reading() as session:
        page = domains.list_domains(
            session, actor=asking.actor, tenant_id=tenant_id, search=search, dns=dns or "", limit=limit, cursor=cursor
        )
        return Page(items=[Domain.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Add a domain", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewDomain, response: Response, dry_run: DryRun = False) -> Domain:
    """Mail for it is accepted within a second of the answer, as soon as it has addresses."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        said = body.model_dump(exclude_unset=True)
        # A program that sends all members, those it has nothing to say for among them, wants no relay.
        said = {name: value for name, value in said.items() if value or name not in OF_RELAYS}
        wanted = routed(asking.wiring.seals, said)
        domain = Domain.model_validate(domains.create(posting.session, actor=asking.actor, **wanted))
        return posting.answer(domain, location=f"/domains/{domain.name}")


@router.get("/{name}", summary="Show a domain", responses=refusals(404, 422))
def show(asking: Asking, name: str, response: Response) -> Domain:
    """By its name, in either form."""
    with asking.wiring.reading() as session:
        return told(response, Domain.model_validate(domains.get(session, name, actor=asking.actor)))


@router.patch("/{name}", summary="Change a domain", responses=refusals(403, 404, 409, 412, 422))
def change(asking: Changing, name: str, body: DomainChange, response: Response, dry_run: DryRun = False) -> Domain:
    """What is left out stays as it is."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: domains.get(session, name, actor=asking.actor))
        wanted = routed(asking.wiring.seals, given(body))
        return told(response, Domain.model_validate(domains.update(session, name, actor=asking.actor, **wanted)))


@router.delete(
    "/{name}", summary="Remove a domain", response_model=Removed, responses=ACCEPTED | refusals(403, 404, 409, 412, 422)
)
def remove(asking: Changing, name: str, dry_run: DryRun = False, prefer: Prefer = None) -> Removed | Response:
    """With all its mailboxes and aliases. Until the moment that is told, undoing the removal brings them back with their mail.

    A large one is removed in the background: of more than 3,000 mailboxes and aliases the answer is 202 with the job, and the same
    job for whoever asks again while it works. When it is done, its result names the removal (`id`), and the domain is not found.
    """
    later = None if dry_run else background.remove_domain(asking, name, prefer)
    if later is not None:
        return later
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: domains.get(session, name, actor=asking.actor))
        days = asking.wiring.settings.limits.trash_days
        return Removed.model_validate(domains.remove(session, name, actor=asking.actor, days=days))


@router.post("/{name}/suspend", summary="Suspend a domain", responses=refusals(403, 404, 409, 412, 422))
def suspend(
    asking: Ordering, name: str, response: Response, body: Standstill | None = None, dry_run: DryRun = False
) -> Domain:
    """Refuse mail for it until it is resumed; what is stored stays."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: domains.get(posting.session, name, actor=asking.actor))
        return posting.answer(
            Domain.model_validate(domains.suspend(posting.session, name, actor=asking.actor, **stopping(body)))
        )


@router.post("/{name}/resume", summary="Resume a domain", responses=refusals(403, 404, 409, 412, 422))
def resume(
    asking: Ordering, name: str, response: Response, body: Standstill | None = None, dry_run: DryRun = False
) -> Domain:
    """Accept mail for it again."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: domains.get(posting.session, name, actor=asking.actor))
        return posting.answer(
            Domain.model_validate(domains.resume(posting.session, name, actor=asking.actor, **stopping(body)))
        )


@router.get("/{name}/dns", summary="Show what belongs into a domain's zone", responses=refusals(404, 422))
def show_dns(asking: Asking, name: str) -> Dns:
    """What should be there and, asked of the name servers now, what is. What mail rests on is kept with the domain."""
    with asking.wiring.reading() as session:
        domain = domains.get(session, name, actor=asking.actor)
        records = dns_checks.records_of(asking.wiring, session, domain, asking.actor)
    judged = [
        DnsRecord(
            kind=one.wanted.kind, name=one.wanted.name, value=one.wanted.value, purpose=one.wanted.purpose,
            required=one.wanted.required, found=list(one.found), state=one.state,
        )
        for one in dns_checks.check(asking.wiring, domain, records)
    ]  # fmt: skip
    return Dns(records=judged, zone=dns_page.zone(records))


@router.post("/{name}/proof", summary="Prove whose a domain is", responses=refusals(403, 404, 409, 412, 422))
def prove(
    asking: Ordering, name: str, response: Response, body: Proof | None = None, dry_run: DryRun = False
) -> Domain:
    """Looks for the TXT record that `dns` names. Until it was found once, no mail is taken for the domain."""
    with asking.wiring.reading() as session:
        question = ("TXT", proof.challenge(domains.find(session, asking.actor, "domain.update", name))[0])
    waives = body is not None and body.waive
    texts = () if waives else asking.wiring.resolver.look_up([question])[0].records
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: domains.get(posting.session, name, actor=asking.actor))
        domain = domains.find(posting.session, asking.actor, "domain.update", name)
        if waives:
            proof.waive(posting.session, domain, actor=asking.actor)
        else:
            proof.prove(posting.session, domain, texts, actor=asking.actor)
        return posting.answer(Domain.model_validate(domain))
