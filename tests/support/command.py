"""The command line, run in this process."""

from click.testing import CliRunner

from cosup.cli import main


def run(*arguments, code=0):
    """Run ``cosup`` and return click's result; an unexpected exit code or exception fails the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result
