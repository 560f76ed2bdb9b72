"""An authenticator without a process: it opens the seals in the database itself, so what was set a moment ago is right now.

It has the real one's interface (appliance.peers.Authenticator). tests/journeys/test_panel.py walks the same way with this
one and with the real one behind the panel.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Engine, select

from appliance.database.session import reading
from appliance.models import Account, ApiKey, Domain, Mailbox
from appliance.peers import AuthenticatorAway
from appliance.services.dns_page import Found
from mta.roles.authenticator.codes import Codes
from mta.seal import PASSWORD_HASH, SECOND_FACTOR, Opener


class FakeAuthenticator:
    """Right or wrong, from the database."""

    def __init__(self, engine: Engine, private_key: bytes) -> None:
        self._engine = engine
        self._key = X25519PrivateKey.from_private_bytes(private_key)
        self.away = False
        self.now: Callable[[], float] = time.time
        self.asked: list[tuple[str, str]] = []

    def verify_password(self, scope: str, name: str, password: str) -> bool:
        self._note(scope, name)
        sealed = self._sealed(scope, name)
        if sealed is None:
            return False
        try:
            return PasswordHasher().verify(self._open(sealed).partition("\n")[0], password)
        except (VerificationError, InvalidHashError):
            return False

    def verify_key(self, key_id: str, secret: str) -> bool:
        self._note("key", key_id)
        with reading(self._engine) as session:
            kept = session.scalar(select(ApiKey.sha256).where(ApiKey.public_id == key_id, ApiKey.revoked_at.is_(None)))
        return kept is not None and hmac.compare_digest(kept, hashlib.sha256(secret.encode()).hexdigest())

    def check_code(self, sealed: str, code: str) -> int:
        self._note("code", "")
        opener = Opener(self._key.private_bytes_raw(), SECOND_FACTOR)
        return Codes(opener, self.now).step_of(sealed.encode(), code.encode())

    def _note(self, scope: str, name: str) -> None:
        self.asked.append((scope, name))
        if self.away:
            raise AuthenticatorAway("Passwords cannot be checked just now. Try again in a moment.")

    def _sealed(self, scope: str, name: str) -> str | None:
        with reading(self._engine) as session:
            if scope == "account":
                return session.scalar(select(Account.sealed_hash).where(Account.name == name))
            folded, _, domain = name.rpartition("@")
            wanted = select(Mailbox.sealed_hash).join(Domain).where(Mailbox.folded == folded, Domain.name == domain)
            return session.scalar(wanted)

    def _open(self, sealed: str) -> str:
        blob = base64.b64decode(sealed)
        public = blob[1:33]
        shared = self._key.exchange(X25519PublicKey.from_public_bytes(public))
        salt = public + self._key.public_key().public_bytes_raw()
        key = HKDF(hashes.SHA256(), 32, salt=salt, info=PASSWORD_HASH).derive(shared)
        return ChaCha20Poly1305(key).decrypt(bytes(12), blob[33:], None).decode()


class FakeCompiler:
    """Counts how often it was poked."""

    def __init__(self) -> None:
        self.pokes = 0

    def poke(self) -> None:
        self.pokes += 1


class FakeResolver:
    """Knows what a test put into `records`; of everything else, that it is not there."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Found] = {}

    def look_up(self, questions: Sequence[tuple[str, str]]) -> list[Found]:
        return [self.records.get(question, Found("nxdomain")) for question in questions]
