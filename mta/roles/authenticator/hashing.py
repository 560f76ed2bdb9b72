"""Does a secret fit a hash, of whatever scheme? And the hash that replaces a weaker one.

A reader would otherwise get wrong: each check costs an Argon2id, also where there is no hash at all or a cheap one, or time
would tell who exists and whose password is worth stealing. What a cheap scheme costs comes on top; the hundredths of a second
by which a dear one shows are hidden by the moments at which a wrong answer may be given (`patience.due`).
"""

import hashlib
import hmac
import os

import bcrypt
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import Type, hash_secret, verify_secret
from passlib.handlers.des_crypt import des_crypt
from passlib.handlers.md5_crypt import md5_crypt
from passlib.handlers.sha2_crypt import sha256_crypt, sha512_crypt

from mta.schemes import Family, Known, SchemeError, recognise

# As the control plane hashes (19 MiB, two passes).
_TIME, _MEMORY_KIB, _LANES = 2, 19 * 1024, 1
_BEST = b"$argon2id$v=19$m=%d,t=%d,p=%d$" % (_MEMORY_KIB, _TIME, _LANES)
_CRYPT_OCTETS = 512  # crypt(3) took no more; its rounds cost as much more as the secret is long
_BCRYPT_OCTETS = 72  # whoever made such a hash looked at no more of the password
_HANDLERS = {
    Family.MD5_CRYPT: md5_crypt, Family.SHA256_CRYPT: sha256_crypt, Family.SHA512_CRYPT: sha512_crypt,
    Family.DES_CRYPT: des_crypt,
}  # fmt: skip


def hash_of(secret: bytes) -> bytes:
    """A fresh Argon2id hash, in PHC string format."""
    return hash_secret(secret, os.urandom(16), _TIME, _MEMORY_KIB, _LANES, 32, Type.ID)


def dummy_hash() -> bytes:
    """A hash that no secret fits."""
    return hash_of(os.urandom(32))


def load() -> None:
    """Have the libraries load what they load late: behind the walls there is nothing to load from."""
    for handler in _HANDLERS.values():
        # As few rounds as the scheme allows: those it would take by itself are half a second of everybody's start.
        cheap = handler.using(rounds=handler.min_rounds) if hasattr(handler, "min_rounds") else handler
        handler.verify(b"secret", cheap.hash(b"secret"))
    bcrypt.checkpw(b"secret", bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))


def fits(stored: bytes | None, secret: bytes, dummy: bytes) -> bool:
    """Was *stored* made from *secret*? Takes milliseconds and megabytes, on purpose; None: nothing fits, as slowly."""
    known = None
    if stored is not None:
        try:
            known = recognise(stored)
        except SchemeError:
            known = None  # It was recognised when it was set; nobody's password is better than a guess.
    if known is not None and known.family is Family.ARGON2:
        return _fits_argon2(known.text, secret)
    _fits_argon2(dummy, secret)
    return known is not None and _fits_other(known, secret)


def is_best(stored: bytes) -> bool:
    """Is *stored* as we would make it today?"""
    return stored.startswith(_BEST)


def _fits_argon2(phc: bytes, secret: bytes) -> bool:
    try:
        return verify_secret(phc, secret, Type.ID)
    except (Argon2Error, InvalidHashError):
        return False


def _fits_other(known: Known, secret: bytes) -> bool:
    if known.family is Family.DIGEST:
        digest = hashlib.new(known.algorithm, secret + known.salt, usedforsecurity=False).digest()
        return hmac.compare_digest(digest, known.digest)
    try:
        if known.family is Family.BCRYPT:
            return bcrypt.checkpw(secret[:_BCRYPT_OCTETS], known.text)
        handler = _HANDLERS.get(known.family) if len(secret) <= _CRYPT_OCTETS else None
        return handler is not None and bool(handler.verify(secret, known.text.decode()))
    except ValueError:  # An octet that the scheme cannot take, such as NUL.
        return False
