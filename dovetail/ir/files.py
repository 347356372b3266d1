"""Files that appear complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dovetail.errors import OutputError


@contextmanager
def replaced_file(path: Path | str) -> Iterator[Path]:
    """Yields a temporary name in the folder of `path`, which takes its place on success.

    A link stays and its target is replaced; a device or pipe is yielded itself.

    Args:
        path: the file to write; its folder is made if it is missing.

    Raises:
        OutputError: if the folder or the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if target.exists() and not target.is_file():
            yield target
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write '{path}': {reason}; choose a folder that can be written"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Writes UTF-8 text to a file that appears complete or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
