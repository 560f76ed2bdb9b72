"""What the running appliance says of itself.

A reader would otherwise get wrong: status.json outlives a killed supervisor. Only a pid that is alive *and* still the process
that wrote it counts; a number may have been given to somebody else since.
"""

import json
import os
from pathlib import Path
from typing import Any

from appliance.config import Settings

STATUS = Path("run/status.json")
PID = Path("run/supervisor.pid")


def status_of(settings: Settings) -> dict[str, Any] | None:
    """What the supervisor wrote last, or None when it never did."""
    try:
        said = json.loads((settings.state / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def supervisor_pid(settings: Settings) -> int | None:
    """The pid of the running supervisor, or None when the appliance is down."""
    try:
        pid = int((settings.state / PID).read_text(encoding="ascii"))
    except (OSError, ValueError):
        said = status_of(settings) or {}
        pid = int(said.get("supervisor", {}).get("pid", 0))
    return pid if is_supervisor(pid) else None


def is_alive(pid: int) -> bool:
    """Is there such a process?"""
    return pid > 0 and Path(f"/proc/{pid}").exists()


def is_supervisor(pid: int) -> bool:
    """Is it alive and one of ours?"""
    if not is_alive(pid):
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"appliance.supervisor" in command or b"postern" in command


def owner_of(pid: int) -> int | None:
    """The process's uid."""
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - a pid, not a path
    except OSError:
        return None


def queue_size(settings: Settings) -> int | None:
    """How many messages are on their way; None when the spool may not be read."""
    try:
        with os.scandir(settings.state / "spool/envelope") as entries:
            return sum(1 for _ in entries)
    except OSError:
        return None
