"""Every reply that our SMTP server gives, by name: code (RFC 5321 4.2), enhanced status (RFC 3463), words.

A reader would otherwise get wrong: the words are for people and may change; programs read the code and the status. No
reply repeats what the client sent, so a log of replies cannot be written into by a stranger.
"""

from mta.record import dataclass, field


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. Without a status it is one of those that RFC 2034 4 exempts: greeting, EHLO, HELO and 354."""

    code: int
    status: str
    text: str
    octets: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        words = f"{self.code} {self.status} {self.text}" if self.status else f"{self.code} {self.text}"
        object.__setattr__(self, "octets", words.encode("ascii") + b"\r\n")

    @property
    def permanent(self) -> bool:
        """Is it a refusal that trying again will not change?"""
        return self.code >= FIRST_PERMANENT


class Refused(Exception):
    """What the client said is not right; `reply` tells it so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


FIRST_PERMANENT = 500

# Yes.
READY_FOR_TLS = Reply(220, "2.0.0", "Begin TLS")  # RFC 3207 4
CLOSING = Reply(221, "2.0.0", "Bye")  # RFC 5321 4.1.1.10
RESET = Reply(250, "2.0.0", "Forgotten")  # RFC 5321 4.1.1.5
NOTHING_DONE = Reply(250, "2.0.0", "OK")  # RFC 5321 4.1.1.9
SENDER_OK = Reply(250, "2.1.0", "Sender OK")  # RFC 3463 3.2, X.1.0
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")  # RFC 3463 3.2, X.1.5
CANNOT_VERIFY = Reply(252, "2.1.5", "Not told here; send mail and see")  # RFC 5321 3.5.3
CHUNK_TAKEN = Reply(250, "2.0.0", "Chunk taken")  # RFC 3030 2
HELP = Reply(214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS")  # RFC 5321 4.1.1.8
HELP_OF_SUBMISSION = Reply(214, "2.0.0", HELP.text + " AUTH")
HELP_ON_AUTH = Reply(214, "2.0.0", "AUTH mechanism [response]: log in, where EHLO offers it")
HELP_ON = {
    topic: Reply(214, "2.0.0", text)
    for topic, text in (
        (b"EHLO", "EHLO name: who you are; tells what we offer"),
        (b"HELO", "HELO name: who you are"),
        (b"MAIL", "MAIL FROM:<address> [SIZE= BODY= SMTPUTF8 RET= ENVID= REQUIRETLS]: begin a message"),
        (b"RCPT", "RCPT TO:<address> [NOTIFY= ORCPT=]: to whom it goes"),
        (b"DATA", "DATA: the message follows, up to a line with a dot alone"),
        (b"BDAT", "BDAT octets [LAST]: so much of the message follows"),
        (b"RSET", "RSET: forget this message"),
        (b"NOOP", "NOOP: do nothing"),
        (b"VRFY", "VRFY name: is not told here"),
        (b"HELP", "HELP [command]: this"),
        (b"QUIT", "QUIT: hang up"),
        (b"STARTTLS", "STARTTLS: go on under TLS, where EHLO offers it"),
    )
}
LOGGED_IN = Reply(235, "2.7.0", "Logged in")  # RFC 4954 6
START_CONTENT = Reply(354, "", "End with <CRLF>.<CRLF>")  # RFC 5321 4.1.1.4

# Not now.
STOPPING = Reply(421, "4.3.2", "Going down; come back in a moment")  # RFC 3463 3.4, X.3.2; RFC 5321 3.8
TOO_BUSY = Reply(421, "4.3.2", "Too many conversations at the moment; come back in a minute")
TIMED_OUT = Reply(421, "4.4.2", "Waited too long for you")  # RFC 3463 3.5, X.4.2; RFC 5321 4.5.3.2.7
SESSION_TOO_LONG = Reply(421, "4.4.2", "This connection has lasted long enough")
SLOW_DOWN = Reply(421, "4.7.0", "Too many unknown recipients; slow down")  # RFC 3463 3.8, X.7.0
TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors")
TOO_MANY_COMMANDS = Reply(421, "4.7.0", "Too many commands and no mail")
NOT_SMTP = Reply(421, "4.7.0", "This is SMTP")
TOO_MANY_LOGINS = Reply(421, "4.7.0", "Too many refused log-ins")
LOST_COUNT = Reply(421, "4.7.0", "Nobody can tell where your chunk ends")
TLS_AWAY = Reply(454, "4.7.0", "TLS is not to be had at the moment; go on without, or come back")  # RFC 3207 4
LOGIN_AWAY = Reply(454, "4.7.0", "Nobody can tell now whether that is right; try again later")  # RFC 4954 6
PLAINTEXT_BEHIND_STARTTLS = Reply(421, "4.7.0", "Nothing may follow STARTTLS before TLS is on")  # RFC 3207 4.2
OVER_LIMIT = Reply(450, "4.7.1", "Sending limit reached; send the rest later")  # RFC 3463 3.8, X.7.1
NO_REVERSE_NAME = Reply(
    450, "4.7.25", "Your address has no name that leads back to it; mend its PTR record"
)  # RFC 7372 3.3
GREYLISTED = Reply(451, "4.7.1", "Not yet; try again in a few minutes")  # RFC 3463 3.8, X.7.1; RFC 6647 2.3
TOO_FAST = Reply(451, "4.7.1", "Too much in a minute; go on more slowly, the rest a minute later")
TRY_LATER = Reply(451, "4.3.0", "Cannot tell at the moment; try again later")  # RFC 3463 3.4, X.3.0
FULL = Reply(452, "4.2.2", "The mailbox is full")  # RFC 3463 3.3, X.2.2
ONE_RECIPIENT = Reply(452, "4.5.3", "Here only one recipient a message; send again for the others")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send again for the others")  # RFC 5321 4.5.3.1.10

# Never.
UNKNOWN_COMMAND = Reply(500, "5.5.2", "Unknown command")  # RFC 3463 3.6, X.5.2
LINE_TOO_LONG = Reply(500, "5.5.2", "Command line too long")  # RFC 5321 4.5.3.1.4
BAD_LINE = Reply(500, "5.5.2", "A command is ASCII without control characters and ends with CR LF")  # RFC 5321 2.3.8
NOT_BASE64 = Reply(501, "5.5.2", "A response is base64")  # RFC 4954 4
BAD_RESPONSE = Reply(501, "5.5.2", "That is not what this mechanism says")
BAD_AUTH = Reply(501, "5.5.4", "Say AUTH and a mechanism, then perhaps its first response")  # RFC 4954 4
CANCELLED = Reply(501, "5.7.0", "Not logged in, as you wish")  # RFC 4954 4
NO_ARGUMENT_WANTED = Reply(501, "5.5.4", "This command has no argument")  # RFC 3463 3.6, X.5.4
BAD_HELLO = Reply(501, "5.5.4", "Say your domain name or address literal")  # RFC 5321 4.1.1.1
BAD_VRFY = Reply(501, "5.5.4", "Verify whom?")
BAD_CHUNK = Reply(501, "5.5.4", "Say BDAT and a number of octets, then perhaps LAST")  # RFC 3030 2
BAD_MAIL = Reply(501, "5.5.4", "Say MAIL FROM:<address>, then parameters")  # RFC 5321 4.1.1.2
BAD_RCPT = Reply(501, "5.5.4", "Say RCPT TO:<address>, then parameters")  # RFC 5321 4.1.1.3
BAD_PARAMETER = Reply(501, "5.5.4", "A parameter is malformed or said twice")  # RFC 5321 4.1.1.11
BAD_REVERSE_PATH = Reply(501, "5.1.7", "The sender's address is malformed")  # RFC 3463 3.2, X.1.7
BAD_FORWARD_PATH = Reply(501, "5.1.3", "The recipient's address is malformed")  # RFC 3463 3.2, X.1.3
REVERSE_PATH_TOO_LONG = Reply(501, "5.1.7", "The sender's address is too long")  # RFC 5321 4.5.3.1.10
FORWARD_PATH_TOO_LONG = Reply(501, "5.1.3", "The recipient's address is too long")
NOT_OFFERED = Reply(502, "5.5.1", "Not offered here")  # RFC 5321 4.2.4
HELLO_FIRST = Reply(503, "5.5.1", "Say EHLO first")  # RFC 3463 3.6, X.5.1
MAIL_FIRST = Reply(503, "5.5.1", "Say MAIL first")
RECIPIENT_FIRST = Reply(503, "5.5.1", "Say RCPT first")
NESTED_MAIL = Reply(503, "5.5.1", "There is a sender already")
CHUNKS_BEGUN = Reply(503, "5.5.1", "The message began with BDAT; go on with BDAT, or say RSET")  # RFC 3030 2
IS_LOGGED_IN = Reply(503, "5.5.1", "You are logged in already")  # RFC 4954 4
TLS_IS_ON = Reply(503, "5.5.1", "TLS is on already")  # RFC 3207 4.2
NO_MECHANISM = Reply(504, "5.5.4", "No such mechanism here")  # RFC 4954 4
NO_HELP = Reply(504, "5.5.4", "No such command to help with")  # RFC 5321 4.3.2
STARTTLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")  # RFC 3207 4
LOG_IN_FIRST = Reply(530, "5.7.0", "Log in first")  # RFC 4954 6
WRONG_LOGIN = Reply(535, "5.7.8", "The name or the password is wrong")  # RFC 4954 6: one reply for all causes
CLEARTEXT_LOGIN = Reply(538, "5.7.11", "Log in under TLS only; say STARTTLS first")  # RFC 4954 6
UNKNOWN = Reply(550, "5.1.1", "No such mailbox here")  # RFC 3463 3.2, X.1.1
SUSPENDED = Reply(550, "5.2.1", "The mailbox takes no mail")  # RFC 3463 3.3, X.2.1
BARE_CR_LF_NUL = Reply(550, "5.6.0", "The message has a bare CR, a bare LF or a NUL in it")  # RFC 5321 2.3.8
UNSIGNED = Reply(550, "5.7.1", "That bounce is for mail which we did not send; its return path is forged")
DENIED = Reply(550, "5.7.1", "The recipient does not take mail from you; ask by another way")  # RFC 3463 3.8, X.7.1
BRAKED = Reply(550, "5.7.1", "Sending is stopped: unusually much was sent from this mailbox; ask your administrator")
LISTED = Reply(550, "5.7.1", "Your address is on a list of senders of unwanted mail")
NOT_YOUR_ADDRESS = Reply(550, "5.7.1", "You may not write from that address")
FOREIGN = Reply(550, "5.7.1", "We do not take mail for that domain")  # RFC 3463 3.8, X.7.1
TOO_LARGE = Reply(552, "5.3.4", "The message is larger than we take")  # RFC 1870 6.1; RFC 3463 3.4, X.3.4
NOT_ASCII = Reply(553, "5.6.7", "An address beyond ASCII needs SMTPUTF8 behind MAIL")  # RFC 6531 3.5
NO_VALID_RECIPIENTS = Reply(554, "5.5.1", "No valid recipients")  # RFC 5321 3.3; RFC 2920 3.1
TOO_MANY_HOPS = Reply(554, "5.4.6", "The message goes round in a circle")  # RFC 5321 6.3; RFC 3463 3.5, X.4.6
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "A parameter that was not offered")  # RFC 5321 4.1.1.11


def greeting(hostname: bytes) -> bytes:
    """The first line (RFC 5321 4.3.1). No name or version of the program: it helps only who looks for holes."""
    return b"220 %b ESMTP\r\n" % hostname


def hello(hostname: bytes) -> bytes:
    """The answer to HELO (RFC 5321 4.1.1.1)."""
    return b"250 %b\r\n" % hostname


def extended_hello(
    hostname: bytes, max_message_size: int, max_recipients: int, *, starttls: bool = False, secured: bool = False,
    mechanisms: tuple[bytes, ...] = (),
) -> bytes:  # fmt: skip
    """The answer to EHLO; with *starttls* it offers TLS, with *secured* TLS is on and *mechanisms* may be used to log in."""
    offered = [
        b"PIPELINING",  # RFC 2920
        b"SIZE %d" % max_message_size,  # RFC 1870
        b"8BITMIME",  # RFC 6152
        b"ENHANCEDSTATUSCODES",  # RFC 2034
        b"SMTPUTF8",  # RFC 6531
        b"CHUNKING",  # RFC 3030
        b"DSN",  # RFC 3461
        b"LIMITS RCPTMAX=%d" % max_recipients,  # RFC 9422
    ]
    if starttls and not secured:
        offered.append(b"STARTTLS")  # RFC 3207
    if secured:
        offered.append(b"REQUIRETLS")  # RFC 8689 2, which wants it offered under TLS only
    if secured and mechanisms:
        offered.append(b"AUTH " + b" ".join(mechanisms))  # RFC 4954 3; passwords in the clear are not invited
    lines = [hostname, *offered, b"HELP"]
    return b"".join([b"250-%b\r\n" % line for line in lines[:-1]]) + b"250 %b\r\n" % lines[-1]


def queued(queue_id: bytes) -> bytes:
    """The 250 after the final dot: from here on the message is ours."""
    return b"250 2.0.0 Queued as %b\r\n" % queue_id


def fault(number: str) -> Reply:
    """After an error of ours, which the journal knows by *number*."""
    return Reply(451, "4.3.0", f"Something went wrong on our side; our journal has it as {number}")


def declined(code: int, status: bytes, text: bytes) -> Reply:
    """The enqueuer's no as a reply; one that is not a refusal in form becomes `TRY_LATER`."""
    parts = status.split(b".")
    formed = len(parts) == 3 and all(part.isdigit() and len(part) <= 3 for part in parts)  # RFC 3463 2
    if not formed or not 400 <= code <= 599 or status[:1] != b"%d" % (code // 100):  # RFC 5321 4.2.1
        return TRY_LATER
    return Reply(code, status.decode("ascii"), _plain(text) or "Not taken")


def in_words(reply: Reply, words: bytes) -> Reply:
    """*reply* with other *words*, if there are any."""
    return Reply(reply.code, reply.status, _plain(words) or reply.text) if words else reply


def _plain(text: bytes) -> str:
    return bytes([octet for octet in text if 0x20 <= octet < 0x7F]).decode("ascii")[:400]
