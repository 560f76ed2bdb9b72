"""Every page, wide by day and narrow by night; in full size in all four looks. Readable for everybody, within its window."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import select

from appliance import consent_links
from appliance.consent_links import Question
from appliance.database.session import unit_of_work
from appliance.models import ConsentRequest, Instance
from appliance.services import aliases, domains
from appliance.services.actor import Actor
from tests.fixtures.browser import NARROW, WIDE, stumbling_blocks, unseen_stops
from tests.fixtures.panel import SYSTEM, Office, make_office, served
from tests.journeys.screenshots import OWNER, PAGES, furnish, log_in
from web.panel.routes import router

# What axe judges by colours and places; all else is the same in every look.
BY_LOOK = ["color-contrast", "link-in-text-block", "target-size", "scrollable-region-focusable"]
TOO_WIDE = "document.documentElement.scrollWidth > window.innerWidth"
# Colours do not depend on the width, nor places on the colours: in small two looks see all that four do.
OTHER_LOOKS = [(NARROW, "dark")]
if os.environ.get("POSTERN_FULL") == "1":
    OTHER_LOOKS += [(WIDE, "dark"), (NARROW, "light")]
OWNERS = {
    "mailbox": f"/mailboxes/{OWNER}", "addresses": f"/mailboxes/{OWNER}/addresses", "sending": f"/mailboxes/{OWNER}/sending",
    "setup": f"/mailboxes/{OWNER}/setup", "messages": "/messages",
}  # fmt: skip
RESELLERS = {"start": "/", "tenants": "/tenants", "tenant": "/tenants/3", "domains": "/domains"}
ELSEWHERE = {
    # Below, and tests/web/test_second_step.py.
    "/login", "/login/link/{token}", "/login/code", "/consent/{token}",
    "/recovery/reset/{token}", "/recovery/confirm/{token}",
    # Files.
    "/domains/{name}/dns/zone", "/import/sheet", "/jobs/{job}/sheet", "/jobs/{job}/document", "/jobs/{job}/refused",
    "/audit/export",
}  # fmt: skip

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


@pytest.fixture
def question(office: Office) -> str:
    """Where somebody elsewhere is asked whether mail may be sent on to him."""
    with unit_of_work(office.engine) as session:
        tenant = domains.get(session, "northwind.example", actor=SYSTEM).tenant_id
        customer = Actor("customer", "c", tenant)
        aliases.create(
            session, f"partners-{secrets.token_hex(4)}@northwind.example", ["ann@away.example"], actor=customer
        )
        row = session.scalars(select(ConsentRequest).order_by(ConsentRequest.id.desc())).first()
        assert row is not None
        key = session.scalars(select(Instance.consent_key)).one()
        return (
            f"/consent/{consent_links.token(key, Question(row.id, row.kind, row.holder_id, row.target, row.asked_at))}"
        )


@pytest.fixture(scope="module")
def page(browser: Any, furnished: str) -> Iterator[Any]:
    """The operator's window; it becomes narrow and dark where a test looks so."""
    with signed_in(browser, furnished) as page:
        yield page


@contextlib.contextmanager
def signed_in(browser: Any, url: str, *name: str) -> Iterator[Any]:
    context = browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    log_in(page, url, *name)
    yield page
    context.close()


def wrong(page: Any) -> list[str]:
    """What somebody would stumble over on the page that is open, in any of its looks. It is not loaded anew for each."""
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    found = [f"wide, light: {one}" for one in stumbling_blocks(page)]
    found += [f"the focus is not seen: {one}" for one in unseen_stops(page)]
    for size, scheme in OTHER_LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found += [f"{size['width']}, {scheme}: {one}" for one in stumbling_blocks(page, BY_LOOK)]
    if page.evaluate(TOO_WIDE):
        found.append("360: it has to be scrolled sideways")
    # Everything twice as large (WCAG 1.4.4) is a window of half the size to the page.
    page.set_viewport_size({name: pixels // 2 for name, pixels in WIDE.items()})
    if page.evaluate(TOO_WIDE):
        found.append("200 %: it has to be scrolled sideways")
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


def test_every_page_there_is_is_looked_at() -> None:
    """A new route is in PAGES of tests/journeys/screenshots.py, or it is no page."""
    routes = [
        (
            str(route.path),
            re.compile(re.sub(r"\{\w+:path\}", ".+", re.sub(r"\{\w+(:int)?\}", "[^/]+", str(route.path))) + r"\Z"),
        )
        for route in iter_route_contexts(router.routes)
        if "GET" in (route.methods or ())
    ]
    shown = {
        next((path for path, form in routes if form.match(where.partition("?")[0])), "") for where in PAGES.values()
    }
    assert {path for path, _ in routes} - shown <= ELSEWHERE


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


def test_who_has_no_account_reads_what_he_is_asked(page: Any, furnished: str, question: str) -> None:
    context = page.context.browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce")
    asked = context.new_page()
    asked.goto(furnished + question)
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
    assert wrong(page) == []
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
