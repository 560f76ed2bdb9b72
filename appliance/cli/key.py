"""`postern key`: API keys."""

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli.house import actor, changing, every, looking, moment, say, say_rows
from appliance.services import keys, tenants
from appliance.services.keys import ApiKey, Scope

app = App(name="key", help="API keys.")

Actions = Annotated[
    tuple[str, ...], Parameter(name="--action", help="all it may do: mailbox.create, mailbox.*, *.see; again for more")
]
Addresses = Annotated[
    tuple[str, ...], Parameter(name="--address", help="all it may touch: an address, or a domain; again for more")
]
Networks = Annotated[
    tuple[str, ...], Parameter(name="--network", help="from where it may be used: 192.0.2.0/24; again for more")
]


def describe(key: ApiKey) -> dict[str, Any]:
    """A key as plain values, without its secret."""
    return {
        "id": key.public_id,
        "name": key.name,
        "tenant": key.tenant.name,
        "tenant_id": key.tenant_id,
        **{name: value for name, value in _scope(key).items() if value},
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


def _scope(key: ApiKey) -> dict[str, Any]:
    ends = datetime.fromtimestamp(key.expires_at, UTC).isoformat() if key.expires_at else None
    return {"actions": key.actions, "addresses": key.addresses, "networks": key.networks, "expires_at": ends}


@app.command
def create(
    *,
    tenant: str | None = None,
    name: str = "",
    actions: Actions = (),
    addresses: Addresses = (),
    networks: Networks = (),
    expires: str | None = None,
) -> None:
    """Make a key for --tenant, or for the operator; it is shown this once. --expires: a day (2030-12-31) or a moment (ISO 8601)."""
    scope = Scope(actions or None, addresses or None, networks or None, moment(expires))
    with changing() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        made = keys.create(session, actor=actor(), tenant_id=owner, name=name, scope=scope)
    say(
        {"id": made.key.public_id, "secret": made.secret, **describe(made.key)},
        f"id: {made.key.public_id}",
        f"key: {made.secret}",
        "It is not shown again. Use it as: Authorization: Bearer KEY",
    )


@app.command(name="list")
def list_(*, tenant: str | None = None) -> None:
    """List keys, without their secrets."""
    with looking() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        say_rows(map(describe, every(keys.list_keys, session, tenant_id=owner)), "id", "tenant", "name", "revoked_at")


@app.command
def revoke(key_id: str) -> None:
    """Make a key good for nothing."""
    with changing() as session:
        # The whole key is what people have at hand; its middle is the id.
        public_id = keys.split(key_id)[0] if key_id.startswith("pk_") else key_id
        found = keys.revoke(session, public_id, actor=actor())
    say(describe(found), f"revoked {found.public_id}")
