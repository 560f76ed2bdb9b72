"""Secrets that only one role may read: sealed here, opened there.

A reader would otherwise get wrong: there is no way back. What was sealed can be replaced or taken away, never shown again.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

from appliance import signing_keys
from appliance.errors import Unable
from appliance.signing_keys import NewKey
from mta import seal

_ROLES = ("tls", "source", "signer", "remotespawn", "compiler", "authenticator")


@dataclass(frozen=True, slots=True)
class Seals:
    """The public keys of the roles that secrets are sealed to; empty where there is none yet."""

    tls: bytes
    source: bytes
    signer: bytes
    remotespawn: bytes
    compiler: bytes = b""
    authenticator: bytes = b""

    @classmethod
    def of(cls, state: Path) -> "Seals":
        """Those of the appliance whose state folder is *state*."""
        return cls(*(_read(state, role) for role in _ROLES))

    def tls_key(self, pem: bytes) -> str:
        """A certificate's private key, for the role tls.

        Raises:
            Unable: the role has no key of its own yet.
        """
        return _seal(self.tls, seal.TLS_KEY, pem, "tls")

    def source_secret(self, secret: str) -> str:
        """A password for a directory of recipients, for the role source; empty for an empty one.

        Raises:
            Unable: the role has no key of its own yet.
        """
        return _seal(self.source, seal.SOURCE_SECRET, secret.encode(), "source") if secret else ""

    def route_secret(self, secret: str) -> str:
        """A password for another server, for the role remotespawn; empty for an empty one.

        Raises:
            Unable: the role has no key of its own yet.
        """
        return _seal(self.remotespawn, seal.ROUTE_SECRET, secret.encode(), "remotespawn") if secret else ""

    def webhook_secret(self, secret: bytes) -> str:
        """What a webhook's deliveries are signed with, for the role compiler.

        Raises:
            Unable: the role has no key of its own yet.
        """
        return _seal(self.compiler, seal.WEBHOOK_SECRET, secret, "compiler")

    def second_factor(self, secret: bytes) -> str:
        """What codes are made of, for the role authenticator.

        Raises:
            Unable: the role has no key of its own yet.
        """
        return _seal(self.authenticator, seal.SECOND_FACTOR, secret, "authenticator")

    def new_signing_keys(self) -> tuple[NewKey, ...]:
        """Fresh keys that mail of a domain can be signed with, sealed to the role signer. Takes its time.

        Raises:
            Unable: the role has no key of its own yet.
        """
        _require(self.signer, "signer")
        return signing_keys.make(self.signer)


def _read(state: Path, role: str) -> bytes:
    try:
        return (state / "keys" / f"{role}.pub").read_bytes()
    except FileNotFoundError:
        return b""  # An appliance of before; its next start makes the key.


def _require(key: bytes, role: str) -> None:
    if not key:
        raise Unable(f"keys/{role}.pub is missing: `postern up` makes it", code="no_key")


def _seal(key: bytes, purpose: bytes, octets: bytes, role: str) -> str:
    _require(key, role)
    return base64.b64encode(seal.seal(key, purpose, octets)).decode()
