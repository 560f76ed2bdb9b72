"""Whether the host lets a process have as many descriptors as the settings need."""

import resource
from pathlib import Path

import pytest

from appliance.config import Host, Settings, Smtpd
from appliance.provision import descriptors
from mta import roster


def settings_with(connections: int) -> Settings:
    return Settings(host=Host(name="mx.example.test"), smtpd=Smtpd(max_connections=connections), file=Path("/nowhere"))


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch):
    """A host whose hard limit is 5000, liftable or not."""

    def set_up(*, liftable: bool) -> None:
        now = [1024, 5000]

        def set_limit(_which: int, wanted: tuple[int, int]) -> None:
            if wanted[1] > now[1] and not liftable:
                raise ValueError("not allowed to raise maximum limit")
            now[:] = wanted

        monkeypatch.setattr(resource, "getrlimit", lambda _which: tuple(now))
        monkeypatch.setattr(resource, "setrlimit", set_limit)

    return set_up


def test_too_few_are_told_with_both_numbers(limits) -> None:
    """What there is, what is needed, and for which setting."""
    limits(liftable=False)
    assert descriptors.missing(settings_with(1000)) == ""
    told = descriptors.missing(settings_with(20_000))
    assert "5000" in told
    assert "smtpd.max_connections = 20000 with submission.max_connections = 500 needs 41256" in told


def test_a_limit_that_root_can_lift_is_none(limits) -> None:
    """The roles lift it for themselves; the command leaves its own as it was."""
    limits(liftable=True)
    assert descriptors.missing(settings_with(20_000)) == ""
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, 5000)


def test_the_setting_moves_the_walls_of_those_who_hold_connections_and_of_nobody_else() -> None:
    """A descriptor and some memory for each; below what the roster gives anyhow, nothing changes."""
    for role in roster.ROLES:
        few = (roster.open_files_of(role, 1000), roster.memory_mib_of(role, 1000))
        assert few == (role.open_files, role.memory_mib)
        many = (roster.open_files_of(role, 50_000), roster.memory_mib_of(role, 50_000))
        assert (many != few) == bool(role.files_each)
    assert roster.open_files_of(roster.SMTPD, 20_000) > 20_000
    assert roster.memory_mib_of(roster.SMTPD, 20_000) >= 20_000 * 60 >> 10
