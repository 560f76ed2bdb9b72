"""Mail to other hosts: what signs return paths, who may forward to outside, what became of a target there, who sends how much.

Revision 0004, after 0003. Domains sign no return path until somebody asks for it and speak English; every tenant may forward
to outside. The way down removes the targets outside, which an older program would take for addresses that went away; a
mailbox that is left without any keeps its mail.
"""

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SECRET_OCTETS = 32


def _srs_secret() -> None:
    table = op.create_table(
        "srs_secret",
        sa.Column("id", ID, nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_srs_secret"),
        sqlite_autoincrement=True,
    )
    # A database that is being made has no installation yet; founding it makes the first one.
    if op.get_bind().execute(sa.text("SELECT count(*) FROM instance")).scalar():
        op.bulk_insert(table, [{"secret": secrets.token_hex(SECRET_OCTETS), "made_at": int(time.time())}])


def _domain() -> None:
    for column in (
        sa.Column("batv", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("language", sa.String(), nullable=False, server_default="en"),
    ):
        op.add_column("domain", column)


def _tenant() -> None:
    op.add_column("tenant", sa.Column("forwards_outside", sa.Boolean(), nullable=False, server_default=sa.true()))


def _targets() -> None:
    for table in ("forwarding_target", "alias_target"):
        op.add_column(table, sa.Column("failed_at", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("failure", sa.String(), nullable=True))


def _dkim_key() -> None:
    op.create_table(
        "dkim_key",
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("selector", sa.String(), nullable=False),
        sa.Column("algorithm", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("sealed_key", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_dkim_key_domain_id_domain", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_dkim_key"),
        sa.UniqueConstraint("domain_id", "selector", name="uq_dkim_key_domain_id_selector"),
        sqlite_autoincrement=True,
    )


def _route() -> None:
    op.create_table(
        "route",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("domain_id", ID, nullable=True),
        sa.Column("next_hop", sa.String(), nullable=True),
        sa.Column("tls", sa.String(), nullable=False),
        sa.Column("lmtp", sa.Boolean(), nullable=False),
        sa.Column("login", sa.String(), nullable=True),
        sa.Column("sealed_password", sa.String(), nullable=True),
        sa.Column("source_address", sa.String(), nullable=True),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_route_domain_id_domain", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_route"),
        sa.UniqueConstraint("key", name="uq_route_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_route_domain_id", "route", ["domain_id"])


def _row() -> tuple[sa.Column[int], ...]:
    return (
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    )


def _sending() -> None:
    scopes = ("tenant", "domain", "mailbox")
    op.create_table(
        "sending",
        *(sa.Column(f"{scope}_id", ID, nullable=True) for scope in scopes),
        sa.Column("per_hour", sa.BigInteger(), nullable=True),
        sa.Column("per_day", sa.BigInteger(), nullable=True),
        sa.Column("any_address", sa.Boolean(), nullable=False),
        sa.Column("brake", sa.Boolean(), nullable=False),
        sa.Column("braked_at", sa.BigInteger(), nullable=True),
        sa.Column("brake_reason", sa.String(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        *_row(),
        *(
            sa.ForeignKeyConstraint(
                [f"{scope}_id"], [f"{scope}.id"], name=f"fk_sending_{scope}_id_{scope}", ondelete="CASCADE"
            )
            for scope in scopes
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sending"),
        *(sa.UniqueConstraint(f"{scope}_id", name=f"uq_sending_{scope}_id") for scope in scopes),
        sqlite_autoincrement=True,
    )


def _of_mailbox(table: str, *columns: str) -> None:
    op.create_table(
        table,
        sa.Column("mailbox_id", ID, nullable=False),
        *(sa.Column(column, sa.String(), nullable=False) for column in columns),
        *_row(),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name=f"fk_{table}_mailbox_id_mailbox", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("mailbox_id", columns[0], name=f"uq_{table}_mailbox_id_{columns[0]}"),
        sqlite_autoincrement=True,
    )


def upgrade() -> None:
    _sending()
    _of_mailbox("app_password", "name", "sealed_hash")
    _of_mailbox("sender_grant", "address")
    op.create_index("ix_sender_grant_address", "sender_grant", ["address"])
    _route()
    _dkim_key()
    _srs_secret()
    _domain()
    _tenant()
    _targets()


def _remove_targets_outside(table: str) -> None:
    connection = op.get_bind()
    ours = {name for (name,) in connection.execute(sa.text("SELECT name FROM domain"))}
    rows = connection.execute(sa.text(f"SELECT id, address FROM {table}")).all()  # noqa: S608 - our own word
    outside = [{"id": id_} for id_, address in rows if address.rpartition("@")[2] not in ours]
    if outside:
        connection.execute(sa.text(f"DELETE FROM {table} WHERE id = :id"), outside)  # noqa: S608 - as above


def downgrade() -> None:
    for table in ("sender_grant", "app_password", "sending"):
        op.drop_table(table)
    op.drop_table("route")
    for table in ("alias_target", "forwarding_target"):
        _remove_targets_outside(table)
        op.drop_column(table, "failure")
        op.drop_column(table, "failed_at")
    op.drop_column("tenant", "forwards_outside")
    for name in ("language", "batv"):
        op.drop_column("domain", name)
    op.drop_table("srs_secret")
    op.drop_table("dkim_key")
