"""What fails after it was accepted: a notification, a notification about a notification, and an end."""

import contextlib
import email
import email.policy
import signal

import pytest

from appliance.errors import Taken
from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = pytest.mark.journey

SENDER = f"ann@{DOMAIN}"
POSTMASTER = "postmaster@mx.house.test"
CONTENT = b"From: <ann@example.test>\r\nSubject: will not arrive\r\nMessage-ID: <1@x>\r\n\r\nsecret body\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A sender who is hosted here."""
    with House(tmp_path_factory.mktemp("bounces") / "house", settings=PATIENT) as house:
        house.add_domain(DOMAIN)
        house.add_mailbox(SENDER)
        house.wait_until_known(SENDER)
        yield house


@pytest.fixture
def house(running):
    """With a recipient who is hosted here too, but will not be for long."""
    running.turn_page()
    with contextlib.suppress(Taken):
        running.add_domain("gone.test")
    with contextlib.suppress(Taken):
        running.add_mailbox("joe@gone.test")
    running.wait_until_known("joe@gone.test")
    return running


@contextlib.contextmanager
def held(house):
    """Messages are accepted and wait: the scheduler stands still."""
    house.kill("scheduler", number=signal.SIGSTOP)
    try:
        yield
    finally:
        house.kill("scheduler", number=signal.SIGCONT)


def wait_until_refused(house, address):
    wait_until(lambda: house.rcpt(address)[0] == 550, 30, house.said)


def notification(path):
    """A delivered notification: its Return-Path line, the parsed message, the fields of its delivery-status part by group."""
    octets = path.read_bytes()
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    text, status, original = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert original.get_content_type() in ("text/rfc822-headers", "message/rfc822")
    return octets.split(b"\n")[0], message, status.get_payload(), original.as_bytes()


@pytest.mark.parametrize("removed", ["mailbox", "domain"])
def test_what_is_queued_for_somebody_who_is_then_removed_comes_back_to_its_sender(house, removed):
    """RFC 3464, with the null reverse-path; the header of the original and not its body."""
    with held(house):
        house.send("joe@gone.test", CONTENT, SENDER)
        if removed == "domain":
            house.postern("mailbox", "remove", "joe@gone.test")
            house.postern("domain", "remove", "gone.test")
        else:
            house.postern("mailbox", "remove", "joe@gone.test")
        wait_until_refused(house, "joe@gone.test")
    (path,) = house.wait_for_messages(SENDER)
    return_path, message, (of_message, of_recipient), original = notification(path)
    assert return_path == b"Return-Path: <>"
    assert message["Auto-Submitted"].startswith("auto-")
    assert of_message["Reporting-MTA"] == "dns; mx.house.test"
    assert "joe@gone.test" in of_recipient["Final-Recipient"]
    assert of_recipient["Action"] == "failed"
    # RFC 3463: no such mailbox, or (the domain itself is gone) no way there.
    assert of_recipient["Status"] == {"mailbox": "5.1.1", "domain": "5.4.4"}[removed]
    assert b"Subject: will not arrive" in original
    assert b"secret body" not in path.read_bytes()


def test_who_of_several_failed_is_said_and_the_others_have_it(house):
    with held(house):
        with house.smtp() as client:
            client.sendmail(SENDER, ["joe@gone.test", POSTMASTER], CONTENT)
        house.postern("mailbox", "remove", "joe@gone.test")
        wait_until_refused(house, "joe@gone.test")
    (path,) = house.wait_for_messages(SENDER)
    _, _, groups, _ = notification(path)
    assert len(groups) == 2
    assert "joe@gone.test" in groups[1]["Final-Recipient"]
    house.wait_for_messages(POSTMASTER)


@pytest.mark.parametrize("reverse_path", ["", "stranger@elsewhere.test"])
def test_a_bounce_that_fails_goes_to_the_postmaster_and_to_nobody_else(house, reverse_path):
    """One for the null reverse-path that failed here, one for a notification that has nowhere to go."""
    with held(house):
        house.send("joe@gone.test", CONTENT, reverse_path)
        house.postern("mailbox", "remove", "joe@gone.test")
        wait_until_refused(house, "joe@gone.test")
    (path,) = house.wait_for_messages(POSTMASTER)
    assert path.read_bytes().startswith(b"Return-Path: <>\n")
    wait_until(lambda: not [each for each in (house.state / "spool").rglob("*") if each.is_file()], 20, house.said)
    assert len(house.messages(POSTMASTER)) == 1
    assert house.messages(SENDER) == []


def test_a_double_bounce_that_fails_is_dropped_and_counted(house):
    """Nobody is left to tell; the journal is."""
    # The postmaster's mailbox can be neither removed nor suspended; but he may forward to somebody who goes.
    house.add_mailbox("deputy@gone.test")
    house.wait_until_known("deputy@gone.test")
    house.postern("forward", "set", POSTMASTER, "deputy@gone.test", "--no-keep-copy")
    with held(house):
        house.send("joe@gone.test", CONTENT, "")
        for address in ("joe@gone.test", "deputy@gone.test"):
            house.postern("mailbox", "remove", address)
            wait_until_refused(house, address)
    wait_until(lambda: house.events("double-bounce-dropped"), 20, house.said)
    wait_until(lambda: not [each for each in (house.state / "spool").rglob("*") if each.is_file()], 20, house.said)
    house.postern("forward", "clear", POSTMASTER)


def test_a_loop_by_delivered_to_comes_back_as_5_4_6(house):
    """A message that this mailbox has had before: not delivered again, and its sender learns why."""
    looping = b"Delivered-To: joe@gone.test\r\n" + CONTENT
    house.send("joe@gone.test", looping, SENDER)
    (path,) = house.wait_for_messages(SENDER)
    _, _, groups, _ = notification(path)
    assert groups[1]["Status"] == "5.4.6"
    assert house.messages("joe@gone.test") == []


def test_nothing_comes_back_for_what_was_delivered(house):
    house.send("joe@gone.test", CONTENT, SENDER)
    house.wait_for_messages("joe@gone.test")
    wait_until(lambda: not [each for each in (house.state / "spool").rglob("*") if each.is_file()], 20, house.said)
    assert house.messages(SENDER) == []


def test_a_domain_that_refuses_nobody_sends_backscatter_and_it_is_counted(house):
    """Validation `off`: the one setting that breaks promise P3, and what the figure of it is for."""
    house.expects_backscatter = True
    house.postern("domain", "set", "gone.test", "--validation", "off")
    house.wait_until_known("nobody@gone.test")
    house.send("nobody@gone.test", CONTENT, "stranger@elsewhere.test")
    (event,) = wait_until(lambda: house.events("backscatter"), 20, house.said)
    assert (event["reverse_path"], event["forward_path"]) == ("stranger@elsewhere.test", "nobody@gone.test")
    house.send("nobody@gone.test", CONTENT, SENDER)
    house.wait_for_messages(SENDER)
    house.settle()
    assert len(house.events("backscatter")) == 1, "a sender of ours is no outsider"
