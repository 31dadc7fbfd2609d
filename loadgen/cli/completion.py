"""``loadgen completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog='bash: eval "$(loadgen completion bash)" in ~/.bashrc; zsh: the same with zsh in ~/.zshrc; fish: '
    "loadgen completion fish > ~/.config/fish/completions/loadgen.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that has a SHELL complete loadgen's commands and options."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "loadgen", "_LOADGEN_COMPLETE").source())
