"""Addresses that belong to somebody by a tag or a pattern, judged from records alone."""

import pytest

from mta.roles.directory.resolve import Obstacle, Resolver
from mta.snapshot.records import Alias, Domain, Host, Mailbox, Pattern, Relayed, Rules, Tenant, pack_record
from mta.vocabulary import CUTTING, MAX_CUTS, Word, pattern_prefixes, untagged

RECORDS = {
    b"h:": Host(b"mx.host.example", b"postmaster@mx.host.example"),
    b"t:1": Tenant(b""),
    b"d:mx.host.example": Domain(b"1"),
    b"a:postmaster@mx.host.example": Mailbox(b"postmaster@mx.host.example", b"p"),
    b"d:one.example": Domain(b"1", catch_all=b"all@one.example"),
    b"d:other-name.example": Domain(b"1", alias_of=b"one.example"),
    b"d:plain.example": Domain(b"1"),
    b"d:hyphen.example": Domain(b"1", tag_separator=b"-"),
    b"d:none.example": Domain(b"1", tag_separator=b""),
    b"d:passed.example": Domain(b"1", next_hop=b"hop.example:25", source=b"list"),
    b"x:ann-@passed.example": Pattern(b"known@passed.example"),
    b"a:known@passed.example": Relayed(),
}
for name in (b"one", b"plain", b"hyphen", b"none"):
    for local_part in (b"all", b"ann", b"ben", b"mary", b"mary-ann"):
        RECORDS[b"a:" + local_part + b"@" + name + b".example"] = Mailbox(local_part + b"@" + name, local_part)
    for prefix, holder in ((b"ann-", b"ann"), (b"ann-shop-", b"ben"), (b"a.", b"ann"), (b"gone-", b"nobody")):
        RECORDS[b"x:" + prefix + b"@" + name + b".example"] = Pattern(holder + b"@" + name + b".example")
RECORDS[b"a:ann-sales@one.example"] = Alias((b"ben@one.example",))


def resolver(**more):
    """And which keys it asked for."""
    found, asked = {key: pack_record(record) for key, record in {**RECORDS, **more}.items()}, []

    def get(key):
        asked.append(key)
        return found.get(key)

    return Resolver(get), asked


def holder_of(path, **more):
    ends = resolver(**more)[0].expand(path)
    return ends[0].store if isinstance(ends, list) else ends


@pytest.mark.parametrize(
    ("local_part", "holder"),
    [
        (b"ann-x", b"ann"),
        (b"ANN-X", b"ann"),
        (b"ann-x-y", b"ann"),
        (b"ann-shop-1", b"ben"),  # the longest
        (b"ann-shop-", b"ann"),  # a star stands for something
        (b"ann-", Obstacle.UNKNOWN),
        (b"ann_x", Obstacle.UNKNOWN),
        (b"annx", Obstacle.UNKNOWN),
        (b"a.b", b"ann"),
        (b"ann-x+tag", b"ann"),
        (b"ben+ann-x", b"ben"),  # a tag before a pattern
        (b"gone-x", Obstacle.UNKNOWN),  # nobody's any more
        (b"mary-ann", b"mary-ann"),
        ("ann-jö".encode(), b"ann"),
    ],
)
def test_an_address_that_nobody_holds_is_his_whose_pattern_it_fits(local_part, holder):
    """Of several the longest; an exact name and a tag come first."""
    assert holder_of(local_part + b"@plain.example") == holder


def test_an_exact_name_wins_and_a_catch_all_comes_last():
    """By each of the domain's names; and the mailbox's own access rules hold for what is its by a pattern."""
    assert holder_of(b"ann-sales@one.example") == b"ben"
    assert holder_of(b"ann-else@other-name.example") == b"ann"
    assert holder_of(b"anything@one.example") == b"all"
    judged, _ = resolver(**{b"r:ann@one.example".decode(): Rules(())})
    assert judged.judge(b"ann-else@one.example").scopes == ()
    rules = {b"r:ann@one.example": pack_record(Rules((b"deny", b"192.0.2.1")))}
    found = {key: pack_record(record) for key, record in RECORDS.items()} | rules
    (scope,) = Resolver(found.get).judge(b"ann-else@one.example").scopes
    assert scope.decide(b"192.0.2.1", b"") is False


def test_where_mail_is_only_passed_on_there_are_no_patterns():
    """Its names are made elsewhere."""
    assert resolver()[0].judge(b"ann-x@passed.example").word is Word.UNKNOWN


@pytest.mark.parametrize(
    ("domain", "local_part", "holder"),
    [
        (b"plain", b"ben+x", b"ben"), (b"plain", b"ben-x", Obstacle.UNKNOWN),
        (b"hyphen", b"ben-x", b"ben"), (b"hyphen", b"ben-x-y", b"ben"), (b"hyphen", b"ben+x", Obstacle.UNKNOWN),
        (b"hyphen", b"mary-ann-x", b"mary-ann"), (b"hyphen", b"mary-x-ann", b"mary"), (b"hyphen", b"-ben", Obstacle.UNKNOWN),
        (b"hyphen", b"ann-x", b"ann"), (b"hyphen", b"ann-shop-1", b"ann"),  # a tag before a pattern
        (b"hyphen", b"postmaster-x", b"p"), (b"plain", b"postmaster+x", b"p"),
        (b"none", b"ben+x", Obstacle.UNKNOWN), (b"none", b"ben-x", Obstacle.UNKNOWN), (b"none", b"ann-x", b"ann"),
        (b"none", b"postmaster+x", Obstacle.UNKNOWN), (b"none", b"postmaster", b"p"),
    ],
)  # fmt: skip
def test_each_domain_says_what_a_tag_stands_behind(domain, local_part, holder):
    """A plus sign, a hyphen (then the longest name that exists is meant), or there are none."""
    assert holder_of(local_part + b"@" + domain + b".example") == holder


@pytest.mark.parametrize("name", [b"plain", b"hyphen", b"none"])
def test_how_often_is_looked_hangs_on_the_spelling_alone(name):
    """However the domain is filled: so time tells nothing of it, and no spelling makes it much."""
    at = b"@" + name + b".example"

    def looks(local_part, **more):
        judged, asked = resolver(**more)
        judged.expand(b"warm-up" + at)
        del asked[:]
        judged.expand(local_part + at)
        return len(asked)

    worst = b"x" + CUTTING * 15
    assert looks(b"nobody") == 1
    assert looks(worst) <= 1 + MAX_CUTS + MAX_CUTS
    assert looks(b"zoe-x") == looks(b"yan-x") == looks(b"fay-x")
    assert len(pattern_prefixes(worst)) == MAX_CUTS >= len(untagged(worst, b"-"))


def test_cuts_are_the_first_ones_the_longest_first():
    """So that whoever makes a pattern can be told that it would never be found."""
    assert pattern_prefixes(b"a-b_c.d+e-f") == [b"a-b_c.d+", b"a-b_c.", b"a-b_", b"a-"]
    assert pattern_prefixes(b"-a") == pattern_prefixes(b"a-") == pattern_prefixes(b"") == []
    assert untagged(b"a+b+c", b"+") == [b"a"]
    assert untagged(b"a-b-c", b"-") == [b"a-b", b"a"]
    assert untagged(b"a-b", b"") == untagged(b"+a", b"+") == []
