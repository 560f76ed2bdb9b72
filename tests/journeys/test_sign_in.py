"""Signing in, in a real browser: an app's codes, a backup code, a passkey of a device that the browser pretends to have."""

import re
from collections.abc import Iterator
from typing import Any

import pyotp
import pytest

from tests.fixtures.browser import WIDE
from tests.fixtures.panel import OPERATOR, PASSWORD, Office, make_office, served

pytestmark = [pytest.mark.browser, pytest.mark.must_show]

SECONDS = 30_000  # as the browser counts, in thousandths


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, str]]:
    """At `localhost`: keys are had under TLS or there, and never at a bare address."""
    with make_office(tmp_path_factory.mktemp("office")) as office, served(office.app) as url:
        office.account("keeper", 1)
        yield office, url.replace("127.0.0.1", "localhost")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport=WIDE, locale="en")
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: wrong.append(told.text) if "Content Security Policy" in told.text else None)
    yield page
    context.close()
    assert wrong == []


def show_password(page: Any, url: str, name: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("Name or mail address").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Any) -> None:
    page.locator("details.who summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name or mail address").wait_for()


def device(page: Any) -> Any:
    """One that keeps passkeys, and that its owner has just unlocked."""
    remote = page.context.new_cdp_session(page)
    remote.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    remote.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return remote


def test_an_app_and_a_backup_code(place: tuple[Office, str], page: Any) -> None:
    """Set up as the page says; the password alone opens nothing any more."""
    office, url = place
    now = [1_800_000_000.0]
    office.authenticator.now = lambda: now[0]
    show_password(page, url, OPERATOR)
    page.locator("details.who summary").click()
    page.get_by_role("link", name="Signing in").click()
    page.get_by_role("link", name="Second step").click()
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_text("It cannot see the picture").click()
    app = pyotp.TOTP(page.locator("#secret").inner_text())
    page.get_by_label("The code it shows").fill(app.at(int(now[0])))
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Ask for codes from now on").click()
    codes = page.locator("#codes").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("link", name="I have them").click()
    sign_out(page)

    show_password(page, url, OPERATOR)
    now[0] += 60
    page.get_by_label("Code").fill(app.at(int(now[0])))
    page.keyboard.press("Enter")
    page.locator("details.who").wait_for()
    sign_out(page)

    show_password(page, url, OPERATOR)
    page.get_by_label("Code").fill(codes[3])
    page.get_by_role("button", name="Go on").click()
    page.locator("details.who").wait_for()
    page.goto(f"{url}/account/second-step")
    assert "9 of 10 are left" in page.locator("main").inner_text()


def test_a_passkey_and_out_everywhere(place: tuple[Office, str], page: Any, browser: Any) -> None:
    """Made with the password, used without; the browser elsewhere is out when its owner says so here."""
    _, url = place
    device(page)
    show_password(page, url, "keeper")
    page.goto(f"{url}/account/second-step")
    page.get_by_label("Name of the device").fill("my laptop")
    page.locator("#passkey-password").fill(PASSWORD)
    page.get_by_role("button", name="Add a passkey").click()
    assert len(page.locator("#codes").inner_text().split()) == 10
    page.get_by_role("link", name="I have them").click()
    assert "my laptop" in page.locator("main").inner_text()
    sign_out(page)

    page.get_by_role("button", name="Use a passkey").click()
    page.locator("details.who").wait_for()
    sign_out(page)
    show_password(page, url, "keeper")  # as the second thing, too
    page.get_by_role("button", name="Use a passkey").click()
    page.locator("details.who").wait_for()

    cookies = page.context.cookies()
    elsewhere = browser.new_context(viewport=WIDE, locale="en")
    elsewhere.add_cookies(cookies)  # the same session in another window
    other = elsewhere.new_page()
    other.set_default_timeout(SECONDS)
    other.goto(f"{url}/account/sign-in")
    assert "Passkey" in other.locator("main").inner_text()
    page.goto(f"{url}/account/sign-in")
    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url(re.compile("/login"))
    other.goto(f"{url}/account/sign-in")
    assert "/login" in other.url
    elsewhere.close()
