"""The judgement of storekeeper: names are checked here, uids given, and what is inside a domain left to the hands.

A reader would otherwise get wrong: `mail/` itself and the entries in it are storekeeper's, so it works there directly; a
domain's folder is the domain's, so from there on it only looks at the folder's owner.
"""

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable

from mta.maildir import make_folder, names_in
from mta.roles.storekeeper import inside
from mta.roles.storekeeper.hands import DONE, MORE, Hands, Job, Report
from mta.roles.storekeeper.uids import Uids
from mta.vocabulary import AddressError, is_domain, local_part_of_store
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers
from mta.wire.loop import Loop
from mta.wire.messages import DropStore, KeepStore, MakeStore, OpenStore, RestoreStore, Store, StoreDone, TrashStore

DAY = 24 * 3600
PURGE_PAUSE = 0.05  # between two domains: a day is long, and others want the disk too
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Keeper:
    """Answers the requests; *mail* is the folder of all domains, opened."""

    def __init__(
        self, loop: Loop, mail: int, uids: Uids, hands: Hands, *, trash_days: int, now: Callable[[], float] = time.time
    ) -> None:
        self.peers: Peers  # whoever makes us sets it, before the first message
        self._loop, self._mail, self._uids, self._hands, self._now = loop, mail, uids, hands, now
        self._trash_seconds = trash_days * DAY

    # --- requests --------------------------------------------------------------------------------------------------

    def heed(self, channel: Channel, packet: Packet) -> None:
        """One request of localspawn or of the compiler."""
        message, _ = packet
        if isinstance(message, OpenStore) and (domain := _domain(message.domain)):
            self._open(channel, message.tag, domain)
        elif isinstance(message, MakeStore) and (domain := _domain(message.domain)) and _is_store(message.store):
            store = message.store.decode()
            self._inside(domain, lambda folder: inside.make(folder, store), self._reporter(channel, message.tag))
        elif isinstance(message, TrashStore | KeepStore) and (domain := _domain(message.domain)):
            self._put_aside(channel, message, domain)
        elif isinstance(message, RestoreStore | DropStore) and (domain := _domain(message.domain)):
            self._decide(channel, message, domain)
        else:
            channel.close()

    def _open(self, channel: Channel, tag: int, domain: str) -> None:
        try:
            uid, folder = self.place(domain)
        except OSError as error:
            self._not_done(channel, tag, domain, error)
            return
        try:
            channel.send(Store(tag, uid), (folder,))
        except ChannelClosed:
            return
        finally:
            os.close(folder)

    def _put_aside(self, channel: Channel, message: TrashStore | KeepStore, domain: str) -> None:
        if message.store and not _is_store(message.store):
            channel.close()
            return
        report = self._reporter(channel, message.tag)
        if self._is_there(domain):
            self._until_done(domain, self._aside(message), report)
        else:
            report(DONE)

    def _aside(self, message: TrashStore | KeepStore) -> Callable[[int], None]:
        store = message.store.decode()
        if isinstance(message, KeepStore):
            removal, until = message.removal, message.until
            if store:
                return lambda folder: inside.keep(folder, store, removal, until)
            return lambda folder: inside.keep_all(folder, removal, until)
        moment = int(self._now())
        if store:
            return lambda folder: inside.trash(folder, store, moment)
        return lambda folder: inside.trash_all(folder, moment)

    def _decide(self, channel: Channel, message: RestoreStore | DropStore, domain: str) -> None:
        """What was kept for a removal comes back, or goes."""
        report, removal = self._reporter(channel, message.tag), message.removal
        if not self._is_there(domain):
            report(DONE)
        elif isinstance(message, RestoreStore):
            self._until_done(domain, lambda folder: inside.restore(folder, removal), report)
        else:
            self._inside(domain, lambda folder: inside.drop(folder, removal), report)
            self._purge(domain, [])

    def _until_done(self, domain: str, task: Callable[[int], None], report: Report) -> None:
        def go_on(words: str) -> None:
            if words == MORE:
                self._inside(domain, task, go_on)
            else:
                report(words)

        self._inside(domain, task, go_on)

    def _inside(self, domain: str, task: Callable[[int], None], report: Report) -> None:
        self._hands.add(domain, lambda: self.place(domain), Job(task, report))

    def _reporter(self, channel: Channel, tag: int) -> Report:
        def report(words: str) -> None:
            # Who asked may be gone by now; he asks again when he is back, and doing it twice is as good as once.
            with contextlib.suppress(ChannelClosed):
                channel.send(StoreDone(tag, words == DONE, words.encode()))

        return report

    def _not_done(self, channel: Channel, tag: int, domain: str, error: OSError) -> None:
        words = error.strerror or "?"
        self.peers.event("store-failed", domain=domain, reason=words)
        self._reporter(channel, tag)(words)

    # --- the domains' folders --------------------------------------------------------------------------------------

    def place(self, domain: str) -> tuple[int, int]:
        """The uid of *domain* and its folder, made when missing, as a mere place (O_PATH). The caller closes it.

        Raises:
            NoUidLeft: it has no uid, and there is none for it.
            OSError: the folder cannot be made, or is not what it should be.
        """
        uid = self._uids.of(domain)
        try:
            folder = os.open(domain, _PLACE, dir_fd=self._mail)
        except FileNotFoundError:
            return uid, self._make(domain, uid)
        owner = os.fstat(folder).st_uid
        if owner == (uid or os.geteuid()):
            return uid, folder
        os.close(folder)
        if owner != os.geteuid():
            self.peers.event("store-of-another", domain=domain, uid=owner)
            raise PermissionError(errno.EPERM, "the folder belongs to somebody else")
        # Ours: making it was interrupted before it was given away.
        return uid, self._make(domain, uid)

    def _make(self, domain: str, uid: int) -> int:
        folder = make_folder(domain, self._mail)
        try:
            if uid:
                os.fchown(folder, uid, uid)
            os.fsync(folder)
            os.fsync(self._mail)
        except OSError:
            os.close(folder)
            raise
        return folder

    def _is_there(self, domain: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(domain, dir_fd=self._mail, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    # --- what has lain in the trash long enough --------------------------------------------------------------------

    def purge_daily(self) -> None:
        """Begin a round over all domains; the next begins a day later."""
        self._loop.call_later(DAY, self.purge_daily)
        self._purge_next([name for name in names_in(self._mail) if is_domain(name)])

    def _purge_next(self, names: list[str]) -> None:
        """One domain after the other, a child each, with a pause between them."""
        while names:
            domain = names.pop()
            # Without a uid it holds no mail of ours; when it is busy, tomorrow is soon enough.
            if self._uids.known(domain) is not None and not self._hands.is_busy(domain) and self._is_there(domain):
                self._purge(domain, names)
                return

    def _purge(self, domain: str, others: list[str]) -> None:
        now = self._now()
        before = now - self._trash_seconds

        def go_on(words: str) -> None:
            if words == DONE:
                self._remove_if_empty(domain)
            elif words != MORE:
                self.peers.event("purge-failed", domain=domain, reason=words)
            again = [domain] if words == MORE else []
            self._loop.call_later(PURGE_PAUSE, lambda: self._purge_next(others + again))

        self._inside(domain, lambda folder: inside.purge(folder, before, now), go_on)

    def _remove_if_empty(self, domain: str) -> None:
        """What is left of a domain after its last mail; a domain that is still hosted gets a new one with its next mail."""
        with contextlib.suppress(OSError):  # not empty, as a rule
            os.rmdir(domain, dir_fd=self._mail)


def _domain(octets: bytes) -> str:
    """The domain in *octets*, or nothing when it is none."""
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return text if is_domain(text) else ""


def _is_store(octets: bytes) -> bool:
    try:
        local_part_of_store(octets.decode())
    except (AddressError, UnicodeDecodeError):
        return False
    return True
