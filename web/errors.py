"""The only translation of what the control plane refuses into HTTP: a problem (RFC 9457) for programs, a page for people.

A reader would otherwise get wrong: `code` is the promise to programs, the status and the sentence are not. And nothing that
was not meant to be shown is shown: an error that nobody foresaw is written to the log and answered with one fixed sentence.
"""

import http
import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance import errors
from web.panel.rendering import Renderer, is_fragment, sentence_of

log = logging.getLogger("postern.web")

API_PREFIX = "/api/"
PROBLEM_MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"  # while the database or the authenticator is away; as long as a writer waits for the other
UNEXPECTED = "Something went wrong here. It has been written to the log."

# The most special class first: the first that fits an error decides.
_STATUS: tuple[tuple[type[errors.ApplianceError], int], ...] = (
    (errors.Invalid, 422),
    (errors.NotFound, 404),
    (errors.Forbidden, 403),
    (errors.Conflict, 409),
    (errors.NotSignedIn, 401),
    (errors.Refused, 422),
    (errors.Unable, 503),
    (errors.ApplianceError, 500),
)

_CODES = {400: "bad_request", 401: "not_signed_in", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class TooManyAttempts(errors.Refused):
    """Too many wrong guesses; *wait_seconds* until the next is looked at. Only web counts guesses, so it stands here."""

    default_code = "too_many_attempts"

    def __init__(self, wait_seconds: float) -> None:
        self.wait_seconds = max(1, round(wait_seconds))
        super().__init__(f"Too many wrong passwords. Try again in {self.wait_seconds} seconds.")


class TooManyRequests(errors.Refused):
    """The key has used its allowance up; *wait_seconds* until it may make one more request."""

    default_code = "too_many_requests"

    def __init__(self, wait_seconds: float) -> None:
        self.wait_seconds = max(1, math.ceil(wait_seconds))
        super().__init__(f"This key has made too many requests. Go on in {self.wait_seconds} seconds.")


class ForgedForm(errors.Forbidden):
    """The form did not come from a page of this session (CSRF), or the session ended in between."""

    default_code = "forged_form"


class PreconditionFailed(errors.Conflict):
    """If-Match names a version that is not the present one any more."""

    default_code = "precondition_failed"


class MustChangePassword(errors.Forbidden):
    """Signed in with a one-time password, which is good for nothing but changing it."""

    default_code = "must_change_password"


class AnsweredBefore(Exception):
    """No refusal: the request was carried out before, under the same Idempotency-Key, and this was its answer."""

    def __init__(self, status: int, body: Any, headers: dict[str, str]) -> None:  # noqa: ANN401 - JSON
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


class FieldFault(NamedTuple):
    """Where and why: `field` is a path such as `targets.0`; empty when no one field is at fault."""

    field: str
    code: str
    detail: str


def status_of(error: errors.ApplianceError) -> int:
    """The HTTP status that *error* is answered with (RFC 9110 15)."""
    if isinstance(error, TooManyAttempts | TooManyRequests):
        return http.HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(error, PreconditionFailed):
        return http.HTTPStatus.PRECONDITION_FAILED
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def headers_of(error: errors.ApplianceError) -> dict[str, str]:
    """What HTTP wants beside the status of *error*."""
    if isinstance(error, TooManyAttempts | TooManyRequests):
        return {"Retry-After": str(error.wait_seconds)}
    if isinstance(error, errors.Unable):
        return {"Retry-After": RETRY_AFTER_SECONDS}
    if isinstance(error, errors.NotSignedIn):
        return {"WWW-Authenticate": 'Bearer realm="postern"'}  # RFC 6750 3
    return {}


def body_of(status: int, code: str, detail: str, faults: Sequence[FieldFault] = (), holder: str = "") -> dict[str, Any]:
    """An RFC 9457 problem. `type` stays about:blank, which says that `title` is the status's own phrase (RFC 9457 4.2.1).

    *holder*: what has the name or address, below the API's base; for those only who may see it.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if faults:
        body["errors"] = [fault._asdict() for fault in faults]
    if holder:
        body["holder"] = f"{API_PREFIX}v1/{quote(holder, safe='/@')}"
    return body


def problem_of(refusal: errors.ApplianceError) -> dict[str, Any]:
    """The problem that *refusal* is answered with; its status is a member of it."""
    faults = [FieldFault(refusal.field, refusal.code, refusal.sentence)] if refusal.field else []
    holder = refusal.holder if isinstance(refusal, errors.Taken) else ""
    return body_of(status_of(refusal), refusal.code, refusal.sentence, faults, holder)


def misshapen(found: Sequence[Any], skip: int = 0) -> dict[str, Any]:
    """The problem for pydantic's errors *found*, whose places have *skip* parts that are not the caller's."""
    faults = [
        FieldFault(".".join(str(part) for part in fault["loc"][skip:]), fault["type"], fault["msg"]) for fault in found
    ]
    detail = "; ".join(f"{fault.field}: {fault.detail}" if fault.field else fault.detail for fault in faults[:3])
    return body_of(http.HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, faults)


def install(app: FastAPI) -> None:
    """Make *app* answer every refusal in this module's way."""
    app.add_exception_handler(errors.ApplianceError, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(AnsweredBefore, _on_answered_before)


class LastResort:
    """Answers what nobody foresaw. Stands inside the security headers, so that this answer carries them too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception:
            log.exception("%s %s", scope.get("method", scope["type"]), scope.get("path", ""))
            if started or scope["type"] != "http":
                raise
            await _answer(Request(scope), body_of(500, "unexpected", UNEXPECTED))(scope, receive, send)


def _on_refusal(request: Request, error: Exception) -> Response:
    refusal = cast(errors.ApplianceError, error)
    if isinstance(refusal, errors.Invalid) and _is_in_path(request, refusal):
        refusal = errors.NotFound(refusal.sentence)
    status = status_of(refusal)
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("%s %s: %s: %s", request.method, request.url.path, refusal.code, refusal.sentence)
    elsewhere = _elsewhere(request, refusal)
    if elsewhere:
        return elsewhere
    return _answer(request, problem_of(refusal), headers_of(refusal))


def _is_in_path(request: Request, refusal: errors.Invalid) -> bool:
    """Does the path name what cannot be? Then nothing is there, as with any other name that nobody has."""
    names = {"domain" if name == "name" else name for name in request.path_params} - {"key"}
    if "address" in names:
        names.add("domain")  # what has no @ is looked for among domains
    if request.method == "GET":
        names |= request.query_params.keys()  # a filter by what cannot be finds nothing either
    return refusal.field in names and refusal.code in ("bad_address", "bad_domain")


def _elsewhere(request: Request, refusal: errors.ApplianceError) -> Response | None:
    """In the panel some refusals lead to the page where they can be mended."""
    if _is_for_programs(request):
        return None
    if isinstance(refusal, MustChangePassword):
        where = "/account/password"
    elif isinstance(refusal, errors.NotSignedIn):
        way_back = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        where = "/login" if request.method != "GET" or way_back == "/" else f"/login?next={quote(way_back)}"
    else:
        return None
    if is_fragment(request):
        return Response(headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def _is_for_programs(request: Request) -> bool:
    return request.url.path.startswith(API_PREFIX)


def _on_invalid_request(request: Request, error: Exception) -> Response:
    """The request's shape is wrong already: a field is missing, unknown or of another type."""
    return _answer(request, misshapen(cast(RequestValidationError, error).errors(), 1))


def _on_http_exception(request: Request, error: Exception) -> Response:
    exception = cast(HTTPException, error)
    code = _CODES.get(exception.status_code, "refused")
    sentence = "There is nothing here." if exception.status_code == http.HTTPStatus.NOT_FOUND else exception.detail
    return _answer(request, body_of(exception.status_code, code, sentence), dict(exception.headers or {}))


def _on_answered_before(_request: Request, error: Exception) -> Response:
    given = cast(AnsweredBefore, error)
    return JSONResponse(given.body, given.status, {**given.headers, "Idempotency-Replayed": "true"})


def _answer(request: Request, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    if _is_for_programs(request):
        return JSONResponse(body, body["status"], headers, PROBLEM_MEDIA_TYPE)
    renderer: Renderer = request.app.state.renderer
    return renderer.error(request, body["status"], sentence_of(body["detail"]), headers or {})
