"""What one web process has in its hands, made once by `create_app` and reached through the application's state.

A reader would otherwise get wrong: a change is committed, and the compiler poked, before the handler builds its answer.
FastAPI's own "dependency with yield" would commit after the 201 has been sent, and a full disk would make it a lie.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from starlette.requests import HTTPConnection

from appliance.config import Settings
from appliance.database.engine import Engine
from appliance.database.session import Session, reading, unit_of_work
from appliance.peers import Authenticator, Compiler, Queue, Resolver, SourceAway, Sources, Supervisor, SupervisorAway
from appliance.services import changes, programs
from appliance.services.passwords import Sealer
from appliance.services.queue import Which
from appliance.services.seals import Seals
from web.allowance import Allowance
from web.dry_run import foresee
from web.notebook import Notebook
from web.panel.rendering import Renderer
from web.throttle import LoginThrottle

WAKE = "wake-worker"  # in a session: when it is committed, there is something for the worker to do


@dataclass(frozen=True, slots=True)
class Wiring:
    """The process's database, peers and pages."""

    settings: Settings
    engine: Engine
    authenticator: Authenticator
    compiler: Compiler
    resolver: Resolver
    scheduler: Queue
    sealer: Sealer
    seals: Seals
    renderer: Renderer
    throttle: LoginThrottle
    allowance: Allowance
    traces: Path  # the trace store
    figures: Path  # what the journal counted
    sources: Sources | None = None  # who asks where recipients of relayed domains are known
    supervisor: Supervisor | None = None  # who knows all processes
    work: threading.Event = field(default_factory=threading.Event)  # set: there is something for the worker to do
    notebook: Notebook = field(default_factory=Notebook)

    def write_notes(self) -> None:
        """Write down what waits in the notebook.

        Raises:
            DatabaseUnavailable: it was not written, and is lost.
        """
        while self.notebook:
            with self.changing() as session:
                self.notebook.write(session)

    def queued(self, what: str, which: Which, after: str, count: int) -> Iterator[dict[str, str]]:
        """The way to the queue (`appliance.services.queue.Way`).

        Raises:
            SchedulerAway: nobody can tell now.
        """
        return iter(self.scheduler.order(what, which, after, count))

    @contextmanager
    def changing(self, *, dry_run: bool = False) -> Iterator[Session]:
        """One writing transaction, in force at the SMTP port soon after the block ends.

        Raises:
            DatabaseUnavailable: nothing was written.
        """
        with unit_of_work(self.engine, dry_run=dry_run) as session:
            since = changes.newest(session) if dry_run else 0
            yield session
            if dry_run:
                foresee(self.engine, session, since)
        if not dry_run:
            self.compiler.poke()
            if session.info.pop(WAKE, False):
                self.work.set()

    def look_for(self, address: str) -> str:
        """As `Sources.look_for`."""
        if self.sources is None:
            raise SourceAway("Nobody elsewhere can be asked here.")
        return self.sources.look_for(address)

    def standing(self) -> list[dict[str, str]]:
        """How the house stands (`appliance.services.isolation.Standing`).

        Raises:
            SupervisorAway: nobody can tell now, or there is none here.
        """
        if self.supervisor is None:
            raise SupervisorAway("There is nobody here who could say how the house stands.")
        return self.supervisor.standing()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One look at the database. Rows that were read stay readable after the block.

        Raises:
            DatabaseUnavailable: missing, locked for too long.
        """
        with reading(self.engine) as session:
            yield session
            # Or the rollback that ends the transaction would take from the rows what they hold.
            session.expunge_all()


def wiring_of(request: HTTPConnection) -> Wiring:
    """The wiring of the application that serves *request*."""
    return cast(Wiring, request.app.state.wiring)


def program_of(request: HTTPConnection) -> str:
    """The client's browser in plain words."""
    return programs.named(request.headers.get("user-agent", ""))


def client_of(request: HTTPConnection) -> str:
    """The client's IP address, for the audit log and against guessing."""
    return request.client.host if request.client else ""
