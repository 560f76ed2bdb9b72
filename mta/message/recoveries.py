"""What somebody is written at his recovery address, as bytes: to confirm that it is his, or to choose another password.

A reader would otherwise get wrong: it goes to an address that was typed in at the panel, so nothing in it was written by whoever
typed it but the name by which he signs in, which we know.
"""

import hashlib

from mta.message.consents import MAX_SHOWN, Letter
from mta.message.dsn import printable
from mta.record import dataclass


@dataclass(frozen=True, slots=True)
class Recovery:
    """All that is said."""

    host: bytes  # our name
    target: bytes  # the recovery address
    whose: bytes  # as what he signs in
    link: bytes
    moment: int  # seconds since 1970, now
    language: bytes = b"en"  # what the reader may understand (RFC 5646)
    what: bytes = b"confirm"  # or reset


@dataclass(frozen=True, slots=True)
class _Words:
    name: bytes
    subject: bytes  # ASCII in every language, so that a header section of ours needs no encoding
    text: str


_LANGUAGES = {
    (b"confirm", b"en"): _Words(
        b"en",
        b"Is this your recovery address?",
        """This is the mail system at {host}.

Whoever signs in there as {whose}
wants to be written to here when the password is forgotten.

If that is you, say so on this page within a day:

    {link}

If it is not, do nothing.
""",
    ),
    (b"confirm", b"de"): _Words(
        b"de",
        b"Ist das Ihre Adresse zur Wiederherstellung?",
        """Hier schreibt das Mailsystem von {host}.

Wer sich dort als {whose} anmeldet,
möchte hierher geschrieben bekommen, wenn das Passwort vergessen ist.

Wenn Sie das sind, sagen Sie es innerhalb eines Tages auf dieser Seite:

    {link}

Wenn nicht, tun Sie nichts.
""",
    ),
    (b"reset", b"en"): _Words(
        b"en",
        b"Choose another password",
        """This is the mail system at {host}.

Somebody has forgotten the password of {whose}.

If that was you, choose another one on this page within an hour:

    {link}

If it was not, do nothing: the password stays as it is.
""",
    ),
    (b"reset", b"de"): _Words(
        b"de",
        b"Ein anderes Passwort",
        """Hier schreibt das Mailsystem von {host}.

Jemand hat das Passwort von {whose} vergessen.

Wenn Sie das waren, wählen Sie innerhalb einer Stunde ein anderes:

    {link}

Wenn nicht, tun Sie nichts: Das Passwort bleibt, wie es ist.
""",
    ),
}


def compose_recovery(recovery: Recovery) -> bytes:
    """The letter as content: header section, empty line, text; seven-bit, lines end in CRLF."""
    what = recovery.what if recovery.what == b"reset" else b"confirm"
    known = _LANGUAGES.get((what, recovery.language.lower().partition(b"-")[0]))
    words = known or _LANGUAGES[(what, b"en")]
    shown = {name: printable(getattr(recovery, name), MAX_SHOWN) for name in ("host", "whose", "link")}
    text = words.text.format(**{name: octets.decode("ascii", "replace") for name, octets in shown.items()})
    about = hashlib.blake2b(recovery.whose + b" " + recovery.target, digest_size=6).hexdigest().encode()
    letter = Letter(recovery.host, recovery.target, b"Your recovery address:;", words.subject, text, words.name)
    return letter.written(recovery.moment, b"%b.%b" % (what, about))
