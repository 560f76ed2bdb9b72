"""What should stand in a domain's zone, and what does.

A reader would otherwise get wrong: nothing here asks. Whoever calls has looked the names up, outside of any transaction, since
name servers take their time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from appliance import signing_keys
from appliance.database.session import Session
from appliance.models import Domain
from appliance.services import addresses, dkim, proof
from appliance.services.actor import Actor
from appliance.services.client_setup import Server, Setup

__all__ = ["Found", "Judged", "Wanted", "judge", "questions", "wanted", "zone"]

State = Literal["right", "different", "missing", "unknown"]
Key = tuple[str, str]  # kind, name
_TTL_PREFERENCE = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """One record that should be there. What is not *required* makes things better."""

    kind: str  # MX, TXT, CNAME, SRV
    name: str
    value: str  # as a zone file has it, a TXT without its quotes
    purpose: str
    required: bool = True
    about: str = ""  # the standard that it belongs to, of those that mail rests on: MX, SPF, DKIM, DMARC


@dataclass(frozen=True, slots=True)
class Found:
    """What name servers said: answer, none, nxdomain, or failed when nobody knows now."""

    outcome: str
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A record that should be there, what stands in its place, and how that is to be taken."""

    wanted: Wanted
    found: tuple[str, ...]
    state: State


def wanted(session: Session, domain: Domain, *, actor: Actor, setup: Setup) -> list[Wanted]:
    """What should stand in the zone of *domain*, the most important first; *setup*: what its people's programs have to know."""
    name, host = domain.name, addresses.host_name(session)
    at, text = proof.challenge(domain)
    records = [Wanted("TXT", at, text, "proves that the domain is yours", required=domain.proved_at is None)]
    # The host itself is found without (RFC 5321 5.1).
    mx = Wanted("MX", name, f"{_TTL_PREFERENCE} {host}.", "brings its mail here", required=name != host, about="MX")
    records.append(mx)
    if domain.kind == "relay":
        return records
    records.append(Wanted("TXT", name, "v=spf1 mx ~all", "says from where its mail comes (SPF)", about="SPF"))
    records += [
        Wanted(
            "TXT", dkim.record_name(key), dkim.record(key), "proves what it sent (DKIM)",
            required=key.state == dkim.SIGNING, about="DKIM",
        )
        for key in dkim.keys_of(session, name, actor=actor)
        if key.state != dkim.RETIRED
    ]  # fmt: skip
    about = f"mailto:postmaster@{name}"
    dmarc = f"v=DMARC1; p=quarantine; rua={about}"
    records += [
        Wanted("TXT", f"_dmarc.{name}", dmarc, "says what fails of that (DMARC)", about="DMARC"),
        Wanted(
            "TXT", f"_mta-sts.{name}", "v=STSv1; id=1", "says that its mail comes by TLS only (MTA-STS)", required=False
        ),
        Wanted("TXT", f"_smtp._tls.{name}", f"v=TLSRPTv1; rua={about}", "has failures of TLS reported", required=False),
        Wanted("CNAME", f"autoconfig.{name}", f"{host}.", "has mail programs set themselves up", required=False),
    ]
    return records + _for_programs(name, setup)


def _for_programs(name: str, setup: Setup) -> list[Wanted]:
    """Where mail programs send and read (RFC 6186, RFC 8314 5.1)."""
    records = []
    for server in setup.sending:
        service, purpose = (
            ("_submissions", "tells mail programs where to send")
            if server.tls_from_start
            else ("_submission", "the same, with STARTTLS")
        )
        records.append(_srv(f"{service}._tcp.{name}", server, purpose))
    if setup.reading is not None:
        ways = ("_imaps", "_imap") if setup.reading.tls_from_start else ("_imap", "_imaps")
        records.append(_srv(f"{ways[0]}._tcp.{name}", setup.reading, "tells mail programs where to read"))
        records.append(_srv(f"{ways[1]}._tcp.{name}", None, "says that there is no other way to read"))
    return records


def _srv(name: str, server: Server | None, purpose: str) -> Wanted:
    """Without a *server*: that there is none (RFC 6186 3.4)."""
    if server is None:
        return Wanted("SRV", name, "0 0 0 .", purpose, required=False)
    priority = 0 if server.tls_from_start else 10
    return Wanted("SRV", name, f"{priority} 1 {server.port} {server.host}.", purpose, required=False)


def questions(records: Sequence[Wanted]) -> list[Key]:
    """What is to be looked up for them, each once."""
    return list(dict.fromkeys((record.kind, record.name) for record in records))


def judge(records: Sequence[Wanted], found: Mapping[Key, Found]) -> list[Judged]:
    """Hold what should be there against what was found."""
    judged = []
    for record in records:
        there = found.get((record.kind, record.name), Found("failed"))
        alike = tuple(text for text in there.records if _is_about_the_same(record, text))
        if there.outcome == "failed":
            state: State = "unknown"
        elif not alike:
            state = "missing"
        else:
            state = "right" if any(_is_right(record, text) for text in alike) else "different"
        judged.append(Judged(record, alike, state))
    return judged


def _is_about_the_same(record: Wanted, text: str) -> bool:
    """Several things stand as TXT under one name; what begins alike is of one kind (`v=spf1`)."""
    if record.kind != "TXT":
        return True
    mark = record.value.partition(";")[0].partition(" ")[0]
    return text.startswith(mark.partition("=")[0] + "=") if mark.startswith(proof.PREFIX) else text.startswith(mark)


def _is_right(record: Wanted, text: str) -> bool:
    if record.kind != "TXT":
        # The host, and of a service its port; how it is weighed against others is the owner's to say.
        told = 2 if record.kind == "SRV" else 1
        return _plain(text).split()[-told:] == _plain(record.value).split()[-told:]
    if record.value.startswith("v=spf1"):
        return any(part.lstrip("+") in ("mx", *_hosts(record)) for part in text.lower().split())
    if record.value.startswith(("v=DMARC1", "v=STSv1", "v=TLSRPTv1")):
        return True  # How strict, and where reports go, is the owner's to say.
    return "".join(text.split()) == "".join(record.value.split())


def _hosts(record: Wanted) -> tuple[str, ...]:
    return (f"mx:{record.name}", f"include:{record.name}")


def _plain(text: str) -> str:
    return text.lower().rstrip(".")


def zone(records: Sequence[Wanted]) -> str:
    """The records as lines of a zone file (RFC 1035 5.1)."""
    return "".join(_line(record) + "\n" for record in records)


def _line(record: Wanted) -> str:
    if record.kind == "TXT":
        return signing_keys.zone_line(record.name, record.value)
    return f"{record.name}. IN {record.kind} {record.value}"
