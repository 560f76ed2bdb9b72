"""What the owner of a mailbox and who looks after its domain are written when it may not send any more, as bytes.

A reader would otherwise get wrong: this is no delivery status notification. Nobody asked, so it is `auto-generated`, and
nothing answers it (RFC 3834 2, 5); it goes out with the null reverse-path.
"""

import hashlib

from mta.message.dsn import header_address, printable, quoted_printable
from mta.message.trace import date_time
from mta.record import dataclass

MAX_WHY = 400  # octets


@dataclass(frozen=True, slots=True)
class Braked:
    """All that is said."""

    host: bytes  # our name
    mailbox: bytes  # its address
    why: bytes  # as the log says it
    moment: int  # seconds since 1970, now
    language: bytes = b"en"  # what the reader understands (RFC 5646)


@dataclass(frozen=True, slots=True)
class _Words:
    name: bytes
    subject: bytes  # ASCII in every language, so that a header section of ours needs no encoding
    text: str


_ENGLISH = _Words(
    b"en",
    b"Sending from your mailbox was stopped",
    """This is the mail system at {host}.

The mailbox <{mailbox}> may send no mail for now, because it did what
it never did before:

    {why}

Perhaps somebody else knows its password. Mail to the mailbox arrives as
ever. What it had queued waits until somebody has looked at it.

Whose mailbox it is: if that was not you, change the password. If it was,
say so to your administrator.

Who looks after the domain: the panel, or `postern sending release` with
this address, lets the mailbox send again. `postern queue list` shows
what waits.
""",
)
_GERMAN = _Words(
    b"de",
    b"Ihr Postfach kann nicht mehr senden",
    """Hier schreibt das Mailsystem von {host}.

Das Postfach <{mailbox}> darf vorerst nichts mehr senden, weil es tat,
was es noch nie tat. Im Protokoll steht dazu auf Englisch:

    {why}

Vielleicht kennt noch jemand das Passwort. Nachrichten an das Postfach
kommen an wie immer. Was es noch senden wollte, wartet, bis jemand
danach gesehen hat.

An den Inhaber: Wenn Sie das nicht waren, ändern Sie das Passwort. Wenn
doch, sagen Sie es Ihrem Administrator.

An den Administrator der Domain: Im Panel oder mit `postern sending
release` und dieser Adresse geben Sie das Postfach wieder frei. `postern
queue list` zeigt, was wartet.
""",
)
_LANGUAGES = {words.name: words for words in (_ENGLISH, _GERMAN)}


def compose_braked(braked: Braked) -> bytes:
    """The notice as content: header section, empty line, text; seven-bit, lines end in CRLF."""
    words = _LANGUAGES.get(braked.language.lower().partition(b"-")[0], _ENGLISH)
    shown = {"host": braked.host, "mailbox": printable(braked.mailbox, MAX_WHY), "why": printable(braked.why, MAX_WHY)}
    text = words.text.format(**{name: octets.decode("ascii", "replace") for name, octets in shown.items()})
    about = hashlib.blake2b(braked.mailbox, digest_size=6).hexdigest().encode()
    postmaster = b"postmaster@" + braked.mailbox.rpartition(b"@")[2]
    fields = (
        b"From: Mail delivery <postmaster@%b>" % braked.host,
        b"To: %b" % header_address(braked.mailbox, b"Owner of the mailbox:;"),
        b"Cc: %b" % header_address(postmaster, b"Postmaster of the domain:;"),
        b"Subject: %b" % words.subject,
        b"Date: %b" % date_time(braked.moment),
        b"Message-ID: <braked.%b.%d@%b>" % (about, braked.moment, braked.host),
        b"Auto-Submitted: auto-generated",  # RFC 3834 5: nobody's vacation reply answers this
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Language: %b" % words.name,  # RFC 3282 2
    )
    return b"\r\n".join(fields) + b"\r\n\r\n" + quoted_printable(text.encode())
