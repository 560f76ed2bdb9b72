"""Every page, by day and by night, wide and narrow: readable for everybody, within its window, and without a complaint."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.browser import NARROW, WIDE, stumbling_blocks
from tests.fixtures.panel import make_office, served
from tests.journeys.screenshots import PAGES, furnish, log_in

pytestmark = pytest.mark.browser

# Colours do not depend on the width nor the layout on the colours, so two of the four combinations see everything.
LOOKS = [(WIDE, "light"), (NARROW, "dark")]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with make_office(tmp_path_factory.mktemp("office")) as office, served(office.app) as url:
        furnish(office)
        yield url


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: f"{look[0]['width']}-{look[1]}")
def page(request: pytest.FixtureRequest, browser: Any, furnished: str) -> Iterator[Any]:
    size, scheme = request.param
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    log_in(page, furnished)
    yield page
    context.close()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_readable_for_everybody_and_fits_its_window(page: Any, furnished: str, name: str) -> None:
    page.complaints.clear()
    page.goto(furnished + PAGES[name])
    assert stumbling_blocks(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it has to be scrolled sideways"
    assert [text for text in page.complaints if "404" not in text] == []


def test_the_gate_and_a_refused_form_are_readable_too(page: Any, furnished: str) -> None:
    page.goto(f"{furnished}/domains/new")
    page.fill("#name", "no domain")
    page.click("button:has-text('Add the domain')")
    assert page.locator("#name-error").is_visible()
    assert stumbling_blocks(page) == []
    gate = page.context.browser.new_context(viewport=page.viewport_size).new_page()
    gate.goto(f"{furnished}/login")
    gate.fill("#name", "operator")
    gate.fill("#password", "wrong")
    gate.click("button:has-text('Sign in')")
    assert stumbling_blocks(gate) == []
    gate.context.close()


def test_the_menu_opens_by_keyboard_and_closes_with_escape(page: Any, furnished: str) -> None:
    page.goto(f"{furnished}/domains")
    page.focus("details.who summary")
    page.keyboard.press("Enter")
    assert page.locator("text=Sign out").is_visible()
    assert stumbling_blocks(page) == []
    page.keyboard.press("Escape")
    assert not page.locator("text=Sign out").is_visible()
