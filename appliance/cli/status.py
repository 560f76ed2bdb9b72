"""`postern status`: what runs."""

from typing import Any

from appliance.cli import living
from appliance.cli.house import say, settings
from appliance.errors import Unable

_STATES = {"asleep": "asleep: starts when it is first asked"}


def status() -> None:
    """Show roles, pids, uids, restarts, ports and the queue's size; exit code 1 when the appliance does not serve."""
    given = settings()
    said = living.status_of(given) or {}
    pid = living.supervisor_pid(given)
    roles = [_checked(role) for role in said.get("roles", [])] if pid else []
    queue = living.queue_size(given)
    ready = pid is not None and bool(said.get("ready"))
    report = {
        "running": pid is not None,
        "ready": ready,
        "supervisor": {"pid": pid},
        "roles": roles,
        "ports": said.get("ports", {}) if pid else {},
        "queue": queue,
    }
    say(report, *_lines(report))
    if pid is None:
        raise Unable("the appliance does not run: `postern up` starts it", code="down")
    if not ready:
        raise Unable("the appliance does not serve yet", code="starting")


def _checked(role: dict[str, Any]) -> dict[str, Any]:
    pid, told = int(role.get("pid") or 0), role.get("state", "running")
    alive = living.is_alive(pid)
    return {
        "role": role.get("role"),
        "instance": role.get("instance", 0),
        "pid": pid if alive else None,
        "uid": living.owner_of(pid) if alive else role.get("uid"),
        "restarts": role.get("restarts", 0),
        "state": told if alive or told == "asleep" else "down",
    }


def _lines(report: dict[str, Any]) -> list[str]:
    if not report["running"]:
        return ["down", f"queue\t{'unknown' if report['queue'] is None else report['queue']}"]
    lines = [f"{'ready' if report['ready'] else 'starting'}\tsupervisor {report['supervisor']['pid']}"]
    lines += [
        f"{role['role']}\tinstance {role['instance']}\tpid {role['pid'] or '-'}\tuid {role['uid']}"
        f"\trestarts {role['restarts']}\t{_STATES.get(role['state'], role['state'])}"
        for role in report["roles"]
    ]
    lines += [f"port {service}\t{' '.join(map(str, where))}" for service, where in _ports(report["ports"])]
    lines.append(f"queue\t{'unknown' if report['queue'] is None else report['queue']}")
    return lines


def _ports(ports: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    return [(service, where if isinstance(where, list) else [where]) for service, where in ports.items()]
