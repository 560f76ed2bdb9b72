"""What waits, what was removed and who is away, as pages: found, understood, and something done about it."""

import dataclasses
import re

import pytest

from appliance.database.session import reading, unit_of_work
from appliance.services import autoreplies, domains, mailboxes
from tests.fakes.queue import FakeQueue
from tests.fixtures.panel import PASSWORD, SYSTEM, Browser, Office
from tests.mta.roles.scheduler._rig import envelope_of, queue_id_of


def plain(html: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")).split())


def name(number: int) -> str:
    return queue_id_of(number).decode()


@pytest.fixture
def queue(office: Office) -> FakeQueue:
    """1 and 2: to else.test, which defers. 3: to a mailbox that is full."""
    queue = FakeQueue()
    office.app.state.wiring = dataclasses.replace(office.app.state.wiring, scheduler=queue)
    rig = queue.rig
    rig.outcomes = {b"ann@else.test": (b"delayed", b"4.4.1"), b"joe@shop.test": (b"delayed", b"4.2.2")}
    rig.accept(1, envelope_of(b"ann@else.test", identity=b"joe@shop.test"))
    rig.accept(2, envelope_of(b"ann@else.test"))
    rig.accept(3, envelope_of(b"joe@shop.test"))
    rig.run()
    return queue


@pytest.fixture
def operator(office: Office, queue: FakeQueue) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        sealed = office.sealer.seal_password(PASSWORD)
        mailboxes.create(session, "joe@shop.test", actor=SYSTEM, sealed_hash=sealed, quota_bytes=1 << 20)
    return office.client().log_in()


def test_what_waits_is_found_grouped_and_understood(operator: Browser) -> None:
    page = operator.get("/queue").text
    assert [number for number in (1, 2, 3) if name(number) in page] == [1, 2, 3]
    assert "4.2.2" in page
    by = plain(operator.get("/queue?by=destination").text)
    assert "else.test 2" in by
    assert "shop.test 1" in by
    assert re.search(r"4\.4\.1[^0-9]* 2 ", plain(operator.get("/queue?by=error").text))
    assert name(3) not in operator.get("/queue?domain=else.test").text
    one = plain(operator.get(f"/queue/{name(3)}").text)
    assert "is tried again later 4.2.2" in one
    assert operator.get(f"/queue/{name(9)}").status_code == 404


def test_messages_are_held_released_and_taken_out(operator: Browser, queue: FakeQueue) -> None:
    operator.get("/queue?domain=else.test")
    assert operator.post("/queue", {"domain": "else.test", "deed": "hold"}).status_code == 303
    assert "Done to 2 of them." in operator.get("/queue?domain=else.test").text
    assert "Release" in operator.get(f"/queue/{name(1)}").text
    assert operator.post(f"/queue/{name(1)}/release").headers["location"] == f"/queue/{name(1)}"
    ask = plain(operator.get("/queue/remove?domain=else.test").text)
    assert "Take 2 messages out?" in ask
    assert "ann@else.test" in ask
    operator.post("/queue", {"domain": "else.test", "deed": "remove"})
    assert name(1) not in operator.get("/queue").text
    assert operator.post(f"/queue/{name(3)}/burn").status_code == 404
    assert operator.post(f"/queue/{name(3)}/remove").headers["location"] == "/queue"
    operator.get("/queue")
    assert "Nothing waits" in operator.get("/queue").text


def test_who_manages_nothing_has_no_queue(office: Office, operator: Browser) -> None:
    assert office.client().log_in("joe@shop.test").get("/queue").status_code == 403


def test_a_removed_mailbox_is_had_back_or_discarded_by_its_name(office: Office, operator: Browser) -> None:
    operator.get("/mailboxes/joe@shop.test/remove")
    operator.post("/mailboxes/joe@shop.test/remove", {"confirm": "joe@shop.test"})
    page = operator.get("/removals").text
    number = re.search(r"/removals/(\d+)/undo", page)
    assert number
    assert operator.post(f"/removals/{number[1]}/undo").headers["location"] == "/mailboxes/joe@shop.test"
    assert operator.get("/mailboxes/joe@shop.test").status_code == 200
    operator.post("/mailboxes/joe@shop.test/remove", {"confirm": "joe@shop.test"})
    number = re.search(r"/removals/(\d+)/end", operator.get("/removals").text)
    assert number
    where = f"/removals/{number[1]}/end"
    assert "nothing brings back" in operator.get(where).text
    assert operator.post(where, {"confirm": "joe"}).status_code == 422
    assert operator.post(where, {"confirm": "joe@shop.test"}).headers["location"] == "/removals"
    assert operator.get("/removals?search=zzz").status_code == 200


def test_an_owner_says_when_he_is_away_and_sees_it_before(office: Office, operator: Browser) -> None:
    joe, where = office.client().log_in("joe@shop.test"), "/mailboxes/joe@shop.test/away"
    joe.get(where)
    fields = {"text": "Back <soon>.", "starts": "2030-03-01", "ends": "2030-03-07", "enabled": "yes"}
    preview = joe.post(where, {**fields, "preview": "yes"})
    assert "So it would be answered" in preview.text
    assert "Back &lt;soon&gt;." in preview.text
    with reading(office.engine) as session:
        assert autoreplies.find(session, "joe@shop.test", actor=SYSTEM) is None
    refused = joe.post(where, {**fields, "ends": "2030-02-01"})
    assert refused.status_code == 422
    assert 'id="ends-error"' in refused.text
    assert joe.post(where, fields).headers["location"] == where
    page = joe.get(where).text
    assert 'value="2030-03-07"' in page
    assert "The answer is on." in page
    joe.post(f"{where}/clear")
    assert 'value="2030-03-07"' not in joe.get(where).text
