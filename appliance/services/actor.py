"""Who is asking.

A reader would otherwise get wrong: an actor is made by whoever proved who it is (a session, a key, the command line) and
believed from there on; what he may do is judged in `authorisation` alone. One person may have several parts: then he may do
what any one of them lets him, to what lies in that one.
"""

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["system", "operator", "reseller", "customer", "domain", "support", "mailbox"]

# Who suspended something outranks those below: a customer cannot resume what the operator stopped. Support reads only.
RANKS: dict[str, int] = {
    "mailbox": 0, "support": 0, "domain": 1, "customer": 2, "reseller": 3, "operator": 4, "system": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the house that is somebody's, and as what."""

    kind: ActorKind
    tenant_id: int | None = None  # reseller, customer, support
    domain_id: int | None = None  # domain administrator
    mailbox_id: int | None = None  # mailbox owner
    rights: frozenset[str] | None = None  # of a domain administrator: names of `authorisation.DOMAIN_RIGHTS`; None: all

    @property
    def rank(self) -> int:
        """How much it outranks others."""
        return RANKS[self.kind]


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who acts, with the part of the house that is his, and perhaps *others* beside it, none of higher rank."""

    kind: ActorKind
    name: str
    tenant_id: int | None = None
    domain_id: int | None = None
    mailbox_id: int | None = None
    source: str = ""  # the client's address, for the audit log
    rights: frozenset[str] | None = None
    others: tuple[Part, ...] = ()
    # What a key is scoped to; None is no scope. Actions as in `authorisation`; address keys and names of domains.
    actions: frozenset[str] | None = None
    addresses: frozenset[str] | None = None
    limited: bool = (
        False  # a key with any limit at all, an end among them: it makes nothing that would outlive or outgrow it
    )
    support_by: str = ""  # somebody of support, who looks at what this one sees

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything that is his."""
        return (Part(self.kind, self.tenant_id, self.domain_id, self.mailbox_id, self.rights), *self.others)

    @property
    def rank(self) -> int:
        """How much he outranks others, where he does."""
        return max(part.rank for part in self.parts)

    @property
    def sees_everything(self) -> bool:
        """Is the whole house his?"""
        return any(part.kind in ("system", "operator") for part in self.parts) and self.addresses is None


def acting(name: str, parts: list[Part], source: str = "") -> Actor:
    """Somebody with all these parts, the highest first."""
    first, *others = sorted(parts, key=lambda part: -part.rank)
    return Actor(
        first.kind, name, first.tenant_id, first.domain_id, first.mailbox_id, source, first.rights, tuple(others)
    )


def from_command_line(user: str) -> Actor:
    """Who may run `postern` on the machine may do everything."""
    return Actor("system", f"cli:{user}", source="local")
