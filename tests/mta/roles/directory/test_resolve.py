"""Where an address leads: the whole table, judged from records alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.record import replace
from mta.roles.directory.access import decide
from mta.roles.directory.outward import Beyond
from mta.roles.directory.resolve import MAX_DEPTH, Final, Obstacle, Resolver, split_path
from mta.snapshot.records import (
    Alias,
    Domain,
    Host,
    Mailbox,
    RecordError,
    Relayed,
    Rules,
    Tenant,
    pack_record,
)
from mta.vocabulary import Word

HOST = {
    b"h:": Host(b"mx.host.example", b"postmaster@mx.host.example"),
    b"t:1": Tenant(b""),
    b"t:2": Tenant(b"1"),
    b"t:3": Tenant(b"2"),
    b"d:mx.host.example": Domain(b"1"),
    b"a:postmaster@mx.host.example": Mailbox(b"postmaster@mx.host.example", b"postmaster"),
    b"d:one.example": Domain(b"3"),
}


def resolver(*records, **rest):
    found = {key: pack_record(record) for key, record in {**HOST, **dict(records)}.items()}
    return Resolver(found.get, **rest)


def mailbox(key, **rest):
    local_part = key.partition(b"@")[0]
    return b"a:" + key, Mailbox(key, local_part, **rest)


def alias(key, *targets):
    return b"a:" + key, Alias(targets)


def finals(found):
    assert isinstance(found, list), found
    return [final.recipient for final in found]


BOB = mailbox(b"bob@one.example")
ANN = mailbox(b"ann@one.example")
CAT = mailbox(b"cat@one.example")
OFF = mailbox(b"off@one.example", suspended=True)


@pytest.mark.parametrize(
    "path",
    [
        b"bob@one.example", b"BOB@one.example", b"bob@ONE.Example", b'"bob"@one.example', b'"b\\ob"@one.example',
        b"@relay.example,@other.example:bob@one.example", b"bob+tag@one.example", b"bob+a+b@one.example",
        b"bob+@one.example",
    ],
)  # fmt: skip
def test_a_mailbox_is_found_however_its_address_is_written(path):
    """Case, quotes, source route and +tag do not matter; what is delivered shows the address as its owner wrote it."""
    judged = resolver(BOB)
    assert judged.judge(path).word is Word.ACCEPT
    assert judged.expand(path) == [Final(b"bob@one.example", b"one.example", b"bob", b"bob@one.example", 0)]


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (b"nobody@one.example", Word.UNKNOWN),
        (b"bo@one.example", Word.UNKNOWN),
        (b"bob.@one.example", Word.UNKNOWN),
        (b"+bob@one.example", Word.UNKNOWN),
        (b"nobody+bob@one.example", Word.UNKNOWN),
        (b"bob@sub.one.example", Word.FOREIGN),
        (b"bob@elsewhere.example", Word.FOREIGN),
        (b"bob@one.example.", Word.FOREIGN),
        (b"bob@[127.0.0.1]", Word.FOREIGN),
        (b"bob@one.example@elsewhere.example", Word.FOREIGN),
        (b"bob%elsewhere.example@one.example", Word.UNKNOWN),
        (b"bob", Word.UNKNOWN),
        (b"", Word.UNKNOWN),
        (b"@one.example", Word.FOREIGN),
        (b"@", Word.FOREIGN),
        (b'"bob@one.example', Word.FOREIGN),
        (b'""@one.example', Word.FOREIGN),
        (b"\xff\xfe@one.example", Word.FOREIGN),
        (b"x" * 65 + b"@one.example", Word.UNKNOWN),
        (b"bob\0@one.example", Word.UNKNOWN),
        (b"\0bob@one.example", Word.UNKNOWN),
    ],
)
def test_who_is_not_there_is_unknown_and_who_is_not_ours_is_foreign(path, word):
    """Never accepted, never an exception, whatever the octets are."""
    judged = resolver(BOB)
    assert judged.judge(path).word is word
    assert isinstance(judged.expand(path), Obstacle)


def test_letters_beyond_ascii_compare_folded_and_normalised():
    """Composed or decomposed, capital or small: one mailbox. The domain is found in both its forms."""
    key = "jörg@one.example".encode()
    unicode_name = "d:bücher.example".encode()
    judged = resolver(
        (b"a:" + key, Mailbox(key, b"%j")),
        (b"d:xn--bcher-kva.example", Domain(b"3")),
        (unicode_name, Domain(b"3", alias_of=b"xn--bcher-kva.example")),
        mailbox(b"bob@xn--bcher-kva.example"),
    )
    for path in ("JÖRG@one.example", "jo\u0308rg@one.example", "Jo\u0308RG+x@one.example"):
        assert judged.judge(path.encode()).word is Word.ACCEPT, path
    for path in ("bob@BÜCHER.example", "bob@bu\u0308cher.example", "bob@xn--bcher-kva.EXAMPLE"):
        assert finals(judged.expand(path.encode())) == [b"bob@xn--bcher-kva.example"], path


def test_a_tagged_address_that_exists_is_not_its_base():
    """`user+tag` goes to `user` unless `user+tag` exists; a case-different tag still finds it."""
    judged = resolver(BOB, mailbox(b"bob+work@one.example"))
    assert finals(judged.expand(b"bob+WORK@one.example")) == [b"bob+work@one.example"]
    assert finals(judged.expand(b"bob+home@one.example")) == [b"bob@one.example"]


def test_a_tag_goes_through_an_alias():
    """Alias or forwarding: the base's way is the tagged one's way."""
    judged = resolver(BOB, alias(b"info@one.example", b"bob@one.example"))
    assert finals(judged.expand(b"info+x@one.example")) == [b"bob@one.example"]
    assert judged.judge(b"info+x@one.example").word is Word.ACCEPT


def test_an_alias_reaches_each_of_its_targets_once_in_order():
    """Also through other aliases, and when two ways lead to one mailbox."""
    judged = resolver(
        BOB, ANN, CAT,
        alias(b"all@one.example", b"cat@one.example", b"team@one.example", b"bob+x@one.example"),
        alias(b"team@one.example", b"bob@one.example", b"ann@one.example", b"cat@one.example"),
    )  # fmt: skip
    assert finals(judged.expand(b"all@one.example")) == [b"cat@one.example", b"bob@one.example", b"ann@one.example"]


def test_an_alias_with_one_good_target_is_accepted_and_goes_there():
    """Targets that are unknown, suspended or nowhere at all do not take the others' mail away."""
    judged = resolver(
        BOB, OFF,
        alias(b"all@one.example", b"off@one.example", b"gone@one.example", b"x@[192.0.2.1]", b"bob@one.example"),
    )  # fmt: skip
    assert judged.judge(b"all@one.example").word is Word.ACCEPT
    assert finals(judged.expand(b"all@one.example")) == [b"bob@one.example"]


@pytest.mark.parametrize(
    ("targets", "word", "obstacle"),
    [
        ((b"gone@one.example",), Word.UNKNOWN, Obstacle.UNKNOWN),
        ((b"x@nowhere",), Word.UNKNOWN, Obstacle.FOREIGN),
        ((b"off@one.example",), Word.SUSPENDED, Obstacle.SUSPENDED),
        ((b"gone@one.example", b"off@one.example"), Word.SUSPENDED, Obstacle.SUSPENDED),
        ((b"gone@one.example", b"x@nowhere"), Word.UNKNOWN, Obstacle.UNKNOWN),
        ((b"all@one.example",), Word.UNKNOWN, Obstacle.RING),
        ((b"ring@one.example",), Word.UNKNOWN, Obstacle.RING),
        ((), Word.UNKNOWN, Obstacle.UNKNOWN),
    ],
)
def test_an_alias_whose_ways_all_end_nowhere_is_refused_by_the_weightiest_reason(targets, word, obstacle):
    """Suspended first: it may come back. A ring ends where it began."""
    judged = resolver(OFF, alias(b"all@one.example", *targets), alias(b"ring@one.example", b"all@one.example"))
    assert judged.judge(b"all@one.example").word is word
    assert judged.expand(b"all@one.example") is obstacle


def test_a_forwarding_with_and_without_a_kept_copy():
    """With: the mailbox first, then the targets. Without: the targets only."""
    judged = resolver(
        BOB,
        mailbox(b"keep@one.example", targets=(b"bob@one.example",)),
        mailbox(b"pass@one.example", targets=(b"bob@one.example",), keep_copy=False),
    )
    assert finals(judged.expand(b"keep@one.example")) == [b"keep@one.example", b"bob@one.example"]
    assert finals(judged.expand(b"pass@one.example")) == [b"bob@one.example"]


def test_two_mailboxes_that_forward_to_each_other_each_get_one_copy():
    """A ring with kept copies delivers; the look-up ends."""
    judged = resolver(
        mailbox(b"a@one.example", targets=(b"b@one.example",)), mailbox(b"b@one.example", targets=(b"a@one.example",))
    )
    assert finals(judged.expand(b"b@one.example")) == [b"b@one.example", b"a@one.example"]
    assert judged.judge(b"a@one.example").word is Word.ACCEPT


def test_a_suspended_mailbox_does_not_forward_either():
    """Suspended is suspended."""
    judged = resolver(BOB, mailbox(b"x@one.example", targets=(b"bob@one.example",), suspended=True))
    assert judged.judge(b"x@one.example").word is Word.SUSPENDED
    assert judged.expand(b"x@one.example") is Obstacle.SUSPENDED


def test_the_catch_all_gets_what_nobody_answers_for_and_nothing_else():
    """Exact address and base of a tag come before it; it may be an alias; it takes part in suspension."""
    judged = resolver(
        (b"d:one.example", Domain(b"3", catch_all=b"rest@one.example")),
        BOB, OFF, ANN, CAT, alias(b"rest@one.example", b"ann@one.example", b"cat@one.example"),
    )  # fmt: skip
    assert finals(judged.expand(b"who@one.example")) == [b"ann@one.example", b"cat@one.example"]
    assert finals(judged.expand(b"bob@one.example")) == [b"bob@one.example"]
    assert finals(judged.expand(b"bob+x@one.example")) == [b"bob@one.example"]
    assert judged.judge(b"off@one.example").word is Word.SUSPENDED


def test_a_catch_all_that_is_gone_leaves_the_address_unknown():
    """It does not catch itself."""
    judged = resolver((b"d:one.example", Domain(b"3", catch_all=b"gone@one.example")))
    assert judged.judge(b"who@one.example").word is Word.UNKNOWN


def test_an_alias_domain_stands_for_the_other_in_every_way():
    """Mailbox, tag, alias and catch-all; several names one behind the other."""
    judged = resolver(
        BOB, alias(b"info@one.example", b"bob@two.example"),
        (b"d:two.example", Domain(b"3", alias_of=b"one.example")),
        (b"d:three.example", Domain(b"3", alias_of=b"two.example")),
    )  # fmt: skip
    for path in (b"bob@two.example", b"bob+x@three.example", b"info@two.example"):
        assert finals(judged.expand(path)) == [b"bob@one.example"], path
    assert judged.judge(b"nobody@two.example").word is Word.UNKNOWN


def test_alias_domains_in_a_ring_or_of_a_domain_that_is_gone_are_not_ours():
    """The look-up ends, and nothing is accepted that could not be delivered."""
    judged = resolver(
        (b"d:a.example", Domain(b"3", alias_of=b"b.example")), (b"d:b.example", Domain(b"3", alias_of=b"a.example")),
        (b"d:c.example", Domain(b"3", alias_of=b"gone.example")),
    )  # fmt: skip
    assert judged.judge(b"bob@a.example").word is Word.FOREIGN
    assert judged.judge(b"bob@c.example").word is Word.FOREIGN


@pytest.mark.parametrize(
    "suspended",
    [
        (b"d:one.example", Domain(b"3", suspended=True)),
        (b"t:3", Tenant(b"2", suspended=True)),
        (b"t:2", Tenant(b"1", suspended=True)),
        (b"a:bob@one.example", Mailbox(b"bob@one.example", b"bob", suspended=True)),
    ],
)
def test_suspension_counts_at_each_level(suspended):
    """Mailbox, domain, tenant, and the tenant above it: one record each."""
    judged = resolver(BOB, suspended)
    assert judged.judge(b"bob@one.example").word is Word.SUSPENDED
    assert judged.expand(b"bob+x@one.example") is Obstacle.SUSPENDED


def test_a_suspended_alias_domain_leaves_the_domain_itself_alone():
    """And a suspended domain suspends its other names."""
    other_name = (b"d:two.example", Domain(b"3", alias_of=b"one.example", suspended=True))
    assert resolver(BOB, other_name).judge(b"bob@two.example").word is Word.SUSPENDED
    assert resolver(BOB, other_name).judge(b"bob@one.example").word is Word.ACCEPT
    down = resolver(
        BOB,
        (b"d:two.example", Domain(b"3", alias_of=b"one.example")),
        (b"d:one.example", Domain(b"3", suspended=True)),
    )
    assert down.judge(b"bob@two.example").word is Word.SUSPENDED


@pytest.mark.parametrize("name", [b"postmaster", b"abuse", b"POSTMASTER", b"Abuse", b"postmaster+x"])
@pytest.mark.parametrize(
    "domain", [Domain(b"3"), Domain(b"3", suspended=True), Domain(b"3", catch_all=b"bob@one.example")]
)
def test_postmaster_and_abuse_of_every_domain_reach_the_hosts_postmaster(name, domain):
    """Where the domain has none of its own, also when it is suspended, and before its catch-all."""
    judged = resolver(BOB, (b"d:one.example", domain))
    assert judged.judge(name + b"@one.example").word is Word.ACCEPT
    assert finals(judged.expand(name + b"@one.example")) == [b"postmaster@mx.host.example"]


def test_a_domains_own_postmaster_comes_first():
    """Mailbox or alias."""
    judged = resolver(BOB, mailbox(b"abuse@one.example"), alias(b"postmaster@one.example", b"bob@one.example"))
    assert finals(judged.expand(b"abuse@one.example")) == [b"abuse@one.example"]
    assert finals(judged.expand(b"postmaster@one.example")) == [b"bob@one.example"]


@pytest.mark.parametrize("path", [b"postmaster", b"Postmaster", b"POSTMASTER"])
def test_postmaster_without_a_domain_is_the_hosts(path):
    """RFC 5321 4.5.1; no other name goes without a domain."""
    assert finals(resolver().expand(path)) == [b"postmaster@mx.host.example"]
    assert resolver().judge(b"abuse").word is Word.UNKNOWN


def test_a_host_whose_postmaster_is_gone_says_so_without_end():
    """The fall-back does not fall back to itself."""
    records = {key: pack_record(record) for key, record in HOST.items() if not key.startswith(b"a:")}
    judged = Resolver(records.get)
    assert judged.judge(b"postmaster").word is Word.UNKNOWN
    assert judged.judge(b"abuse@one.example").word is Word.UNKNOWN


# --- quota -----------------------------------------------------------------------------------------------------------

FULL = mailbox(b"full@one.example", quota_bytes=1000)


def test_a_mailbox_with_a_quota_is_counted_by_its_own_address():
    """Through a tag and an alias as well: the same mailbox."""
    judged = resolver(FULL, alias(b"info@one.example", b"full@one.example"))
    for path in (b"full@one.example", b"FULL+x@one.example", b"info@one.example"):
        judgement = judged.judge(path)
        said = (judgement.word, judgement.counted, judgement.quota_bytes)
        assert said == (Word.ACCEPT, b"full@one.example", 1000), path
        assert judged.expand(path)[0].counted == b"full@one.example"


@pytest.mark.parametrize(
    ("stored", "reserved", "size", "word"),
    [
        (0, 0, 1000, Word.ACCEPT), (0, 0, 1001, Word.FULL), (999, 0, 1, Word.ACCEPT), (999, 1, 1, Word.FULL),
        (1000, 0, 0, Word.ACCEPT), (500, 501, 0, Word.FULL),
    ],
)  # fmt: skip
def test_full_is_when_stored_reserved_and_this_one_pass_the_quota(stored, reserved, size, word):
    """To the octet."""
    assert resolver(FULL).judge(b"full@one.example").with_usage(stored, reserved, size) is word


def test_an_address_with_several_mailboxes_behind_it_is_never_full():
    """One full list member does not refuse everyone's mail."""
    judged = resolver(FULL, BOB, alias(b"all@one.example", b"full@one.example", b"bob@one.example"))
    assert judged.judge(b"all@one.example").word is Word.ACCEPT
    kept = resolver(BOB, mailbox(b"full@one.example", quota_bytes=1, targets=(b"bob@one.example",)))
    assert kept.judge(b"full@one.example").with_usage(9, 9, 9) is Word.ACCEPT


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_an_alias_with_more_mailboxes_than_the_bound_is_deferred_and_not_half_delivered():
    """At the bound all of them, above it none: better late than to some."""
    names = [b"u%d@one.example" % number for number in range(11)]
    records = [mailbox(name) for name in names]
    assert finals(resolver(*records, alias(b"a@one.example", *names[:10]), max_expansion=10).expand(b"a@one.example"))
    over = resolver(*records, alias(b"a@one.example", *names), max_expansion=10)
    assert over.expand(b"a@one.example") is Obstacle.TOO_MANY


def test_a_nest_of_aliases_deeper_than_the_bound_is_not_followed():
    """`try later`, not a false `unknown` and not an endless look-up."""
    chain = [alias(b"n%d@one.example" % number, b"n%d@one.example" % (number + 1)) for number in range(MAX_DEPTH + 5)]
    judged = resolver(*chain, mailbox(b"n%d@one.example" % (MAX_DEPTH + 5)))
    assert judged.judge(b"n0@one.example").word is Word.TRY_LATER
    assert judged.expand(b"n0@one.example") is Obstacle.TOO_MANY
    assert judged.judge(b"n5@one.example").word is Word.ACCEPT


def test_wrong_records_raise_and_do_not_answer():
    """A domain whose tenant is missing, octets that are no record, another kind under the key."""
    with pytest.raises(RecordError):
        resolver((b"d:one.example", Domain(b"99")), BOB).judge(b"bob@one.example")
    with pytest.raises(RecordError):
        resolver((b"t:1", Tenant(b"2")), BOB).judge(b"bob@one.example")
    records = {key: pack_record(record) for key, record in HOST.items()} | {b"a:bob@one.example": b"3:bob"}
    with pytest.raises(RecordError):
        Resolver(records.get).judge(b"bob@one.example")


def test_what_was_remembered_is_forgotten_when_the_snapshot_changed():
    """A removed mailbox is refused after `forget`, and so is one of a domain that was suspended."""
    records = {key: pack_record(record) for key, record in {**HOST, **dict([BOB, ANN])}.items()}
    judged = Resolver(records.get)
    assert judged.judge(b"bob@one.example").word is Word.ACCEPT
    del records[b"a:bob@one.example"]
    judged.forget()
    assert judged.judge(b"bob@one.example").word is Word.UNKNOWN
    records[b"d:one.example"] = pack_record(Domain(b"3", suspended=True))
    judged.forget()
    assert judged.judge(b"ann@one.example").word is Word.SUSPENDED


NAMES = [b"a", b"b", b"c", b"d", b"e"]


@st.composite
def worlds(draw):
    """Any mesh of mailboxes, aliases and forwardings among five names."""
    targets = st.lists(st.sampled_from([name + b"@one.example" for name in NAMES]), max_size=3, unique=True)
    records = []
    for name in NAMES:
        key = name + b"@one.example"
        kind = draw(st.sampled_from(["none", "mailbox", "alias"]))
        if kind == "mailbox":
            record = mailbox(
                key, suspended=draw(st.booleans()), keep_copy=draw(st.booleans()), targets=tuple(draw(targets))
            )
            records.append(record)
        elif kind == "alias":
            records.append(alias(key, *draw(targets)))
    return records


@given(worlds())
def test_what_is_accepted_at_the_door_reaches_a_mailbox_and_what_is_refused_does_not(world):
    """In any mesh: judge and expand agree, no mailbox comes twice, and each final one is a mailbox that is not suspended."""
    judged = resolver(*world)
    for name in NAMES:
        path = name + b"@one.example"
        found = judged.expand(path)
        assert (judged.judge(path).word is Word.ACCEPT) == isinstance(found, list)
        if isinstance(found, list):
            keys = [final.key for final in found]
            assert len(set(keys)) == len(keys)
            assert all(isinstance(dict(world)[b"a:" + key], Mailbox) for key in keys)
            assert not any(dict(world)[b"a:" + key].suspended for key in keys)


@given(st.binary(max_size=80))
def test_no_octets_are_too_odd_to_be_judged(path):
    """Whatever comes is one word, and nothing of it is accepted that is not an address of ours."""
    judged = resolver(BOB)
    assert judged.judge(path).word in {Word.UNKNOWN, Word.FOREIGN, Word.ACCEPT}
    split = split_path(path)
    assert split is None or (split[0] and b"@" not in split[1])


# --- what a domain chooses -------------------------------------------------------------------------------------------


def test_each_domain_chooses_when_it_tells_and_what_it_asks():
    """Validation mode, DNS lists and greylisting are the domain's, under each of its names."""
    judged = resolver(
        (b"d:late.example", Domain(b"3", validation=b"data", greylist=True)), (b"a:bob@late.example", BOB[1]),
        (b"d:alias.example", Domain(b"3", alias_of=b"late.example")), (b"d:one.example", Domain(b"3", dnsbl=False)), BOB,
    )  # fmt: skip
    for path in (b"bob@late.example", b"nobody@late.example", b"nobody@alias.example"):
        judgement = judged.judge(path)
        assert (judgement.late, judgement.greylist, judgement.dnsbl) == (True, True, True)
        assert judgement.key.endswith(b"@late.example")
    judgement = judged.judge(b"bob@one.example")
    assert (judgement.late, judgement.greylist, judgement.dnsbl) == (False, False, False)


def test_with_validation_off_nobody_is_unknown_until_expansion():
    """Only that: who is suspended is refused, and another domain is another matter."""
    judged = resolver(
        (b"d:one.example", Domain(b"3", validation=b"off")), BOB,
        (b"a:off@one.example", Mailbox(b"off@one.example", b"off", suspended=True)),
    )  # fmt: skip
    assert judged.judge(b"nobody@one.example").word is Word.ACCEPT
    assert judged.judge(b"off@one.example").word is Word.SUSPENDED
    assert judged.judge(b"nobody@mx.host.example").word is Word.UNKNOWN
    assert judged.expand(b"nobody@one.example") is Obstacle.UNKNOWN


def test_postmaster_and_abuse_are_spared_what_looks_at_the_client():
    """Whoever is refused by mistake must be able to say so."""
    judged = resolver((b"d:one.example", Domain(b"3", greylist=True)))
    for path in (b"postmaster@one.example", b"Abuse+x@one.example", b"postmaster"):
        judgement = judged.judge(path)
        assert (judgement.word, judgement.checks_client, judgement.greylist) == (Word.ACCEPT, False, False)
    assert resolver(BOB).judge(b"bob@one.example").checks_client


def test_access_rules_stand_in_the_order_mailbox_domain_host():
    """Those of an address count with a +tag too, and through another name of its domain."""
    judged = resolver(
        BOB, (b"d:two.example", Domain(b"3", alias_of=b"one.example")),
        (b"r:", Rules((b"deny", b"0.0.0.0/0"))), (b"r:one.example", Rules((b"allow", b"192.0.2.0/24"))),
        (b"r:bob@one.example", Rules((b"deny", b"192.0.2.1"))),
    )  # fmt: skip

    def decided(path, client):
        return decide(judged.judge(path).scopes, client, b"a@b.example")

    for path in (b"bob@one.example", b"BOB+tag@one.example", b"bob@two.example"):
        assert (decided(path, b"192.0.2.1"), decided(path, b"192.0.2.2"), decided(path, b"10.0.0.1")) == (
            False, True, False,
        )  # fmt: skip
    assert (decided(b"ann@one.example", b"192.0.2.1"), decided(b"x@mx.host.example", b"192.0.2.1")) == (True, False)


# --- relayed domains -------------------------------------------------------------------------------------------------

RELAY = Domain(b"3", next_hop=b"inside.example:25")


@pytest.mark.parametrize(
    ("source", "path", "word", "asks"),
    [
        (b"list", b"known@one.example", Word.ACCEPT, False),
        (b"list", b"known+tag@one.example", Word.ACCEPT, False),
        (b"list", b"nobody@one.example", Word.UNKNOWN, False),
        (b"list", b"postmaster@one.example", Word.ACCEPT, False),
        (b"", b"anybody@one.example", Word.ACCEPT, False),
        (b"ldap", b"anybody@one.example", Word.ACCEPT, True),
        (b"call-ahead", b"anybody@one.example", Word.ACCEPT, True),
        (b"hook", b"anybody@one.example", Word.ACCEPT, True),
        (b"hook", b"postmaster@one.example", Word.ACCEPT, False),
        (b"hook", b"bob@one.example", Word.ACCEPT, False),
    ],
)
def test_who_knows_a_relayed_domains_recipients_is_asked(source, path, word, asks):
    """A list stands in the snapshot; the others are the role source's; a mailbox that is here needs nobody's word."""
    domain = replace(RELAY, source=source)
    judged = resolver((b"d:one.example", domain), BOB, (b"a:known@one.example", Relayed()))
    judgement = judged.judge(path)
    assert (judgement.word, judgement.asks_source) == (word, asks)


def test_mail_for_a_relayed_domain_leads_out_of_the_house():
    """Not into a mailbox. Where nobody goes out, through an alias neither, and then nobody gets a part of it."""
    records = (b"d:two.example", RELAY), BOB, (b"a:both@one.example", Alias((b"bob@one.example", b"x@two.example")))
    judged, shut = resolver(*records), resolver(*records, has_way_out=False)
    for path in (b"x@two.example", b"both@one.example"):
        assert judged.judge(path).word is Word.ACCEPT
        assert shut.expand(path) is Obstacle.RELAYED
    assert judged.expand(b"X@two.example") == [Beyond(b"X@two.example", b"two.example", is_relayed=True)]
    assert [end.recipient for end in judged.expand(b"both@one.example")] == [b"bob@one.example", b"x@two.example"]


def test_a_relayed_domain_that_is_suspended_is_refused_and_a_listed_address_elsewhere_means_nothing():
    """Suspension comes before the source; a list is of no use to a domain whose mailboxes are here."""
    suspended = replace(RELAY, suspended=True, source=b"hook")
    judged = resolver((b"d:two.example", suspended), (b"a:known@one.example", Relayed()))
    assert judged.judge(b"x@two.example").word is Word.SUSPENDED
    assert not judged.judge(b"x@two.example").asks_source
    assert judged.judge(b"known@one.example").word is Word.UNKNOWN
