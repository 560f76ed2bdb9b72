"""Who holds which powers, tenants' plans and limits, what stands still where, whose a domain is proved to be.

Revision 0005, after 0004. Nobody who is there gains or loses a power. The way down forgets what somebody holds besides his
account. The audit log is tied into a chain and only ever grows: its entries get their digests in the order of their numbers.
"""

import secrets
import time
from typing import Any

import sqlalchemy as sa
from alembic import op

from appliance import audit_chain

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _row() -> tuple[sa.Column[int], ...]:
    return (
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    )


def _reference(table: str, to: str, *, cascade: bool = True) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{to}_id_{to}"
    return sa.ForeignKeyConstraint([f"{to}_id"], [f"{to}.id"], name=name, ondelete="CASCADE" if cascade else None)


def _appointment() -> None:
    op.create_table(
        "appointment",
        sa.Column("account_id", ID, nullable=True),
        sa.Column("mailbox_id", ID, nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=True),
        sa.Column("rights", sa.JSON(), nullable=True),
        *_row(),
        *(_reference("appointment", to) for to in ("account", "mailbox", "tenant", "domain")),
        sa.PrimaryKeyConstraint("id", name="pk_appointment"),
        sqlite_autoincrement=True,
    )
    for to in ("account", "mailbox", "tenant", "domain"):
        op.create_index(f"ix_appointment_{to}_id", "appointment", [f"{to}_id"])


_AUDIT_INDEXES = (("actor", "id"), ("at",), ("subject", "id"))
_GROWS = "the audit log only ever grows"
_PIECE = 10_000


def _audit() -> None:
    op.add_column("audit_entry", sa.Column("digest", sa.String(), nullable=False, server_default=""))
    _tie()
    for columns in _AUDIT_INDEXES:
        op.create_index(f"ix_audit_entry_{'_'.join(columns)}", "audit_entry", list(columns))
    if op.get_bind().dialect.name == "sqlite":
        for deed, name in (("UPDATE", "unchanged"), ("DELETE", "kept")):
            op.execute(
                f"CREATE TRIGGER audit_entry_{name} BEFORE {deed} ON audit_entry "
                f"BEGIN SELECT RAISE(ABORT, '{_GROWS}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_entry_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_GROWS}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_entry_kept BEFORE UPDATE OR DELETE ON audit_entry "
        "FOR EACH ROW EXECUTE FUNCTION audit_entry_kept()"
    )


def _tie() -> None:
    """Each entry to the one before it."""
    entry = sa.table(
        "audit_entry",
        *(
            sa.column(name)
            for name in ("id", "at", "actor_kind", "actor", "action", "subject", "tenant_id", "domain_id")
        ),
        sa.column("before", sa.JSON()),
        sa.column("after", sa.JSON()),
        sa.column("source"),
        sa.column("digest"),
    )
    told = [column for column in entry.columns if column.key != "digest"]
    connection, last, digest = op.get_bind(), 0, audit_chain.BEGINNING
    change = sa.update(entry).where(entry.c.id == sa.bindparam("number")).values(digest=sa.bindparam("made"))
    while True:
        some = sa.select(*told).where(entry.c.id > last).order_by(entry.c.id).limit(_PIECE)
        rows = connection.execute(some).mappings().all()
        if not rows:
            return
        made = []
        for row in rows:
            digest = audit_chain.link(digest, dict(row))
            made.append({"number": row["id"], "made": digest})
        connection.execute(change, made)
        last = rows[-1]["id"]


def _untie_audit() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_entry_unchanged")
        op.execute("DROP TRIGGER audit_entry_kept")
    else:
        op.execute("DROP TRIGGER audit_entry_kept ON audit_entry")
        op.execute("DROP FUNCTION audit_entry_kept()")
    for columns in _AUDIT_INDEXES:
        op.drop_index(f"ix_audit_entry_{'_'.join(columns)}", "audit_entry")
    op.drop_column("audit_entry", "digest")


def _api_key() -> None:
    op.add_column("api_key", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    for name in ("actions", "addresses", "networks"):
        op.add_column("api_key", sa.Column(name, sa.JSON(), nullable=True))


def _job() -> None:
    op.create_table(
        "job",
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.JSON(), nullable=True) for name in ("request", "about")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("total", "done", "failed")),
        sa.Column("failure", sa.String(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("ended_at", "undo_until", "undone_at")),
        *_row(),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("public_id", name="uq_job_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_tenant_id_id", "job", ["tenant_id", "id"])
    op.create_index("ix_job_state", "job", ["state"])
    op.create_index("ix_job_asked_by", "job", ["asked_by"])
    op.create_table(
        "job_part",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("operations", sa.JSON(), nullable=False),
        _reference("job_part", "job"),
        sa.PrimaryKeyConstraint("id", name="pk_job_part"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_part_job_id_position", "job_part", ["job_id", "position"], unique=True)
    op.create_table(
        "job_result",
        sa.Column("id", ID, nullable=False),
        sa.Column("job_id", ID, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=True),
        _reference("job_result", "job"),
        sa.PrimaryKeyConstraint("id", name="pk_job_result"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_result_job_id_position", "job_result", ["job_id", "position"], unique=True)


def _webhook() -> None:
    op.create_table(
        "webhook",
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("types", sa.JSON(), nullable=False),
        sa.Column("sealed_secret", sa.String(), nullable=False),
        sa.Column("old_sealed_secret", sa.String(), nullable=True),
        sa.Column("old_until", sa.BigInteger(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_why", sa.String(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        *_row(),
        _reference("webhook", "tenant", cascade=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhook"),
        sa.UniqueConstraint("public_id", name="uq_webhook_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_webhook_tenant_id", "webhook", ["tenant_id"])
    op.create_table(
        "webhook_delivery",
        sa.Column("id", ID, nullable=False),
        sa.Column("webhook_id", ID, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        _reference("webhook_delivery", "webhook"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_delivery"),
        sqlite_autoincrement=True,
    )
    for column in ("webhook_id", "waits"):
        op.create_index(f"ix_webhook_delivery_{column}_id", "webhook_delivery", [column, "id"])


def _login_link() -> None:
    op.create_table(
        "login_link",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_sha256", sa.String(), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("mailbox_id", ID, nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        *(_reference("login_link", to) for to in ("account", "mailbox")),
        sa.PrimaryKeyConstraint("id", name="pk_login_link"),
        sa.UniqueConstraint("token_sha256", name="uq_login_link_token_sha256"),
        sqlite_autoincrement=True,
    )
    for to in ("account", "mailbox"):
        op.create_index(f"ix_login_link_{to}_id", "login_link", [f"{to}_id"])


_STOPS = ("receiving_held", "sending_held", "log_in_held")
_SUSPENDABLE = ("tenant", "domain", "mailbox")
_RANKS = {"mailbox": 0, "domain": 1, "customer": 2, "reseller": 3, "operator": 4, "system": 4}


def _suspensions() -> None:
    """What was suspended stands still altogether, by the rank of who said so."""
    for table in _SUSPENDABLE:
        for name in _STOPS:
            op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
        for kind, rank in _RANKS.items():
            held = ", ".join(f"{name} = {1 << rank}" for name in _STOPS)
            op.execute(f"UPDATE {table} SET {held} WHERE suspended AND suspended_by = '{kind}'")  # noqa: S608 - our own words
        held = ", ".join(f"{name} = 1" for name in _STOPS)
        op.execute(f"UPDATE {table} SET {held} WHERE suspended AND suspended_by IS NULL")  # noqa: S608 - as above
        op.drop_column(table, "suspended")
        op.drop_column(table, "suspended_by")


def _suspensions_away() -> None:
    """What stood still in part stands still altogether: an older program knows nothing between."""
    for table in _SUSPENDABLE:
        op.add_column(table, sa.Column("suspended", sa.Boolean(), nullable=False, server_default=sa.false()))
        op.add_column(table, sa.Column("suspended_by", sa.String(), nullable=True))
        by = " | ".join(_STOPS)
        for kind, rank in list(_RANKS.items())[:-1]:  # The highest comes last and stays.
            statement = (
                f"UPDATE {table} SET suspended = :yes, suspended_by = '{kind}' WHERE (({by}) & {1 << rank}) <> 0"  # noqa: S608 - as above
            )
            op.get_bind().execute(sa.text(statement), {"yes": True})
        for name in _STOPS:
            op.drop_column(table, name)


_LIMITS = ("mailboxes", "aliases", "forwards", "storage_bytes")
_OF_PLANS = ("sends_per_hour", "sends_per_day", "default_quota_bytes")


def _plan() -> None:
    limits = [f"max_{noun}" for noun in ("domains", *_LIMITS)]
    op.create_table(
        "plan",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in (*limits, *_OF_PLANS)),
        *_row(),
        _reference("plan", "tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_plan"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_plan_tenant_id_name"),
        sqlite_autoincrement=True,
    )
    for noun in ("forwards", "storage_bytes"):
        op.add_column("tenant", sa.Column(f"max_{noun}", sa.BigInteger(), nullable=True))
    for noun in _LIMITS:
        op.add_column("domain", sa.Column(f"max_{noun}", sa.BigInteger(), nullable=True))
    op.add_column("tenant", sa.Column("plan_id", sa.BigInteger(), nullable=True))
    op.create_index("ix_tenant_plan_id", "tenant", ["plan_id"])


def _plan_away() -> None:
    op.drop_index("ix_tenant_plan_id", "tenant")
    op.drop_column("tenant", "plan_id")
    for noun in _LIMITS:
        op.drop_column("domain", f"max_{noun}")
    for noun in ("forwards", "storage_bytes"):
        op.drop_column("tenant", f"max_{noun}")
    op.drop_table("plan")


def _proof() -> None:
    """Whatever is served already stays so."""
    op.add_column("domain", sa.Column("claim", sa.String(), nullable=False, server_default=""))
    op.add_column("domain", sa.Column("proved_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE domain SET proved_at = created_at")
    op.add_column("tenant", sa.Column("skips_proof", sa.Boolean(), nullable=False, server_default=sa.false()))


def _proof_away() -> None:
    """What was never proved goes: an older program would serve it."""
    unproved = "SELECT id FROM domain WHERE proved_at IS NULL"
    for table in ("mailbox", "alias", "account", "relay_recipient", "access_rule", "route", "dkim_key"):
        op.execute(f"DELETE FROM {table} WHERE domain_id IN ({unproved})")  # noqa: S608 - our own words
    op.execute("DELETE FROM domain WHERE proved_at IS NULL AND alias_of_id IS NOT NULL")
    op.execute("DELETE FROM domain WHERE proved_at IS NULL")
    op.drop_column("domain", "proved_at")
    op.drop_column("domain", "claim")
    op.drop_column("tenant", "skips_proof")


_TARGETS = ("alias_target", "forwarding_target")


def _consent() -> None:
    """Whoever gets mail that is sent on already goes on getting it."""
    moment = int(time.time())
    for table in _TARGETS:
        op.add_column(table, sa.Column("confirmed_at", sa.BigInteger(), nullable=True))
        op.execute(f"UPDATE {table} SET confirmed_at = {moment}")  # noqa: S608 - our own words
    op.add_column("instance", sa.Column("consent_key", sa.String(), nullable=False, server_default=""))
    op.execute(f"UPDATE instance SET consent_key = '{secrets.token_hex(32)}'")  # noqa: S608 - as above
    op.create_table(
        "consent_request",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("holder_id", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_consent_request"),
        sqlite_autoincrement=True,
    )
    for columns in (["target", "sent_at"], ["tenant_id", "sent_at"], ["kind", "holder_id"], ["sent_at"]):
        op.create_index(f"ix_consent_request_{'_'.join(columns)}", "consent_request", columns)


def _consent_away() -> None:
    """Who never agreed is forgotten: an older program would send mail on to him."""
    op.drop_table("consent_request")
    op.drop_column("instance", "consent_key")
    for table in _TARGETS:
        op.execute(f"DELETE FROM {table} WHERE confirmed_at IS NULL")  # noqa: S608 - our own words
        op.drop_column(table, "confirmed_at")


def _autoreply() -> None:
    op.create_table(
        "autoreply",
        sa.Column("mailbox_id", ID, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("starts_at", "ends_at")),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        _reference("autoreply", "mailbox"),
        sa.PrimaryKeyConstraint("mailbox_id", name="pk_autoreply"),
        sqlite_autoincrement=True,
    )
    op.add_column("forwarding", sa.Column("conditions", sa.JSON(), nullable=True))


def _autoreply_away() -> None:
    """What goes on under conditions goes on no more: an older program would send everything on."""
    statement = sa.text("UPDATE forwarding SET enabled = :no WHERE conditions IS NOT NULL")
    op.get_bind().execute(statement, {"no": False})
    op.drop_column("forwarding", "conditions")
    op.drop_table("autoreply")


_SEARCHED = ("mailbox", "alias")
# Every three characters in a row of a name that two others stand before: so even one character has a gram at its beginning.
# The cost tells planners never to ask row by row.
_GRAMS = """
CREATE FUNCTION search_grams(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
DECLARE
    whole text := chr(2) || chr(2) || name;
    found text[] := ARRAY[]::text[];
BEGIN
    FOR place IN 1 .. length(whole) - 2 LOOP
        found := found || substr(whole, place, 3);
    END LOOP;
    RETURN found;
END
$$
"""


def _search() -> None:
    """An index over parts of addresses (`appliance.services.searching`)."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute(_GRAMS)
        for table in _SEARCHED:
            # Without a list of what is yet to be put in: whoever makes it too long would wait until all of it is.
            op.execute(
                f"CREATE INDEX ix_{table}_search ON {table} USING gin (search_grams(folded)) WITH (fastupdate = off)"
            )
        return
    for table in _SEARCHED:
        index = f"{table}_search"
        op.execute(
            f"CREATE VIRTUAL TABLE {index} USING fts5(folded, content='', columnsize=0, tokenize='trigram case_sensitive 1')"
        )
        put = f"INSERT INTO {index}(rowid, folded)"
        op.execute(f"{put} SELECT id, char(2, 2) || folded FROM {table}")  # noqa: S608 - our own words
        put = f"{put} VALUES (new.id, char(2, 2) || new.folded);"
        take = f"INSERT INTO {index}({index}, rowid, folded) VALUES ('delete', old.id, char(2, 2) || old.folded);"  # noqa: S608 - as above
        for deed, what in (("INSERT", put), ("DELETE", take), ("UPDATE OF id, folded", take + put)):
            op.execute(f"CREATE TRIGGER {index}_{deed[:6].lower()} AFTER {deed} ON {table} BEGIN {what} END")


def _search_away() -> None:
    if op.get_bind().dialect.name != "sqlite":
        for table in _SEARCHED:
            op.drop_index(f"ix_{table}_search", table)
        op.execute("DROP FUNCTION search_grams(text)")
        return
    for table in _SEARCHED:
        for deed in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER {table}_search_{deed}")
        op.execute(f"DROP TABLE {table}_search")


_COUNTED = ("domains", "mailboxes", "aliases", "forwards")
_OF_TASKS = ("removal_id", "until")


def _removal() -> None:
    op.create_table(
        "removal",
        *(sa.Column(name, sa.String(), nullable=False) for name in ("kind", "key", "name", "removed_by")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("tenant_id", "domain_id", "until")),
        sa.Column("rank", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTED),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("storage_bytes", "used_bytes")),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("is_ending", "holds_name", "has_unlimited")),
        *_row(),
        sa.PrimaryKeyConstraint("id", name="pk_removal"),
        sqlite_autoincrement=True,
    )
    for columns in (["kind", "key"], ["until"], ["tenant_id"], ["domain_id"]):
        op.create_index(f"ix_removal_{'_'.join(columns)}", "removal", columns)
    op.create_table(
        "removed_rows",
        sa.Column("id", ID, nullable=False),
        sa.Column("removal_id", ID, nullable=False),
        sa.Column("table", sa.String(), nullable=False),
        sa.Column("rows", sa.JSON(), nullable=False),
        _reference("removed_rows", "removal"),
        sa.PrimaryKeyConstraint("id", name="pk_removed_rows"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_removed_rows_removal_id", "removed_rows", ["removal_id"])
    for name in _OF_TASKS:
        op.add_column("store_task", sa.Column(name, sa.BigInteger(), nullable=True))


def _removal_away() -> None:
    """What was removed stays removed: an older program cannot bring it back. Its mail goes when the storekeeper finds it old."""
    op.execute("UPDATE store_task SET op = 'trash' WHERE op = 'keep'")
    op.execute("DELETE FROM store_task WHERE op IN ('restore', 'drop')")
    for name in _OF_TASKS:
        op.drop_column("store_task", name)
    for table in ("removed_rows", "removal"):
        op.drop_table(table)


def _names() -> None:
    """Whose an address is that nobody holds, and who may write to those that somebody does."""
    op.create_table(
        "pattern",
        sa.Column("mailbox_id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        *_row(),
        _reference("pattern", "mailbox"),
        _reference("pattern", "domain", cascade=False),
        sa.PrimaryKeyConstraint("id", name="pk_pattern"),
        sa.UniqueConstraint("domain_id", "folded", name="uq_pattern_domain_id_folded"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pattern_mailbox_id", "pattern", ["mailbox_id"])
    op.add_column("alias", sa.Column("open_to", sa.String(), nullable=False, server_default="everybody"))
    op.add_column("alias", sa.Column("listed", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("alias", sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("alias", sa.Column("note", sa.String(), nullable=False, server_default=""))
    owner = sa.ForeignKey("mailbox.id", name="fk_alias_owner_id_mailbox")
    op.add_column("alias", sa.Column("owner_id", ID, owner, nullable=True), inline_references=True)
    op.create_index("ix_alias_owner_id", "alias", ["owner_id"])
    op.add_column("domain", sa.Column("tag_separator", sa.String(), nullable=False, server_default="+"))
    op.add_column("domain", sa.Column("local_only", sa.String(), nullable=False, server_default=""))


def _names_away() -> None:
    """What is not open to everybody, or to nobody at the moment, goes: an older program would open it."""
    closed = "SELECT id FROM alias WHERE open_to <> 'everybody' OR NOT enabled"
    op.execute(f"DELETE FROM alias_target WHERE alias_id IN ({closed})")  # noqa: S608 - our own words
    op.execute("DELETE FROM alias WHERE open_to <> 'everybody' OR NOT enabled")
    op.drop_index("ix_alias_owner_id", "alias")
    op.drop_table("pattern")
    of_aliases = ("open_to", "listed", "enabled", "note", "owner_id")
    for table, columns in (("alias", of_aliases), ("domain", ("tag_separator", "local_only"))):
        for column in columns:
            op.drop_column(table, column)


def _support() -> None:
    op.add_column("login_session", sa.Column("support_by", sa.String(), nullable=True))
    op.add_column("login_session", sa.Column("back_to_id", sa.BigInteger(), nullable=True))
    op.add_column("login_link", sa.Column("is_support", sa.Boolean(), nullable=False, server_default=sa.false()))


def _support_away() -> None:
    """Nobody of support stays in: to an older program his session would be its owner's."""
    op.execute("DELETE FROM login_session WHERE support_by IS NOT NULL")
    for name in ("back_to_id", "support_by"):
        op.drop_column("login_session", name)


_OF_PERSON = ("account", "mailbox")


def _of_person(table: str, *columns: "sa.Column[Any] | sa.UniqueConstraint") -> None:
    """A table whose rows are somebody's who signs in."""
    op.create_table(
        table,
        *columns,
        *(sa.Column(f"{to}_id", ID, nullable=True) for to in _OF_PERSON),
        *(_reference(table, to) for to in _OF_PERSON),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sqlite_autoincrement=True,
    )
    for to in _OF_PERSON:
        op.create_index(f"ix_{table}_{to}_id", table, [f"{to}_id"])


def _sign_in() -> None:
    """How people sign in: histories, second factors, passkeys, recovery addresses, time zones."""
    texts = ("how", "source", "program")
    at = sa.Column("at", sa.BigInteger(), nullable=False)
    accepted = sa.Column("accepted", sa.Boolean(), nullable=False)
    _of_person("login_attempt", _id(), at, accepted, *(sa.Column(name, sa.String(), nullable=False) for name in texts))
    texts = ("token_sha256", "purpose", "how", "back", "challenge")
    wrong = sa.Column("wrong", sa.Integer(), nullable=False)
    expires = sa.Column("expires_at", sa.BigInteger(), nullable=False)
    _of_person("login_step", _id(), *(sa.Column(name, sa.String(), nullable=False) for name in texts), wrong, expires)
    for name in ("token_sha256", "expires_at"):
        op.create_index(f"ix_login_step_{name}", "login_step", [name])
    _of_person(
        "own_settings",
        _id(),
        *(
            sa.Column(name, sa.String(), nullable=False, server_default="")
            for name in ("time_zone", "recovery_address")
        ),
        sa.Column("sealed_secret", sa.String(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=True) for name in ("recovery_confirmed_at", "app_since")),
        sa.Column("last_step", sa.BigInteger(), nullable=False, server_default="0"),
    )
    _of_person("backup_code", _id(), sa.Column("sha256", sa.String(), nullable=False))
    _of_person(
        "passkey",
        *_row(),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("credential_id", "public_key", "name")),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("credential_id", name="uq_passkey_credential_id"),
    )
    _of_person(
        "recovery_mail",
        _id(),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("kind", "target")),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_recovery_mail_asked_at", "recovery_mail", ["asked_at"])
    op.add_column("login_session", sa.Column("program", sa.String(), nullable=False, server_default=""))


def _id() -> sa.Column[int]:
    return sa.Column("id", ID, nullable=False)


def _sign_in_away() -> None:
    """To an older program whoever had a second factor has none: his password opens the panel again."""
    op.drop_column("login_session", "program")
    for table in ("recovery_mail", "passkey", "backup_code", "own_settings", "login_step", "login_attempt"):
        op.drop_table(table)


_DNS_INDEXES = (("dns_wrong", "name"), ("dns_due_at",))


def _dns() -> None:
    """What was found in a domain's zone: nothing yet, and it is time to look."""
    op.add_column("domain", sa.Column("dns_checked_at", sa.BigInteger(), nullable=True))
    op.add_column("domain", sa.Column("dns_due_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("domain", sa.Column("dns_wrong", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("domain", sa.Column("dns_faults", sa.String(), nullable=False, server_default=""))
    for columns in _DNS_INDEXES:
        op.create_index(f"ix_domain_{'_'.join(columns)}", "domain", list(columns))


def _dns_away() -> None:
    for columns in _DNS_INDEXES:
        op.drop_index(f"ix_domain_{'_'.join(columns)}", "domain")
    for name in ("checked_at", "due_at", "wrong", "faults"):
        op.drop_column("domain", f"dns_{name}")


def upgrade() -> None:
    _suspensions()
    _api_key()
    _job()
    _webhook()
    _login_link()
    _audit()
    _appointment()
    _plan()
    _proof()
    _consent()
    _autoreply()
    _removal()
    _support()
    op.add_column("account", sa.Column("rights", sa.JSON(), nullable=True))
    op.add_column("alias", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    _names()
    op.add_column("tenant", sa.Column("trace_days", sa.Integer(), nullable=True))
    op.add_column("app_password", sa.Column("used_at", sa.BigInteger(), nullable=True))
    op.create_index("ix_sending_braked_at", "sending", ["braked_at"])
    _search()
    _sign_in()
    _dns()


def downgrade() -> None:
    _dns_away()
    _sign_in_away()
    _search_away()
    op.drop_index("ix_sending_braked_at", "sending")
    _names_away()
    _autoreply_away()
    _support_away()
    _removal_away()
    _consent_away()
    _proof_away()
    for table in ("login_link", "webhook_delivery", "webhook", "job_result", "job_part", "job"):
        op.drop_table(table)
    for column in ("expires_at", "actions", "addresses", "networks"):
        op.drop_column("api_key", column)
    _untie_audit()
    op.execute("DELETE FROM account WHERE kind = 'support'")  # To an older program they would be nobody it knows.
    op.drop_column("account", "rights")
    op.drop_column("alias", "expires_at")
    op.drop_column("tenant", "trace_days")
    op.drop_column("app_password", "used_at")
    op.drop_table("appointment")
    _plan_away()
    _suspensions_away()
