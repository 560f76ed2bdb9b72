"""The SMTP dialogue that mail for an address would have, by the directory's own code over what stands in the database.

A reader would otherwise get wrong: no snapshot is read, which web cannot. Each record that the directory looks for is made of the
rows that stand under its key now, by the compiler's own code; so what is said is what the port will say a second from now. What a
running house remembers - greylisting, rates, what is full - is not asked, and what name servers say neither.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import select

from appliance.compile import collect, render, standing
from appliance.compile.collect import ChangeRow
from appliance.compile.source import Row
from appliance.config import Settings
from appliance.database.session import Session
from appliance.errors import Invalid
from appliance.models import Certificate
from appliance.services import addresses, authorisation, explain
from appliance.services.actor import Actor
from appliance.services.explain import EXAMPLE_CLIENT, Explanation
from mta.snapshot import records

__all__ = ["EXAMPLE_CLIENT", "Explanation", "rehearse"]

_KINDS: Final = {
    records.ADDRESS: "address", records.DOMAIN: "domain", records.TENANT: "tenant", records.RULES: "rules",
    records.SENDING: "senders", records.ROUTED: "route", records.AUTOREPLY: "autoreply", records.PATTERN: "pattern",
}  # fmt: skip


def rehearse(
    session: Session, settings: Settings, reverse_path: str, forward_path: str, client: str = EXAMPLE_CLIENT, *, actor: Actor
) -> Explanation:  # fmt: skip
    """What a message from *reverse_path* to *forward_path* would meet, sent by the address *client*.

    Whoever is not the operator hears the dialogue, not the records behind it: those of others may be among them.

    Raises:
        Invalid: not an address, or not a path that one could send.
        NotFound: its domain is not the actor's.
    """
    parsed = addresses.parse_address(forward_path, "to")
    domain = addresses.domain_named(session, parsed.domain)
    authorisation.require(session, actor, "domain.see", domain, f"domain {parsed.domain}")
    has_certificate = session.scalar(select(Certificate.id).limit(1)) is not None
    told = explain.explain_from(_Rows(session), settings, reverse_path, forward_path, client, starttls=has_certificate)
    if not actor.sees_everything:
        told.steps, told.recipients = [], []
    return told


class _Rows:
    """As `appliance.services.explain.Records`, and as the compiler's `Query`."""

    trouble = ""
    serial: object = 0

    def __init__(self, session: Session) -> None:
        self._connection = session.connection()
        self._fixed: dict[str, str] = {}

    def get(self, key: bytes) -> bytes | None:
        """The record that the compiler would publish under *key*."""
        if key == records.HOST_KEY:
            state = collect.state(self)
            return render.host(state)[1] if state is not None else None
        kind, name = _KINDS.get(key[:2]), key[2:].decode("utf-8", "replace")
        if kind is None:
            return None
        change = ChangeRow(0, kind, _plain(name))
        return standing.changed(self, [change], "", self._fixed, is_same_host=True)["recipients"].get(key)

    def refresh(self) -> bool:
        """It is one transaction, and stays as it is."""
        return False

    def close(self) -> None:
        """Nothing of it is ours."""

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """As `Query.rows`."""
        if self._connection.dialect.paramstyle != "qmark":
            statement = statement.replace("?", "%s")
        for row in self._connection.exec_driver_sql(statement, tuple(parameters)):
            yield tuple(row)

    def run(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """As `Query.run`; but who explains changes nothing.

        Raises:
            PermissionError: always.
        """
        raise PermissionError(f"{statement} {parameters}")


def _plain(name: str) -> str:
    """A key of the snapshot as the feed of changes has it, where domains are A-labels."""
    part, at, domain = name.rpartition("@")
    if domain.isascii():
        return name
    try:
        return f"{part}{at}{addresses.parse_domain(domain)}"
    except Invalid:
        return name
