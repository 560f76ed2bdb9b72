"""`postern app-password`, `sender` and `sending`."""

import pytest


@pytest.fixture
def own(postern):
    """A mailbox with a password."""
    postern("domain", "add", "example.org")
    postern("mailbox", "add", "jo@example.org", "--password-stdin", stdin="long enough\n")
    return postern


def test_an_app_password_is_printed_once(own):
    """Its secret is all of the output, so that a script can take it."""
    made = own("app-password", "add", "jo@example.org", "phone")
    assert made.code == 0
    assert len(made.out.strip()) == 23
    assert "not shown again" in made.err
    assert [row["name"] for row in own("app-password", "list", "jo@example.org", "--json").data] == ["phone"]
    assert own("app-password", "remove", "jo@example.org", "phone").out == "revoked phone\n"
    assert own("app-password", "remove", "jo@example.org", "phone").code == 1


def test_senders(own):
    """Given, listed, taken."""
    assert own("sender", "add", "jo@example.org", "info@example.org").code == 0
    assert own("sender", "list", "jo@example.org", "--json").data == [{"sender": "info@example.org"}]
    assert own("sender", "remove", "jo@example.org", "info@example.org").code == 0


def test_limits_of_a_mailbox_a_domain_and_a_tenant(own):
    """`default` takes the word back."""
    for subject in ("jo@example.org", "example.org"):
        changed = own("sending", "set", subject, "--per-hour", "5", "--per-day", "0", "--json").data
        assert (changed["per_hour"], changed["per_day"]) == (5, 0)
        assert own("sending", "set", subject, "--per-hour", "default", "--json").data["per_hour"] is None
        assert own("sending", "show", subject, "--json").data["per_day"] == 0
    assert own("sending", "set", "example.org", "--any-address", "--json").data["any_address"] is True
    assert own("sending", "set", "jo@example.org", "--no-brake", "--json").data["brake"] is False
    assert own("sending", "set", "jo@example.org", "--per-hour", "many").code == 1
    assert own("sending", "braked", "--json").data == []
    assert own("sending", "release", "jo@example.org").code == 1


def test_a_hash_with_its_schemes_name_is_taken(own):
    """As Dovecot writes it; what nobody could check is refused with the known ones."""
    good = "{PLAIN-MD5}5f4dcc3b5aa765d61d8327deb882cf99"
    assert own("mailbox", "add", "mo@example.org", "--password-hash", good, "--json").data["has_password"] is True
    bad = own("mailbox", "add", "no@example.org", "--password-hash", "{CRAM-MD5}x")
    assert bad.code == 1
    assert "SHA512-CRYPT" in bad.err
