"""What we rely on in aiosmtpd, so that a new version that differs is noticed here and not by a client."""

import asyncio
import inspect
from importlib.metadata import version

import pytest
from aiosmtpd.smtp import SMTP

from mta.shells.session import Session

OVERRIDDEN = (
    "connection_made", "data_received", "eof_received", "connection_lost", "pause_writing", "resume_writing",
    "_timeout_cb", "__del__",
)  # fmt: skip


def test_the_version_is_the_one_that_was_read() -> None:
    """1.4: the private name below has no promise beyond it."""
    assert version("aiosmtpd").startswith("1.4.")
    assert tuple(map(int, version("aiosmtpd").split("."))) >= (1, 4, 6)


def test_it_is_the_asyncio_protocol_that_owns_the_connection() -> None:
    """Our session stands where aiosmtpd's stands."""
    assert issubclass(Session, SMTP)
    assert issubclass(SMTP, asyncio.Protocol)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_we_override_is_called_so_there_too(name: str) -> None:
    """A method that is renamed there would run beside ours."""
    theirs, ours = getattr(SMTP, name), getattr(Session, name)
    assert ours is not theirs
    assert len(inspect.signature(ours).parameters) == len(inspect.signature(theirs).parameters)


def test_nothing_of_theirs_that_asyncio_calls_is_left() -> None:
    """What asyncio calls on a protocol goes to our methods, all of it: theirs need what their constructor made."""
    called = {name for name in dir(asyncio.Protocol) if not name.startswith("_")}
    assert called <= set(OVERRIDDEN)
    assert all(name in Session.__dict__ for name in called)
