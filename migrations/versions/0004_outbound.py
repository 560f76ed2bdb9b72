"""Mail to other hosts: what signs return paths, who may forward to outside, what became of a target there.

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


def upgrade() -> None:
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
    for table in ("alias_target", "forwarding_target"):
        _remove_targets_outside(table)
        op.drop_column(table, "failure")
        op.drop_column(table, "failed_at")
    op.drop_column("tenant", "forwards_outside")
    for name in ("language", "batv"):
        op.drop_column("domain", name)
    op.drop_table("srs_secret")
    op.drop_table("dkim_key")
