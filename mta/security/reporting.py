"""What became of handshakes, in the words of RFC 8460, counted by domain: the matter that a report is made of.

A reader would otherwise get wrong: successes count too. A domain that is told of failures alone cannot say how many that is.
"""

import enum
from collections import Counter
from collections.abc import Iterator

TLSA, STS, NO_POLICY = "tlsa", "sts", "no-policy-found"  # RFC 8460 4.4, policy-type
MAX_COUNTED = 1000  # combinations that are kept apart until they are told


class Result(enum.Enum):
    """RFC 8460 4.3, and `success`."""

    SUCCESS = "success"
    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    FETCH_ERROR = "sts-policy-fetch-error"
    POLICY_INVALID = "sts-policy-invalid"
    WEBPKI_INVALID = "sts-webpki-invalid"


class Tally:
    """Sessions towards other servers, until somebody takes the counts."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str, Result]] = Counter()

    def count(self, domain: str, policy: str, mx: str, result: Result) -> None:
        """One more session for *domain* with the host *mx* ended so."""
        key = domain, policy, mx, result
        if key in self._counts or len(self._counts) < MAX_COUNTED:
            self._counts[key] += 1

    def take(self) -> Iterator[dict[str, str | int]]:
        """The pairs of one event `tls-results` for each combination; begins anew."""
        counts, self._counts = self._counts, Counter()
        for (domain, policy, mx, result), sessions in counts.items():
            yield {"domain": domain, "policy": policy, "mx": mx, "result": result.value, "sessions": sessions}
