"""Who may write to whom, where not everybody may: aliases that are kept for some, domains whose mail stays inside.

A reader would otherwise get wrong: a reverse-path is what somebody *says*. Whoever logged in has proved which mailbox he is, and
by that alone he counts as a member, as somebody of the domain or of the tenant; who did not log in is a stranger there,
whatever he says, and also where the host relays for him. What is said counts in two places only: where it names an address
that is not ours, which nobody could prove here; and where a program or a network that the host relays for names an address
which was listed by name.
"""

from collections.abc import Callable

from mta.record import dataclass
from mta.roles.directory.access import Scope
from mta.roles.directory.outward import a_label
from mta.snapshot.records import Alias, Domain
from mta.vocabulary import fold_domain, fold_local_part

WORDS_OF_GROUPS = {  # for the client, ASCII; they tell the rule, and of nobody whether he is in it
    b"domain": b"Only people of its own domain may write to this address, and they log in for it",
    b"tenant": b"Only people of its own organisation may write to this address, and they log in for it",
    b"members": b"Only its members may write to this address, and they log in for it",
    b"listed": b"You are not among those who may write to this address",
}
STAYS_OUT = b"This address takes mail from inside only; who belongs there logs in to write to it"
STAYS_IN = b"Mail of your domain stays inside, and that address is not"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who brings a message."""

    identity: bytes = b""  # address key of the mailbox that logged in: proved; empty: nobody did
    reverse_path: bytes = b""  # what was said
    is_relayer: bool = False  # a network or a program that the host relays for
    is_ours: bool = False  # a notification, or what we promised to lead on: nothing is closed to it


OURS = Origin(is_ours=True)


@dataclass(frozen=True, slots=True)
class Place:
    """A domain as it stands now, aliases followed and its tenants asked."""

    name: bytes
    suspended: bool
    record: Domain
    scope: Scope | None  # its access rules
    forwards_outside: bool
    is_silent: bool  # nothing may be sent from it

    @property
    def catch_all(self) -> bytes:
        """Who gets what nobody here answers for: an address key, or nobody."""
        return self.record.catch_all


def is_within(scope: bytes, place: Place | None, home: Place) -> bool:
    """Is *place* as near to *home* as *scope* wants? Another host never is, nor a domain that is only relayed to one."""
    if place is None or place.record.next_hop:
        return False
    if scope == b"tenant":
        return place.record.tenant == home.record.tenant
    return scope != b"domain" or place.name == home.name


class Doors:
    """Judges with *place_of* (a path's domain, None: not ours) and *leads_to* (does any of these addresses lead to him?)."""

    def __init__(
        self, place_of: Callable[[bytes], Place | None], leads_to: Callable[[tuple[bytes, ...], bytes], bool]
    ) -> None:
        self._place_of, self._leads_to = place_of, leads_to

    def refusal(self, key: bytes, place: Place, alias: Alias | None, origin: Origin) -> bytes:
        """In which words *origin* may not write to the address *key* of *place*, an *alias* perhaps; empty: he may."""
        if origin.is_ours:
            return b""
        scope = place.record.local_only
        if scope and not self._is_inside(scope, place, origin):
            return STAYS_OUT
        if alias is None or not alias.open_to or self._is_meant(key, place, alias, origin):
            return b""
        return WORDS_OF_GROUPS.get(alias.open_to, WORDS_OF_GROUPS[b"listed"])

    def lets_out(self, origin: Origin, place: Place | None) -> bool:
        """May *origin* write to an address of *place* (None: at another host), as far as his own domain goes?

        By whom he proved to be and, of who may relay, by what he says, too: to be narrower than he is gains nobody anything.
        """
        said = origin.reverse_path if origin.identity or origin.is_relayer else b""
        homes = (self._place_of(path) for path in (origin.identity, said) if path)
        return all(
            home is None or not home.record.local_only or is_within(home.record.local_only, place, home)
            for home in homes
        )

    def _is_inside(self, scope: bytes, place: Place, origin: Origin) -> bool:
        if origin.identity:
            return is_within(scope, self._place_of(origin.identity), place)
        return (
            scope == b"host" and origin.is_relayer
        )  # Whom the operator lets relay belongs to the host, and to no tenant.

    def _is_meant(self, key: bytes, place: Place, alias: Alias, origin: Origin) -> bool:
        if alias.open_to == b"listed":
            return self._is_listed(alias.listed, origin)
        if not origin.identity:
            return False
        if alias.open_to == b"members":
            return self._leads_to((key,), origin.identity)
        return is_within(alias.open_to, self._place_of(origin.identity), place)

    def _is_listed(self, listed: tuple[bytes, ...], origin: Origin) -> bool:
        if origin.identity:
            home = self._place_of(origin.identity)
            return (home is not None and home.name in listed) or self._leads_to(
                tuple(entry for entry in listed if b"@" in entry), origin.identity
            )
        local_part, domain = _said(origin.reverse_path)
        place = self._place_of(origin.reverse_path) if domain else None
        if place is not None:
            return origin.is_relayer and (place.name in listed or local_part + b"@" + place.name in listed)
        return bool(domain) and (domain in listed or local_part + b"@" + domain in listed)


def _said(reverse_path: bytes) -> tuple[bytes, bytes]:
    """Folded local-part and A-label domain of *reverse_path*; both empty when it is none."""
    local_part, at, domain = reverse_path.rpartition(b"@")
    try:
        folded = fold_local_part(local_part.decode()).encode()
        return (folded, a_label(fold_domain(domain.decode()).encode())) if at else (b"", b"")
    except UnicodeDecodeError:
        return b"", b""
