"""Certificates."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.services import certificates
from web import LARGEST
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, Making, refusals, told
from web.api.schemas import Page
from web.api.schemas.certificates import Certificate, NewCertificate

router = APIRouter(prefix="/certificates")

Number = Annotated[int, Path(ge=0, le=LARGEST, examples=[1])]


@router.get("", summary="List certificates", responses=refusals(422))
def list_certificates(asking: Asking, limit: Limit = 50, cursor: Cursor = None) -> Page[Certificate]:
    """Oldest first, without their keys."""
    with asking.wiring.reading() as session:
        page = certificates.list_certificates(session, actor=asking.actor, limit=limit, cursor=cursor)
        return Page(items=[Certificate.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Install a certificate", status_code=201, responses=refusals(403, 404, 409, 422))
def install(asking: Making, body: NewCertificate, response: Response, dry_run: DryRun = False) -> Certificate:
    """Shown within a second under all the names in it; those it replaces are removed. Connections are not interrupted."""
    offered = certificates.check(body.chain, body.key)
    sealed = asking.wiring.seals.tls_key(offered.key)
    with asking.posting(response, body, dry_run=dry_run) as posting:
        row = certificates.install(posting.session, offered, sealed, actor=asking.actor)
        certificate = Certificate.model_validate(row)
        return posting.answer(certificate, location=f"/certificates/{certificate.id}")


@router.get("/{number}", summary="Show a certificate", responses=refusals(404, 422))
def show(asking: Asking, number: Number, response: Response) -> Certificate:
    """Without its key, which only the role that uses it can read."""
    with asking.wiring.reading() as session:
        return told(response, Certificate.model_validate(certificates.get(session, number, actor=asking.actor)))


@router.delete("/{number}", summary="Remove a certificate", status_code=204, responses=refusals(403, 404, 412, 422))
def remove(asking: Changing, number: Number, dry_run: DryRun = False) -> None:
    """Its names show the host's own from then on."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: certificates.get(session, number, actor=asking.actor))
        certificates.remove(session, number, actor=asking.actor)
