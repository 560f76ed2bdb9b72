"""What belongs into a zone for mail programs, and how what stands there is taken."""

import pytest

from appliance.services import dns_page, domains
from appliance.services.client_setup import Server, Setup
from appliance.services.dns_page import Found, Wanted
from tests.fixtures.database import OPERATOR

IMAPS, IMAP = "_imaps._tcp.own.test", "_imap._tcp.own.test"


def services(world, reading: Server | None, *sending: Server) -> dict[str, str]:
    def look(session):
        domain = domains.get(session, "own.test", actor=OPERATOR)
        return dns_page.wanted(session, domain, actor=OPERATOR, setup=Setup("own.test", reading, sending))

    return {one.name: one.value for one in world.do(look) if one.kind == "SRV"}


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (Server("imap.test", 993, tls_from_start=True), {IMAPS: "0 1 993 imap.test.", IMAP: "0 0 0 ."}),
        (Server("imap.test", 143, tls_from_start=False), {IMAP: "10 1 143 imap.test.", IMAPS: "0 0 0 ."}),
        (None, {}),
    ],
)
def test_programs_are_told_the_one_way_to_read_and_that_there_is_no_other(world, reading, told) -> None:
    """RFC 6186 3.4: a target of `.` says that a service is not there."""
    assert services(world, reading) == told


def test_programs_are_told_to_send_where_the_host_listens(world) -> None:
    ways = Server("mx.test", 465, tls_from_start=True), Server("mx.test", 587, tls_from_start=False)
    both = {"_submissions._tcp.own.test": "0 1 465 mx.test.", "_submission._tcp.own.test": "10 1 587 mx.test."}
    assert services(world, None, *ways) == both
    assert services(world, None, ways[1]) == {"_submission._tcp.own.test": "10 1 587 mx.test."}


@pytest.mark.parametrize(
    ("value", "found", "state"),
    [
        ("0 1 993 imap.test.", "5 9 993 IMAP.test", "right"),
        ("0 1 993 imap.test.", "0 1 143 imap.test", "different"),
        ("0 0 0 .", "0 0 0 .", "right"),
        ("0 0 0 .", "0 1 143 imap.test", "different"),
    ],
)
def test_a_service_is_right_by_its_host_and_port(value: str, found: str, state: str) -> None:
    wanted = Wanted("SRV", IMAP, value, "")
    judged = dns_page.judge([wanted], {("SRV", IMAP): Found("answer", (found,))})
    assert [one.state for one in judged] == [state]
