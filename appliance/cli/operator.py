"""`postern operator`: when a password, or what is shown beside it, is lost."""

from cyclopts import App

from appliance.cli.house import actor, changing, say, settings
from appliance.services import accounts, second_factors
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


@app.command
def reset_second_factor(name: str) -> None:
    """Take authenticator app, backup codes and passkeys from an account or a mailbox's owner; all sessions end."""
    with changing() as session:
        had = second_factors.reset(session, name, actor=actor())
    told = {"name": name, "app": had.app_since is not None, "passkeys": had.passkeys}
    say(told, f"{name} signs in by the password alone")
