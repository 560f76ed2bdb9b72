"""What a mail program has to know: a page of each mailbox, and the files that programs ask for themselves.

A reader would otherwise get wrong: programs have not signed in when they ask. Whoever asks about an address of a domain that is
served here is told how its people reach this host, whether there is such a mailbox or not.
"""

from typing import Annotated
from urllib.parse import quote

import segno
from fastapi import APIRouter, Depends, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from appliance.errors import NotFound
from appliance.services import addresses, client_setup, mailboxes, senders
from web.panel.desk import Signed
from web.wiring import Wiring, wiring_of

router = APIRouter(include_in_schema=False)

AUTOCONFIG = "autoconfig."  # the name below a domain under which programs look for it
PROFILE_TYPE = "application/x-apple-aspen-config"
MODULE_PIXELS = 4
Asked = Annotated[str, Query(alias="emailaddress", max_length=320)]


@router.get("/mailboxes/{address:path}/setup")
def setup(desk: Signed, address: str) -> Response:
    """What a mail program wants to know."""
    with desk.reading() as session:
        mailbox = mailboxes.get(session, address, actor=desk.actor)
        shown = addresses.show(mailbox.address)
        values = client_setup.setup_of(desk.wiring.settings, mailbox.domain.name)
        has_profile = bool(values.reading and values.sending and mailbox.domain.proved_at)
        where = _profile_url(desk.wiring, shown) if has_profile else ""
        return desk.page(
            "mailboxes/setup.html", mailbox=mailbox, address=shown, values=values, profile=where,
            picture=_picture(where) if has_profile else "",
            app_passwords=senders.app_passwords(session, address, actor=desk.actor),
        )  # fmt: skip


def _profile_url(wiring: Wiring, address: str) -> str:
    host = wiring.settings.host
    return f"{host.panel_url or f'https://{host.name}'}{client_setup.PROFILE_PATH}?emailaddress={quote(address)}"


def _picture(where: str) -> Markup:
    """A QR code of *where*, as part of a page: dark on light whatever the page's colours, or not every camera reads it."""
    drawn = segno.make(where, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=MODULE_PIXELS, light="#fff", dark="#000", omitsize=True))  # noqa: S704 - its own digits


# ---- what programs ask for


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
    """Outlook's way: the address stands in a document that is posted. Nothing is changed by it, so no form's token is asked."""
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
