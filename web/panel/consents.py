"""The page behind the link in a mail that asks whether mail may be sent on; whoever has the link needs no account here.

A reader would otherwise get wrong: to look at the page is not to agree. Programs that inspect mail follow links; only the form's
button says yes.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.services import consents
from web.panel.forms import Form
from web.panel.links import url
from web.wiring import client_of, wiring_of

router = APIRouter(include_in_schema=False)


@router.get("/consent/{token}")
def ask(request: Request, token: str) -> Response:
    """What he is asked to agree to."""
    wiring = wiring_of(request)
    with wiring.reading() as session:
        asked = consents.look_up(session, token)
    return wiring.renderer.page(request, "consents/ask.html", {"asked": asked, "token": token})


@router.post("/consent/{token}")
def agree(request: Request, token: str, form: Form) -> Response:
    """He agrees."""
    wiring = wiring_of(request)
    with wiring.changing() as session:
        consents.agree(session, token, source=client_of(request))
    return RedirectResponse(url("consent", token), 303)
