"""What is wanted of a host: by DANE, by MTA-STS, by a route; and in which order these speak."""

import pytest

from mta.record import dataclass, replace
from mta.security.demands import (
    BROKEN,
    NOT_OFFERED,
    Demand,
    Knowledge,
    Level,
    Refusal,
    for_requiretls,
    of_host,
    without_tls,
)
from mta.security.reporting import NO_POLICY, STS, TLSA, Result, Tally, result_of
from mta.security.sts import Policy

DOMAIN, HOST = "remote.test", "mx.remote.test"
TLSA_NAME, CNAME = b"_25._tcp.mx.remote.test", b"mx.remote.test"
USABLE, UNUSABLE = b"3 1 1 " + b"ab" * 32, b"0 1 1 " + b"ab" * 32
SIGNED = Knowledge(DOMAIN, is_mx_secure=True)
ENFORCE, TESTING = Policy("enforce", 86400, (HOST,)), Policy("testing", 86400, (HOST,))


@dataclass(frozen=True)
class Said:
    """A resolver's answer."""

    outcome: bytes = b"none"
    secure: bool = True
    records: tuple[bytes, ...] = ()


def decide(
    known: Knowledge, answers: dict[tuple[bytes, bytes], Said | None], *, secure: bool = True
) -> Demand | Refusal:
    """What is decided with these *answers*; about all else there is nothing."""
    asked = of_host(known, HOST, 25, is_address_secure=secure)
    try:
        question = next(asked)
        while True:
            question = asked.send(answers.get(question, Said()))
    except StopIteration as end:
        return end.value


def tlsa(*records: bytes, name: bytes = TLSA_NAME, secure: bool = True) -> dict[tuple[bytes, bytes], Said | None]:
    return {(name, b"TLSA"): Said(b"answer", secure, records)}


def test_signed_records_demand_dane() -> None:
    """Host and domain are names that an authority's certificate may bear; the host is asked for."""
    demand = decide(SIGNED, tlsa(UNUSABLE, USABLE))
    assert isinstance(demand, Demand)
    assert (demand.level, demand.server_name, demand.names) == (Level.DANE, HOST, (HOST, DOMAIN))
    assert len(demand.records) == 1
    assert demand.needs_tls
    assert demand.allows_requiretls
    assert demand.weaker() is None
    assert demand.policy == TLSA


def test_records_that_cannot_be_used_demand_tls_by_any_certificate() -> None:
    """RFC 7672 2.2: the domain promised TLS, but nobody can say which certificate."""
    demand = decide(SIGNED, tlsa(UNUSABLE))
    assert isinstance(demand, Demand)
    assert (demand.level, demand.needs_tls, demand.allows_requiretls) == (Level.ENCRYPT, True, False)


@pytest.mark.parametrize(
    ("known", "answers", "secure"),
    [
        (Knowledge(DOMAIN), tlsa(USABLE), True),
        (SIGNED, tlsa(USABLE), False),
        (SIGNED, tlsa(USABLE, secure=False), True),
        (SIGNED, {}, True),
        (replace(SIGNED, is_fixed=True), tlsa(USABLE), True),
    ],
    ids=["MX not signed", "addresses not signed", "records not signed", "no records", "a fixed next hop"],
)
def test_without_a_signed_way_to_the_record_there_is_no_dane(
    known: Knowledge, answers: dict[tuple[bytes, bytes], Said | None], secure: bool
) -> None:
    """RFC 7672 2.2.1: who can forge one link of the chain can forge the host too. Then any handshake will do, or none."""
    demand = decide(known, answers, secure=secure)
    assert isinstance(demand, Demand)
    assert (demand.level, demand.needs_tls, demand.policy) == (Level.MAY, False, NO_POLICY)
    weaker = demand.weaker()
    assert weaker is not None
    assert weaker.level is Level.CLEAR


@pytest.mark.parametrize("name", [(TLSA_NAME, b"TLSA"), (CNAME, b"CNAME")])
@pytest.mark.parametrize("said", [None, Said(b"failed", False)], ids=["nobody answered", "bogus"])
@pytest.mark.parametrize("policy", [None, ENFORCE])
def test_records_that_somebody_withholds_close_the_host(
    name: tuple[bytes, bytes], said: Said | None, policy: Policy | None
) -> None:
    """RFC 7672 2.1.2: an attacker makes answers vanish, or spoils their signatures; the mail waits."""
    refusal = decide(replace(SIGNED, policy=policy), {name: said})
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.result) == (BROKEN, Result.DNSSEC_INVALID)


def test_below_an_alias_the_canonical_name_comes_first() -> None:
    """RFC 7672 2.2.2: then the name that MX gave; with the canonical zone unsigned, only that."""
    alias = {(CNAME, b"CNAME"): Said(b"answer", True, (b"real.other.test",))}
    canonical, own = tlsa(USABLE, name=b"_25._tcp.real.other.test"), tlsa(USABLE)
    first = decide(SIGNED, alias | canonical | own)
    assert isinstance(first, Demand)
    assert (first.server_name, first.names) == ("real.other.test", ("real.other.test", HOST, DOMAIN))
    second = decide(SIGNED, alias | own)
    assert isinstance(second, Demand)
    assert (second.level, second.server_name) == (Level.DANE, HOST)
    third = decide(SIGNED, alias | canonical | own, secure=False)
    assert isinstance(third, Demand)
    assert third.server_name == HOST
    unsigned = decide(SIGNED, {(CNAME, b"CNAME"): Said(b"answer", False, (b"real.other.test",))} | canonical | own)
    assert isinstance(unsigned, Demand)
    assert unsigned.level is Level.MAY


def test_a_policy_demands_a_certificate_of_a_public_authority() -> None:
    """RFC 8461 4; and the policy proves that the MX is the domain's."""
    demand = decide(Knowledge(DOMAIN, policy=ENFORCE), {})
    assert demand == Demand(Level.VERIFY, HOST, is_sure=True, policy=STS)
    assert demand.needs_tls
    assert demand.weaker() is None
    assert demand.allows_requiretls


def test_a_policy_that_does_not_name_the_host_closes_it() -> None:
    """Somebody forged the MX; or the policy is not what they meant: it waits either way."""
    refusal = decide(Knowledge(DOMAIN, policy=replace(ENFORCE, patterns=("*.other.test",))), {})
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.result) == (BROKEN, Result.VALIDATION_FAILURE)


def test_a_policy_that_is_tried_stops_nothing() -> None:
    """RFC 8461 5: the handshake is judged, and what fails is counted; then any will do, then none."""
    demand = decide(Knowledge(DOMAIN, policy=TESTING), {})
    assert demand == Demand(Level.VERIFY, HOST, is_sure=True, is_trial=True, policy=STS)
    assert not demand.needs_tls
    assert not demand.allows_requiretls
    assert demand.weaker() == Demand(Level.MAY, HOST, is_sure=True, policy=STS)
    other = decide(Knowledge(DOMAIN, policy=replace(TESTING, patterns=("*.other.test",))), {})
    assert isinstance(other, Demand)
    assert other.level is Level.MAY


def test_dane_comes_before_a_policy() -> None:
    """RFC 8461 2: neither does a policy help who fails DANE, nor does one that names others hurt."""
    demand = decide(replace(SIGNED, policy=replace(ENFORCE, patterns=("*.other.test",))), tlsa(USABLE))
    assert isinstance(demand, Demand)
    assert demand.level is Level.DANE


@pytest.mark.parametrize("answers", [{}, tlsa(UNUSABLE), tlsa(USABLE, secure=False)])
def test_a_route_that_demands_dane_takes_nothing_less(answers: dict[tuple[bytes, bytes], Said | None]) -> None:
    """No records, none that can be used, none that are signed."""
    refusal = decide(replace(SIGNED, tls="dane", is_fixed=True), answers)
    assert isinstance(refusal, Refusal)
    assert refusal.result is Result.DANE_REQUIRED


def test_a_route_with_dane_needs_no_signed_mx() -> None:
    """The operator named the host himself."""
    demand = decide(Knowledge(DOMAIN, tls="dane", is_fixed=True), tlsa(USABLE))
    assert isinstance(demand, Demand)
    assert demand.level is Level.DANE


def test_a_route_says_how_much() -> None:
    """`none` not even STARTTLS, `verify` a certificate for the next hop's name, `may` whatever there is."""
    found = [
        decide(Knowledge(DOMAIN, tls, is_fixed=True, policy=ENFORCE), tlsa(USABLE)) for tls in ("none", "verify", "may")
    ]
    assert [each.level for each in found if isinstance(each, Demand)] == [Level.CLEAR, Level.VERIFY, Level.MAY]


def test_an_address_has_no_records() -> None:
    """Nothing is asked about a literal."""
    asked = of_host(Knowledge(DOMAIN, tls="verify", is_fixed=True), "192.0.2.1", 25, is_address_secure=False)
    with pytest.raises(StopIteration) as end:
        next(asked)
    assert end.value.value == Demand(Level.VERIFY, "192.0.2.1", is_sure=True)


@pytest.mark.parametrize(
    ("demand", "goes"),
    [
        (Demand(Level.CLEAR, HOST), True), (Demand(Level.MAY, HOST), True), (Demand(Level.ENCRYPT, HOST), False),
        (Demand(Level.VERIFY, HOST), False), (Demand(Level.DANE, HOST), False),
        (Demand(Level.VERIFY, HOST, is_trial=True), True),
    ],
)  # fmt: skip
def test_where_starttls_is_not_offered_or_was_stripped(demand: Demand, goes: bool) -> None:
    """Nobody can tell the two apart; so who demands TLS gets it or keeps the mail."""
    refusal = without_tls(demand)
    assert (refusal is None) is goes
    if refusal is not None:
        assert (refusal.status, refusal.result) == (NOT_OFFERED, Result.STARTTLS_NOT_SUPPORTED)


def test_requiretls_wants_a_proof_and_the_extension() -> None:
    """RFC 8689 4.2.1: both the host and the way to it; a certificate for a host that anybody may have named is none."""
    sure, unsure = Demand(Level.VERIFY, HOST, is_sure=True), Demand(Level.VERIFY, HOST)
    assert for_requiretls(sure, is_secured=True, has_extension=True) == ""
    for demand, secured, extension in (
        (sure, True, False), (sure, False, True), (unsure, True, True), (Demand(Level.MAY, HOST, is_sure=True), True, True),
        (replace(sure, is_trial=True), True, True),
    ):  # fmt: skip
        assert for_requiretls(demand, is_secured=secured, has_extension=extension).startswith("REQUIRETLS")


def test_sessions_are_counted_until_they_are_told() -> None:
    """By policy, host and result; successes too; and no more combinations than are to be kept."""
    tally = Tally()
    for _ in range(3):
        tally.count(STS, HOST, Result.SUCCESS)
    tally.count(STS, HOST, Result.EXPIRED)
    assert {(each.result, each.sessions) for each in tally.take()} == {(b"success", 3), (b"certificate-expired", 1)}
    assert list(tally.take()) == []
    for number in range(5000):
        tally.count(STS, f"mx{number}.test", Result.SUCCESS)
    assert len(list(tally.take())) == 1000


@pytest.mark.parametrize(
    ("why", "result"),
    [
        ("", Result.SUCCESS), ("its certificate is not for mx.remote.test", Result.HOST_MISMATCH),
        ("certificate has expired", Result.EXPIRED), ("certificate is not yet valid", Result.EXPIRED),
        ("Hostname mismatch, certificate is not valid for 'mx.test'.", Result.HOST_MISMATCH),
        ("self-signed certificate", Result.NOT_TRUSTED), ("unable to get local issuer certificate", Result.NOT_TRUSTED),
        ("the host does not offer TLS", Result.STARTTLS_NOT_SUPPORTED),
        ("its certificate is none of its TLSA records", Result.VALIDATION_FAILURE),
        ("WRONG_VERSION_NUMBER", Result.VALIDATION_FAILURE),
    ],
)  # fmt: skip
def test_every_reason_has_a_word_of_the_standard(why: str, result: Result) -> None:
    """RFC 8460 4.3."""
    assert result_of(why) is result
