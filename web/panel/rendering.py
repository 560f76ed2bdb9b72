"""Templates into answers, and the few values that every page has.

A reader would otherwise get wrong: all templates are read when the process starts, since after it has entered its sandbox it can
open no file of the checkout any more.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from appliance.services import zones
from appliance.services.addresses import show
from appliance.services.passwords import MIN_LENGTH
from web import security
from web.panel import languages
from web.panel.links import url
from web.panel.me import Me
from web.panel.template_cache import TemplateCache
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
MOST_NAMED = 3
GERMAN_MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember",
)  # fmt: skip


# Of whoever the page is for that is being drawn: filters stand in macros, too, which know nothing of the page.
_ZONE: ContextVar[dt.tzinfo] = ContextVar("zone", default=dt.UTC)


class Typed(dict[str, str]):
    """What stands in a form, or what is wrong with it, by field; nothing where nothing is."""

    def __missing__(self, key: str) -> str:
        return ""


class Renderer:
    """Holds the templates, in each language."""

    def __init__(self, static: StaticFiles, *, version: str, host: str) -> None:
        values = {
            "static": static.url,
            "icon": lambda name: Markup(static.icon(name)),  # noqa: S704 - our own files
            "url": url,
            "version": version,
            "host": host,
            "password_length": MIN_LENGTH,
            "language_names": tuple(languages.NAMES.items()),
        }
        sources = {
            file.relative_to(TEMPLATES).as_posix(): file.read_text(encoding="utf-8")
            for file in TEMPLATES.rglob("*.html")
        }
        zones.names()  # While their files can be read.
        self._environments = {name: _environment(name, sources, values) for name in languages.NAMES}

    def page(self, request: Request, template: str, context: Mapping[str, Any], *, status: int = 200) -> Response:
        """The page or fragment called *template*."""
        notice = read_notice(request)
        me: Me | None = getattr(request.state, "me", None)
        values = {
            "me": me,
            "ways": me.ways(request.url.path) if me else [],
            "notice": notice,
            "theme": theme_of(request),
            "language": language_of(request),
            "csrf_token": security.csrf_token(session_token(request)),
            "path": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "form": Typed(),
            "errors": Typed(),
            **context,
        }
        before = _ZONE.set(zones.zone(me.time_zone if me else ""))
        try:
            text = self._environments[language_of(request)].get_template(template).render(values)
        finally:
            _ZONE.reset(before)
        response = HTMLResponse(text, status)
        if notice:
            security.drop_cookie(request, response, security.NOTICE_COOKIE)
        if security.read_cookie(request, security.SESSION_COOKIE) is None:
            security.set_cookie(request, response, security.SESSION_COOKIE, session_token(request))
        return response

    def say(self, request: Request, words: str) -> str:
        """*words* in the reader's language, for what is no page."""
        return str(self._environments[language_of(request)].filters["t"](words))

    def error(self, request: Request, status: int, sentence: str, headers: Mapping[str, str]) -> Response:
        """The page that says what went wrong and where to go from here."""
        template = "start/_error.html" if is_fragment(request) else "start/error.html"
        context = {"headline": HEADLINES.get(status, "Something went wrong"), "sentence": sentence}
        response = self.page(request, template, context, status=status)
        response.headers.update(headers)
        return response


def _environment(name: str, sources: Mapping[str, str], values: Mapping[str, Any]) -> Environment:
    """All templates in the language called *name*. English, which most read, is compiled at once; others as they are read."""
    language = languages.load(name)
    environment = Environment(
        loader=FunctionLoader(lambda template: language.template(sources[template])),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=TemplateCache(TEMPLATES, name),
        cache_size=-1,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(values)
    environment.filters.update(FILTERS)
    environment.filters["t"] = language.say
    environment.filters.update(_IN_LANGUAGE.get(name, {}))
    environment.globals["ui"] = environment.get_template("_macros.html").module
    for template in sources if name == languages.ENGLISH else ():
        environment.get_template(template)
    environment.bytecode_cache = None  # From here on no file of the checkout can be opened.
    return environment


def session_token(request: Request) -> str:
    """The session cookie's value; for a visitor without one, a new value that the answer will set.

    A visitor who has not signed in needs one too: without it the login form could not be told from a forged one, and a
    stranger could sign somebody in under the stranger's own name.
    """
    token = security.read_cookie(request, security.SESSION_COOKIE) or getattr(request.state, "session_token", None)
    if token is None:
        token = request.state.session_token = security.new_token()
    return token


def is_fragment(request: Request) -> bool:
    """Does htmx ask, to put the answer into a page that is there already?"""
    return request.headers.get("hx-request") == "true" and request.headers.get("hx-request-type") != "full"


def sentence_of(words: str) -> str:
    """The services' words as a sentence that may stand alone on a page; a name at its beginning stays as it is."""
    if words.partition(" ")[0].isalpha():
        words = words[:1].upper() + words[1:]
    return words if words.endswith((".", "!", "?")) else f"{words}."


def language_of(request: Request) -> str:
    """What the reader chose, or what his browser asks for."""
    chosen = security.read_cookie(request, security.LANGUAGE_COOKIE)
    if chosen in languages.NAMES:
        return str(chosen)
    return languages.preferred(request.headers.get("accept-language", ""))


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
    """The date of *seconds* since 1970, in the reader's zone."""
    value = dt.datetime.fromtimestamp(seconds, _ZONE.get())
    return f"{value.day} {value:%B %Y}"


def moment(seconds: int) -> str:
    """Date and time of *seconds* since 1970, in the reader's zone, which it names."""
    return f"{dt.datetime.fromtimestamp(seconds, _ZONE.get()):%Y-%m-%d %H:%M:%S %Z}"


def iso(seconds: int) -> str:
    """The same for programs (RFC 3339)."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def some(names: Sequence[str]) -> str:
    """The first few of *names*, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def deed(action: str) -> str:
    """`mailbox.password_set` as words."""
    return action.replace(".", " ").replace("_", " ")


def changes(after: Mapping[str, Any], before: Mapping[str, Any] | None) -> str:
    """What changed, on one line: `quota_bytes: 0 → 1 KiB`."""
    told = []
    for name, value in after.items():
        former = (before or {}).get(name)
        if value not in (None, "", former):
            was = f"{_plain(name, former)} → " if former is not None else ""
            told.append(f"{name}: {was}{_plain(name, value)}")
    return "; ".join(told)


def _plain(name: str, value: object) -> str:
    """What was written down under *name*, for people: programs read it from the API as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name.endswith("_at"):
        return moment(value)
    if isinstance(value, int) and name.endswith("_bytes") and value:
        return octets(value)
    return some([str(part) for part in value]) if isinstance(value, list) else str(value)


FILTERS = {
    "address": show,
    "changes": changes,
    "day": day,
    "deed": deed,
    "iso": iso,
    "moment": moment,
    "octets": octets,
    "some": some,
}


def _german_octets(count: int) -> str:
    return octets(count).replace(".", ",").replace("octets", "Oktette") if count else "keine Grenze"


def _german_day(seconds: int) -> str:
    value = dt.datetime.fromtimestamp(seconds, _ZONE.get())
    return f"{value.day}. {GERMAN_MONTHS[value.month - 1]} {value.year}"


def _german_some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" und {more} weitere" if more > 0 else "")


# What a language says otherwise than by its catalogue.
_IN_LANGUAGE: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "de": {"day": _german_day, "octets": _german_octets, "some": _german_some},
}
