"""From spooled content to the bytes of a Maildir file: two lines before it, LF for CRLF, nothing else.

A reader would otherwise get wrong: a block of a large message may end between CR and LF, so the CR waits for the next one.
"""

import hashlib
import os

from mta.vocabulary import arrival_of, fold_local_part

BLOCK = 64 * 1024  # Read and written at once; nearly every message is one.
_FIELD = b"\r\ndelivered-to:"


def file_name(queue_id: bytes, recipient: bytes, host: str) -> str:
    """The name in tmp/; in new/ `,S=` and the size follow. The same delivery has the same name whenever it is tried."""
    mark = hashlib.blake2b(recipient, digest_size=8).hexdigest()
    return f"{int(arrival_of(queue_id))}.Q{queue_id.decode()}R{mark}.{host}"


def lines_before(reverse_path: bytes, recipient: bytes) -> bytes:
    """What stands before the content: RFC 5321 4.4 wants Return-Path at final delivery; Delivered-To is how a loop is seen."""
    return b"Return-Path: <%b>\nDelivered-To: %b\n" % (reverse_path, recipient)


def has_passed(recipient: bytes, block: bytes) -> bool:
    """Does the header section at the beginning of *block* say that *recipient* had this message before?

    Only *block* is looked at. That bounds the work, and hides no loop: each round puts its field at the very top.
    """
    end = block.find(b"\r\n\r\n")
    header = b"\r\n" + (block if end < 0 else block[:end])
    lowered = header.lower()
    position = lowered.find(_FIELD)
    while position >= 0:
        start = position + len(_FIELD)
        if _folded(_field_body(header, start)) == _folded(recipient):
            return True
        position = lowered.find(_FIELD, start)
    return False


def copy(source: int, target: int, block: bytes, before: bytes) -> int:
    """Write *before*, then the content of *source* (whose first *block* was read already), with LF for CRLF. Answers the octets.

    Raises:
        OSError: the disk did not take it.
    """
    written, offset, carry = 0, len(block), b""
    while True:
        full = len(block) == BLOCK
        text = carry + block if carry else block
        carry = b"\r" if full and text.endswith(b"\r") else b""
        if carry:
            text = text[:-1]
        written += _write_all(target, before + text.replace(b"\r\n", b"\n"))
        if not full:
            return written
        before = b""
        block = os.pread(source, BLOCK, offset)
        offset += len(block)


def _field_body(header: bytes, start: int) -> bytes:
    """The field body that begins at *start*, unfolded (RFC 5322 2.2.3)."""
    end = header.find(b"\r\n", start)
    while end >= 0 and header[end + 2 : end + 3] in (b" ", b"\t"):
        end = header.find(b"\r\n", end + 2)
    return header[start:end] if end >= 0 else header[start:]


def _folded(address: bytes) -> str:
    # Others write the address with brackets, or with a domain in capitals: it is the same mailbox.
    text = address.strip(b" \t\r\n").removeprefix(b"<").removesuffix(b">")
    return fold_local_part(text.decode(errors="surrogateescape"))


def _write_all(target: int, octets: bytes) -> int:
    done = os.write(target, octets)
    while done < len(octets):
        done += os.write(target, octets[done:])
    return done
