"""Who comes to the door behind a load balancer, too early, or unwanted: through the whole appliance."""

import contextlib
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.fixtures.house import House, wait_until

pytestmark = pytest.mark.journey

POSTMASTER = "postmaster@mx.house.test"
STRANGER = "127.0.0.2"  # allow_clients names 127.0.0.1 only, so this one is treated as anybody from outside
BALANCER = "127.0.0.3"
RULES = {
    "smtpd.allow_clients": '["127.0.0.1/32"]',
    "smtpd.proxy_clients": f'["{BALANCER}/32"]',
    "smtpd.deny_clients": '["203.0.113.0/24"]',
    "limits.greeting_delay_seconds": "1",
    "limits.max_errors": "3",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("door") / "house", settings=RULES) as made:
        yield made


@contextlib.contextmanager
def from_address(house: House, address: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", house.port("smtp")), 20, (address, 0)) as client:
        yield client


def line(client: socket.socket) -> str:
    """One line, octet by octet: nothing of the next one is taken."""
    said = b""
    while not said.endswith(b"\n") and (octet := client.recv(1)):
        said += octet
    return said.decode()


def say(client: socket.socket, *commands: str) -> list[str]:
    """Each command, and the last line of its reply."""
    replies = []
    for command in commands:
        client.sendall(command.encode() + b"\r\n")
        reply = line(client)
        while reply[3:4] == "-":
            reply = line(client)
        replies.append(reply)
    return replies


def turned_away(house: House, reason: str) -> list[dict]:
    return [event for event in house.events("turned-away") if event["reason"] == reason]


def test_a_stranger_waits_once_and_one_that_speaks_first_is_refused(house: House) -> None:
    """554 5.5.1 for the early talker, a greeting after a second for the patient one, at once the next time."""
    with from_address(house, STRANGER) as client:
        client.sendall(b"EHLO early.test\r\nMAIL FROM:<>\r\n")
        assert line(client).startswith("554 5.5.1 ")
        assert line(client) == ""
    start = time.monotonic()
    with from_address(house, STRANGER) as client:
        assert line(client).startswith("220 ")
    assert time.monotonic() - start > 0.9
    [event] = wait_until(lambda: turned_away(house, "early-talker"), 30, house.said)
    assert event["client"] == STRANGER
    took = []
    for _ in range(5):  # Once is enough to show that nobody waits; the machine may have made him.
        start = time.monotonic()
        with from_address(house, STRANGER) as client:
            assert line(client).startswith("220 ")
        took.append(time.monotonic() - start)
    assert min(took) < 0.9


def test_mail_through_a_load_balancer_bears_the_clients_own_address(house: House) -> None:
    """In the Received field and the journal; whom the host denies is denied behind the balancer too."""
    had = len(house.messages(POSTMASTER))
    with from_address(house, BALANCER) as client:
        client.sendall(b"PROXY TCP6 2001:db8::25 2001:db8::1 40000 25\r\n")
        assert line(client).startswith("220 ")
        said = say(
            client, "EHLO real.test", "MAIL FROM:<someone@real.test>", f"RCPT TO:<{POSTMASTER}>", "DATA",
            "Subject: proxied\r\n\r\n.", "QUIT",
        )  # fmt: skip
        assert [reply[:3] for reply in said] == ["250", "250", "250", "354", "250", "221"]
    [*_, path] = house.wait_for_messages(POSTMASTER, had + 1)
    assert b"2001:db8::25" in path.read_bytes().partition(b"\r\n\r\n")[0]
    with from_address(house, BALANCER) as client:
        client.sendall(b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 25\r\n")
        assert line(client).startswith("554 5.7.1 ")
    assert wait_until(lambda: turned_away(house, "denied"), 30, house.said)[0]["client"] == "203.0.113.9"


def test_a_header_from_anybody_else_is_no_header(house: House) -> None:
    """Nobody gives himself another address: known strangers hear 500, and a balancer without a header nothing."""
    with from_address(house, "127.0.0.1") as client:
        assert line(client).startswith("220 ")
        assert say(client, "PROXY TCP4 192.0.2.9 192.0.2.1 40000 25")[0].startswith("500 5.5.2 ")
    with from_address(house, BALANCER) as client, contextlib.suppress(ConnectionResetError):
        client.sendall(b"EHLO balancer.test\r\n")
        assert line(client) == ""


def test_nonsense_has_an_end_that_the_administrator_sets(house: House) -> None:
    """limits.max_errors: the third one is the last."""
    with from_address(house, "127.0.0.1") as client:
        line(client)
        said = say(client, "ONE", "TWO", "THREE")
        assert [reply[:3] for reply in said[:2]] == ["500", "500"]
        assert "421 4.7.0" in said[2] + line(client)


def test_rules_change_while_it_runs(house: House) -> None:
    """deny_clients after SIGHUP, from the next connection on."""
    house.set("smtpd.deny_clients", '["127.0.0.2/32"]')
    house.process.send_signal(signal.SIGHUP)

    def denied() -> bool:
        with from_address(house, STRANGER) as client:
            return line(client).startswith("554 5.7.1 ")

    wait_until(denied, 20, house.said)
    with from_address(house, "127.0.0.1") as client:
        assert line(client).startswith("220 ")
