"""Login links: single sign-on from a billing panel."""

from fastapi import APIRouter, Request, Response

from appliance.services import login_links
from web.api.dependencies import DryRun, Making, refusals
from web.api.schemas.login_links import LoginLink, NewLoginLink

router = APIRouter(prefix="/login-links")


@router.post("", summary="Make a login link", status_code=201, responses=refusals(403, 404, 422))
def create(
    asking: Making, body: NewLoginLink, request: Request, response: Response, dry_run: DryRun = False
) -> LoginLink:
    """Whoever opens it is logged in to the panel as this person, once. Made by keys without limits only, and audited.

    With *support* he sees what this person sees, for a quarter of an hour, and changes nothing; the person is told.
    """
    with asking.posting(response, body, dry_run=dry_run) as posting:
        made = login_links.create(
            posting.session, body.name, actor=asking.actor, seconds=body.seconds, support=body.support
        )
        link = f"{str(request.base_url).rstrip('/')}/login/link/{made.token}"
        return posting.answer(LoginLink.model_validate({"link": link, "expires_at": made.expires_at}), status=201)
