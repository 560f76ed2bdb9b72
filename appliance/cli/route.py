"""`postern route`: where mail goes on to instead of by MX."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli.house import Switch, actor, changing, looking, read_password, say, say_one, say_rows, settings
from appliance.services import routes
from appliance.services.routes import Route, Wanted
from appliance.services.seals import Seals

app = App(
    name="route",
    help="Routes: of mail to a DOMAIN, of mail that a domain of ours sends (@DOMAIN), of all other mail ('*').",
)

Tls = Annotated[str, Parameter(help="none; may: when it can; verify: by a certificate that holds; dane")]
Lmtp = Annotated[bool, Parameter(help="speak LMTP there instead of SMTP")]


def describe(route: Route) -> dict[str, Any]:
    """A route as plain values, without its password."""
    return {
        "key": route.key,
        "next_hop": route.next_hop,
        "tls": route.tls,
        "lmtp": route.lmtp,
        "login": route.login,
        "source_address": route.source_address,
        "domain": route.domain.name if route.domain is not None else None,
    }


@app.command(name="list")
def list_() -> None:
    """List routes; those that the settings file fixes stand there."""
    with looking() as session:
        rows = routes.list_routes(session, actor=actor())
        say_rows(map(describe, rows), "key", "next_hop", "tls", "login", "source_address")


@app.command
def show(route: str) -> None:
    """Show one."""
    with looking() as session:
        say_one(describe(routes.get(session, route, actor=actor())))


@app.command(name="set")
def set_(
    route: str,
    *,
    next_hop: str | None = None,
    tls: Tls | None = None,
    lmtp: Lmtp | None = None,
    login: str | None = None,
    password_stdin: Switch = False,
    source_address: str | None = None,
) -> None:
    """Make a route, or change what is given of it. ROUTE is a domain, @domain, or '*'; an empty text takes away.

    --next-hop is HOST:PORT; without one mail goes by MX, or where the domain is relayed to. The password for --login is
    read from standard input with --password-stdin. --source-address is one of this machine's.
    """
    sealed = Seals.of(settings().state).route_secret(read_password()) if password_stdin else None
    wanted = Wanted(next_hop, tls, lmtp, login, sealed, source_address)
    with changing() as session:
        made = routes.put(session, route, wanted, actor=actor())
    say(describe(made), f"route {made.key}: {made.next_hop or 'by MX'}, TLS {made.tls}")


@app.command
def remove(route: str) -> None:
    """Remove it; mail goes by the next best from then on, also what waits already."""
    with changing() as session:
        routes.remove(session, route, actor=actor())
    say({"key": route}, f"removed route {route}")
