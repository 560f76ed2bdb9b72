"""What the bouncer may learn of a message that failed, and to whom its notification goes.

A reader would otherwise get wrong: the bouncer does not say to whom. It proves that the scheduler spoke of this message,
and the address is read from the envelope we wrote ourselves; so a taken-over bouncer cannot send mail to anybody else.
"""

from mta.message.header import header_section, whole_lines
from mta.spool import envelope as envelope_format
from mta.spool.envelope import MAX_ENVELOPE, Generation, NotWholeError, UnknownVersionError
from mta.spool.layout import Folder
from mta.vocabulary import is_queue_id
from mta.wire.tickets import original_authority_holds

MAX_HEADER = 60 * 1024 - 1  # Octets: what one block takes.


class Originals:
    """Messages in the spool that somebody must be told about."""

    def __init__(self, content: Folder, envelope: Folder, key: bytes, host: bytes) -> None:
        self._content, self._envelope, self._key, self._host = content, envelope, key, host

    def header(self, queue_id: bytes, authority: bytes) -> bytes:
        """The header section of *queue_id*, cut to what a block takes; nothing without authority, or when it is gone."""
        if not self._may_see(queue_id, authority):
            return b""
        try:
            content = self._content.read(queue_id, MAX_HEADER)
        except OSError:
            return b""  # The notification matters more than the header in it.
        return whole_lines(header_section(content or b""), MAX_HEADER)

    def whom_to_tell(self, queue_id: bytes, authority: bytes) -> tuple[bytes, Generation] | None:
        """The recipient of a notification about *queue_id* and its generation; None when nobody may be told.

        Raises:
            OSError: the disk refuses, so we do not know.
        """
        if not self._may_see(queue_id, authority):
            return None
        try:
            original = envelope_format.parse(self._envelope.read(queue_id, MAX_ENVELOPE) or b"")
        except (NotWholeError, UnknownVersionError):
            return None
        if original.generation is Generation.ORDINARY:
            return original.reverse_path, Generation.BOUNCE
        if original.generation is Generation.BOUNCE:
            return b"postmaster@" + self._host, Generation.DOUBLE_BOUNCE
        return None  # A failing double bounce ends here, or two hosts could write to each other for ever.

    def _may_see(self, queue_id: bytes, authority: bytes) -> bool:
        return is_queue_id(queue_id) and original_authority_holds(self._key, authority, queue_id)
