"""web is killed while twenty programs make mailboxes: each is made once, whoever asked how often, and no limit is passed.

A reader would otherwise get wrong: a program that hears nothing does not know whether it was done. It asks again under the same
Idempotency-Key until it hears an answer, and only then is anything demanded of it here.
"""

import http.client
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from appliance.config import load_settings
from appliance.database.engine import open_engine
from appliance.database.session import reading
from appliance.models import AuditEntry, Domain, Mailbox, StoreTask
from appliance.services import audit
from tests.fixtures.house import House, wait_until
from tests.fixtures.postgresql import PostgreSQL

IS_FULL = os.environ.get("POSTERN_FULL") == "1"
pytestmark = [pytest.mark.kill, pytest.mark.must_show]

CLIENTS = 20
KILLS = 20 if IS_FULL else 1
ROOM = 15  # of a customer for whose places all of them ask
PATIENCE_SECONDS = 60


@pytest.fixture(params=["sqlite", "postgresql"] if IS_FULL else ["sqlite"])  # a house takes seconds
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Shop"]:
    settings = {"limits.api_requests_per_minute": "0"}
    server: PostgreSQL | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
        settings["database.url"] = f'"{server.tcp_url(server.empty())}"'
    house = House(tmp_path / "house", settings=settings, bare=server is not None, panel=True)
    house.make()
    if server is not None:
        house.postern("init", "--operator-password-stdin", stdin="a calm long password\n")
    with house:
        yield Shop(house)


class Shop:
    """A house with a domain of its operator, and one of a customer that has little room."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._port = house.port("panel")
        self.key = json.loads(house.postern("key", "create", "--json").stdout)["secret"]
        wait_until(self._is_there, PATIENCE_SECONDS, house.said)
        for path, body in (
            ("/domains", {"name": "wide.test"}),
            ("/tenants", {"name": "narrow", "max_mailboxes": ROOM}),
        ):
            made = self.ask("POST", path, body, path)
        self.ask("POST", "/domains", {"name": "narrow.test", "tenant_id": made[1]["id"]}, "narrow")

    def _is_there(self) -> bool:
        return self._once("GET", "/me", None, None) is not None

    def ask(self, method: str, path: str, body: object, key: str) -> tuple[int, dict[str, object]]:
        """Again and again, until there is an answer."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            answer = self._once(method, path, body, key)
            if answer is not None:
                return answer
            time.sleep(0.05)
        raise TimeoutError(f"no answer to {method} {path}")

    def _once(self, method: str, path: str, body: object, key: str | None) -> tuple[int, dict[str, object]] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key is not None else {}
        try:
            connection.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        return (answer.status, told) if answer.status not in (401, 503) else None  # 401: the key is yet to be published

    def kill_web(self) -> None:
        """And wait until the next one answers: killed while it begins, none would ever do anything."""
        self.house.wait_for_restart("web", self.house.kill("web"), PATIENCE_SECONDS)
        wait_until(self._is_there, PATIENCE_SECONDS, self.house.said)


def test_each_is_made_once_and_no_limit_is_passed(shop: Shop) -> None:
    """Twenty ask for new names, for the same name, and for the last places of a customer."""
    is_over, heard = threading.Event(), list[tuple[str, int]]()

    def work(who: int) -> None:
        for turn in itertools.count():
            if is_over.is_set():
                return
            for name in (f"own{who}x{turn}@wide.test", f"same{turn}@wide.test", f"n{who}x{turn}@narrow.test"):
                asked = f"{who} {name}"
                status, told = shop.ask("POST", "/mailboxes", {"address": name}, asked)
                again, retold = shop.ask("POST", "/mailboxes", {"address": name}, asked)
                assert (again, retold.get("address")) == (status, told.get("address")), (name, told, retold)
                heard.append((name, status))

    with ThreadPoolExecutor(CLIENTS) as clients:
        working = [clients.submit(work, who) for who in range(CLIENTS)]
        try:
            for _ in range(KILLS):
                time.sleep(0.4)
                shop.kill_web()
            time.sleep(0.4)
        finally:
            is_over.set()
        for each in working:
            each.result()
    _look_at(shop, heard)


def _look_at(shop: Shop, heard: list[tuple[str, int]]) -> None:
    made = [name for name, status in heard if status == 201]
    assert len(set(made)) == len(made) > CLIENTS, "an address was given twice"
    assert {status for _, status in heard} <= {201, 409}
    assert all(status == 201 for name, status in heard if name.startswith("own"))
    engine = open_engine(load_settings(shop.house.config).database_url)
    with reading(engine) as session:
        there = {
            f"{mailbox.folded}@{mailbox.domain.name}"
            for mailbox in session.scalars(
                select(Mailbox).join(Domain).where(Domain.name.in_(["wide.test", "narrow.test"]))
            )
        }
        told = session.scalars(select(AuditEntry.subject).where(AuditEntry.action == "mailbox.created")).all()
        narrow = select(func.count()).select_from(Mailbox).join(Domain).where(Domain.name == "narrow.test")
        assert session.scalar(narrow) == ROOM
        assert audit.verify(session).wrong == ""
    assert there == set(made)
    assert sorted(name for name in told if not name.startswith("postmaster@")) == sorted(made)
    wait_until(lambda: _is_done(engine), PATIENCE_SECONDS)
    engine.dispose()
    for name in sorted(made)[:3]:
        shop.house.wait_until_known(name)


def _is_done(engine: Engine) -> bool:
    """Has the storekeeper made every store?"""
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(StoreTask)) == 0
