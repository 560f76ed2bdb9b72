"""The figures are asked for while mail flows: each message shows in them, and the panel does not show through the port."""

import smtplib
import urllib.error
import urllib.request

import pytest

from tests.fixtures.house import HOST_NAME, House, wait_until

pytestmark = pytest.mark.journey
POSTMASTER = f"postmaster@{HOST_NAME}"
MESSAGES = 5


def get(house: House, path: str, service: str = "metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{house.port(service)}{path}", timeout=10) as answer:
        return answer.read().decode()


def figures(house: House) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in get(house, "/metrics").splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_figures_while_mail_flows(house: House) -> None:
    for number in range(MESSAGES):
        house.send(POSTMASTER, b"Subject: %d\r\n\r\nhello\r\n" % number)
        assert figures(house)["postern_backscatter_total"] == 0
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        house.send(f"nobody@{HOST_NAME}", b"Subject: no\r\n\r\n")
    house.wait_for_messages(POSTMASTER, MESSAGES)
    wait_until(lambda: figures(house)["postern_messages_accepted_total"] == MESSAGES, 30, house.said)
    wait_until(lambda: figures(house)['postern_deliveries_total{outcome="delivered"}'] == MESSAGES, 30, house.said)
    found = wait_until(lambda: f if 'postern_refused_total{reply="550 5.1.1"}' in (f := figures(house)) else None, 30)
    assert found['postern_refused_total{reply="550 5.1.1"}'] == 1
    assert found["postern_connections_total"] >= MESSAGES + 1
    assert found['postern_role_up{role="enqueuer"}'] == 1
    wait_until(lambda: figures(house).get("postern_queue_messages") == 0, 30, house.said)

    pid = house.pid("cleaner")
    house.kill("cleaner")
    house.wait_for_restart("cleaner", pid)
    wait_until(lambda: figures(house)['postern_role_restarts_total{role="cleaner"}'] == 1, 30, house.said)

    assert "Postern" in get(house, "/login", "panel")
    for path, service in (("/login", "metrics"), ("/metrics", "panel")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(house, path, service)
        with refused.value as answer:
            assert answer.code == 404
