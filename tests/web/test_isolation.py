"""The page of the walls, and what of it stands on the start page: what is whole reads so, and what is not cannot be overlooked."""

import dataclasses
import re

import pytest

from mta import roster
from mta.sandbox import selftest
from tests.fakes.supervisor import FakeSupervisor
from tests.fixtures.panel import Browser, Office
from web.panel import isolation


@pytest.fixture
def supervisor(office: Office) -> FakeSupervisor:
    fake = FakeSupervisor()
    office.app.state.wiring = dataclasses.replace(office.app.state.wiring, supervisor=fake)
    return fake


@pytest.fixture
def operator(office: Office, supervisor: FakeSupervisor) -> Browser:
    return office.client().log_in()


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")).split())


def test_every_role_stands_there_with_uid_and_peers(operator: Browser) -> None:
    """As the supervisor told it, in the table and in the drawing."""
    page = operator.get("/isolation").text
    for role in roster.started_with(
        {"smtpd.isolation": "worker", "listen.panel": "x", "listen.submission": "x", "outbound.tls_reports": ""}
    ):
        assert f'href="/isolation/{role.name}"' in page
        assert f">{role.name}</text>" in page
        assert str(1_900_000_000 + role.number) in page
    assert "None was run yet" in page
    smtpd = plain(operator.get("/isolation/smtpd").text)
    assert "Asked by listener Asks directory, enqueuer, tls, journal" in smtpd
    assert "no folder" in smtpd
    assert operator.get("/isolation/nobody").status_code == 404


def test_the_test_runs_once_and_is_found_again(operator: Browser, supervisor: FakeSupervisor) -> None:
    operator.get("/isolation")
    assert operator.post("/isolation/test").headers["location"] == "/isolation"
    assert supervisor.tries == 1
    page = plain(operator.get("/isolation").text)
    assert "every wall held" in page
    assert "All were refused" in page
    assert "open the database" not in page
    assert "A wall does not stand" not in operator.get("/").text
    supervisor.began = 4_000_000_000
    operator.post("/isolation/test")
    assert supervisor.tries == 1, "the last one was a moment ago"
    detail = plain(operator.get("/isolation/smtpd").text)
    assert "read stored mail refused EPERM" in detail
    assert "read waiting mail its job" in plain(operator.get("/isolation/localspawn").text)


def test_an_attempt_that_gets_through_turns_the_pages_red(operator: Browser, supervisor: FakeSupervisor) -> None:
    """On the page of the role, on the page of all, and on the page that the operator sees first."""
    supervisor.try_walls()
    supervisor.results["tracer"]["read mail"] = "open done"
    assert "A wall does not stand" in operator.get("/isolation").text
    assert "1 attempt got through" in plain(operator.get("/isolation").text)
    assert "read stored mail: done" in plain(operator.get("/isolation/tracer").text)
    assert "A wall does not stand" not in operator.get("/isolation/ledger").text
    start = plain(operator.get("/").text)
    assert "A wall of tracer does not stand" in start


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"Uid": "0 0 0 0"}, "It does not run under its own uid."),
        ({"Groups": "0 27"}, "It is in groups of somebody else."),
        ({"CapPrm": "000001ffffffffff"}, "It has powers of root."),
        ({"CapPrm": "nonsense"}, "It has powers of root."),
        ({"NoNewPrivs": "0"}, "It could gain privileges by starting a program."),
        ({"Seccomp": "0"}, "Its system calls are not filtered."),
    ],
)
def test_what_the_kernel_says_otherwise_is_an_alarm(
    operator: Browser, supervisor: FakeSupervisor, told: dict[str, str], words: str
) -> None:
    """Also when no test was ever run: a live process without a wall is told of by the kernel."""
    supervisor.of["scheduler"] = told
    assert words in operator.get("/isolation/scheduler").text
    assert "A wall of scheduler does not stand" in plain(operator.get("/").text)


def test_a_test_that_did_not_come_to_its_end_is_no_pass(operator: Browser, supervisor: FakeSupervisor) -> None:
    supervisor.try_walls()
    supervisor.results["web"] = {"whole": "0"}
    assert "Its test did not come to its end" in operator.get("/isolation").text
    assert "nobody knows whether they stand" in operator.get("/isolation/web").text
    supervisor.running = True
    supervisor.results = dict(list(supervisor.results.items()))
    assert "A wall does not stand" not in operator.get("/isolation").text, "it is under way"


def test_a_role_that_does_not_serve_or_keeps_ending_is_told_at_the_start(
    operator: Browser, supervisor: FakeSupervisor
) -> None:
    supervisor.of["ledger"] = {"state": "down", "pid": "0", "since": "0"}
    supervisor.of["tracer"] = {"restarts": "7", "since": "4000000000"}
    start = plain(operator.get("/").text)
    assert "ledger does not serve" in start
    assert "tracer keeps ending" in start
    assert "does not serve" in operator.get("/isolation/ledger").text


def test_a_role_that_sleeps_until_it_is_asked_is_no_trouble(operator: Browser, supervisor: FakeSupervisor) -> None:
    """The start page is silent about it; the pages of the walls say it in words, and draw it with broken lines."""
    supervisor.of["source"] = {"state": "asleep", "pid": "0", "since": "0", "Uid": "", "Groups": "", "Seccomp": ""}
    assert "source" not in plain(operator.get("/").text)
    page = operator.get("/isolation").text
    assert '<span class="quiet">asleep</span>' in page
    assert page.count("room-asleep") == 1
    assert "does not serve" not in page
    told = plain(operator.get("/isolation/source").text)
    assert "asleep: starts when it is first asked" in told
    assert "Since" not in told


def test_nobody_but_the_operator_sees_the_house(office: Office, supervisor: FakeSupervisor) -> None:
    """To everybody else the page is not there."""
    office.account("ann", office.tenant("Ann's"))
    ann = office.client().log_in("ann")
    assert ann.get("/isolation").status_code == 404
    assert ann.get("/isolation/web").status_code == 404
    assert ann.post("/isolation/test").status_code == 404
    assert supervisor.tries == 0
    assert "/isolation" not in ann.get("/").text


def test_where_nobody_can_say_the_page_says_so(operator: Browser, office: Office) -> None:
    office.app.state.wiring = dataclasses.replace(office.app.state.wiring, supervisor=None)
    assert operator.get("/isolation").status_code == 503
    assert operator.get("/").status_code == 200


def test_everything_that_is_tried_and_every_role_has_its_words() -> None:
    """A probe, a promise or a role that is new needs a line in the panel, and one that is gone needs none."""
    names = {probe.name for probe in selftest.probes_for(roster.SMTPD, "/x")}
    assert {name for name in names if name in isolation.TRIES or name.split(" ")[1] in isolation.PLACES} == names
    assert set(isolation.TRIES) <= names
    assert set(isolation.PLACES) == set(selftest.FOLDERS)
    assert set(isolation.JOBS) == {role.name for role in roster.ROLES}
    assert set(isolation.MAY) >= {promise.value for role in roster.ROLES for promise in role.promises}


def test_no_two_boxes_of_the_drawing_lie_on_one_another(supervisor: FakeSupervisor) -> None:
    from appliance.services.actor import Actor
    from appliance.services.isolation import look

    drawing = isolation.drawing_of(look(supervisor.standing, actor=Actor("system", "test")))
    places = [(box.x, box.y) for box in drawing.boxes]
    assert len(set(places)) == len(places) >= 20
    assert max(box.y for box in drawing.boxes) < drawing.height
    assert len(drawing.lines) > 30
