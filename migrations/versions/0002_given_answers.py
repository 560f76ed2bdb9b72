"""Answers that are given again when a request with the same Idempotency-Key comes again.

Revision 0002, after 0001. The way down forgets them: a request that is then repeated is carried out again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "given_answer",
        sa.Column("id", ID, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=True),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_given_answer"),
        sa.UniqueConstraint("actor", "key", name="uq_given_answer_actor_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_given_answer_made_at", "given_answer", ["made_at"])


def downgrade() -> None:
    op.drop_table("given_answer")
