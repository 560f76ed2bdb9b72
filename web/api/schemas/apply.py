"""A document that is made true."""

from typing import Any, Literal

from pydantic import Field

from web.api.schemas import Asked, MaybeAddress, Told
from web.api.schemas.aliases import NewAlias
from web.api.schemas.domains import NewDomain
from web.api.schemas.mailboxes import NewAutoreply, NewForwarding, NewMailbox
from web.api.schemas.patterns import PatternText

MAX_THINGS = 10_000


class WantedDomain(NewDomain):
    """A domain as it shall be."""

    catch_all: MaybeAddress | None = Field(
        None, description="gets what nobody here answers for; empty text: nobody does"
    )


class WantedMailbox(NewMailbox):
    """A mailbox as it shall be. Password or hash count when it is made; those of a mailbox that is there stay."""

    forwarding: NewForwarding | None = Field(None, description="null: none; left out: it stays as it is")
    autoreply: NewAutoreply | None = Field(None, description="null: none; left out: it stays as it is")
    patterns: list[PatternText] | None = Field(None, max_length=100, description="all it has; left out: they stay")


class Document(Asked):
    """Domains, mailboxes and aliases as they shall be. What is left out of one of them stays as it is."""

    domains: list[WantedDomain] = Field([], max_length=MAX_THINGS, examples=[[{"name": "apply.example"}]])
    mailboxes: list[WantedMailbox] = Field([], max_length=MAX_THINGS, examples=[[{"address": "anna@apply.example"}]])
    aliases: list[NewAlias] = Field(
        [], max_length=MAX_THINGS, examples=[[{"address": "sales@apply.example", "targets": ["anna@apply.example"]}]]
    )
    prune: bool = Field(False, description="remove mailboxes and aliases of these domains that are not in the document")


class Step(Told):
    """One operation that the document wants."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    body: dict[str, Any] | None = Field(description="less its secrets")


class Applied(Told):
    """What had to be done; nothing when the document was true already."""

    applied: bool = Field(description="false: a dry run, which shows the plan alone")
    plan: list[Step]
