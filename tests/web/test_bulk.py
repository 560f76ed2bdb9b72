"""Many at once, from the lists of the panel: chosen, looked at, done, and undone where nobody has changed it since."""

import re

import pytest
from sqlalchemy import select

from appliance.database.session import reading, unit_of_work
from appliance.models import Account, AuditEntry, Domain, Job, JobPart, Mailbox, Removal, Tenant
from appliance.services import accounts, aliases, bulk, domains, forwardings, jobs, mailboxes, plans, tenants
from appliance.services.actor import Actor
from tests.fixtures.panel import HOST, SYSTEM, Browser, Office
from tests.web.test_panel import plain
from web.worker import Worker

BOXES = 12


@pytest.fixture
def operator(office: Office) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        for number in range(BOXES):
            mailboxes.create(session, f"box{number}@shop.test", actor=SYSTEM, quota_bytes=1 << 20)
        aliases.create(session, "sales@shop.test", ["box0@shop.test"], actor=SYSTEM)
        forwardings.put(session, "box1@shop.test", ["box2@shop.test"], actor=SYSTEM)
    return office.client().log_in()


def send(browser: Browser, path: str, fields: dict[str, str], *names: str) -> str:
    """Where it leads to."""
    browser.get("/import")  # any page with a token
    response = browser.client.post(path, data={"csrf": browser.token, **fields, "name": list(names)})
    assert response.status_code == 303, plain(response.text)
    return str(response.headers["location"])


def draft(browser: Browser, verb: str, *names: str, noun: str = "mailbox", **fields: str) -> str:
    """The page of a draft."""
    return send(browser, "/bulk", {"noun": noun, "domain": "shop.test", "verb": verb, **fields}, *names)


def test_what_is_ticked_is_suspended_and_had_back(office: Office, operator: Browser) -> None:
    """The preview says which addresses stop being accepted, and changes nothing."""
    where = draft(operator, "suspend", "box0@shop.test", "box1@shop.test", "gone@shop.test", suspend_receive="yes")
    page = plain(operator.get(where).text)
    assert "2 would be changed, 0 are so already, 1 would be refused" in page
    assert "Mail stops being accepted for 2 addresses: box0@shop.test, box1@shop.test" in page
    assert "there is no mailbox gone@shop.test" in page
    assert held(office) == []
    send(operator, f"{where}/start", {})
    page = plain(operator.get(where).text)
    assert "100 % 3 of 3 1 refused" in page
    assert "It can be undone until" in page
    assert held(office) == ["box0", "box1"]
    back = send(operator, f"{where}/undo", {})
    assert "2 of 2" in plain(operator.get(back).text)
    assert held(office) == []
    assert "It was taken back" in plain(operator.get(where).text)
    operator.get(where)
    again = operator.post(f"{where}/undo")
    assert again.status_code == 409
    with reading(office.engine) as session:
        told = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id.desc()).limit(6)).all()
    assert told == [
        "mailbox.resumed",
        "mailbox.resumed",
        "job.created",
        "mailbox.suspended",
        "mailbox.suspended",
        "job.created",
    ]


def held(office: Office) -> list[str]:
    with reading(office.engine) as session:
        return list(session.scalars(select(Mailbox.folded).where(Mailbox.suspended).order_by(Mailbox.folded)))


def test_all_that_a_search_finds_is_changed(office: Office, operator: Browser) -> None:
    where = draft(operator, "quota", all="yes", search="box1", quota="2 GiB")
    assert "3 would be changed" in plain(operator.get(where).text)  # box1, box10, box11
    send(operator, f"{where}/start", {})
    assert quotas(office, 2 << 30) == ["box1", "box10", "box11"]


def quotas(office: Office, octets: int) -> list[str]:
    with reading(office.engine) as session:
        return list(
            session.scalars(select(Mailbox.folded).where(Mailbox.quota_bytes == octets).order_by(Mailbox.folded))
        )


def test_what_somebody_changed_since_stays_as_it_is(office: Office, operator: Browser) -> None:
    where = draft(operator, "quota", "box0@shop.test", "box1@shop.test", "box2@shop.test", quota="2 GiB")
    send(operator, f"{where}/start", {})
    with unit_of_work(office.engine) as session:
        mailboxes.update(session, "box0@shop.test", actor=SYSTEM, quota_bytes=5 << 30)
        mailboxes.update(session, "box1@shop.test", actor=SYSTEM, display_name="another thing")
    page = plain(operator.get(send(operator, f"{where}/undo", {})).text)
    assert "3 of 3 1 refused" in page
    assert "box0@shop.test has been changed since: it stays as it is" in page
    assert quotas(office, 5 << 30) == ["box0"]
    assert quotas(office, 2 << 30) == []


def test_an_address_that_is_another_mailbox_by_now_is_left_alone(office: Office, operator: Browser) -> None:
    where = draft(operator, "quota", "box0@shop.test", quota="2 GiB")
    send(operator, f"{where}/start", {})
    with unit_of_work(office.engine) as session:
        mailboxes.remove(session, "box0@shop.test", actor=SYSTEM)
        mailboxes.create(session, "box0@shop.test", actor=SYSTEM, quota_bytes=2 << 30, discard=True)
    assert "changed since" in plain(operator.get(send(operator, f"{where}/undo", {})).text)
    assert quotas(office, 2 << 30) == ["box0"]


def test_what_was_removed_comes_back(office: Office, operator: Browser) -> None:
    where = draft(operator, "remove", "box3@shop.test", "box4@shop.test")
    assert "The mail stored in them goes with them." in plain(operator.get(where).text)
    send(operator, f"{where}/start", {})
    assert "box3@shop.test" not in operator.get("/domains/shop.test/mailboxes").text
    send(operator, f"{where}/undo", {})
    assert "box3@shop.test" in operator.get("/domains/shop.test/mailboxes").text
    where = draft(operator, "remove", "sales@shop.test", noun="alias")
    send(operator, f"{where}/start", {})
    send(operator, f"{where}/undo", {})
    assert "sales@shop.test" in operator.get("/domains/shop.test/aliases").text


def test_aliases_forwards_and_domains_are_changed_and_had_back(office: Office, operator: Browser) -> None:
    for noun, name, verb, fields in (
        ("alias", "sales@shop.test", "expire", {"expires": "2090-01-01"}),
        ("forward", "box1@shop.test", "copy", {"copy": "no"}),
        ("forward", "box1@shop.test", "stop", {}),
        ("domain", "shop.test", "limit", {"max_mailboxes": "99", "max_storage_bytes": "50 GiB"}),
        ("domain", "shop.test", "suspend", {"suspend_receive": "yes"}),
    ):
        before = state(office, noun, verb, name)
        where = draft(operator, verb, name, noun=noun, **fields)
        assert "1 would be changed" in plain(operator.get(where).text), verb
        assert state(office, noun, verb, name) == before
        send(operator, f"{where}/start", {})
        assert state(office, noun, verb, name) != before
        send(operator, f"{where}/undo", {})
        assert state(office, noun, verb, name) == before


def state(office: Office, noun: str, verb: str, name: str) -> object:
    with reading(office.engine) as session:
        return bulk.state_of(session, bulk.Deed(noun, verb), name, actor=SYSTEM)


def test_many_domains_are_given_to_another_tenant_and_had_back(office: Office, operator: Browser) -> None:
    """The preview says whose they are and what does not come back; where there is no room, one is refused."""
    with unit_of_work(office.engine) as session:
        small = tenants.create(session, "Small Ltd", actor=SYSTEM, max_domains=1).id
        domains.create(session, "club.test", actor=SYSTEM, tenant_id=small)
        large = tenants.create(session, "Large Ltd", actor=SYSTEM).id
        accounts.create(session, "clerk", actor=SYSTEM, domain="club.test", sealed_hash="x")
    where = draft(operator, "tenant", "shop.test", "club.test", noun="domain", tenant=str(large))
    page = plain(operator.get(where).text)
    assert "2 would be changed" in page
    assert "Give them to the tenant Large Ltd" in page
    assert re.search(r"So far they belong to: .*Small Ltd \(1\)", page)
    assert "Accounts and appointments for these domains alone end" in page
    assert owners(office) == {"shop.test": 1, "club.test": small}
    send(operator, f"{where}/start", {})
    assert owners(office) == {"shop.test": large, "club.test": large}
    with reading(office.engine) as session:
        assert session.scalars(select(Account).where(Account.name == "clerk")).all() == []
    send(operator, f"{where}/undo", {})
    assert owners(office) == {"shop.test": 1, "club.test": small}
    where = draft(operator, "tenant", "shop.test", "club.test", noun="domain", tenant="Small Ltd")
    page = plain(operator.get(where).text)
    assert "0 would be changed, 1 are so already, 1 would be refused" in page


def owners(office: Office) -> dict[str, int]:
    with reading(office.engine) as session:
        return {row.name: row.tenant_id for row in session.scalars(select(Domain)) if row.name != HOST}


def test_nobody_gives_what_is_not_his_or_to_whom_is_not_his(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mine = tenants.create(session, "Mine Ltd", "reseller", actor=SYSTEM).id
        below = tenants.create(session, "Below", actor=SYSTEM, parent_id=mine).id
        domains.create(session, "mine.test", actor=SYSTEM, tenant_id=mine)
    office.account("mine", mine)
    reseller = office.client().log_in("mine")
    where = send(
        reseller, "/bulk", {"noun": "domain", "verb": "tenant", "tenant": str(below)}, "mine.test", "shop.test"
    )
    assert "1 would be changed, 0 are so already, 1 would be refused" in plain(reseller.get(where).text)
    reseller.get("/import")
    for tenant in ("1", "nobody", "", "9" * 30):
        response = reseller.post("/bulk", {"noun": "domain", "verb": "tenant", "tenant": tenant, "name": "mine.test"})
        assert response.status_code == 422, tenant
        assert 'value="mine.test"' in response.text


def test_many_customers_get_another_plan_and_the_former_one_back(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        small, large = (plans.create(session, name, actor=SYSTEM, max_domains=1).id for name in ("Small", "Large"))
        some = [tenants.create(session, f"Shop {n}", actor=SYSTEM, plan_id=small if n else None).id for n in range(3)]
    fields = {"noun": "tenant", "verb": "plan", "plan": str(large)}
    where = send(operator, "/bulk", fields, *map(str, some), "1", "999", "x")
    page = plain(operator.get(where).text)
    assert "3 would be changed, 0 are so already, 3 would be refused" in page
    assert "Set the plan: Large" in page
    assert re.search("It is about Shop 0 ?, Shop 1 ?, Shop 2", page)
    assert "So far they have: Small (2), no plan (1)." in page
    assert "What they have beyond the new plan's limits stays" in page
    assert plans_of(office, some) == [None, small, small]
    send(operator, f"{where}/start", {})
    assert plans_of(office, some) == [large] * 3
    with unit_of_work(office.engine) as session:
        tenants.update(session, some[2], actor=SYSTEM, plan_id=None)
    back = send(operator, f"{where}/undo", {})
    assert plans_of(office, some) == [None, small, None]
    assert "Shop 2 has been changed since: it stays as it is" in plain(operator.get(back).text)
    where = send(operator, "/bulk", {"noun": "tenant", "verb": "plan", "plan": "", "all": "yes", "search": "shop"})
    send(operator, f"{where}/start", {})
    assert plans_of(office, some) == [None] * 3


def plans_of(office: Office, numbers: list[int]) -> list[int | None]:
    with reading(office.engine) as session:
        return [session.get_one(Tenant, number).plan_id for number in numbers]


def test_a_reseller_plans_for_those_below_him_only(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mine = tenants.create(session, "Mine Ltd", "reseller", actor=SYSTEM).id
        below = tenants.create(session, "Below", actor=SYSTEM, parent_id=mine).id
        other = tenants.create(session, "Other", actor=SYSTEM).id
        own = plans.create(session, "Own", actor=SYSTEM, tenant_id=mine).id
        theirs = plans.create(session, "Theirs", actor=SYSTEM).id
    office.account("mine", mine)
    reseller = office.client().log_in("mine")
    where = send(
        reseller, "/bulk", {"noun": "tenant", "verb": "plan", "plan": str(own)}, *map(str, (mine, below, other))
    )
    assert "1 would be changed, 0 are so already, 2 would be refused" in plain(reseller.get(where).text)
    send(reseller, f"{where}/start", {})
    assert plans_of(office, [mine, below, other]) == [None, own, None]
    where = send(reseller, "/bulk", {"noun": "tenant", "verb": "plan", "plan": str(own), "all": "yes", "search": ""})
    assert "0 would be changed, 1 are so already, 0 would be refused" in plain(reseller.get(where).text)
    reseller.get("/import")
    assert (
        reseller.post("/bulk", {"noun": "tenant", "verb": "plan", "plan": str(theirs), "name": str(below)}).status_code
        == 404
    )


def test_what_is_so_already_is_not_touched(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        mailboxes.suspend(session, "box0@shop.test", actor=SYSTEM)
    fields = {"suspend_receive": "yes", "suspend_send": "yes", "suspend_log_in": "yes"}
    where = draft(operator, "suspend", "box0@shop.test", "box1@shop.test", **fields)
    assert "1 would be changed, 1 are so already" in plain(operator.get(where).text)
    send(operator, f"{where}/start", {})
    send(operator, f"{where}/undo", {})
    assert held(office) == ["box0"]


def test_nobody_undoes_what_somebody_above_him_said(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        tenant = tenants.create(session, "Mine Ltd", actor=SYSTEM).id
        domains.create(session, "mine.test", actor=SYSTEM, tenant_id=tenant)
        mailboxes.create(session, "a@mine.test", actor=SYSTEM)
        customer = Actor("customer", "c", tenant)
        done = bulk.do(session, bulk.Deed("mailbox", "suspend", ["send"]), "a@mine.test", actor=SYSTEM)
        with pytest.raises(Exception, match="suspended by someone above you"):
            bulk.undo(session, done, actor=customer)
        assert mailboxes.get(session, "a@mine.test", actor=SYSTEM).suspended_for == ["send"]


def test_each_target_is_judged_for_itself(office: Office, operator: Browser) -> None:
    """A customer names what is not his: to him it is not there, and the rest is done."""
    with unit_of_work(office.engine) as session:
        tenant = tenants.create(session, "Mine Ltd", actor=SYSTEM).id
        domains.create(session, "mine.test", actor=SYSTEM, tenant_id=tenant)
        mailboxes.create(session, "a@mine.test", actor=SYSTEM)
    office.account("mine", tenant)
    customer = office.client().log_in("mine")
    fields = {"noun": "mailbox", "domain": "mine.test", "verb": "suspend", "suspend_send": "yes"}
    where = send(customer, "/bulk", fields, "a@mine.test", "box0@shop.test")
    page = plain(customer.get(where).text)
    assert "1 would be changed, 0 are so already, 1 would be refused" in page
    assert "there is no mailbox box0@shop.test" in page
    assert operator.get(where).status_code == 200  # it lies in his part
    operator.get(where)
    assert operator.post(f"{where}/start").status_code == 403
    send(customer, f"{where}/start", {})
    with reading(office.engine) as session:
        assert mailboxes.get(session, "box0@shop.test", actor=SYSTEM).suspended_for == []
        assert mailboxes.get(session, "a@mine.test", actor=SYSTEM).suspended_for == ["send"]


def test_a_form_without_sense_comes_back_with_its_reason(office: Office, operator: Browser) -> None:
    operator.get("/import")
    fields = {"csrf": operator.token, "noun": "mailbox", "domain": "shop.test", "name": "box0@shop.test"}
    for more, words in (
        ({}, "Choose what shall be done."),
        ({"verb": "suspend"}, "Choose what stands still or goes on."),
        ({"verb": "quota", "quota": "much"}, "Write a size such as 500 MiB or 2 GiB."),
    ):
        response = operator.client.post("/bulk", data={**fields, **more})
        assert response.status_code == 422, more
        assert words in plain(response.text)
        assert 'value="box0@shop.test"' in response.text
    operator.get("/import")
    nothing = send(operator, "/bulk/choose", {"noun": "mailbox", "domain": "shop.test"})
    assert nothing == "/domains/shop.test/mailboxes"
    assert "Tick what shall be changed" in plain(operator.get(nothing).text)


def test_the_lists_have_boxes_to_tick_and_lead_to_the_choice(office: Office, operator: Browser) -> None:
    for path, name in (
        ("/domains", "shop.test"), ("/domains/shop.test/mailboxes", "box0@shop.test"),
        ("/domains/shop.test/aliases", "sales@shop.test"), ("/domains/shop.test/forwards", "box1@shop.test"),
    ):  # fmt: skip
        page = operator.get(path).text
        assert re.search(rf'<input[^>]*name="name" value="{name}" form="ticked"', page), path
    operator.get("/domains")
    chosen = operator.client.post(
        "/bulk/choose",
        data={
            "csrf": operator.token,
            "noun": "mailbox",
            "domain": "shop.test",
            "name": ["box0@shop.test", "box1@shop.test"],
        },
    )
    assert "It is about 2 : box0@shop.test, box1@shop.test" in plain(chosen.text)


def test_tenants_are_ticked_by_their_numbers_or_all_below_the_one_that_is_looked_at(
    office: Office, operator: Browser
) -> None:
    with unit_of_work(office.engine) as session:
        mine = tenants.create(session, "Mine Ltd", "reseller", actor=SYSTEM).id
        below = [tenants.create(session, f"Below {number}", actor=SYSTEM, parent_id=mine).id for number in range(2)]
        tenants.create(session, "Beside", actor=SYSTEM)
        plan = plans.create(session, "Large", actor=SYSTEM).id
    page = operator.get("/tenants").text
    ticked = re.findall(r'name="name" value="(\d+)" form="ticked" aria-label="Tick ([^"]+)"', page)
    assert (str(mine), "Mine Ltd") in ticked
    assert "1" not in dict(ticked), "nobody chooses a plan for himself"
    chosen = operator.post("/bulk/choose", {"noun": "tenant", "name": str(mine)})
    assert "It is about 1 : Mine Ltd" in plain(chosen.text)
    assert ">Large</option>" in chosen.text
    page = operator.get(f"/tenants?under={mine}").text
    assert f'name="domain" value="{mine}"' in page
    fields = {"noun": "tenant", "domain": str(mine), "verb": "plan", "plan": str(plan), "all": "yes", "search": ""}
    send(operator, f"{send(operator, '/bulk', fields)}/start", {})
    assert plans_of(office, [mine, *below]) == [None, plan, plan]
    nothing = send(operator, "/bulk/choose", {"noun": "tenant", "domain": str(mine)})
    assert nothing == f"/tenants?under={mine}"


def test_a_large_change_is_looked_at_and_done_in_the_background(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on where a process that died left it; the mark in the bar says that something goes on."""
    monkeypatch.setattr("web.panel.drafts.AT_ONCE", 1)
    monkeypatch.setattr("web.worker.PIECE_COST", 16)  # two at a time
    worker = Worker(office.app, office.app.state.wiring)
    where = draft(operator, "suspend", all="yes", search="", suspend_receive="yes")
    page = operator.get(where).text
    assert "Is looked at" in plain(page)
    assert 'hx-get="' in page
    assert re.search(r'Jobs <span class="chip chip-accent">1<', operator.get("/domains").text)
    while worker.work():
        pass
    assert held(office) == []
    assert f"{BOXES} would be changed" in plain(operator.get(where).text)
    send(operator, f"{where}/start", {})
    worker.work()
    assert held(office) == ["box0", "box1"]
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "note", _die)
        with pytest.raises(KeyboardInterrupt):
            worker.work()
    assert held(office) == ["box0", "box1"], "a piece was half done"
    fragment = operator.get(where, headers={"HX-Request": "true"})
    assert "2 of 12" in plain(fragment.text)
    assert "hx-refresh" not in fragment.headers
    while Worker(office.app, office.app.state.wiring).work():
        pass
    assert len(held(office)) == BOXES
    assert operator.get(where, headers={"HX-Request": "true"}).headers["hx-refresh"] == "true"
    back = send(operator, f"{where}/undo", {})
    worker.work()
    send(operator, f"{back}/cancel", {})
    assert "Ended early" in plain(operator.get(back).text)
    assert len(held(office)) == BOXES - 2


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_large_domain_goes_and_comes_back_in_the_background(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.panel.domains.REMOVED_AT_ONCE", BOXES - 1)
    monkeypatch.setattr("web.panel.removals.REMOVED_AT_ONCE", BOXES - 1)
    worker = Worker(office.app, office.app.state.wiring)
    where = send(operator, "/domains/shop.test/remove", {"confirm": "shop.test"})
    assert where.startswith("/jobs/")
    assert operator.get("/domains/shop.test").status_code == 200
    assert worker.work()
    assert "1 of 1" in plain(operator.get(where).text)
    assert operator.get("/domains/shop.test").status_code == 404
    with reading(office.engine) as session:
        number = session.scalars(select(Removal.id)).one()
    back = send(operator, f"/removals/{number}/undo", {})
    assert worker.work()
    assert "1 of 1" in plain(operator.get(back).text)
    assert "box0@shop.test" in operator.get("/domains/shop.test/mailboxes").text


def test_a_draft_goes_without_a_trace(office: Office, operator: Browser) -> None:
    where = draft(operator, "remove", "box0@shop.test")
    send(operator, f"{where}/cancel", {})
    assert operator.get(where).status_code == 404
    with reading(office.engine) as session:
        assert session.scalars(select(JobPart)).all() == []
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "job.created")).all() == []


def test_who_asked_and_may_no_more_does_nothing_more(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job acts with the rights that its asker has when a piece of it is done."""
    monkeypatch.setattr("web.panel.drafts.AT_ONCE", 1)
    with unit_of_work(office.engine) as session:
        tenant = tenants.create(session, "Mine Ltd", actor=SYSTEM).id
        domains.create(session, "mine.test", actor=SYSTEM, tenant_id=tenant)
        mailboxes.create(session, "a@mine.test", actor=SYSTEM)
    office.account("mine", tenant)
    customer = office.client().log_in("mine")
    worker = Worker(office.app, office.app.state.wiring)
    fields = {"noun": "mailbox", "domain": "mine.test", "verb": "quota", "quota": "1 GiB"}
    where = send(customer, "/bulk", fields, "a@mine.test")
    while worker.work():
        pass
    send(customer, f"{where}/start", {})
    with unit_of_work(office.engine) as session:
        tenants.suspend(session, tenant, actor=SYSTEM)
    while worker.work():
        pass
    with reading(office.engine) as session:
        job = session.scalars(select(Job)).one()
        assert (job.state, job.done) == ("failed", 0)
        assert mailboxes.get(session, "a@mine.test", actor=SYSTEM).quota_bytes == 0


def test_the_undo_ends_with_the_days_of_removals(office: Office, operator: Browser) -> None:
    where = draft(operator, "quota", "box0@shop.test", quota="2 GiB")
    send(operator, f"{where}/start", {})
    days = office.app.state.wiring.settings.limits.trash_days
    with unit_of_work(office.engine) as session:
        job = session.scalars(select(Job)).one()
        assert job.undo_until is not None
        assert abs(job.undo_until - job.created_at - days * 24 * 3600) < 60
        job.undo_until -= days * 24 * 3600 + 60
    assert "Undo it" not in operator.get(where).text
    assert operator.post(f"{where}/undo").status_code == 409
