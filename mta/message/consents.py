"""What somebody at another host is written before mail is sent on to him, as bytes.

A reader would otherwise get wrong: nothing in it was written by whoever wants the mail to go on - no name, no greeting - or a
stranger could have his words carried to anybody by us. Nobody asked for it, so it is `auto-generated` (RFC 3834 2, 5).
"""

import hashlib

from mta.message.dsn import header_address, printable, quoted_printable
from mta.message.trace import date_time
from mta.record import dataclass

MAX_SHOWN = 400  # octets of an address or a link


@dataclass(frozen=True, slots=True)
class Consent:
    """All that is said."""

    host: bytes  # our name
    target: bytes  # who is asked
    holder: bytes  # whose mail it is: the address key of a mailbox or an alias
    link: bytes  # where he says yes
    moment: int  # seconds since 1970, now
    language: bytes = b"en"  # what the reader may understand (RFC 5646)


@dataclass(frozen=True, slots=True)
class _Words:
    name: bytes
    subject: bytes  # ASCII in every language, so that a header section of ours needs no encoding
    text: str


_ENGLISH = _Words(
    b"en",
    b"May mail be sent on to you?",
    """This is the mail system at {host}.

Somebody here wants all mail for <{holder}>
to be sent on to you, at <{target}>.

If you want that, too, say so on this page:

    {link}

Until then nothing is sent on to you. If you do not want it, or do not
know what this is about, do nothing.
""",
)
_GERMAN = _Words(
    b"de",
    b"Sollen Nachrichten an Sie weitergeleitet werden?",
    """Hier schreibt das Mailsystem von {host}.

Jemand möchte, dass alle Nachrichten für <{holder}>
an Sie weitergeleitet werden, an <{target}>.

Wenn Sie das auch möchten, sagen Sie es auf dieser Seite:

    {link}

Bis dahin wird nichts an Sie weitergeleitet. Wenn Sie es nicht möchten
oder nicht wissen, worum es geht, tun Sie nichts.
""",
)
_LANGUAGES = {words.name: words for words in (_ENGLISH, _GERMAN)}


def compose_consent(consent: Consent) -> bytes:
    """The question as content: header section, empty line, text; seven-bit, lines end in CRLF."""
    words = _LANGUAGES.get(consent.language.lower().partition(b"-")[0], _ENGLISH)
    shown = {name: printable(getattr(consent, name), MAX_SHOWN) for name in ("host", "holder", "target", "link")}
    text = words.text.format(**{name: octets.decode("ascii", "replace") for name, octets in shown.items()})
    about = hashlib.blake2b(consent.holder + b" " + consent.target, digest_size=6).hexdigest().encode()
    letter = Letter(consent.host, consent.target, b"Whom mail may be sent on to:;", words.subject, text, words.name)
    return letter.written(consent.moment, b"consent.%b" % about)


@dataclass(frozen=True, slots=True)
class Letter:
    """What we write to one person of our own accord."""

    host: bytes
    target: bytes
    undisclosed: bytes  # stands for an address that no header field takes
    subject: bytes  # ASCII
    text: str
    language: bytes

    def written(self, moment: int, number: bytes) -> bytes:
        """As content, at *moment* (seconds since 1970)."""
        return _written(self, moment, number)


def _written(letter: Letter, moment: int, number: bytes) -> bytes:
    fields = (
        b"From: Mail delivery <postmaster@%b>" % letter.host,
        b"To: %b" % header_address(letter.target, letter.undisclosed),
        b"Subject: %b" % letter.subject,
        b"Date: %b" % date_time(moment),
        b"Message-ID: <%b.%d@%b>" % (number, moment, letter.host),
        b"Auto-Submitted: auto-generated",
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Language: %b" % letter.language,  # RFC 3282 2
    )
    return b"\r\n".join(fields) + b"\r\n\r\n" + quoted_printable(letter.text.encode())
