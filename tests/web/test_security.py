"""Headers, tokens and cookies, without an application behind them."""

import pytest
from starlette.requests import Request
from starlette.responses import Response

from web import security


def request_with(headers: dict[str, str], *, scheme: str = "http") -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in {"host": "panel.test", **headers}.items()]
    return Request(
        {"type": "http", "method": "POST", "path": "/", "scheme": scheme, "headers": raw, "query_string": b""}
    )


def test_a_token_is_good_for_its_own_session_only() -> None:
    mine, theirs = security.new_token(), security.new_token()
    assert security.is_csrf_token(security.csrf_token(mine), mine)
    assert not security.is_csrf_token(security.csrf_token(theirs), mine)
    assert not security.is_csrf_token("", mine)


def test_the_token_does_not_tell_the_cookie() -> None:
    token = security.new_token()
    assert token not in security.csrf_token(token)


@pytest.mark.parametrize(
    ("headers", "elsewhere"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Origin": "http://panel.test"}, False),
        ({"Origin": "http://evil.test"}, True),
        ({"Origin": "null"}, True),
        ({}, False),
    ],
)
def test_what_the_browser_says_about_the_origin_is_believed(headers: dict[str, str], elsewhere: bool) -> None:
    assert security.is_from_elsewhere(request_with(headers)) is elsewhere


def test_cookies_under_tls_are_bound_to_this_host() -> None:
    request, response = request_with({}, scheme="https"), Response()
    security.set_cookie(request, response, security.SESSION_COOKIE, "x")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-postern_session=x;")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_cookies_on_plain_loopback_work_without_tls() -> None:
    request, response = request_with({}), Response()
    security.set_cookie(request, response, security.SESSION_COOKIE, "x")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("postern_session=x;")
    assert "HttpOnly" in cookie
    assert "Secure" not in cookie


def test_the_policy_allows_no_inline_script_or_style() -> None:
    assert "unsafe" not in security.CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in security.CONTENT_SECURITY_POLICY
    assert "frame-ancestors 'none'" in security.CONTENT_SECURITY_POLICY
