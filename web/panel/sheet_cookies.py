"""The key of a sheet with new passwords, which only a browser has.

A reader would otherwise get wrong: it is there before anything is done. The page that shows what would be done brings it, so that
whatever ends between the wish and its answer - the connection, or this process - nobody's password is one that nobody can read.
"""

from typing import Any

from starlette.responses import Response

from appliance.services import bulk, new_passwords
from web import security
from web.panel import drafts
from web.panel.desk import Desk
from web.panel.links import url

SECONDS = 24 * 3600  # from when it is asked for, and again from when it is done


def draft(desk: Desk, names: list[dict[str, Any]], about: dict[str, Any]) -> Response:
    """The way to a draft of new passwords for *names*, with the key.

    Raises:
        ApplianceError: as `drafts.make`.
    """
    private, public = new_passwords.make_keys()
    job = drafts.make(desk, bulk.KIND, iter(names), about, {new_passwords.SEALED_TO: public})
    response = desk.see_other(url("jobs", job))
    security.set_cookie(desk.request, response, _name(job), private, max_age_seconds=SECONDS)
    return response


def read(desk: Desk, job: str) -> str | None:
    """The key of the sheet of *job*, if this browser has it."""
    return security.read_cookie(desk.request, _name(job))


def prolong(desk: Desk, job: str, response: Response) -> None:
    """Keep it for another day."""
    key = read(desk, job)
    if key is not None:
        security.set_cookie(desk.request, response, _name(job), key, max_age_seconds=SECONDS)


def drop(desk: Desk, job: str, response: Response) -> None:
    """Nobody needs it any more."""
    security.drop_cookie(desk.request, response, _name(job))


def _name(job: str) -> str:
    return f"{security.SHEET_COOKIE}_{job[:16]}"
