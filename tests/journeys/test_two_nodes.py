"""Two machines with one PostgreSQL: what is changed on one is in force on both, and both go on without it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.postgresql import BINARIES, PostgreSQL

pytestmark = [
    pytest.mark.journey,
    pytest.mark.alone,  # one house for all, and a second is measured
    pytest.mark.skipif(not BINARIES, reason="PostgreSQL is not installed (Debian package postgresql)"),
]

CONTENT = b"Subject: from far away\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """A server of this test's own: it is stopped."""
    made = PostgreSQL()
    try:
        made.start(tcp=True)
        yield made
    finally:
        made.close()


def node(folder: Path, url: str) -> House:
    """A machine's own state and ports. Its keys are those of every house here: what is sealed in the database both open."""
    made = House(folder, settings={"database.url": f'"{url}"'}, panel=True)
    made.make()
    return made


@pytest.fixture(scope="module")
def nodes(server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, House]]:
    """Started, with a database that one of them made."""
    folder, url = tmp_path_factory.mktemp("nodes"), server.tcp_url(server.empty())
    one, two = (node(folder / name, url) for name in ("one", "two"))
    one.postern("init", "--operator-password-stdin", stdin="a calm long password\n")
    assert (one.state / "keys/tls.key").read_bytes() == (two.state / "keys/tls.key").read_bytes()
    with one, two:
        yield one, two


@pytest.mark.must_show
def test_a_mailbox_made_on_one_receives_at_both_within_a_second(nodes, figure) -> None:
    nodes[0].add_domain("both.test")
    for number, house in enumerate(nodes):
        address = f"made{number}@both.test"
        house.add_mailbox(address)
        said = time.monotonic()
        for each in nodes:
            wait_until(lambda each=each, address=address: each.rcpt(address)[0] == 250, 30, each.said)
        took = time.monotonic() - said
        figure("in force at both, seconds", round(took, 2))
        assert took < 1.0
        for each in nodes:
            each.send(address, CONTENT)
            each.wait_for_messages(address)


def test_web_reaches_the_database_from_behind_its_walls(nodes) -> None:
    """A mailbox made by the API of one is there for the API of the other."""
    secret = json.loads(nodes[0].postern("key", "create", "--json").stdout)["secret"]
    wait_until(lambda: api(nodes[1], secret, "GET", "/me")[0] == 200, 30, nodes[1].said)
    assert api(nodes[0], secret, "POST", "/domains", {"name": "web.test"})[0] == 201
    assert api(nodes[1], secret, "POST", "/mailboxes", {"address": "ann@web.test"})[0] == 201
    assert api(nodes[0], secret, "GET", "/mailboxes/ann@web.test")[1]["address"] == "ann@web.test"


def api(house: House, secret: str, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{house.port('panel')}/api/v1{path}"
    asked = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_without_the_database_both_go_on_and_with_it_again_they_follow(nodes, server) -> None:
    nodes[1].add_domain("later.test")
    for each in nodes:
        wait_until(lambda each=each: each.rcpt("nobody@later.test")[0] == 550, 30, each.said)
    nodes[1].add_mailbox("ann@later.test")
    for each in nodes:
        wait_until(lambda each=each: each.rcpt("ann@later.test")[0] == 250, 30, each.said)
    server.stop()
    for each in nodes:
        assert each.rcpt("nobody@later.test")[0] == 550
        each.send("ann@later.test", CONTENT)
        each.wait_for_messages("ann@later.test")
        wait_until(lambda each=each: each.events("not-publishing"), 30, each.said)
    server.start(tcp=True)
    nodes[0].add_mailbox("bob@later.test")
    for each in nodes:
        wait_until(lambda each=each: each.rcpt("bob@later.test")[0] == 250, 30, each.said)
