"""Reads a DKIM-Signature field and a key record (RFC 6376 3.5, 3.6.1). No I/O, and no keys yet.

A reader would otherwise get wrong: a signature that cannot be read or is over is not *false*, it is none (RFC 6376 6.3);
so whoever reads several goes on with the next.
"""

import re
from collections.abc import Mapping

from mta.message.dkim.canonical import BodyHash, Form
from mta.message.dkim.tags import BadTags, number_of, octets_of, read_tags, words_of
from mta.record import dataclass

MAX_FIELD = 16 * 1024  # octets of one signature; larger is nobody's
MAX_NAMES = 200  # in h=
SLOP_SECONDS = 3600  # of clocks that do not agree

_NEEDED = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
_DOMAIN = re.compile(
    rb"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)
_VALUE_OF_B = re.compile(rb"(\A[^:]*:[ \t\r\n]*b[ \t\r\n]*=|;[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_ALGORITHMS = {b"rsa-sha256": b"rsa", b"ed25519-sha256": b"ed25519"}  # RFC 8301 3.1: rsa-sha1 is none any more


class NoSignature(ValueError):
    """It cannot be read, or it cannot be believed whatever its key is; the words are for a log."""


class NoKey(ValueError):
    """The record holds no key that this signature may be checked with."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a DKIM-Signature field says."""

    field: bytes
    algorithm: bytes
    domain: bytes
    selector: bytes
    names: tuple[bytes, ...]
    body_hash: bytes
    signature: bytes
    header_form: Form
    body_form: Form
    most: int | None  # octets of the body that are signed; None: all
    is_of_subdomain: bool  # its i= is below its d=

    @property
    def query_name(self) -> bytes:
        """Under which name the key's TXT record stands."""
        return b"%b._domainkey.%b" % (self.selector, self.domain)

    @property
    def unsigned_field(self) -> bytes:
        """The field as it was signed: nothing behind b=."""
        return _VALUE_OF_B.sub(rb"\1", self.field, count=1).removesuffix(b"\r\n") + b"\r\n"

    def new_body_hash(self) -> BodyHash:
        """What its body is to be fed to."""
        return BodyHash(self.body_form, self.most)


def read_signature(field: bytes, now: int) -> Signature:
    """What the DKIM-Signature *field* says, at *now* (seconds since 1970).

    Raises:
        NoSignature: as it says (RFC 6376 6.1.1).
    """
    if len(field) > MAX_FIELD:
        raise NoSignature("the signature is too long")
    try:
        tags = read_tags(field.partition(b":")[2])
        _check_tags(tags, now)
        header_form, body_form = _forms(tags.get(b"c", b"simple"))
        domain = tags[b"d"].lower()
        return Signature(
            field, tags[b"a"].lower(), domain, tags[b"s"].lower(), words_of(tags[b"h"]), octets_of(tags, b"bh"),
            octets_of(tags, b"b"), header_form, body_form, number_of(tags, b"l"), _is_of_subdomain(tags, domain),
        )  # fmt: skip
    except BadTags as error:
        raise NoSignature(str(error)) from error


def read_key(record: bytes, signature: Signature) -> bytes:
    """The public key for *signature* in the TXT *record*; its octets are for `verifying`.

    Raises:
        NoKey: there is none, it was revoked, or it is not for this (RFC 6376 3.6.1).
    """
    try:
        tags = read_tags(record)
        if b"v" in tags and (tags[b"v"] != b"DKIM1" or next(iter(tags)) != b"v"):
            raise NoKey("the key record is of another version")
        if b"p" not in tags:
            raise NoKey("the key record has no key")
        if not tags[b"p"]:
            raise NoKey("the key was revoked")
        if tags.get(b"k", b"rsa").lower() != _ALGORITHMS[signature.algorithm]:
            raise NoKey("the key is of another kind")
        if b"h" in tags and b"sha256" not in words_of(tags[b"h"]):
            raise NoKey("the key is for other hashes")
        if not {b"*", b"email"} & {*words_of(tags.get(b"s", b"*"))}:
            raise NoKey("the key is not for mail")
        if signature.is_of_subdomain and b"s" in words_of(tags.get(b"t", b"")):
            raise NoKey("the key is not for subdomains")
        return octets_of(tags, b"p")
    except BadTags as error:
        raise NoKey(f"the key record: {error}") from error


def _check_tags(tags: Mapping[bytes, bytes], now: int) -> None:
    missing = [name for name in _NEEDED if name not in tags]
    if missing:
        raise NoSignature(f"{missing[0].decode()}= is missing")
    if tags[b"v"] != b"1":
        raise NoSignature("another version")
    if tags[b"a"].lower() not in _ALGORITHMS:
        raise NoSignature("an algorithm that proves nothing")
    if not _DOMAIN.match(tags[b"d"].lower()) or not _DOMAIN.match(tags[b"s"].lower()):
        raise NoSignature("d= or s= is no name")
    names = words_of(tags[b"h"])
    if b"from" not in names or len(names) > MAX_NAMES:
        raise NoSignature("From is not signed, or too much")  # RFC 6376 5.4
    if b"dns/txt" not in words_of(tags.get(b"q", b"dns/txt")):
        raise NoSignature("its key stands elsewhere")
    begin, end = number_of(tags, b"t"), number_of(tags, b"x")
    if end is not None and (end < now - SLOP_SECONDS or (begin is not None and end < begin)):
        raise NoSignature("it has expired")
    if begin is not None and begin > now + SLOP_SECONDS:
        raise NoSignature("it is from the future")


def _forms(text: bytes) -> tuple[Form, Form]:
    header, _, body = text.lower().partition(b"/")
    try:
        return Form(header), Form(body or b"simple")
    except ValueError as error:
        raise NoSignature("an unknown canonical form") from error


def _is_of_subdomain(tags: Mapping[bytes, bytes], domain: bytes) -> bool:
    if b"i" not in tags:
        return False
    of = tags[b"i"].rpartition(b"@")[2].lower()
    if of != domain and not of.endswith(b"." + domain):
        raise NoSignature("i= is of another domain")
    return of != domain
