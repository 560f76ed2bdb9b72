"""Who is asking.

A reader would otherwise get wrong: an actor is made by whoever proved who it is (a session, a key, the command line) and
believed from there on; what he may do is judged in `authorisation` alone.
"""

from dataclasses import dataclass
from typing import Literal

ActorKind = Literal["system", "operator", "reseller", "customer", "domain", "mailbox"]

# Who suspended something outranks those below: a customer cannot resume what the operator stopped.
RANKS: dict[str, int] = {"mailbox": 0, "domain": 1, "customer": 2, "reseller": 3, "operator": 4, "system": 4}


@dataclass(frozen=True, slots=True)
class Actor:
    """Someone who acts, with the part of the house that is his."""

    kind: ActorKind
    name: str
    tenant_id: int | None = None  # reseller, customer
    domain_id: int | None = None  # domain administrator
    mailbox_id: int | None = None  # mailbox owner
    source: str = ""  # the client's address, for the audit log

    @property
    def rank(self) -> int:
        """How much he outranks others."""
        return RANKS[self.kind]

    @property
    def sees_everything(self) -> bool:
        """Is the whole house his?"""
        return self.kind in ("system", "operator")


def from_command_line(user: str) -> Actor:
    """Who may run `postern` on the machine may do everything."""
    return Actor("system", f"cli:{user}", source="local")
