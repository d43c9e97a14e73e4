"""Write docs/reference/cli.md from the commands' own help: python docs/commands.py."""

from pathlib import Path

import click

from cosup.cli import main

PAGE = Path(__file__).parent / "reference" / "cli.md"
WIDTH = 86


def page() -> str:
    """Every command's help, in the order in which `cosup --help` lists them."""
    parts = [
        "# Command line\n",
        "Every command as its own `--help` describes it. The page is written by `python docs/commands.py`.\n",
    ]
    context = click.Context(main, info_name="cosup")
    commands = [(name, main.get_command(context, name)) for name in main.list_commands(context)]
    parts.append(" · ".join(f"[{name}](#cosup-{name})" for name, _ in commands) + "\n")
    for name, command in [("", main), *commands]:
        title = f"cosup {name}".strip()
        inner = click.Context(command, info_name=title, terminal_width=WIDTH, **main.context_settings)
        parts.append(f"## {title}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
