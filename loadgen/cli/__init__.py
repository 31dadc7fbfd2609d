"""The command line: the only code that prints, reads the environment or exits.

Commands are imported when they are run, so that ``loadgen --help`` costs little more than starting Python.
"""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from loadgen import __version__
from loadgen.cli import output

COMMANDS = {
    "run": "Run a scenario and write its results.",
    "check": "Validate a scenario and say what it would do.",
    "report": "Write the reports of a finished run again.",
    "compare": "Say what became better or worse between runs.",
    "history": "List the runs that there were.",
    "export": "Write a run for another program.",
    "emulate": "Serve the FunctionGraph emulator.",
    "doctor": "Say what this machine allows.",
    "restore": "Put back what runs changed on the platform.",
    "init": "Write a scenario to start from.",
    "completion": "Print what a shell needs to complete commands.",
    "schema": "Print the JSON Schema of a scenario or a summary.",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, each imported when it is asked for.

    Help, completion and typing hints are written anew, because click's own import every command.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        """See click.Command."""
        output.prepare()
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.filename is not None or error.errno in (errno.ENOMEM, errno.EAGAIN):
                raise
            output.silence(sys.stdout)
            output.say(f"error: cannot write the output: {error.strerror or error}")
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """See click.Command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise click.UsageError(output.clean(error.format_message()), error.ctx or ctx) from error
        except click.ClickException as error:
            raise click.ClickException(output.clean(error.format_message())) from error
        except KeyboardInterrupt:
            output.say("interrupted")
            sys.exit(INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See click.Group."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See click.Group."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"loadgen.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See click.Group."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """See click.Group."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See click.Group."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None


@click.group(
    cls=LazyGroup,
    context_settings={"auto_envvar_prefix": "LOADGEN", "help_option_names": ["-h", "--help"]},
    epilog="Start with: loadgen init, loadgen check FILE, loadgen run FILE.",
)
@click.version_option(__version__, prog_name="loadgen")
def main() -> None:
    """Load tests for FunctionGraph functions, with latency counted from when each call was due."""
