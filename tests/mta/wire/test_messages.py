"""Every message of the language, in both directions, and everything that is none."""

import typing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta import roster
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.netstring import MAX_MESSAGE, WireError, pack, unpack

KINDS = sorted(
    (
        kind
        for kind in vars(m).values()
        if isinstance(kind, type) and issubclass(kind, m.Message) and kind is not m.Message
    ),
    key=lambda kind: kind.__name__,
)
EVERYTHING = frozenset(KINDS)


def value_of(hint: object) -> st.SearchStrategy:
    if typing.get_origin(hint) is tuple:
        return st.lists(value_of(typing.get_args(hint)[0]), max_size=4).map(tuple)
    if hint is int:
        return st.integers(0, m.MAX_INT - 1)
    if hint is bool:
        return st.booleans()
    return st.binary(max_size=min(200, typing.get_args(hint)[1].octets))


def any_of(kind: type[m.Message]) -> st.SearchStrategy:
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: value_of(hints[name]) for name in kind.__match_args__})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_a_message_is_read_as_it_was_written(kind: type[m.Message], data: st.DataObject) -> None:
    """And its packet is nothing but its verb and its fields, in order."""
    message = data.draw(any_of(kind))
    packet = message.encode()
    assert m.read_message(unpack(packet), EVERYTHING) == message
    assert unpack(packet)[0] == kind.verb


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_field_too_few_or_too_many_is_refused(kind: type[m.Message]) -> None:
    """Truncated and padded messages are nonsense, not messages with defaults."""
    hints = typing.get_type_hints(kind, include_extras=True)
    plain = [name for name in kind.__match_args__ if typing.get_origin(hints[name]) is not tuple]
    fields = [b"1" for _ in plain]
    if plain:
        with pytest.raises(WireError):
            m.read_message([kind.verb, *fields[:-1]], EVERYTHING)
    if len(plain) == len(kind.__match_args__):
        with pytest.raises(WireError):
            m.read_message([kind.verb, *fields, b"1"], EVERYTHING)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_bounded(kind: type[m.Message]) -> None:
    """One octet over a field's bound and the message is refused: the writer may have been taken over."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for place, name in enumerate(kind.__match_args__):
        hint = hints[name]
        hint = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else hint
        wrong = (
            [b"x" * (typing.get_args(hint)[1].octets + 1)]
            if hint not in (int, bool)
            else [b"-1", b"01", b"", b"2x", b"9" * 20]
        )
        for value in wrong:
            fields = [b"1"] * len(kind.__match_args__)
            fields[place] = value
            with pytest.raises(WireError):
                m.read_message([kind.verb, *fields], EVERYTHING)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_junk_is_refused_and_never_more(fields: list[bytes]) -> None:
    """Any fields whatever give a message or a WireError, no other exception."""
    for verb in (None, *(kind.verb for kind in KINDS)):
        try:
            m.read_message(fields if verb is None else [verb, *fields], EVERYTHING)
        except WireError:
            continue


def test_the_largest_block_fits_with_its_fields() -> None:
    """Content of the largest block is one packet, whatever stands beside it."""
    packet = m.Content(m.MAX_INT - 1, last=False, block=b"x" * 60 * 1024).encode()
    assert len(packet) <= MAX_MESSAGE
    assert len(m.Original(m.MAX_INT - 1, True, b"x" * 60 * 1024).encode()) <= MAX_MESSAGE


def test_what_does_not_fit_is_refused_where_it_is_written() -> None:
    """A packet over the bound never leaves."""
    with pytest.raises(WireError):
        m.Event(b"big", (b"x" * 1000,) * 80).encode()


def test_only_what_the_channel_permits_is_understood() -> None:
    """The same octets are a message on one channel and nonsense on another."""
    packet = unpack(m.OfferDsn(1, b"0" * 20, b"mac").encode())
    assert isinstance(m.read_message(packet, permits.readable_by_server("bouncer", "enqueuer")), m.OfferDsn)
    with pytest.raises(WireError):
        m.read_message(packet, permits.readable_by_server("smtpd", "enqueuer"))


def test_every_edge_has_its_permits_and_no_permit_lacks_an_edge() -> None:
    """The table of permits and the roster's edges tell of the same channels."""
    for edge in roster.EDGES:
        assert permits.readable_by_server(edge.client, edge.server), edge
        permits.readable_by_client(edge.client, edge.server)
    with pytest.raises(KeyError):
        permits.readable_by_server("smtpd", "scheduler")


def test_an_unknown_verb_is_refused() -> None:
    """As is a packet without any."""
    with pytest.raises(WireError):
        m.read_message([b"no-such-verb"], EVERYTHING)
    with pytest.raises(WireError):
        m.read_message([], EVERYTHING)
    assert pack([]) == b""
