"""The command line: every command by its name, each loaded when it is called, with what it needs and no more."""

from __future__ import annotations

import gc
import sqlite3
import traceback
from functools import cache
from typing import Any, Final

import click
from click.exceptions import Abort, Exit

from guidance.errors import GuidanceError
from guidance.later import later
from service import problems

COMMANDS: Final = {
    "init": ("service.cli.keeping:init", "Make a register with the corpus of real documents."),
    "check": ("service.cli.acting:check", "Check documents and versions against their schemas."),
    "publish": ("service.cli.acting:publish", "Record documents and their next versions."),
    "correct": ("service.cli.acting:correct", "Record that a document says something else than was recorded."),
    "withdraw": ("service.cli.acting:withdraw", "Record the end of a version, or that it never takes effect."),
    "rules": ("service.cli.asking:rules", "The rules in force on a day."),
    "show": ("service.cli.asking:show", "One document on a day, one version as recorded, or one rule."),
    "log": ("service.cli.asking:log", "Who recorded what, when and why, newest first."),
    "diff": ("service.cli.asking:diff", "What changed between two versions, days or revisions."),
    "import": ("service.cli.keeping:import_", "Record a folder or file of JSON, all of it or nothing."),
    "export": ("service.cli.keeping:export", "Write the register, or one document, as JSON lines."),
    "replay": ("service.cli.keeping:replay", "Play a dated journal into a new register."),
    "rebuild": ("service.cli.keeping:rebuild", "Derive the index again from the store."),
    "verify": ("service.cli.keeping:verify", "Check that everything agrees, down to the byte."),
    "maintain": ("service.cli.keeping:maintain", "Clear what killed publishers left behind and pack the store."),
    "serve": ("service.cli.serving:serve", "Serve the register over HTTP, for people and for programs."),
    "demo": ("service.cli.serving:demo", "Replay the corpus's journal into a folder and serve it."),
    "deliver": ("service.cli.telling:deliver", "Tell what is due and send webhooks; no pages, no questions."),
    "token": ("service.cli.letting:token", "Make, list and revoke tokens."),
}
"""Where each command is found, and what the list of commands says of it."""


INTERRUPTED: Final = 130
"""The exit code of what a person ended with Ctrl-C."""


class Family(click.Group):
    """Our commands: errors of ours become one clear message and the exit code of their kind.

    What it lists are stand-ins, a name and a sentence each; the command itself is loaded when it is called.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, _loaded(COMMANDS[name][0]) if name else None, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GuidanceError as error:
            click.echo("\n  ".join([f"inforce: {error}", *getattr(error, "__notes__", ())]), err=True)
            ctx.exit(problems.problem_of(error).exit)
        except BrokenPipeError:
            ctx.exit(0)
        except KeyboardInterrupt:
            click.echo("inforce: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except (OSError, sqlite3.Error) as error:
            click.echo(f"inforce: {error}", err=True)
            ctx.exit(problems.NOT_READY.exit)
        except (click.ClickException, Exit, Abort):
            raise
        except Exception:
            click.echo(
                f"{traceback.format_exc()}inforce: a fault of ours; please report it with what stands above", err=True
            )
            ctx.exit(problems.FAILED.exit)


@cache
def _loaded(place: str) -> click.Command:
    """A command with all that it needs. Nothing of that becomes garbage: it is not looked through, now or ever."""
    gc.disable()
    try:
        command: click.Command = later(place)
        gc.freeze()
    finally:
        gc.enable()
    return command


@click.group(
    cls=Family,
    commands=[click.Command(name, help=about) for name, (_, about) in COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(package_name="inforce", prog_name="inforce")
def main() -> None:
    """What guidance on medicines is in force on any day, as known on any other day, and what changed.

    Exit codes: 0 done; 1 check found something odd with --strict; 2 input that cannot be understood; 3 not found;
    4 at odds with what is recorded; 5 the register cannot be used; 6 verification failed; 70 a fault of ours;
    130 ended with Ctrl-C.
    """
