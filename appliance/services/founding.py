"""The first rows: what must be there before anybody can act."""

import uuid

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict
from appliance.models import Instance, Tenant
from appliance.services import accounts, certificates, changes, domains, mailboxes, srs_secrets
from appliance.services.actor import Actor
from appliance.services.certificates import Offered


def found(
    session: Session,
    *,
    host_name: str,
    operator: str,
    sealed_hash: str,
    must_change: bool,
    actor: Actor,
    certificate: tuple[Offered, str] | None = None,
) -> str:
    """Instance id, operator tenant, first operator, the host's own domain and its postmaster. Returns the instance id.

    *certificate* is the host's own, with its sealed key.

    Raises:
        Conflict: somebody was here before.
    """
    if session.scalar(select(func.count()).select_from(Instance)):
        raise Conflict("this database is initialised already", code="already_initialised")
    instance = Instance(instance_id=str(uuid.uuid4()), host_name=host_name)
    root = Tenant(name="operator", kind="operator")
    session.add_all([instance, root, srs_secrets.new()])
    session.flush()
    changes.announce(session, changes.TENANT, str(root.id))
    accounts.create(session, operator, actor=actor, sealed_hash=sealed_hash, must_change=must_change)
    domains.create(session, host_name, actor=actor)
    mailboxes.create(session, f"postmaster@{host_name}", actor=actor, display_name="Postmaster")
    if certificate is not None:
        certificates.install(session, *certificate, actor=actor, origin=certificates.SELF_SIGNED)
    return instance.instance_id


def instance_id(session: Session) -> str | None:
    """Which installation this is; None for a database that was never founded."""
    return session.scalar(select(Instance.instance_id).order_by(Instance.id).limit(1))
