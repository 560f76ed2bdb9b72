"""`postern job`: what is worked off in the background, by the API and the panel.

A reader would otherwise get wrong: nothing is worked off here. The running appliance does it; what is ended here it leaves alone
from its next piece on.
"""

from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, every, looking, say, say_one, say_rows
from appliance.services import jobs
from appliance.services.jobs import Job, JobResult

app = App(name="job", help="What is worked off in the background.")


def describe(job: Job) -> dict[str, Any]:
    """A job as plain values."""
    return {
        "job": job.public_id, "kind": job.kind, "state": job.state, "asked_by": job.asked_by, "tenant_id": job.tenant_id,
        "total": job.total, "done": job.done, "failed": job.failed, "failure": job.failure, "created_at": job.created_at,
        "ended_at": job.ended_at,
    }  # fmt: skip


def _refused(result: JobResult) -> dict[str, Any]:
    said = result.body or {}
    return {"position": result.position, "status": result.status} | {
        name: said.get(name) for name in ("address", "code", "detail")
    }


@app.command(name="list")
def list_() -> None:
    """List them, the newest first. One that has ended is forgotten after a week."""
    with looking() as session:
        rows = map(describe, every(jobs.list_jobs, session))
        say_rows(rows, "job", "kind", "state", "done", "total", "failed", "asked_by")


@app.command
def show(job: str) -> None:
    """Show how far one is, and why it failed if it did."""
    with looking() as session:
        say_one(describe(jobs.get(session, job, actor=actor())))


@app.command
def refusals(job: str) -> None:
    """List those of its operations that were refused so far, and why."""
    with looking() as session:
        rows = map(_refused, every(jobs.refusals, session, public_id=job))
        say_rows(rows, "position", "status", "address", "code", "detail")


@app.command
def end(job: str) -> None:
    """Do no more of it; what is done stays done."""
    with changing() as session:
        found = jobs.get(session, job, actor=actor())
        jobs.cancel(session, job, actor=actor())
        described = describe(found)
    say(described, f"ended job {described['job']}: {described['done']} of {described['total']} were done")
