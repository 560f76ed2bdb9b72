"""Is a certificate for a name? RFC 9525 6, as RFC 7672 3.2.3 and RFC 8461 4.1 want it.

A reader would otherwise get wrong: the common name counts only where there is no DNS name at all, and never with a wildcard.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID, NameOID

from mta.security.wildcards import covers

# What the library raises for what a stranger made of a certificate, at once or when a part of it is first looked at.
UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType, x509.ExtensionNotFound,
)  # fmt: skip
MAX_NAMES = 1000  # of one certificate; a stranger wrote it


def is_for(certificate: x509.Certificate, names: tuple[str, ...]) -> bool:
    """Does *certificate* bear one of *names* (A-labels, without a last dot)?"""
    wanted = {name.lower().rstrip(".") for name in names}
    return any(covers(each, name) for each in _presented(certificate)[:MAX_NAMES] for name in wanted)


def _presented(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        assert isinstance(extension, x509.SubjectAlternativeName)
        found = [name.lower().rstrip(".") for name in extension.get_values_for_type(x509.DNSName)]
    except x509.ExtensionNotFound:
        found = []
    except UNREADABLE:
        return []  # What cannot be read names nobody.
    if found:
        return found
    try:
        common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except UNREADABLE:
        return []
    return [each.lower().rstrip(".") for each in common if "*" not in each]
