"""`postern reload`: settings that can change without a stop."""

import os
import signal

from appliance.cli import living
from appliance.cli.house import say, settings
from appliance.errors import Unable


def reload() -> None:
    """Let the running appliance take up its settings; connections are kept."""
    given = settings()  # Read here first: a wrong file is refused where somebody reads the answer.
    pid = living.supervisor_pid(given)
    if pid is None:
        raise Unable("the appliance does not run: `postern up` starts it", code="down")
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise Unable(f"process {pid} cannot be told: {error.strerror}", code="down") from error
    say({"pid": pid}, f"told process {pid}")
