"""`postern key`: API keys."""

from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, every, looking, say, say_rows
from appliance.services import keys, tenants
from appliance.services.keys import ApiKey

app = App(name="key", help="API keys.")


def describe(key: ApiKey) -> dict[str, Any]:
    """A key as plain values, without its secret."""
    return {
        "id": key.public_id,
        "name": key.name,
        "tenant": key.tenant.name,
        "tenant_id": key.tenant_id,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


@app.command
def create(*, tenant: str | None = None, name: str = "") -> None:
    """Make a key for --tenant, or for the operator; it is shown this once."""
    with changing() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        made = keys.create(session, actor=actor(), tenant_id=owner, name=name)
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
