"""Records as octets: read as they were written, also those that an earlier version wrote, and nothing else."""

import pytest

from mta.snapshot.records import (
    Alias,
    AppPasswords,
    Autoreply,
    Conditions,
    Domain,
    Host,
    Mailbox,
    Pattern,
    RecordError,
    Relayed,
    Route,
    Routed,
    Rules,
    Senders,
    Sending,
    SigningKeys,
    Source,
    Tenant,
    pack_record,
    unpack_record,
)
from mta.wire.netstring import pack


@pytest.mark.parametrize(
    "record",
    [
        Domain(b"1"),
        Domain(b"1", validation=b"data", greylist=True, dnsbl=False, next_hop=b"mx.next.example:25", source=b"list"),
        Mailbox(b"Bob@one.example", b"bob", 10, suspended=True, keep_copy=False, targets=(b"x@y.example",)),
        Domain(b"1", batv=True, language=b"de"),
        Domain(b"1", tag_separator=b"", local_only=b"tenant"),
        Alias((b"ann@one.example",)),
        Alias((), b"members"),
        Alias((b"ann@one.example",), b"listed", (b"bob@else.example", b"friends.example")),
        Pattern(b"ann@one.example"),
        Mailbox(b"Bob@one.example", b"bob", keep_copy=False, targets=(b"x@y.example",), conditions=Conditions()),
        Mailbox(
            b"Bob@one.example",
            b"bob",
            targets=(b"x@y.example",),
            conditions=Conditions((b"ann@one.example", b".two.example"), (b"in, voice:",), 10, 20, b"no"),
        ),
        Autoreply(0, 0, b"", b"", b"text"),
        Autoreply(1_700_000_000, 1_800_000_000, b"Bob", b"Away", b"two\nlines"),
        Host(b"mx.example", b"postmaster@mx.example", (b"\0new", b"old")),
        Tenant(b"1", suspended=True, forwards_outside=False),
        Domain(b"1", send_as_any=True, sends_per_hour=10, sends_per_day=100),
        Tenant(b"1", sends_per_hour=10, sends_per_day=100),
        AppPasswords((b"\x01one", b"\x01two")),
        Senders(()),
        Senders((b"ann@one.example",)),
        Sending(),
        Sending(0, 50, brake=False, braked=True, released=1_700_000_000),
        Relayed(),
        Rules(()),
        Rules((b"allow", b"192.0.2.0/24", b"deny", b".bad.example")),
        Source(b"ldap", (b"url", b"ldap://127.0.0.1")),
        SigningKeys(b"one.example", ()),
        SigningKeys(b"one.example", (b"s", b"rsa-sha256", b"\x01k", b"t", b"ed25519-sha256", b"\x01l")),
        Routed(),
        Route(),
        Route(
            b"relay.example:587",
            b"verify",
            lmtp=True,
            login=b"us",
            sealed_password=b"\x01",
            source_address=b"192.0.2.1",
        ),
    ],
)
def test_a_record_is_read_as_it_was_written(record):
    """Every field, also those with defaults."""
    assert unpack_record(pack_record(record)) == record


def test_a_domain_without_the_later_fields_has_their_defaults():
    """An upgrade does not wait for the compiler: what the version before published is read."""
    old = pack([b"domain", b"7", b"1", b"", b"all@one.example", b"rcpt"])
    assert unpack_record(old) == Domain(b"7", suspended=True, catch_all=b"all@one.example")
    old = pack([b"domain", b"7", b"0", b"", b"", b"rcpt", b"1", b"0", b"", b""])
    assert unpack_record(old) == Domain(b"7", greylist=True, dnsbl=False)
    assert unpack_record(pack([b"host", b"mx.example", b"p@mx.example"])) == Host(b"mx.example", b"p@mx.example")
    assert unpack_record(pack([b"tenant", b"1", b"1"])) == Tenant(b"1", suspended=True)


@pytest.mark.parametrize(
    "fields",
    [
        [b"domain", b"7", b"1", b"", b"", b"rcpt", b"1"],
        [b"group", b"everybody", b"", b"ann@one.example"],
        [b"group", b"listed", b"no netstrings", b"ann@one.example"],
        [b"group", b"members"],
        [b"pattern"],
        [b"domain", b"7", b"1", b"", b"", b"rcpt", b"1", b"x", b"", b""],
        [b"domain", b"7", b"1", b"", b"", b"rcpt", b"1", b"0", b"", b"", b"1"],
        [b"host", b"mx.example", b"p@mx.example", b"3:abc"],
        [b"tenant", b"1", b"0", b"1", b"1"],
        [b"relayed", b"x"],
        [b"rules", b"allow"],
        [b"rules", b"perhaps", b"192.0.2.0/24"],
        [b"source"],
        [b"source", b"ldap", b"url"],
        [b"signing-keys", b"one.example", b"s"],
        [b"routed", b"x"],
        [b"route", b"relay.example:25"],
        [b"route", b"relay.example:25", b"perhaps", b"0", b"", b"", b""],
        [b"sending", b"1"],
        [b"sending", b"x", b"0", b"1", b"0", b"0"],
        [b"strange"],
        [],
    ],
)
def test_what_nobody_wrote_so_is_no_record(fields):
    """Half a record must not become one with defaults."""
    with pytest.raises(RecordError):
        unpack_record(pack(fields))
