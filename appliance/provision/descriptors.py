"""Does this host let a process have as many descriptors as the settings' connections need?

A reader would otherwise get wrong: what counts is the *hard* limit, and root may lift that; in a container without the
capability for it, or for an ordinary user, it stands.
"""

import resource

from appliance.config import Settings
from mta import roster

MEND = "raise the hard limit (LimitNOFILE= of systemd, `ulimit -Hn`), or lower smtpd.max_connections or submission.max_connections"


def needed(given: Settings) -> int:
    """The most descriptors that one process will have."""
    connections = {
        "smtpd.max_connections": str(given.smtpd.max_connections),
        # Who listens nowhere for users needs no room for them.
        "submission.max_connections": str(given.submission.max_connections if is_submission_served(given) else 0),
    }
    return max(
        roster.open_files_of(role, roster.connections_of(role, connections)) for role in roster.ROLES if role.files_each
    )


def is_submission_served(given: Settings) -> bool:
    """Is there a port for users?"""
    return any(getattr(given.listen, service) for service in roster.SUBMISSION)


def missing(given: Settings) -> str:
    """What is too low, in one line; empty when nothing is."""
    wanted = needed(given)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return ""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, wanted))
    except (ValueError, PermissionError):
        return (
            f"this host lets a process have {hard} open files,"
            f" and smtpd.max_connections = {given.smtpd.max_connections}"
            f" with submission.max_connections = {given.submission.max_connections} needs {wanted}"
        )
    # We could, so the roles can.
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return ""
