"""What a notification says to a person, in each language that we write.

A reader would otherwise get wrong: subjects are ASCII in every language, so that a header section of ours needs no encoding.
Of the rest any letter may be used; what is beyond ASCII goes as quoted-printable.
"""

import time
from collections.abc import Callable

from mta.message.trace import date_time
from mta.record import dataclass

_FAILED, _DELAYED, _DELIVERED, _RELAYED, _EXPANDED = b"failed", b"delayed", b"delivered", b"relayed", b"expanded"


@dataclass(frozen=True, slots=True)
class Words:
    """One language's. `%` stands where something is put in."""

    name: bytes  # RFC 5646
    subject: str  # of what one sent; then the first of *about*
    subject_of_notification: str
    # Action (RFC 3464 2.3.3): how the subject ends, and the line above the addresses; in the order one wants to know them.
    about: dict[bytes, tuple[str, str]]
    host: str
    arrived: str
    notification_arrived: str
    written_to: str
    said_by: str
    no_reason: str
    more: str
    retry_until: str
    final: str
    attached: str
    moment: Callable[[int], str]  # seconds since 1970, in words


def _moment_de(seconds: int) -> str:
    return time.strftime("%d.%m.%Y um %H:%M Uhr UTC", time.gmtime(seconds))


ENGLISH = Words(
    name=b"en",
    subject="Mail",
    subject_of_notification="A notification",
    about={
        _FAILED: ("could not be delivered", "It could not be delivered to:"),
        _DELAYED: ("is delayed", "It is delayed, and still tried for:"),
        _DELIVERED: ("was delivered", "It was delivered to:"),
        _RELAYED: (
            "was passed on",
            "It was passed on to a host that sends no such notifications, for:",
        ),
        _EXPANDED: ("was delivered", "It was passed on to everybody behind:"),
    },
    host="This is the mail system at %s.",
    arrived="The message that you sent arrived here at %s.",
    notification_arrived="A delivery status notification arrived here at %s.",
    written_to="(you wrote to <%s>)",
    said_by="So says the host %s.",
    no_reason="no reason was given",
    more="and %d more",
    retry_until="You need not send it again: it is tried until %s.",
    final="No further attempt will be made for whom it could not be delivered to.",
    attached="What is known of the message is attached.",
    moment=lambda seconds: date_time(seconds).decode(),
)

GERMAN = Words(
    name=b"de",
    subject="Ihre Nachricht",
    subject_of_notification="Eine Benachrichtigung",
    about={
        _FAILED: ("konnte nicht zugestellt werden", "Nicht zugestellt werden konnte sie an:"),
        _DELAYED: ("wartet noch", "Sie ist noch nicht zugestellt, und es wird weiter versucht, an:"),
        _DELIVERED: ("wurde zugestellt", "Zugestellt wurde sie an:"),
        _RELAYED: (
            "wurde weitergegeben",
            "Weitergegeben an einen Server, der solche Benachrichtigungen nicht schickt, wurde sie für:",
        ),
        _EXPANDED: ("wurde zugestellt", "Weitergegeben wurde sie an alle, für die diese Adresse steht:"),
    },
    host="Hier schreibt das Mailsystem von %s.",
    arrived="Die Nachricht, die Sie gesendet haben, kam hier am %s an.",
    notification_arrived="Eine Benachrichtigung über eine Zustellung kam hier am %s an.",
    written_to="(Sie schrieben an <%s>)",
    said_by="So antwortet der Server %s.",
    no_reason="ein Grund wurde nicht genannt",
    more="und %d weitere",
    retry_until="Sie brauchen sie nicht noch einmal zu senden: Es wird bis zum %s weiter versucht.",
    final="An wen sie nicht zugestellt werden konnte, wird es nicht noch einmal versucht.",
    attached="Was von der Nachricht bekannt ist, hängt an.",
    moment=_moment_de,
)

_LANGUAGES = {words.name: words for words in (ENGLISH, GERMAN)}


def words_in(language: bytes) -> Words:
    """Those of *language*, or of what it is a kind of; English where we have none."""
    return _LANGUAGES.get(language.lower().partition(b"-")[0], ENGLISH)
