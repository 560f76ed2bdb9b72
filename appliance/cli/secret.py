"""`postern secret`: what return paths of outgoing mail are made with."""

from cyclopts import App

from appliance.cli.house import actor, changing, say
from appliance.services import srs_secrets

app = App(name="secret", help="What return paths of outgoing mail are made with.")


@app.command
def rotate() -> None:
    """Use a fresh secret from now on; older ones are believed for as long as a bounce may take to come home.

    Once a year is enough, and at once when somebody may have read the snapshot or a backup.
    """
    with changing() as session:
        believed = srs_secrets.rotate(session, actor=actor())
    say({"believed": believed}, f"a fresh secret makes return paths; {believed} are believed")
