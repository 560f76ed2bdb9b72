"""New passwords for many mailboxes: set in one go, on a sheet that one browser can take, once; and kept nowhere to be read."""

import csv
import io
import re

import pytest
from sqlalchemy import select

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, Job, JobPart, JobResult, Mailbox
from appliance.services import appointments, domains, mailboxes, senders, tenants
from tests.fixtures.panel import SYSTEM, Browser, Office
from tests.web.test_bulk import draft, send
from tests.web.test_panel import plain
from web.worker import Worker

NAMES = [f"box{number}@shop.test" for number in range(4)]


@pytest.fixture
def operator(office: Office) -> Browser:
    sealed = office.sealer.seal_password("a former password")
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        for name in NAMES:
            mailboxes.create(session, name, actor=SYSTEM, sealed_hash=sealed)
    return office.client().log_in()


def sheet_of(browser: Browser, where: str) -> dict[str, str]:
    """Addresses and passwords, taken now."""
    browser.get(where)
    response = browser.post(f"{where}/passwords")
    assert response.status_code == 200, plain(response.text)
    assert response.headers["content-disposition"].startswith('attachment; filename="passwords-')
    assert response.headers["cache-control"] == "no-store"
    head, *lines = csv.reader(io.StringIO(response.text))
    assert head == ["address", "password"]
    return dict(lines)


def opens(office: Office, name: str, password: str) -> bool:
    """Is that his password?"""
    browser = office.client()
    browser.get("/login")
    return browser.post("/login", {"name": name, "password": password}).status_code == 303


def kept(office: Office) -> str:
    """Everything that stands in the database of jobs and of what was done."""
    with reading(office.engine) as session:
        rows = [
            row for model in (Job, JobPart, JobResult, AuditEntry, Mailbox) for row in session.scalars(select(model))
        ]
        return "\n".join(str({key: value for key, value in vars(row).items() if key[0] != "_"}) for row in rows)


@pytest.mark.must_show
def test_each_gets_one_of_its_own_that_stands_on_a_sheet_once(office: Office, operator: Browser) -> None:
    """The preview changes nothing and says that there is no way back; what is made opens the mailbox, and the former does not."""
    where = draft(operator, "password", *NAMES[:2], "gone@shop.test")
    page = plain(operator.get(where).text)
    assert "2 would be changed, 0 are so already, 1 would be refused" in page
    assert "This cannot be undone: nobody knows the former passwords." in page
    assert "It can be undone" not in page
    assert "Set 2 new passwords" in page
    assert opens(office, NAMES[0], "a former password")
    send(operator, f"{where}/start", {})
    page = plain(operator.get(where).text)
    assert "The sheet with the new passwords can be taken once." in page
    assert "Undo it" not in page
    before = kept(office)
    made = sheet_of(operator, where)
    assert list(made) == NAMES[:2]
    assert len(set(made.values())) == 2
    assert all(re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password) for password in made.values())
    assert not any(password in before + kept(office) for password in made.values())
    assert all(opens(office, name, password) for name, password in made.items())
    assert not opens(office, NAMES[0], "a former password")
    assert opens(office, NAMES[2], "a former password")
    operator.get(where)
    assert operator.post(f"{where}/passwords").status_code == 409
    assert "The sheet was taken on" in plain(operator.get(where).text)
    assert operator.post(f"{where}/undo").status_code == 409
    with reading(office.engine) as session:
        told = session.scalars(select(AuditEntry.action).where(AuditEntry.actor == "operator")).all()
        assert all(row.body is None for row in session.scalars(select(JobResult).where(JobResult.status < 400)))
    assert (told.count("mailbox.password_set"), told.count("job.sheet_taken")) == (2, 1)


@pytest.mark.must_show
def test_nobody_else_can_take_it(office: Office, operator: Browser) -> None:
    """Neither another browser of the same person nor another operator; nor is it found in what the API tells of the job."""
    where = draft(operator, "password", NAMES[0])
    send(operator, f"{where}/start", {})
    elsewhere = office.client().log_in()
    page = plain(elsewhere.get(where).text)
    assert "Only the browser in which this was begun can take the sheet" in page
    assert elsewhere.post(f"{where}/passwords").status_code == 409
    elsewhere.client.cookies.set(f"postern_sheet_{where[6:22]}", "0" * 64, domain="panel.test", path="/")
    assert elsewhere.post(f"{where}/passwords").status_code == 409
    elsewhere.client.cookies.set(f"postern_sheet_{where[6:22]}", "no key", domain="panel.test", path="/")
    assert elsewhere.post(f"{where}/passwords").status_code == 409
    office.account("second", 1)
    second = office.client().log_in("second")
    second.get(where)
    assert second.post(f"{where}/passwords").status_code == 403
    told = office.api()("GET", f"/jobs/{where[6:]}/results").text
    made = sheet_of(operator, where)
    assert made[NAMES[0]] not in told


@pytest.mark.must_show
def test_the_key_is_in_the_browser_before_anything_is_changed(office: Office, operator: Browser) -> None:
    """So a lost answer loses no password; and no browser without it can set passwords that nobody would ever read."""
    where = draft(operator, "password", NAMES[0])
    cookie = f"postern_sheet_{where[6:22]}"
    assert operator.client.cookies[cookie]
    elsewhere = office.client().log_in()
    elsewhere.get(where)
    assert elsewhere.post(f"{where}/start").status_code == 409
    assert opens(office, NAMES[0], "a former password")
    key = operator.client.cookies[cookie]
    send(operator, f"{where}/start", {})
    operator.client.cookies.delete(cookie)
    operator.client.cookies.set(cookie, key, domain="panel.test", path="/")  # as if the answer had not come
    assert opens(office, NAMES[0], sheet_of(operator, where)[NAMES[0]])


def test_sessions_end_and_app_passwords_stay(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        senders.add_app_password(session, NAMES[0], "phone", actor=SYSTEM, sealer=office.sealer)
    owner = office.client().log_in(NAMES[0], "a former password")
    send(operator, f"{draft(operator, 'password', NAMES[0])}/start", {})
    assert owner.get(f"/mailboxes/{NAMES[0]}").headers["location"].startswith("/login")
    with reading(office.engine) as session:
        assert [row.name for row in senders.app_passwords(session, NAMES[0], actor=SYSTEM)] == ["phone"]


def test_nobody_gets_at_those_above_him_nor_locks_himself_out(office: Office, operator: Browser) -> None:
    """Who holds more than a mailbox keeps his password, and one's own would be on a sheet that one could not take."""
    with unit_of_work(office.engine) as session:
        tenant = tenants.create(session, "Mine Ltd", actor=SYSTEM).id
        domains.create(session, "mine.test", actor=SYSTEM, tenant_id=tenant)
        sealed = office.sealer.seal_password("a former password")
        for name in ("boss", "admin", "joe"):
            mailboxes.create(session, f"{name}@mine.test", actor=SYSTEM, sealed_hash=sealed)
        appointments.appoint(session, "boss@mine.test", tenant_id=tenants.operator(session).id, actor=SYSTEM)
        appointments.appoint(session, "admin@mine.test", domain="mine.test", actor=SYSTEM)
    admin = office.client().log_in("admin@mine.test", "a former password")
    where = send(
        admin, "/bulk", {"noun": "mailbox", "domain": "mine.test", "verb": "password", "all": "yes", "search": ""}
    )
    page = plain(admin.get(where).text)
    assert "1 would be changed, 0 are so already, 2 would be refused" in page
    assert "your own password you change yourself" in page
    send(admin, f"{where}/start", {})
    assert list(sheet_of(admin, where)) == ["joe@mine.test"]
    assert opens(office, "boss@mine.test", "a former password")


def test_many_are_made_in_the_background(office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended early, those that were made are on the sheet; the public half of its key is forgotten with the job's end."""
    monkeypatch.setattr("web.panel.drafts.AT_ONCE", 1)
    monkeypatch.setattr("web.worker.PIECE_COST", 60)  # one at a time
    worker = Worker(office.app, office.app.state.wiring)
    where = draft(operator, "password", all="yes", search="")
    while worker.work():
        pass
    send(operator, f"{where}/start", {})
    worker.work()
    assert "Take the sheet" not in operator.get(where).text
    operator.get(where)
    assert operator.post(f"{where}/passwords").status_code == 404
    worker.work()
    send(operator, f"{where}/cancel", {})
    with reading(office.engine) as session:
        job = session.scalars(select(Job)).one()
        assert (job.state, job.done, job.request) == ("failed", 2, None)
    made = sheet_of(operator, where)
    assert list(made) == NAMES[:2]
    assert all(opens(office, name, password) for name, password in made.items())
    assert opens(office, NAMES[3], "a former password")


def test_so_many_stand_on_one_sheet_and_no_more(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.services.new_passwords.MOST", 3)
    operator.get("/import")
    fields = {"noun": "mailbox", "domain": "shop.test", "verb": "password", "all": "yes", "search": ""}
    response = operator.post("/bulk", fields)
    assert response.status_code == 422
    assert "New passwords are made for at most 3 at once." in plain(response.text)
