"""One question, and what may come back for it."""

import dns.flags
import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.resolver.query import ANSWER, MAX_OCTETS, NONE, NXDOMAIN, Answer, Other, Query, QueryError, bounded


def answer_to(query: Query, *records: str, kind: str = "A", flags: int = 0, rcode: int = 0) -> dns.message.Message:
    question = dns.message.from_wire(query.octets)
    answer = dns.message.make_response(question)
    answer.flags |= flags
    answer.set_rcode(rcode)
    if records:
        answer.answer.append(dns.rrset.from_text_list(question.question[0].name, 60, "IN", kind, records))
    return answer


@pytest.mark.parametrize(
    ("kind", "records", "read"),
    [
        ("A", ["192.0.2.1"], (b"192.0.2.1",)),
        ("AAAA", ["2001:db8::1"], (b"2001:db8::1",)),
        ("PTR", ["Mail.Example.TEST."], (b"mail.example.test",)),
        ("MX", ["10 MX.example.test."], (b"10 mx.example.test",)),
        ("MX", ["0 ."], (b"0 .",)),  # RFC 7505: no mail at all
        ("TXT", ['"v=spf1 " "-all"'], (b"v=spf1 -all",)),
        ("CNAME", ["Other.Example.TEST."], (b"other.example.test",)),
        ("TLSA", ["3 1 1 " + "AB" * 32], (b"3 1 1 " + b"ab" * 32,)),
    ],
)
def test_each_kind_is_told_as_text(kind: str, records: list[str], read: tuple[bytes, ...]) -> None:
    """Names in lower case and without the last dot, the strings of one TXT record joined."""
    query = Query(b"example.test", kind.encode())
    assert query.read(answer_to(query, *records, kind=kind).to_wire()) == Answer(ANSWER, False, read, 60)


def test_nothing_and_nobody_are_two_answers() -> None:
    """A name without such records, and a name that is not there; without SOA neither is kept long (RFC 2308 5)."""
    query = Query(b"example.test", b"A")
    assert query.read(answer_to(query).to_wire()) == Answer(NONE)
    assert query.read(answer_to(query, rcode=3).to_wire()) == Answer(NXDOMAIN)
    told = answer_to(query, rcode=3)
    told.authority.append(dns.rrset.from_text("test.", 300, "IN", "SOA", "a.test. b.test. 1 2 3 4 90"))
    assert query.read(told.to_wire()) == Answer(NXDOMAIN, ttl=90)


def test_the_authentic_flag_is_asked_for_and_passed_on() -> None:
    """AD in the question (RFC 6840 5.7), AD in the answer."""
    query = Query(b"example.test", b"A")
    asked = dns.message.from_wire(query.octets)
    assert asked.flags & dns.flags.AD
    assert asked.flags & dns.flags.RD
    said = query.read(answer_to(query, "192.0.2.1", flags=dns.flags.AD).to_wire())
    assert isinstance(said, Answer)
    assert said.secure


def test_what_does_not_match_is_strange() -> None:
    """Another id, a question instead of an answer, another name, another kind, less than a header."""
    query, other = Query(b"example.test", b"A"), Query(b"another.test", b"A")
    true = answer_to(query, "192.0.2.1").to_wire()
    assert query.read(bytes([true[0] ^ 1]) + true[1:]) is Other.STRANGE
    assert query.read(query.octets) is Other.STRANGE
    assert query.read(true[:2] + answer_to(other, "192.0.2.1").to_wire()[2:]) is Other.STRANGE
    assert query.read(true[:2] + answer_to(Query(b"example.test", b"MX")).to_wire()[2:]) is Other.STRANGE
    assert query.read(true[:11]) is Other.STRANGE


def test_other_capitals_are_seen() -> None:
    """A forger would have to guess them too; the letters of a long name are never all alike by chance."""
    query = Query(b"a-name-with-many-letters-in-it.example.test", b"A")
    answer = answer_to(query, "192.0.2.1")
    written = answer.question[0].name.to_text()
    assert written.lower() != written
    answer.question[0].name = dns.name.from_text(written.lower())
    assert query.read(answer.to_wire()) is Other.MISWRITTEN


def test_a_server_that_cannot_tell_is_believed_so() -> None:
    """SERVFAIL, REFUSED; with or without the question repeated."""
    query = Query(b"example.test", b"A")
    assert query.read(answer_to(query, rcode=2).to_wire()) is Other.UNABLE
    bare = answer_to(query, rcode=5)
    bare.question.clear()
    assert query.read(bare.to_wire()) is Other.UNABLE
    bare.set_rcode(0)
    assert query.read(bare.to_wire()) is Other.STRANGE


def test_a_pointer_that_leads_in_circles_is_no_answer() -> None:
    """RFC 1035 4.1.4: names are compressed by pointers; this one points at itself."""
    query = Query(b"example.test", b"A")
    looping = query.octets[:2] + bytes.fromhex("84000001000100000000c00cc00c00010001")
    assert query.read(looping) is Other.STRANGE


@pytest.mark.parametrize("name", [b"", b".", b"a..b", b"a" * 64, b"a b", b"\xff", b"a\\.b", b".".join([b"a" * 60] * 5)])
def test_not_every_text_is_a_name(name: bytes) -> None:
    """Nothing is sent for what no host can be called."""
    with pytest.raises(QueryError):
        Query(name, b"A")


@given(st.binary(max_size=600))
def test_no_octets_raise(octets: bytes) -> None:
    """Whatever comes with the right id is read, or is strange; never an exception."""
    query = Query(b"example.test", b"TXT")
    query.read(octets)
    query.read(query.octets[:2] + b"\x84\x00" + octets)
    assert query.read(query.octets[:2] + b"\x86\x00" + octets.ljust(8, b"\0")) is Other.TRUNCATED


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.data())
def test_no_spoilt_answer_raises(places: list[int], data: st.DataObject) -> None:
    """A true answer with octets changed: an answer, something else, never an exception."""
    query = Query(b"example.test", b"MX")
    octets = bytearray(answer_to(query, "10 mx.example.test.", "20 mx.example.test.", kind="MX").to_wire())
    for place in places:
        octets[place % len(octets)] = data.draw(st.integers(0, 255))
    assert isinstance(query.read(bytes(octets)), Answer | Other)


def test_an_answer_fits_into_a_packet() -> None:
    """What is too long alone is left out, and what comes after the packet is full."""
    assert bounded([b"x" * 5000, b"y"]) == (b"y",)
    assert len(bounded([b"%d" % number for number in range(500)])) == 100
    assert sum(map(len, bounded([b"z" * 4000] * 90))) <= MAX_OCTETS
