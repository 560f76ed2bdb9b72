"""Hashes that other programs made: each kind is recognised, checked and bounded. What is kept for SCRAM is as RFC 7677 has it."""

import base64
import contextlib
import hashlib

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta import scram
from mta.roles.authenticator import exchange, hashing
from mta.schemes import Family, SchemeError, recognise, schemes

DUMMY = hashing.dummy_hash()
SECRET = b"Hello world!"
# The crypt family's as libcrypt makes them, the digests as Python's hashlib does.
HASHES = [
    (b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", SECRET),
    (b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", SECRET),
    (b"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", SECRET),
    (b"$1$5pZSV9va$OTWm2sV/cPFUO9bAgxKpf.", SECRET),
    (b"$2a$05$CCCCCCCCCCCCCCCCCCCCC.z6PrHbuSsMSSwIGFy1JGevQZf6CqJ1y", SECRET),
    (b"$2y$05$CCCCCCCCCCCCCCCCCCCCC.z6PrHbuSsMSSwIGFy1JGevQZf6CqJ1y", SECRET),
    (b"EG35ln0HeG6Ps", SECRET),
    (b"{PLAIN-MD5}" + hashlib.md5(SECRET).hexdigest().encode(), SECRET),
    (b"{PLAIN-MD5.B64}" + base64.b64encode(hashlib.md5(SECRET).digest()), SECRET),
    (b"{LDAP-MD5}" + base64.b64encode(hashlib.md5(SECRET).digest()), SECRET),
    (b"{SMD5}" + base64.b64encode(hashlib.md5(SECRET + b"salt").digest() + b"salt"), SECRET),
    (b"{SHA}" + base64.b64encode(hashlib.sha1(SECRET).digest()), SECRET),
    (b"{SHA1.hex}" + hashlib.sha1(SECRET).hexdigest().encode(), SECRET),
    (b"{ssha}" + base64.b64encode(hashlib.sha1(SECRET + b"12345678").digest() + b"12345678"), SECRET),
    (b"{SHA256}" + base64.b64encode(hashlib.sha256(SECRET).digest()), SECRET),
    (b"{SSHA256}" + base64.b64encode(hashlib.sha256(SECRET + b"salt").digest() + b"salt"), SECRET),
    (b"{SHA512.HEX}" + hashlib.sha512(SECRET).hexdigest().encode(), SECRET),
    (b"{SSHA512}" + base64.b64encode(hashlib.sha512(SECRET + b"salt").digest() + b"salt"), SECRET),
    (b"{ARGON2ID}" + hashing.hash_of(SECRET), SECRET),
]


@pytest.mark.parametrize(("text", "secret"), HASHES, ids=[f"{n}" for n in range(len(HASHES))])
def test_each_kind_fits_its_secret_and_no_other(text, secret):
    """As the program that made it would say."""
    assert hashing.fits(text, secret, DUMMY)
    for wrong in (b"x" + secret, secret[1:], b"", secret.upper(), b"\xff\0\xff"):
        assert not hashing.fits(text, wrong, DUMMY), wrong


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"CRYPT", HASHES[0][0]), (b"SHA512-CRYPT", HASHES[0][0]), (b"sha256-crypt", HASHES[1][0]), (b"MD5-CRYPT", HASHES[3][0]),
     (b"BLF-CRYPT", HASHES[4][0]), (b"bcrypt", HASHES[4][0]), (b"DES-CRYPT", HASHES[6][0]), (b"crypt", HASHES[6][0])],
)  # fmt: skip
def test_the_name_of_the_scheme_may_stand_before_it(name, text):
    """As Dovecot writes it; and it has to be that scheme's."""
    assert recognise(b"{" + name + b"}" + text) == recognise(text)
    with pytest.raises(SchemeError):
        recognise(b"{SHA512-CRYPT}" + HASHES[3][0])


@pytest.mark.parametrize(
    "text",
    [
        b"", b"secret", b"{SSHA}", b"{SSHA}!!!", b"{SSHA}" + base64.b64encode(b"x" * 20), b"{SHA}" + base64.b64encode(b"x" * 21),
        b"{SHA}" + base64.b64encode(b"x" * 19), b"{PLAIN-MD5}" + b"g" * 32, b"{SHA256.ROT13}x",
        b"{SSHA}" + base64.b64encode(b"x" * 200),
        b"{CRAM-MD5}" + b"0" * 64, b"{NTLM}x", b"{SHA512-CRYPT.HEX}x", b"$y$j9T$salt$hash", b"$argon2i$v=19$m=1,t=1,p=1$YWJj$YWJj",
        b"$argon2id$v=19$m=1048576,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g", b"$argon2id$v=19$m=64,t=99,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
        b"$2b$20$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", b"$6$rounds=9000000$salt$" + b"x" * 86,
        b"$1$salt$" + b"x" * 21, b"x" * 400, b"{", b"{}x", b"\xff" * 13,
    ],
)  # fmt: skip
def test_what_we_cannot_check_or_would_not_pay_for_is_refused(text):
    """With words that may be shown, and fitted by nothing."""
    with pytest.raises(SchemeError):
        recognise(text)
    assert not hashing.fits(text, b"secret", DUMMY)


@given(st.binary(max_size=120), st.sampled_from(schemes()))
def test_junk_behind_any_name_is_recognised_or_refused_and_never_more(junk, name):
    """No other exception, whatever stands there."""
    for text in (junk, b"{" + name.encode() + b"}" + junk):
        with contextlib.suppress(SchemeError):
            assert recognise(text).family in Family


def test_a_cleartext_password_is_recognised_and_fits_nothing():
    """The control plane hashes it; one that stands under a seal all the same is nobody's way in."""
    assert recognise(b"{PLAIN}secret").text == b"secret"
    assert not hashing.fits(b"{PLAIN}secret", b"secret", DUMMY)


def test_bcrypt_looks_at_72_octets_as_it_did_where_the_hash_was_made():
    """Else who had a longer password could not log in any more."""
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4))
    assert hashing.fits(stored, b"x" * 90, DUMMY)


# --- SCRAM


@pytest.mark.parametrize(("text", "secret"), HASHES[:4])
def test_a_secret_that_crypt_never_took_is_not_tried(text, secret, monkeypatch):
    """Each of its rounds costs as much more as the secret is long: a guesser would keep a thread for seconds."""
    assert hashing.fits(text, secret, DUMMY)
    monkeypatch.setattr(hashing, "_CRYPT_OCTETS", len(secret) - 1)
    assert not hashing.fits(text, secret, DUMMY)


def test_the_keys_are_those_of_the_rfc(monkeypatch):
    """RFC 7677 3: user, pencil, 4096 rounds; the client's proof of the example fits our keys."""
    monkeypatch.setattr(scram, "ITERATIONS", 4096)
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = scram.keys_of(b"pencil", salt)
    begun = exchange.Begun(
        b"user", b"n,,", b"n=user,r=rOprNGfwEbeRWgbNEkqO", b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    )  # fmt: skip
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert exchange.finish(begun, final, [keys]) == (b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", keys)


@pytest.mark.parametrize(
    ("one", "other"),
    [("I\u00adX", "IX"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_what_looks_the_same_is_the_same(one, other):
    """RFC 4013 3: soft hyphens go, compatibility characters and odd spaces are plain ones."""
    salt = b"salt" * 4
    assert scram.keys_of(one.encode(), salt) == scram.keys_of(other.encode(), salt)


@pytest.mark.parametrize("secret", [b"", b"\x07", "\u0627\u0031".encode(), "\u0007\u00fc".encode(), b"\xff"])
def test_a_secret_that_no_client_may_send_has_no_keys(secret):
    """RFC 4013 3: control characters, directions that do not fit."""
    assert scram.keys_of(secret, b"salt" * 4) is None


def test_what_lies_under_a_seal_is_read_as_it_was_written():
    """Also what was sealed before there were keys, and what was spoilt."""
    keys = scram.keys_of(b"pencil", b"salt" * 4)
    assert scram.split(scram.join(b"$hash", keys)) == (b"$hash", keys)
    assert scram.split(scram.join(b"$hash", None)) == (b"$hash", None)
    for odd in (b"$hash\n", b"$hash\n!!!", b"$hash\nAAAA"):
        assert scram.split(odd) == (b"$hash", None)
