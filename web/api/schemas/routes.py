"""Routes."""

from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from web.api.schemas import Asked, IpAddress, Moment, NameText, NextHop, Secret, Told

Tls = Literal["none", "may", "verify", "dane"]


_LOGIN: JsonDict = {
    "required": ["password", "tls", "next_hop"],
    "properties": {
        "tls": {"enum": ["verify", "dane"]}, "next_hop": {"type": "string"}, "password": {"type": "string"},
        "login": {"type": "string"},
    },
}  # fmt: skip


class RouteChange(Asked):
    """What is left out stays as it is, or is nothing where the route is new. An empty text takes away."""

    model_config = ConfigDict(
        json_schema_extra={"dependentSchemas": {"login": _LOGIN, "password": {**_LOGIN, "required": ["login"]}}}
    )

    next_hop: NextHop | None = Field(
        None,
        description="host:port; empty: by MX, or where the domain is relayed to",
        examples=["smtp.example.net:587"],
    )
    tls: Tls | None = Field(
        None, description="none; may: when it can; verify: by a certificate that holds; dane: by TLSA records"
    )
    lmtp: bool | None = Field(None, description="speak LMTP there instead of SMTP")
    login: NameText | None = Field(
        None, description="the name to log in with; wants tls verify or dane, and a password"
    )
    password: Secret | None = Field(None, description="it is sealed at once, and nobody can read it here again")
    source_address: IpAddress | None = Field(None, description="one of this machine's addresses; the operator's to say")


class Route(Told):
    """Of mail to a domain, of mail that a domain of ours sends (`@domain`), or of all other mail (`*`)."""

    key: str
    next_hop: str | None
    tls: str
    lmtp: bool
    login: str | None
    source_address: str | None
    created_at: Moment
    version: int


class Routes(Told):
    """All that the key can see; those that the settings file fixes stand there."""

    items: list[Route]
