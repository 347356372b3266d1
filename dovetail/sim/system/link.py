"""A link whose transfers share its bandwidth evenly."""

from __future__ import annotations

from dataclasses import dataclass

import simpy

LEFT = 1e-9
"""Share of a transfer that rounding may leave."""


@dataclass(slots=True)
class _Transfer:
    size: float
    left: float
    done: simpy.Event


class Link:
    """Moves bytes; n transfers at once get one n-th of the bandwidth each.

    Args:
        env: of the simulation.
        bytes_per_second: of the link.
    """

    def __init__(self, env: simpy.Environment, bytes_per_second: float) -> None:
        self.env = env
        self.bytes_per_second = bytes_per_second
        self.busy_seconds = 0.0
        self.changed = env.event()
        self._running: list[_Transfer] = []
        self._since = 0.0
        self._planned = 0

    @property
    def active(self) -> bool:
        """Whether anything is on its way; `changed` is when that changes next."""
        return bool(self._running)

    def transfer(self, size: float) -> simpy.Event:
        """Starts a transfer; the event is when it has ended."""
        self._advance()
        if not self._running:
            self._change()
        done = self.env.event()
        self._running.append(_Transfer(size, size, done))
        self._plan()
        return done

    def _advance(self) -> None:
        """Moves all transfers on to the present."""
        passed, self._since = self.env.now - self._since, self.env.now
        if not self._running:
            return
        self.busy_seconds += passed
        moved = passed * self.bytes_per_second / len(self._running)
        for transfer in self._running:
            transfer.left -= moved

    def _plan(self) -> None:
        """Wakes up when the first of them ends; earlier plans lapse."""
        self._planned += 1
        if self._running:
            least = max(0.0, min(transfer.left for transfer in self._running))
            delay = least * len(self._running) / self.bytes_per_second
            wake = self.env.timeout(delay, self._planned)
            assert wake.callbacks is not None
            wake.callbacks.append(self._wake)

    def _wake(self, event: simpy.Event) -> None:
        if event.value != self._planned:
            return
        self._advance()
        # The first to end has ended, whatever rounding left of it: time may not move on for less.
        least = min(transfer.left for transfer in self._running)
        ended = [t for t in self._running if t.left <= max(least, LEFT * t.size)]
        self._running = [t for t in self._running if t.left > max(least, LEFT * t.size)]
        for transfer in ended:
            transfer.done.succeed()
        if not self._running:
            self._change()
        self._plan()

    def _change(self) -> None:
        self.changed.succeed()
        self.changed = self.env.event()
