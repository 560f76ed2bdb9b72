"""What a look-up and a publication cost at a million addresses: `python -m benchmarks.lookup [ADDRESSES]`.

A reader would otherwise get wrong: figures are CPU of this one process, not wall time, but for those that say so; the mapped
file is warm, as it is in a directory that has been asked before.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mta.roles.directory.resolve import Resolver
from mta.snapshot.reader import Snapshot
from mta.snapshot.records import ADDRESS, DOMAIN, HOST_KEY, TENANT, Domain, Host, Mailbox, Tenant, pack_record
from mta.snapshot.writer import SnapshotWriter
from mta.vocabulary import Word

INSTANCE = b"i" * 16
PER_DOMAIN = 1000
LOOKS = 50_000
PUBLICATIONS = 100


def records(addresses: int) -> Iterator[tuple[bytes, bytes]]:
    """A host, its tenant, domains and their mailboxes."""
    yield HOST_KEY, pack_record(Host(b"mx.example", b"postmaster@mx.example"))
    yield TENANT + b"1", pack_record(Tenant(b""))
    for number in range(addresses):
        domain = b"domain%d.example" % (number // PER_DOMAIN)
        if number % PER_DOMAIN == 0:
            yield DOMAIN + domain, pack_record(Domain(b"1"))
        key = b"user%d@%b" % (number % PER_DOMAIN, domain)
        yield ADDRESS + key, pack_record(Mailbox(key, b"user%d" % (number % PER_DOMAIN)))


def per_call(act: Callable[[bytes], object], arguments: list[bytes]) -> float:
    """Microseconds of CPU for one call."""
    began = time.process_time()
    for argument in arguments:
        act(argument)
    return (time.process_time() - began) / len(arguments) * 1e6


def look_up(folder: Path, addresses: int) -> None:
    """Print what looking up costs."""
    snapshot = Snapshot.open(folder)
    resolver = Resolver(snapshot.get)
    spread = [number * 7919 % addresses for number in range(min(LOOKS, addresses))]
    paths = [b"user%d@domain%d.example" % (number % PER_DOMAIN, number // PER_DOMAIN) for number in spread]
    strangers = [b"x" + path for path in paths]
    print(f"get, there                {per_call(snapshot.get, [ADDRESS + path for path in paths]):8.1f} us")
    print(f"get, not there            {per_call(snapshot.get, [ADDRESS + path for path in strangers]):8.1f} us")
    print(f"judge, accepted           {per_call(resolver.judge, paths):8.1f} us")
    print(f"judge, unknown            {per_call(resolver.judge, strangers):8.1f} us")
    print(f"judge, +tag               {per_call(resolver.judge, [p.replace(b'@', b'+tag@') for p in paths]):8.1f} us")
    print(f"expand                    {per_call(resolver.expand, paths):8.1f} us")
    print(f"refresh, nothing new      {per_call(lambda _: snapshot.refresh(), paths):8.1f} us")
    snapshot.close()


def publish(folder: Path) -> None:
    """Print what one changed address costs, and how soon an open reader knows it."""
    writer, snapshot = SnapshotWriter(folder), Snapshot.open(folder)
    resolver = Resolver(snapshot.get)
    work, known = [], []
    for number in range(PUBLICATIONS):
        key = b"new%d@domain0.example" % number
        began, cpu = time.perf_counter(), time.process_time()
        writer.publish_changes(INSTANCE, 2 + number, [(ADDRESS + key, pack_record(Mailbox(key, b"new")))])
        work.append(time.process_time() - cpu)
        snapshot.refresh()
        resolver.forget()
        assert resolver.judge(key).word is Word.ACCEPT
        known.append(time.perf_counter() - began)
    print(f"publish one, CPU          {sorted(work)[PUBLICATIONS // 2] * 1e3:8.2f} ms (median)")
    print(f"publish one, until known  {sorted(known)[PUBLICATIONS // 2] * 1e3:8.2f} ms wall, synced (median)")
    print(f"                          {max(known) * 1e3:8.2f} ms wall (worst)")
    snapshot.close()


def main() -> int:
    """Build, look up, publish, compact."""
    addresses = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = Path(tempfile.mkdtemp(prefix="postern-lookup-"))
    try:
        began = time.process_time()
        SnapshotWriter(folder).publish_all(INSTANCE, 1, records(addresses))
        octets = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{addresses} addresses compiled  {time.process_time() - began:8.1f} s")
        print(f"size                      {octets / 1e6:8.1f} MB")
        look_up(folder, addresses)
        publish(folder)
        steps = []
        for _ in (compaction := SnapshotWriter(folder).compaction()):
            began = time.perf_counter()
            next(compaction, None)
            steps.append(time.perf_counter() - began)
        print(f"compaction, longest step  {max(steps, default=0.0) * 1e3:8.1f} ms wall")
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main())
