"""The proofs that travel between roles: session token, tickets, original authority. Keyed blake2b over netstrings.

A reader would otherwise get wrong: these are not secrets but *statements*. Whoever holds one learns nothing, and may
use it only for exactly the fields it covers; every field is length-prefixed, so no two lists of fields make the same
octets, and each kind has its own personalisation, so a proof of one kind never holds as another.
"""

import hashlib
import hmac

from mta.wire.netstring import pack

MAC_OCTETS = 16
KEY_OCTETS = 32
TICKET_SECONDS = 3600  # From RCPT to DATA; RFC 5321 4.5.3.2 lets a client take five minutes for each further RCPT.
SESSION_SECONDS = 3 * 3600  # smtpd ends each conversation after two hours at the latest
NOTICE_SECONDS = 600  # bouncer writes it at once
LOGIN_SECONDS = SESSION_SECONDS  # who logged in stays so for the conversation; what he may is looked up anew each time
CREDENTIAL_OCTETS = 8  # of the digest by which a log-in ticket names the password or app password that was shown
ANSWER_SECONDS = 300  # bouncer writes it at once
SENDER_SECONDS = 300  # signer is asked as soon as submitter has the ticket

_SESSION = b"postern session"
_TICKET = b"postern ticket"
_ORIGINAL = b"postern original"
_NOTICE = b"postern notice"
_CONSENT = b"postern consent"
_LOGIN = b"postern login"
_SENDER = b"postern sender"
_GLANCE = b"postern glance"
_REPLY = b"postern reply"
_ANSWER = b"postern answer"


def session_token(key: bytes, session: bytes, client: bytes) -> bytes:
    """The listener's word: session *session* belongs to the client with the address *client*."""
    return _mac(key, _SESSION, session, client)


def session_token_holds(key: bytes, token: bytes, session: bytes, client: bytes) -> bool:
    """Did somebody with *key* make *token* for exactly these?"""
    return hmac.compare_digest(token, session_token(key, session, client))


def is_session_over(session: bytes, now: float) -> bool:
    """Is *session*, which the listener names by the nanosecond of its beginning, older at *now* than any can be?

    A token proves to whom a session belongs, not that it still exists; without this, one that was once seen would serve a
    taken-over process for ever.
    """
    try:
        begun = int(session, 16) / 1e9
    except ValueError:
        return False  # Nobody with the key names one so.
    return now - begun > SESSION_SECONDS


def ticket(key: bytes, session: bytes, reverse_path: bytes, forward_path: bytes, counted: bytes, expiry: int) -> bytes:  # fmt: skip
    """The directory's yes: in *session*, *forward_path* may have mail from *reverse_path* until *expiry*.

    *expiry* is in seconds since 1970. *counted* is the mailbox whose quota it counts against, or empty; covered too,
    since nobody may charge another's mailbox.
    """
    return _mac(key, _TICKET, session, reverse_path, forward_path, counted, b"%d" % expiry)


def ticket_holds(
    key: bytes, mac: bytes, session: bytes, reverse_path: bytes, forward_path: bytes, counted: bytes,
    expiry: int, now: int,
) -> bool:  # fmt: skip
    """Did somebody with *key* say yes to exactly these, and is *now* (seconds since 1970) not after *expiry*?"""
    expected = ticket(key, session, reverse_path, forward_path, counted, expiry)
    return hmac.compare_digest(mac, expected) and now <= expiry


def login_ticket(key: bytes, session: bytes, identity: bytes, expiry: int, credential: bytes) -> bytes:
    """The authenticator's word: the client of *session* is the mailbox *identity* (address key) until *expiry*.

    *credential* (CREDENTIAL_OCTETS) says which of its passwords was shown. It stands before the proof, for the authenticator
    alone to look at: a log-in by what was changed or revoked since ends with that.
    """
    return credential + _mac(key, _LOGIN, session, identity, b"%d" % expiry, credential)


def login_ticket_holds(key: bytes, ticket: bytes, session: bytes, identity: bytes, expiry: int, now: int) -> bool:
    """Did somebody with *key* say exactly this, and is *now* (seconds since 1970) not after *expiry*?"""
    expected = login_ticket(key, session, identity, expiry, credential_of(ticket))
    return hmac.compare_digest(ticket, expected) and now <= expiry


def credential_of(ticket: bytes) -> bytes:
    """Which password a log-in ticket is by; believe it of one that holds."""
    return ticket[:CREDENTIAL_OCTETS]


def sender_ticket(key: bytes, session: bytes, identity: bytes, address: bytes, until: int) -> bytes:
    """The authenticator's word: *identity*, logged in in *session*, may write as *address* (as it was asked) until *until*."""
    return _mac(key, _SENDER, session, identity, address, b"%d" % until)


def sender_ticket_holds(
    key: bytes, mac: bytes, session: bytes, identity: bytes, address: bytes, until: int, now: int
) -> bool:  # fmt: skip
    """Did somebody with *key* say exactly this, and is *now* (seconds since 1970) not after *until*?"""
    return hmac.compare_digest(mac, sender_ticket(key, session, identity, address, until)) and now <= until


def original_authority(key: bytes, queue_id: bytes, *, full: bool) -> bytes:
    """The scheduler's word: the bouncer may see the header (with *full* all) of the message *queue_id* and answer its sender."""
    return _mac(key, _ORIGINAL, queue_id, b"full" if full else b"header")


def original_authority_holds(key: bytes, authority: bytes, queue_id: bytes, *, full: bool) -> bool:
    """Did somebody with *key* give *authority* for exactly this message, and so much of it?"""
    return hmac.compare_digest(authority, original_authority(key, queue_id, full=full))


def glance_authority(key: bytes, queue_id: bytes) -> bytes:
    """The scheduler's word: the bouncer may see the header of the message *queue_id*, and answer nobody."""
    return _mac(key, _GLANCE, queue_id)


def glance_authority_holds(key: bytes, authority: bytes, queue_id: bytes) -> bool:
    """Did somebody with *key* give *authority* for exactly this message?"""
    return hmac.compare_digest(authority, glance_authority(key, queue_id))


def reply_proof(key: bytes, queue_id: bytes, mailbox: bytes, reverse_path: bytes) -> bytes:
    """The directory's word: the message *queue_id* of *reverse_path* goes to *mailbox* (address key), which answers its mail."""
    return _mac(key, _REPLY, queue_id, mailbox, reverse_path)


def reply_proof_holds(key: bytes, proof: bytes, queue_id: bytes, mailbox: bytes, reverse_path: bytes) -> bool:
    """Did somebody with *key* say exactly this?"""
    return hmac.compare_digest(proof, reply_proof(key, queue_id, mailbox, reverse_path))


def answer_ticket(key: bytes, queue_id: bytes, address: bytes, body_hash: bytes, until: int) -> bytes:
    """The directory's word: the answer to *queue_id* is written by *address*, and its body has this hash, until *until*."""
    return _mac(key, _ANSWER, queue_id, address, body_hash, b"%d" % until)


def answer_ticket_holds(
    key: bytes, mac: bytes, queue_id: bytes, address: bytes, body_hash: bytes, until: int, now: int
) -> bool:  # fmt: skip
    """Did somebody with *key* say exactly this, and is *now* (seconds since 1970) not after *until*?"""
    return hmac.compare_digest(mac, answer_ticket(key, queue_id, address, body_hash, until)) and now <= until


def notice_authority(key: bytes, mailbox: bytes, until: int) -> bytes:
    """The ledger's word: the bouncer may write to *mailbox* (address key) and its domain's postmaster until *until*."""
    return _mac(key, _NOTICE, mailbox, b"%d" % until)


def notice_authority_holds(key: bytes, authority: bytes, mailbox: bytes, until: int, now: int) -> bool:
    """Did somebody with *key* give *authority* for exactly these, and is *now* (seconds since 1970) not after *until*?"""
    return hmac.compare_digest(authority, notice_authority(key, mailbox, until)) and now <= until


def consent_authority(key: bytes, target: bytes, until: int) -> bytes:
    """The compiler's word: the bouncer may ask *target*, at another host, for its owner's consent until *until*."""
    return _mac(key, _CONSENT, target, b"%d" % until)


def consent_authority_holds(key: bytes, authority: bytes, target: bytes, until: int, now: int) -> bool:
    """Did somebody with *key* give *authority* for exactly these, and is *now* (seconds since 1970) not after *until*?"""
    return hmac.compare_digest(authority, consent_authority(key, target, until)) and now <= until


def _mac(key: bytes, person: bytes, *fields: bytes) -> bytes:
    """Keyed blake2b of *fields*.

    Raises:
        ValueError: *key* is so short that it can only be a mistake in the settings; such a proof would prove nothing.
    """
    if len(key) < MAC_OCTETS:
        raise ValueError("the key of a proof is too short")
    return hashlib.blake2b(pack(fields), digest_size=MAC_OCTETS, key=key, person=person).digest()
