"""The supervisor as web asks it: what it would tell of a house in which every role serves, until a test says otherwise."""

from mta import roster
from mta.sandbox import selftest

UID_BASE = 1_900_000_000
SINCE = 1_790_000_000
SETTINGS = {
    "smtpd.isolation": "worker", "listen.panel": "a port", "listen.submission": "a port", "outbound.tls_reports": "",
}  # fmt: skip


class FakeSupervisor:
    """Never tested at first. `results`: role to what its self-test told; `of`: role to what is to be told otherwise of it."""

    def __init__(self) -> None:
        self.results: dict[str, dict[str, str]] = {}
        self.of: dict[str, dict[str, str]] = {}
        self.began = self.ended = 0
        self.running = False
        self.tries = 0

    def standing(self) -> list[dict[str, str]]:
        roles = [self._role(role) for role in roster.started_with(SETTINGS)]
        tested = [{"tested": role} | told for role, told in self.results.items()]
        last = {
            "began": str(self.began), "ended": str(self.ended), "running": str(int(self.running)), "left": "0",
            "root": "1", "every": "60",
        }  # fmt: skip
        return [*roles, *tested, last]

    def try_walls(self) -> None:
        self.tries += 1
        self.began = self.ended = SINCE + self.tries
        self.results = {role.name: self.held(role) for role in roster.started_with(SETTINGS)}

    def held(self, role: roster.Role) -> dict[str, str]:
        """What a role tells behind whole walls."""
        probes = selftest.probes_for(role, "/var/lib/postern")
        return {"whole": "1"} | {probe.name: "job done" if probe.is_job else "held EPERM" for probe in probes}

    def _role(self, role: roster.Role) -> dict[str, str]:
        uid = str(UID_BASE + role.number)
        capabilities = {"localspawn": "c0", "storekeeper": "c1", "tlsspawn": "c0"}.get(role.name, "0")
        return {
            "role": role.name, "instance": "0", "pid": str(1000 + role.number), "uid": uid, "state": "running",
            "restarts": "0", "since": str(SINCE), "Uid": " ".join([uid] * 4), "Gid": " ".join([uid] * 4), "Groups": "",
            "CapPrm": capabilities, "NoNewPrivs": "1", "Seccomp": "2",
        } | self.of.get(role.name, {})  # fmt: skip
