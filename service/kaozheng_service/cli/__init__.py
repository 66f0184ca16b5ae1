"""The command line. Exit codes: 0 done or pass, 1 the check failed, 2 bad usage or input."""

from __future__ import annotations

import logging
import sys

from kaozheng_coverage.errors import CoverageError
from kaozheng_vision.errors import VisionError

from kaozheng_service.cli.account_commands import account_app
from kaozheng_service.cli.alarm_commands import alarms_app
from kaozheng_service.cli.anchor_command import anchor_app
from kaozheng_service.cli.backfill_command import backfill
from kaozheng_service.cli.calibrate_commands import calibrate
from kaozheng_service.cli.card_check_command import check_cards
from kaozheng_service.cli.commands import app
from kaozheng_service.cli.disk_command import disk
from kaozheng_service.cli.key_commands import key_app
from kaozheng_service.cli.register_command import register
from kaozheng_service.cli.second_command import second
from kaozheng_service.cli.session_commands import checkpoint, completeness, sheet
from kaozheng_service.cli.systemd_command import systemd_unit
from kaozheng_service.cli.token_commands import token_app
from kaozheng_service.cli.verify_command import verify
from kaozheng_service.errors import ServiceError, UserError
from kaozheng_service.logs import configure_logs

app.add_typer(account_app, name="account")
app.add_typer(token_app, name="token")
app.add_typer(alarms_app, name="alarms")
app.add_typer(anchor_app, name="anchor")
app.add_typer(key_app, name="key")
app.command("systemd-unit")(systemd_unit)
app.command()(backfill)
app.command()(calibrate)
app.command()(disk)
app.command()(second)
app.command("cards-check")(check_cards)
app.command()(completeness)
app.command()(sheet)
app.command()(register)
app.command()(checkpoint)
app.command()(verify)


def main() -> None:
    """Run one command; what the user can mend is said in plain words, without a traceback."""
    # Results go to standard output, so that they can be piped; what a part says while it works goes to the other.
    # The daemon says all; the other commands draw bars and tables of the same, so only their warnings are shown.
    level = logging.INFO if "serve" in sys.argv[1:2] else logging.WARNING
    configure_logs(level=level)
    try:
        app()
    except (UserError, CoverageError, VisionError) as error:
        print(f"kaozheng: {error}", file=sys.stderr)
        sys.exit(2)
    except ServiceError as error:
        print(f"kaozheng: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("kaozheng: stopped", file=sys.stderr)
        sys.exit(130)
