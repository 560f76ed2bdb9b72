"""Domains, mailboxes and aliases as plain values: what is read from elsewhere, and what is written for elsewhere.

A reader would otherwise get wrong: nothing here is judged. Where it came from others' rules held, so an address may be none of
ours, and a hash one that nobody can check; `services.holdings` says so of each when it is taken in.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class HeldDomain:
    """A domain, or with *alias_of* another name of one."""

    name: str
    alias_of: str | None = None
    catch_all: str | None = None
    suspended: bool = False


@dataclass(slots=True)
class HeldMailbox:
    """A mailbox with what it forwards. *quota_bytes*: 0 is no limit."""

    address: str
    password_hash: str | None = None
    quota_bytes: int = 0
    display_name: str = ""
    suspended: bool = False
    targets: list[str] = field(default_factory=list)
    keep_copy: bool = True
    patterns: list[str] = field(default_factory=list)


@dataclass(slots=True)
class HeldAlias:
    """An address that stands for others."""

    address: str
    targets: list[str]


@dataclass(slots=True)
class Holdings:
    """All of it, and what was seen and could not be put into these words."""

    domains: list[HeldDomain] = field(default_factory=list)
    mailboxes: list[HeldMailbox] = field(default_factory=list)
    aliases: list[HeldAlias] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
