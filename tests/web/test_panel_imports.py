"""A sheet that is sent as a file: each line judged, nothing done before a word, then done piece by piece."""

import codecs
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from appliance.database.session import Session, reading, unit_of_work
from appliance.errors import Conflict
from appliance.models import Domain, Job, JobPart, JobResult, Mailbox
from appliance.services import domains, jobs, mailboxes, tenants
from tests.fixtures.panel import PASSWORD, SYSTEM, Browser, Office
from tests.web.test_panel import error_beside, plain
from web.panel import imports
from web.worker import Worker

HASH = PasswordHasher(time_cost=1, memory_cost=8192).hash("hashed elsewhere")


@pytest.fixture
def operator(office: Office) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
    return office.client().log_in()


@pytest.fixture
def worker(office: Office) -> Worker:
    return Worker(office.app, office.app.state.wiring)


def upload(browser: Browser, content: bytes, **more: str) -> Any:
    browser.get("/import")
    files = {"file": ("people.csv", content, "text/csv")}
    return browser.client.post("/import", data={"csrf": browser.token, "csv": "", **more}, files=files)


def draft(browser: Browser, content: bytes) -> str:
    response = upload(browser, content)
    assert response.status_code == 303, plain(response.text)
    return str(response.headers["location"])


def press(browser: Browser, path: str) -> None:
    browser.get("/import")
    assert browser.post(path).status_code == 303


def all_of(worker: Worker) -> None:
    while worker.work():
        pass


def refused(browser: Browser, where: str) -> list[str]:
    """The sheet of what was, or would be, refused."""
    return str(browser.get(f"{where}/refused").text).splitlines()


def test_each_line_is_told_of_and_the_good_ones_are_taken_in(office: Office, operator: Browser) -> None:
    """Octets that are no UTF-8, quotes that do not match, too many cells, an address twice, one that is taken, a stranger's."""
    content = (
        b"kind;address;display_name;targets\r\n"
        b"alias;team@shop.test;;nina@shop.test\r\n"
        b"mailbox;nina@shop.test;N\xc3\xadna;\r\n"
        b"mailbox;olaf@shop.test;caf\xe9;\r\n"
        b'mailbox;paul@shop.test;"Pa"ul;\r\n'
        b"mailbox;NINA@shop.test;;\r\n"
        b"mailbox;anna@shop.test;;\r\n"
        b"mailbox;x@elsewhere.test;;\r\n"
        b"mailbox;y@shop.test;;;;\r\n"
        b"forward;nina@shop.test;;anna@shop.test\r\n"
        b"domain;more.test;;\r\n"
        b"mailbox;first@more.test;=1+1;\r\n"
    )
    where = draft(operator, codecs.BOM_UTF8 + content)
    page = plain(operator.get(where).text)
    assert "5 lines would be taken in, 6 would be refused" in page
    assert "Mail starts being accepted for 3 addresses" in page
    assert "people.csv" in page
    lines = refused(operator, where)
    assert sorted(lines[1:], key=lambda line: int(line.partition(",")[0])) == [
        "4,olaf@shop.test,bad_line,this is no UTF-8 text",
        """5,,bad_line,"'';' expected after '""'\"""",
        "6,NINA@shop.test,bad_line,line 3 has this address already",
        "7,anna@shop.test,address_taken,anna@shop.test is already a mailbox",
        "8,x@elsewhere.test,not_found,there is no domain elsewhere.test",
        "9,y@shop.test,bad_line,6 cells instead of 4",
    ]
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Domain).where(Domain.name == "more.test")) == 0
    press(operator, f"{where}/start")
    assert "11 of 11 6 refused" in plain(operator.get(where).text)
    assert len(refused(operator, where)) == 7
    with reading(office.engine) as session:
        nina = mailboxes.get(session, "nina@shop.test", actor=SYSTEM)
        assert (nina.display_name, list(nina.forwarding.targets)) == ("Nína", ["anna@shop.test"])
        assert mailboxes.get(session, "first@more.test", actor=SYSTEM).display_name == "=1+1"
    assert 'action="/import"' in operator.get("/import").text


def test_no_cell_of_what_was_refused_is_a_formula(operator: Browser) -> None:
    where = draft(operator, b"kind,address\nmailbox,=HYPERLINK(1)@elsewhere.test\n")
    assert "'=HYPERLINK(1)@elsewhere.test" in refused(operator, where)[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"kind,colour\nmailbox,red\n", "'colour' is none"),
        (b"kind,address\n", "There is nothing in it."),
        ("kind,address\n".encode("utf-16"), "This is no CSV file in UTF-8"),
        (b"PK\x03\x04something zipped", "This is no CSV file in UTF-8"),
        (b"kind,address\n" + b"mailbox,a@b.test\n" * 12, "A sheet has at most 10 lines."),
    ],
)
def test_what_is_no_sheet_comes_back_to_its_field(
    office: Office, operator: Browser, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    monkeypatch.setattr(imports, "MAX_LINES", 10)
    response = upload(operator, content)
    assert response.status_code == 422
    assert words in error_beside(response.text, "file")
    operator.get("/import")
    assert "Choose a file, or paste the sheet below." in error_beside(operator.post("/import").text, "file")
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_a_pasted_sheet_that_makes_no_sense_keeps_what_was_typed(operator: Browser) -> None:
    operator.get("/import")
    response = operator.post("/import", {"csv": "kind,colour\nmailbox,red"})
    assert "'colour' is none" in error_beside(response.text, "csv")
    assert "mailbox,red" in response.text


def test_a_broken_upload_and_one_that_is_too_large_are_refused(operator: Browser) -> None:
    operator.get("/import")
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert operator.client.post("/import", content=b"--y\r\nnonsense", headers=headers).status_code in (400, 403, 422)
    too_large = operator.client.post("/import", content=b"x" * 8, headers={**headers, "content-length": str(64 << 20)})
    assert too_large.status_code == 413
    response = operator.client.post(
        "/import", data={"csrf": operator.token, "csv": "x" * (2 << 20)}, files={"file": ("a.csv", b"", "text/csv")}
    )
    assert response.status_code == 422


def test_an_upload_needs_the_token_of_our_own_page(office: Office, operator: Browser) -> None:
    files = {"file": ("people.csv", b"kind,address\nmailbox,nina@shop.test\n", "text/csv")}
    assert operator.client.post("/import", data={"csrf": "0" * 40}, files=files).status_code == 403
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    operator.get("/import")
    forged = operator.client.post("/import", data={"csrf": operator.token}, files=files, headers=elsewhere)
    assert forged.status_code == 403
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0


def test_a_hash_waits_sealed_and_a_wrong_one_is_the_fault_of_its_line(office: Office, operator: Browser) -> None:
    content = f'kind,address,password_hash\nmailbox,nina@shop.test,"{HASH}"\nmailbox,olaf@shop.test,nonsense\n'
    where = draft(operator, content.encode())
    with reading(office.engine) as session:
        waiting = str([part.operations for part in session.scalars(select(JobPart))])
    assert "nina@shop.test" in waiting
    assert HASH not in waiting
    press(operator, f"{where}/start")
    assert office.authenticator.verify_password("mailbox", "nina@shop.test", "hashed elsewhere")
    with reading(office.engine) as session:
        assert session.scalars(select(JobPart)).all() == []
        assert session.scalar(select(func.count()).select_from(Mailbox).where(Mailbox.folded == "olaf")) == 0


def test_a_large_sheet_is_looked_at_and_taken_in_behind_the_scenes(
    office: Office, operator: Browser, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias to a mailbox that an earlier piece would make is no fault; one to nobody is. A death in between loses nothing."""
    monkeypatch.setattr("web.worker.PIECE_COST", 100)
    boxes = 950
    rows = [f"mailbox,user{number}@shop.test," for number in range(boxes)]
    rows += ["alias,all@shop.test,user0@shop.test user949@shop.test", "alias,lost@shop.test,nobody@shop.test"]
    where = draft(operator, ("kind,address,targets\n" + "\n".join(rows) + "\n").encode())
    page = operator.get(where).text
    assert "Is looked at" in plain(page)
    assert "End it early" in page
    assert re.search(r'id="how-far" hx-get="/jobs/[0-9a-f]{16}" hx-trigger="load delay:1s"', page)
    assert operator.post(f"{where}/start").status_code == 409
    all_of(worker)
    page = plain(operator.get(where).text)
    assert "951 lines would be taken in, 1 would be refused" in page
    assert "was found out for the first ones only" in page
    assert "nobody here answers for nobody@shop.test" in page
    press(operator, f"{where}/start")
    for _ in range(3):
        worker.work()
    assert f"31 % 300 of {boxes + 2}" in plain(operator.get(where).text)
    all_of(Worker(office.app, office.app.state.wiring))
    assert f"100 % {boxes + 2} of {boxes + 2} 1 refused" in plain(operator.get(where).text)
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Mailbox).where(Mailbox.folded.like("user%"))) == boxes
        assert session.scalar(select(func.count()).select_from(JobResult)) == 1, "of what was taken in nothing is kept"


def test_a_long_sheet_is_read_on_while_nobody_waits(
    office: Office, operator: Browser, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its page says so meanwhile; what is wrong with all of it is told there, and what a dead process left is given up."""
    monkeypatch.setattr("web.panel.drafts.CHUNK", 300)
    monkeypatch.setattr(imports, "MAX_LINES", 900)
    rows = [f"mailbox,user{number}@shop.test" for number in range(901)]
    where = draft(operator, ("kind,address\n" + "\n".join(rows[:800]) + "\n").encode())
    until(office, where, "looking")
    all_of(worker)
    assert "800 lines would be taken in" in plain(operator.get(where).text)
    assert upload(operator, ("kind,address\n" + "\n".join(rows) + "\n").encode()).status_code == 422
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "add", _refuse_once_made(jobs.add))
        where = draft(operator, ("kind,address\n" + "\n".join(rows[:800]) + "\n").encode())
        until(office, where, "failed")
    assert "No more of it." in plain(operator.get(where).text)
    with unit_of_work(office.engine) as session:
        job = session.scalars(select(Job).order_by(Job.id)).first()
        assert job is not None
        job.state, left = "reading", f"/jobs/{job.public_id}"
        assert not worker.work()
    assert "Is looked at" in plain(operator.get(left).text)
    with unit_of_work(office.engine) as session:
        session.scalars(select(Job).where(Job.state == "reading")).one().created_at -= 3600
    assert not worker.work()
    assert "it was not read to its end" in plain(operator.get(left).text)


def _refuse_once_made(add: Callable[..., None]) -> Callable[..., None]:
    def refuse(session: Session, job: Job, wanted: Iterable[dict[str, object]]) -> None:
        if job.total:
            raise Conflict("No more of it.")
        add(session, job, wanted)

    return refuse


def until(office: Office, where: str, state: str) -> None:
    """The job's *state* is this one."""
    end = time.monotonic() + 30
    while True:
        with reading(office.engine) as session:
            job = session.scalars(select(Job).where(Job.public_id == where.rpartition("/")[2])).one()
        if job.state == state:
            return
        assert time.monotonic() < end, job.state
        time.sleep(0.02)


def test_a_sheet_that_is_ended_early_leaves_whole_lines(
    operator: Browser, office: Office, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.worker.PIECE_COST", 10)
    rows = "\n".join(f"mailbox,user{number}@shop.test" for number in range(900))
    where = draft(operator, f"kind,address\n{rows}\n".encode())
    with monkeypatch.context() as patch:
        patch.setattr("web.worker.PIECE_COST", 400)
        all_of(worker)
    press(operator, f"{where}/start")
    worker.work()
    press(operator, f"{where}/cancel")
    all_of(worker)
    assert "10 of 900" in plain(operator.get(where).text)
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Mailbox).where(Mailbox.folded.like("user%"))) == 10


def test_everything_is_given_out_in_the_background(
    office: Office, operator: Browser, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a sheet that can be taken in, and as the document that the API takes; only one's own."""
    monkeypatch.setattr("web.labour.MAX_DOMAINS", 1)
    with unit_of_work(office.engine) as session:
        tenant = tenants.create(session, "Mine Ltd", actor=SYSTEM).id
        for name in ("mine.test", "more.test", "gone.test"):
            domains.create(session, name, actor=SYSTEM, tenant_id=tenant)
            mailboxes.create(session, f"a@{name}", actor=SYSTEM, display_name="=1+1")
    office.account("mine", tenant)
    customer = office.client().log_in("mine")
    customer.get("/import")
    where = customer.post("/export").headers["location"]
    assert customer.get(f"{where}/sheet").status_code == 404  # It is not over.
    worker.work()
    with unit_of_work(office.engine) as session:
        domains.remove(session, "more.test", actor=SYSTEM)
    all_of(worker)
    page = plain(customer.get(where).text)
    assert "3 of 3 1 refused" in page
    assert "Take it as a sheet" in page
    sheet = customer.get(f"{where}/sheet").text
    assert [line.split(",")[1] for line in sheet.splitlines()[1:]] == ["a@gone.test", "a@mine.test"]
    assert "'=1+1" in sheet
    told = customer.get(f"{where}/document").json()
    assert [one["name"] for one in told["domains"]] == ["gone.test", "mine.test"]
    assert [one["address"] for one in told["mailboxes"]] == ["a@gone.test", "a@mine.test"]
    assert told["aliases"] == []
    office.account("else", office.tenant("Else Ltd"))
    stranger = office.client().log_in("else")
    assert {stranger.get(f"{where}{what}").status_code for what in ("", "/sheet", "/document", "/refused")} == {404}
    stranger.get("/import")
    assert "There is no domain yet." in plain(stranger.post("/export").text)


def test_a_customer_takes_in_what_is_his_within_his_limits(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        tenant = tenants.create(session, "Mine Ltd", actor=SYSTEM, max_mailboxes=2).id
        domains.create(session, "mine.test", actor=SYSTEM, tenant_id=tenant)
    office.account("mine", tenant)
    office.account("clerk", tenant, domain="mine.test")
    for name, whose in (("mine", "a"), ("clerk", "b")):
        person = office.client().log_in(name, PASSWORD)
        rows = [f"mailbox,{whose}{number}@mine.test" for number in range(2)] + [f"mailbox,{whose}@shop.test"]
        where = draft(person, ("kind,address\n" + "\n".join(rows) + "\n").encode())
        press(person, f"{where}/start")
        told = refused(person, where)
        assert any("there is no domain shop.test" in line for line in told)
        assert ("your limit of mailboxes is reached" in str(told)) == (name == "clerk")
        assert where in person.get("/jobs").text
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(Mailbox).where(Mailbox.folded.in_(["a0", "a1"]))) == 2
