"""The TLS contexts for going out, and the judgement of a handshake that was made, or was not.

A reader would otherwise get wrong: with DANE the library verifies nothing. It shakes hands with anybody, and nothing may be
said to the host before `judge` has looked at the chain; a certificate of a public authority proves nothing there.
"""

import datetime as dt
import ssl
from typing import Any

from mta.record import dataclass
from mta.security import dane
from mta.security.demands import BROKEN, Demand, Level, Refusal
from mta.security.reporting import Result

# X509_V_ERR_… of OpenSSL, which Python does not name.
_CODES = {
    9: Result.EXPIRED, 10: Result.EXPIRED,
    18: Result.NOT_TRUSTED, 19: Result.NOT_TRUSTED, 20: Result.NOT_TRUSTED, 21: Result.NOT_TRUSTED,
    62: Result.HOST_MISMATCH, 64: Result.HOST_MISMATCH,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contexts:
    """Made before the walls go up: the list of authorities is a file."""

    blind: ssl.SSLContext
    verifying: ssl.SSLContext

    @classmethod
    def load(cls, authorities: str | None = None) -> "Contexts":
        """With this machine's list of authorities, or those in the file *authorities* (PEM).

        Raises:
            OSError: it cannot be read.
        """
        verifying = ssl.create_default_context(cafile=authorities or None)
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.minimum_version = verifying.minimum_version
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        for context in (verifying, blind):
            context.options |= ssl.OP_NO_RENEGOTIATION
        return cls(blind, verifying)

    def wrap(self, demand: Demand, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The client's side of a handshake that *demand* will be judged by. The names were read from DNS, and so are short."""
        context = self.verifying if demand.level is Level.VERIFY else self.blind
        return context.wrap_bio(incoming, outgoing, server_hostname=demand.server_name)


def judge(demand: Demand, tls: ssl.SSLObject, now: dt.datetime) -> Refusal | None:
    """The handshake was made: may mail go over it? None: yes."""
    if demand.level is not Level.DANE:
        return None  # Where the library verified, it has.
    why = dane.holds(demand.records, chain_of(tls), demand.names, now)
    if not why:
        return None
    return Refusal(BROKEN, why, _result_of_dane(why))


def _result_of_dane(why: str) -> Result:
    if "expired" in why:
        return Result.EXPIRED
    return Result.HOST_MISMATCH if "is not for" in why else Result.VALIDATION_FAILURE


def failed(error: Exception) -> Refusal:
    """The handshake was not made; what `Demand.weaker` says may be tried instead."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or "its certificate does not hold"
        return Refusal(
            BROKEN, f"its certificate cannot be trusted: {why}", _CODES.get(error.verify_code, Result.NOT_TRUSTED)
        )
    reason = getattr(error, "reason", None) or type(error).__name__
    return Refusal(BROKEN, f"TLS failed: {reason}", Result.VALIDATION_FAILURE)


def chain_of(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates that the host showed (DER), its own first. Nothing of it was verified."""
    public: Any = getattr(tls, "get_unverified_chain", None)
    if public is not None:  # Python 3.13
        return [bytes(each) for each in public() or ()]
    shown: Any = tls._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001 - 3.11 has no other way
    return [each.public_bytes(ssl._ssl.ENCODING_DER) for each in shown or ()]  # type: ignore[attr-defined]  # noqa: SLF001
