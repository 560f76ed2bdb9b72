"""Templates into answers, and the few values that every page has.

A reader would otherwise get wrong: all templates are compiled when the process starts, since after it has entered its
sandbox it can open no file of the checkout any more.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from web import security
from web.static_files import StaticFiles

TEMPLATES = Path(__file__).parents[1] / "templates"
THEMES = ("auto", "light", "dark")
HEADLINES = {
    401: "Please sign in",
    403: "Not yours to do",
    404: "Not found",
    409: "That contradicts what is there",
    413: "Too much at once",
    429: "A little patience",
    503: "Not now",
}
UNITS = ("octets", "KiB", "MiB", "GiB", "TiB")
KIBI = 1024


class Typed(dict[str, str]):
    """What stands in a form, or what is wrong with it, by field; nothing where nothing is."""

    def __missing__(self, key: str) -> str:
        return ""


class Renderer:
    """Holds the compiled templates."""

    def __init__(self, static: StaticFiles, *, version: str, host: str) -> None:
        self.environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            cache_size=-1,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.globals.update(
            static=static.url, icon=lambda name: Markup(static.icon(name)), url=url, version=version, host=host  # noqa: S704 - our own files
        )
        self.environment.filters.update(octets=octets, day=day, moment=moment, iso=iso)
        self.environment.globals["ui"] = self.environment.get_template("_macros.html").module
        for name in self.environment.list_templates():
            self.environment.get_template(name)

    def page(
        self, request: Request, template: str, context: Mapping[str, Any], *, status: int = 200, me: object = None
    ) -> Response:
        """The page or fragment called *template*."""
        token = getattr(request.state, "session_token", "")
        notice = read_notice(request)
        values = {
            "me": me,
            "ways": [],
            "notice": notice,
            "theme": theme_of(request),
            "csrf_token": security.csrf_token(token) if token else "",
            "path": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "form": Typed(),
            "errors": Typed(),
            **context,
        }
        response = HTMLResponse(self.environment.get_template(template).render(values), status)
        if notice:
            security.drop_cookie(request, response, security.NOTICE_COOKIE)
        return response

    def error(self, request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
        """The page that says what went wrong and where to go from here."""
        context = {"headline": HEADLINES.get(status, "Something went wrong"), "sentence": sentence}
        response = self.page(request, "start/error.html", context, status=status)
        response.headers.update(headers)
        return response


def url(*parts: object) -> str:
    """The address of a page; every part is escaped, so that no name can lead elsewhere."""
    return "".join(f"/{quote(str(part), safe='@+')}" for part in parts)


def theme_of(request: Request) -> str:
    """What the reader chose, or `auto`."""
    chosen = security.read_cookie(request, security.THEME_COOKIE)
    return chosen if chosen in THEMES else "auto"


def leave_notice(request: Request, response: Response, sentence: str) -> None:
    """Have the next page say *sentence* once."""
    security.set_cookie(request, response, security.NOTICE_COOKIE, quote(sentence[:300]), max_age_seconds=60)


def read_notice(request: Request) -> str:
    """What the page before left to say."""
    return unquote(security.read_cookie(request, security.NOTICE_COOKIE) or "")[:300]


def octets(count: int) -> str:
    """*count* for people; 0 is no limit."""
    if not count:
        return "no limit"
    value, unit = float(count), 0
    while value >= KIBI and unit < len(UNITS) - 1:
        value, unit = value / KIBI, unit + 1
    return f"{value:.1f}".removesuffix(".0") + f" {UNITS[unit]}"


def day(seconds: int) -> str:
    """The date of *seconds* since 1970, in UTC."""
    value = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{value.day} {value:%B %Y}"


def moment(seconds: int) -> str:
    """Date and time of *seconds* since 1970, in UTC."""
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(seconds: int) -> str:
    """The same for programs (RFC 3339)."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
