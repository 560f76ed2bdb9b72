"""An smtpd that met its number of strangers is replaced by a fresh one, and no client notices."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fixtures.house import House

CONVERSATIONS, CLIENTS, EACH = 600, 20, 60


def test_no_client_is_lost_while_smtpds_are_replaced_under_load(tmp_path: Path) -> None:
    """Twenty clients, six hundred conversations, a fresh process after every sixty: each of them is greeted and served."""
    # All come from one address, and on a busy machine more may be on their way out than one client may have.
    settings = {"limits.conversations_per_worker": str(EACH)}
    with House(tmp_path / "house", settings=settings) as house:
        first = set(house.pids("smtpd"))

        def converse(_number: int) -> int:
            with house.smtp() as client:
                client.ehlo()
                return client.mail("someone@client.test")[0]

        with ThreadPoolExecutor(CLIENTS) as pool:
            assert set(pool.map(converse, range(CONVERSATIONS))) == {250}
        house.wait_ready()
        assert not first & set(house.pids("smtpd"))
        house.settle()
        assert not house.events("fault")
