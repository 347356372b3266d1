"""The command `dovetail`."""

from __future__ import annotations

import os
import sys

import typer

from dovetail import __version__
from dovetail.cli import listing, search, simulate
from dovetail.errors import DovetailError

app = typer.Typer(
    name="dovetail",
    help="Design neural networks and the accelerators that run them, together.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `dovetail demo`, or `dovetail simulate resnet50 --accelerator edge`.",
)
simulate.register(app)
search.register(app)
listing.register(app)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Runs the command line; errors that users can mend are one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except DovetailError as error:
        _fail(str(error))
    except typer.Abort:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")
    except MemoryError:
        _fail("out of memory: fewer or smaller designs, networks or batches are needed")
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _fail(f"{message()} (see 'dovetail --help')")
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    print(f"dovetail: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
