"""Ctrl-C as a wish: searches end at their next step and answer with the best so far.

An exception would come out of the middle of anything, and compiled kernels turn it into another.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_wished = threading.Event()


def stop_requested() -> bool:
    """Whether the user wants searches to end now."""
    return _wished.is_set()


@contextmanager
def ending_on_interrupt() -> Iterator[None]:
    """Within it, the first Ctrl-C sets `stop_requested`; the second is a KeyboardInterrupt.

    In other threads than the main one it does nothing, because they get no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def wish(number: int, frame: FrameType | None) -> None:
        if _wished.is_set():
            raise KeyboardInterrupt
        _wished.set()

    before = signal.signal(signal.SIGINT, wish)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _wished.clear()
