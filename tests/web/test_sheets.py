"""Sheets through the API: previewed, taken in, given out; a large one in the background."""

import pytest

from tests.fixtures.panel import Api, Office
from web.worker import Worker

HEAD = "kind,address,display_name,targets\r\n"


@pytest.fixture
def shop(office: Office) -> Api:
    tenant, operator = office.tenant("Shop Ltd"), office.api()
    assert operator("POST", "/domains", {"name": "shop.test", "tenant_id": tenant}).status_code == 201
    return office.api(tenant)


def test_a_sheet_is_previewed_then_taken_in_then_given_out(shop: Api) -> None:
    """The preview tells of each line what becomes of it, and does nothing."""
    text = HEAD + "alias,all@shop.test,,anna@shop.test\r\nmailbox,anna@shop.test,=1+1,\r\nmailbox,x@else.test,,\r\n"
    preview = shop("POST", "/import?dry_run=true", {"csv": text})
    assert preview.status_code == 200, preview.text
    assert [(line["line"], line["status"], line["code"]) for line in preview.json()["lines"]] == [
        (2, 201, None), (3, 201, None), (4, 404, "not_found"),
    ]  # fmt: skip
    assert preview.json()["dry_run"]["starts"] == ["all@shop.test", "anna@shop.test"]
    assert preview.json()["committed"] is False
    assert shop("GET", "/mailboxes").json()["items"] == []

    whole = shop("POST", "/import", {"csv": text, "atomic": True})
    assert (whole.status_code, whole.json()["code"]) == (409, "import_refused")
    assert [line["status"] for line in whole.json()["lines"]] == [424, 424, 404]
    assert shop("GET", "/mailboxes").json()["items"] == []

    done = shop("POST", "/import", {"csv": text}).json()
    assert (done["committed"], done["done"], done["refused"]) == (True, 2, 1)
    sheet = shop("GET", "/export?format=csv")
    assert sheet.headers["content-type"].startswith("text/csv")
    assert "mailbox,anna@shop.test,'=1+1," in sheet.text
    assert shop("POST", "/import?dry_run=true", {"csv": sheet.text}).json()["refused"] == 2  # all of it is there


def test_a_sheet_that_makes_no_sense_names_its_lines(shop: Api) -> None:
    refused = shop("POST", "/import", {"csv": HEAD + "mailbox,a@shop.test\r\nfolder,b@shop.test,,\r\n"})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_sheet")
    assert "line 2: 2 cells instead of 4; line 3: kind is one of" in refused.json()["detail"]


def test_a_thousand_lines_are_a_job(office: Office, shop: Api) -> None:
    text = HEAD + "".join(f"mailbox,m{number}@shop.test,,\r\n" for number in range(1000))
    asked = shop("POST", "/import", {"csv": text})
    assert asked.status_code == 202, asked.text
    worker = Worker(office.app, office.app.state.wiring)
    while worker.work():
        pass
    job = shop("GET", f"/jobs/{asked.json()['id']}").json()
    assert (job["kind"], job["state"], job["done"], job["failed"]) == ("import", "done", 1000, 0)
