"""What every answer carries, and the tokens that prove a form came from one of our own pages.

A reader would otherwise get wrong: the CSRF token is not stored anywhere. It is a keyed hash of the session cookie's
value, so it lives and dies with the session, and another site, which can make the browser send the cookie but cannot
read it, cannot compute it.
"""

import hashlib
import hmac
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No 'unsafe-inline' and no nonce: all script and style is in files. data: is for the arrows and ticks that Bootstrap's
# style sheet draws as pictures. frame-ancestors is what keeps a stranger's page from framing ours (clickjacking).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

ALWAYS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
STRICT_TRANSPORT = "max-age=31536000"

SESSION_COOKIE = "postern_session"
THEME_COOKIE = "postern_theme"
LANGUAGE_COOKIE = "postern_language"
NOTICE_COOKIE = "postern_notice"
SHEET_COOKIE = "postern_sheet"  # one for each sheet of new passwords that nobody has taken yet
TOKEN_BYTES = 32


class SecurityHeaders:
    """Puts `ALWAYS` on every answer, whoever made it, errors included; keeps what is personal out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                headers.setdefault("Cache-Control", "no-store")
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = STRICT_TRANSPORT
            await send(message)

        await self.app(scope, receive, send_with_headers)


def new_token() -> str:
    """An unguessable value for a session cookie."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def csrf_token(session_token: str) -> str:
    """The value that forms of the session with this cookie carry."""
    return hashlib.blake2b(b"form", key=session_token.encode()[:64], digest_size=20).hexdigest()


def is_csrf_token(candidate: str, session_token: str) -> bool:
    """Did a page of this very session make *candidate*?"""
    return hmac.compare_digest(candidate.encode(), csrf_token(session_token).encode())


def is_from_elsewhere(request: HTTPConnection) -> bool:
    """Does the browser itself say that another site caused this request?

    Browsers since 2023 send Sec-Fetch-Site; older ones Origin. A client that sends neither is not a browser with
    somebody's cookies in it, or it still has to show the form's token.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host', '')}"


def cookie_name(request: HTTPConnection, name: str) -> str:
    """*name*, under TLS with the prefix by which the browser keeps other hosts and plain HTTP from setting it.

    The prefix demands Secure, so on plain loopback HTTP, where Secure cookies are lost, the bare name is used.
    """
    return f"__Host-{name}" if request.url.scheme == "https" else name


def read_cookie(request: HTTPConnection, name: str) -> str | None:
    """The cookie's value as this connection's scheme names it."""
    return request.cookies.get(cookie_name(request, name))


def set_cookie(
    request: HTTPConnection, response: Response, name: str, value: str, *, max_age_seconds: int | None = None
) -> None:
    """Out of scripts' reach, and not sent along when another site posts to us."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=max_age_seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def drop_cookie(request: HTTPConnection, response: Response, name: str) -> None:
    """Make the browser forget the cookie."""
    set_cookie(request, response, name, "", max_age_seconds=0)
