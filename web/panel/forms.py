"""What a browser posts, taken in only when one of our own pages made the form.

A reader would otherwise get wrong: the check is here, in what every posting endpoint depends on to see its fields at all, so
an endpoint cannot forget it.
"""

import datetime as dt
import re
from collections.abc import AsyncIterator, Sequence
from typing import IO, Annotated, NamedTuple

from fastapi import Depends
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from appliance.config import parse_size, render_size
from appliance.errors import ApplianceError, Invalid
from appliance.services.authorisation import EVERYTHING
from web import security
from web.errors import ForgedForm
from web.panel.rendering import Typed, sentence_of, session_token

MAX_FIELDS = 50
MAX_TICKED = 500  # in a list; who wants more says all of them
MAX_FILE_OCTETS = 33 << 20  # a little more than `web.app` lets through
MAX_DIGITS = 18  # more would not fit into 64 bits
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_SEPARATORS = re.compile(r"[\s,;]+")


class _InMemory(MultiPartParser):
    """Keeps a file that is sent where it is read: this process can write none."""

    spool_max_size = MAX_FILE_OCTETS


class Sent(NamedTuple):
    """The fields of a form, and the file that came with it."""

    fields: Typed
    file: IO[bytes] | None
    file_name: str


class Chosen(NamedTuple):
    """The fields of a form, and what was ticked in a list."""

    fields: Typed
    names: list[str]


async def read_form(request: Request) -> Typed:
    """The posted fields.

    Raises:
        ForgedForm: another site made the browser post, or the session has changed since the page was made.
    """
    _refuse_from_elsewhere(request)
    async with request.form(max_files=0, max_fields=MAX_FIELDS) as posted:
        return _checked(request, posted)


async def read_sent(request: Request) -> AsyncIterator[Sent]:
    """The posted fields, with a file that is there until the request is answered.

    Raises:
        ForgedForm: as `read_form`.
        Invalid: it is broken, or has larger fields than any of ours.
    """
    _refuse_from_elsewhere(request)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        yield Sent(await read_form(request), None, "")
        return
    try:
        posted = await _InMemory(request.headers, request.stream(), max_files=1, max_fields=MAX_FIELDS).parse()
    except MultiPartException as error:
        raise Invalid("This could not be read: send what is long as a file.", code="bad_upload") from error
    try:
        files = [value for value in posted.values() if isinstance(value, UploadFile) and value.size]
        fields = _checked(request, posted)
        yield Sent(fields, files[0].file, files[0].filename or "") if files else Sent(fields, None, "")
    finally:
        await posted.close()


async def read_chosen(request: Request) -> Chosen:
    """The posted fields, and all that is called `name`: what was ticked.

    Raises:
        ForgedForm: as `read_form`.
    """
    _refuse_from_elsewhere(request)
    async with request.form(max_files=0, max_fields=MAX_FIELDS + MAX_TICKED) as posted:
        names = [value for value in posted.getlist("name") if isinstance(value, str)]
        return Chosen(_checked(request, posted), list(dict.fromkeys(names)))


def _refuse_from_elsewhere(request: Request) -> None:
    if security.is_from_elsewhere(request):
        raise ForgedForm("That form was sent by another site. Nothing was changed.")


def _checked(request: Request, posted: FormData) -> Typed:
    fields = Typed({name: value for name, value in posted.items() if not isinstance(value, UploadFile)})
    token = request.headers.get(CSRF_HEADER) or fields[CSRF_FIELD]
    if not security.is_csrf_token(token, session_token(request)):
        raise ForgedForm("That page was too old: you signed in or out since. Go back, reload it and try again.")
    return fields


Form = Annotated[Typed, Depends(read_form)]
SentForm = Annotated[Sent, Depends(read_sent)]
ChosenForm = Annotated[Chosen, Depends(read_chosen)]


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


def day_in(form: Typed, field: str, zone: dt.tzinfo) -> int | None:
    """The last second of the day in *field*, as the days are in *zone*, or None when it is empty.

    Raises:
        Invalid: something else is in it.
    """
    return _moment_in(form, field, dt.time(23, 59, 59), zone)


def morning_in(form: Typed, field: str, zone: dt.tzinfo) -> int | None:
    """Its first second. The one is no fixed time before the other: where clocks are put on or back days are longer or shorter.

    Raises:
        Invalid: as `day_in`.
    """
    return _moment_in(form, field, dt.time.min, zone)


def day_of(seconds: int | None, zone: dt.tzinfo) -> str:
    """What stands in a field for the day of *seconds* since 1970 in *zone*."""
    return "" if seconds is None else dt.datetime.fromtimestamp(seconds, zone).date().isoformat()


def _moment_in(form: Typed, field: str, time: dt.time, zone: dt.tzinfo) -> int | None:
    text = form[field].strip()
    if not text:
        return None
    try:
        return int(dt.datetime.combine(dt.date.fromisoformat(text), time, zone).timestamp())
    except (ValueError, OverflowError) as error:  # the first and the last day there are have none beside them
        raise Invalid("Write a day such as 2030-12-31.", field=field) from error
