"""Real handshakes, in memory: a certificate of every kind, right and wrong, against every demand."""

import contextlib
import datetime as dt
import hashlib
import ssl

import pytest

from mta.security.dane import read_records
from mta.security.demands import Demand, Level, Refusal
from mta.security.handshake import Contexts, chain_of, failed, judge
from mta.security.reporting import Result
from tests.fixtures.authorities import NOW, Authority, Server, self_signed

HOST = "mx.remote.test"
ROOT = Authority()
MIDDLE = Authority("Below", ROOT)
KINDS = {
    "right": MIDDLE.give(HOST),
    "wildcard": MIDDLE.give("*.remote.test"),
    "expired": MIDDLE.expired(HOST),
    "wrong name": MIDDLE.give("mx.evil.test"),
    "self-signed": self_signed(HOST),
    "wrong chain": Authority("Of nobody").give(HOST),
    "no chain": MIDDLE.give(HOST, shown=0),
    "not yet": MIDDLE.give(HOST, first=NOW + dt.timedelta(2), last=NOW + dt.timedelta(3)),
}


@pytest.fixture(scope="module")
def contexts(tmp_path_factory) -> Contexts:
    return Contexts.load(str(ROOT.save(tmp_path_factory.mktemp("authorities"))))


def shake(contexts: Contexts, demand: Demand, server: ssl.SSLContext) -> Refusal | None:
    """Both sides in turn until it is made or not; what is to be thought of it."""
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = contexts.wrap(demand, to_us, to_them)
    theirs = server.wrap_bio(to_them, to_us, server_side=True)
    for _ in range(10):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                if side is ours:
                    return failed(error)
                raise
        if ours.version() and not to_us.pending and not to_them.pending:
            break
    return judge(demand, ours, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_demand_every_certificate_will_do(contexts: Contexts, kind: str, tmp_path) -> None:
    """RFC 7435: encrypted to somebody is better than readable by all. The same where TLSA records cannot be used."""
    server = KINDS[kind].context(tmp_path)
    for level in (Level.MAY, Level.ENCRYPT):
        assert shake(contexts, Demand(level, HOST), server) is None


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("right", None), ("wildcard", None), ("expired", Result.EXPIRED), ("wrong name", Result.HOST_MISMATCH),
        ("self-signed", Result.NOT_TRUSTED), ("wrong chain", Result.NOT_TRUSTED), ("no chain", Result.NOT_TRUSTED),
        ("not yet", Result.EXPIRED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("trial", [False, True])
def test_a_verified_handshake_takes_the_right_one_only(
    contexts: Contexts, kind: str, result: Result | None, trial: bool, tmp_path
) -> None:
    """As MTA-STS and routes demand it; a policy that is tried finds the same, and then mail goes by a weaker one."""
    demand = Demand(Level.VERIFY, HOST, is_trial=trial)
    refusal = shake(contexts, demand, KINDS[kind].context(tmp_path))
    assert (refusal.result if refusal else None) is result
    if refusal is not None:
        weaker = demand.weaker()
        assert (weaker is not None) is trial
        if weaker is not None:
            assert shake(contexts, weaker, KINDS[kind].context(tmp_path)) is None


def records_of(server: Server, usage: int) -> tuple:
    key = server.public_key if usage == 3 else ROOT.public_key
    return read_records([b"%d 1 1 %b" % (usage, hashlib.sha256(key).hexdigest().encode())])


@pytest.mark.parametrize("kind", KINDS)
def test_with_dane_3_the_right_key_is_enough(contexts: Contexts, kind: str, tmp_path) -> None:
    """And of any other server not even the best certificate is."""
    right = Demand(Level.DANE, HOST, (HOST,), records_of(KINDS[kind], 3))
    assert shake(contexts, right, KINDS[kind].context(tmp_path)) is None
    other = Demand(Level.DANE, HOST, (HOST,), records_of(MIDDLE.give(HOST), 3))
    refusal = shake(contexts, other, KINDS[kind].context(tmp_path))
    assert refusal is not None
    assert refusal.result is Result.VALIDATION_FAILURE


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("right", None), ("wildcard", None), ("expired", Result.EXPIRED), ("wrong name", Result.HOST_MISMATCH),
        ("self-signed", Result.VALIDATION_FAILURE), ("wrong chain", Result.VALIDATION_FAILURE),
        ("no chain", Result.VALIDATION_FAILURE),
    ],
)  # fmt: skip
def test_with_dane_2_the_whole_chain_counts(contexts: Contexts, kind: str, result: Result | None, tmp_path) -> None:
    """From a real handshake, with what the server really showed."""
    demand = Demand(Level.DANE, HOST, (HOST,), records_of(KINDS[kind], 2))
    refusal = shake(contexts, demand, KINDS[kind].context(tmp_path))
    assert (refusal.result if refusal else None) is result


def test_what_a_server_showed_is_had_in_its_order(contexts: Contexts, tmp_path) -> None:
    """Its own certificate first, then those behind it."""
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = contexts.wrap(Demand(Level.MAY, HOST), to_us, to_them)
    theirs = KINDS["right"].context(tmp_path).wrap_bio(to_them, to_us, server_side=True)
    assert chain_of(ours) == []
    for side in (ours, theirs, ours, theirs):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert chain_of(ours) == KINDS["right"].chain


@pytest.mark.parametrize(
    "octets", [b"220 go ahead\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"HTTP/1.0 400 no\r\n\r\n"]
)
def test_a_server_that_does_not_speak_tls_breaks_the_handshake(contexts: Contexts, octets: bytes) -> None:
    """What it says instead is no reason to say anything to it."""
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = contexts.wrap(Demand(Level.MAY, HOST), to_us, to_them)
    with pytest.raises(ssl.SSLWantReadError):
        ours.do_handshake()
    to_us.write(octets)
    to_us.write_eof()
    with pytest.raises(ssl.SSLError) as raised:
        ours.do_handshake()
    refusal = failed(raised.value)
    assert refusal.result is Result.VALIDATION_FAILURE
    assert refusal.text.startswith("TLS failed")


def test_another_side_that_hangs_up_is_no_proof_either() -> None:
    """Whatever the socket raised."""
    assert failed(ConnectionResetError(104, "reset")).text == "TLS failed: ConnectionResetError"
