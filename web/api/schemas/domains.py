"""Domains."""

from typing import Annotated, Literal

from pydantic import AliasChoices, ConfigDict, Field
from pydantic.config import JsonDict

from web.api.schemas import Asked, Count, DomainText, MaybeAddress, Moment, NextHop, Number, Secret, Text, Told

Validation = Literal["rcpt", "data", "off"]
Language = Literal["en", "de"]
Source = Literal["", "list", "ldap", "call-ahead", "hook"]
TagSeparator = Literal["", "+", "-"]
LocalOnly = Literal["", "host", "tenant", "domain"]
Settings = Annotated[dict[str, Text], Field(max_length=20)]
_VALIDATION = (
    "when unknown recipients are refused: at RCPT; only after the content; or never, so that their mail bounces to whoever "
    "is named as its sender"
)
_BATV = (
    "sign return paths, and refuse bounces to unsigned ones: also those of what its people send through other servers, "
    "receipts, and call-outs of servers that ask whether a sender exists"
)
_LANGUAGE = "in which notifications to its people are written"
_TAG_SEPARATOR = "what a tag stands behind: anna+tag@ is anna@; empty: no address has a tag"
_LOCAL_ONLY = (
    "within what its mail stays: it is taken from people of this host, tenant or domain who log in, and its own write to "
    "nobody else; empty: mail goes anywhere"
)
_SOURCE = "who knows a relayed domain's recipients; empty: nobody, and then all of them are taken"


_ABOUT_RELAYING = ("next_hop", "source", "source_settings", "source_password")
_HOSTED: JsonDict = {"not": {"anyOf": [{"required": [name]} for name in _ABOUT_RELAYING]}}
_RELAYED: JsonDict = {
    "required": ["next_hop"],
    "properties": {"next_hop": {"type": "string"}, "source": {"enum": ["", "list", "call-ahead"]}},
    "not": {"anyOf": [{"required": [name]} for name in ("alias_of", "source_settings", "source_password")]},
}
_BY_LDAP: JsonDict = {
    "required": ["next_hop", "source", "source_settings"],
    "properties": {
        "next_hop": {"type": "string"},
        "source": {"const": "ldap"},
        "source_settings": {"const": {"url": "ldaps://ldap.example.com", "base": "dc=example"}},
    },
    "not": {"required": ["alias_of"]},
}


class NewDomain(Asked):
    """A domain to serve."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_HOSTED, _RELAYED, _BY_LDAP]})

    name: DomainText = Field(
        description="the domain; international names as written or as A-labels", examples=["example.com"]
    )
    tenant_id: Number | None = Field(None, description="whose it is; left out: the key's own tenant")
    alias_of: DomainText | None = Field(None, description="makes it another name of this domain")
    validation: Validation = Field("rcpt", description=_VALIDATION)
    greylist: bool = Field(False, description="have unknown senders come back once before their mail is taken")
    dnsbl: bool = Field(True, description="refuse senders whom the host's DNS lists name")
    batv: bool = Field(False, description=_BATV)
    language: Language = Field("en", description=_LANGUAGE)
    tag_separator: TagSeparator = Field("+", description=_TAG_SEPARATOR)
    local_only: LocalOnly = Field("", description=_LOCAL_ONLY)
    next_hop: NextHop | None = Field(
        None, description="host and port its mail is relayed to, instead of being stored here", examples=[None]
    )
    source: Source = Field("", description=_SOURCE)
    source_settings: Settings = Field(
        {}, description="ldap: url, base, filter, bind_dn; hook: address; others: none", examples=[{}]
    )
    source_password: Secret | None = Field(None, description="of a directory (ldap); never shown again")
    discard: bool = Field(
        False, description="one that was removed under this name cannot be had back any more, and its mail goes"
    )


class DomainChange(Asked):
    """What is left out stays as it is."""

    catch_all: MaybeAddress | None = Field(
        None, description="gets what nobody here answers for; empty text: nobody does"
    )
    validation: Validation | None = Field(None, description=_VALIDATION)
    greylist: bool | None = None
    dnsbl: bool | None = None
    batv: bool | None = Field(None, description=_BATV)
    language: Language | None = Field(None, description=_LANGUAGE)
    tag_separator: TagSeparator | None = Field(None, description=_TAG_SEPARATOR)
    local_only: LocalOnly | None = Field(None, description=_LOCAL_ONLY)
    next_hop: NextHop | None = None
    source: Source | None = Field(None, description=_SOURCE)
    source_settings: Settings | None = Field(None, description="changes those that it names")
    source_password: Secret | None = Field(None, description="empty text takes it away; it is never shown")
    tenant_id: Number | None = Field(None, description="gives the domain to another tenant, with all that is in it")
    max_mailboxes: Count | None = Field(None, description="of this domain alone; null: no limit of its own")
    max_aliases: Count | None = None
    max_forwards: Count | None = None
    max_storage_bytes: Count | None = None


class Domain(Told):
    """A domain."""

    name: str
    unicode_name: str
    kind: str
    tenant_id: int
    suspended: bool
    suspended_for: list[str] = Field(description="what stands still: receive, send, log_in")
    catch_all: str | None
    validation: str
    greylist: bool
    dnsbl: bool
    batv: bool
    language: str
    tag_separator: str
    local_only: str
    next_hop: str | None
    source: str
    source_settings: dict[str, str]
    max_mailboxes: int | None
    max_aliases: int | None
    max_forwards: int | None
    max_storage_bytes: int | None
    proved_at: Moment | None = Field(description="null: nobody has proved whose it is, and no mail is taken for it")
    dns_checked_at: Moment | None = Field(description="when name servers were last asked for what mail rests on")
    dns_wrong: list[str] = Field(
        validation_alias=AliasChoices("dns_missing", "dns_wrong"),
        description="of what was missing or different then: MX, SPF, DKIM, DMARC; `/dns` asks anew",
    )
    has_source_password: bool = Field(validation_alias=AliasChoices("has_secret", "has_source_password"))
    created_at: Moment
    version: int


class Proof(Asked):
    """How the domain comes into force."""

    waive: bool = Field(False, description="on the operator's word, without a record")


class DnsRecord(Told):
    """One record that should be in the zone, and what is."""

    kind: Literal["MX", "TXT", "CNAME", "SRV"]
    name: str
    value: str = Field(description="as it should be")
    purpose: str
    required: bool
    found: list[str]
    state: Literal["right", "different", "missing", "unknown"] = Field(
        description="unknown: name servers did not answer"
    )


class Dns(Told):
    """A domain's zone as it should be and as it is."""

    records: list[DnsRecord]
    zone: str = Field(description="all that should be there, to be copied into a zone file")
