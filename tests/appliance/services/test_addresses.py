"""Addresses and domains as people type them, and who answers for one."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Invalid
from appliance.services import addresses, aliases, domains, forwardings, mailboxes
from appliance.services.addresses import key_of, parse_address, parse_domain, show
from mta.vocabulary import fold_local_part
from tests.fixtures.database import HOST, OPERATOR

ATOMS = st.text(st.sampled_from("abcXYZ019!#$%&'*+/=?^_`{|}~-äÖßıİſΣς漢é"), min_size=1, max_size=8)
LOCAL_PARTS = st.lists(ATOMS, min_size=1, max_size=3).map(".".join).filter(lambda text: len(text.encode()) <= 40)


@given(LOCAL_PARTS)
def test_an_address_is_kept_as_given_and_compared_folded(local_part):
    """What is shown is what was typed; folding twice changes nothing more."""
    address = parse_address(f"{local_part}@Example.TEST")
    assert address.local_part == local_part
    assert address.domain == "example.test"
    folded = fold_local_part(local_part)
    assert fold_local_part(folded) == folded
    assert key_of(address) == f"{folded}@example.test"


@given(LOCAL_PARTS)
def test_case_and_composition_do_not_make_another_address(local_part):
    """JOE and joe are one person, and so are the two ways to write é."""
    plain = key_of(parse_address(f"{local_part}@example.test"))
    for other in (unicodedata.normalize("NFD", local_part), unicodedata.normalize("NFC", local_part)):
        assert key_of(parse_address(f"{other}@example.test")) == plain
    # upper() is not asked of every character: İ has no lower-case letter that leads back to it.
    if local_part.isascii():
        assert key_of(parse_address(f"{local_part.upper()}@EXAMPLE.test")) == plain


@given(st.text(max_size=40) | st.text(max_size=20).map(lambda text: f"{text}@example.test"))
def test_any_text_is_an_address_or_refused(text):
    """Never another kind of failure; what is accepted can be shown and typed again."""
    try:
        address = parse_address(text)
    except Invalid:
        return
    assert parse_address(show(address)) == address


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20))
def test_a_quoted_local_part_reads_back(inner):
    """RFC 5321 4.1.2: within quotes everything printable may stand."""
    quoted = inner.replace("\\", "\\\\").replace('"', '\\"')
    address = parse_address(f'"{quoted}"@example.test')
    assert address.local_part == inner
    assert parse_address(show(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "joe", "@example.test", "joe@", "joe@example", "joe@@example.test", ".joe@example.test", "joe.@example.test",
        "j..oe@example.test", "j oe@example.test", "joe@exa mple.test", "joe@-a.test", "joe@a-.test", "joe@[127.0.0.1]",
        "joe@127.0.0.1", "joe@example.123", "jo\x00e@example.test", "jo\u200be@example.test", "jo\u202ee@example.test",
        "jo\u00a0e@example.test", '"joe@example.test', '"jo"e"@example.test', '"jo\\"@example.test', '"jo\te"@example.test',
        "j" * 65 + "@example.test", "ä" * 33 + "@example.test", "joe@" + "a" * 64 + ".test", "joe@" + "a." * 126 + "test",
        "joe@xn--a.test", "joe@exa_mple.test", "<joe@example.test>", "a,b@example.test",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_its_field(text):
    """The field lets a form show the sentence beside the box."""
    with pytest.raises(Invalid) as caught:
        parse_address(text, "targets")
    assert caught.value.field == "targets"
    assert caught.value.code in ("bad_address", "bad_domain")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.TEST", "example.test"),
        ("example.test.", "example.test"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        (" example.test ", "example.test"),
    ],
)
def test_a_domain_has_one_form_inside(text, name):
    """The lower-case A-label, however it was typed."""
    assert parse_domain(text) == name


def exists(world, key: str) -> bool:
    return world.do(lambda session: addresses.next_of(session, key)) is not None


def test_who_answers_is_asked_in_the_order_of_the_directory(world):
    """Itself, without its tag, the host's postmaster for role addresses, nobody."""
    assert exists(world, "joe@own.test")
    assert exists(world, "joe+tag@own.test")
    assert exists(world, "postmaster@own.test")
    assert exists(world, "abuse+spam@own.test")
    assert not exists(world, "nobody@own.test")
    assert not exists(world, "nobody+tag@own.test")
    assert not exists(world, "+joe@own.test")
    assert not exists(world, "joe@elsewhere.test")


def test_a_catch_all_answers_for_the_rest(world):
    """Until it is taken away again."""
    world.do(lambda s: domains.update(s, "own.test", catch_all="joe@own.test", actor=OPERATOR))
    assert world.do(lambda s: addresses.next_of(s, "nobody@own.test")) == ["joe@own.test"]
    world.do(lambda s: domains.update(s, "own.test", catch_all=None, actor=OPERATOR))
    assert not exists(world, "nobody@own.test")


def test_another_name_of_a_domain_has_the_same_addresses(world):
    """A target there is one here."""
    world.do(lambda s: domains.create(s, "other.test", alias_of="own.test", actor=OPERATOR))
    world.do(lambda s: aliases.create(s, "a@own.test", ["joe@other.test"], actor=OPERATOR))
    with pytest.raises(Invalid, match="nobody"):
        world.do(lambda s: aliases.create(s, "b@own.test", ["nobody@other.test"], actor=OPERATOR))


def test_a_ring_is_named_whole(world):
    """Whoever is refused must see where it closes."""

    def build(session):
        for name in "abc":
            mailboxes.create(session, f"{name}@own.test", actor=OPERATOR)
        forwardings.put(session, "a@own.test", ["b@own.test"], actor=OPERATOR)
        forwardings.put(session, "b@own.test", ["joe@own.test", "c+x@own.test"], actor=OPERATOR)
        assert addresses.ring_from(session, "a@own.test") is None
        forwardings.put(session, "c@own.test", ["a@own.test"], actor=OPERATOR)

    with pytest.raises(Exception, match="ring") as caught:
        world.do(build)
    ring = "a@own.test → b@own.test → c+x@own.test → c@own.test → a@own.test"
    start = ring.split(" → ")[:-1]
    turned = [" → ".join([*start[n:], *start[:n], start[n]]) for n in range(4)]
    assert any(str(caught.value).endswith(text) for text in turned)


def test_a_wide_net_without_a_ring_is_looked_through_once(world):
    """Each of thirty levels names both of the next: a search that forgot where it had been would never end."""

    def build(session):
        for side in "ab":
            aliases.create(session, f"{side}0@own.test", ["joe@own.test"], actor=OPERATOR)
        for level in range(1, 30):
            for side in "ab":
                targets = [f"{other}{level - 1}@own.test" for other in "ab"]
                aliases.create(session, f"{side}{level}@own.test", targets, actor=OPERATOR)
        return addresses.ring_from(session, "a29@own.test")

    assert world.do(build) is None


def test_the_hosts_own_postmaster_ends_the_search(world):
    """He is a mailbox and not the next address of himself."""
    assert world.do(lambda s: addresses.next_of(s, f"postmaster@{HOST}")) == []
