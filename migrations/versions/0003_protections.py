"""How a domain is protected, domains that are relayed, access rules, certificates.

Revision 0003, after 0002. Domains keep what they had; none asks for greylisting, all take part in the host's DNS lists. The
way down forgets rules, certificates and lists of recipients, and removes relayed domains, which an older program would take
for hosted ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _domain() -> None:
    # Statements and not a copy of the table: replacing one that others refer to would take their rows along.
    for column in (
        sa.Column("greylist", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("dnsbl", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("next_hop", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False, server_default=""),
        sa.Column("source_settings", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("sealed_secret", sa.String(), nullable=True),
    ):
        op.add_column("domain", column)


def _relay_recipient() -> None:
    op.create_table(
        "relay_recipient",
        sa.Column("id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["domain.id"], name="fk_relay_recipient_domain_id_domain", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_relay_recipient"),
        sa.UniqueConstraint("domain_id", "folded", name="uq_relay_recipient_domain_id_folded"),
        sqlite_autoincrement=True,
    )


def _access_rule() -> None:
    op.create_table(
        "access_rule",
        sa.Column("domain_id", ID, nullable=True),
        sa.Column("mailbox_id", ID, nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("pattern", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"], ["domain.id"], name="fk_access_rule_domain_id_domain", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name="fk_access_rule_mailbox_id_mailbox", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_access_rule"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_access_rule_domain_id_mailbox_id_position", "access_rule", ["domain_id", "mailbox_id", "position"]
    )
    op.create_index("ix_access_rule_expires_at", "access_rule", ["expires_at"])
    op.create_index("ix_access_rule_mailbox_id", "access_rule", ["mailbox_id"])


def _certificate() -> None:
    op.create_table(
        "certificate",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("chain", sa.String(), nullable=False),
        sa.Column("sealed_key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_certificate_tenant_id_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_certificate"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_certificate_tenant_id", "certificate", ["tenant_id"])
    op.create_table(
        "certificate_name",
        sa.Column("id", ID, nullable=False),
        sa.Column("certificate_id", ID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id"],
            ["certificate.id"],
            name="fk_certificate_name_certificate_id_certificate",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_certificate_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_certificate_name_certificate_id", "certificate_name", ["certificate_id"])
    op.create_index("ix_certificate_name_name", "certificate_name", ["name"])


def upgrade() -> None:
    _domain()
    _relay_recipient()
    _access_rule()
    _certificate()


def downgrade() -> None:
    for name in ("certificate_name", "certificate", "access_rule", "relay_recipient"):
        op.drop_table(name)
    op.execute("DELETE FROM account WHERE domain_id IN (SELECT id FROM domain WHERE kind = 'relay')")
    op.execute("DELETE FROM domain WHERE kind = 'relay'")
    op.execute("UPDATE domain SET validation = 'rcpt'")
    for name in ("sealed_secret", "source_settings", "source", "next_hop", "dnsbl", "greylist"):
        op.drop_column("domain", name)
