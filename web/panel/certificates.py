"""Certificates: the list, and installing one."""

import time

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import certificates
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, faults_of
from web.panel.listing import PAGE_LENGTH, Asked, Wanted, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)


@router.get("/certificates")
def index(desk: Managing, asked: Asked) -> Response:
    """Which names show what of themselves."""
    return _index(desk, asked, Typed(), None)


def _index(desk: Desk, asked: Wanted, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        page = certificates.list_certificates(
            session, actor=desk.actor, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor
        )
    faults = faults_of(refusal, "chain", "key") if refusal else Typed()
    return show_list(
        desk, asked, page, "/certificates", ("certificates/index.html", "certificates/index.html"), refusal=refusal,
        form=form, errors=faults, now=int(time.time()),
    )  # fmt: skip


@router.post("/certificates")
def install(desk: Managing, form: Form) -> Response:
    """Check it, seal its key, show it from now on."""
    try:
        offered = certificates.check(form["chain"], form["key"])
        sealed = desk.wiring.seals.tls_key(offered.key)
        with desk.changing() as session:
            made = certificates.install(session, offered, sealed, actor=desk.actor)
            names = ", ".join(made.names)
    except ApplianceError as refusal:
        # The key does not come back into the page: it would stand in the browser's memory and history.
        return _index(desk, Wanted("", None), Typed(chain=form["chain"]), refusal)
    return desk.see_other("/certificates", f"{names}: shown from now on.")


@router.post("/certificates/{number:int}/remove")
def remove(desk: Managing, number: int, form: Form) -> Response:
    """Its names show the host's own from then on."""
    with desk.changing() as session:
        certificates.remove(session, number, actor=desk.actor)
    return desk.see_other("/certificates", "The certificate is gone.")
