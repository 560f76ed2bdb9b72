"""Password hashes that other programs made: which ones we take, how each is written, and what it may cost.

A reader would otherwise get wrong: nothing here checks a password. The control plane recognises a hash before it seals it, the
authenticator before it checks against it; both must mean the same by the same octets, so the words stand once, here.

Written as Dovecot writes them: `{SCHEME}` and the hash, or the hash alone where it says itself what it is (`$6$…`).
"""

import base64
import binascii
import enum
import re

from mta.record import dataclass

MAX_HASH = 300  # octets
MAX_ROUNDS = 700_000  # of SHA-256 or SHA-512 in the crypt family: half a second
MAX_BCRYPT_COST = 14  # as long
MAX_ARGON2_KIB, MAX_ARGON2_PASSES, MAX_ARGON2_LANES = 256 * 1024, 10, 8
MAX_SALT = 64  # octets behind a salted digest


class SchemeError(ValueError):
    """Not a hash that we can check, or one that would cost too much; the text says why and may be shown."""


class Family(enum.Enum):
    """How a secret is checked against a hash."""

    ARGON2 = "argon2"
    BCRYPT = "bcrypt"
    MD5_CRYPT = "md5-crypt"
    SHA256_CRYPT = "sha256-crypt"
    SHA512_CRYPT = "sha512-crypt"
    DES_CRYPT = "des-crypt"
    DIGEST = "digest"
    PLAIN = "plain"  # no hash at all


@dataclass(frozen=True, slots=True)
class Known:
    """A recognised hash."""

    family: Family
    text: bytes  # of the crypt family: the hash as those programs write it
    algorithm: str = ""  # of a digest: md5, sha1, sha256, sha512
    digest: bytes = b""
    salt: bytes = b""


# A bcrypt salt is 22 letters, its hash 31; "2y" is PHP's name for what others call "2b".
_CRYPT: tuple[tuple[Family, re.Pattern[bytes]], ...] = (
    (Family.ARGON2, re.compile(rb"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\Z")),
    (Family.BCRYPT, re.compile(rb"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}\Z")),
    (Family.MD5_CRYPT, re.compile(rb"\$1\$[./A-Za-z0-9]{0,8}\$[./A-Za-z0-9]{22}\Z")),
    (Family.SHA256_CRYPT, re.compile(rb"\$5\$(?:rounds=([1-9]\d{3,8})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{43}\Z")),
    (Family.SHA512_CRYPT, re.compile(rb"\$6\$(?:rounds=([1-9]\d{3,8})\$)?[./A-Za-z0-9]{0,16}\$[./A-Za-z0-9]{86}\Z")),
    (Family.DES_CRYPT, re.compile(rb"[./A-Za-z0-9]{13}\Z")),
)  # fmt: skip
# The names that mean one of them; `CRYPT` any.
_NAMED = {
    "ARGON2ID": Family.ARGON2, "BCRYPT": Family.BCRYPT, "BLF-CRYPT": Family.BCRYPT, "MD5-CRYPT": Family.MD5_CRYPT,
    "MD5": Family.MD5_CRYPT, "SHA256-CRYPT": Family.SHA256_CRYPT, "SHA512-CRYPT": Family.SHA512_CRYPT,
    "DES-CRYPT": Family.DES_CRYPT,
}  # fmt: skip
_DIGESTS = {
    "PLAIN-MD5": "md5", "LDAP-MD5": "md5", "SMD5": "md5", "SHA": "sha1", "SHA1": "sha1", "SSHA": "sha1",
    "SHA256": "sha256", "SSHA256": "sha256", "SHA512": "sha512", "SSHA512": "sha512",
}  # fmt: skip
_SALTED = frozenset({"SMD5", "SSHA", "SSHA256", "SSHA512"})
_HEXADECIMAL = frozenset({"PLAIN-MD5"})  # unless its name says otherwise
_OCTETS = {"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}
_PLAIN = frozenset({"PLAIN", "CLEAR", "CLEARTEXT"})
_PREFIX = re.compile(rb"\{([A-Za-z0-9-]{1,20})(\.[A-Za-z0-9]{1,6})?\}")


def recognise(text: bytes) -> Known:
    """What kind of hash *text* is.

    Raises:
        SchemeError: none that we know, or it would take longer to check than we would spend at each login.
    """
    if len(text) > MAX_HASH:
        raise SchemeError(f"a password hash has at most {MAX_HASH} octets")
    prefix = _PREFIX.match(text)
    if prefix is None:
        return _crypt(text, None)
    name, encoding, rest = prefix[1].decode().upper(), (prefix[2] or b"").decode().upper(), text[prefix.end() :]
    if name in _DIGESTS:
        return _digest(name, encoding, rest)
    if encoding:
        raise SchemeError(f"{{{name}}} has no other way of writing it")
    if name in _PLAIN:
        return Known(Family.PLAIN, rest)
    if name != "CRYPT" and name not in _NAMED:
        raise SchemeError(f"hashes of the scheme {{{name}}} cannot be checked here; known are {', '.join(schemes())}")
    return _crypt(rest, _NAMED.get(name))


def schemes() -> list[str]:
    """The names of all schemes, as they stand between braces."""
    return sorted({*_NAMED, *_DIGESTS, *_PLAIN, "CRYPT"})


def _crypt(text: bytes, wanted: Family | None) -> Known:
    for family, form in _CRYPT:
        found = form.match(text)
        if found is not None and wanted in (None, family):
            _require_cheap(family, found)
            return Known(family, text)
    if wanted is None:
        raise SchemeError("a password hash starts with $argon2id$v=19$, or with the name of its scheme in braces")
    raise SchemeError(f"this is no hash of the scheme {wanted.value}")


def _require_cheap(family: Family, found: re.Match[bytes]) -> None:
    numbers = [int(group) for group in found.groups() if group is not None]
    if family is Family.ARGON2:
        limits = [MAX_ARGON2_KIB, MAX_ARGON2_PASSES, MAX_ARGON2_LANES]
    elif family is Family.BCRYPT:
        limits = [MAX_BCRYPT_COST]
    else:
        limits = [MAX_ROUNDS]
    if any(number > limit for number, limit in zip(numbers, limits, strict=False)):
        raise SchemeError(f"this hash costs too much at each login: at most {', '.join(map(str, limits))}")


def _digest(name: str, encoding: str, rest: bytes) -> Known:
    algorithm = _DIGESTS[name]
    is_hexadecimal = encoding == ".HEX" or (not encoding and name in _HEXADECIMAL)
    if encoding not in ("", ".HEX", ".B64", ".BASE64"):
        raise SchemeError(f"{encoding[1:]} is no way of writing octets: HEX or B64")
    try:
        octets = binascii.unhexlify(rest) if is_hexadecimal else base64.b64decode(rest, validate=True)
    except ValueError as error:
        raise SchemeError(f"this is no hash of the scheme {{{name}}}") from error
    length = _OCTETS[algorithm]
    digest, salt = octets[:length], octets[length:]
    if len(digest) != length or len(salt) > MAX_SALT or bool(salt) != (name in _SALTED):
        raise SchemeError(f"this is no hash of the scheme {{{name}}}")
    return Known(Family.DIGEST, b"", algorithm, digest, salt)
