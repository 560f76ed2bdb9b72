"""`postern operator`: when a password is lost."""

from cyclopts import App

from appliance.cli.house import actor, changing, say, settings
from appliance.services import accounts
from appliance.services.passwords import Sealer, one_time_password

app = App(name="operator", help="Operators' passwords.")


@app.command
def reset_password(name: str) -> None:
    """Give an account a new one-time password; all its sessions end."""
    password = one_time_password()
    sealed_hash = Sealer.of(settings().state).seal_password(password)
    with changing() as session:
        account = accounts.reset_password(session, name, sealed_hash, actor=actor())
    say({"name": account.name, "password": password}, f"one-time password of {account.name}: {password}")
