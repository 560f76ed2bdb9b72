"""The proofs between roles hold for exactly what they say, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.wire import tickets

KEY = b"k" * tickets.KEY_OCTETS
SAID = {
    "session": b"session-1",
    "reverse_path": b"from@elsewhere.example",
    "forward_path": b"to@here.example",
    "counted": b"to@here.example",
    "expiry": 1_800_000_000,
}
NOW = 1_799_999_000


def test_a_ticket_holds_for_what_it_says():
    """What the directory said yes to, the enqueuer believes."""
    assert tickets.ticket_holds(KEY, tickets.ticket(KEY, **SAID), **SAID, now=NOW)


@pytest.mark.parametrize("field", sorted(SAID))
def test_a_ticket_with_any_field_changed_does_not_hold(field):
    """A forger who keeps the MAC and changes one field is refused, whichever field it is."""
    mac = tickets.ticket(KEY, **SAID)
    value = SAID[field]
    for forged in (value + 1, value - 1) if isinstance(value, int) else (value + b"x", value[:-1], b"", value.upper()):
        assert not tickets.ticket_holds(KEY, mac, **{**SAID, field: forged}, now=NOW), (field, forged)


def test_a_ticket_does_not_hold_after_its_expiry():
    """The last second counts, the one after does not."""
    mac = tickets.ticket(KEY, **SAID)
    assert tickets.ticket_holds(KEY, mac, **SAID, now=SAID["expiry"])
    assert not tickets.ticket_holds(KEY, mac, **SAID, now=SAID["expiry"] + 1)


def test_octets_cannot_move_from_one_field_to_its_neighbour():
    """Fields are length-prefixed: the same octets, cut elsewhere, are another statement."""
    mac = tickets.ticket(KEY, b"s", b"ab", b"cd", b"", 1)
    assert not tickets.ticket_holds(KEY, mac, b"s", b"abc", b"d", b"", 1, now=0)
    assert not tickets.ticket_holds(KEY, mac, b"sa", b"b", b"cd", b"", 1, now=0)


@given(st.binary(max_size=64))
def test_no_other_mac_and_no_other_key_holds(mac):
    """Guessing does not help, and neither does a key of another start."""
    assert mac == tickets.ticket(KEY, **SAID) or not tickets.ticket_holds(KEY, mac, **SAID, now=NOW)
    assert not tickets.ticket_holds(b"q" * 32, tickets.ticket(KEY, **SAID), **SAID, now=NOW)


def test_a_session_token_binds_session_and_client():
    """A session cannot claim another client's address, nor a client another session."""
    token = tickets.session_token(KEY, b"session-1", b"192.0.2.1")
    assert tickets.session_token_holds(KEY, token, b"session-1", b"192.0.2.1")
    assert not tickets.session_token_holds(KEY, token, b"session-2", b"192.0.2.1")
    assert not tickets.session_token_holds(KEY, token, b"session-1", b"192.0.2.2")
    assert not tickets.session_token_holds(KEY, token, b"session-11", b"92.0.2.1")


def test_an_authority_is_for_one_message():
    """The bouncer may see the header of the message it was told of, and of no other; and all of it only when told so."""
    authority = tickets.original_authority(KEY, b"0006543210fedcba0001", full=False)
    assert tickets.original_authority_holds(KEY, authority, b"0006543210fedcba0001", full=False)
    assert not tickets.original_authority_holds(KEY, authority, b"0006543210fedcba0001", full=True)
    assert not tickets.original_authority_holds(KEY, authority, b"0006543210fedcba0002", full=False)


LOGIN = {"session": b"session-1", "identity": b"ann@here.example", "expiry": 1_800_000_000}
SENDER = {
    "session": b"session-1",
    "identity": b"ann@here.example",
    "address": b"info@here.example",
    "until": 1_800_000_000,
}


@pytest.mark.parametrize("field", sorted(LOGIN))
def test_a_login_ticket_holds_for_what_it_says(field):
    """One session, one mailbox, one moment of ending."""
    mac = tickets.login_ticket(KEY, **LOGIN, credential=b"password")
    assert tickets.login_ticket_holds(KEY, mac, **LOGIN, now=LOGIN["expiry"])
    assert not tickets.login_ticket_holds(KEY, mac, **LOGIN, now=LOGIN["expiry"] + 1)
    value = LOGIN[field]
    for forged in (value + 1, value - 1) if isinstance(value, int) else (value + b"x", value[:-1], b""):
        assert not tickets.login_ticket_holds(KEY, mac, **{**LOGIN, field: forged}, now=NOW)


@pytest.mark.parametrize("field", sorted(SENDER))
def test_a_sender_ticket_holds_for_what_it_says(field):
    """Another address is another question."""
    mac = tickets.sender_ticket(KEY, **SENDER)
    assert tickets.sender_ticket_holds(KEY, mac, **SENDER, now=SENDER["until"])
    assert not tickets.sender_ticket_holds(KEY, mac, **SENDER, now=SENDER["until"] + 1)
    value = SENDER[field]
    for forged in (value + 1, value - 1) if isinstance(value, int) else (value + b"x", value[:-1], b""):
        assert not tickets.sender_ticket_holds(KEY, mac, **{**SENDER, field: forged}, now=NOW)


def test_a_proof_of_one_kind_never_holds_as_another():
    """Even with one key for all and the same octets in the fields."""
    same = tickets.session_token(KEY, b"a", b"full")
    assert not tickets.original_authority_holds(KEY, same, b"a", full=True)
    assert same not in {
        tickets.original_authority(KEY, b"a", full=True), tickets.ticket(KEY, b"a", b"full", b"", b"", 0),
        tickets.login_ticket(KEY, b"a", b"full", 0, b"password"), tickets.sender_ticket(KEY, b"a", b"full", b"", 0),
    }  # fmt: skip


def test_a_key_that_proves_nothing_is_refused():
    """An empty key in the settings stops the role instead of making proofs anybody can forge."""
    with pytest.raises(ValueError, match="short"):
        tickets.session_token(b"", b"s", b"c")
