"""The shapes of requests and answers, a file per noun, and what they share.

A reader would otherwise get wrong: a schema checks the shape only (is it there, is it text, is it not absurdly long). Whether
an address makes sense or a name is free is the service's judgement, so that panel, API and CLI cannot differ.
"""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar, cast

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from appliance.services.addresses import Address, show
from web import LARGEST

LONGEST_TEXT = 1000
MAX_TARGETS = 1000

Item = TypeVar("Item")

# Seconds since 1970 in the database, RFC 3339 in an answer: pydantic reads the one and writes the other.
Moment = datetime


def _written(value: object) -> object:
    """Moments are written out (RFC 3339); a number would be taken for seconds, and might be meant as something else."""
    if not isinstance(value, str) or value.strip().lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueError("a moment is written as 2026-01-31T12:00:00Z")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written)]
Expiry = Instant
AsTyped = Annotated[str, BeforeValidator(lambda value: show(value) if isinstance(value, Address) else value)]
Targets = Annotated[list[str], BeforeValidator(list)]  # a row's targets are a view of other rows, no list
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


def _whole(value: object) -> object:
    """JSON has one kind of number: 7.0 is as whole as 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_whole)
Number = Annotated[int, Field(ge=0, le=LARGEST), Whole]  # of a row
Position = Annotated[int, Field(ge=1, le=1 << 31), Whole]


def documented(pattern: str, longest: int, least: int = 0) -> JsonDict:
    """What the document says of a text whose full rules no pattern can tell: who keeps to it is not refused for its form."""
    return {"pattern": pattern, "minLength": least, "maxLength": longest}


_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_LABEL = "[a-z0-9]([a-z0-9]{0,61}[a-z0-9])?"
DOMAIN = rf"({_LABEL}[.]){{1,3}}[a-z]{{2,63}}"
ADDRESS = rf"{_ATOM}{{1,31}}([.]{_ATOM}{{1,31}})?@{DOMAIN}"
_PRINTED = "[!-~\u00c0-\u024f]"
_NAME = rf"{_PRINTED}([ -~\u00c0-\u024f]{{0,98}}{_PRINTED})?"

# Texts as they are documented. International names are taken too, and more that is valid; these forms always are.
AddressText = Annotated[Text, Field(json_schema_extra=documented(f"^{ADDRESS}$", 254, 3))]
DomainText = Annotated[Text, Field(json_schema_extra=documented(f"^{DOMAIN}$", 253, 4))]
NameText = Annotated[Text, Field(json_schema_extra=documented(f"^{_NAME}$", 100, 1))]
MaybeName = Annotated[Text, Field(json_schema_extra=documented(f"^({_NAME})?$", 100))]
MaybeAddress = Annotated[Text, Field(json_schema_extra=documented(f"^({ADDRESS})?$", 254))]
NextHop = Annotated[Text, Field(json_schema_extra=documented(f"^{DOMAIN}$", 253, 4))]
Secret = Annotated[Text, Field(json_schema_extra=documented("^[ -~]*$", 1000, 8))]
Hash = Annotated[Text, Field(json_schema_extra=documented("^[$]6[$][./A-Za-z0-9]{1,16}[$][./A-Za-z0-9]{86}$", 110, 1))]
Note = Annotated[Text, Field(json_schema_extra=documented("^[!-~]?[ -~]{0,150}$", 200))]
_OCTET = "(1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"^{_OCTET}([.]{_OCTET}){{3}}$"
IpAddress = Annotated[Text, Field(json_schema_extra=documented(IPV4, 39, 3))]
Network = Annotated[
    Text, Field(json_schema_extra=documented(rf"^{_OCTET}([.]{_OCTET}){{3}}(/([12]?[0-9]|3[0-2]))?$", 43, 3))
]
Pattern = Annotated[
    Text, Field(json_schema_extra=documented(rf"^([.]?{DOMAIN}|{ADDRESS}|{_OCTET}([.]{_OCTET}){{3}})$", 254, 3))
]
Scoped = Annotated[Text, Field(json_schema_extra=documented(rf"^({DOMAIN}|{ADDRESS})$", 254, 3))]
Action = Annotated[Text, Field(json_schema_extra=documented("^([*]|domain|mailbox|alias|tenant)[.](see|[*])$", 40, 3))]
Targeted = Annotated[list[AddressText], Field(max_length=MAX_TARGETS, json_schema_extra={"minItems": 1})]
SenderPattern = Annotated[Text, Field(json_schema_extra=documented(rf"^([.]?{DOMAIN}|{ADDRESS})$", 254, 3))]
Subject = Annotated[Text, Field(json_schema_extra=documented("^([!-~]([ -~]{0,148}[!-~])?)?$", 150))]
LongText = Annotated[
    str, Field(max_length=16_000, json_schema_extra=documented("^[!-~]([ -~\\n]{0,3998}[!-~])?$", 4000, 1))
]
Words = Annotated[Text, Field(json_schema_extra=documented("^[!-~]([ -~]{0,98}[!-~])?$", 100, 1))]
Count = Annotated[int, Field(ge=0, le=1_000_000_000), Whole]
Octets = Annotated[int, Field(ge=0, le=1 << 50), Whole]


class Asked(BaseModel):
    """A request's body: what is not known is refused, since a misspelt member would otherwise do nothing in silence."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Standstill(Asked):
    """What of it shall stand still, or go on; all of it, where no body is sent."""

    what: list[Literal["receive", "send", "log_in"]] = Field(["receive", "send", "log_in"], min_length=1, max_length=3)


class Told(BaseModel):
    """An answer's body, read from a row."""

    model_config = ConfigDict(from_attributes=True)


def shown_once(name: str) -> ConfigDict:
    """Of a body whose field *name* is kept nowhere: given again to a repeated Idempotency-Key, it comes without."""

    def leave_free(schema: JsonDict) -> None:
        schema["required"] = [field for field in cast("list[str]", schema["required"]) if field != name]

    return ConfigDict(json_schema_extra=leave_free)


class Failing(Told):
    """A target at another host that refused what was last sent there. To try it again, set the targets once more."""

    address: str
    failed_at: Moment
    failure: str = Field(description="the status (RFC 3463), then that host's words")


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the following one, or null."""

    items: list[Item]
    next: str | None


def stopping(body: Standstill | None) -> dict[str, list[str]]:
    """What the services are asked for with it."""
    return {} if body is None else {"what": list(dict.fromkeys(body.what))}
