"""What has to be done for a document to become true: the plan, as operations of the API.

A reader would otherwise get wrong: nothing is judged here. The plan is what somebody would ask for who compares document and
house by hand, with his own rights; whether it may be done is said by the endpoints when it is carried out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from appliance.database.session import Session
from appliance.errors import Conflict, NotFound
from appliance.services import addresses, aliases, autoreplies, conditions, domains, mailboxes, patterns
from appliance.services.actor import Actor
from appliance.services.paging import MAX_PAGE, Page
from web.api.dependencies import seconds
from web.api.schemas.aliases import NewAlias
from web.api.schemas.apply import Document, WantedDomain, WantedMailbox
from web.api.schemas.domains import Domain, DomainChange
from web.api.schemas.mailboxes import Mailbox
from web.together import Operation

Row = TypeVar("Row")


def plan_of(session: Session, document: Document, actor: Actor) -> list[Operation]:
    """What to do, in this order; nothing when the document is true.

    Raises:
        Invalid: a name or address in it is none.
        Conflict: one stands there twice.
    """
    return [*_Comparison(session, document, actor).operations()]


class _Comparison:
    """The document beside what there is of it."""

    def __init__(self, session: Session, document: Document, actor: Actor) -> None:
        self._session, self._document, self._actor = session, document, actor
        self._domains = self._by_name()
        self._mailboxes = self._by_key("mailboxes", document.mailboxes)
        self._aliases = self._by_key("aliases", document.aliases)
        held = {key.rpartition("@")[2] for key in (*self._mailboxes, *self._aliases)}
        self._there = {name: self._domain(name) for name in sorted({*self._domains, *held})}
        self._boxes_there = dict(self._all(mailboxes.list_mailboxes))
        self._aliases_there = dict(self._all(aliases.list_aliases))

    def operations(self) -> Iterator[Operation]:
        """Removals first, for what they free; then each thing before what may name it."""
        yield from self._removals()
        yield from self._clearings()
        for name in sorted(self._domains, key=lambda name: self._domains[name].alias_of is not None):
            yield from self._of_domain(name, self._domains[name])
        for key, mailbox in self._mailboxes.items():
            yield from self._of_mailbox(key, mailbox)
        for key, mailbox in self._mailboxes.items():
            yield from self._of_patterns(key, mailbox)
        for key in self._in_order():
            yield from self._of_alias(key, self._aliases[key])
        for key, mailbox in self._mailboxes.items():
            yield from self._of_forwarding(key, mailbox)
            yield from self._of_autoreply(key, mailbox)
        for name, domain in self._domains.items():
            yield from self._of_catch_all(name, domain)

    # --- what there is

    def _by_name(self) -> dict[str, WantedDomain]:
        found: dict[str, WantedDomain] = {}
        for number, domain in enumerate(self._document.domains):
            name = addresses.parse_domain(domain.name, f"domains.{number}.name")
            if name in found:
                raise Conflict(f"{name} stands there twice", code="twice", field=f"domains.{number}.name")
            found[name] = domain
        return found

    def _by_key(self, noun: str, wanted: Sequence[Row]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        for number, one in enumerate(wanted):
            field = f"{noun}.{number}.address"
            key = addresses.key_of(addresses.parse_address(getattr(one, "address"), field))  # noqa: B009 - both have one
            if key in found:
                raise Conflict(f"{key} stands there twice", code="twice", field=field)
            found[key] = one
        return found

    def _domain(self, name: str) -> domains.Domain | None:
        try:
            return domains.get(self._session, name, actor=self._actor)
        except NotFound:
            return None

    def _all(self, list_them: Callable[..., Page[Any]]) -> Iterator[tuple[str, Any]]:
        """All that the domains of the document have of one kind, by their keys."""
        for name, domain in self._there.items():
            cursor: str | None = "" if domain is not None and domain.kind == "hosted" else None
            while cursor is not None:
                page = list_them(self._session, actor=self._actor, domain=name, limit=MAX_PAGE, cursor=cursor or None)
                yield from ((addresses.key_of(row.address), row) for row in page.items)
                cursor = page.next

    # --- what to do

    def _removals(self) -> Iterator[Operation]:
        if not self._document.prune:
            return
        for path, there, wanted in (
            ("/aliases", self._aliases_there, self._aliases), ("/mailboxes", self._boxes_there, self._mailboxes),
        ):  # fmt: skip
            for key, row in there.items():
                if key not in wanted and key.rpartition("@")[2] in self._domains:
                    yield Operation("DELETE", _path(path, addresses.show(row.address)))

    def _of_domain(self, name: str, wanted: WantedDomain) -> Iterator[Operation]:
        said = wanted.model_dump(mode="json", exclude_unset=True, exclude={"catch_all"})
        there = self._there[name]
        if there is None:
            yield Operation("POST", "/domains", said)
            return
        present = Domain.model_validate(there).model_dump(mode="json")
        changed = {
            member: value
            for member, value in said.items()
            if member in DomainChange.model_fields
            and member != "source_password"
            and not _is_so(member, value, present)
        }
        if changed:
            yield Operation("PATCH", _path("/domains", name), changed)

    def _of_catch_all(self, name: str, wanted: WantedDomain) -> Iterator[Operation]:
        there = self._there[name]
        present = (there.catch_all if there is not None else None) or ""
        if "catch_all" not in wanted.model_fields_set:
            return
        asked = wanted.catch_all or ""
        key = addresses.key_of(addresses.parse_address(asked, "catch_all")) if asked else ""
        if key != present:
            yield Operation("PATCH", _path("/domains", name), {"catch_all": asked})

    def _of_mailbox(self, key: str, wanted: WantedMailbox) -> Iterator[Operation]:
        said = wanted.model_dump(mode="json", exclude_unset=True, exclude={"forwarding", "autoreply", "patterns"})
        if key not in self._boxes_there:
            yield Operation("POST", "/mailboxes", said)
            return
        there = Mailbox.model_validate(self._boxes_there[key])
        changed: dict[str, Any] = {}
        if wanted.quota_bytes is not None and wanted.quota_bytes != there.quota_bytes:
            changed["quota_bytes"] = wanted.quota_bytes
        if "display_name" in said and " ".join(wanted.display_name.split()) != there.display_name:
            changed["display_name"] = wanted.display_name
        if changed:
            yield Operation("PATCH", _path("/mailboxes", wanted.address), changed)

    def _of_patterns(self, key: str, wanted: WantedMailbox) -> Iterator[Operation]:
        if wanted.patterns is None:
            return
        row = self._boxes_there.get(key)
        present = patterns.texts(self._session, row) if row is not None else []
        if sorted(patterns.folded(wanted.patterns)) != sorted(patterns.folded(present)):
            path = _path("/mailboxes", wanted.address) + "/patterns"
            yield Operation("PUT", path, {"patterns": wanted.patterns})

    def _clearings(self) -> Iterator[Operation]:
        """Forwardings that shall not be; before anything new could run in a ring over them."""
        for key, wanted in self._mailboxes.items():
            is_none = "forwarding" in wanted.model_fields_set and wanted.forwarding is None
            if is_none and self._forwarding(key) is not None:
                yield Operation("DELETE", _path("/mailboxes", wanted.address) + "/forwarding")

    def _forwarding(self, key: str) -> Any:  # noqa: ANN401 - a row
        row = self._boxes_there.get(key)
        return row.forwarding if row is not None else None

    def _of_forwarding(self, key: str, wanted: WantedMailbox) -> Iterator[Operation]:
        asked, present = wanted.forwarding, self._forwarding(key)
        if asked is None:
            return
        path = _path("/mailboxes", wanted.address) + "/forwarding"
        targets = addresses.parse_targets(self._session, asked.targets, "forwarding.targets")
        only = conditions.parse(asked.conditions.model_dump() if asked.conditions is not None else None)
        if present is None or (targets, asked.keep_copy, asked.enabled, only) != (
            list(present.targets), present.keep_copy, present.enabled, present.conditions,
        ):  # fmt: skip
            yield Operation("PUT", path, asked.model_dump(mode="json"))

    def _of_autoreply(self, key: str, wanted: WantedMailbox) -> Iterator[Operation]:
        if "autoreply" not in wanted.model_fields_set:
            return
        row, asked = self._boxes_there.get(key), wanted.autoreply
        present = autoreplies.describe(row.autoreply) if row is not None else None
        path = _path("/mailboxes", wanted.address) + "/autoreply"
        if asked is None:
            if present is not None:
                yield Operation("DELETE", path)
        elif autoreplies.parse(**seconds(asked.model_dump())) != present:
            yield Operation("PUT", path, asked.model_dump(mode="json"))

    def _of_alias(self, key: str, wanted: NewAlias) -> Iterator[Operation]:
        there = self._aliases_there.get(key)
        if there is None:
            yield Operation("POST", "/aliases", wanted.model_dump(mode="json", exclude_unset=True))
        elif addresses.parse_targets(self._session, wanted.targets) != list(there.targets) or _differs(wanted, there):
            yield Operation(
                "PATCH", _path("/aliases", wanted.address),
                wanted.model_dump(mode="json", exclude_unset=True, exclude={"address"}),
            )  # fmt: skip

    def _in_order(self) -> list[str]:
        """Aliases, each behind those of the document that it leads to; those in a ring last, where they are refused."""
        left = {key: self._leads_to(alias) for key, alias in self._aliases.items()}
        ordered: list[str] = []
        while left:
            free = [key for key, targets in left.items() if not targets & left.keys()] or list(left)
            ordered += free
            for key in free:
                del left[key]
        return ordered

    def _leads_to(self, alias: NewAlias) -> set[str]:
        return {addresses.key_of(addresses.parse_address(target, "targets")) for target in alias.targets}


def _differs(wanted: NewAlias, there: aliases.Alias) -> bool:
    """Is anything that *wanted* says of it besides its targets not so?"""
    said = wanted.model_fields_set
    ends = int(wanted.expires_at.timestamp()) if wanted.expires_at else None
    return (
        ("expires_at" in said and there.expires_at != ends)
        or ("open_to" in said and wanted.open_to != there.open_to)
        or ("enabled" in said and wanted.enabled != there.enabled)
        or ("note" in said and wanted.note.strip() != there.note)
        or ("listed" in said and sorted(aliases.folded(wanted.listed)) != sorted(there.listed))
    )


def _is_so(member: str, value: Any, present: dict[str, Any]) -> bool:  # noqa: ANN401 - JSON
    if member == "source_settings":
        return all(present[member].get(name) == text for name, text in value.items())
    return value in (present[member], None) or (member == "next_hop" and f"{value}:25" == present[member])


def _path(noun: str, name: str) -> str:
    return f"{noun}/{quote(name, safe='@')}"
