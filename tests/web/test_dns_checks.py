"""What stands in DNS is kept beside each domain, told on the first page, and looked at again by and by."""

import dataclasses

import pytest
from sqlalchemy import update

from appliance.database.session import reading, unit_of_work
from appliance.errors import DatabaseUnavailable
from appliance.models import Domain
from appliance.peers import ResolverAway
from appliance.services import attention, dns_checks, domains
from appliance.services.dns_page import Found
from tests.fixtures.panel import HOST, SYSTEM, Office
from web.dns_checks import AT_ONCE, Stroll
from web.worker import Worker

NAME = "shop.test"


@pytest.fixture
def shop(office: Office) -> Office:
    """A customer with a domain, beside one of the operator's."""
    tenant = office.tenant("Shop")
    with unit_of_work(office.engine) as session:
        domains.create(session, NAME, actor=SYSTEM, tenant_id=tenant)
        domains.create(session, "house.test", actor=SYSTEM)
    office.account("shop-admin", tenant)
    return office


def right(office: Office, name: str = NAME) -> None:
    """All that mail to and from the domain rests on stands in DNS."""
    office.app.state.wiring.resolver.records.update({
        ("MX", name): Found("answer", (f"10 {HOST}",)),
        ("TXT", name): Found("answer", ("v=spf1 mx ~all",)),
        ("TXT", f"_dmarc.{name}"): Found("answer", ("v=DMARC1; p=none",)),
    })  # fmt: skip


def stored(office: Office, name: str = NAME) -> Domain:
    with reading(office.engine) as session:
        found = domains.get(session, name, actor=SYSTEM)
        session.expunge_all()
        return found


def be_due(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        session.execute(update(Domain).where(Domain.name != HOST).values(dns_due_at=0))


def test_a_look_is_kept_and_told_where_the_domain_is_looked_at(shop: Office) -> None:
    admin, key = shop.client().log_in("shop-admin"), shop.api()
    assert "nobody has looked yet" in admin.get(f"/domains/{NAME}").text
    assert key("GET", f"/domains/{NAME}").json()["dns_checked_at"] is None
    before = key("GET", f"/domains/{NAME}")
    admin.get(f"/domains/{NAME}/dns?check=true")
    assert "Wrong in DNS: MX, SPF, DMARC." in admin.get(f"/domains/{NAME}").text
    after = key("GET", f"/domains/{NAME}")
    assert after.json()["dns_wrong"] == ["MX", "SPF", "DMARC"]
    assert after.json()["dns_checked_at"]
    assert after.headers["etag"] == before.headers["etag"], "nobody has changed the domain"
    right(shop)
    key("GET", f"/domains/{NAME}/dns")
    assert key("GET", f"/domains/{NAME}").json()["dns_wrong"] == []
    assert "Wrong in DNS" not in admin.get(f"/domains/{NAME}").text
    assert "At the last look all that mail rests on was right." in admin.get(f"/domains/{NAME}/dns").text


def test_the_first_page_counts_what_is_wrong_in_ones_own_part(shop: Office) -> None:
    operator, admin = shop.client().log_in(), shop.client().log_in("shop-admin")
    assert "The DNS of" not in operator.get("/").text
    shop.app.state.wiring.resolver.records["MX", "house.test"] = Found("answer", (f"10 {HOST}",))
    for name in (NAME, "house.test"):
        operator.get(f"/domains/{name}/dns?check=true")
    assert "<strong>The DNS of 2 domains is wrong.</strong>" in operator.get("/").text
    assert (
        'href="/domains?dns=mx">MX 1</a>, <a class="text-nowrap" href="/domains?dns=spf">SPF 2</a>'
        in operator.get("/").text
    )
    assert "<strong>The DNS of 1 domain is wrong.</strong>" in admin.get("/").text
    with unit_of_work(shop.engine) as session:
        domains.find(session, SYSTEM, "domain.update", NAME).proved_at = None
    assert "The DNS of" not in admin.get("/").text, "it is known that its mail goes elsewhere"


def test_who_does_not_answer_has_said_nothing(shop: Office) -> None:
    key, records = shop.api(), shop.app.state.wiring.resolver.records
    right(shop)
    records["MX", NAME] = Found("answer", ("10 elsewhere.test",))
    key("GET", f"/domains/{NAME}/dns")
    assert stored(shop).dns_missing == ["MX"]
    for kind, name in list(records):
        records[kind, name] = Found("failed")
    checked = stored(shop).dns_checked_at
    be_due(shop)
    Stroll(shop.app.state.wiring).step()
    assert (stored(shop).dns_missing, stored(shop).dns_checked_at) == (["MX"], checked)
    right(shop)
    records["MX", NAME] = Found("failed")
    records["TXT", NAME] = Found("none")
    key("GET", f"/domains/{NAME}/dns")
    assert stored(shop).dns_missing == ["MX", "SPF"], "what is known of MX, and what was found of SPF"


def test_domains_that_nobody_asks_about_are_looked_at_a_few_at_a_time(shop: Office) -> None:
    """A new one has an hour in peace; one that is wrong is looked at again before one that is right."""
    stroll = Stroll(shop.app.state.wiring)
    stroll.step()
    assert stored(shop).dns_checked_at is None
    with unit_of_work(shop.engine) as session:
        for number in range(AT_ONCE + 1):
            domains.create(session, f"n{number}.test", actor=SYSTEM)
    right(shop)
    be_due(shop)
    names = [NAME, "house.test", *(f"n{number}.test" for number in range(AT_ONCE + 1))]
    counts = []
    for _ in range(3):
        stroll.step()
        counts.append(sum(stored(shop, name).dns_checked_at is not None for name in names))
    assert counts == [AT_ONCE, len(names), len(names)]
    assert stored(shop).dns_due_at > stored(shop, "house.test").dns_due_at
    with reading(shop.engine) as session:
        [need] = [one for one in attention.needs(session, actor=SYSTEM) if one.kind == "dns"]
    assert (need.number, dict(need.parts)["MX"]) == (len(names) - 1, len(names) - 1)


def test_a_resolver_that_is_away_changes_nothing(shop: Office) -> None:
    class Away:
        def look_up(self, _questions: object) -> list[Found]:
            raise ResolverAway("Names cannot be looked up just now.")

    be_due(shop)
    wiring = dataclasses.replace(shop.app.state.wiring, resolver=Away())
    Stroll(wiring).step()
    assert (stored(shop).dns_checked_at, stored(shop).dns_due_at) == (None, 0)


def test_the_same_is_not_written_down_again_at_once(shop: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    note = dns_checks.note
    monkeypatch.setattr(dns_checks, "note", lambda *given: (written.append(1), note(*given))[1])
    key = shop.api()
    for _ in range(3):
        key("GET", f"/domains/{NAME}/dns")
    assert len(written) == 1
    right(shop)
    key("GET", f"/domains/{NAME}/dns")
    assert len(written) == 2


def test_the_page_is_there_when_nothing_can_be_written(shop: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_given: object) -> None:
        raise DatabaseUnavailable("the database is locked")

    admin = shop.client().log_in("shop-admin")
    monkeypatch.setattr(dns_checks, "note", locked)
    assert "not right yet" in admin.get(f"/domains/{NAME}/dns?check=true").text
    assert stored(shop).dns_checked_at is None


def test_programs_find_the_domains_whose_zone_is_wrong(shop: Office) -> None:
    key = shop.api()

    def found(dns: str) -> list[str]:
        return [one["name"] for one in key("GET", f"/domains?dns={dns}").json()["items"]]

    assert found("wrong") == []
    right(shop)
    shop.app.state.wiring.resolver.records["TXT", NAME] = Found("none")
    for name in (NAME, "house.test"):
        key("GET", f"/domains/{name}/dns")
    assert (found("wrong"), found("mx"), found("spf")) == (["house.test", NAME], ["house.test"], ["house.test", NAME])
    assert key("GET", "/domains?dns=cname").status_code == 422
    page = key("GET", "/domains?dns=wrong&limit=1").json()
    assert [one["name"] for one in page["items"]] == ["house.test"]
    behind = key("GET", "/domains", params={"dns": "wrong", "limit": 1, "cursor": page["next"]}).json()
    assert ([one["name"] for one in behind["items"]], behind["next"]) == ([NAME], None)


def test_the_list_shows_the_domains_whose_zone_is_wrong(shop: Office) -> None:
    operator, admin = shop.client().log_in(), shop.client().log_in("shop-admin")
    assert "Wrong in DNS" not in operator.get("/domains").text
    right(shop)
    for name in (NAME, "house.test"):
        operator.get(f"/domains/{name}/dns?check=true")
    page = operator.get("/domains?dns=wrong").text
    assert '<a href="/domains/house.test">' in page
    assert f'<a href="/domains/{NAME}">' not in page
    assert "DNS: MX, SPF, DMARC" in page
    assert "Change what is ticked" in page
    assert "Change all" not in page, "that would change what the list does not show"
    assert "Change all" in operator.get("/domains").text
    assert "house.test" not in admin.get("/domains?dns=mx").text
    assert "Of no domain this is wrong." in admin.get("/domains?dns=mx").text
    assert operator.get("/domains?dns=nothing").status_code == 422


def test_the_worker_goes_on_with_it_between_jobs_and_no_faster(shop: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    be_due(shop)
    worker = Worker(shop.app, shop.app.state.wiring)
    monkeypatch.setattr(worker, "work", worker.stop)
    worker._run()
    assert stored(shop).dns_checked_at is None, "the first step is half a minute after the beginning"
    monkeypatch.setattr("web.dns_checks.STEP_SECONDS", 0.0)
    worker = Worker(shop.app, shop.app.state.wiring)
    monkeypatch.setattr(worker, "work", worker.stop)
    worker._run()
    assert stored(shop).dns_checked_at is not None
