"""What somebody sees who has just started the appliance."""

import shlex
from pathlib import Path

from appliance.cli.welcome import Created, welcome
from appliance.config import Endpoint, Host, Listen, Settings
from appliance.services.first_steps import curl_line


def settings(**listen) -> Settings:
    return Settings(host=Host(name="mx.example.test"), listen=Listen(**listen), file=Path("/srv/postern.toml"))


def test_the_first_start_names_panel_operator_password_ports_and_a_line_to_try():
    """Everything that a newcomer needs."""
    text = welcome(settings(), Created("operator", "one-time-word"))
    assert "http://localhost:8080" in text
    assert "operator  operator" in text
    assert "one-time-word" in text
    assert "smtp 127.0.0.1:2525" in text
    assert "\ncurl smtp://127.0.0.1:2525/" in text


def test_every_port_is_told_with_what_it_is_for():
    """Also those that are off: who misses one should not have to look for it."""
    lines = welcome(settings(), None).splitlines()
    services = [line.split()[1] for line in lines if line.startswith("port ")]
    assert services == ["smtp", "submission", "submissions", "qmtp", "qmqp", "panel", "metrics"]


def test_a_later_start_knows_no_password():
    """It is kept nowhere."""
    assert "password" not in welcome(settings(), None)


def test_the_line_goes_to_an_address_that_can_be_reached():
    """0.0.0.0 is where one listens, not whom one calls."""
    line = curl_line(settings(smtp=[Endpoint("0.0.0.0", 25)]), "postmaster@mx.example.test")
    assert line.startswith("curl smtp://127.0.0.1:25/")
    assert "--mail-rcpt postmaster@mx.example.test" in line
    assert curl_line(settings(smtp=[Endpoint("::", 25)]), "a@x.test").startswith("curl smtp://[::1]:25/")


def test_an_address_in_the_line_is_an_address_to_the_shell_too():
    """A local-part may hold what a shell would run."""
    line = curl_line(settings(), "a$(id)'b@x.test")
    assert shlex.split(line)[5] == "a$(id)'b@x.test"


def test_a_host_that_does_not_listen_gets_no_line():
    """There is nothing to try."""
    assert "curl" not in welcome(settings(smtp=[], panel=[]), None)
