"""The first schema: tenants, domains, mailboxes, aliases, forwardings, who may log in, the audit log, the feeds.

Revision 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _audit_entry() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("id", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("domain_id", sa.BigInteger(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_entry"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_entry_domain_id", "audit_entry", ["domain_id"])
    op.create_index("ix_audit_entry_tenant_id_id", "audit_entry", ["tenant_id", "id"])


def _change() -> None:
    op.create_table(
        "change",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
        sqlite_autoincrement=True,
    )


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", ID, nullable=False),
        sa.Column("instance_id", sa.String(), nullable=False),
        sa.Column("host_name", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sqlite_autoincrement=True,
    )


def _publish_request() -> None:
    op.create_table(
        "publish_request",
        sa.Column("id", ID, nullable=False),
        sa.Column("full", sa.Boolean(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("done_change", sa.BigInteger(), nullable=True),
        sa.Column("failure", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_publish_request"),
        sqlite_autoincrement=True,
    )


def _store_task() -> None:
    op.create_table(
        "store_task",
        sa.Column("id", ID, nullable=False),
        sa.Column("op", sa.String(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("local_part", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store_task"),
        sqlite_autoincrement=True,
    )


def _tenant() -> None:
    op.create_table(
        "tenant",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parent_id", ID, nullable=True),
        sa.Column("max_domains", sa.BigInteger(), nullable=True),
        sa.Column("max_mailboxes", sa.BigInteger(), nullable=True),
        sa.Column("max_aliases", sa.BigInteger(), nullable=True),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("suspended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["parent_id"], ["tenant.id"], name="fk_tenant_parent_id_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_tenant"),
        sa.UniqueConstraint("parent_id", "name", name="uq_tenant_parent_id_name"),
        sqlite_autoincrement=True,
    )


def _api_key() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", ID, nullable=False),
        sa.Column("public_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_api_key_tenant_id_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("public_id", name="uq_api_key_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_key_tenant_id", "api_key", ["tenant_id"])


def _domain() -> None:
    op.create_table(
        "domain",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("alias_of_id", ID, nullable=True),
        sa.Column("catch_all", sa.String(), nullable=True),
        sa.Column("validation", sa.String(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("suspended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["alias_of_id"], ["domain.id"], name="fk_domain_alias_of_id_domain"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_domain_tenant_id_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_domain"),
        sa.UniqueConstraint("name", name="uq_domain_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_domain_alias_of_id", "domain", ["alias_of_id"])
    op.create_index("ix_domain_tenant_id", "domain", ["tenant_id"])


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("domain_id", ID, nullable=True),
        sa.Column("sealed_hash", sa.String(), nullable=True),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_account_domain_id_domain"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_account_tenant_id_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("name", name="uq_account_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_account_domain_id", "account", ["domain_id"])
    op.create_index("ix_account_tenant_id", "account", ["tenant_id"])


def _alias() -> None:
    op.create_table(
        "alias",
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("local_part", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_alias_domain_id_domain"),
        sa.PrimaryKeyConstraint("id", name="pk_alias"),
        sa.UniqueConstraint("domain_id", "folded", name="uq_alias_domain_id_folded"),
        sqlite_autoincrement=True,
    )


def _mailbox() -> None:
    op.create_table(
        "mailbox",
        sa.Column("domain_id", ID, nullable=False),
        sa.Column("local_part", sa.String(), nullable=False),
        sa.Column("folded", sa.String(), nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("sealed_hash", sa.String(), nullable=True),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("suspended_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["domain_id"], ["domain.id"], name="fk_mailbox_domain_id_domain"),
        sa.PrimaryKeyConstraint("id", name="pk_mailbox"),
        sa.UniqueConstraint("domain_id", "folded", name="uq_mailbox_domain_id_folded"),
        sqlite_autoincrement=True,
    )


def _alias_target() -> None:
    op.create_table(
        "alias_target",
        sa.Column("id", ID, nullable=False),
        sa.Column("alias_id", ID, nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["alias_id"], ["alias.id"], name="fk_alias_target_alias_id_alias", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_alias_target"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_alias_target_address", "alias_target", ["address"])
    op.create_index("ix_alias_target_alias_id", "alias_target", ["alias_id"])


def _forwarding() -> None:
    op.create_table(
        "forwarding",
        sa.Column("mailbox_id", ID, nullable=False),
        sa.Column("keep_copy", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name="fk_forwarding_mailbox_id_mailbox", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", name="pk_forwarding"),
        sqlite_autoincrement=True,
    )


def _login_session() -> None:
    op.create_table(
        "login_session",
        sa.Column("id", ID, nullable=False),
        sa.Column("token_sha256", sa.String(), nullable=False),
        sa.Column("csrf", sa.String(), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("mailbox_id", ID, nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name="fk_login_session_account_id_account", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailbox.id"], name="fk_login_session_mailbox_id_mailbox", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_login_session"),
        sa.UniqueConstraint("token_sha256", name="uq_login_session_token_sha256"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_login_session_account_id", "login_session", ["account_id"])
    op.create_index("ix_login_session_expires_at", "login_session", ["expires_at"])
    op.create_index("ix_login_session_mailbox_id", "login_session", ["mailbox_id"])


def _forwarding_target() -> None:
    op.create_table(
        "forwarding_target",
        sa.Column("id", ID, nullable=False),
        sa.Column("forwarding_id", ID, nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["forwarding_id"],
            ["forwarding.mailbox_id"],
            name="fk_forwarding_target_forwarding_id_forwarding",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_forwarding_target"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_forwarding_target_address", "forwarding_target", ["address"])
    op.create_index("ix_forwarding_target_forwarding_id", "forwarding_target", ["forwarding_id"])


TABLES = {
    "audit_entry": _audit_entry,
    "change": _change,
    "instance": _instance,
    "publish_request": _publish_request,
    "store_task": _store_task,
    "tenant": _tenant,
    "api_key": _api_key,
    "domain": _domain,
    "account": _account,
    "alias": _alias,
    "mailbox": _mailbox,
    "alias_target": _alias_target,
    "forwarding": _forwarding,
    "login_session": _login_session,
    "forwarding_target": _forwarding_target,
}  # in the order in which they refer to each other


def upgrade() -> None:
    for make in TABLES.values():
        make()


def downgrade() -> None:
    for name in reversed(TABLES):
        op.drop_table(name)
