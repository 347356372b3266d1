"""A queue with servers behind it that take what waits in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import simpy


class Station:
    """Serves requests in order of arrival, several at once if they wait.

    A server that is free takes the oldest request and up to `batch` - 1 more. While there are fewer
    it waits for others, but no longer than until the oldest has waited for `delay` seconds.

    Args:
        env: of the simulation.
        seconds: that a batch of n requests takes.
        servers: that work side by side.
        batch: most requests of one batch.
        delay: how long a request may wait for others.
        engine: held while a batch runs, where stations share it; None for servers of its own.
    """

    def __init__(
        self,
        env: simpy.Environment,
        seconds: Callable[[int], float],
        *,
        servers: int = 1,
        batch: int = 1,
        delay: float = 0.0,
        engine: simpy.Resource | None = None,
    ) -> None:
        self.env, self.seconds = env, seconds
        self.batch, self.delay, self.engine = batch, delay, engine
        self.busy_seconds = 0.0
        self.served = self.batches = 0
        self._waiting: deque[tuple[float, simpy.Event]] = deque()
        self._idle: deque[simpy.Event] = deque()
        self._filling: simpy.Event | None = None
        for _ in range(servers):
            env.process(self._serve())

    def submit(self) -> simpy.Event:
        """Queues a request; the event, when it has been served, holds the seconds of service."""
        done = self.env.event()
        self._waiting.append((self.env.now, done))
        if self._filling is not None:
            if len(self._waiting) >= self.batch:
                self._filling.succeed()
                self._filling = None
        elif self._idle:
            self._idle.popleft().succeed()
        return done

    def _serve(self) -> Generator[simpy.Event, Any, None]:
        while True:
            if not self._waiting or self._filling is not None:
                wake = self.env.event()
                self._idle.append(wake)
                yield wake
                continue
            yield from self._fill()
            if self.engine is None:
                yield from self._run()
            else:
                with self.engine.request() as turn:
                    yield turn
                    yield from self._run()

    def _size(self) -> int:
        return min(self.batch, len(self._waiting))

    def _fill(self) -> Generator[simpy.Event, Any, None]:
        """Waits for a full batch, at most until the oldest request has waited long enough."""
        left = self._waiting[0][0] + self.delay - self.env.now
        if self._size() < self.batch and left > 0:
            self._filling = self.env.event()
            yield self._filling | self.env.timeout(left)
            self._filling = None

    def _run(self) -> Generator[simpy.Event, Any, None]:
        group = [self._waiting.popleft()[1] for _ in range(self._size())]
        if not group:  # another server took all at the same time
            return
        if self._waiting and self._idle:
            self._idle.popleft().succeed()
        seconds = self.seconds(len(group))
        yield self.env.timeout(seconds)
        self.busy_seconds += seconds
        self.served += len(group)
        self.batches += 1
        for done in group:
            done.succeed(seconds)
