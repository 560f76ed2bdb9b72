"""Codes of authenticator apps: which 30 seconds one belongs to (RFC 6238, over RFC 4226).

A reader would otherwise get wrong: nothing is remembered here. Whose secret it is, web says by handing over the sealed one, and
that no code is taken twice, web sees to: it stores the step of the last one. So a copy of the database holds no secret that makes
codes, and this role no state that could be lost.
"""

import base64
import binascii
import hmac
import struct
import time
from collections.abc import Callable

from mta.seal import NotOpened, Opener

DIGITS = 6
STEP_SECONDS = 30  # RFC 6238 5.2
MOST_APART = 1  # steps that a telephone's clock may be off, and its owner slow (RFC 6238 5.2)
MIN_SECRET_OCTETS, MAX_SECRET_OCTETS = 16, 64  # RFC 4226 4 (R6); more than a block of the hash is hashed first


class Codes:
    """Looks at codes; without an *opener* none is right. *clock*: seconds since 1970."""

    def __init__(self, opener: Opener | None, clock: Callable[[], float] = time.time) -> None:
        self._opener, self._clock = opener, clock

    def step_of(self, sealed: bytes, code: bytes) -> int:
        """The step (30 seconds, counted since 1970) whose code this is for the secret in *sealed* (base64); 0: of none near now.

        Raises:
            NotOpened: the secret is not sealed to us, or is none.
        """
        if self._opener is None or len(code) != DIGITS or not code.isdigit():
            return 0
        try:
            secret = self._opener.open(base64.b64decode(sealed, validate=True))
        except binascii.Error as error:
            raise NotOpened("a second factor that is no base64") from error
        if not MIN_SECRET_OCTETS <= len(secret) <= MAX_SECRET_OCTETS:
            raise NotOpened("a second factor of a wrong length")
        present = int(self._clock()) // STEP_SECONDS
        found = 0
        # All of them, whichever fits: the answer's time tells nothing.
        for step in range(present - MOST_APART, present + MOST_APART + 1):
            if hmac.compare_digest(code_of(secret, step), code):
                found = step
        return found


def code_of(secret: bytes, step: int) -> bytes:
    """The six digits of *secret* in that step (RFC 4226 5.3; SHA-1 is what every app can)."""
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    place = digest[-1] & 0x0F
    (number,) = struct.unpack_from(">I", digest, place)
    return b"%06d" % ((number & 0x7FFF_FFFF) % 10**DIGITS)
