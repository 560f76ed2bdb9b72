"""The tables, a file each."""

from appliance.models.access_rule import AccessRule
from appliance.models.account import Account
from appliance.models.alias import Alias, AliasTarget
from appliance.models.api_key import ApiKey
from appliance.models.app_password import AppPassword
from appliance.models.appointment import Appointment
from appliance.models.audit_entry import AuditEntry
from appliance.models.autoreply import Autoreply
from appliance.models.backup_code import BackupCode
from appliance.models.base import Base
from appliance.models.certificate import Certificate, CertificateName
from appliance.models.change import Change, PublishRequest, StoreTask
from appliance.models.consent_request import ConsentRequest
from appliance.models.dkim_key import DkimKey
from appliance.models.domain import Domain
from appliance.models.forwarding import Forwarding, ForwardingTarget
from appliance.models.given_answer import GivenAnswer
from appliance.models.instance import Instance
from appliance.models.job import Job, JobPart, JobResult
from appliance.models.login_attempt import LoginAttempt
from appliance.models.login_link import LoginLink
from appliance.models.login_session import LoginSession
from appliance.models.login_step import LoginStep
from appliance.models.mailbox import Mailbox
from appliance.models.own_settings import OwnSettings
from appliance.models.passkey import Passkey
from appliance.models.pattern import Pattern
from appliance.models.plan import Plan
from appliance.models.recovery_mail import RecoveryMail
from appliance.models.relay_recipient import RelayRecipient
from appliance.models.removal import Removal, RemovedRows
from appliance.models.route import Route
from appliance.models.sender_grant import SenderGrant
from appliance.models.sending import Sending
from appliance.models.srs_secret import SrsSecret
from appliance.models.tenant import Tenant
from appliance.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "AccessRule",
    "Account",
    "Alias",
    "AliasTarget",
    "ApiKey",
    "AppPassword",
    "Appointment",
    "AuditEntry",
    "Autoreply",
    "BackupCode",
    "Base",
    "Certificate",
    "CertificateName",
    "Change",
    "ConsentRequest",
    "DkimKey",
    "Domain",
    "Forwarding",
    "ForwardingTarget",
    "GivenAnswer",
    "Instance",
    "Job",
    "JobPart",
    "JobResult",
    "LoginAttempt",
    "LoginLink",
    "LoginSession",
    "LoginStep",
    "Mailbox",
    "OwnSettings",
    "Passkey",
    "Pattern",
    "Plan",
    "PublishRequest",
    "RecoveryMail",
    "RelayRecipient",
    "Removal",
    "RemovedRows",
    "Route",
    "SenderGrant",
    "Sending",
    "SrsSecret",
    "StoreTask",
    "Tenant",
    "Webhook",
    "WebhookDelivery",
]
