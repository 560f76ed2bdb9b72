"""A throw-away Postfix: Debian's package, a configuration and queue of its own in a temporary directory. Needs root.

It is set up to be fast and honest: hashed recipient map, local Maildir delivery by virtual(8), no DNS, no flow delay,
the default process limits, and the durability that Postfix always has. The system's own Postfix, if any, is not touched.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.inbound import DOMAIN, MAILBOXES_PER_DOMAIN

VIRTUAL_UID = 5000  # only a number: virtual(8) delivers as it, and nobody else is it

MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/spool
data_directory = {root}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {host}
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {domain} {domains}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = hash:{root}/etc/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = reject_unlisted_recipient
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
maillog_file = {root}/mail.log
maillog_file_prefixes = {root}
in_flow_delay = 0
smtpd_tls_security_level = may
smtpd_tls_chain_files = {key} {chain}
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix  n - n -     0   cleanup
qmgr      unix  n - n 300   1   qmgr
tlsmgr    unix  - - n 1000? 1   tlsmgr
rewrite   unix  - - n -     -   trivial-rewrite
bounce    unix  - - n -     0   bounce
defer     unix  - - n -     0   bounce
trace     unix  - - n -     0   bounce
flush     unix  n - n 1000? 0   flush
proxymap  unix  - - n -     -   proxymap
error     unix  - - n -     -   error
retry     unix  - - n -     -   error
discard   unix  - - n -     -   discard
virtual   unix  - n n -     -   virtual
smtp      unix  - - n -     -   smtp
anvil     unix  - - n -     1   anvil
scache    unix  - - n -     1   scache
postlog   unix-dgram n - n - 1  postlogd
"""


RELAYING = """\
smtpd_relay_restrictions = permit_mynetworks,reject_unauth_destination
transport_maps = inline:{{{{{domain} = smtp:[127.0.0.1]:{sink}}}}}
"""


class Postfix:
    """One of them, below *root*."""

    name = "Postfix"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = peers.free_port()

    @property
    def mail(self) -> Path:
        """Where virtual(8) delivers."""
        return self.root / "mail"

    @property
    def pid(self) -> int:
        """The master's."""
        return int((self.root / "spool/pid/master.pid").read_text())

    def prepare(self, mailboxes: int, pair: peers.KeyPair, domains: Sequence[str] = ()) -> None:
        """Configuration, recipient map and the Maildirs, made beforehand as an appliance would."""
        for folder in ("etc", "spool", "data", "mail"):
            (self.root / folder).mkdir(parents=True)
        subprocess.run(["chown", "postfix", self.root / "data"], check=True)
        (self.root / "etc/main.cf").write_text(
            MAIN.format(
                root=self.root,
                domain=DOMAIN,
                domains=" ".join(domains),
                uid=VIRTUAL_UID,
                host=peers.HOST,
                chain=pair.chain,
                key=pair.key,
            )
        )
        (self.root / "etc/master.cf").write_text(MASTER.format(port=self.port))
        sizes = {DOMAIN: mailboxes} | dict.fromkeys(domains, MAILBOXES_PER_DOMAIN)
        names = [(f"{number}user", domain) for domain, size in sizes.items() for number in range(1, size + 1)]
        (self.root / "etc/mailboxes").write_text(
            "".join(f"{name}@{domain} {domain}/{name}/\n" for name, domain in names)
        )
        self._run("postmap", f"hash:{self.root}/etc/mailboxes")
        stores = [self.mail / domain / name / part for name, domain in names for part in ("", "tmp", "new", "cur")]
        for store in (self.mail, *(self.mail / domain for domain in sizes), *stores):
            store.mkdir(mode=0o700, exist_ok=True)
            os.chown(store, VIRTUAL_UID, VIRTUAL_UID)

    def relay(self, domain: str, sink: int) -> None:
        """From now on take mail of 127.0.0.0/8 for *domain*, and send it to 127.0.0.1:*sink*."""
        with (self.root / "etc/main.cf").open("a") as settings:
            settings.write(RELAYING.format(domain=domain, sink=sink))

    def start(self, isolation: str = "worker") -> None:  # noqa: ARG002 - it knows one way only
        """Start it and wait for its greeting."""
        self._run("postfix", "start")
        peers.wait_until_listening(self.port)

    def stop(self) -> None:
        """Stop it; its processes are ended by their numbers if they linger."""
        pids = peers.family(self.pid)
        self._run("postfix", "stop", check=False)
        peers.end(pids)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [program, "-c", str(self.root / "etc"), *arguments]
        subprocess.run(command, check=check, capture_output=True, text=True)
