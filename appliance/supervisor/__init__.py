"""The supervisor: starts the roles of the roster, restarts what ends, stops them all. Runs as root where it can.

Serves    nobody. Of what a role says it understands one message, `Ready`; anything else, and the role is replaced
Holds     root, the listening sockets, the keys of this start; no database, no mail, no settings file
Believes  the roster, and the settings that `postern up` read for it
Fails     when it dies every role ends: each one's control channel closes, and the kernel kills what does not notice

A reader would otherwise get wrong: `run` does not return. The command that read the settings has pydantic and more in
memory, and what is root for months should have little; so it becomes a fresh interpreter that gets the plain values only.
"""

import json
import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from appliance.supervisor.plan import SettingsLike

__all__ = ["run"]


def run(settings: "SettingsLike") -> NoReturn:
    """Become the supervisor of the appliance with *settings*; the exit status is 0 after a stop, 1 when it cannot start.

    Raises:
        OSError: the interpreter cannot be started again.
    """
    # Not above: a reload runs that module as a program, and one that its package has imported already is run a second time.
    from appliance.supervisor.plan import plan_of  # noqa: PLC0415

    plan = os.memfd_create("plan", 0)
    os.write(plan, json.dumps(plan_of(settings)).encode())
    os.lseek(plan, 0, os.SEEK_SET)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-I", "-m", "appliance.supervisor", str(plan)], {})  # noqa: S606 - no shell is wanted
