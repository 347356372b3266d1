"""Messages about files that nobody vouches for."""

from __future__ import annotations

MESSAGE_CHARACTERS = 400


def one_line(text: str) -> str:
    """The text as one printable line of at most `MESSAGE_CHARACTERS`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MESSAGE_CHARACTERS else line[: MESSAGE_CHARACTERS - 1] + "…"
