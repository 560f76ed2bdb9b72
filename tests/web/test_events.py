"""The feed of events: ordered, and the same whenever it is read."""

import pytest

from tests.fixtures.panel import Api, Office


@pytest.fixture
def api(office: Office) -> Api:
    return office.api()


def all_of(api: Api, after: int = 0, **query: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while True:
        piece = api("GET", "/events", params={"after": after, **query}).json()
        found += piece["items"]
        after = piece["last"]
        if piece["next"] is None:
            return found
        assert int(piece["next"]) == after


def test_what_happens_is_told_in_order_and_from_any_place(api: Api) -> None:
    start = api("GET", "/events", params={"limit": 500}).json()["last"]
    api("POST", "/domains", {"name": "shop.test"})
    for name in ("anna", "ben"):
        api("POST", "/mailboxes", {"address": f"{name}@shop.test", "quota_bytes": 7})
    api("DELETE", "/mailboxes/anna@shop.test")
    told = all_of(api, start, limit=1)
    assert [(event["type"], event["subject"]) for event in told] == [
        ("domain.created", "shop.test"), ("mailbox.created", "anna@shop.test"), ("mailbox.created", "ben@shop.test"),
        ("mailbox.removed", "anna@shop.test"),
    ]  # fmt: skip
    assert [event["id"] for event in told] == sorted({event["id"] for event in told})
    assert told[1]["after"]["quota_bytes"] == 7
    assert all_of(api, told[1]["id"]) == told[2:]
    assert all_of(api, start) == told
    assert all_of(api, told[-1]["id"]) == []


def test_types_are_chosen_by_name_or_noun(api: Api) -> None:
    api("POST", "/domains", {"name": "shop.test"})
    api("POST", "/mailboxes", {"address": "anna@shop.test"})
    assert {event["type"] for event in all_of(api, types="mailbox.,domain.suspended")} == {"mailbox.created"}


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", f"after={1 << 53}", "types=x", "types=mailbox.%27", "limit=0", "wait=1"]
)
def test_a_bad_question_is_refused(api: Api, query: str) -> None:
    assert api("GET", f"/events?{query}").status_code == 422


def test_everybody_hears_of_his_own_part(office: Office, api: Api) -> None:
    mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
    for name, tenant in (("mine", mine), ("theirs", theirs)):
        api("POST", "/domains", {"name": f"{name}.test", "tenant_id": tenant})
    told = all_of(office.api(mine))
    assert "mine.test" in {event["subject"] for event in told}
    assert "heirs" not in str(told)
