"""What a browser posts, taken in only when one of our own pages made the form.

A reader would otherwise get wrong: the check is here, in what every posting endpoint depends on to see its fields at all, so
an endpoint cannot forget it.
"""

import datetime as dt
import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends
from starlette.datastructures import UploadFile
from starlette.requests import Request

from appliance.config import parse_size, render_size
from appliance.errors import ApplianceError, Invalid
from appliance.services.authorisation import EVERYTHING
from web import security
from web.errors import ForgedForm
from web.panel.rendering import Typed, sentence_of, session_token

MAX_FIELDS = 50
MAX_DIGITS = 18  # more would not fit into 64 bits
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_SEPARATORS = re.compile(r"[\s,;]+")


async def read_form(request: Request) -> Typed:
    """The posted fields.

    Raises:
        ForgedForm: another site made the browser post, or the session has changed since the page was made.
    """
    if security.is_from_elsewhere(request):
        raise ForgedForm("That form was sent by another site. Nothing was changed.")
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as posted:
        fields = Typed({name: value for name, value in posted.items() if not isinstance(value, UploadFile)})
    token = request.headers.get(CSRF_HEADER) or fields[CSRF_FIELD]
    if not security.is_csrf_token(token, session_token(request)):
        raise ForgedForm("That page was too old: you signed in or out since. Go back, reload it and try again.")
    return fields


Form = Annotated[Typed, Depends(read_form)]


def addresses_in(text: str) -> list[str]:
    """The addresses of a text area: one a line, though commas and blanks between them are understood too."""
    return [part for part in _SEPARATORS.split(text) if part]


def stops_in(form: Typed) -> Sequence[str]:
    """What shall stand still or go on; all of it when nothing was chosen."""
    return [form["what"]] if form["what"] else EVERYTHING


def faults_of(refusal: ApplianceError, *shown: str, otherwise: str = "") -> Typed:
    """The refusal's sentence beside the field at fault, if the page shows that field; else above the form.

    *otherwise* is the field for refusals that name none of the shown ones. `targets.3` belongs to `targets`.
    """
    field = (refusal.field or "").partition(".")[0]
    return Typed({field if field in shown else otherwise: sentence_of(refusal.sentence)})


def require_confirmed(form: Typed, name: str) -> None:
    """Go on when *name* was typed as confirmation.

    Raises:
        Invalid: something else was.
    """
    if form["confirm"].strip().casefold() != name.casefold():
        raise Invalid(f"Type {name} to confirm.", code="not_confirmed", field="confirm")


def number_in(form: Typed, field: str) -> int | None:
    """The whole number in *field*, or None when it is empty.

    Raises:
        Invalid: something else is in it.
    """
    text = form[field].strip()
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise Invalid("Write a whole number.", field=field)
    return int(text)


def limits_in(form: Typed, names: Sequence[str]) -> dict[str, int | None]:
    """The limits called *names*; sizes are written as `2 GiB`, and an empty one is none.

    Raises:
        Invalid: something else is in one of them.
    """
    return {
        name: None
        if not form[name].strip()
        else size_in(form, name)
        if name.endswith("_bytes")
        else number_in(form, name)
        for name in names
    }


def limits_as_typed(row: object, names: Sequence[str]) -> dict[str, str]:
    """The limits of *row* as somebody would type them."""
    values = {name: getattr(row, name) for name in names}
    return {
        name: "" if value is None else (render_size(value) if name.endswith("_bytes") else str(value))
        for name, value in values.items()
    }


def size_in(form: Typed, field: str) -> int:
    """The octets in *field*, written as `2 GiB` or so; 0 when it is empty.

    Raises:
        Invalid: something else is in it.
    """
    try:
        return parse_size(form[field]) if form[field].strip() else 0
    except ValueError as error:
        raise Invalid("Write a size such as 500 MiB or 2 GiB.", field=field) from error


def still_sending(holders: Sequence[str]) -> str:
    """Who still names as a target what was just removed; nothing when nobody does."""
    return f" Still sending mail there: {', '.join(holders[:5])}." if holders else ""


def day_in(form: Typed, field: str) -> int | None:
    """The end of the day in *field* (UTC), or None when it is empty.

    Raises:
        Invalid: something else is in it.
    """
    text = form[field].strip()
    if not text:
        return None
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("Write a day such as 2030-12-31.", field=field) from error
    return int(dt.datetime.combine(day, dt.time.max, dt.UTC).timestamp())
