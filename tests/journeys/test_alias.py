"""The way remote -> alias -> several mailboxes, and its kin: catch-all, tag, alias domain, forward."""

import pytest

from tests.fixtures.house import wait_until
from tests.fixtures.served import DOMAIN, content_of

pytestmark = pytest.mark.journey

CONTENT = b"Subject: to many\r\n\r\nbody\r\n"


def send(house, to):
    house.wait_until_known(to)
    house.send(to, CONTENT)


def only_message(house, address):
    (path,) = house.wait_for_messages(address)
    octets = path.read_bytes()
    assert content_of(octets) == CONTENT.replace(b"\r\n", b"\n")
    return octets


def test_an_alias_reaches_each_of_its_targets_once(served, mailbox):
    """Each copy names its own mailbox in Delivered-To; the envelope's sender stays the sender."""
    targets = [mailbox(f"team{n}") for n in range(3)]
    served.add_alias(f"team@{DOMAIN}", *targets)
    send(served, f"team@{DOMAIN}")
    for target in targets:
        octets = only_message(served, target)
        assert octets.startswith(b"Return-Path: <someone@client.test>\nDelivered-To: %b\n" % target.encode())


def test_an_alias_of_an_alias_and_a_target_named_twice(served, mailbox):
    """However many ways lead to a mailbox, it gets the message once."""
    inner = mailbox("inner")
    served.add_alias(f"one@{DOMAIN}", inner)
    served.add_alias(f"both@{DOMAIN}", f"one@{DOMAIN}", inner)
    send(served, f"both@{DOMAIN}")
    only_message(served, inner)
    marker = mailbox("marker")
    send(served, marker)
    served.wait_for_messages(marker)
    assert len(served.messages(inner)) == 1


def test_two_recipients_of_one_message_that_are_one_mailbox(served, mailbox):
    address = mailbox("single")
    served.add_alias(f"other@{DOMAIN}", address)
    served.wait_until_known(f"other@{DOMAIN}")
    with served.smtp() as client:
        client.sendmail("a@client.test", [address, f"other@{DOMAIN}", address.upper()], CONTENT)
    served.wait_for_messages(address)
    marker = mailbox("marker2")
    send(served, marker)
    served.wait_for_messages(marker)
    assert len(served.messages(address)) == 1


def test_a_tag_goes_to_the_mailbox_unless_the_tagged_address_exists(served, mailbox):
    # In this order: once there is the plain one, both are known, and nobody could wait for the other.
    tagged, plain = mailbox("tags+own"), mailbox("tags")
    send(served, f"tags+any@{DOMAIN}")
    only_message(served, plain)
    send(served, tagged)
    # A plus sign is a plain character of a store's name.
    only_message(served, tagged)
    assert len(served.messages(plain)) == 1


def test_catch_all_takes_what_nobody_else_does(served):
    """And only that."""
    served.add_domain("catch.test")
    served.add_mailbox("all@catch.test")
    served.add_mailbox("joe@catch.test")
    served.wait_until_known("joe@catch.test")
    assert served.rcpt("anything@catch.test")[0] == 550
    served.postern("domain", "set", "catch.test", "--catch-all", "all@catch.test")
    send(served, "anything@catch.test")
    send(served, "joe@catch.test")
    only_message(served, "all@catch.test")
    only_message(served, "joe@catch.test")


def test_an_alias_domain_has_the_addresses_of_its_target(served, mailbox):
    address = mailbox("twin")
    served.postern("domain", "add", "twin.test", "--alias-of", DOMAIN)
    send(served, "twin@twin.test")
    only_message(served, address)
    code, text = served.rcpt("nobody@twin.test")
    assert (code, text[:5]) == (550, "5.1.1")


def test_a_forward_without_a_copy_leaves_none(served, mailbox):
    source, target = mailbox("gone"), mailbox("reached")
    served.postern("forward", "set", source, target, "--no-keep-copy")
    wait_until(lambda: _forwarded(served, source, target), 30, served.said)
    before = len(served.messages(source))
    send(served, source)
    served.wait_for_messages(target, 2)
    assert len(served.messages(source)) == before


def test_a_forward_with_a_copy_leaves_one(served, mailbox):
    source, target = mailbox("keeps"), mailbox("gets")
    served.postern("forward", "set", source, target, "--keep-copy")
    wait_until(lambda: _forwarded(served, source, target), 30, served.said)
    kept, got = len(served.messages(source)), len(served.messages(target))
    send(served, source)
    served.wait_for_messages(target, got + 1)
    served.wait_for_messages(source, kept + 1)


def test_a_cleared_forward_forwards_no_more(served, mailbox):
    source, target = mailbox("cleared"), mailbox("former")
    served.postern("forward", "set", source, target, "--no-keep-copy")
    wait_until(lambda: _forwarded(served, source, target), 30, served.said)
    served.postern("forward", "clear", source)
    wait_until(lambda: _arrives(served, source), 30, served.said)
    got = len(served.messages(target))
    send(served, source)
    marker = mailbox("marker3")
    send(served, marker)
    served.wait_for_messages(marker)
    assert len(served.messages(target)) == got


@pytest.mark.parametrize("name", ["postmaster", "abuse"])
def test_postmaster_and_abuse_of_every_domain_reach_somebody(served, name):
    """RFC 5321 4.5.1, RFC 2142: a domain without one of its own lends the host's."""
    served.add_domain(f"{name}.test")
    before = len(served.messages("postmaster@mx.house.test"))
    send(served, f"{name}@{name}.test")
    served.wait_for_messages("postmaster@mx.house.test", before + 1)


def _forwarded(house, source, target):
    """Send one and see whether it comes out at *target*: the snapshot is behind the command by a moment."""
    return _grows(house, source, target)


def _arrives(house, source):
    return _grows(house, source, source)


def _grows(house, to, at):
    before = len(house.messages(at))
    house.send(to, CONTENT)
    try:
        house.wait_for_messages(at, before + 1, 1.5)
    except AssertionError:
        return False
    return True
