"""Which fields of a message are signed. What the submitter hands to the signer, and the signer names in h=.

A reader would otherwise get wrong: a name in h= that no field answers to is no slip. It says that there was no such field,
so that nobody can add one to a signed message: a second From, or a Subject for one that had none.
"""

from collections.abc import Iterable

from mta.message.dkim.canonical import name_of

# What a reader is shown, or what says how the body is to be read: signed as often as it is there, and once more.
SEALED = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"in-reply-to", b"references", b"mime-version",
    b"content-type", b"content-transfer-encoding",
)  # fmt: skip
# Signed as often as they are there; lists and forwarders may add theirs (RFC 6376 5.4.1).
_SIGNED = (
    b"sender", b"resent-date", b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-message-id",
    b"content-id", b"content-description", b"content-disposition", b"list-id", b"list-help", b"list-unsubscribe",
    b"list-unsubscribe-post", b"list-subscribe", b"list-post", b"list-owner", b"list-archive", b"auto-submitted", b"autocrypt",
    b"feedback-id", b"importance",
)  # fmt: skip
SIGNABLE = frozenset((*SEALED, *_SIGNED))


def names_to_sign(fields: Iterable[bytes]) -> tuple[bytes, ...]:
    """What stands in h=: the name of each signable field of *fields*, and those of SEALED once more."""
    return (*(name for name in map(name_of, fields) if name in SIGNABLE), *SEALED)
