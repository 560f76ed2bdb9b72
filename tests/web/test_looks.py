"""Every page, wide by day and narrow by night; in full size in all four looks. Readable for everybody, within its window."""

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import Response

from tests.fixtures.browser import AXE, NARROW, WIDE, stumbling_blocks, unseen_stops
from tests.fixtures.panel import PASSWORD, Office, make_office, served
from tests.journeys.pages import ANSWERS, begin_two_steps, send, strangers
from tests.journeys.screenshots import OWNER, OWNERS, PAGES, furnish, log_in
from web.panel.rendering import Renderer
from web.panel.routes import router

# What axe judges by colours and places; all else is the same in every look.
BY_LOOK = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
TOO_WIDE = "document.documentElement.scrollWidth > window.innerWidth"
LETTERS = "size => { document.documentElement.style.fontSize = size; }"
# What has letters of its own that go beyond its edge and are not seen there.
CUT_OFF = """() => [...document.querySelectorAll("main *, header *, footer *")]
  .filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 1
    && ["hidden", "clip"].includes(getComputedStyle(one).overflowX) && one.innerText)
  .map(one => one.outerHTML.slice(0, 160))"""
BEYOND = """() => [...document.querySelectorAll(".sheet")]
  .filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML.slice(0, 160))"""
TABLET = {"width": 768, "height": 1024}
# Colours do not depend on the width, nor places on the colours: in small two looks see all that four do.
OTHER_LOOKS = [(NARROW, "dark")]
if os.environ.get("POSTERN_FULL") == "1":
    OTHER_LOOKS += [(WIDE, "dark"), (NARROW, "light")]
RESELLERS = {"start": "/", "tenants": "/tenants", "tenant": "/tenants/3", "domains": "/domains"}
# What a browser is told to keep, and no page.
FILES = {
    "/domains/{name}/dns/zone", "/import/sheet", "/jobs/{job}/sheet", "/jobs/{job}/document", "/jobs/{job}/refused",
    "/audit/export",
}  # fmt: skip
TEMPLATES = Path(__file__).parents[2] / "web/templates"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("office")) as made:
        furnish(made)
        yield made


@pytest.fixture(scope="module")
def furnished(office: Office) -> Iterator[str]:
    with served(office.app) as url:
        yield url


@pytest.fixture(scope="module")
def page(browser: Any, furnished: str) -> Iterator[Any]:
    """The operator's window; it becomes narrow and dark where a test looks so."""
    with signed_in(browser, furnished) as page:
        yield page


@contextlib.contextmanager
def window(browser: Any) -> Iterator[Any]:
    """Of somebody who has not signed in."""
    context = browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    # Kept by the browser as it was read; given to a page that is there already, it is sent and read anew for each.
    context.add_init_script(path=AXE)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    context.close()


@contextlib.contextmanager
def signed_in(browser: Any, url: str, *name: str) -> Iterator[Any]:
    with window(browser) as page:
        log_in(page, url, *name)
        yield page


def wrong(page: Any, by_look: Sequence[str] = BY_LOOK) -> list[str]:
    """What somebody would stumble over on the page that is open, in any of its looks. It is not loaded anew for each."""
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    found = [f"wide, light: {one}" for one in stumbling_blocks(page)]
    found += [f"wide: it goes beyond its sheet: {one}" for one in page.evaluate(BEYOND)]
    found += [f"the focus is not seen: {one}" for one in unseen_stops(page)]
    for size, scheme in OTHER_LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found += [f"{size['width']}, {scheme}: {one}" for one in stumbling_blocks(page, by_look)]
    if page.evaluate(TOO_WIDE):
        found.append("360: it has to be scrolled sideways")
    page.set_viewport_size(TABLET)
    if page.evaluate(TOO_WIDE):
        found.append("768: it has to be scrolled sideways")
    # Everything twice as large (WCAG 1.4.4) is a window of half the size to the page; letters alone are not.
    page.set_viewport_size({name: pixels // 2 for name, pixels in WIDE.items()})
    if page.evaluate(TOO_WIDE):
        found.append("200 %: it has to be scrolled sideways")
    page.set_viewport_size(WIDE)
    page.evaluate(LETTERS, "200%")
    if page.evaluate(TOO_WIDE):
        found.append("letters of 200 %: it has to be scrolled sideways")
    found += [f"letters of 200 %: cut off: {one}" for one in page.evaluate(CUT_OFF)]
    page.evaluate(LETTERS, "")
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    return found


def seen(page: Any, where: str) -> None:
    page.complaints.clear()
    page.goto(where)
    assert wrong(page) == []
    assert [text for text in page.complaints if "404" not in text] == []


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_readable_for_everybody_and_fits_its_window(page: Any, furnished: str, name: str) -> None:
    seen(page, furnished + PAGES[name])


def test_pages_of_owners_and_resellers_are_too(browser: Any, furnished: str) -> None:
    for name, pages in ((OWNER, OWNERS), ("fjord", RESELLERS)):
        with signed_in(browser, furnished, name) as page:
            for where in pages.values():
                seen(page, furnished + where)


def test_every_page_there_is_is_looked_at(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new route or template is in PAGES of tests/journeys/screenshots.py, in tests/journeys/pages.py, or it is no page."""
    drawn: set[tuple[str, str]] = set()
    draw = Renderer.page

    def note(renderer: Renderer, request: Request, template: str, *rest: Any, **more: Any) -> Response:
        drawn.add((request.scope["route"].path, template))
        return draw(renderer, request, template, *rest, **more)

    monkeypatch.setattr(Renderer, "page", note)
    operator, stranger = office.client().log_in(), office.client()
    for where in PAGES.values():
        operator.get(where)
    for where in strangers(office).values():
        stranger.get(where)
    stranger.get("/login")
    stranger.post("/login", {"name": begin_two_steps(office), "password": PASSWORD})
    stranger.get("/login/code")
    routes = {str(route.path) for route in iter_route_contexts(router.routes) if "GET" in (route.methods or ())}
    assert routes - {route for route, _ in drawn} == FILES
    pages = {
        file.relative_to(TEMPLATES).as_posix()
        for file in TEMPLATES.rglob("*.html")
        if '{% extends "base.html" %}' in file.read_text()
    }
    assert pages - {template for _, template in drawn} == set(ANSWERS)


@pytest.mark.parametrize("template", sorted(ANSWERS))
def test_what_answers_a_form_is_readable_too(
    browser: Any, page: Any, furnished: str, office: Office, template: str
) -> None:
    answer = ANSWERS[template]
    with contextlib.ExitStack() as stack:
        if not answer.is_operators:
            name = f"one.{secrets.token_hex(4)}"
            office.account(name, 1)
            page = stack.enter_context(signed_in(browser, furnished, name))
        send(page, furnished, answer)
        assert wrong(page) == []


def test_who_has_not_signed_in_reads_what_he_is_shown(browser: Any, furnished: str, office: Office) -> None:
    """Also where links in mails lead, and between the two steps of signing in."""
    with window(browser) as page:
        for where in strangers(office).values():
            seen(page, furnished + where)
        page.goto(f"{furnished}/login/forgotten")
        page.fill("#name", "nobody")
        page.click("button:has-text('Send me a link')")
        assert wrong(page) == []
        log_in(page, furnished, begin_two_steps(office), until="/login/code")
        assert wrong(page) == []
        page.fill("#code", "000000")
        page.click("button:has-text('Go on')")
        assert page.locator("#code-error").is_visible()
        assert wrong(page) == []


def test_the_gate_and_a_refused_form_are_readable_too(page: Any, furnished: str) -> None:
    page.goto(f"{furnished}/domains/new")
    page.fill("#name", "no domain")
    page.click("button:has-text('Add the domain')")
    assert page.locator("#name-error").is_visible()
    assert wrong(page) == []
    gate = page.context.browser.new_context(viewport=WIDE, reduced_motion="reduce").new_page()
    gate.goto(f"{furnished}/login")
    gate.fill("#name", "operator")
    gate.fill("#password", "wrong")
    gate.click("button:has-text('Sign in')")
    assert wrong(gate) == []
    gate.context.close()


def test_who_has_no_account_reads_what_he_is_asked(page: Any, furnished: str, office: Office) -> None:
    context = page.context.browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    asked = context.new_page()
    asked.goto(furnished + strangers(office)["consent"])
    assert wrong(asked) == []
    asked.click("button:has-text('Yes, send it on to me')")
    assert wrong(asked) == []
    assert asked.locator("h1:has-text('You agreed')").is_visible()
    context.close()


def test_the_menu_opens_by_keyboard_and_closes_with_escape(page: Any, furnished: str) -> None:
    page.goto(f"{furnished}/domains")
    page.focus("details.who summary")
    page.keyboard.press("Enter")
    assert page.locator("text=Sign out").is_visible()
    # What lies half beneath an open menu is nothing to aim at meanwhile.
    assert wrong(page, [rule for rule in BY_LOOK if rule != "target-size"]) == []
    page.keyboard.press("Escape")
    assert not page.locator("text=Sign out").is_visible()


def test_many_are_changed_on_pages_that_everybody_reads(page: Any, furnished: str) -> None:
    """The choice, its preview, what became of it, and the list where it is found again."""
    page.goto(f"{furnished}/domains/harbour.example/mailboxes")
    page.check("td.tick input >> nth=0")
    page.click("text=Change what is ticked")
    assert stumbling_blocks(page) == []
    page.check("#verb-suspend")
    for button in ("Show what would change", "Change 1", "Undo it"):
        page.click(f"button:has-text('{button}')")
        assert stumbling_blocks(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto(f"{furnished}/jobs")
    assert page.locator("table.list tbody tr").count() >= 2
    assert stumbling_blocks(page) == []
    page.goto(f"{furnished}/import")
    page.fill("#csv", "kind,address\nmailbox,nina@harbour.example\nmailbox,no address\n")
    page.click("text=Show what would become of it")
    assert page.locator("h2:has-text('What would be refused')").is_visible()
    assert stumbling_blocks(page) == []
