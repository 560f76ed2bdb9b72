"""What a mail program has to know, and the files in which programs look for it themselves.

A reader would otherwise get wrong: nothing here depends on a mailbox, not even whether there is one. Programs ask before anybody
has signed in, so whatever is told, is told about every address of a domain that is served here. No file holds a password.
"""

import plistlib
import re
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from appliance.config import Settings
from appliance.database.session import Session
from appliance.errors import NotFound
from appliance.services import addresses
from mta.vocabulary import Address

__all__ = [
    "Server",
    "Setup",
    "address_in",
    "asked_for",
    "autoconfig",
    "autodiscover",
    "profile",
    "require_served",
    "setup_of",
]

# RFC 8314 3.3: TLS from the start goes before STARTTLS. As clients reach the host, whatever it listens on behind a forwarding.
SUBMISSIONS, SUBMISSION, IMAPS = 465, 587, 993
LONGEST_QUESTION = 16 << 10  # octets that an Autodiscover request may have; real ones have 400
PROFILE_PATH = "/mail/profile.mobileconfig"
_ASKED_FOR = re.compile(r"<EMailAddress>([^<]{1,320})</EMailAddress>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Server:
    """One way to a server."""

    host: str
    port: int
    tls_from_start: bool  # else STARTTLS, never nothing

    @property
    def words(self) -> str:
        """As mail programs call it."""
        return "with SSL/TLS" if self.tls_from_start else "with STARTTLS"


@dataclass(frozen=True, slots=True)
class Setup:
    """All that the programs of one domain's people have to know."""

    domain: str
    reading: Server | None  # None: where mail is read, the operator has not said
    sending: tuple[Server, ...]  # the best first; empty: users cannot send


def setup_of(settings: Settings, domain: str) -> Setup:
    """The values for people of *domain*."""
    host = settings.host.name
    sending = (
        *([Server(host, SUBMISSIONS, tls_from_start=True)] if settings.listen.submissions else []),
        *([Server(host, SUBMISSION, tls_from_start=False)] if settings.listen.submission else []),
    )
    return Setup(domain, imap_of(settings), sending)


def imap_of(settings: Settings) -> Server | None:
    """Where mail is read, if the operator has said."""
    where = settings.clients.imap
    return Server(where.host, where.port, tls_from_start=where.port == IMAPS) if where is not None else None


def address_in(session: Session, text: str) -> Address:
    """The address of a domain that is served here; of the mailbox nothing is asked.

    Raises:
        Invalid: not an address.
        NotFound: the domain is served elsewhere, or is not proved yet.
    """
    parsed = addresses.parse_address(text, "emailaddress")
    require_served(session, parsed.domain)
    return parsed


def require_served(session: Session, domain: str) -> None:
    """Go on when people have mailboxes under the name *domain*.

    Raises:
        NotFound: they have not.
    """
    found = addresses.domain_named(session, domain)
    if found is None or found.proved_at is None or found.kind == "relay":
        raise NotFound(f"mail for {domain} is not looked after here")


def asked_for(question: str) -> str:
    """The address that an Autodiscover request names. It is not read as XML: nothing else in it matters.

    Raises:
        NotFound: none.
    """
    found = _ASKED_FOR.search(question)
    if found is None:
        raise NotFound("the question names no address")
    return found[1].strip()


def autoconfig(setup: Setup) -> str:
    """For Thunderbird and those that read its format (clientConfig 1.1).

    Raises:
        NotFound: without a server to read from, the format has nothing to say.
    """
    reading = _reading(setup)
    servers = "".join(
        [_mozilla("incoming", "imap", reading), *(_mozilla("outgoing", "smtp", way) for way in setup.sending)]
    )
    name = escape(setup.domain)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<clientConfig version="1.1"><emailProvider id="{name}"><domain>{name}</domain>'
        f"<displayName>{name}</displayName><displayShortName>{name}</displayShortName>"
        f"{servers}</emailProvider></clientConfig>\n"
    )


def _mozilla(way: str, kind: str, server: Server) -> str:
    socket = "SSL" if server.tls_from_start else "STARTTLS"
    return (
        f'<{way}Server type="{kind}"><hostname>{escape(server.host)}</hostname><port>{server.port}</port>'
        f"<socketType>{socket}</socketType><username>%EMAILADDRESS%</username>"
        f"<authentication>password-cleartext</authentication></{way}Server>"
    )


def autodiscover(setup: Setup, address: Address) -> str:
    """For Outlook (Autodiscover, the answer to a request in XML).

    Raises:
        NotFound: as `autoconfig`.
    """
    reading = _reading(setup)
    protocols = _microsoft("IMAP", reading, address) + "".join(
        _microsoft("SMTP", way, address) for way in setup.sending[:1]
    )
    schema = "http://schemas.microsoft.com/exchange/autodiscover"
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<Autodiscover xmlns="{schema}/responseschema/2006">'
        f'<Response xmlns="{schema}/outlook/responseschema/2006a"><Account><AccountType>email</AccountType>'
        f"<Action>settings</Action>{protocols}</Account></Response></Autodiscover>\n"
    )


def _microsoft(kind: str, server: Server, address: Address) -> str:
    ssl, encryption = ("on", "SSL") if server.tls_from_start else ("off", "TLS")
    return (
        f"<Protocol><Type>{kind}</Type><Server>{escape(server.host)}</Server><Port>{server.port}</Port>"
        f"<LoginName>{escape(addresses.show(address))}</LoginName><DomainRequired>off</DomainRequired><SPA>off</SPA>"
        f"<SSL>{ssl}</SSL><Encryption>{encryption}</Encryption><AuthRequired>on</AuthRequired></Protocol>"
    )


def profile(setup: Setup, address: Address) -> bytes:
    """For Apple's devices: a configuration profile, which asks for the password when it is installed.

    Its identifiers are always the same for an address, so a device that is given it again replaces what it has.

    Raises:
        NotFound: as `autoconfig`; or users cannot send.
    """
    reading = _reading(setup)
    if not setup.sending:
        raise NotFound("users cannot send mail here")
    sending, shown = setup.sending[0], addresses.show(address)
    base = uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{addresses.key_of(address)}?host={sending.host}")
    beginning = ".".join([*reversed(sending.host.split(".")), "mail", base.hex])
    common = {"PayloadVersion": 1, "PayloadOrganization": sending.host}
    account = {
        **common,
        "PayloadType": "com.apple.mail.managed",
        "PayloadIdentifier": f"{beginning}.account",
        "PayloadUUID": str(uuid.uuid5(base, "account")).upper(),
        "PayloadDisplayName": shown,
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAccountDescription": shown,
        "EmailAddress": shown,
        "OutgoingPasswordSameAsIncomingPassword": True,
        **_apple("Incoming", reading, shown),
        **_apple("Outgoing", sending, shown),
    }
    whole = {
        **common,
        "PayloadType": "Configuration",
        "PayloadIdentifier": beginning,
        "PayloadUUID": str(base).upper(),
        "PayloadDisplayName": shown,
        "PayloadDescription": f"Reads and sends the mail of {shown}.",
        "PayloadContent": [account],
    }
    return plistlib.dumps(whole)


def _apple(way: str, server: Server, user: str) -> dict[str, object]:
    return {
        f"{way}MailServerAuthentication": "EmailAuthPassword",
        f"{way}MailServerHostName": server.host,
        f"{way}MailServerPortNumber": server.port,
        f"{way}MailServerUseSSL": True,  # Apple's word for both: which of them, the port says.
        f"{way}MailServerUsername": user,
    }


def _reading(setup: Setup) -> Server:
    if setup.reading is None:
        raise NotFound("where mail is read, this host's operator has not said ([clients] imap)")
    return setup.reading
