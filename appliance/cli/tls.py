"""`postern tls`: certificates."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, every, looking, say, say_one, say_rows, settings
from appliance.errors import Invalid, NotFound
from appliance.services import certificates
from appliance.services.certificates import Certificate, Offered
from appliance.services.seals import Seals

app = App(name="tls", help="Certificates.")


def describe(certificate: Certificate) -> dict[str, Any]:
    """A certificate as plain values; never its key, sealed or not."""
    return {
        "id": certificate.id,
        "names": list(certificate.names),
        "origin": certificate.origin,
        "not_before": _day(certificate.not_before),
        "not_after": _day(certificate.not_after),
        "fingerprint": certificate.fingerprint,
        "tenant": certificate.tenant.name,
    }


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@app.command(name="list")
def list_() -> None:
    """List certificates."""
    with looking() as session:
        rows = every(certificates.list_certificates, session)
        say_rows(map(describe, rows), "id", "names", "origin", "not_after")


@app.command
def show(name: str) -> None:
    """Show the certificate of a name."""
    with looking() as session:
        say_one(describe(certificates.of_name(session, name, actor=actor())))


@app.command
def install(chain: Path, key: Path) -> None:
    """Install a certificate: CHAIN holds it and its issuers in PEM, KEY its private key without a passphrase."""
    offered = certificates.check(_text(chain), _text(key))
    _install(offered, certificates.UPLOADED)


@app.command
def renew(name: str | None = None) -> None:
    """Make a new self-signed certificate for the host's name, or for NAME; one that was uploaded is left alone."""
    name = name or settings().host.name
    with looking() as session:
        try:
            present = certificates.of_name(session, name, actor=actor())
        except NotFound:
            present = None
    if present is not None and present.origin != certificates.SELF_SIGNED:
        raise Invalid(f"the certificate for {name} was uploaded: install its successor with `postern tls install`")
    _install(certificates.make_self_signed(name), certificates.SELF_SIGNED)


def _install(offered: Offered, origin: str) -> None:
    sealed = Seals.of(settings().state).tls_key(offered.key)
    with changing() as session:
        made = certificates.install(session, offered, sealed, actor=actor(), origin=origin)
    say(
        describe(made),
        f"installed certificate {made.id} for {', '.join(made.names)}, good until {_day(made.not_after)}",
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii")
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is not PEM") from error
