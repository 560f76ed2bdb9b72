"""Accounts, keys, sessions: who somebody is once he has proved it, and for how long."""

import base64
import hashlib

import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import Conflict, Invalid, NotFound, NotSignedIn, Taken
from appliance.models import LoginSession
from appliance.services import accounts, domains, keys, mailboxes, passwords, sessions, tenants
from mta.seal import make_key_pair
from tests.fixtures.database import OPERATOR

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def open_seal(private: bytes, blob: str) -> str:
    """The seal opened by its documented format alone, as the authenticator does."""
    octets = base64.b64decode(blob, validate=True)
    assert octets[:1] == b"\x01"
    ephemeral, sealed = octets[1:33], octets[33:]
    key = X25519PrivateKey.from_private_bytes(private)
    shared = key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    salt = ephemeral + key.public_key().public_bytes_raw()
    derived = HKDF(hashes.SHA256(), 32, salt=salt, info=b"postern sealed hash v1").derive(shared)
    return ChaCha20Poly1305(derived).decrypt(bytes(12), sealed, None).decode()


def test_a_sealed_password_opens_with_the_private_key_only():
    """Inside is an argon2id hash of it; another key opens nothing, and no two seals are alike."""
    private, public = make_key_pair()
    sealer = passwords.Sealer(public)
    blob = sealer.seal_password("correct horse")
    phc = open_seal(private, blob)
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHasher().verify(phc, "correct horse")
    assert sealer.seal(phc) != sealer.seal(phc)
    with pytest.raises(Exception, match=r"^$"):  # InvalidTag says nothing
        open_seal(make_key_pair()[0], blob)


def test_a_hash_made_elsewhere_is_sealed_as_it_is():
    """Billing systems send hashes."""
    private, public = make_key_pair()
    phc = CHEAP.hash("secret")
    assert open_seal(private, passwords.Sealer(public).seal_hash(phc)) == phc


@pytest.mark.parametrize(
    "phc",
    [
        "",
        "secret",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG",
        "$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG",
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG",
        "$argon2id$v=19$m=8,t=1000,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b0dWRWJTmaaJObG",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + "A" * 400,
    ],
)
def test_a_hash_that_is_none_or_costs_too_much_is_refused(phc):
    """A customer could otherwise make each of his logins cost us four gigabytes."""
    with pytest.raises(Invalid) as caught:
        passwords.Sealer(make_key_pair()[1]).seal_hash(phc)
    assert caught.value.field == "password_hash"


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1001, "ä" * 501, "half \ud800 a character"])
def test_a_password_has_a_length_and_is_text(password):
    """Eight characters at least; the wire takes a thousand octets."""
    with pytest.raises(Invalid) as caught:
        passwords.check_password(password)
    assert caught.value.field == "password"


def test_one_time_passwords_are_long_and_never_the_same():
    """A hundred bits, in groups that can be copied by hand."""
    made = {passwords.one_time_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(password.replace("-", "")) == 20 for password in made)


def test_a_key_is_shown_once_and_kept_as_digest(world):
    """What is presented is split into what the authenticator asks for."""
    made = world.do(lambda s: keys.create(s, actor=world.customer, name="billing"))
    public_id, secret = keys.split(made.secret)
    assert public_id == made.key.public_id
    assert made.key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    actor = world.do(lambda s: keys.actor_of(s, public_id, "192.0.2.9"))
    assert (actor.kind, actor.tenant_id, actor.source) == ("customer", world.customer_id, "192.0.2.9")


@pytest.mark.parametrize("text", ["", "pk_", "pk_1_2", "Bearer x", "pk_" + "0" * 16 + "_" + "g" * 64, "\ud800"])
def test_what_is_no_key_is_not_signed_in(text):
    """Before anybody is asked about it."""
    with pytest.raises(NotSignedIn):
        keys.split(text)


def test_a_revoked_key_opens_nothing(world):
    """At once, before the snapshot knows."""
    made = world.do(lambda s: keys.create(s, actor=world.customer))
    world.do(lambda s: keys.revoke(s, made.key.public_id, actor=world.customer))
    with pytest.raises(NotSignedIn):
        world.do(lambda s: keys.actor_of(s, made.key.public_id))


def test_a_suspended_tenants_people_and_programs_are_out(world):
    """Keys and sessions that were good a moment ago, at any level below."""
    key = world.do(lambda s: keys.create(s, actor=world.customer)).key.public_id
    admin = world.do(lambda s: sessions.create(s, "own-admin")).token
    owner = world.do(lambda s: sessions.create(s, "joe@own.test")).token
    world.do(lambda s: tenants.suspend(s, world.reseller_id, actor=OPERATOR))
    for deed in (
        lambda s: keys.actor_of(s, key),
        lambda s: sessions.find(s, admin),
        lambda s: sessions.find(s, owner),
        lambda s: sessions.create(s, "own-admin"),
    ):
        with pytest.raises(NotSignedIn) as caught:
            world.do(deed)
        assert caught.value.code == "suspended"


@pytest.mark.parametrize("what", ["mailbox", "domain"])
def test_a_suspended_mailbox_owner_is_out(world, what):
    """By his own suspension or his domain's."""
    token = world.do(lambda s: sessions.create(s, "joe@own.test")).token
    if what == "mailbox":
        world.do(lambda s: mailboxes.suspend(s, "joe@own.test", actor=OPERATOR))
    else:
        world.do(lambda s: domains.suspend(s, "own.test", actor=OPERATOR))
    with pytest.raises(NotSignedIn):
        world.do(lambda s: sessions.find(s, token))


@pytest.mark.parametrize(
    ("name", "kind"), [("own-admin", "customer"), (" OPERATOR ", "operator"), ("JOE@Own.Test", "mailbox")]
)
def test_a_session_stands_for_who_logged_in(world, name, kind):
    """Only the digest of its token is kept."""
    made = world.do(lambda s: sessions.create(s, name, source="192.0.2.7"))
    found = world.do(lambda s: sessions.find(s, made.token))
    assert (found.actor.kind, found.actor.source, found.csrf) == (kind, "192.0.2.7", made.csrf)
    kept = world.do(lambda s: s.get_one(LoginSession, made.id).token_sha256)
    assert made.token not in kept


def test_an_at_sign_means_a_mailbox(world):
    """So no account can take a mailbox owner's name."""
    assert sessions.login_of("Joe@OWN.test") == ("mailbox", "joe@own.test")
    assert sessions.login_of("Operator") == ("account", "operator")
    with pytest.raises(Invalid):
        world.do(lambda s: accounts.create(s, "joe@own.test", actor=OPERATOR))


@pytest.mark.parametrize("name", ["nobody", "nobody@own.test", "x@elsewhere.test"])
def test_a_session_needs_somebody(world, name):
    """The authenticator's yes is not enough: he may have been removed since."""
    with pytest.raises(NotSignedIn):
        world.do(lambda s: sessions.create(s, name))


def test_a_session_ends(world, monkeypatch):
    """By logging out, by time, by a new password, by removal."""
    tokens = [world.do(lambda s: sessions.create(s, "joe@own.test")) for _ in range(3)]
    world.do(lambda s: sessions.end(s, tokens[0].token))
    world.do(lambda s: mailboxes.set_password(s, "joe@own.test", "new", actor=world.owner, keep_session=tokens[1].id))
    world.do(lambda s: sessions.find(s, tokens[1].token))
    for ended in (tokens[0], tokens[2]):
        with pytest.raises(NotSignedIn):
            world.do(lambda s, ended=ended: sessions.find(s, ended.token))
    later = sessions.now() + 13 * 3600
    with monkeypatch.context() as patched:
        patched.setattr(sessions, "now", lambda: later)
        with pytest.raises(NotSignedIn):
            world.do(lambda s: sessions.find(s, tokens[1].token))
    world.do(lambda s: mailboxes.remove(s, "joe@own.test", actor=OPERATOR))
    with pytest.raises(NotSignedIn):
        world.do(lambda s: sessions.find(s, tokens[1].token))


def test_a_reset_password_is_one_time(world):
    """Its owner must change it; nobody else can in his name."""
    token = world.do(lambda s: sessions.create(s, "own-admin")).token
    world.do(lambda s: accounts.reset_password(s, "own-admin", "sealed", actor=OPERATOR))
    with pytest.raises(NotSignedIn):
        world.do(lambda s: sessions.find(s, token))
    logged_in = world.do(lambda s: sessions.create(s, "own-admin"))
    assert logged_in.must_change
    with pytest.raises(NotFound):
        world.do(lambda s: accounts.set_password(s, "own-admin", "sealed", actor=OPERATOR))
    world.do(lambda s: accounts.set_password(s, "own-admin", "mine", actor=logged_in.actor, keep_session=logged_in.id))
    assert not world.do(lambda s: sessions.find(s, logged_in.token)).must_change


def test_an_accounts_name_is_held_once(world):
    """Across all tenants: it is what one logs in with."""
    with pytest.raises(Taken):
        world.do(lambda s: accounts.create(s, "OWN-admin", actor=OPERATOR))


def test_the_last_operator_stays(world):
    """Nobody would be left to let him in again."""
    with pytest.raises(Conflict):
        world.do(lambda s: accounts.remove(s, "operator", actor=OPERATOR))
    world.do(lambda s: accounts.create(s, "second", actor=OPERATOR))
    world.do(lambda s: accounts.remove(s, "operator", actor=OPERATOR))
