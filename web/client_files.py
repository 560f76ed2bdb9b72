"""The files in which mail programs look for their settings: autoconfig, Autodiscover, Apple's profiles.

A reader would otherwise get wrong: programs have not signed in when they ask, and this is no part of the panel. Whoever asks about
an address of a domain that is served here is told how its people reach this host, whether there is such a mailbox or not.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import NotFound
from appliance.services import addresses, client_setup
from web.wiring import wiring_of

router = APIRouter(include_in_schema=False)

AUTOCONFIG = "autoconfig."  # the name below a domain under which programs look for it
PROFILE_TYPE = "application/x-apple-aspen-config"
Asked = Annotated[str, Query(alias="emailaddress", max_length=320)]


@router.get("/mail/config-v1.1.xml")
@router.get("/.well-known/autoconfig/mail/config-v1.1.xml")
def autoconfig(request: Request, emailaddress: Asked = "") -> Response:
    """By the address that is set up, else by the host that was asked: autoconfig.example.com."""
    wiring = wiring_of(request)
    with wiring.reading() as session:
        domain = client_setup.address_in(session, emailaddress).domain if emailaddress else _asked_host(request)
        client_setup.require_served(session, domain)
    return _xml(client_setup.autoconfig(client_setup.setup_of(wiring.settings, domain)))


def _asked_host(request: Request) -> str:
    name = (request.url.hostname or "").lower()
    if not name.startswith(AUTOCONFIG):
        raise NotFound("say for which address: ?emailaddress=")
    return addresses.parse_domain(name.removeprefix(AUTOCONFIG), "emailaddress")


async def _question(request: Request) -> str:
    octets = b""
    async for piece in request.stream():
        octets += piece
        if len(octets) > client_setup.LONGEST_QUESTION:
            raise NotFound("that is longer than any question of this kind")
    return octets.decode("utf-8", "replace")


@router.post("/autodiscover/autodiscover.xml")
@router.post("/Autodiscover/Autodiscover.xml")
def autodiscover(request: Request, question: Annotated[str, Depends(_question)]) -> Response:
    """Outlook's way: the address stands in a document that is posted. Nothing is changed by it."""
    wiring = wiring_of(request)
    with wiring.reading() as session:
        address = client_setup.address_in(session, client_setup.asked_for(question))
    return _xml(client_setup.autodiscover(client_setup.setup_of(wiring.settings, address.domain), address))


@router.get(client_setup.PROFILE_PATH)
def profile(request: Request, emailaddress: Asked) -> Response:
    """A configuration profile for Apple's devices."""
    wiring = wiring_of(request)
    with wiring.reading() as session:
        address = client_setup.address_in(session, emailaddress)
    content = client_setup.profile(client_setup.setup_of(wiring.settings, address.domain), address)
    name = {"Content-Disposition": 'attachment; filename="mail.mobileconfig"'}
    return Response(content, media_type=PROFILE_TYPE, headers=name)


def _xml(text: str) -> Response:
    return Response(text, media_type="text/xml")
