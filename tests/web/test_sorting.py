"""Lists in another order: by a link in a column's head, kept in the address through pages, searches and filters."""

import dataclasses
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from appliance.database.session import unit_of_work
from appliance.services import domains, keys, mailboxes
from appliance.services.paging import encode_cursor
from mta.spool.envelope import Envelope
from tests.fakes.queue import FakeQueue
from tests.fixtures.browser import WIDE
from tests.fixtures.panel import SYSTEM, Browser, Office, make_office, served
from tests.journeys.screenshots import furnish, log_in
from tests.mta.roles.scheduler._rig import envelope_of
from web.panel import domains as pages_of_domains
from web.panel import queue as queue_page

HERE = "/domains/shop.test/mailboxes"
_HEAD = re.compile(r'<th scope="col"[^>]*?(?:aria-sort="(\w+)")?>\s*<a class="by" id="by-([\w]+)" href="([^"]+)">')
_ROW = re.compile(r'<tr>.*?<th scope="row"[^>]*>\s*(?:<a[^>]*>|<span[^>]*>)?([^<]+)', re.DOTALL)
_NEXT = re.compile(r'href="([^"]+)" rel="next"')
# Every list of the panel that somebody might want in another order, with the columns that do it.
LISTS = {
    "/domains": {"name", "tenant", "created", "mailboxes", "aliases"},
    HERE: {"name", "created", "used"},
    "/domains/shop.test/aliases": {"name", "created"},
    "/domains/shop.test/forwards": {"name"},
    "/tenants": {"name", "created"},
    "/people": {"name", "created"},
    "/plans": {"name", "max_domains", "max_mailboxes", "max_aliases", "max_storage_bytes", "sends_per_day"},
    "/keys": {"name", "tenant", "created", "until"},
    "/webhooks": {"url", "created"},
    "/certificates": {"name", "until", "tenant"},
    "/removals": {"name", "removed", "used", "until"},
    "/jobs": {"created"},
    "/audit": {"at"},
    "/queue": {"since", "sender", "recipient", "size"},
}


def heads(html: str) -> dict[str, tuple[str, str]]:
    """Of each column that sorts: in which direction it does now, and where its link leads."""
    return {name: (direction, unescape(where)) for direction, name, where in _HEAD.findall(html)}


def rows(html: str) -> list[str]:
    """What the rows are called."""
    return [name.strip() for name in _ROW.findall(html.partition("<tbody>")[2])]


def sized(message: Envelope, size: int) -> Envelope:
    """The same *message* with so many octets."""
    told = {name: getattr(message, name) for name in Envelope.__slots__}
    return Envelope(**told | {"size": size})


@pytest.fixture
def operator(office: Office) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        for number, name in enumerate(("anna", "ben", "cleo", "dora", "emil")):
            mailboxes.create(session, f"{name}@shop.test", actor=SYSTEM).used_bytes = (3, 1, 2, 3, 1)[number]
    return office.client().log_in()


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("office")) as made:
        furnish(made)
        yield made


def test_every_list_is_sorted_both_ways_by_its_heads(furnished: Office) -> None:
    """Each link leads to the list in that order, and the head says which one it is."""
    with unit_of_work(furnished.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        keys.create(session, actor=SYSTEM, name="billing")
    operator = furnished.client().log_in()
    for address, names in LISTS.items():
        where = address.replace("shop.test", "northwind.example")
        page = operator.get(where)
        assert set(heads(page.text)) == names, where
        for name in names:
            seen = set()
            for _ in range(2):
                link = heads(page.text)[name][1]
                assert link.endswith(f"#by-{name}")
                page = operator.get(link.partition("#")[0])
                assert page.status_code == 200, link
                sorted_by = {each: direction for each, (direction, _) in heads(page.text).items() if direction}
                assert list(sorted_by) == [name], link
                seen.add(sorted_by[name])
            assert seen == {"ascending", "descending"}, (where, name)


def test_an_order_is_kept_through_pages_and_searches(operator: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_of_domains, "PAGE_LENGTH", 2)
    page = operator.get(f"{HERE}?sort=-used").text
    found = rows(page)
    while following := _NEXT.search(page):
        assert "sort=-used" in following[1]
        page = operator.get(unescape(following[1])).text
        assert heads(page)["used"][0] == "descending"
        assert f'href="{HERE}?sort=-used"' in page, "the way back to the first page"
        found += rows(page)
    assert found == [f"{name}@shop.test" for name in ("dora", "anna", "cleo", "emil", "ben")]
    page = operator.get(f"{HERE}?search=e&sort=-name").text
    assert rows(page) == ["emil@shop.test"]
    assert '<input type="hidden" name="sort" value="-name">' in page
    assert all("search=e" in where for _, where in heads(page).values())


def test_what_no_list_can_be_sorted_by_changes_nothing(operator: Browser) -> None:
    """The list is in its own order, and its address is not carried on."""
    for sort in ("-nothing", "used'--", "-", "--used", "<b>"):
        page = operator.get(HERE, params={"sort": sort})
        assert page.status_code == 200
        assert heads(page.text)["name"][0] == "ascending"
        assert rows(page.text) == sorted(rows(page.text))
        assert 'name="sort"' not in page.text
    assert operator.get(HERE, params={"sort": "-" * 41}).status_code == 422


def test_a_page_of_another_order_is_not_there(operator: Browser) -> None:
    cursor = encode_cursor("-used", 3, 1)
    assert operator.get(HERE, params={"sort": "-used", "cursor": cursor}).status_code == 200
    for sort in ("used", "-name", "name", "", "nothing"):
        assert operator.get(HERE, params={"sort": sort, "cursor": cursor}).status_code == 404, sort
    for key in (("-used", 1 << 80, 1), ("-used", 1, 1 << 80)):
        answer = operator.get(HERE, params={"sort": key[0], "cursor": encode_cursor(*key)})
        assert answer.status_code in (404, 422), key


def test_the_queue_is_sorted_and_says_of_how_much(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = FakeQueue()
    office.app.state.wiring = dataclasses.replace(office.app.state.wiring, scheduler=queue)
    for number, (recipient, size) in enumerate(
        ((b"z@b.test", 5), (b"y@a.test", 9), (b"x@c.test", 7), (b"w@a.test", 7)), 1
    ):
        queue.rig.outcomes[recipient] = (b"delayed", b"4.4.1")
        queue.rig.accept(number, sized(envelope_of(recipient), size))
    queue.rig.run()
    monkeypatch.setattr(queue_page, "PAGE_LENGTH", 3)

    def shown(address: str) -> list[int]:
        numbers = []
        while address:
            page = operator.get(address)
            assert page.status_code == 200
            numbers += [int(found[-4:], 16) for found in re.findall(r'href="/queue/([0-9a-f]+)"', page.text)]
            following = _NEXT.search(page.text)
            address = unescape(following[1]) if following else ""
        return numbers

    assert shown("/queue") == [1, 2, 3, 4]
    assert shown("/queue?sort=-since") == [4, 3, 2, 1]
    assert shown("/queue?sort=-size") == [2, 4, 3, 1]
    assert shown("/queue?sort=size") == [1, 3, 4, 2]
    assert shown("/queue?sort=recipient") == [2, 4, 1, 3]
    assert operator.get("/queue", params={"sort": "-size", "cursor": encode_cursor("size", 1, "a")}).status_code == 404
    assert "that wait longest are sorted" not in operator.get("/queue?sort=-size").text
    monkeypatch.setattr("appliance.services.waiting.MAX_PAGE", 2)
    page = operator.get("/queue?sort=-size").text
    assert "that wait longest are sorted" in page
    assert heads(page)["size"] == ("descending", "/queue?sort=size#by-size")


@pytest.mark.browser
def test_by_the_keyboard_and_while_somebody_types(furnished: Office, browser: Any) -> None:
    """Whoever sorts with the keyboard is at the same head again; and what he then looks for comes in that order."""
    with served(furnished.app) as url:
        context = browser.new_context(viewport=WIDE)
        page = context.new_page()
        log_in(page, url)
        page.goto(f"{url}/domains/northwind.example/mailboxes")
        page.focus("#by-name")
        page.keyboard.press("Enter")
        page.wait_for_url("**/mailboxes?sort=-name#by-name")
        assert page.get_attribute("th:has(#by-name)", "aria-sort") == "descending"
        page.wait_for_function("document.activeElement.id === 'by-name'")
        assert page.evaluate("window.scrollY") == 0, "the page has not jumped"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "by-created"
        page.fill("[type=search]", "an")
        page.wait_for_url(re.compile(r"sort=-name.*search=an|search=an.*sort=-name"))
        page.wait_for_function("!document.querySelector('#list').innerText.includes('greta@')")
        assert page.get_attribute("th:has(#by-name)", "aria-sort") == "descending"
        names = page.locator("#list tbody th a").all_inner_texts()
        assert names == sorted(names, reverse=True)
        assert "anna@northwind.example" in names
        context.close()
