"""Somebody of support sees what a user sees: for a while, changing nothing, and never unseen."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, update

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, LoginSession
from appliance.services import accounts, appointments, support
from tests.fixtures.panel import PASSWORD, SYSTEM, Api, Browser, Office, make_office

ANNA, BOSS = "anna@shop.test", "boss@shop.test"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Api]]:
    """A customer, somebody of his support, an owner, and an owner who administers the customer, too."""
    with make_office(tmp_path_factory.mktemp("shop")) as office:
        operator, tenant = office.api(), office.tenant("Shop Ltd")
        operator("POST", "/domains", {"name": "shop.test", "tenant_id": tenant})
        operator("POST", "/domains", {"name": "other.test"})
        for name in (ANNA, BOSS, "joe@other.test"):
            assert operator("POST", "/mailboxes", {"address": name, "password": PASSWORD}).status_code == 201
        office.account("shop-admin", tenant)
        with unit_of_work(office.engine) as session:
            appointments.appoint(session, BOSS, actor=SYSTEM, tenant_id=tenant)
            sealed = office.sealer.seal_password(PASSWORD)
            accounts.create(session, "helper", actor=SYSTEM, tenant_id=tenant, support=True, sealed_hash=sealed)
        yield office, operator


@pytest.fixture
def helper(shop: tuple[Office, Api]) -> Browser:
    """He looks at anna's page."""
    browser = shop[0].client().log_in("helper")
    browser.get(f"/mailboxes/{ANNA}")
    assert browser.post("/support/enter", {"name": ANNA}).status_code == 303
    return browser


def test_he_sees_what_the_owner_sees_and_who_he_is_is_shown(helper: Browser) -> None:
    page = helper.get(f"/mailboxes/{ANNA}").text
    assert "helper</strong> is looking at what anna@shop.test sees" in page
    assert "My mailbox" in page
    assert "Change password" not in page
    assert helper.get(f"/mailboxes/{BOSS}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", f"/mailboxes/{ANNA}/forwarding", {"targets": BOSS}),
        ("POST", f"/mailboxes/{ANNA}/rules", {"verb": "deny", "pattern": "x.test"}),
        ("POST", f"/mailboxes/{ANNA}/app-passwords", {"name": "phone"}),
        (
            "POST",
            "/account/password",
            {"present": PASSWORD, "password": "another long one", "again": "another long one"},
        ),
        ("POST", "/support/enter", {"name": ANNA}),
        ("GET", "/account/password", {}),
    ],
)
def test_he_changes_nothing_and_passwords_least(
    shop: tuple[Office, Api], helper: Browser, method: str, path: str, fields: dict[str, str]
) -> None:
    helper.get(f"/mailboxes/{ANNA}")
    answer = helper.get(path) if method == "GET" else helper.post(path, fields)
    assert answer.status_code == 403
    shop[0].client().log_in(ANNA)  # with the password of before


def test_the_owner_is_told_and_the_log_has_both_names(shop: tuple[Office, Api], helper: Browser) -> None:
    office, _ = shop
    page = office.client().log_in(ANNA).get(f"/mailboxes/{ANNA}").text
    assert "Support looked at what you see here: helper on" in page
    assert "Support looked" not in office.client().log_in(BOSS).get(f"/mailboxes/{BOSS}").text
    with reading(office.engine) as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == support.DEED)).all()[-1]
        assert (entry.actor, entry.subject) == ("helper", ANNA)


def test_he_goes_back_to_his_own_desk(helper: Browser) -> None:
    helper.get(f"/mailboxes/{ANNA}")
    assert helper.post("/support/leave").headers["location"] == "/"
    page = helper.get(f"/mailboxes/{ANNA}").text
    assert "is looking at" not in page
    assert "Look as its owner" in page


def test_signing_out_ends_his_own_session_too(shop: tuple[Office, Api], helper: Browser) -> None:
    with reading(shop[0].engine) as session:
        before = len(session.scalars(select(LoginSession)).unique().all())
    helper.get(f"/mailboxes/{ANNA}")
    helper.post("/logout")
    with reading(shop[0].engine) as session:
        assert len(session.scalars(select(LoginSession)).unique().all()) == before - 2


def test_it_is_over_after_its_time_and_with_his_own_session(shop: tuple[Office, Api], helper: Browser) -> None:
    office, _ = shop
    with reading(office.engine) as session:
        login = session.scalars(select(LoginSession).where(LoginSession.support_by == "helper")).unique().all()[-1]
        assert login.expires_at - login.created_at <= support.SECONDS == 900
    with unit_of_work(office.engine) as session:
        session.execute(update(LoginSession).where(LoginSession.id == login.id).values(expires_at=1))
    assert helper.get(f"/mailboxes/{ANNA}").status_code in (303, 401)


@pytest.mark.parametrize(
    ("who", "whom", "status"),
    [
        ("helper", BOSS, 403),  # he holds more than a mailbox
        ("helper", "shop-admin", 403),
        ("helper", "joe@other.test", 404),
        ("shop-admin", ANNA, 403),  # an administrator is no support
        (ANNA, BOSS, 404),
        ("operator", BOSS, 303),
        ("operator", "shop-admin", 303),
    ],
)
def test_nobody_looks_who_is_no_support_or_ranks_below(
    shop: tuple[Office, Api], who: str, whom: str, status: int
) -> None:
    browser = shop[0].client().log_in(who)
    assert browser.post("/support/enter", {"name": whom}).status_code == status


def test_a_key_makes_a_link_that_lets_somebody_look(shop: tuple[Office, Api]) -> None:
    office, api = shop
    link = api("POST", "/login-links", {"name": ANNA, "support": True}).json()["link"].removeprefix("http://panel.test")
    browser = office.client()
    browser.get(link)
    assert browser.post(link).status_code == 303
    assert "is looking at what anna@shop.test sees" in browser.get(f"/mailboxes/{ANNA}").text
    assert browser.post(f"/mailboxes/{ANNA}/forwarding", {"targets": BOSS}).status_code == 403
    customer = office.api(office.tenant("Other Ltd"))
    assert customer("POST", "/login-links", {"name": ANNA, "support": True}).status_code == 404
