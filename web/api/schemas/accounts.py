"""Accounts: who administers."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from web.api.schemas import Asked, DomainText, Moment, Number, Secret, Text, Told, documented, shown_once
from web.api.schemas.appointments import Right

AccountName = Annotated[Text, Field(json_schema_extra=documented("^[a-z0-9][a-z0-9._-]{0,62}$", 63, 1))]
_RIGHTS = "of a domain administrator, what he may; null: all of it"


class NewAccount(Asked):
    """An account to make."""

    name: AccountName = Field(description="without an at-sign: what has one is a mailbox", examples=["anna"])
    tenant_id: Number | None = Field(None, description="what he administers; left out: the asking key's own tenant")
    domain: DomainText | None = Field(None, description="he administers this domain alone")
    support: bool = Field(False, description="he looks at all that is the tenant's, and changes nothing")
    rights: list[Right] | None = Field(None, max_length=7, description=_RIGHTS)
    password: Secret | None = Field(
        None, description="null: the answer holds a one-time password", examples=["a calm long password"]
    )
    must_change: bool = Field(True, description="is it a one-time password, to be changed at the first log-in?")


class AccountChange(Asked):
    """What shall be different."""

    rights: list[Right] | None = Field(None, max_length=7, description=_RIGHTS)


class NewAccountPassword(Asked):
    """Another password."""

    password: Secret | None = Field(
        None, description="null: the answer holds a one-time password", examples=["a calm long password"]
    )
    must_change: bool = Field(True, description="is it a one-time password, to be changed at the next log-in?")


class Account(Told):
    """Who administers something."""

    name: str
    kind: str = Field(description="operator, reseller, customer, domain or support")
    tenant_id: int
    domain: Annotated[str | None, BeforeValidator(lambda value: getattr(value, "name", value))]
    rights: list[str] | None
    must_change: bool
    created_at: Moment
    version: int


class MadeAccount(Account):
    """With the one-time password, where none was given; it is shown here once."""

    model_config = shown_once("one_time_password")

    one_time_password: str | None


class LoginSession(Told):
    """Where somebody is logged in to the panel."""

    id: int
    source: str = Field(description="from which address", examples=["192.0.2.1"])
    created_at: Moment
    expires_at: Moment
