"""Mail to other hosts, through a whole house: relayed, put off and then taken, refused, too old; and what an operator can do."""

import json
import os
import smtplib
import time

import pytest

from mta.record import replace
from mta.spool import envelope as envelope_format
from tests.fakes.mx import Manners, StubMx
from tests.fakes.zone import Zone
from tests.fixtures.house import House, free_port, wait_until
from tests.fixtures.served import PATIENT

pytestmark = pytest.mark.journey

SENDER, POSTMASTER = "joe@house.example", "postmaster@mx.house.test"
CONTENT = b"From: joe@house.example\r\nTo: x\r\nSubject: out\r\nMessage-ID: <1@house.example>\r\n\r\nbody\r\n"


class World:
    """Hosts on loopback, one address each, all at one port: what their domains' MX lead to."""

    def __init__(self, zone):
        self.zone, self.port = zone, free_port()
        self._hosts = {}

    def host(self, domain, manners=None):
        """Where mail for *domain* goes from now on."""
        address = f"127.0.1.{len(self._hosts) + 1}"
        stub = self._hosts[domain] = StubMx(manners, address, self.port)
        self.zone.records[domain] = {"MX": [f"10 mx.{domain}."]}
        self.zone.records[f"mx.{domain}"] = {"A": [address]}
        return stub

    def close(self):
        for stub in self._hosts.values():
            stub.close()


@pytest.fixture(scope="module")
def world():
    with Zone() as zone:
        world = World(zone)
        yield world
        world.close()


@pytest.fixture(scope="module")
def running(world, tmp_path_factory):
    settings = PATIENT | {
        "dns.servers": f'["{world.zone.address}"]', "outbound.port": str(world.port), "outbound.allow_loopback": "true",
        "smtpd.relay_clients": '["127.0.0.1/32"]', "limits.delay_warning_hours": "1", "limits.queue_lifetime_days": "1",
    }  # fmt: skip
    with House(tmp_path_factory.mktemp("out") / "house", settings=settings) as house:
        house.add_domain("house.example")
        house.add_mailbox(SENDER)
        house.wait_until_known(SENDER)
        yield house


@pytest.fixture
def house(running):
    running.turn_page()
    return running


def queue(house, *arguments):
    return json.loads(house.postern("--json", "queue", *arguments).stdout)


def waiting(house):
    return queue(house, "list")["messages"]


def event(house, name, **pairs):
    """The newest event of that name with these pairs, once it is there."""

    def found():
        return [each for each in house.events(name) if pairs.items() <= each.items()][-1:]

    return wait_until(found, 20, lambda: f"{name} {pairs}: {house.events()[-5:]}\n{house.said()}")[0]


def test_a_relay_client_reaches_another_host_by_its_mx(house, world):
    """Several recipients there are one transaction; nothing stays behind."""
    stub = world.host("live.example")
    with house.smtp() as client:
        client.sendmail(SENDER, ["ann@live.example", "bob@live.example"], CONTENT)
    event(house, "relayed", final_recipient="bob@live.example")
    assert len(stub.contents) == 1
    assert stub.contents[0].endswith(CONTENT)
    assert [line for line in stub.heard[0].commands if line.startswith(b"RCPT")] == [
        b"RCPT TO:<ann@live.example>", b"RCPT TO:<bob@live.example>",
    ]  # fmt: skip
    wait_until(lambda: not waiting(house), 30, house.said)


def test_a_stranger_is_refused_the_same(house):
    """From an address that may not relay."""
    with smtplib.SMTP("127.0.0.1", house.port("smtp"), "client.test", 30, ("127.0.0.9", 0)) as client:
        client.ehlo()
        client.mail("someone@client.test")
        assert client.rcpt("ann@live.example")[0] == 550


def test_a_host_that_puts_off_is_asked_again_and_takes_it(house, world):
    """450 to the recipient; later 250. The operator does not want to wait five minutes."""
    stub = world.host("slow.example", Manners(answers={b"RCPT": b"450 4.2.0 come again"}))
    house.send("ann@slow.example", CONTENT, SENDER)
    deferred = event(house, "deferred", final_recipient="ann@slow.example")
    assert (deferred["status"], "127.0.1." in deferred["remote_mta"]) == ("4.2.0", True)
    (message,) = wait_until(lambda: waiting(house), 30, house.said)
    assert (message["state"], message["status"], message["reverse_path"]) == ("waiting", "4.2.0", SENDER)
    stub.manners.answers.clear()
    house.postern("queue", "retry", message["queue_id"])
    event(house, "relayed", final_recipient="ann@slow.example")
    assert stub.contents[-1].endswith(CONTENT)


def test_a_host_that_is_away_is_left_alone_until_somebody_insists(house, world):
    """Nobody listens there: the destination backs off, for a second message too; both arrive after one word."""
    world.zone.records["dead.example"] = {"MX": ["10 mx.dead.example."]}
    world.zone.records["mx.dead.example"] = {"A": ["127.0.2.1"]}
    house.send("ann@dead.example", CONTENT, SENDER)
    event(house, "destination-down", domain="dead.example")
    house.send("bob@dead.example", CONTENT, SENDER)
    event(house, "deferred", final_recipient="bob@dead.example")
    stub = StubMx(None, "127.0.2.1", world.port)
    house.postern("queue", "retry", "--domain", "dead.example")
    event(house, "destination-up", domain="dead.example")
    for name in ("ann", "bob"):
        event(house, "relayed", final_recipient=f"{name}@dead.example")
    assert len(stub.contents) == 2
    stub.close()


def test_what_a_host_refuses_comes_back_to_the_sender(house, world):
    """One of two recipients: a notification that names him, with what the host said."""
    answers = {b"RCPT": lambda line: b"550 5.1.1 nobody here" if b"nobody" in line else b"250 ok"}
    stub = world.host("picky.example", Manners(answers=answers))
    with house.smtp() as client:
        client.sendmail(SENDER, ["nobody@picky.example", "ann@picky.example"], CONTENT)
    (path,) = house.wait_for_messages(SENDER)
    told = path.read_bytes()
    assert b"nobody@picky.example" in told
    assert b"Status: 5.1.1" in told
    assert b"550 5.1.1 nobody here" in told
    assert b"ann@picky.example" not in told
    assert len(stub.contents) == 1


def test_a_domain_that_does_not_exist_comes_back_at_once(house):
    """Nobody would ever take it."""
    house.send("ann@nowhere.example", CONTENT, SENDER)
    (path,) = house.wait_for_messages(SENDER)
    assert b"ann@nowhere.example" in path.read_bytes()


@pytest.mark.must_show
def test_a_bounce_that_another_host_refuses_goes_to_the_postmaster_and_no_further(house, world):
    """The recipient is refused, the sender's host refuses the notification: one more, to us, and the end."""
    world.host("refusing.example", Manners(answers={b"RCPT": b"550 5.1.1 nobody here"}))
    home = world.host("deaf.example", Manners(answers={b"RCPT": b"550 5.7.1 no notifications, please"}))
    house.send("ann@refusing.example", CONTENT, "cross@deaf.example")
    (path,) = house.wait_for_messages(POSTMASTER)
    told = path.read_bytes()
    assert told.startswith(b"Return-Path: <>\n")
    assert b"cross@deaf.example" in told
    assert b"550 5.7.1 no notifications, please" in told
    wait_until(lambda: not waiting(house), 30, house.said)
    (mail,) = [line for heard in home.heard for line in heard.commands if line.startswith(b"MAIL")]
    assert mail.startswith(b"MAIL FROM:<>")
    assert (len(house.messages(POSTMASTER)), house.messages(SENDER)) == (1, [])


def let_time_pass(house, hours):
    """What waits came so many hours earlier: its files are renamed and written as if it had, and scheduler starts anew."""
    spool = house.state / "spool"
    for message in waiting(house):
        former = message["queue_id"]
        later = f"{int(former[:16], 16) - int(hours * 3600e6):016x}{former[16:]}"
        path = spool / "envelope" / former
        envelope = envelope_format.parse(path.read_bytes())
        earlier = replace(envelope, arrival=envelope.arrival - int(hours * 3600))
        path.write_bytes(envelope_format.render(earlier))
        for part in ("content", "progress", "envelope"):
            if (spool / part / former).exists():
                os.rename(spool / part / former, spool / part / later)
    house.wait_for_restart("scheduler", house.kill("scheduler"))
    wait_until(lambda: waiting(house), 30, house.said)
    house.postern("queue", "flush")  # Old mail is spread over a quarter of an hour after a start.


@pytest.mark.must_show
def test_a_sender_of_ours_hears_once_that_it_takes_long_and_at_last_that_it_is_given_up(house, world):
    """After `limits.delay_warning_hours` and after `limits.queue_lifetime_days`, both shorter here; each with the last reason."""
    world.host("never.example", Manners(answers={b"RCPT": b"450 4.2.0 come again"}))
    house.send("ann@never.example", CONTENT, SENDER)
    event(house, "deferred", final_recipient="ann@never.example")
    let_time_pass(house, 2)
    (delayed,) = house.wait_for_messages(SENDER)
    assert b"Action: delayed" in delayed.read_bytes()
    assert b"Remote-MTA: dns; mx.never.example (127.0.1." in delayed.read_bytes()
    assert b"Will-Retry-Until:" in delayed.read_bytes()
    let_time_pass(house, 23)
    failed = next(each for each in house.wait_for_messages(SENDER, 2) if each != delayed).read_bytes()
    for words in (
        b"Action: failed",
        b"Status: 5.4.7",
        b"450 4.2.0 come again",
        b"Remote-MTA: dns; mx.never.example",
        b"body",
    ):
        assert words in failed
    wait_until(lambda: not waiting(house), 30, house.said)
    assert event(house, "failed", final_recipient="ann@never.example")["status"] == "5.4.7"
    assert len(house.messages(SENDER)) == 2


def test_held_mail_waits_over_a_restart_until_it_is_released(house, world):
    """Held by its sender; the scheduler is killed; released, it goes. Somebody else's goes meanwhile."""
    stub = world.host("held.example", Manners(answers={b"RCPT": b"450 4.2.0 come again"}))
    house.send("ann@held.example", CONTENT, SENDER)
    event(house, "deferred", final_recipient="ann@held.example")
    assert queue(house, "hold", "--sender", SENDER) == {"messages": 1}
    stub.manners.answers.clear()
    house.wait_for_restart("scheduler", house.kill("scheduler"))
    (message,) = wait_until(lambda: waiting(house), 30, house.said)
    assert message["state"] == "held"
    shown = queue(house, "show", message["queue_id"])
    assert [each["forward_path"] for each in shown["of_recipients"]] == ["ann@held.example"]
    house.postern("queue", "flush")
    time.sleep(0.5)
    assert not any(stub.contents)
    assert queue(house, "release", message["queue_id"]) == {"messages": 1}
    event(house, "relayed", final_recipient="ann@held.example")


def test_removed_mail_is_gone_and_nobody_hears_of_it(house, world):
    """No notification, no delivery; counted in the log."""
    world.host("gone.example", Manners(answers={b"RCPT": b"450 4.2.0 come again"}))
    house.send("ann@gone.example", CONTENT, SENDER)
    event(house, "deferred", final_recipient="ann@gone.example")
    (message,) = waiting(house)
    house.postern("queue", "remove", message["queue_id"])
    event(house, "removed", queue_id=message["queue_id"])
    wait_until(lambda: not waiting(house), 30, house.said)
    assert house.messages(SENDER) == []
    assert house.postern("queue", "show", message["queue_id"], check=False).returncode == 1


def test_mail_survives_everybody_being_killed_and_arrives(house, world):
    """Put off, then everything is killed and started again: it is tried within the next minutes, or when it is told to."""
    stub = world.host("again.example", Manners(answers={b"RCPT": b"450 4.2.0 come again"}))
    house.send("ann@again.example", CONTENT, SENDER)
    event(house, "deferred", final_recipient="ann@again.example")
    stub.manners.answers.clear()
    house.kill_all()
    house.start()
    house.postern("queue", "flush")
    event(house, "relayed", final_recipient="ann@again.example")
    assert len([content for content in stub.contents if content]) == 1, "beside the end of a pipelined, refused one"


def test_an_order_without_a_meaning_is_refused_in_one_line(house):
    """No messages named, some named twice, or unknown ones."""
    for arguments in (("hold",), ("hold", "--all", "--domain", "x.test"), ("release", "0" * 20)):
        result = house.postern("queue", *arguments, check=False)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1), result
