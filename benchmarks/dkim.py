"""What signing costs: `python -m benchmarks.dkim`.

A reader would otherwise get wrong: figures are CPU of one process, for the work that two roles share. Hashing the body is
submitter's, the rest is signer's. The last part is memory: what a submitter holds that has one message of fifty megabytes.
"""

import functools
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mta.message.dkim.canonical import BodyHash, split_fields
from mta.message.dkim.signing import ED25519, RSA, SigningKey, sign
from mta.roles.submitter.holding import BLOCK, Holding

MESSAGES = 2000
LARGE = 50 << 20
HEADER = (
    b"From: Joe <joe@example.org>\r\nTo: Ann <ann@example.net>\r\nSubject: figures of the week\r\n"
    b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <20261121100000.1@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
)
LINE = b"A line of text as people write it, with single blanks and some words.\r\n"
BASE64 = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n"


def per_call(act: Callable[[], object], times: int) -> float:
    """Microseconds of CPU for one call."""
    began = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - began) / times * 1e6


def hashed(body: bytes) -> bytes:
    """The hash of *body*, as it comes over a channel."""
    made = BodyHash()
    for start in range(0, len(body), BLOCK):
        made.update(body[start : start + BLOCK])
    return made.digest()


def hold_large() -> None:
    """Hold one large message, say how much memory that took, and let it go block by block."""
    before = resident_mib()
    holding, left = Holding(LARGE + (1 << 20)), LARGE
    holding.take(HEADER + b"\r\n")
    while left > 0:
        holding.take((BASE64 * (BLOCK // len(BASE64)))[:BLOCK])
        left -= BLOCK
    holding.finish()
    held = resident_mib() - before
    for _ in holding.blocks(HEADER):
        continue
    print(
        f"a message of {LARGE >> 20} MiB held: {held:.0f} MiB; when it was passed on: {resident_mib() - before:.0f} MiB"
    )


def resident_mib() -> float:
    """The memory of this process now; not its peak, which it inherits from whoever started it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / (1 << 20)


def keys_of_domain() -> tuple[SigningKey, SigningKey]:
    """Those that each domain has."""
    return (
        SigningKey(b"20261121-rsa", RSA, rsa.generate_private_key(65537, 2048)),
        SigningKey(b"20261121-ed25519", ED25519, ed25519.Ed25519PrivateKey.generate()),
    )


def signing_ms(octets: int) -> float:
    """Milliseconds of CPU to hash a body of *octets* and sign its header with both keys of a domain."""
    body, fields, keys = LINE * (octets // len(LINE)), split_fields(HEADER), keys_of_domain()

    def sign_one() -> None:
        digest = hashed(body)
        for key in keys:
            sign(fields, digest, key, b"example.org", 0, 1)

    return per_call(sign_one, MESSAGES // 4) / 1000


def main() -> int:
    """Print the figures."""
    if sys.argv[1:] == ["hold"]:
        hold_large()
        return 0
    keys = keys_of_domain()
    fields, digest = split_fields(HEADER), hashed(LINE)
    small = LINE * (4096 // len(LINE))
    print(f"body of 4 KiB hashed: {per_call(lambda: hashed(small), MESSAGES):.0f} us")
    for name, body in (("text", LINE), ("base64", BASE64)):
        large = body * (LARGE // len(body))
        cost = per_call(functools.partial(hashed, large), 1)
        print(f"body of {LARGE >> 20} MiB ({name}) hashed: {cost / 1000:.0f} ms")
    print(f"header of {len(HEADER)} octets split: {per_call(lambda: split_fields(HEADER), MESSAGES):.0f} us")
    for key in keys:
        cost = per_call(functools.partial(sign, fields, digest, key, b"example.org", 0, 1), MESSAGES)
        print(f"signed with {key.algorithm.decode()}: {cost:.0f} us")
    subprocess.run([sys.executable, "-m", "benchmarks.dkim", "hold"], check=True)  # alone, or its memory says nothing
    return 0


if __name__ == "__main__":
    sys.exit(main())
