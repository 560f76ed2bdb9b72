"""What would become of mail for an address, told to whoever may see its domain."""

from collections.abc import Iterator

import pytest

from tests.fixtures.panel import HOST, Api, Office, make_office


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Api]]:
    """Two customers; what the one has leads into what the other has."""
    with make_office(tmp_path_factory.mktemp("shop")) as office:
        mine, theirs, operator = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd"), office.api()
        for body in (
            {"name": "theirs.test", "tenant_id": theirs},
            {"name": "mine.test", "tenant_id": mine},
            {"name": "other.test", "alias_of": "mine.test", "tenant_id": mine},
            {"name": "away.test", "tenant_id": mine, "next_hop": "mail.away.test"},
        ):
            assert operator("POST", "/domains", body).status_code == 201
        for name in ("anna@mine.test", "ben@mine.test", "held@mine.test", "box@theirs.test"):
            assert operator("POST", "/mailboxes", {"address": name}).status_code == 201
        operator("POST", "/aliases", {"address": "deep@theirs.test", "targets": ["box@theirs.test"]})
        operator("POST", "/aliases", {"address": "all@mine.test", "targets": ["anna@mine.test", "deep@theirs.test"]})
        operator("PUT", "/mailboxes/anna@mine.test/forwarding", {"targets": ["ben@mine.test"], "keep_copy": False})
        operator("POST", "/mailboxes/held@mine.test/suspend")
        yield office, office.api(mine)


@pytest.mark.parametrize(
    ("to", "accepted", "recipients"),
    [
        ("Ben@mine.test", True, ["ben@mine.test"]),
        ("anna@mine.test", True, ["ben@mine.test"]),
        ("anna+tag@other.test", True, ["ben@mine.test"]),
        ("all@mine.test", True, ["deep@theirs.test", "ben@mine.test"]),
        ("nobody@mine.test", False, []),
        ("held@mine.test", False, []),
        ("x@away.test", True, ["x@away.test"]),
        ("abuse@mine.test", True, [f"postmaster@{HOST}"]),
    ],
)
def test_it_says_whether_why_and_where(
    shop: tuple[Office, Api], to: str, accepted: bool, recipients: list[str]
) -> None:
    """What is somebody else's is not looked into."""
    told = shop[1]("GET", "/explain", params={"to": to}).json()
    assert (told["accepted"], told["recipients"]) == (accepted, recipients)
    assert told["steps"][0]["what"] == told["address"]
    assert "box@theirs.test" not in str(told)


def test_what_is_not_his_is_not_there(shop: tuple[Office, Api]) -> None:
    for to in ("box@theirs.test", "x@nowhere.test", "no address", f"postmaster@{HOST}"):
        response = shop[1]("GET", "/explain", params={"to": to})
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), to
