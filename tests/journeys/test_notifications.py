"""Notifications that a sender asked for at MAIL and RCPT (RFC 3461), through the whole house."""

import email
import email.policy

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = pytest.mark.journey

SENDER, JOE, TEAM = f"ann@{DOMAIN}", f"joe@{DOMAIN}", f"team@{DOMAIN}"
CONTENT = b"From: <ann@example.test>\r\nSubject: hello\r\nMessage-ID: <1@x>\r\n\r\nthe body\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A sender, a recipient and an alias of both."""
    with House(tmp_path_factory.mktemp("notifications") / "house", settings=PATIENT) as house:
        house.add_domain(DOMAIN)
        for address in (SENDER, JOE):
            house.add_mailbox(address)
        house.add_alias(TEAM, SENDER, JOE)
        house.wait_until_known(TEAM)
        yield house


@pytest.fixture
def house(running):
    running.turn_page()
    return running


def send(house, recipients, mail_options, content=CONTENT):
    """One message with DSN parameters; *recipients*: address to RCPT options."""
    with house.smtp() as client:
        client.ehlo()
        assert client.has_extn("dsn")
        assert client.mail(SENDER, mail_options)[0] == 250
        for address, options in recipients.items():
            assert client.rcpt(address, options)[0] == 250
        assert client.data(content)[0] == 250


def notification(house, number=1):
    """The sender's *number*th message: parsed, and the groups of its delivery-status part."""
    path = house.wait_for_messages(SENDER, number)[-1]
    octets = path.read_bytes()
    assert octets.startswith(b"Return-Path: <>\n")
    message = email.message_from_bytes(octets, policy=email.policy.default)
    return message, list(message.iter_parts())[1].get_payload()


def emptied(house):
    wait_until(lambda: not [each for each in (house.state / "spool").rglob("*") if each.is_file()], 20, house.said)


def test_success_is_told_to_who_asked_with_his_own_words(house):
    """ENVID and ORCPT come back; who did not ask hears nothing of the other recipient."""
    recipients = {
        JOE: ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Joe+2Bx@old.test"],
        "postmaster@mx.house.test": [],
    }  # fmt: skip
    send(house, recipients, ["RET=HDRS", "ENVID=QQ+2B314"])
    house.wait_for_messages(JOE)
    message, groups = notification(house)
    assert message["Subject"] == "Mail was delivered"
    assert [group["Action"] for group in groups[1:]] == ["delivered"]
    assert groups[0]["Original-Envelope-Id"] == "QQ+314"
    assert groups[1]["Original-Recipient"] == "rfc822; Joe+x@old.test"
    assert groups[1]["Final-Recipient"] == f"rfc822; {JOE}"
    assert b"the body" not in message.as_bytes()
    emptied(house)
    (event,) = wait_until(lambda: house.events("notified"), 30, house.said)
    assert event["reverse_path"] == SENDER


def test_an_alias_is_expanded_and_its_members_stay_unnamed(house):
    """RFC 3461 5.2.7.3: one word for all who are behind it."""
    send(house, {TEAM: ["NOTIFY=SUCCESS"]}, [])
    house.wait_for_messages(JOE)
    emptied(house)
    reports = [p.read_bytes() for p in house.messages(SENDER) if b"multipart/report" in p.read_bytes()]
    assert len(reports) == 1
    assert b"Action: expanded" in reports[0]
    assert JOE.encode() not in reports[0].replace(b"\n", b"")


def test_a_failure_brings_the_message_back_when_asked_and_nothing_when_never(house):
    """RET=FULL and NOTIFY=NEVER, for mail that went round in a circle."""
    looping = f"Delivered-To: {JOE}\r\n".encode() + CONTENT
    send(house, {JOE: ["NOTIFY=NEVER"]}, ["RET=FULL"], looping)
    wait_until(lambda: house.events("failed"), 20, house.said)
    emptied(house)
    assert house.messages(SENDER) == []
    send(house, {JOE: ["NOTIFY=FAILURE"]}, ["RET=FULL"], looping)
    message, groups = notification(house)
    assert groups[1]["Action"] == "failed"
    original = list(message.iter_parts())[2]
    assert original.get_content_type() == "message/rfc822"
    assert "the body" in original.get_payload()[0].get_payload()
