"""Autoreplies and conditions of forwardings over the API: entity tags, dry runs, refusals with their field."""

import pytest

from tests.fixtures.panel import Api, Office
from tests.web.test_api import expect_problem

ANN = "/mailboxes/anna@shop.test"
AWAY = {
    "text": "I am away.",
    "subject": "Away",
    "starts_at": "2026-12-24T00:00:00+01:00",
    "ends_at": "2027-01-07T00:00:00+01:00",
}


@pytest.fixture
def shop(office: Office) -> Api:
    """With a domain, and anna and ben in it."""
    api = office.api()
    api("POST", "/domains", {"name": "shop.test"})
    for name in ("anna", "ben"):
        api("POST", "/mailboxes", {"address": f"{name}@shop.test"})
    return api


def test_an_autoreply_is_put_read_changed_under_its_tag_and_deleted(shop: Api) -> None:
    """What was there is known by its tag; a second who saw something older is told."""
    here = f"{ANN}/autoreply"
    expect_problem(shop("GET", here), 404, "not_found")
    made = shop("PUT", here, AWAY)
    assert (made.status_code, made.json()) == (
        200,
        {
            "text": "I am away.", "subject": "Away", "starts_at": "2026-12-23T23:00:00Z", "ends_at": "2027-01-06T23:00:00Z",
            "enabled": True,
        },
    )  # fmt: skip
    tag = shop("GET", here).headers["ETag"]
    assert tag == made.headers["ETag"]
    assert shop("PUT", here, AWAY | {"text": "x"}, headers={"If-Match": tag}).status_code == 200
    expect_problem(shop("PUT", here, AWAY, headers={"If-Match": tag}), 412, "precondition_failed")
    assert shop("PUT", f"{here}?dry_run=true", AWAY | {"text": "dry"}).json()["text"] == "dry"
    assert shop("GET", here).json()["text"] == "x"
    for _ in range(2):
        assert shop("DELETE", here).status_code == 204
    expect_problem(shop("GET", here), 404, "not_found")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"text": " "}, "text"),
        ({"ends_at": "2026-12-23T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2026-12-24T00:00:00"}, "starts_at"),  # whose midnight?
        ({"starts_at": 5}, "starts_at"),
        ({"until": "x"}, "until"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(shop: Api, changed: dict[str, object], field: str) -> None:
    answer = shop("PUT", f"{ANN}/autoreply", AWAY | changed)
    assert answer.status_code == 422
    assert field in answer.text


def test_a_forwarding_has_conditions_and_none_takes_them_away(shop: Api) -> None:
    here, body = f"{ANN}/forwarding", {"targets": ["ben@shop.test"]}
    only = {"senders": [".Away.test"], "subjects": ["in voice"], "spam": False}
    made = shop("PUT", here, body | {"conditions": only}).json()
    assert made["conditions"] == {
        "senders": [".away.test"], "subjects": ["in voice"], "larger_than": None, "smaller_than": None, "spam": False,
    }  # fmt: skip
    assert shop("GET", here).json()["conditions"] == made["conditions"]
    assert shop("PUT", here, body | {"conditions": {}}).json()["conditions"] is None
    answer = shop("PUT", here, body | {"conditions": {"senders": ["nowhere"]}})
    assert (answer.status_code, "conditions.senders" in answer.text) == (422, True)
    expect_problem(shop("PUT", here, body | {"conditions": {"sender": ["a@b.test"]}}), 422, "invalid")


def test_a_document_brings_both_and_is_true_afterwards(shop: Api) -> None:
    """And what is exported is such a document; null takes the autoreply away, and to say nothing leaves it."""
    forwarding = {"targets": ["ben@shop.test"], "conditions": {"spam": True}}
    wanted = {"address": "anna@shop.test", "forwarding": forwarding, "autoreply": AWAY}
    first = shop("PUT", "/apply", {"mailboxes": [wanted]})
    assert [step["path"] for step in first.json()["plan"]] == [f"{ANN}/forwarding", f"{ANN}/autoreply"]
    assert shop("GET", f"{ANN}/forwarding").json()["conditions"]["spam"] is True
    assert shop("GET", f"{ANN}/autoreply").json()["starts_at"] == "2026-12-23T23:00:00Z"
    assert shop("PUT", "/apply", {"mailboxes": [wanted]}).json()["plan"] == []
    exported = shop("GET", "/export").json()
    assert shop("PUT", "/apply", exported).json()["plan"] == []
    (anna,) = [each for each in exported["mailboxes"] if each["address"] == "anna@shop.test"]
    assert (anna["autoreply"]["text"], anna["forwarding"]["conditions"]) == ("I am away.", {"spam": True})
    without = {"mailboxes": [{"address": "anna@shop.test", "autoreply": None}]}
    assert [step["method"] for step in shop("PUT", "/apply", without).json()["plan"]] == ["DELETE"]
    assert shop("PUT", "/apply", without).json()["plan"] == []


def test_the_page_shows_the_answer_as_it_would_be_sent_and_saves_nothing(office: Office, shop: Api) -> None:
    here = f"{ANN}/away"
    shop("PATCH", ANN, {"display_name": "Anna <3"})
    browser = office.client().log_in()
    browser.get(here)
    asked = {"text": "Gone  \r\n<b>fishing</b>\r\n\r\n", "subject": " Away  now ", "enabled": "yes", "preview": "yes"}
    page = browser.post(here, asked | {"starts": "2099-12-24", "ends": "2099-12-31"}).text
    for words in (
        "Anna &lt;3 &lt;anna@shop.test&gt;",
        "<dd>Away now</dd>",
        "from 24 December 2099 until the end of 31 Dec",
    ):
        assert words in page
    assert '<pre class="secret mt-3">Gone\n&lt;b&gt;fishing&lt;/b&gt;</pre>' in page
    assert "from now on, until it is turned off" in browser.post(here, asked).text
    assert "never: it is off" in browser.post(here, asked | {"enabled": ""}).text
    assert shop("GET", f"{ANN}/autoreply").status_code == 404
