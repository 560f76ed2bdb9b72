"""The first start in a container, without a container: what the image's entry point does before it becomes `postern up`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from appliance.config import load_settings

TREE = Path(__file__).resolve().parents[2]


def start(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "POSTERN_CONFIG": str(folder / "postern.toml"),
        "POSTERN_HOSTNAME": "mx.container.test",
    }
    entry = TREE / "tools/container-start"
    return subprocess.run([entry, *command], env=environment, capture_output=True, text=True, check=False)


def test_it_asks_nothing_listens_for_the_outside_and_becomes_its_command(tmp_path: Path) -> None:
    first = start(tmp_path, "echo", "now", "up")

    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "now up"
    assert "password" in first.stdout, "whoever reads the container's log must be able to sign in"
    settings = load_settings(tmp_path / "postern.toml")
    assert settings.host.name == "mx.container.test"
    assert [str(endpoint) for endpoint in (*settings.listen.smtp, *settings.listen.panel)] == [
        "0.0.0.0:2525",
        "0.0.0.0:8080",
    ]
    assert (settings.state / "postern.db").exists()


def test_a_second_start_makes_nothing_anew(tmp_path: Path) -> None:
    start(tmp_path, "true")
    before = (tmp_path / "postern.toml").read_bytes(), (tmp_path / "state/keys/authenticator.pub").read_bytes()

    second = start(tmp_path, "true")

    assert (second.returncode, second.stdout) == (0, "")
    assert before == (
        (tmp_path / "postern.toml").read_bytes(),
        (tmp_path / "state/keys/authenticator.pub").read_bytes(),
    )


def test_the_image_ends_in_postern_up_and_copies_what_the_product_is() -> None:
    text = (TREE / "Dockerfile").read_text()
    assert text.startswith("#")
    assert re.search(r"^FROM debian:bookworm-slim$", text, re.MULTILINE)
    entry, command = (json.loads(match) for match in re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", text, re.MULTILINE))
    assert (entry, command) == (["tools/container-start"], ["postern", "up"])
    left_out = set((TREE / ".dockerignore").read_text().split())
    assert not left_out & {"appliance", "web", "mta", "migrations", "alembic.ini", "tools", "requirements.txt"}
