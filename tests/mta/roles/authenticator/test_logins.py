"""Who logs in to send, by a secret or by SCRAM; as whom he may write then; and what a guesser learns: nothing."""

import base64
import contextlib
import functools
import hashlib
import hmac
import ipaddress
import os
import statistics
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.services.passwords import Sealer
from mta import roster, scram, seal
from mta.roles.authenticator import __main__ as authenticator
from mta.roles.authenticator import hashers, hashing, patience
from mta.roles.authenticator.credentials import Credentials
from mta.roles.authenticator.judge import APP_PREFIX, name_of
from mta.roles.authenticator.patience import Guesses, due
from mta.seal import PASSWORD_HASH, Opener
from mta.snapshot.reader import Snapshot
from mta.snapshot.records import OWN_PASSWORD, AppPasswords, Domain, Login, Senders, Tenant, pack_record, unpack_record
from mta.snapshot.writer import SnapshotWriter
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import ChannelClosed
from tests.fakes.house import House, events
from tests.fixtures.lone_role import LoneRole, make_state, receive

PRIVATE = X25519PrivateKey.from_private_bytes(b"p" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw()
SEALER = Sealer(PUBLIC)
TICKET_KEY, SESSION_KEY = b"t" * 32, b"s" * 32
SESSION, CLIENT = b"%x" % time.time_ns(), b"192.0.2.7"
TOKEN = tickets.session_token(SESSION_KEY, SESSION, CLIENT)
SECRET, APP_SECRET = b"right horse", b"abcde-fghij-klmno-pqrst"
ANN = b"ann@one.example"


def sealed(name, secret=SECRET, stored=None, *, keys=True):
    """What the control plane puts under a seal."""
    stored = hashing.hash_of(secret) if stored is None else stored
    made = scram.keys_of(secret, scram.salt_of(PUBLIC, name)) if keys else None
    return seal.seal(PUBLIC, PASSWORD_HASH, scram.join(stored, made))


def login(name, stored=None, *, keys=True, suspended=False):
    domain = name.rpartition(b"@")[2]
    return Login(sealed(name, stored=stored, keys=keys), suspended=suspended, domain=domain, tenant=b"")


def records():
    app = APP_PREFIX + hashlib.sha256(APP_SECRET).hexdigest().encode()
    return {
        b"t:1": Tenant(b""),
        b"t:3": Tenant(b"1", suspended=True),
        b"d:one.example": Domain(b"1"),
        b"d:other.example": Domain(b"1", alias_of=b"one.example"),
        b"d:easy.example": Domain(b"1", send_as_any=True),
        b"d:late.example": Domain(b"3"),
        b"m:ann@one.example": login(ANN),
        b"p:ann@one.example": AppPasswords((sealed(ANN, b"another-app"), sealed(ANN, APP_SECRET, app))),
        b"m:bob@one.example": login(b"bob@one.example", b"{SSHA}" + ssha(SECRET), keys=False),
        b"m:bob+own@one.example": login(b"bob+own@one.example", keys=False),
        b"m:off@one.example": login(b"off@one.example", suspended=True),
        b"p:off@one.example": AppPasswords((sealed(b"off@one.example", APP_SECRET, app),)),
        b"m:eve@late.example": login(b"eve@late.example"),
        b"m:joe@easy.example": login(b"joe@easy.example"),
        b"f:info@one.example": Senders((ANN, b"joe@easy.example")),
        b"f:ann+shop@one.example": Senders((b"bob@one.example",)),
        b"u:operator": Login(sealed(b"operator"), suspended=False, domain=b"", tenant=b"1"),
    }


def ssha(secret, salt=b"salt"):
    return base64.b64encode(hashlib.sha1(secret + salt).digest() + salt)


@functools.cache
def packed():
    """Made by who first asks: all who gather tests would wait for these hashes."""
    return [(key, pack_record(record)) for key, record in records().items()]


@contextlib.contextmanager
def serving(folder):
    """A role over what is published in *folder*."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.AUTHENTICATOR, {roster.TICKET_KEY: TICKET_KEY, roster.SESSION_KEY: SESSION_KEY}) as house:
        snapshot, threads = Snapshot(descriptor), hashers.Hashers(house.loop)
        authenticator.serve(house.loop, house.start, Credentials(snapshot, Opener(b"p" * 32, PASSWORD_HASH)), threads)
        yield house
        threads.close()
        snapshot.close()
    os.close(descriptor)


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.01)
    monkeypatch.setattr(patience, "FIRST_DELAY_SECONDS", 0.0)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("credentials")
    SnapshotWriter(folder).publish_all(b"i" * 16, 1, packed())
    return folder


@pytest.fixture
def house(published):
    with serving(published) as house:
        yield house


def hear(house, channel):
    """The one answer, in the time that a busy machine needs."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        house.loop.run_once(0.02)
        if heard := house.hear(channel):
            (answer,) = heard
            return answer
    raise AssertionError("no answer")


def log_in(house, name, secret, *, client=CLIENT, session=SESSION, token=None):
    channel = house.client("submissiond")
    token = tickets.session_token(SESSION_KEY, session, client) if token is None else token
    channel.send(m.LogIn(4, session, client, token, name, secret))
    answer = hear(house, channel)
    channel.close()
    return answer


def holds(answer, identity):
    return tickets.login_ticket_holds(TICKET_KEY, answer.ticket, SESSION, identity, answer.expiry, int(time.time()))


# --- a name and a secret


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        (b"ann@one.example", ANN),
        (b"ANN@One.Example", ANN),
        (b"ann@other.example", ANN),
        (b"bob@one.example", b"bob@one.example"),
    ],
)
def test_the_right_secret_is_right_and_proves_it(house, name, identity):
    """Under each of its domain's names; the ticket is for the mailbox, not for what was typed."""
    answer = log_in(house, name, SECRET)
    assert (answer.word, answer.identity) == (b"right", identity)
    assert holds(answer, identity)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (b"ann@one.example", b"wrong"),
        (b"ann@one.example", b""),
        (b"bob@one.example", b"wrong"),
        (b"bob@one.example", b"nul\0"),
        (b"bob@one.example", APP_SECRET),
        (b"nobody@one.example", SECRET),
        (b"ann@nowhere.example", SECRET),
        (b"off@one.example", SECRET),
        (b"off@one.example", APP_SECRET),
        (b"eve@late.example", SECRET),
        (b"operator", SECRET),
        (b"ann", SECRET),
        (b"@", SECRET),
        (b"", SECRET),
        (b"\xff@one.example", SECRET),
        (b"ann@\xff", SECRET),
    ],
)
def test_everything_else_is_wrong_and_one_answer(house, name, secret):
    """Unknown, suspended, an account of the panel, no address at all: the same octets."""
    assert log_in(house, name, secret) == m.LoggedIn(4, b"wrong", b"", 0, b"")


def test_an_app_password_is_right_for_sending_and_not_for_the_panel(house):
    """A program that is taken over does not change its owner's password."""
    answer = log_in(house, ANN, APP_SECRET)
    assert answer.word == b"right"
    assert holds(answer, ANN)
    web = house.client("web")
    web.send(m.Verify(1, b"mailbox", ANN, APP_SECRET))
    assert hear(house, web) == m.Verified(1, False)


def test_whoever_has_a_second_factor_sends_by_app_passwords_alone(tmp_path):
    """From the next log-in on, by PLAIN and by SCRAM; at the panel the password stays the first of two things."""
    writer = SnapshotWriter(tmp_path)
    writer.publish_all(b"i" * 16, 1, packed())
    own = Login(sealed(ANN), suspended=False, domain=b"one.example", tenant=b"", stops=OWN_PASSWORD)
    careful = pack_record(own)
    with serving(tmp_path) as house:
        before = log_in(house, ANN, SECRET)
        assert before.word == b"right"
        writer.publish_changes(b"i" * 16, 2, [(b"m:" + ANN, careful)])
        assert log_in(house, ANN, SECRET).word == b"wrong"
        assert scram_in(house, ANN, SECRET)[0].word == b"wrong"
        assert log_in(house, ANN, APP_SECRET).word == b"right"
        channel = house.client("submissiond")
        channel.send(m.MayUse(3, SESSION, ANN, before.expiry, before.ticket, ANN))
        assert hear(house, channel).yes is False
        web = house.client("web")
        web.send(m.Verify(1, b"mailbox", ANN, SECRET))
        assert hear(house, web) == m.Verified(1, True)


def test_a_revoked_app_password_is_wrong_at_once(tmp_path):
    """The next log-in already."""
    writer = SnapshotWriter(tmp_path)
    writer.publish_all(b"i" * 16, 1, packed())
    with serving(tmp_path) as house:
        assert log_in(house, ANN, APP_SECRET).word == b"right"
        writer.publish_changes(b"i" * 16, 2, [(b"p:" + ANN, None)])
        assert log_in(house, ANN, APP_SECRET).word == b"wrong"


def test_without_a_snapshot_nobody_is_told_wrong(tmp_path):
    """Who has the right password would change it, or a program would forget it."""
    with serving(tmp_path) as house:
        assert log_in(house, ANN, SECRET).word == b"later"


def test_a_session_that_is_not_the_askers_is_told_nothing(house):
    """A submissiond that was taken over cannot guess in others' names, or from addresses it does not have."""
    journal = house.server("journal")
    other = tickets.session_token(SESSION_KEY, SESSION, b"198.51.100.1")
    assert log_in(house, ANN, SECRET, token=other).word == b"later"
    assert log_in(house, ANN, SECRET, token=b"").word == b"later"
    old = b"%x" % (time.time_ns() - 10**9 * (tickets.SESSION_SECONDS + 1))
    assert log_in(house, ANN, SECRET, session=old).word == b"later"
    assert [name for name, _ in events(journal, house)].count(b"token-refused") == 3


def test_more_than_can_be_hashed_are_told_to_come_later(house, monkeypatch):
    """Not wrong: the password may be right."""
    monkeypatch.setattr(hashers, "MAX_WAITING", 0)
    assert log_in(house, ANN, SECRET).word == b"later"


def test_the_journal_hears_who_logged_in_and_never_a_secret(house):
    """From where, by what; and of the wrong ones the name as given."""
    journal = house.server("journal")
    log_in(house, ANN, SECRET)
    log_in(house, ANN, APP_SECRET)
    log_in(house, b"nobody@one.example", b"secret-word")
    told = events(journal, house)
    assert [(name, pairs[b"login"]) for name, pairs in told] == [
        (b"logged-in", ANN), (b"logged-in", ANN), (b"login-refused", b"nobody@one.example"),
    ]  # fmt: skip
    assert all(pairs[b"client"] == CLIENT for _, pairs in told)
    assert [pairs[b"how"] for _, pairs in told[:2]] == [b"password", b"app password"]
    assert not any(secret in repr(told).encode() for secret in (SECRET, APP_SECRET, b"secret-word"))


# --- a better hash


def renewal(house, ledger, name):
    assert log_in(house, name, SECRET).word == b"right"
    house.settle()
    return [message for message in house.hear(ledger) if isinstance(message, m.Rehash)]


def test_that_a_password_was_used_is_told_once_in_hours(house):
    """Of each its name alone: which of them it is, only the database knows."""
    ledger = house.server("ledger")
    for secret in (APP_SECRET, APP_SECRET, SECRET, b"wrong"):
        log_in(house, ANN, secret)
    house.settle()
    record = unpack_record(dict(packed())[b"p:ann@one.example"])
    own = unpack_record(dict(packed())[b"m:ann@one.example"])
    told = [(message.identity, message.name) for message in house.hear(ledger)]
    assert told == [(ANN, name_of(record.sealed[1])), (ANN, name_of(own.sealed))]


def test_a_weaker_hash_is_replaced_by_way_of_the_ledger(house):
    """Sealed to ourselves; bound to what it replaces; told once."""
    ledger = house.server("ledger")
    (told,) = renewal(house, ledger, b"bob@one.example")
    old = dict(packed())[b"m:bob@one.example"]
    assert told.identity == b"bob@one.example"
    assert told.was == hashlib.sha256(records_login(old)).digest()
    stored, keys = scram.split(Opener(b"p" * 32, PASSWORD_HASH).open(told.sealed))
    assert hashing.is_best(stored)
    assert hashing.fits(stored, SECRET, hashing.dummy_hash())
    assert keys == scram.keys_of(SECRET, scram.salt_of(PUBLIC, b"bob@one.example"))
    assert renewal(house, ledger, b"bob@one.example") == []


def test_a_good_hash_stays_and_gets_what_scram_needs(house):
    """The same hash, with keys beside it; where both are there nothing is told."""
    ledger = house.server("ledger")
    assert renewal(house, ledger, ANN) == []
    (told,) = renewal(house, ledger, b"bob+own@one.example")
    before = Opener(b"p" * 32, PASSWORD_HASH).open(records_login(dict(packed())[b"m:bob+own@one.example"]))
    stored, keys = scram.split(Opener(b"p" * 32, PASSWORD_HASH).open(told.sealed))
    assert stored == before
    assert keys is not None


def test_a_wrong_secret_replaces_nothing(house):
    """Nor does an app password, whose hash is no password's."""
    ledger = house.server("ledger")
    log_in(house, b"bob@one.example", b"wrong")
    log_in(house, ANN, APP_SECRET)
    house.settle()
    assert not any(isinstance(message, m.Rehash) for message in house.hear(ledger))


def records_login(octets):
    return unpack_record(octets).sealed


# --- SCRAM-SHA-256 (RFC 5802, 7677)


def hi(secret, salt, iterations):
    return hashlib.pbkdf2_hmac("sha256", secret, salt, iterations)


def proof_for(secret, bare, challenge, final_bare):
    """The client's half, written from RFC 5802 3 and by nothing of ours."""
    attributes = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salted = hi(secret, base64.b64decode(attributes[b"s"]), int(attributes[b"i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = b",".join((bare, challenge, final_bare))
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    return base64.b64encode(proof), b"v=" + base64.b64encode(server)


def challenge_of(house, channel, first, tag=9):
    channel.send(m.ScramBegin(tag, SESSION, CLIENT, TOKEN, first))
    return hear(house, channel)


def scram_in(house, name, secret, *, header=b"n,,", spoil=lambda final: final):
    channel, bare = house.client("submissiond"), b"n=" + name + b",r=rOprNGfwEbeRWgbNEkqO"
    challenge = challenge_of(house, channel, header + bare).text
    final = b"c=" + base64.b64encode(header) + b",r=" + challenge.split(b",")[0][2:]
    proof, server = proof_for(secret, bare, challenge, final)
    channel.send(m.ScramEnd(9, spoil(final + b",p=" + proof)))
    answer = hear(house, channel)
    channel.close()
    return answer, server


@pytest.mark.parametrize("secret", [SECRET, APP_SECRET, b"another-app"])
def test_a_client_that_knows_the_secret_proves_it_and_hears_that_we_know_it_too(house, secret):
    """The password or any app password: one salt for all of a mailbox."""
    answer, server = scram_in(house, ANN, secret)
    assert (answer.word, answer.identity, answer.server_final) == (b"right", ANN, server)
    assert holds(answer, ANN)


@pytest.mark.parametrize("header", [b"n,,", b"y,,", b"n,a=ann@one.example,"])
def test_what_a_client_says_about_channel_binding_is_bound(house, header):
    """It may say that it can, or who it acts as, when that is itself."""
    assert scram_in(house, ANN, SECRET, header=header)[0].word == b"right"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        (ANN, b"wrong"),
        (b"bob@one.example", SECRET),
        (b"off@one.example", SECRET),
        (b"nobody@one.example", SECRET),
        (b"nobody", SECRET),
    ],
)
def test_who_cannot_prove_it_is_wrong(house, name, secret):
    """Also a mailbox whose imported hash has no keys yet, and names that nobody has."""
    assert scram_in(house, name, secret)[0] == m.ScramDone(9, b"wrong", b"", b"", 0, b"")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda final: final[:-8] + b"AAAAAAA=",
        lambda final: final.replace(b"c=biws", b"c=eSws"),
        lambda final: final.replace(b",r=", b",r=x"),
        lambda final: final.partition(b",p=")[0],
        lambda final: b"p=" + final,
        lambda final: b"\xff" * 20,
    ],
)
def test_a_final_message_that_was_touched_proves_nothing(house, spoil):
    """Proof, binding, nonce, form."""
    assert scram_in(house, ANN, SECRET, spoil=spoil)[0].word == b"wrong"


@pytest.mark.parametrize(
    "first",
    [
        b"", b"n,,", b"p=tls-unique,,n=ann@one.example,r=x", b"n,a=bob@one.example,n=ann@one.example,r=x",
        b"n,,m=x,n=ann@one.example,r=x", b"n,,n=a=b,r=x", b"n,,n=,r=x", b"n,,n=ann@one.example,r=", b"\xff\xfe",
        b"n,,n=ann@one.example,r=x,", b"n,,n=ann@one.example,r=" + b"x" * 300,
    ],
)  # fmt: skip
def test_what_is_no_first_message_ends_it(house, first):
    """Binding to a channel that we cannot see, acting for another, extensions that must be understood, junk."""
    assert challenge_of(house, house.client("submissiond"), first).word == b"wrong"


def test_a_challenge_tells_nothing_about_who_exists(house):
    """The same salt each time, the same shape for everybody; only the nonce is new."""
    channel = house.client("submissiond")

    def ask(name):
        text = challenge_of(house, channel, b"n,,n=" + name + b",r=abc").text
        channel.send(m.ScramEnd(9, b""))
        nonce, salt, iterations = text.split(b",")
        assert nonce.startswith(b"r=abc")
        return nonce, salt, iterations

    for name in (ANN, b"nobody@one.example", b"bob@one.example", b"off@one.example"):
        one, two = ask(name), ask(name)
        assert one[0] != two[0]
        assert one[1:] == two[1:]
    assert ask(ANN)[1] != ask(b"nobody@one.example")[1]
    assert len(ask(ANN)[1]) == len(ask(b"nobody@one.example")[1])


def test_an_exchange_ends_once_and_in_time(house, monkeypatch):
    """A proof is good for one challenge; the challenge of a channel is nobody else's; too many, and the oldest goes."""
    channel = house.client("submissiond")
    channel.send(m.ScramEnd(9, b"c=biws,r=x,p=" + b"A" * 44))
    assert hear(house, channel).word == b"later"
    first = b"n,,n=ann@one.example,r=abc"
    assert isinstance(challenge_of(house, channel, first, tag=1), m.ScramChallenge)
    assert challenge_of(house, channel, first, tag=1).word == b"later"
    monkeypatch.setattr("mta.roles.authenticator.logins.MAX_EXCHANGES", 1)
    assert isinstance(challenge_of(house, channel, first, tag=2), m.ScramChallenge)
    channel.send(m.ScramEnd(1, b"c=biws,r=x,p=" + b"A" * 44))
    assert hear(house, channel).word == b"later"


# --- as whom


def may_use(house, who, address, **changed):
    channel = house.client("submitter")
    expiry = int(time.time()) + 60
    asked = {"session": SESSION, "identity": who, "expiry": expiry}
    logins = [unpack_record(octets) for key, octets in packed() if key == b"m:" + who]
    by = name_of(logins[0].sealed) if logins else b"password"
    ticket = tickets.login_ticket(TICKET_KEY, **asked, credential=by)
    if changed.get("expiry") == 1:
        ticket = tickets.login_ticket(TICKET_KEY, **(asked | changed), credential=by)  # a good one, once
    channel.send(m.MayUse(2, ticket=ticket, address=address, **(asked | changed)))
    answer = hear(house, channel)
    channel.close()
    return answer


@pytest.mark.parametrize(
    ("identity", "address"),
    [
        (ANN, b"ann@one.example"),
        (ANN, b"Ann@ONE.example"),
        (ANN, b"ann@other.example"),
        (ANN, b"ann+list@one.example"),
        (ANN, b"ann+a+b@other.example"),
        (ANN, b"info@one.example"),
        (ANN, b""),
        (b"joe@easy.example", b"info@one.example"),
        (b"joe@easy.example", b"whoever@easy.example"),
        (b"bob@one.example", b"ann+shop@one.example"),
    ],
)
def test_a_mailbox_may_write_as_its_own_addresses_and_as_those_it_was_given(house, identity, address):
    """Its tags, its domain's other names, its aliases, what was given, the null reverse-path; and the proof is for that one."""
    answer = may_use(house, identity, address)
    assert answer.yes, answer.rule
    key, now = TICKET_KEY, int(time.time())
    ticket = answer.sender_ticket
    assert tickets.sender_ticket_holds(key, ticket, SESSION, identity, address, answer.until, now)
    assert not tickets.sender_ticket_holds(key, ticket, SESSION, identity, b"x@one.example", answer.until, now)


@pytest.mark.parametrize(
    ("identity", "address"),
    [
        (ANN, b"bob@one.example"),
        (ANN, b"annx@one.example"),
        (ANN, b"ann+x@two.example"),
        (ANN, b"ann+shop@one.example"),
        (ANN, b"whoever@easy.example"),
        (ANN, b"nobody@one.example"),
        (ANN, b"ann"),
        (ANN, b"\xff@one.example"),
        (b"bob@one.example", b"bob+own@one.example"),
        (b"bob@one.example", b"info@one.example"),
        (b"joe@easy.example", b"ann@one.example"),
        (b"off@one.example", b"off@one.example"),
        (b"eve@late.example", b"eve@late.example"),
        (b"gone@one.example", b"gone@one.example"),
    ],
)
def test_no_mailbox_may_write_as_another(house, identity, address):
    """Nor as a tagged address that is somebody's own; and whoever was suspended since he logged in, as nobody."""
    answer = may_use(house, identity, address)
    assert not answer.yes
    assert answer.rule
    assert (answer.until, answer.sender_ticket) == (0, b"")


@pytest.mark.parametrize(
    "changed", [{"identity": b"bob@one.example"}, {"session": b"other"}, {"expiry": 2**40}, {"expiry": 1}]
)
def test_a_log_in_cannot_be_pretended(house, changed):
    """A submissiond that was taken over has tickets of who did log in, and makes none."""
    journal = house.server("journal")
    assert not may_use(house, ANN, ANN, **changed).yes
    assert [name for name, _ in events(journal, house)] == [b"login-ticket-refused"]


def still_may(house, answer):
    """Does the log-in that *answer* was hold still, as Ann?"""
    channel = house.client("submissiond")
    channel.send(m.MayUse(2, SESSION, ANN, answer.expiry, answer.ticket, ANN))
    using = hear(house, channel)
    channel.close()
    return using.yes


@pytest.mark.parametrize(
    ("secret", "changes"),
    [
        (SECRET, [(b"m:" + ANN, lambda: pack_record(login(ANN)))]),
        (SECRET, [(b"m:" + ANN, lambda: None)]),
        (APP_SECRET, [(b"p:" + ANN, lambda: None)]),
        (APP_SECRET, [(b"p:" + ANN, lambda: pack_record(AppPasswords((sealed(ANN, b"another-app"),))))]),
        (SECRET, [(b"m:" + ANN, lambda: pack_record(login(ANN, suspended=True)))]),
        (APP_SECRET, [(b"m:" + ANN, lambda: None)]),
        (SECRET, [(b"d:one.example", lambda: pack_record(Domain(b"3")))]),
    ],
    ids=["changed", "removed", "apps revoked", "one app revoked", "suspended", "gone", "tenant suspended"],
)
def test_a_log_in_ends_with_the_password_it_came_by(tmp_path, secret, changes):
    """A thief who is in when the password is changed is out with the next message."""
    writer = SnapshotWriter(tmp_path)
    writer.publish_all(b"i" * 16, 1, packed())
    with serving(tmp_path) as house:
        answers = [log_in(house, ANN, secret), scram_in(house, ANN, secret)[0]]
        assert all(still_may(house, answer) for answer in answers)
        writer.publish_changes(b"i" * 16, 2, [(key, make()) for key, make in changes])
        assert not any(still_may(house, answer) for answer in answers)


def test_a_log_in_outlives_what_does_not_concern_it(tmp_path):
    """Another app password that is made or revoked, and a better hash of the same password that we asked for ourselves."""
    bob = b"bob@one.example"
    writer = SnapshotWriter(tmp_path)
    writer.publish_all(b"i" * 16, 1, packed())
    with serving(tmp_path) as house:
        ledger, by_ann, by_bob = house.server("ledger"), log_in(house, ANN, SECRET), log_in(house, bob, SECRET)
        house.settle()
        (told,) = (message for message in house.hear(ledger) if isinstance(message, m.Rehash))
        better = Login(told.sealed, suspended=False, domain=b"one.example", tenant=b"")
        writer.publish_changes(b"i" * 16, 2, [(b"p:" + ANN, None), (b"m:" + bob, pack_record(better))])
        assert still_may(house, by_ann)
        channel = house.client("submissiond")
        channel.send(m.MayUse(2, SESSION, bob, by_bob.expiry, by_bob.ticket, bob))
        assert hear(house, channel).yes


def test_what_a_log_in_was_by_cannot_be_pretended(house):
    """The name of another password in a ticket breaks its proof."""
    answer, other = log_in(house, ANN, APP_SECRET), log_in(house, ANN, SECRET)
    size = tickets.CREDENTIAL_OCTETS
    mixed = other.ticket[:size] + answer.ticket[size:]
    assert not tickets.login_ticket_holds(TICKET_KEY, mixed, SESSION, ANN, answer.expiry, int(time.time()))


def test_the_proof_for_the_signer_is_good_for_a_moment(house):
    """Who took submitter over cannot collect them."""
    answer = may_use(house, ANN, ANN)
    assert 0 < answer.until - time.time() <= tickets.SENDER_SECONDS


def test_a_peer_that_says_what_it_may_not_is_hung_up_on(house):
    """submitter may ask as whom, and log nobody in."""
    submitter = house.client("submitter")
    submitter.send(m.LogIn(1, SESSION, CLIENT, TOKEN, ANN, SECRET))
    house.settle()
    with pytest.raises(ChannelClosed):
        house.hear(submitter)


def session_of(number):
    """A session of its own, with its token."""
    session = b"%x" % (time.time_ns() + number)
    return session, tickets.session_token(SESSION_KEY, session, CLIENT)


def test_one_conversation_has_one_log_in_under_way(house, monkeypatch):
    """Who took one over cannot fill what hashes for all: the second is told to come later, and another session is not."""
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.3)
    taken, honest = house.client("submissiond"), house.client("submissiond")
    for tag in range(70):
        taken.send(m.LogIn(tag, SESSION, CLIENT, TOKEN, b"nobody@one.example", b"%d" % tag))
    session, token = session_of(1)
    honest.send(m.LogIn(4, session, CLIENT, token, ANN, SECRET))
    assert hear(house, honest).word == b"right"
    house.settle()
    assert {answer.word for answer in house.hear(taken)} <= {b"later", b"wrong"}
    assert log_in(house, ANN, SECRET, session=session, token=token).word == b"right", "one after the other"


def test_exchanges_that_are_begun_and_never_ended_crowd_out_their_own(house, monkeypatch):
    """A submissiond that was taken over begins more than there is room for; a user of another goes on with his."""
    monkeypatch.setattr("mta.roles.authenticator.logins.MAX_EXCHANGES", 3)
    taken, honest = house.client("submissiond"), house.client("submissiond")
    first = b"n,,n=ann@one.example,r=abc"
    assert isinstance(challenge_of(house, honest, first), m.ScramChallenge)
    for number in range(1, 9):
        session, token = session_of(number)
        taken.send(m.ScramBegin(number, session, CLIENT, token, first))
        assert isinstance(hear(house, taken), m.ScramChallenge)
    honest.send(m.ScramEnd(9, b"c=biws,r=x,p=" + b"A" * 44))
    assert hear(house, honest).word == b"wrong", "it was looked at"


def test_another_exchange_of_a_session_takes_the_place_of_its_first(house):
    channel = house.client("submissiond")
    first = b"n,,n=ann@one.example,r=abc"
    for tag in (1, 2):
        assert isinstance(challenge_of(house, channel, first, tag=tag), m.ScramChallenge)
    channel.send(m.ScramEnd(1, b"c=biws,r=x,p=" + b"A" * 44))
    assert hear(house, channel).word == b"later"


# --- guessing


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_name_is_refused_but_not_where_its_owner_was_before():
    """Guessers from afar do not shut him out; from his own network they have a client's patience."""
    clock = Clock()
    guesses = Guesses(clock, b"k")
    guesses.right(ANN, b"198.51.100.9")
    for number in range(patience.FREE + 1):
        guesses.wrong(ANN, b"203.0.%d.1" % number, b"%d" % number)
    assert guesses.is_refused(ANN, b"192.0.2.7")
    assert not guesses.is_refused(ANN, b"198.51.100.77")
    clock.now += patience.KEPT_SECONDS
    guesses.wrong(ANN, b"203.0.113.1", b"x")
    clock.now += 1
    assert guesses.is_refused(ANN, b"198.51.100.77") is guesses.is_refused(ANN, b"192.0.2.7")


def test_that_somebody_logged_in_does_not_show_in_how_long_a_guess_waits(monkeypatch):
    """Else whoever asks once in a while knows which names are in use."""
    monkeypatch.setattr(patience, "FIRST_DELAY_SECONDS", 0.1)
    clock = Clock()
    guesses = Guesses(clock, b"k")
    waits = {ANN: [], b"nobody@one.example": []}
    for number in range(12):
        for name, waited in waits.items():
            waited.append(guesses.wrong(name, b"192.0.2.7", b"%d" % number))
        guesses.right(ANN, b"198.51.100.9")
        clock.now += 10
    assert waits[ANN] == waits[b"nobody@one.example"]
    assert waits[ANN][-1] == patience.MAX_DELAY_SECONDS


@pytest.mark.parametrize(
    ("spray", "victim", "free", "most"),
    [
        (lambda n: b"192.0.2.7", b"192.0.2.7", b"192.0.2.8", patience.OF_CLIENT),
        (lambda n: b"192.0.2.%d" % (n % 250), b"192.0.2.251", b"192.0.3.1", patience.OF_NETWORK),
        (lambda n: b"2001:db8::%x" % n, b"2001:db8::ffff", b"2001:db8:0:1::1", patience.OF_CLIENT),
    ],
)
def test_a_client_and_a_network_have_their_limits_over_all_names(spray, victim, free, most):
    """One guess for each of many names; right ones in between forgive nothing. A while later all is forgotten."""
    clock = Clock()
    guesses = Guesses(clock, b"k")
    for number in range(most):
        assert not guesses.is_refused(b"%d@x" % number, victim)
        guesses.wrong(b"%d@x" % number, spray(number), b"guess")
        guesses.right(b"own@x", spray(number))
    assert guesses.is_refused(b"new@x", victim)
    assert not guesses.is_refused(b"new@x", free)
    clock.now += 2 * patience.WINDOW_SECONDS + 1
    assert not guesses.is_refused(b"new@x", victim)


@pytest.mark.parametrize("client", [b"127.0.0.1", b"::1", b"10.1.2.3", b"2001:db8:9::7"])
def test_who_speaks_for_many_is_not_refused_for_one(client):
    """A webmail on this machine, or in a trusted network; a name that is guessed at there is refused all the same."""
    trusted = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("2001:db8:9::/48")]
    guesses = Guesses(Clock(), b"k", trusted)
    for number in range(patience.OF_NETWORK * 2):
        guesses.wrong(b"%d@x" % number, client, b"guess")
    assert not guesses.is_refused(b"new@x", client)
    for number in range(patience.FREE + 1):
        guesses.wrong(ANN, client, b"%d" % number)
    assert guesses.is_refused(ANN, client)


def test_a_program_with_an_old_password_guesses_nothing():
    """The same wrong secret counts once, however often it comes; another one counts again."""
    guesses = Guesses(Clock(), b"k")
    for _ in range(patience.OF_NETWORK * 2):
        guesses.wrong(ANN, CLIENT, b"the old one")
    assert not guesses.is_refused(ANN, CLIENT)
    for number in range(patience.FREE):
        guesses.wrong(ANN, CLIENT, b"%d" % number)
    assert guesses.is_refused(ANN, CLIENT)


def test_what_is_remembered_of_guessers_is_bounded(monkeypatch):
    """Ever new names, networks and places."""
    for name in ("MAX_NAMES", "MAX_PLACES"):
        monkeypatch.setattr(patience, name, 50)
    guesses = Guesses(Clock(), b"k")
    for number in range(500):
        guesses.wrong(b"%d@x" % number, b"10.%d.%d.1" % (number // 250, number % 250), b"guess")
        guesses.right(b"%d@y" % number, b"10.%d.%d.1" % (number // 250, number % 250))
    assert len(guesses._last) <= 50
    assert len(guesses._places) <= 50
    assert len(guesses._names._wrong) <= 50


@pytest.mark.parametrize(
    ("delay", "took", "steps"), [(0, 0.02, 1), (0.1, 0.49, 1), (0.1, 0.51, 2), (2.0, 0.1, 4), (0, 1.3, 3)]
)
def test_a_wrong_answer_comes_on_a_step(delay, took, steps, monkeypatch):
    """Whatever the check took; so what it took does not show."""
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.5)
    assert due(100.0, delay, 100.0 + took) == 100.0 + steps * patience.STEP_SECONDS


@pytest.mark.alone
@pytest.mark.parametrize(
    "stored", [None, b"{SSHA}" + ssha(b"x"), b"{PLAIN-MD5}" + b"0" * 32], ids=["none", "ssha", "md5"]
)
def test_no_hash_and_a_cheap_one_cost_no_less_than_a_dear_one(stored):
    """CPU of the check itself, before any step hides it."""
    dummy = hashing.dummy_hash()
    dear = hashing.hash_of(b"x")

    def cost(hash_):
        began = time.thread_time()
        assert not hashing.fits(hash_, b"wrong", dummy)
        return time.thread_time() - began

    costs = [(cost(stored), cost(dear)) for _ in range(7)]
    cheap, full = (statistics.median(column) for column in zip(*costs, strict=True))
    assert 0.7 < cheap / full < 1.5


@pytest.mark.alone
def test_unknown_wrong_and_imported_are_answered_at_the_same_moment(house, monkeypatch):
    """From question to answer, as the client sees it."""
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.2)
    monkeypatch.setattr(patience, "FREE", 1000)
    took = {name: [] for name in (ANN, b"nobody@one.example", b"bob@one.example", b"off@one.example")}
    for number in range(3):
        for name, spent in took.items():
            monkeypatch.setattr(patience, "FIRST_DELAY_SECONDS", 0.0)
            began = time.perf_counter()
            assert log_in(house, name, b"wrong %d" % number).word == b"wrong"
            spent.append(time.perf_counter() - began)
    medians = [statistics.median(spent) for spent in took.values()]
    assert max(medians) - min(medians) < 0.05
    assert min(medians) >= 0.2


@pytest.mark.parametrize(
    "root", [False, pytest.param(True, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))]
)
def test_behind_its_walls_it_checks_each_kind_of_hash(tmp_path, root):
    """What the libraries load late is loaded before: there is nothing to load from any more."""
    make_state(tmp_path, root=root)
    (tmp_path / "keys/authenticator.key").write_bytes(b"p" * 32)
    stored = {
        b"a": b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        b"b": b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
        b"c": b"$1$5pZSV9va$OTWm2sV/cPFUO9bAgxKpf.",
        b"d": b"$2a$05$CCCCCCCCCCCCCCCCCCCCC.z6PrHbuSsMSSwIGFy1JGevQZf6CqJ1y",
        b"e": b"EG35ln0HeG6Ps",
        b"f": b"{SSHA}" + ssha(b"Hello world!"),
        b"g": hashing.hash_of(b"Hello world!"),
    }
    logins = [
        (b"m:" + name + b"@one.example", pack_record(login(name + b"@one.example", text)))
        for name, text in stored.items()
    ]
    SnapshotWriter(tmp_path / "snapshot/credentials").publish_all(b"i" * 16, 1, packed() + logins)
    settings = {roster.TICKET_KEY: TICKET_KEY, roster.SESSION_KEY: SESSION_KEY}
    role = LoneRole(roster.AUTHENTICATOR, tmp_path, root=root, settings=settings)
    ledger, submissiond, _ = role.as_server("ledger"), role.as_client("submissiond"), role.as_server("journal")
    for number, name in enumerate(stored):
        session, token = session_of(number)
        submissiond.send(m.LogIn(number, session, CLIENT, token, name + b"@one.example", b"Hello world!"))
    answers = {answer.tag: answer.word for answer in (receive(submissiond)[0] for _ in stored)}
    assert answers == dict.fromkeys(range(len(stored)), b"right")
    told = [receive(ledger)[0] for _ in range(6 + len(stored))]  # six hashes to replace; all were used
    renewed = {message.identity[:1] for message in told if isinstance(message, m.Rehash)}
    assert renewed == set(stored) - {b"g"}
    assert role.end() == ""
