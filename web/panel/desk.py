"""What every page of the panel works with: who sits at the desk, and the way to pages, database and next address.

A reader would otherwise get wrong: who signed in with a one-time password sits at no desk but the one where it is changed.
`signed_in` sees to that for every page that depends on it, so no page can be reached around it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.database.session import Session
from appliance.errors import ApplianceError, Forbidden, NotSignedIn
from appliance.services import jobs, sessions, support
from appliance.services.actor import Actor
from web import security
from web.errors import MustChangePassword, status_of
from web.panel.me import Me
from web.panel.rendering import leave_notice
from web.wiring import Wiring, client_of, wiring_of

OWN_SECRETS = "/account/"  # pages below it are for nobody but the owner


@dataclass(frozen=True, slots=True)
class Desk:
    """One request of somebody who is signed in."""

    request: Request
    wiring: Wiring
    me: Me

    @property
    def actor(self) -> Actor:
        """For the services."""
        return self.me.actor

    def changing(self) -> AbstractContextManager[Session]:
        """One writing transaction, as `Wiring.changing`."""
        return self.wiring.changing()

    def reading(self) -> AbstractContextManager[Session]:
        """One look at the database, as `Wiring.reading`."""
        return self.wiring.reading()

    def page(self, template: str, *, refusal: ApplianceError | None = None, **context: Any) -> Response:  # noqa: ANN401 - templates take anything
        """The page; with a *refusal*, under its status."""
        status = status_of(refusal) if refusal else 200
        return self.wiring.renderer.page(self.request, template, context, status=status)

    def see_other(self, where: str, notice: str = "") -> Response:
        """Post, redirect, get: reloading the page that follows changes nothing a second time (RFC 9110 15.4.4)."""
        response = RedirectResponse(where, 303)
        if notice:
            leave_notice(self.request, response, notice)
        return response


def changing_password(request: Request) -> Desk:
    """The desk of whoever is signed in, also with a one-time password.

    Raises:
        NotSignedIn: nobody is.
    """
    wiring = wiring_of(request)
    token = security.read_cookie(request, security.SESSION_COOKIE)
    if not token:
        raise NotSignedIn("Please sign in.")
    with wiring.reading() as session:
        login = sessions.find(session, token, source=client_of(request))
        visits = [] if login.actor.support_by else support.visits(session, login.actor)
        at_work = jobs.at_work(session, login.actor) if login.actor.kind != "mailbox" else 0
    request.state.me = me = Me(
        login.actor, login.must_change, login.id, tuple(visits), login.expires_at, at_work, login.time_zone
    )
    if login.actor.support_by and (request.method not in ("GET", "HEAD") or request.url.path.startswith(OWN_SECRETS)):
        raise Forbidden("Support looks, and changes nothing.", code="support_looks")
    return Desk(request, wiring, me)


def signed_in(desk: Annotated[Desk, Depends(changing_password)]) -> Desk:
    """The desk of whoever is signed in.

    Raises:
        NotSignedIn: nobody is.
        MustChangePassword: with a one-time password, which has to be changed first.
    """
    if desk.me.must_change_password:
        raise MustChangePassword("Choose your own password first.")
    return desk


def managing(desk: Annotated[Desk, Depends(signed_in)]) -> Desk:
    """The desk of whoever manages more than his own mailbox.

    Raises:
        NotSignedIn, MustChangePassword: as `signed_in`.
        Forbidden: a mailbox owner has no such pages.
    """
    if not desk.me.manages:
        raise Forbidden("This page is for those who manage domains.")
    return desk


Managing = Annotated[Desk, Depends(managing)]
Signed = Annotated[Desk, Depends(signed_in)]
AtPassword = Annotated[Desk, Depends(changing_password)]
