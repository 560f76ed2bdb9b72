"""What a submitted message must have, what it may lack, and what is taken out of it. Judgement over one header section.

A reader would otherwise get wrong: only what is *missing* is added. A Date of last year or a Message-ID that is none stays as
it is: whose message it is said so, and signatures of his own would break.
"""

from collections.abc import Sequence

from mta.message.dkim.canonical import NotAHeader, body_of, name_of, split_fields
from mta.message.dkim.choice import SIGNABLE
from mta.message.mailboxes import NotMailboxes, mailboxes
from mta.message.trace import date_time
from mta.record import dataclass, replace

MAX_HEADER = 256 * 1024  # octets of a header section
MAX_SIGNABLE = 60 * 1024  # octets of what the signer is asked to sign: one packet
_TAKEN_OUT = frozenset((b"bcc", b"resent-bcc", b"return-path"))

Refusal = tuple[int, bytes, bytes]


class NotSubmittable(Exception):
    """It is refused, and this is what its user hears."""

    def __init__(self, code: int, status: bytes, text: str) -> None:
        super().__init__(text)
        self.refusal: Refusal = (code, status, text.encode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class Draft:
    """A header section that can be passed on, once its authors were allowed."""

    fields: tuple[bytes, ...]
    authors: tuple[bytes, ...]  # of From, in its order
    sender: bytes  # empty: the field is not there

    @property
    def used(self) -> tuple[bytes, ...]:
        """Every address whose use must be allowed, each once."""
        return tuple(dict.fromkeys((*self.authors, *((self.sender,) if self.sender else ()))))

    @property
    def signable(self) -> bytes:
        """The fields for the signer."""
        return b"".join(field for field in self.fields if name_of(field) in SIGNABLE)


def examine(header: bytes) -> Draft:
    """The header section of a message, without what is taken out.

    Raises:
        NotSubmittable: it is none, or does not say who wrote it.
    """
    try:
        fields = split_fields(header)
    except NotAHeader as error:
        raise NotSubmittable(550, b"5.6.0", f"This is no message: {error} (RFC 5322 2.2)") from error
    authors = _addresses(fields, b"From")
    if not authors:
        raise NotSubmittable(550, b"5.6.0", "The message has no From field (RFC 5322 3.6)")
    senders = _addresses(fields, b"Sender")
    if len(senders) > 1:
        raise NotSubmittable(550, b"5.6.0", "The Sender field names more than one address (RFC 5322 3.6.2)")
    kept = tuple(field for field in fields if name_of(field) not in _TAKEN_OUT)
    return Draft(kept, tuple(authors), senders[0] if senders else b"")


def mend(draft: Draft, *, host: bytes, moment: int, identity: bytes, random: bytes) -> Draft:
    """*draft* with what it lacks (RFC 6409 8).

    *moment* is in seconds since 1970; *identity*: the address key of whoever submits it, *random*: some octets that were
    never before.

    Raises:
        NotSubmittable: the header is too long.
    """
    present = {name_of(field) for field in draft.fields}
    added: list[bytes] = []
    sender = draft.sender
    if len(draft.authors) > 1 and b"sender" not in present:
        # Who of them pushed the button: himself where he is one of them, else the first, whose name he may use.
        sender = next((author for author in draft.authors if author.lower() == identity), draft.authors[0])
        added.append(b"Sender: %b\r\n" % sender)
    if b"date" not in present:
        added.append(b"Date: %b\r\n" % date_time(moment))
    if b"message-id" not in present:
        added.append(b"Message-ID: <%x.%b@%b>\r\n" % (moment, random.hex().encode(), host))
    mended = replace(draft, fields=(*draft.fields, *added), sender=sender)
    if len(mended.signable) > MAX_SIGNABLE:
        raise NotSubmittable(
            552, b"5.3.4", f"The header is too long: at most {MAX_SIGNABLE >> 10} KiB of it can be signed"
        )
    return mended


def _addresses(fields: Sequence[bytes], name: bytes) -> list[bytes]:
    """The addresses in the one field called *name*; none: there is no such field."""
    found = [field for field in fields if name_of(field) == name.lower()]
    if not found:
        return []
    if len(found) > 1:
        raise NotSubmittable(550, b"5.6.0", f"The message has more than one {name.decode()} field (RFC 5322 3.6)")
    try:
        return mailboxes(body_of(found[0]))
    except NotMailboxes as error:
        raise NotSubmittable(550, b"5.6.0", f"The {name.decode()} field {error} (RFC 5322 3.6.2)") from error
