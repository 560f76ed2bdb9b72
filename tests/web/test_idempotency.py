"""A request with an Idempotency-Key is carried out once: asked again during the first time, and after a crash of either side."""

import contextlib
import threading

import pytest
from sqlalchemy import event, func, select

from appliance.database.session import Session, reading
from appliance.models import Domain, Mailbox
from tests.fixtures.panel import Api, Office

CLIENTS = 20
HEADERS = {"Idempotency-Key": "order 4711"}
NEW = {"address": "anna@shop.test"}


@pytest.fixture
def shop(office: Office) -> Api:
    api = office.api()
    assert api("POST", "/domains", {"name": "shop.test"}).status_code == 201
    return api


def mailboxes(office: Office) -> int:
    with reading(office.engine) as session:
        wanted = select(func.count()).select_from(Mailbox).join(Domain).where(Domain.name == "shop.test")
        return session.scalar(wanted)


def test_asked_again_while_it_is_carried_out_it_is_carried_out_once(office: Office, shop: Api) -> None:
    answers: list[object] = []
    barrier = threading.Barrier(CLIENTS)

    def ask() -> None:
        barrier.wait()
        answers.append(shop("POST", "/mailboxes", NEW, headers=HEADERS))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert mailboxes(office) == 1


class Crash(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize(("moment", "is_there"), [("before_commit", 0), ("after_commit", 1)])
def test_asked_again_after_a_crash_it_has_been_carried_out_once(
    office: Office, shop: Api, moment: str, is_there: int
) -> None:
    """Before the commit nothing was done, and it is done now; behind it the answer was lost, and is given again."""
    has_crashed = []

    def crash(session: Session) -> None:
        if not has_crashed and session.info.get("posted"):
            has_crashed.append(True)
            raise Crash

    def mark(session: Session, *_: object) -> None:
        if any(isinstance(row, Mailbox) for row in session.new):
            session.info["posted"] = True

    event.listen(Session, "before_flush", mark)
    event.listen(Session, moment, crash)
    try:
        with contextlib.suppress(Crash):  # The test's client may take it for the answer 500.
            assert shop("POST", "/mailboxes", NEW, headers=HEADERS).status_code == 500
    finally:
        event.remove(Session, moment, crash)
        event.remove(Session, "before_flush", mark)
    assert has_crashed
    assert mailboxes(office) == is_there
    again = shop("POST", "/mailboxes", NEW, headers=HEADERS)
    assert again.status_code == 201
    assert ("idempotency-replayed" in again.headers) == bool(is_there)
    assert again.headers["location"] == "/api/v1/mailboxes/anna@shop.test"
    assert mailboxes(office) == 1
