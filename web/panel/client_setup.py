"""What a mail program has to know, as a page of each mailbox. The files that programs ask for themselves: `web.client_files`."""

from urllib.parse import quote

import segno
from fastapi import APIRouter
from markupsafe import Markup
from starlette.responses import Response

from appliance.services import addresses, client_setup, mailboxes, second_factors, senders
from web.panel.desk import Signed
from web.wiring import Wiring

router = APIRouter(include_in_schema=False)

MODULE_PIXELS = 4


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
            two_steps=second_factors.is_on(session, mailbox),  # then programs have no other password than app passwords
        )  # fmt: skip


def _profile_url(wiring: Wiring, address: str) -> str:
    host = wiring.settings.host
    return f"{host.panel_url or f'https://{host.name}'}{client_setup.PROFILE_PATH}?emailaddress={quote(address)}"


def _picture(where: str) -> Markup:
    """A QR code of *where*, as part of a page: dark on light whatever the page's colours, or not every camera reads it."""
    drawn = segno.make(where, error="m", micro=False)
    return Markup(drawn.svg_inline(scale=MODULE_PIXELS, light="#fff", dark="#000", omitsize=True))  # noqa: S704 - its own digits
