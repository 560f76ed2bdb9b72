"""Who holds which powers, tenants' plans and limits, what stands still where, whose a domain is proved to be.

Revision 0005, after 0004. Nobody who is there gains or loses a power. The way down forgets what somebody holds besides his
account.
"""

import sqlalchemy as sa
from alembic import op

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


def upgrade() -> None:
    _appointment()
    op.add_column("account", sa.Column("rights", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.execute("DELETE FROM account WHERE kind = 'support'")  # To an older program they would be nobody it knows.
    op.drop_column("account", "rights")
    op.drop_table("appointment")
