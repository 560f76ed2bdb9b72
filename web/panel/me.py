"""Who sits at the desk, as pages need it.

A reader would otherwise get wrong: this decides which links and buttons are shown, not what may be done. The services judge
that, for each change, again.
"""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from appliance.services import zones
from appliance.services.actor import Actor
from appliance.services.support import Visit
from web.panel.links import url

TITLES = {
    "operator": "Operator",
    "reseller": "Reseller",
    "customer": "Administrator",
    "domain": "Domain administrator",
    "support": "Support",
    "mailbox": "Mailbox owner",
    "system": "Command line",
}
_TENANT_KINDS = ("operator", "reseller", "customer")


class Way(NamedTuple):
    """An entry of the bar at the top."""

    label: str
    url: str
    icon: str
    current: bool
    behind: bool  # not in the bar itself but in the menu at its end
    going: int = 0  # how much goes on there


@dataclass(frozen=True, slots=True)
class Me:
    """Who sits at the desk, as pages need it."""

    actor: Actor
    must_change_password: bool
    session_id: int
    visits: tuple[Visit, ...] = ()  # of support, lately
    expires_at: int = 0
    at_work: int = 0  # jobs of his own that go on
    time_zone: str = ""

    @property
    def zone(self) -> dt.tzinfo:
        """In which times are shown to him, and the days meant that he types."""
        return zones.zone(self.time_zone)

    @property
    def zone_name(self) -> str:
        """What it is called."""
        return self.time_zone or zones.UTC

    @property
    def support_by(self) -> str:
        """Who really sits here, looking at what the owner sees; empty: the owner."""
        return self.actor.support_by

    @property
    def name(self) -> str:
        """An account's name or a mailbox's address."""
        return self.actor.name

    @property
    def title(self) -> str:
        """What he is here."""
        return TITLES[self.actor.kind]

    @property
    def manages(self) -> bool:
        """Is more than his own mailbox his?"""
        return self.actor.kind != "mailbox"

    @property
    def may_add_domains(self) -> bool:
        """Does he stand for a tenant? The service decides again; this is for showing buttons that work."""
        return self.actor.kind in _TENANT_KINDS

    @property
    def may_add_tenants(self) -> bool:
        """Can he have tenants below him?"""
        return self.actor.kind in ("operator", "reseller")

    @property
    def sees_people(self) -> bool:
        """Does he see who administers besides him? A domain's administrators are colleagues, not property."""
        return self.may_add_domains or self.actor.kind == "support"

    @property
    def own_tenant(self) -> str:
        """The page of what he administers, when that is one tenant."""
        is_one = self.actor.kind in ("customer", "support") and self.actor.tenant_id is not None
        return url("tenants", self.actor.tenant_id or 0) if is_one else ""

    @property
    def start(self) -> str:
        """His own start page."""
        return "/" if self.manages else url("mailboxes", self.name)

    def ways(self, path: str) -> list[Way]:
        """The pages in the bar at the top, of which *path* is one; those that are `behind` stand in its menu."""
        if self.must_change_password:
            return []
        known = (
            ("Domains", "/domains", "globe2", self.manages, False),
            ("Tenants", "/tenants", "building", self.may_add_tenants, False),
            ("Account", self.own_tenant, "building", bool(self.own_tenant), False),
            ("My mailbox", self.start, "inbox", not self.manages, False),
            ("Messages" if self.manages else "Where is my mail?", "/messages", "envelope", True, False),
            ("Queue", "/queue", "inbox", self.manages, False),
            ("Explain an address", "/explain", "search", self.manages, True),
            ("Plans", "/plans", "list", self.may_add_tenants, True),
            ("People", "/people", "people", self.sees_people, True),
            ("Access rules", "/rules", "shield-lock", self.actor.sees_everything, True),
            ("Routes", "/routes", "signpost-split", self.may_add_domains, True),
            ("Certificates", "/certificates", "door-open", self.may_add_domains, True),
            ("API keys", "/keys", "key", self.may_add_domains, True),
            ("Webhooks", "/webhooks", "globe2", self.may_add_domains, True),
            ("Import and export", "/import", "arrow-right", self.manages, True),
            ("Jobs", "/jobs", "play-circle", self.manages, not self.at_work),
            ("Removed", "/removals", "trash3", self.manages, True),
            ("Isolation", "/isolation", "shield-lock", self.actor.sees_everything, True),
            ("Audit", "/audit", "journal-text", self.manages, True),
        )
        inside = ("/mailboxes", "/aliases")  # pages of a domain, wherever their address begins
        return [
            Way(
                label,
                where,
                icon,
                path.startswith(where) or (where == "/domains" and path.startswith(inside)),
                behind,
                self.at_work if where == "/jobs" else 0,
            )
            for label, where, icon, shown, behind in known
            if shown
        ]
