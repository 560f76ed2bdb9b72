"""A device that keeps passkeys, written from WebAuthn Level 2 alone: what it is asked, it makes and signs."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40  # 6.1: flags


def unpadded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@dataclass
class Device:
    """One key on it. What is not as it should be is changed in its fields."""

    origin: str
    flags: int = PRESENT | VERIFIED
    count: int = 0
    steps: int = 1  # by which the count rises
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    identity: bytes = field(default_factory=lambda: os.urandom(32))
    handle: str | None = None

    def create(self, options: dict[str, Any], **changed: Any) -> str:
        """7.1: what a browser posts after `create`."""
        self.handle = options["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})  # RFC 9053 7.1
        attested = bytes(16) + len(self.identity).to_bytes(2, "big") + self.identity + cose
        data = self._data(options["rp"]["id"], ATTESTED) + attested
        statement = {"fmt": "none", "attStmt": {}, "authData": data}
        response = {
            "clientDataJSON": self._client_data("webauthn.create", options, changed),
            "attestationObject": unpadded(cbor2.dumps(statement | changed.get("statement", {}))),
        }
        return self._posted(response)

    def get(self, options: dict[str, Any], **changed: Any) -> str:
        """7.2: what a browser posts after `get`."""
        self.count += self.steps
        data = self._data(options["rpId"], 0)
        client_data = self._client_data("webauthn.get", options, changed)
        signed = data + hashlib.sha256(base64.urlsafe_b64decode(client_data + "==")).digest()
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": unpadded(data),
            "signature": unpadded(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": self.handle,
        }
        return self._posted(response)

    def _data(self, rp_id: str, more: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + bytes([self.flags | more]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any], changed: dict[str, Any]) -> str:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return unpadded(json.dumps(said | changed.get("client", {})).encode())

    def _posted(self, response: dict[str, Any]) -> str:
        name = unpadded(self.identity)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
