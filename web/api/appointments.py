"""Appointments: what somebody may do besides what his account, or his mailbox, gives him."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from appliance.services import appointments
from web import LARGEST
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, Making, refusals, told
from web.api.schemas import Page
from web.api.schemas.appointments import Appointment, NewAppointment

router = APIRouter(prefix="/appointments")
Number = Annotated[int, Path(ge=0, le=LARGEST)]


def _shown(row: appointments.Appointment) -> Appointment:
    return Appointment(
        id=row.id, holder=appointments.holder_of(row), kind=row.kind, tenant_id=row.tenant_id,
        domain=row.domain.name if row.domain is not None else None, rights=row.rights,
        created_at=row.created_at, version=row.version,
    )  # fmt: skip


@router.get("", summary="List appointments", responses=refusals(404, 422))
def list_appointments(
    asking: Asking,
    limit: Limit = 50,
    cursor: Cursor = None,
    holder: Annotated[str | None, Query(max_length=320, description="only those of this account or mailbox")] = None,
) -> Page[Appointment]:
    """The oldest first."""
    with asking.wiring.reading() as session:
        page = appointments.list_appointments(session, actor=asking.actor, holder=holder, limit=limit, cursor=cursor)
        return Page(items=[_shown(row) for row in page.items], next=page.next)


@router.post("", summary="Appoint somebody", status_code=201, responses=refusals(403, 404, 409, 422))
def appoint(asking: Making, body: NewAppointment, response: Response, dry_run: DryRun = False) -> Appointment:
    """From then on his mailbox and account are out of the hands of whoever stands below what he now holds."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asked = body.model_dump()
        made = appointments.appoint(posting.session, asked.pop("holder"), actor=asking.actor, **asked)
        return posting.answer(_shown(made), location=f"/appointments/{made.id}")


@router.get("/{number}", summary="Show an appointment", responses=refusals(404, 422))
def show(asking: Asking, number: Number, response: Response) -> Appointment:
    """By its id."""
    with asking.wiring.reading() as session:
        return told(response, _shown(appointments.get(session, number, actor=asking.actor)))


@router.delete("/{number}", summary="End an appointment", status_code=204, responses=refusals(403, 404, 412, 422))
def dismiss(asking: Changing, number: Number, dry_run: DryRun = False) -> None:
    """With his next request he holds it no more."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: appointments.get(session, number, actor=asking.actor))
        appointments.dismiss(session, number, actor=asking.actor)
