"""The panel as a browser without scripts sees it: forms, redirects, refusals beside their fields."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from sqlalchemy import func, select

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, Domain, Mailbox
from appliance.services import aliases, certificates, domains, forwardings, mailboxes
from tests.fixtures.panel import HOST, OPERATOR, PASSWORD, SYSTEM, Browser, Office, make_office
from web import panel

BOX = "/domains/shop.test/mailboxes"


def plain(html: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")).split())


def error_beside(html: str, field: str) -> str:
    """What the page says at *field*, as the field itself refers to it."""
    assert f'aria-describedby="{field}-error' in html
    found = re.search(rf'id="{field}-error">([^<]+)<', html)
    assert found
    return found[1].replace("&#39;", "'")


@pytest.fixture
def operator(office: Office) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
    return office.client().log_in()


# ---- signing in


def test_the_start_page_leads_a_stranger_to_the_gate_and_back(office: Office) -> None:
    browser = office.client()
    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/audit?cursor=").headers["location"] == "/login?next=/audit%3Fcursor%3D"
    browser.get("/login?next=/audit")
    response = browser.post("/login", {"name": OPERATOR, "password": PASSWORD, "next": "/audit"})
    assert response.headers["location"] == "/audit"
    assert "session created" in plain(browser.get("/audit").text)


@pytest.mark.parametrize("elsewhere", ["//evil.test", "/\\evil.test", "https://evil.test/", "/\n/evil.test", "evil"])
def test_signing_in_leads_to_no_other_site(office: Office, elsewhere: str) -> None:
    browser = office.client()
    browser.get("/login")
    response = browser.post("/login", {"name": OPERATOR, "password": PASSWORD, "next": elsewhere})
    assert response.headers["location"] == "/"


@pytest.mark.parametrize(
    ("name", "password"),
    [(OPERATOR, "guessed"), ("nobody", PASSWORD), ("no@address@", "x"), ("a@b.test", "x"), ("", "")],
)
def test_wrong_name_and_wrong_password_get_the_same_answer(office: Office, name: str, password: str) -> None:
    browser = office.client()
    browser.get("/login")
    response = browser.post("/login", {"name": name, "password": password})
    assert response.status_code == 401
    assert "Name or password is wrong." in plain(response.text)
    assert f'value="{password}' not in response.text or not password


def test_guessing_is_slowed_down_before_the_password_is_looked_at(office: Office) -> None:
    browser = office.client()
    browser.get("/login")
    for _ in range(5):
        assert browser.post("/login", {"name": OPERATOR, "password": "wrong"}).status_code == 401
    asked = len(office.authenticator.asked)
    response = browser.post("/login", {"name": OPERATOR, "password": PASSWORD})
    assert response.status_code == 429
    assert len(office.authenticator.asked) == asked
    assert "Try again in" in plain(response.text)


def test_the_session_is_a_new_one_after_signing_in(office: Office) -> None:
    """A cookie planted beforehand must not become somebody's session (session fixation)."""
    browser = office.client()
    browser.get("/login")
    before = browser.client.cookies["postern_session"]
    browser.post("/login", {"name": OPERATOR, "password": PASSWORD})
    assert browser.client.cookies["postern_session"] != before


def test_signing_out_ends_the_session_in_the_database_too(office: Office) -> None:
    browser = office.client().log_in()
    cookie = browser.client.cookies["postern_session"]
    browser.get("/domains")
    assert browser.post("/logout").headers["location"] == "/login"
    browser.client.cookies.set("postern_session", cookie)
    assert browser.get("/domains").headers["location"].startswith("/login")


def test_nobody_signs_in_while_the_authenticator_is_away(office: Office) -> None:
    office.authenticator.away = True
    browser = office.client()
    browser.get("/login")
    response = browser.post("/login", {"name": OPERATOR, "password": PASSWORD})
    assert response.status_code == 503
    assert "cannot be checked just now" in plain(response.text)


def test_a_one_time_password_is_good_for_nothing_but_its_change(tmp_path: Path) -> None:
    with make_office(tmp_path, must_change=True) as office:
        browser = office.client().log_in()
        for path in ("/", "/domains", "/tenants", "/keys/new", f"/mailboxes/postmaster@{HOST}"):
            assert browser.get(path).headers["location"] == "/account/password"
        browser.get("/account/password")
        assert browser.post("/domains", {"name": "shop.test"}).headers["location"] == "/account/password"
        fields = {"current": PASSWORD, "password": "another long password", "again": "another long password"}
        assert browser.post("/account/password", fields).headers["location"] == "/"
        assert browser.get("/domains").status_code == 200
        assert office.client().log_in(password="another long password").get("/domains").status_code == 200


# ---- forged requests


def all_panel_posts() -> list[str]:
    """Every address that a browser can post to, from the modules themselves, so that a new page cannot be forgotten."""
    modules = [importlib.import_module(f"web.panel.{found.name}") for found in pkgutil.iter_modules(panel.__path__)]
    routers = [
        module.router for module in modules if hasattr(module, "router") and module.__name__ != "web.panel.routes"
    ]
    return sorted({route.path for router in routers for route in router.routes if "POST" in route.methods})


def filled(path: str) -> str:
    return (
        path.replace("{name}", "shop.test").replace("{address:path}", f"postmaster@{HOST}")
        .replace("{tenant_id}", "1").replace("{account}", OPERATOR).replace("{public_id}", "0" * 16)
        .replace("{rule:int}", "1").replace("{number:int}", "1")
    )  # fmt: skip


def test_every_form_is_refused_without_its_token(office: Office, operator: Browser) -> None:
    paths = all_panel_posts()
    assert len(paths) > 25, "the routes were not found"
    with reading(office.engine) as session:
        before = session.scalar(select(func.count()).select_from(AuditEntry))
    for path in paths:
        for token in ("", "0" * 40):
            response = operator.client.post(filled(path), data={"csrf": token, "name": "forged.test"})
            assert response.status_code == 403, path
            assert "That page was too old" in plain(response.text), path
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == before


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.test"}])
def test_a_form_that_another_site_sent_is_refused_even_with_the_token(
    office: Office, operator: Browser, headers: dict[str, str]
) -> None:
    operator.get("/domains/new")
    assert operator.post("/domains", {"name": "forged.test"}, headers=headers).status_code == 403
    assert "forged.test" not in operator.get("/domains").text


def test_the_token_of_somebody_else_is_refused(office: Office, operator: Browser) -> None:
    stranger = office.client()
    stranger.get("/login")
    operator.token = stranger.token
    assert operator.post("/domains", {"name": "forged.test"}).status_code == 403


def test_htmx_may_carry_the_token_in_a_header(office: Office, operator: Browser) -> None:
    operator.get("/domains/new")
    response = operator.client.post(
        "/domains", data={"name": "header.test"}, headers={"X-CSRF-Token": operator.token, "HX-Request": "true"}
    )
    assert response.status_code == 303


# ---- headers


@pytest.mark.parametrize(
    "path", ["/login", "/domains", "/nowhere", "/healthz", "/static/panel.css", "/api/v1/me", "/api/v1/openapi.json"]
)
def test_every_answer_carries_the_security_headers(operator: Browser, path: str) -> None:
    headers = operator.get(path).headers
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert ("immutable" if path.startswith("/static") else "no-store") in headers["cache-control"]


def test_pages_hold_no_inline_script_or_style(operator: Browser) -> None:
    """The policy would silently drop them."""
    for path in ("/login", "/domains", f"/mailboxes/postmaster@{HOST}", "/api/v1/docs"):
        html = operator.get(path).text
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html), path


def test_an_unforeseen_error_shows_no_traceback(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(domains, "list_domains", broken)
    for path in ("/domains", "/api/v1/domains"):
        response = operator.get(path, headers={"Authorization": office.api().client.headers["Authorization"]})
        assert response.status_code == 500
        assert "secret detail" not in response.text
        assert "Traceback" not in response.text
        assert "content-security-policy" in response.headers


# ---- domains


def test_a_domain_is_made_shown_and_announced(office: Office, operator: Browser) -> None:
    operator.get("/domains/new")
    response = operator.post("/domains", {"name": "Bücher.test"})
    assert response.headers["location"] == "/domains/xn--bcher-kva.test"
    page = operator.get(response.headers["location"])
    assert "xn--bcher-kva.test is served from now on." in plain(page.text)
    assert "bücher.test" in page.text
    assert "Make the first address" in page.text
    assert "is served from now on" not in operator.get("/domains/xn--bcher-kva.test").text
    assert office.compiler.pokes > 0


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("shop.test", 409, "already served here"),
        ("not a domain", 422, "is not a domain name"),
        ("-x.test", 422, "is not a domain name"),
        ("", 422, "is not a domain name"),
        ("x" * 64 + ".test", 422, "is not a domain name"),
        ("<script>alert(1)</script>", 422, "is not a domain name"),
    ],
)
def test_a_bad_domain_comes_back_with_the_reason_beside_it(
    operator: Browser, name: str, status: int, says: str
) -> None:
    operator.get("/domains/new")
    response = operator.post("/domains", {"name": name})
    assert response.status_code == status
    assert says in error_beside(response.text, "name")
    assert "<script>alert" not in response.text
    if name and "<" not in name:
        assert f'value="{name}"' in response.text  # what was typed is kept


def test_the_list_is_searched_and_paged(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        for number in range(60):
            domains.create(session, f"d{number:02}.test", actor=SYSTEM)
    first = operator.get("/domains")
    following = re.search(r'href="([^"]+)" rel="next"', first.text)
    assert following
    second = operator.get(following[1].replace("&amp;", "&"))
    names = re.findall(r'href="/domains/([a-z0-9.]+[.]test)"', first.text + second.text)
    assert len(names) == len(set(names)) == 62
    assert "First page" in second.text
    found = operator.get("/domains?search=d17")
    assert "d17.test" in found.text
    assert "d18.test" not in found.text
    assert "Nothing found" in operator.get("/domains?search=zzz").text


def test_searching_while_typing_gets_the_list_alone(operator: Browser) -> None:
    fragment = operator.get("/domains?search=shop", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert "shop.test" in fragment.text
    assert "<html" not in fragment.text


def test_a_search_whose_session_has_ended_leads_to_the_gate(office: Office) -> None:
    fragment = office.client().get("/domains?search=x", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert fragment.headers["hx-redirect"].startswith("/login")


def test_suspending_and_resuming_a_domain(office: Office, operator: Browser) -> None:
    operator.get("/domains/shop.test/settings")
    operator.post("/domains/shop.test/suspend")
    page = operator.get("/domains/shop.test/settings")
    assert "Mail for this domain is refused" in plain(page.text)
    operator.post("/domains/shop.test/resume")
    assert "Mail for this domain is refused" not in plain(operator.get("/domains/shop.test/settings").text)


def test_a_catch_all_is_set_refused_and_cleared(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
    operator.get("/domains/shop.test/settings")
    refused = operator.post("/domains/shop.test/catch-all", {"catch_all": "nobody@shop.test"})
    assert refused.status_code == 422
    assert "nobody here answers for" in error_beside(refused.text, "catch_all").lower()
    operator.post("/domains/shop.test/catch-all", {"catch_all": "anna@shop.test"})
    assert 'value="anna@shop.test"' in operator.get("/domains/shop.test/settings").text
    operator.post("/domains/shop.test/catch-all", {"catch_all": ""})
    with reading(office.engine) as session:
        assert session.scalar(select(Domain.catch_all).where(Domain.name == "shop.test")) is None


def test_removing_a_domain_names_what_is_lost_and_wants_its_name(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
        mailboxes.create(session, "ben@shop.test", actor=SYSTEM)
        aliases.create(session, "sales@shop.test", ["anna@shop.test"], actor=SYSTEM)
    page = operator.get("/domains/shop.test/remove")
    assert "2 mailboxes with the mail stored in them" in plain(page.text)
    assert "1 alias" in plain(page.text)
    refused = operator.post("/domains/shop.test/remove", {"confirm": "shop"})
    assert refused.status_code == 422
    assert error_beside(refused.text, "confirm") == "Type shop.test to confirm."
    assert operator.post("/domains/shop.test/remove", {"confirm": "Shop.Test"}).headers["location"] == "/domains"
    assert operator.get("/domains/shop.test").status_code == 404


def test_the_hosts_own_domain_cannot_be_removed(operator: Browser) -> None:
    assert "Remove …" not in operator.get(f"/domains/{HOST}/settings").text
    operator.get(f"/domains/{HOST}/remove")
    response = operator.post(f"/domains/{HOST}/remove", {"confirm": HOST})
    assert response.status_code == 409
    assert "host's own" in plain(response.text)


# ---- mailboxes


def test_a_mailbox_is_made_and_its_owner_signs_in(office: Office, operator: Browser) -> None:
    operator.get(f"{BOX}/new")
    fields = {"local_part": "Anna", "password": "three plain words", "quota": "2 GiB", "display_name": "Anna E"}
    response = operator.post(BOX, fields)
    assert response.headers["location"] == "/mailboxes/Anna@shop.test"
    assert "2 GiB" in operator.get("/mailboxes/Anna@shop.test").text
    owner = office.client().log_in("anna@SHOP.test", "three plain words")
    assert owner.get("/").headers["location"] == "/mailboxes/anna@shop.test"
    page = owner.get("/mailboxes/anna@shop.test")
    assert "Forwarding" in page.text
    assert "Remove" not in page.text


@pytest.mark.parametrize(
    ("fields", "status", "field", "says"),
    [
        ({"local_part": "postmaster"}, 409, "local_part", "already"),
        ({"local_part": ""}, 422, "local_part", "not an address"),
        ({"local_part": "two words"}, 422, "local_part", "not an address"),
        ({"local_part": "x" * 65}, 422, "local_part", "too long"),
        ({"local_part": "anna@elsewhere.test"}, 422, "local_part", "not an address"),
        ({"local_part": "anna", "password": "short"}, 422, "password", "at least 8"),
        ({"local_part": "anna", "quota": "lots"}, 422, "quota", "Write a size"),
        ({"local_part": "anna", "quota": "9999999 TiB"}, 422, "quota_bytes", "quota"),
    ],
)
def test_a_bad_mailbox_comes_back_with_the_reason_beside_it(
    office: Office, operator: Browser, fields: dict[str, str], status: int, field: str, says: str
) -> None:
    path = "/domains/shop.test/mailboxes"
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "postmaster@shop.test", actor=SYSTEM)
    operator.get(f"{path}/new")
    response = operator.post(path, fields)
    assert response.status_code == status
    assert says.lower() in error_beside(response.text, "quota" if field == "quota_bytes" else field).lower()
    assert 'value="short"' not in response.text
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Mailbox)) == 2


def test_the_whole_address_may_be_typed_too(operator: Browser) -> None:
    operator.get(f"{BOX}/new")
    assert operator.post(BOX, {"local_part": "anna@shop.test"}).headers["location"] == "/mailboxes/anna@shop.test"


def test_an_address_with_a_slash_has_its_page(operator: Browser) -> None:
    operator.get(f"{BOX}/new")
    where = operator.post(BOX, {"local_part": "a/forwarding"}).headers["location"]
    page = operator.get(where)
    assert page.status_code == 200
    assert "a/forwarding@shop.test" in page.text
    assert operator.post(f"{where}/suspend").status_code == 303
    assert "Suspended" in operator.get(where).text


def test_forwarding_is_set_kept_and_cleared_by_the_owner(office: Office, operator: Browser) -> None:
    sealed = office.sealer.seal_password(PASSWORD)
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM, sealed_hash=sealed)
        mailboxes.create(session, "ben@shop.test", actor=SYSTEM)
    owner = office.client().log_in("anna@shop.test")
    here = "/mailboxes/anna@shop.test"
    for targets, says in (
        ("nobody@shop.test", "nobody here answers for"),
        ("ben@", "is not"),
        ("anna@shop.test", "ring"),
    ):
        refused = owner.post(f"{here}/forwarding", {"targets": targets})
        assert refused.status_code in (409, 422), targets
        assert says in error_beside(refused.text, "targets").lower(), targets
        assert targets in refused.text
    owner.post(f"{here}/forwarding", {"targets": "ben@shop.test\r\n", "keep_copy": "yes"})
    page = owner.get(here)
    assert "Mail is sent on to ben@shop.test." in plain(page.text)
    with reading(office.engine) as session:
        forwarding = mailboxes.get(session, "anna@shop.test", actor=SYSTEM).forwarding
        assert forwarding is not None
        assert (list(forwarding.targets), forwarding.keep_copy) == (["ben@shop.test"], True)
    owner.post(f"{here}/forwarding", {"targets": " "})
    with reading(office.engine) as session:
        assert mailboxes.get(session, "anna@shop.test", actor=SYSTEM).forwarding is None


def test_the_owner_changes_the_password_knowing_the_present_one(office: Office, operator: Browser) -> None:
    sealed = office.sealer.seal_password(PASSWORD)
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM, sealed_hash=sealed)
    owner, elsewhere = office.client().log_in("anna@shop.test"), office.client().log_in("anna@shop.test")
    new = "a wholly new password"
    for fields, field in (
        ({"current": "wrong", "password": new, "again": new}, "current"),
        ({"current": PASSWORD, "password": new, "again": "other"}, "again"),
        ({"current": PASSWORD, "password": "short", "again": "short"}, "password"),
        ({"current": PASSWORD, "password": PASSWORD, "again": PASSWORD}, "password"),
    ):
        refused = owner.post("/account/password", fields)
        assert refused.status_code == 422
        assert error_beside(refused.text, field)
    assert owner.post("/mailboxes/anna@shop.test/password", {"password": new}).status_code == 403
    assert owner.post("/account/password", {"current": PASSWORD, "password": new, "again": new}).status_code == 303
    assert owner.get("/mailboxes/anna@shop.test").status_code == 200
    assert elsewhere.get("/mailboxes/anna@shop.test").headers["location"].startswith("/login")
    office.client().log_in("anna@shop.test", new)


def test_removing_a_mailbox_tells_who_still_sends_there(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
        aliases.create(session, "sales@shop.test", ["anna@shop.test"], actor=SYSTEM)
    page = operator.get("/mailboxes/anna@shop.test/remove")
    assert "sales@shop.test sends here" in plain(page.text)
    assert operator.post("/mailboxes/anna@shop.test/remove", {"confirm": "no"}).status_code == 422
    operator.post("/mailboxes/anna@shop.test/remove", {"confirm": "anna@shop.test"})
    after = plain(operator.get("/domains/shop.test").text)
    assert (
        "anna@shop.test is gone; under “Removed” it can be had back. Still sending mail there: sales@shop.test."
        in after
    )


# ---- aliases


def test_an_alias_is_made_changed_and_removed(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
        mailboxes.create(session, "ben@shop.test", actor=SYSTEM)
    operator.get("/domains/shop.test/aliases/new")
    refused = operator.post("/domains/shop.test/aliases", {"local_part": "sales", "targets": "x@shop.test"})
    assert refused.status_code == 422
    assert "Nobody here answers for" in error_beside(refused.text, "targets")
    operator.post("/domains/shop.test/aliases", {"local_part": "sales", "targets": "anna@shop.test, ben@shop.test"})
    assert "anna@shop.test, ben@shop.test" in operator.get("/domains/shop.test/aliases").text
    ring = operator.post("/aliases/sales@shop.test", {"targets": "sales@shop.test"})
    assert ring.status_code == 409
    assert "ring" in error_beside(ring.text, "targets")
    operator.post("/aliases/sales@shop.test", {"targets": "ben@shop.test"})
    assert "ben@shop.test" in operator.get("/aliases/sales@shop.test").text
    operator.post("/aliases/sales@shop.test/remove")
    assert operator.get("/aliases/sales@shop.test").status_code == 404


# ---- tenants, keys, audit


def test_a_tenant_gets_an_administrator_who_sees_only_its_own(office: Office, operator: Browser) -> None:
    operator.get("/tenants/new")
    where = operator.post("/tenants", {"name": "Northwind", "kind": "customer", "max_domains": "1"}).headers["location"]
    operator.get(where)
    shown = operator.post(f"{where}/administrators", {"account": "north"})
    password = re.search(r'class="secret">([^<]+)<', shown.text)
    assert password
    north = office.client()
    north.get("/login")
    north.post("/login", {"name": "north", "password": password[1]})
    north.get("/account/password")
    fields = {"current": password[1], "password": PASSWORD, "again": PASSWORD}
    assert north.post("/account/password", fields).headers["location"] == "/"
    assert "No domain yet" in north.get("/domains").text
    assert north.get("/domains/shop.test").status_code == 404
    assert north.get("/tenants").status_code == 403
    assert north.post("/domains", {"name": "north.test"}).status_code == 303
    limit = north.post("/domains", {"name": "north2.test"})
    assert limit.status_code == 409
    assert "limit of domains" in plain(limit.text)
    operator.post(f"{where}/suspend")
    assert north.get("/domains").headers["location"].startswith("/login")


def test_a_key_is_shown_once_and_opens_nothing_after_it_was_revoked(office: Office, operator: Browser) -> None:
    operator.get("/keys/new")
    shown = operator.post("/keys", {"name": "Billing"})
    secret = re.search(r"pk_[0-9a-f]{16}_[0-9a-f]{64}", shown.text)
    assert secret
    program = office.client().client
    program.headers["Authorization"] = f"Bearer {secret[0]}"
    assert program.get("/api/v1/me").status_code == 200
    page = operator.get("/keys")
    assert "Billing" in page.text
    assert secret[0] not in page.text
    operator.post(f"/keys/{secret[0].split('_')[1]}/revoke")
    assert program.get("/api/v1/me").status_code == 401


def test_the_audit_log_tells_each_deed_once(office: Office, operator: Browser) -> None:
    operator.get(f"{BOX}/new")
    operator.post(BOX, {"local_part": "anna"})
    operator.post(BOX, {"local_part": "anna"})
    text = plain(operator.get("/audit?search=anna@shop.test").text)
    assert text.count("mailbox created") == 1


def test_a_mailbox_owner_has_no_other_pages(office: Office) -> None:
    sealed = office.sealer.seal_password(PASSWORD)
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM, sealed_hash=sealed)
        mailboxes.create(session, "ben@shop.test", actor=SYSTEM)
    owner = office.client().log_in("anna@shop.test")
    for path, status in (
        ("/domains", 403), ("/audit", 403), ("/keys", 403), ("/tenants", 403), ("/tenants/1", 403),
        ("/domains/shop.test", 404), ("/mailboxes/ben@shop.test", 404), ("/mailboxes/anna@shop.test/remove", 403),
    ):  # fmt: skip
        assert owner.get(path).status_code == status, path
    owner.get("/mailboxes/anna@shop.test")
    for path in ("/mailboxes/ben@shop.test/forwarding", "/mailboxes/anna@shop.test/suspend", f"{BOX}", "/keys"):
        response = owner.post(path, {"targets": "anna@shop.test", "local_part": "eve"})
        assert response.status_code in (403, 404), path


# ---- the office itself


def test_the_theme_is_remembered_and_written_into_the_page(operator: Browser) -> None:
    operator.get("/domains")
    assert operator.post("/theme", {"theme": "dark", "back": "/audit"}).headers["location"] == "/audit"
    assert 'data-theme="dark"' in operator.get("/audit").text
    operator.post("/theme", {"theme": '"><script>', "back": "/audit"})
    assert 'data-theme="dark"' in operator.get("/audit").text


def test_a_page_while_the_database_is_away_says_so(office: Office, operator: Browser) -> None:
    office.lose_database()
    response = operator.get("/domains")
    assert response.status_code == 503
    assert "Not now" in response.text
    if office.engine.url.drivername == "sqlite":
        assert not Path(office.engine.url.database).exists(), "an empty one was made in its place"


def test_a_body_that_is_too_large_is_refused(operator: Browser) -> None:
    assert operator.post("/domains", {"name": "x" * (2 << 20)}).status_code == 413


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/static/../app.py"), ("GET", "/static/%2e%2e/app.py"), ("PUT", "/domains")]
)
def test_what_is_not_there_is_not_there(operator: Browser, method: str, path: str) -> None:
    assert operator.client.request(method, path).status_code in (404, 405)


def test_the_version_is_that_of_the_project() -> None:
    import tomllib

    from web import VERSION

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


@pytest.mark.parametrize(
    "path", ["/certificates", "/domains/new", f"{BOX}/new", "/domains/shop.test/protection", "/rules", "/routes"]
)
def test_the_attributes_of_a_form_stand_apart(operator: Browser, path: str) -> None:
    """Templates cut line ends off: two attributes that grew together would be one that no browser knows."""
    tags = re.findall(r"<(?:input|textarea|select|button|option)\b[^>]*>", operator.get(path).text)
    assert tags
    grown = [tag for tag in tags if re.search(r'"[a-z]|required[a-z]|checked[a-z]', re.sub(r'="[^"]*"', '="', tag))]
    assert grown == []


# ---- protection


def test_the_protection_of_a_domain_is_chosen_and_its_consequence_said(office: Office, operator: Browser) -> None:
    here = "/domains/shop.test/protection"
    assert "often somebody who never wrote it" not in plain(operator.get(here).text)
    response = operator.post(here, {"validation": "off", "greylist": "yes"})
    assert response.headers["location"] == here
    assert "often somebody who never wrote it" in plain(operator.get(here).text)
    with reading(office.engine) as session:
        domain = domains.get(session, "shop.test", actor=SYSTEM)
        assert (domain.validation, domain.greylist, domain.dnsbl, domain.batv) == ("off", True, False, False)
    assert "people here lose what comes back" in plain(operator.get(here).text)
    operator.post(here, {"validation": "rcpt", "batv": "yes"})
    operator.post("/domains/shop.test/language", {"language": "de"})
    with reading(office.engine) as session:
        domain = domains.get(session, "shop.test", actor=SYSTEM)
        assert (domain.batv, domain.language) == (True, "de")
    assert operator.post("/domains/shop.test/language", {"language": "xx"}).status_code == 422
    assert operator.post(here, {"validation": "sometimes"}).status_code == 422


def test_rules_are_added_and_removed_where_they_belong(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM, sealed_hash=office.sealer.seal_password(PASSWORD))
    owner = office.client().log_in("anna@shop.test")
    for browser, page, where in (
        (operator, "/domains/shop.test/protection", "/domains/shop.test/rules"),
        (operator, "/rules", "/rules"),
        (owner, "/mailboxes/anna@shop.test", "/mailboxes/anna@shop.test/rules"),
    ):
        browser.get(page)
        rule = {"verb": "deny", "pattern": "198.51.100.5/24", "note": "noise", "expires": "2090-01-31", "place": "top"}
        assert browser.post(where, rule).headers["location"] == page
        text = browser.get(page).text
        assert "198.51.100.0/24" in text
        assert "31 January 2090" in text
        refused = browser.post(where, {"verb": "deny", "pattern": "two words"})
        assert refused.status_code == 422
        assert "neither a network" in error_beside(refused.text, "pattern")
        assert "Write a day" in error_beside(browser.post(where, {**rule, "expires": "soon"}).text, "expires")
        found = re.search(rf'action="({re.escape(where)}/\d+/remove)"', text)
        assert found
        browser.post(found[1])
        assert "198.51.100.0/24" not in browser.get(page).text


def test_only_operators_see_the_hosts_rules(office: Office) -> None:
    office.account("carl", office.tenant("Customer"))
    customer = office.client().log_in("carl")
    assert customer.get("/rules").status_code == 404
    assert '"/rules"' not in customer.get("/domains").text


def test_a_relayed_domain_is_made_and_its_recipients_pasted(office: Office, operator: Browser) -> None:
    operator.get("/domains/new")
    refused = operator.post("/domains", {"name": "away.test", "next_hop": "no host", "source": "list"})
    assert error_beside(refused.text, "next_hop")
    operator.post("/domains", {"name": "away.test", "next_hop": "mail.away.test", "source": "list"})
    here = "/domains/away.test/protection"
    assert "mail.away.test:25" in operator.get(here).text
    bad = operator.post("/domains/away.test/recipients", {"mode": "add", "recipients": "anna\nx@other.test"})
    assert "Line 2" in error_beside(bad.text, "recipients")
    operator.post("/domains/away.test/recipients", {"mode": "add", "recipients": "anna\nben@away.test"})
    shown = plain(operator.get(here).text)
    assert "2 added, 0 removed: 2 recipients." in shown
    assert "Show them anna@away.test ben@away.test" in shown
    ldap = {
        "next_hop": "mail.away.test:2525",
        "source": "ldap",
        "url": "ldaps://x.test",
        "source_password": "hush hush",
    }
    assert error_beside(operator.post("/domains/away.test/relay", ldap).text, "base")
    assert operator.post("/domains/away.test/relay", {**ldap, "base": "dc=x"}).headers["location"] == here
    text = operator.get(here).text
    assert "dc=x" in text
    assert "hush" not in text
    operator.post("/domains/away.test/relay", {"next_hop": "mail.away.test", "source": ""})
    assert "Nobody here knows the recipients" in plain(operator.get(here).text)


def test_a_route_is_made_changed_and_removed_and_its_password_never_comes_back(operator: Browser) -> None:
    """One form by the route's key; what is refused says why beside the field."""
    operator.get("/routes")
    fields = {
        "key": "@shop.test",
        "next_hop": "smtp.route.test:587",
        "tls": "verify",
        "login": "us",
        "password": "hush hush",
    }
    assert error_beside(operator.post("/routes", {**fields, "tls": "may"}).text, "tls")
    refused = operator.post("/routes", {**fields, "source_address": "nowhere"}).text
    assert error_beside(refused, "source_address")
    assert "hush" not in refused
    assert operator.post("/routes", fields).headers["location"] == "/routes"
    text = operator.get("/routes").text
    assert "smtp.route.test:587" in text
    assert "a certificate that holds" in plain(text)
    assert "hush" not in text
    assert operator.post("/routes", {**fields, "password": "", "tls": "dane"}).headers["location"] == "/routes"
    assert operator.post("/routes/remove", {"key": "@shop.test"}).headers["location"] == "/routes"
    assert "smtp.route.test:587" not in operator.get("/routes").text


def test_a_certificate_is_installed_and_its_key_never_comes_back(office: Office, operator: Browser) -> None:
    offered = certificates.make_self_signed("mail.shop.test")
    operator.get("/certificates")
    fields = {"chain": offered.chain, "key": offered.key.decode()}
    assert operator.post("/certificates", fields).headers["location"] == "/certificates"
    text = operator.get("/certificates").text
    assert "mail.shop.test" in text
    bad = operator.post("/certificates", {**fields, "chain": "nonsense"})
    assert error_beside(bad.text, "chain")
    assert "PRIVATE KEY" not in bad.text.replace("-----BEGIN PRIVATE KEY-----", "", 1)  # which the empty field shows
    found = re.search(r'action="(/certificates/\d+/remove)"', text)
    assert found
    operator.post(found[1])
    assert "mail.shop.test" not in operator.get("/certificates").text.replace("The certificate is gone", "")


def test_whoever_forwards_sees_which_target_is_dead_until_he_chooses_anew(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
        made = forwardings.put(session, "anna@shop.test", ["Ann@away.test", "b@away.test"], actor=SYSTEM)
        alias = aliases.create(session, "sales@shop.test", ["Ann@away.test"], actor=SYSTEM)
        for row in (made.rows[0], alias.rows[0]):
            row.failed_at, row.failure = 1_800_000_000, "5.1.1 no <such> user"
    for here, there in (("/mailboxes/anna@shop.test", "/forwarding"), ("/aliases/sales@shop.test", "")):
        text = plain(operator.get(here).text)
        assert "Mail to Ann@away.test came back" in text
        assert "no &lt;such&gt; user" in text
        assert "Mail to b@away.test" not in text
        operator.post(here + there, {"targets": "Ann@away.test\nb@away.test", "keep_copy": "yes"})
        assert "came back" not in plain(operator.get(here).text)
