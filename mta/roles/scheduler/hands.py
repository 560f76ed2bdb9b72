"""What scheduler's judgement has done for it: files and words, behind one interface that tests put a dictionary behind."""

from typing import Protocol

from mta.wire import messages as m


class Hands(Protocol):
    """What the judgement has done for it."""

    def there(self, peer: str) -> bool:
        """Is *peer* there to be asked?"""

    def tell(self, peer: str, message: m.Message) -> bool:
        """Send; False when the peer is away."""

    def answer(self, message: m.QueueTold) -> None:
        """Tell the supervisor, for the operator who asked it."""

    def envelope(self, queue_id: bytes) -> bytes | None:
        """The octets of the envelope file. Raises OSError."""

    def progress(self, queue_id: bytes) -> bytes:
        """The octets of the progress file, or nothing. Raises OSError."""

    def record(self, queue_id: bytes, lines: bytes) -> bool:
        """Append to the progress file; False when that may have gone wrong."""

    def settle(self) -> bool:
        """Make all that was recorded outlast a power cut; False when the disk refuses."""

    def authority(self, queue_id: bytes, *, full: bool) -> bytes:
        """What proves to the enqueuer that the bouncer may see this message's header, or with *full* all of it."""

    def glance(self, queue_id: bytes) -> bytes:
        """What proves to the enqueuer that the bouncer may see this message's header, and answer nobody."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""
