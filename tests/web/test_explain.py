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


def explained(api: Api, to: str, **more: str) -> dict[str, object]:
    answer = api("GET", "/explain", params={"to": to, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def last(told: dict[str, object]) -> tuple[str, str]:
    """The last thing that the client says, and what it hears."""
    exchange = told["dialog"][-1]
    return exchange["command"], exchange["replies"][-1]


@pytest.mark.parametrize(
    ("to", "word", "command", "answer"),
    [
        ("ben@mine.test", "accept", "content", "(the enqueuer has it"),
        ("anna+tag@other.test", "accept", "content", "(the enqueuer has it"),
        ("all@mine.test", "accept", "content", "(the enqueuer has it"),
        ("nobody@mine.test", "unknown", "RCPT TO:<nobody@mine.test>", "550 5.1.1"),
        ("held@mine.test", "suspended", "RCPT TO:<held@mine.test>", "550 5.2.1"),
        ("x@away.test", "accept", "content", "(the enqueuer has it"),
    ],
)
def test_the_dialogue_is_that_of_the_port(
    shop: tuple[Office, Api], to: str, word: str, command: str, answer: str
) -> None:
    """By the directory's own code, over the records that the compiler would write."""
    told = explained(shop[1], to, **{"from": "eve@client.test"})
    assert told["word"] == word
    assert last(told)[0] == command
    assert last(told)[1].startswith(answer)
    commands = [exchange["command"] for exchange in told["dialog"]]
    assert commands[:4] == ["", "EHLO client.example", "MAIL FROM:<eve@client.test>", f"RCPT TO:<{to}>"]
    assert told["decision"] == []
    assert "theirs.test" not in str(told["dialog"])


def test_rules_about_the_client_and_the_sender_count(shop: tuple[Office, Api]) -> None:
    api = shop[1]
    for pattern in ("203.0.113.7", ".spam.test"):
        assert api("POST", "/domains/mine.test/rules", {"verb": "deny", "pattern": pattern}).status_code == 201
    assert last(explained(api, "ben@mine.test"))[0] == "content"
    for more in ({"client": "203.0.113.7"}, {"from": "x@very.spam.test"}):
        command, answer = last(explained(api, "ben@mine.test", **more))
        assert (command, answer[:9]) == ("RCPT TO:<ben@mine.test>", "550 5.7.1")


def test_the_operator_sees_each_record(shop: tuple[Office, Api]) -> None:
    told = explained(shop[0].api(), "all@mine.test")
    looked_at = {step["what"]: step["outcome"] for step in told["decision"]}
    assert "address all@mine.test" in looked_at
    assert looked_at["the directory's word"].startswith("accept")


@pytest.mark.parametrize(
    ("field", "text"),
    [("client", "nowhere"), ("client", "1.2.3.4.5"), ("from", "a>b@c.test"), ("from", "a\x07@c.test")],
)
def test_what_nobody_could_send_is_refused(shop: tuple[Office, Api], field: str, text: str) -> None:
    refused = shop[1]("GET", "/explain", params={"to": "ben@mine.test", field: text})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


def test_an_international_domain_is_found_by_both_its_names(shop: tuple[Office, Api]) -> None:
    operator = shop[0].api()
    assert operator("POST", "/domains", {"name": "b\u00fccher.test"}).status_code == 201
    assert operator("POST", "/mailboxes", {"address": "anna@b\u00fccher.test"}).status_code == 201
    for name in ("b\u00fccher.test", "xn--bcher-kva.test"):
        assert explained(operator, f"anna@{name}")["word"] == "accept"
