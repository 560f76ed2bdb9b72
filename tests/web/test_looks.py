"""Every page, by day and by night, wide and narrow: readable for everybody, within its window, and without a complaint."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from appliance import consent_links
from appliance.consent_links import Question
from appliance.database.session import unit_of_work
from appliance.models import ConsentRequest, Instance
from appliance.services import aliases, domains
from appliance.services.actor import Actor
from tests.fixtures.browser import NARROW, WIDE, stumbling_blocks
from tests.fixtures.panel import SYSTEM, Office, make_office, served
from tests.journeys.screenshots import PAGES, furnish, log_in

pytestmark = pytest.mark.browser

# Colours do not depend on the width nor the layout on the colours, so two of the four combinations see everything.
LOOKS = [(WIDE, "light"), (NARROW, "dark")]


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


def test_who_has_no_account_reads_what_he_is_asked(page: Any, furnished: str, question: str) -> None:
    scheme = "dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else "light"
    context = page.context.browser.new_context(
        viewport=page.viewport_size, color_scheme=scheme, reduced_motion="reduce"
    )
    asked = context.new_page()
    asked.goto(furnished + question)
    assert stumbling_blocks(asked) == []
    assert asked.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    asked.click("button:has-text('Yes, send it on to me')")
    assert stumbling_blocks(asked) == []
    assert asked.locator("h1:has-text('You agreed')").is_visible()
    context.close()


def test_the_menu_opens_by_keyboard_and_closes_with_escape(page: Any, furnished: str) -> None:
    page.goto(f"{furnished}/domains")
    page.focus("details.who summary")
    page.keyboard.press("Enter")
    assert page.locator("text=Sign out").is_visible()
    assert stumbling_blocks(page) == []
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
