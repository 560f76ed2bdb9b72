"""What the bouncer may learn of a message that is reported on, and to whom its notification goes.

A reader would otherwise get wrong: the bouncer does not say to whom. It proves that the scheduler spoke of this message,
and the address is read from the envelope we wrote ourselves; so a taken-over bouncer cannot send mail to anybody else.
"""

from mta.message.header import header_section, whole_lines
from mta.spool import envelope as envelope_format
from mta.spool.envelope import MAX_ENVELOPE, Generation, NotWholeError, UnknownVersionError
from mta.spool.layout import Folder
from mta.vocabulary import is_queue_id
from mta.wire.tickets import glance_authority_holds, original_authority_holds

MAX_ORIGINAL = 60 * 1024 - 1  # Octets: what one block takes. Of a longer one the header alone goes back (RFC 3461 4.3).


class Originals:
    """Messages in the spool that somebody must be told about."""

    def __init__(self, content: Folder, envelope: Folder, key: bytes, host: bytes) -> None:
        self._content, self._envelope, self._key, self._host = content, envelope, key, host

    def original(self, queue_id: bytes, authority: bytes, *, full: bool) -> tuple[bool, bytes]:
        """Is it whole, and the octets of *queue_id*: with *full* all of it, when a block takes that, else its header section.

        Nothing without authority for so much, or when it is gone.
        """
        is_glance = not full and is_queue_id(queue_id) and glance_authority_holds(self._key, authority, queue_id)
        if not is_glance and not self._may_see(queue_id, authority, full):
            return False, b""
        try:
            content = self._content.read(queue_id, MAX_ORIGINAL + 1) or b""
        except OSError:
            return False, b""  # The notification matters more than what is attached to it.
        if full and len(content) <= MAX_ORIGINAL:
            return True, content
        return False, whole_lines(header_section(content[:MAX_ORIGINAL]), MAX_ORIGINAL)

    def whom_to_tell(self, queue_id: bytes, authority: bytes, *, full: bool) -> tuple[bytes, Generation, bool] | None:
        """The recipient of a notification about *queue_id*, its generation, and must it have TLS; None: nobody may be told.

        Raises:
            OSError: the disk refuses, so we do not know.
        """
        if not self._may_see(queue_id, authority, full):
            return None
        try:
            original = envelope_format.parse(self._envelope.read(queue_id, MAX_ENVELOPE) or b"")
        except (NotWholeError, UnknownVersionError):
            return None
        if original.generation is Generation.ORDINARY:
            return original.reverse_path, Generation.BOUNCE, original.declares(b"REQUIRETLS")
        if original.generation is Generation.BOUNCE:
            return b"postmaster@" + self._host, Generation.DOUBLE_BOUNCE, original.declares(b"REQUIRETLS")
        return None  # A failing double bounce ends here, or two hosts could write to each other for ever.

    def whom_to_answer(self, queue_id: bytes, authority: bytes) -> tuple[bytes, bool] | None:
        """Whose message *queue_id* is, for an answer to it, and must that have TLS; None: nobody may be answered.

        Raises:
            OSError: the disk refuses, so we do not know.
        """
        whom = self.whom_to_tell(queue_id, authority, full=False)
        if whom is None or not whom[0] or whom[1] is not Generation.BOUNCE:
            return None  # RFC 3834 2: what has no reverse-path is never answered.
        return whom[0], whom[2]

    def _may_see(self, queue_id: bytes, authority: bytes, full: bool) -> bool:
        return is_queue_id(queue_id) and original_authority_holds(self._key, authority, queue_id, full=full)
