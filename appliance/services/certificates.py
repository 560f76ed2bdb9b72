"""Certificates: a chain, the names it is good for, and its private key sealed to the role tls.

A reader would otherwise get wrong: nothing here can open a key again. Whoever installs one hands it over once, in plain; it is
checked against its certificate and sealed before a transaction begins, and from then on only the role tls can use it.
"""

import datetime as dt
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Invalid, LimitReached, NotFound
from appliance.models import Certificate, CertificateName, Domain, Tenant
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, changes
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, as_read, page_in_order
from mta.vocabulary import MAX_CHAIN, MAX_PRIVATE_KEY

__all__ = [
    "SELF_SIGNED",
    "UPLOADED",
    "Certificate",
    "Offered",
    "check",
    "get",
    "install",
    "list_certificates",
    "make_self_signed",
    "of_name",
    "remove",
    "remove_all",
]

UPLOADED, SELF_SIGNED = "uploaded", "self-signed"
MAX_CERTIFICATES = 10  # in one chain
MAX_NAMES = 100  # of one certificate
MAX_OF_TENANT = 1000
SELF_SIGNED_DAYS = 3650  # nobody believes it by its dates or its signature; it only has to be there
_SMALLEST_RSA = 2048
_NAME = select(func.min(CertificateName.name)).where(CertificateName.certificate_id == Certificate.id).scalar_subquery()
_TENANT = select(as_read(Tenant.name)).where(Tenant.id == Certificate.tenant_id).scalar_subquery()
_ORDERS = Orders(
    Certificate.id, "created", {"created": Certificate.id},
    {"name": _NAME, "until": Certificate.not_after, "tenant": _TENANT},
)  # fmt: skip
# What the library says of octets that are not what they should be.
_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True, slots=True)
class Offered:
    """A chain and its key that fit each other."""

    names: tuple[str, ...]
    chain: str
    key: bytes  # PEM, PKCS 8; still in plain
    fingerprint: str
    not_before: int
    not_after: int


def check(chain: str, key: str) -> Offered:
    """The chain in PEM (the names' own certificate first, each next one its issuer) and its unencrypted private key.

    Raises:
        Invalid: one of them is none, they do not belong together, or it is not good today.
    """
    certificates = _certificates(chain)
    first = certificates[0]
    private = _private_key(key)
    if _public_octets(private.public_key()) != _public_octets(first.public_key()):
        raise Invalid("this key does not belong to this certificate", code="key_mismatch", field="key")
    for place, (below, above) in enumerate(itertools.pairwise(certificates), 1):
        try:
            below.verify_directly_issued_by(above)
        except (InvalidSignature, *_UNREADABLE) as error:
            sentence = f"certificate {place + 1} of the chain did not issue certificate {place}: each is followed by its issuer"
            raise Invalid(sentence, code="bad_chain", field="chain") from error
    begin, end = int(first.not_valid_before_utc.timestamp()), int(first.not_valid_after_utc.timestamp())
    if not begin <= now() < end:
        raise Invalid(
            f"this certificate is good from {first.not_valid_before_utc:%Y-%m-%d} to {first.not_valid_after_utc:%Y-%m-%d}",
            code="not_valid_now",
            field="chain",
        )
    octets = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)
    # Written anew both may be a little longer than as they were handed over.
    _check_chain_length(pem)
    _check_key_length(octets)
    return Offered(_names(first), pem, octets, first.fingerprint(hashes.SHA256()).hex(), begin, end)


def make_self_signed(name: str) -> Offered:
    """A certificate for *name* that only we vouch for: enough against whoever merely listens."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_COMMON_NAME])])
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)  # for clocks that are behind
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return check(certificate.public_bytes(serialization.Encoding.PEM).decode(), plain.decode())


def install(
    session: Session, offered: Offered, sealed_key: str, *, actor: Actor, origin: str = UPLOADED
) -> Certificate:
    """Show the certificate under its names from now on. Former ones whose names it all has are removed.

    Raises:
        Invalid: a name in it is not of a domain in the actor's part.
        LimitReached: the tenant has too many.
    """
    tenant = _owner(session, actor, offered.names)
    former = _covered(session, offered.names)
    counted = select(func.count()).select_from(Certificate).where(Certificate.tenant_id == tenant.id)
    if not former and (session.scalar(counted) or 0) >= MAX_OF_TENANT:
        raise LimitReached(f"at most {MAX_OF_TENANT} certificates", code="limit_certificates")
    for one in former:
        session.delete(one)
    certificate = Certificate(
        tenant=tenant, origin=origin, chain=offered.chain, sealed_key=sealed_key, fingerprint=offered.fingerprint,
        not_before=offered.not_before, not_after=offered.not_after, names=list(offered.names),
    )  # fmt: skip
    session.add(certificate)
    session.flush()
    _tell(session, actor, "certificate.installed", certificate, {"replaced": len(former)} if former else {})
    return certificate


def get(session: Session, number: int, *, actor: Actor) -> Certificate:
    """The certificate with this id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _find(session, actor, "certificate.see", number)


def list_certificates(
    session: Session, *, actor: Actor, sort: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Certificate]:
    """Certificates in the actor's part, oldest first.

    *sort*: created, name (the first of each), until, tenant.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Certificate), actor, Certificate)
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def of_name(session: Session, name: str, *, actor: Actor) -> Certificate:
    """The newest certificate for *name*.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    label = name.strip().lower()
    wanted = select(Certificate).join(CertificateName).where(CertificateName.name == label)
    found = session.scalars(wanted.order_by(Certificate.id.desc()).limit(1)).unique().first()
    return authorisation.require(session, actor, "certificate.see", found, f"certificate for {label[:255]}")


def remove(session: Session, number: int, *, actor: Actor) -> None:
    """Show it no more. Connections that use it go on.

    Raises:
        NotFound, Forbidden: it is not the actor's to remove.
    """
    certificate = _find(session, actor, "certificate.remove", number)
    _tell(session, actor, "certificate.removed", certificate)
    session.delete(certificate)
    session.flush()


def remove_all(session: Session, tenant: Tenant) -> None:
    """With the tenant go its certificates."""
    for certificate in session.scalars(select(Certificate).where(Certificate.tenant_id == tenant.id)).unique().all():
        _announce(session, certificate.names)
        session.delete(certificate)
    session.flush()


def _certificates(chain: str) -> list[x509.Certificate]:
    _check_chain_length(chain)
    try:
        found = x509.load_pem_x509_certificates(chain.encode())
        for one in found:
            one.public_key()
    except _UNREADABLE as error:
        raise Invalid("the chain is not certificates in PEM form", code="bad_chain", field="chain") from error
    if len(found) > MAX_CERTIFICATES:
        raise Invalid(f"a chain has at most {MAX_CERTIFICATES} certificates", code="bad_chain", field="chain")
    return found


_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _private_key(text: str) -> _PrivateKey:
    _check_key_length(text)
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except TypeError as error:
        raise Invalid(
            "this key has a passphrase: hand it over without one", code="bad_key_file", field="key"
        ) from error
    except _UNREADABLE as error:
        # Without the library's words: they may show a part of what should be secret.
        raise Invalid("this is not a private key in PEM form", code="bad_key_file", field="key") from error
    if not isinstance(key, _PrivateKey):
        raise Invalid("a key is RSA, elliptic curve or Ed25519", code="bad_key_file", field="key")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SMALLEST_RSA:
        raise Invalid(f"an RSA key has at least {_SMALLEST_RSA} bits", code="bad_key_file", field="key")
    return key


def _check_chain_length(chain: str) -> None:
    if len(chain) > MAX_CHAIN:
        raise Invalid(f"a chain has at most {MAX_CHAIN} characters", code="bad_chain", field="chain")


def _check_key_length(key: str | bytes) -> None:
    if len(key) > MAX_PRIVATE_KEY:
        raise Invalid(f"a key has at most {MAX_PRIVATE_KEY} characters", code="bad_key_file", field="key")


def _public_octets(key: Any) -> bytes:  # noqa: ANN401 - any of the library's public keys
    octets: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return octets


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names it is good for (RFC 6125 6.4.4: those of the extension; the subject's is not looked at)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, *_UNREADABLE):
        found = []
    names = list(dict.fromkeys(_checked_name(name) for name in found))
    if not 1 <= len(names) <= MAX_NAMES:
        raise Invalid(f"a certificate is good for 1 to {MAX_NAMES} names; this one has {len(names)}", field="chain")
    return tuple(names)


def _checked_name(name: str) -> str:
    star = "*." if name.startswith("*.") else ""
    return star + addresses.parse_domain(name.removeprefix("*."), "chain")


def _owner(session: Session, actor: Actor, names: Iterable[str]) -> Tenant:
    """The tenant of the first name's domain, when the actor may install for each of the names; else the operator's."""
    tenants = [_tenant_of(session, actor, name) for name in names]
    if tenants[0] is not None:
        return tenants[0]
    return session.scalars(select(Tenant).where(Tenant.kind == "operator").order_by(Tenant.id).limit(1)).one()


def _tenant_of(session: Session, actor: Actor, name: str) -> Tenant | None:
    domain = _domain_of(session, name.removeprefix("*."))
    if actor.sees_everything:
        return domain.tenant if domain is not None else None
    host = addresses.host_name(session)
    is_hosts = name in (host, f"*.{host.partition('.')[2]}")
    if domain is None or is_hosts or not authorisation.allows(session, actor, "certificate.install", domain.tenant):
        # In the same words for what is somebody else's and for what is nobody's.
        raise Invalid(f"{name} is not a name of one of your domains", code="name_not_yours", field="chain")
    return domain.tenant


def _domain_of(session: Session, name: str) -> Domain | None:
    """The most special domain of ours to which *name* belongs."""
    labels = name.split(".")
    suffixes = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    found = {
        domain.name: domain for domain in session.scalars(select(Domain).where(Domain.name.in_(suffixes))).unique()
    }
    return next((found[suffix] for suffix in suffixes if suffix in found), None)


def _covered(session: Session, names: tuple[str, ...]) -> list[Certificate]:
    """Those that have no name beside *names*."""
    wanted = select(Certificate).join(CertificateName).where(CertificateName.name.in_(names))
    return [one for one in session.scalars(wanted).unique().all() if set(one.names) <= set(names)]


def _find(session: Session, actor: Actor, action: str, number: int) -> Certificate:
    if not 0 < number < 1 << 62:
        raise NotFound(f"there is no certificate {number}")
    return authorisation.require(session, actor, action, session.get(Certificate, number), f"certificate {number}")


def _announce(session: Session, names: Iterable[str]) -> None:
    for name in names:
        changes.announce(session, changes.NAME, name)


def _tell(
    session: Session, actor: Actor, action: str, certificate: Certificate, more: dict[str, Any] | None = None
) -> None:
    described = {
        "names": list(certificate.names),
        "origin": certificate.origin,
        "fingerprint": certificate.fingerprint,
        "not_after": certificate.not_after,
    }
    is_new = action == "certificate.installed"
    audit.record(
        session, actor, action, f"certificate {certificate.names[0]}", tenant_id=certificate.tenant_id,
        before=None if is_new else described, after={**described, **(more or {})} if is_new else None,
    )  # fmt: skip
    _announce(session, certificate.names)
