"""Domains that this host only relays for: who knows their recipients is asked, and their mail waits for a way out."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.mx import Manners, StubMx
from tests.fixtures.house import House, wait_until
from tests.fixtures.slapd import BASE, BIND_DN, PASSWORD
from tests.mta.roles.source._rig import Server, smtp

pytestmark = pytest.mark.journey

TREE = Path(__file__).resolve().parents[2]
ACCEPTED, UNKNOWN, LATER = 250, 550, 451


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with House(tmp_path_factory.mktemp("relayed") / "house", awake=True) as made:
        yield made


def add(house, domain, *options, next_hop="192.0.2.1:25", stdin=""):
    house.postern("domain", "add", domain, "--relay-to", next_hop, *options, stdin=stdin)
    wait_until(lambda: not house.rcpt(f"postmaster@{domain}")[1].startswith("5.7.1"), 30, house.said)


def code(house, address):
    return house.rcpt(address)[0]


def test_an_uploaded_list_says_who_exists_and_a_change_is_in_force_at_once(house, tmp_path):
    """Postmaster always; nothing is asked of anybody."""
    add(house, "list.test", "--source", "list")
    listed = tmp_path / "recipients"
    listed.write_text("joe@list.test\nann@list.test\n")
    house.postern("domain", "recipients", "list.test", "--add", str(listed))
    wait_until(lambda: code(house, "joe@list.test") == ACCEPTED, 30, house.said)
    assert [code(house, f"{name}@list.test") for name in ("ann", "jim", "postmaster")] == [ACCEPTED, UNKNOWN, ACCEPTED]
    house.postern("domain", "recipients", "list.test", "--remove", str(listed))
    wait_until(lambda: code(house, "joe@list.test") == UNKNOWN, 30, house.said)


def test_the_next_hop_itself_is_asked_and_when_it_is_away_nobody_is_refused(house):
    """As far as RCPT, never a message; what it said is believed for a while."""
    server = Server(smtp({b"joe": b"250 2.1.5 ok", b"kim": b"250 ok"}))
    add(house, "ahead.test", "--source", "call-ahead", next_hop=f"127.0.0.1:{server.port}")
    assert [code(house, f"{name}@ahead.test") for name in ("joe", "jim")] == [ACCEPTED, UNKNOWN]
    server.close()
    house.wait_for_restart("source", house.kill("source"))
    assert code(house, "kim@ahead.test") == LATER
    (event,) = wait_until(lambda: house.events("source-trouble"), 30, house.said)
    assert event["domain"] == "ahead.test"
    assert not any(said.upper().startswith(b"DATA") for said in server.heard)


def test_an_ldap_directory_is_asked_with_a_sealed_password(house, slapd):
    """A real slapd; the password stands in no file that another role can open, nor in the journal."""
    ldap = ("--ldap-url", slapd.url, "--ldap-base", BASE, "--ldap-bind-dn", BIND_DN, "--source-password-stdin")
    add(house, "corp.example", "--source", "ldap", *ldap, stdin=PASSWORD + "\n")
    wait_until(lambda: code(house, "joe@corp.example") == ACCEPTED, 15, house.said)
    assert code(house, "jim@corp.example") == UNKNOWN
    for path in (house.state / "log", house.state / "snapshot", house.state / "postern.db", house.state / "db"):
        files = [path] if path.is_file() else path.rglob("*") if path.exists() else ()
        assert not any(PASSWORD.encode() in file.read_bytes() for file in files if file.is_file())


def test_an_operators_hook_is_asked_over_its_socket(house, tmp_path):
    """The program of docs/examples."""
    where, listed = house.state / "hooks" / "mine", tmp_path / "recipients.txt"
    listed.write_text("joe@hook.test\n")
    process = subprocess.Popen([sys.executable, str(TREE / "docs/examples/recipient_hook.py"), str(where), str(listed)])
    try:
        end = time.monotonic() + 10
        while not where.exists() and time.monotonic() < end:
            time.sleep(0.02)
        add(house, "hook.test", "--source", "hook", "--hook", str(where))
        wait_until(lambda: code(house, "joe@hook.test") == ACCEPTED, 15, house.said)
        assert code(house, "jim@hook.test") == UNKNOWN
    finally:
        process.kill()
        process.wait()


def test_mail_for_a_relayed_domain_goes_on_to_its_next_hop(house):
    """The content as it came, under our Received; and what the next hop refuses comes back to its sender."""
    host = StubMx(Manners(answers={b"RCPT": lambda line: b"550 5.1.1 who?" if b"jim" in line else b"250 2.1.5 ok"}))
    add(house, "kept.test", next_hop=f"127.0.0.1:{host.port}")
    house.send("anybody@kept.test", b"Subject: x\r\n\r\n.body\r\n")
    wait_until(lambda: host.contents, 30, house.said)
    (content,) = host.contents
    assert content.startswith(b"Received: ")
    assert content.endswith(b"Subject: x\r\n\r\n.body\r\n")
    (relayed,) = wait_until(lambda: house.events("relayed"), 30, house.said)
    assert (relayed["final_recipient"], relayed["diagnostic_code"]) == ("anybody@kept.test", "250 2.0.0 queued as stub")
    house.expects_backscatter = True
    house.send("jim@kept.test", b"Subject: x\r\n\r\nbody\r\n")
    # The notification's own failure, for there is no such sender, may be there already.
    found = wait_until(lambda: house.events("failed"), 30, house.said)
    (failed,) = (each for each in found if each["final_recipient"] == "jim@kept.test")
    assert (failed["status"], failed["diagnostic_code"]) == ("5.1.1", "550 5.1.1 who?")
    host.close()


def test_mail_for_a_next_hop_that_is_away_is_kept_and_tried_again(house):
    """Deferred, not lost, not bounced."""
    host = StubMx()
    host.close()
    add(house, "away.test", next_hop=f"127.0.0.1:{host.port}")
    house.send("anybody@away.test", b"Subject: x\r\n\r\nbody\r\n")
    (deferred,) = wait_until(lambda: house.events("deferred"), 30, house.said)
    assert (deferred["original_recipient"], deferred["status"]) == ("anybody@away.test", "4.4.1")
