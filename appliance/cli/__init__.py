"""`postern`: the command line.

A reader would otherwise get wrong: `--config` and `--json` may stand anywhere before a `--`, so they are taken out before the
verbs are looked at. Exit codes: 0 done, 1 refused or failed (one line on stderr), 2 wrong usage.
"""

import os
import sys
from collections.abc import Sequence

from appliance import VERSION
from appliance.errors import ApplianceError

DONE, FAILED, WRONG_USAGE = 0, 1, 2

# Verb: where its function or its own verbs are. Imported only when it is used: a command should not wait for the others.
VERBS = {
    "init": ("appliance.cli.init:init", "write postern.toml, state folder, keys, database and first operator"),
    "up": ("appliance.cli.up:up", "run everything in the foreground"),
    "status": ("appliance.cli.status:status", "roles, pids, uids, restarts, ports, queue size"),
    "check": ("appliance.cli.doctor:check", "what is wrong with this host, and how to mend it"),
    "tenant": ("appliance.cli.tenant:app", "resellers and customers"),
    "plan": ("appliance.cli.plan:app", "named sets of limits and defaults for tenants"),
    "domain": ("appliance.cli.domain:app", "domains, hosted here or only relayed"),
    "mailbox": ("appliance.cli.mailbox:app", "mailboxes"),
    "alias": ("appliance.cli.alias:app", "addresses that stand for others"),
    "appointment": (
        "appliance.cli.appointment:app",
        "what somebody may do besides what his account or mailbox gives him",
    ),
    "removal": ("appliance.cli.removal:app", "what was removed, and can be had back for a while"),
    "job": ("appliance.cli.job:app", "what is worked off in the background"),
    "pattern": ("appliance.cli.pattern:app", "addresses of one beginning that are a mailbox's"),
    "route": ("appliance.cli.route:app", "where mail goes on to instead of by MX"),
    "rule": ("appliance.cli.rule:app", "whom the host, a domain or a mailbox lets in or keeps out"),
    "tls": ("appliance.cli.tls:app", "certificates"),
    "dkim": ("appliance.cli.dkim:app", "what domains' mail is signed with"),
    "forward": ("appliance.cli.forward:app", "a mailbox's forwarding"),
    "autoreply": ("appliance.cli.autoreply:app", "what a mailbox answers by itself"),
    "app-password": ("appliance.cli.app_password:app", "further passwords of a mailbox, one for each program"),
    "sender": ("appliance.cli.sender:app", "as which other addresses a mailbox may write"),
    "sending": ("appliance.cli.sending:app", "how much a mailbox, a domain or a tenant may send, and the hijack brake"),
    "key": ("appliance.cli.key:app", "API keys"),
    "secret": ("appliance.cli.secret:app", "what return paths of outgoing mail are made with"),
    "operator": ("appliance.cli.operator:app", "operators' passwords"),
    "migrate": ("appliance.cli.migrate:migrate", "bring the database schema to the newest"),
    "publish": ("appliance.cli.publish:publish", "compile and publish the snapshot now"),
    "queue": ("appliance.cli.queue:app", "what waits to go on, and what may be done about it"),
    "sendmail": ("appliance.cli.sendmail:main", "send what stands on standard input, with sendmail's options"),
    "explain": ("appliance.cli.explain:explain", "the SMTP replies to a message, and why"),
    "import": ("appliance.cli.import_:app", "what PostfixAdmin, vpopmail or mailcow held, with the passwords"),
    "export": ("appliance.cli.export:export", "everything a tenant has, as one document"),
    "audit": ("appliance.cli.audit:app", "who changed what, when, from where"),
    "trace": ("appliance.cli.trace:trace", "what happened to a message"),
    "reload": ("appliance.cli.reload:reload", "take up settings that can change without a stop"),
}

EPILOGUE = (
    "Everywhere: `--config FILE` (else $POSTERN_CONFIG, ./postern.toml, /etc/postern/postern.toml);"
    " `--json` where output is data."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except ApplianceError as error:
        return _fail(error.sentence, FAILED)
    except BrokenPipeError:  # before OSError, of which it is one
        # `postern … | head` has what it wanted. Python would complain again when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        # A folder that may not be entered, a full disk: what the kernel says, and about which file.
        about = f"{error.filename}: " if error.filename else ""
        return _fail(f"{about}{error.strerror or error}", FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", FAILED)


def _run(arguments: list[str]) -> int:
    from cyclopts import App, CycloptsError  # noqa: PLC0415 - a tenth of a second; `--help` of nothing else needs it

    from appliance.cli.house import WrongUsage, options, take_options  # noqa: PLC0415

    try:
        rest = take_options(arguments, options)
    except WrongUsage as error:
        return _fail(str(error), WRONG_USAGE)
    if rest[:1] == ["sendmail"]:  # Its options are older than any convention that a library knows.
        from appliance.cli.sendmail import sendmail  # noqa: PLC0415

        return sendmail(rest[1:], options.config)
    app = App(
        name="postern", version=VERSION, help="A mail appliance of small, mutually untrusting programs.",
        help_epilogue=EPILOGUE,
    )  # fmt: skip
    for verb, (place, purpose) in VERBS.items():
        app.command(place, name=verb, help=purpose)
    try:
        code = app(rest, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        from appliance.cli.wrong_usage import sentence_of  # noqa: PLC0415 - of the same library

        return _fail(sentence_of(error), WRONG_USAGE)
    except WrongUsage as error:
        return _fail(" ".join(str(error).split()), WRONG_USAGE)
    return code if isinstance(code, int) else DONE


def _fail(sentence: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"postern: {sentence}\n")
    return code
