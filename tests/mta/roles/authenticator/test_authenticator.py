"""Right only for the right secret of somebody who may log in; everything else is wrong, and takes as long."""

import base64
import hashlib
import os
import statistics
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from appliance.services.passwords import Sealer
from mta import roster
from mta.roles.authenticator import __main__ as authenticator
from mta.roles.authenticator import hashers, patience
from mta.roles.authenticator.credentials import Credentials
from mta.roles.authenticator.patience import Patience
from mta.seal import PASSWORD_HASH, TLS_KEY, NotOpened, Opener, read_opener
from mta.snapshot.reader import Snapshot
from mta.snapshot.records import ApiKey, Domain, Login, Tenant, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.wire import messages as m
from mta.wire import tickets
from tests.fakes.house import House, events

PRIVATE = X25519PrivateKey.from_private_bytes(b"p" * 32)
SEALER = Sealer(PRIVATE.public_key().public_bytes_raw())
SEALED = base64.b64decode(SEALER.seal_password("right horse"))
RECORDS = {
    b"t:1": Tenant(b""),
    b"t:2": Tenant(b"1"),
    b"t:3": Tenant(b"1", suspended=True),
    b"d:one.example": Domain(b"2"),
    b"d:off.example": Domain(b"2", suspended=True),
    b"d:late.example": Domain(b"3"),
    b"u:operator": Login(SEALED, suspended=False, domain=b"", tenant=b"1"),
    b"u:debtor": Login(SEALED, suspended=False, domain=b"", tenant=b"3"),
    b"u:admin": Login(SEALED, suspended=False, domain=b"one.example", tenant=b"2"),
    b"u:odd": Login(b"\x01 not sealed to us", suspended=False, domain=b"", tenant=b"1"),
    b"m:bob@one.example": Login(SEALED, suspended=False, domain=b"one.example", tenant=b""),
    b"m:off@one.example": Login(SEALED, suspended=True, domain=b"one.example", tenant=b""),
    b"m:bob@off.example": Login(SEALED, suspended=False, domain=b"off.example", tenant=b""),
    b"m:bob@late.example": Login(SEALED, suspended=False, domain=b"late.example", tenant=b""),
    b"m:bob@gone.example": Login(SEALED, suspended=False, domain=b"gone.example", tenant=b""),
    b"k:a1": ApiKey(hashlib.sha256(b"secret").digest(), revoked=False, tenant=b"2"),
    b"k:a2": ApiKey(hashlib.sha256(b"secret").digest(), revoked=True, tenant=b"2"),
    b"k:a3": ApiKey(hashlib.sha256(b"secret").digest(), revoked=False, tenant=b"3"),
}


@pytest.fixture
def empty_house(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.01)
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.AUTHENTICATOR, {roster.TICKET_KEY: b"t" * 32, roster.SESSION_KEY: b"s" * 32}) as house:
        snapshot, threads = Snapshot(folder), hashers.Hashers(house.loop)
        authenticator.serve(house.loop, house.start, Credentials(snapshot, Opener(b"p" * 32, PASSWORD_HASH)), threads)
        yield house
        threads.close()
        snapshot.close()
    os.close(folder)


@pytest.fixture
def house(empty_house, tmp_path):
    pairs = [(key, pack_record(record)) for key, record in RECORDS.items()]
    SnapshotWriter(tmp_path).publish_all(b"i" * 16, 1, pairs)
    return empty_house


def verify(house, web, scope, name, secret, tag=1):
    web.send(m.Verify(tag, scope, name, secret))
    (answer,) = hear(house, web, 1)
    assert answer.tag == tag
    return answer.right


def hear(house, web, count):
    """So many answers, in the time that a busy machine needs."""
    heard, end = [], time.monotonic() + 30
    while len(heard) < count and time.monotonic() < end:
        house.loop.run_once(0.02)
        heard += house.hear(web)
    return heard


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (b"account", b"operator"),
        (b"account", b"admin"),
        (b"mailbox", b"bob@one.example"),
        (b"mailbox", b"BOB@ONE.example"),
    ],
)
def test_the_right_password_is_right_and_any_other_is_wrong(house, scope, name):
    """Also one that is nearly it, empty, or not UTF-8."""
    web = house.client("web")
    assert verify(house, web, scope, name, b"right horse")
    for wrong in (b"right horse ", b"Right horse", b"", b"\xff\xfe", b"right horse\0"):
        assert not verify(house, web, scope, name, wrong), wrong


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        (b"account", b"nobody"),
        (b"account", b"debtor"),
        (b"account", b"odd"),
        (b"account", b"bob@one.example"),
        (b"mailbox", b"operator"),
        (b"mailbox", b"off@one.example"),
        (b"mailbox", b"bob@off.example"),
        (b"mailbox", b"bob@late.example"),
        (b"mailbox", b"bob@gone.example"),
        (b"mailbox", b"\xff@one.example"),
        (b"session", b"operator"),
        (b"", b""),
    ],
)
def test_who_may_not_log_in_is_wrong_even_with_the_right_password(house, scope, name):
    """Unknown, suspended at any level, of another scope, sealed to another key."""
    assert not verify(house, house.client("web"), scope, name, b"right horse")


@pytest.mark.parametrize(
    ("name", "secret", "right"),
    [
        (b"a1", b"secret", True),
        (b"a1", b"Secret", False),
        (b"a1", b"", False),
        (b"a2", b"secret", False),
        (b"a3", b"secret", False),
        (b"a4", b"secret", False),
    ],
)
def test_a_key_is_right_while_it_and_its_tenants_are_good(house, name, secret, right):
    """Revoked, of a suspended tenant, unknown: wrong."""
    assert verify(house, house.client("web"), b"key", name, secret) is right


def test_a_changed_password_is_in_force_at_the_next_question(house, tmp_path):
    """And a removed one too."""
    web = house.client("web")
    other = Login(base64.b64decode(SEALER.seal_password("other horse")), suspended=False, domain=b"", tenant=b"1")
    writer = SnapshotWriter(tmp_path)
    writer.publish_changes(b"i" * 16, 2, [(b"u:operator", pack_record(other))])
    assert not verify(house, web, b"account", b"operator", b"right horse")
    assert verify(house, web, b"account", b"operator", b"other horse")
    writer.publish_changes(b"i" * 16, 3, [(b"u:operator", None)])
    assert not verify(house, web, b"account", b"operator", b"other horse")


def test_without_a_snapshot_everything_is_wrong_until_it_appears(empty_house, tmp_path):
    """Closed, not open; the journal is told once."""
    house = empty_house
    journal, web = house.server("journal"), house.client("web")
    assert not verify(house, web, b"account", b"operator", b"right horse")
    assert not verify(house, web, b"key", b"a1", b"secret")
    assert [name for name, _ in events(journal, house)] == [b"snapshot-awaited"]
    pairs = [(key, pack_record(record)) for key, record in RECORDS.items()]
    SnapshotWriter(tmp_path).publish_all(b"i" * 16, 1, pairs)
    assert verify(house, web, b"account", b"operator", b"right horse")


@pytest.mark.alone
def test_an_unknown_name_takes_as_long_as_a_wrong_password(house, monkeypatch):
    """Medians of some dozen; without the dummy an unknown name would be answered a hundred times faster."""
    monkeypatch.setattr(patience, "FREE", 1000)
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.0005)  # which would hide what this is about
    web = house.client("web")
    took = {b"operator": [], b"nobody": []}
    for _ in range(9):
        for name, spent in took.items():
            began = time.perf_counter()
            verify(house, web, b"account", name, b"wrong")
            spent.append(time.perf_counter() - began)
    known, unknown = (statistics.median(spent) for spent in took.values())
    assert 0.5 < unknown / known < 2


def test_a_slow_check_does_not_hold_up_a_key(house):
    """Passwords are hashed beside the loop: keys are answered while they are."""
    web = house.client("web")
    for tag in range(10):
        web.send(m.Verify(tag, b"account", b"operator", b"right horse"))
    web.send(m.Verify(99, b"key", b"a1", b"secret"))
    house.settle()
    assert house.hear(web)[0].tag == 99
    assert {answer.tag for answer in hear(house, web, 10)} == set(range(10))


def test_more_questions_than_can_wait_are_wrong_at_once(house, monkeypatch):
    """Nobody can fill the role's memory or make others wait for minutes."""
    monkeypatch.setattr(hashers, "MAX_WAITING", 3)
    web = house.client("web")
    for tag in range(10):
        web.send(m.Verify(tag, b"account", b"operator", b"right horse"))
    answers = {answer.tag: answer.right for answer in hear(house, web, 10)}
    assert sum(answers.values()) == 3
    assert len(answers) == 10


# --- guessing --------------------------------------------------------------------------------------------------------


def test_who_guesses_too_often_is_refused_even_with_the_right_password_for_a_while(house, monkeypatch):
    """Another name is not concerned; when the time is over the right one is right again."""
    monkeypatch.setattr(patience, "FREE", 2)
    monkeypatch.setattr(patience, "FIRST_REFUSED_SECONDS", 2.0)
    web = house.client("web")
    for _ in range(3):
        assert not verify(house, web, b"account", b"operator", b"wrong")
    assert not verify(house, web, b"account", b"operator", b"right horse")
    assert verify(house, web, b"mailbox", b"bob@one.example", b"right horse")
    time.sleep(2.1)
    assert verify(house, web, b"account", b"operator", b"right horse")
    assert not verify(house, web, b"account", b"operator", b"wrong")
    assert verify(house, web, b"account", b"operator", b"right horse")


def test_what_is_refused_unseen_is_answered_no_sooner_than_what_was_looked_at(house, monkeypatch):
    """Else it would show when the owner's own log-in ended a refusal, and so that there is an owner."""
    monkeypatch.setattr(patience, "FREE", 0)
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.2)
    web = house.client("web")
    for _ in ("looked at", "refused"):
        began = time.monotonic()
        assert not verify(house, web, b"account", b"operator", b"wrong")
        assert time.monotonic() - began >= 0.2


def test_web_cannot_take_all_the_room_there_is_for_log_ins(house, monkeypatch):
    """One that was taken over asks without end; users who send mail log in all the same."""
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.2)
    web, submissiond = house.client("web"), house.client("submissiond")
    for tag in range(hashers.MAX_WAITING + 10):
        web.send(m.Verify(tag, b"account", b"%d" % tag, b"guess"))
    session = b"%x" % time.time_ns()
    token = tickets.session_token(b"s" * 32, session, b"192.0.2.7")
    submissiond.send(m.LogIn(1, session, b"192.0.2.7", token, b"bob@one.example", b"right horse"))
    (answer,) = hear(house, submissiond, 1)
    assert answer.word == b"right"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_each_wrong_answer_is_slower_and_each_refusal_longer_up_to_a_bound():
    """A guesser gets a handful an hour; an owner is never shut out for more than five minutes."""
    clock = Clock()
    patient = Patience(clock)
    delays = [patient.wrong(b"x") for _ in range(patience.FREE)]
    assert delays == sorted(delays)
    assert delays[-1] == patience.MAX_DELAY_SECONDS
    assert not patient.is_refused(b"x")
    lengths = []
    for _ in range(12):
        patient.wrong(b"x")
        began = clock.now
        while patient.is_refused(b"x"):
            clock.now += 1
        lengths.append(clock.now - began)
    assert lengths == sorted(lengths)
    assert lengths[-1] == patience.MAX_REFUSED_SECONDS
    clock.now += patience.FORGET_SECONDS + 1
    assert patient.wrong(b"x") == patience.FIRST_DELAY_SECONDS


def test_the_memory_of_wrong_names_is_bounded():
    """Ever new names do not fill the role's memory."""
    patient = Patience(Clock())
    for number in range(patience.MAX_NAMES + 10):
        patient.wrong(b"%d" % number)
    assert len(patient._wrong) == patience.MAX_NAMES


# --- seal ------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(codec="ascii"), max_size=200))
def test_what_the_control_plane_seals_we_open(phc):
    """Two programs, one format."""
    assert Opener(b"p" * 32, PASSWORD_HASH).open(base64.b64decode(SEALER.seal(phc))) == phc.encode()


@pytest.mark.parametrize("position", [0, 1, 20, 33, 40, -1])
def test_a_seal_that_was_touched_does_not_open(position):
    """One bit anywhere: version, ephemeral key, ciphertext, tag."""
    blob = bytearray(SEALED)
    blob[position] ^= 1
    with pytest.raises(NotOpened):
        Opener(b"p" * 32, PASSWORD_HASH).open(bytes(blob))


@pytest.mark.parametrize(
    "blob",
    [b"", b"\x01", SEALED[:33], SEALED[:40], b"\x01" + bytes(80)],
    ids=[
        "empty",
        "version",
        "no ciphertext",
        "cut",
        "zero point",
    ],  # the seal differs in each process, its name must not
)
def test_a_seal_that_is_cut_or_weak_does_not_open(blob):
    """Also the all-zero point, from which everybody knows the shared secret."""
    with pytest.raises(NotOpened):
        Opener(b"p" * 32, PASSWORD_HASH).open(blob)


def test_a_seal_to_another_key_does_not_open():
    """A database of another installation tells us nothing."""
    with pytest.raises(NotOpened):
        Opener(b"q" * 32, PASSWORD_HASH).open(SEALED)


def test_a_seal_for_another_purpose_does_not_open():
    """A blob moved from one column of the database to another is worth nothing there."""
    with pytest.raises(NotOpened):
        Opener(b"p" * 32, TLS_KEY).open(SEALED)


def test_a_missing_or_odd_key_file_means_no_password_is_right(tmp_path):
    """The role starts, so that the rest of the house does, and says so."""
    assert read_opener(tmp_path / "none", PASSWORD_HASH) is None
    (tmp_path / "odd").write_bytes(b"short")
    assert read_opener(tmp_path / "odd", PASSWORD_HASH) is None
