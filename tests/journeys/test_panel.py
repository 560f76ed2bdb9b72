"""A mailbox made in the panel: an operator makes domain and mailbox, its owner signs in and has mail sent on.

In a real browser, over real HTTP. `walk` needs nothing but an address and a password, so it walks as well through a panel
that stands in front of the whole appliance.
"""

from collections.abc import Callable
from typing import Any

import pytest

from appliance.database.session import reading
from appliance.services import mailboxes
from tests.fixtures.browser import NARROW, WIDE
from tests.fixtures.house import OPERATOR as HOUSE_OPERATOR
from tests.fixtures.house import OPERATOR_PASSWORD, House
from tests.fixtures.panel import OPERATOR, PASSWORD, SYSTEM, Office
from tests.journeys.screenshots import furnish, log_in

pytestmark = [pytest.mark.journey, pytest.mark.browser]

OWNER_PASSWORD = "three plain words"


def walk(
    browser: Any, url: str, operator: str, password: str, *, domain: str = "shop.test", scripts: bool = True
) -> None:
    """The journey; everything it makes lies in *domain*."""
    context = browser.new_context(java_script_enabled=scripts, viewport=WIDE)
    page = context.new_page()
    log_in(page, url, operator, password)
    page.click("text=Add a domain")
    page.fill("#name", domain)
    page.click("button:has-text('Add the domain')")
    assert "is served from now on" in page.inner_text("main")
    for name in ("anna", "ben"):
        page.click("a:has-text('Add a mailbox')")
        page.fill("#local_part", name)
        page.fill("#password", OWNER_PASSWORD)
        page.click("button:has-text('Add the mailbox')")
        assert page.inner_text("h1") == f"{name}@{domain}"
        page.click(".crumbs >> text=Mailboxes")
    assert [page.locator("table.list tbody tr").count()] == [2]
    page.click("details.who summary")
    page.click("text=Sign out")
    set_forwarding(page, url, domain)
    context.close()


def set_forwarding(page: Any, url: str, domain: str) -> None:
    """The owner's part."""
    log_in(page, url, f"anna@{domain}", OWNER_PASSWORD)
    assert page.inner_text("h1") == f"anna@{domain}"
    page.fill("#targets", "somebody at elsewhere.test")
    page.click("button:has-text('Save forwarding')")
    assert "is not an address" in page.inner_text("#targets-error")
    assert page.input_value("#targets") == "somebody at elsewhere.test"
    page.fill("#targets", f"ben@{domain}")
    page.click("button:has-text('Save forwarding')")
    assert f"Mail is sent on to ben@{domain}." in page.inner_text("main")
    assert page.is_checked("#keep_copy")


def test_from_the_gate_to_a_forwarding_mailbox_without_scripts(office: Office, panel_url: str, browser: Any) -> None:
    walk(browser, panel_url, OPERATOR, PASSWORD, scripts=False)
    with reading(office.engine) as session:
        forwarding = mailboxes.get(session, "anna@shop.test", actor=SYSTEM).forwarding
        assert forwarding is not None
        assert (list(forwarding.targets), forwarding.keep_copy) == (["ben@shop.test"], True)


def test_a_mailbox_made_in_the_browser_receives_and_sends_on(house: House, browser: Any) -> None:
    """With scripts, through the whole appliance: the real authenticator lets them in, and mail arrives where the page says."""
    walk(browser, f"http://127.0.0.1:{house.port('panel')}", HOUSE_OPERATOR, OPERATOR_PASSWORD)
    assert house.rcpt("anna@shop.test")[0] == 250
    assert house.rcpt("nobody@shop.test")[0] == 550
    house.send("anna@shop.test", b"Subject: from the wire\r\n\r\nhello\r\n")
    assert b"hello" in house.wait_for_messages("ben@shop.test")[0].read_bytes()
    assert b"hello" in house.wait_for_messages("anna@shop.test")[0].read_bytes()


@pytest.fixture
def visit(office: Office, panel_url: str, browser: Any) -> Callable[..., Any]:
    """Sign in to a furnished panel; answers the page, whose complaints are collected in `page.complaints`."""
    furnish(office)

    def open_page(**options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.complaints = []
        page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        log_in(page, panel_url)
        return page

    return open_page


def test_the_list_follows_while_somebody_types(visit: Callable[..., Any], panel_url: str) -> None:
    page = visit(viewport=WIDE)
    page.goto(f"{panel_url}/domains/northwind.example/mailboxes")
    page.locator("input[type=search]").press_sequentially("emi", delay=20)
    page.wait_for_url("**/domains/northwind.example/mailboxes?search=emi")
    page.wait_for_function("document.querySelectorAll('table.list tbody tr').length === 1")
    assert "emily@northwind.example" in page.inner_text("#list")
    assert page.inner_text("h1") == "northwind.example"
    page.reload()
    assert page.input_value("input[type=search]") == "emi"
    assert page.locator("table.list tbody tr").count() == 1
    assert page.complaints == []


def test_the_colours_change_at_once_and_stay(visit: Callable[..., Any], panel_url: str) -> None:
    page = visit(viewport=WIDE, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    day = page.evaluate(ground)
    with page.expect_response("**/theme"):
        page.click(".themes button:has-text('Dark')")
    night = page.evaluate(ground)
    assert night != day
    page.goto(f"{panel_url}/audit")
    assert page.evaluate(ground) == night
    assert page.complaints == []


def test_a_second_click_makes_no_second_thing(visit: Callable[..., Any], office: Office, panel_url: str) -> None:
    page = visit(viewport=NARROW)
    page.goto(f"{panel_url}/keys/new")
    page.fill("#name", "Billing")
    page.evaluate("() => { const b = document.querySelector('main button'); b.click(); b.click(); }")
    page.wait_for_selector("text=Copy it now.")
    page.goto(f"{panel_url}/keys")
    assert page.locator("table.list tbody tr").count() == 1
