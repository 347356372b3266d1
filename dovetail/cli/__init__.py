"""The command `dovetail`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from dovetail import __version__
from dovetail.cli import (
    bits,
    build,
    cascade,
    compare,
    convert,
    diff,
    hls,
    listing,
    map,
    patches,
    policy,
    proxy,
    resimulate,
    schedule,
    search,
    serve,
    simulate,
    study,
    sweep,
    verify,
)
from dovetail.cli.output import printable
from dovetail.errors import DovetailError

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells have it."""

app = typer.Typer(
    name="dovetail",
    help="Design neural networks and the accelerators that run them, together.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `dovetail demo`, or with `dovetail simulate resnet50`.",
)
for module in (
    simulate,
    map,
    schedule,
    patches,
    bits,
    sweep,
    diff,
    cascade,
    search,
    compare,
    policy,
    proxy,
    serve,
    study,
    resimulate,
    build,
    convert,
    hls,
    verify,
    listing,
):
    module.register(app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Runs the command line; errors that users can mend are one line and exit code 2."""
    _prepare_streams()
    sys.exit(_run())


def _run() -> int:
    try:
        code = app(standalone_mode=False, prog_name="dovetail")
        sys.stdout.flush()
    except DovetailError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        return _drop_output(1)
    except OSError as error:
        place = error.filename or "standard output"
        return _drop_output(_fail(f"cannot use '{place}': {error.strerror or error}"))
    except MemoryError:
        return _fail("out of memory: take fewer designs, a smaller network or a smaller batch")
    except Exception as error:
        return _fail(_usage(error))
    if code == INTERRUPTED:
        print("dovetail: interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> str:
    """The line of an error in the arguments; any other error is a bug and goes on."""
    message = getattr(error, "format_message", None)
    if message is None:
        raise error
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "dovetail"
    return f"{message()} (see '{command} --help')"


def _fail(message: str) -> int:
    print(f"dovetail: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _prepare_streams() -> None:
    """Gives closed streams a place to go, and names that the terminal cannot show a form."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # for good
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output(code: int) -> int:
    """Sends what the output still holds nowhere, so that Python's exit does not fail on it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
