"""TLSA records, and whether the chain that a server showed is what they speak of (RFC 7672 3, RFC 7671).

A reader would otherwise get wrong: for usage 3 the record is everything. Neither names nor dates of the certificate count
(RFC 7672 3.1.1), and no authority is asked; so a self-signed one that has expired may be exactly right.
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

import cryptography.hazmat.backends.openssl.backend  # noqa: F401 - loaded late by the library: where it is used no file can be read
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from mta.record import dataclass
from mta.security.names import UNREADABLE, is_for

TRUST_ANCHOR, END_ENTITY = 2, 3  # usages: an authority of the domain's own, the server's own certificate (RFC 7672 3.1)
CERTIFICATE, PUBLIC_KEY = 0, 1  # selectors
EXACT, SHA_256, SHA_512 = 0, 1, 2  # matching types
_DIGEST_OCTETS: Final = {SHA_256: 32, SHA_512: 64}

MAX_RECORDS: Final = 40  # of one server; more are left out
MAX_CHAIN: Final = 10  # certificates that a server may show
MAX_CERTIFICATE: Final = 32 * 1024  # octets of one


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One record that can be used."""

    usage: int
    selector: int
    matching_type: int
    data: bytes


def read_records(texts: Iterable[bytes]) -> tuple[Tlsa, ...]:
    """Those of *texts* (`usage selector matching-type hexadecimal-digits`) that can be used with SMTP.

    Usages 0 and 1 cannot (RFC 7672 3.1.3). Of digests only the strongest that there is for a usage and selector counts
    (RFC 7671 9): a weaker one beside it is what an attacker would aim at.
    """
    found = [record for text in texts if (record := _record(text)) is not None][:MAX_RECORDS]
    strongest: dict[tuple[int, int], int] = {}
    for record in found:
        place = record.usage, record.selector
        strongest[place] = max(strongest.get(place, EXACT), record.matching_type)
    return tuple(
        record for record in found
        if record.matching_type in (EXACT, strongest[record.usage, record.selector])
    )  # fmt: skip


def _record(text: bytes) -> Tlsa | None:
    parts = text.split(b" ")
    if len(parts) != 4 or not all(part.isdigit() and len(part) <= 3 for part in parts[:3]):
        return None
    usage, selector, matching_type = map(int, parts[:3])
    try:
        data = bytes.fromhex(parts[3].decode("ascii"))
    except ValueError:
        return None
    if usage not in (TRUST_ANCHOR, END_ENTITY) or selector not in (CERTIFICATE, PUBLIC_KEY):
        return None
    if matching_type not in (EXACT, SHA_256, SHA_512) or len(data) != _DIGEST_OCTETS.get(matching_type, len(data)):
        return None
    return Tlsa(usage, selector, matching_type, data) if data else None


def holds(records: Sequence[Tlsa], chain: Sequence[bytes], names: tuple[str, ...], now: dt.datetime) -> str:
    """Empty when *chain* (DER, the server's own certificate first) is what one of *records* speaks of; else why not.

    *names*: those that a certificate of an authority must bear (RFC 7672 3.2.2).
    """
    certificates = _parsed(chain)
    if not certificates:
        return "it showed no certificate that can be read"
    leaf = certificates[0]
    if any(_matches(record, leaf) for record in records if record.usage == END_ENTITY):
        return ""
    anchors = [record for record in records if record.usage == TRUST_ANCHOR]
    if not anchors:
        return "its certificate is none of its TLSA records"
    why = _anchored(anchors, certificates, now)
    if why:
        return why
    return "" if is_for(leaf, names) else f"its certificate is not for {names[0] if names else 'it'}"


def _parsed(chain: Sequence[bytes]) -> list[x509.Certificate]:
    found = []
    for der in chain[:MAX_CHAIN]:
        if len(der) > MAX_CERTIFICATE:
            break
        try:
            found.append(x509.load_der_x509_certificate(der))
        except UNREADABLE:
            break  # What comes behind it cannot be reached.
    return found


def _matches(record: Tlsa, certificate: x509.Certificate) -> bool:
    try:
        if record.selector == CERTIFICATE:
            octets = certificate.public_bytes(Encoding.DER)
        else:
            octets = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return False  # a key of a kind that nobody here knows
    if record.matching_type == SHA_256:
        octets = hashlib.sha256(octets).digest()
    elif record.matching_type == SHA_512:
        octets = hashlib.sha512(octets).digest()
    return hmac.compare_digest(octets, record.data)


def _anchored(anchors: Sequence[Tlsa], chain: list[x509.Certificate], now: dt.datetime) -> str:
    """Go up from the server's certificate, issuer by issuer, until one is an anchor; empty, or why there is none."""
    candidates = [*chain, *_told_whole(anchors)]
    keys = [record.data for record in anchors if (record.selector, record.matching_type) == (PUBLIC_KEY, EXACT)]
    current = chain[0]
    for _ in range(MAX_CHAIN):
        if not _is_of_today(current, now):
            return "a certificate of its chain has expired, or is of tomorrow"
        # The key alone may stand in the record, and its certificate nowhere (RFC 7671 5.2.2).
        if any(_is_signed_by_key(current, key) for key in keys):
            return ""
        issuer = next((each for each in candidates if _is_issued_by(current, each)), None)
        if issuer is None:
            break
        if any(_matches(record, issuer) for record in anchors):
            return "" if _is_of_today(issuer, now) else "the certificate of its authority has expired"
        if issuer == current:
            break
        current = issuer
    return "no authority of its TLSA records stands behind its certificate"


def _told_whole(anchors: Sequence[Tlsa]) -> list[x509.Certificate]:
    return _each_parsed(
        record.data for record in anchors if (record.selector, record.matching_type) == (CERTIFICATE, EXACT)
    )


def _each_parsed(ders: Iterable[bytes]) -> list[x509.Certificate]:
    return [certificate for der in ders for certificate in _parsed([der])]


def _is_of_today(certificate: x509.Certificate, now: dt.datetime) -> bool:
    try:
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    except UNREADABLE:
        return False


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except UNREADABLE:
        return False
    return constraints.ca


def _is_signed_by_key(certificate: x509.Certificate, key_der: bytes) -> bool:
    """Is the signature of *certificate* one of this public key (SubjectPublicKeyInfo)?"""
    try:
        key = load_der_public_key(key_der)
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(signature, signed)
            return True
        algorithm = certificate.signature_hash_algorithm
        parameters = certificate.signature_algorithm_parameters
        if algorithm is None:
            return False
        if isinstance(key, rsa.RSAPublicKey) and isinstance(parameters, padding.PKCS1v15 | padding.PSS):
            key.verify(signature, signed, parameters, algorithm)
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
            return True
    except UNREADABLE:
        return False
    return False
