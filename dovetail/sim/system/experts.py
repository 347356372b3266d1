"""Composition of Experts: requests, a router, an LRU of experts in fast memory, copies, batches.

All sockets work on one batch at a time. A request goes to the router, which picks its expert; it
waits in the expert's queue. The batch whose first request came first is next; it takes all that
wait for its expert, up to a limit. Its expert is copied from the large memory unless fast memory
holds it; with `ahead` > 0 that happens while the batches before it run. Copies that run at once
share the bandwidth, and take some of fast memory's from the batch that runs. A batch runs until its
longest answer is complete.

Left out: launch times, and batches that requests join or leave while they run.

References:
    Prabhakar et al., SambaNova SN40L, MICRO 2024, arXiv 2405.07518, section 5.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import simpy

from dovetail.arch.server import Server
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray
from dovetail.sim.system.cache import ExpertCache
from dovetail.sim.system.link import Link
from dovetail.sim.system.workload import Workload

Process: TypeAlias = Generator[simpy.Event, Any, None]
Progress: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class Served:
    """What a server made of a workload; arrays hold one value per request, in seconds.

    Attributes:
        latency: from arrival to the last token.
        routing: on the router, its queue left out.
        switching: its batch could run but for the copy of its expert.
        running: its batch ran.
        seconds: until the last answer.
        batches: that ran.
        hits: batches whose expert fast memory held already.
        engine_seconds: the sockets were at work.
        copy_seconds: at least one copy ran.
        places: experts that fast memory holds.
    """

    latency: FloatArray
    routing: FloatArray
    switching: FloatArray
    running: FloatArray
    seconds: float
    batches: int
    hits: int
    engine_seconds: float
    copy_seconds: float
    places: int

    @property
    def waiting(self) -> FloatArray:
        """What is left of each latency: in queues behind other requests."""
        return self.latency - self.routing - self.switching - self.running

    def percentile(self, share: float) -> float:
        """Latency that so many percent of the requests do not exceed."""
        return float(np.percentile(self.latency, share))


def serve(
    server: Server,
    workload: Workload,
    *,
    batch: int = 1,
    ahead: int = 0,
    progress: Progress | None = None,
) -> Served:
    """Simulates a server of experts.

    Args:
        server: what serves.
        workload: what is asked.
        batch: most requests of one expert that run together.
        ahead: batches whose experts may be copied while another one runs.
        progress: called with the number of answers so far, now and then.

    Raises:
        ProblemError: if the experts do not fit into the large memory, or too few into the fast.
    """
    if batch < 1 or ahead < 0:
        raise ProblemError(f"batch {batch}, ahead {ahead}: must be at least 1 and at least 0")
    return _Simulation(server, workload, batch, ahead, progress).run()


def places_of(server: Server, workload: Workload) -> int:
    """Experts that fit into fast memory beside the router."""
    size = workload.model.weight_bytes
    routers = 1 if workload.router_tokens else 0
    return min(workload.experts, int(server.fast_bytes / size) - routers)


class _Simulation:
    def __init__(
        self, server: Server, workload: Workload, batch: int, ahead: int, progress: Progress | None
    ) -> None:
        self.server, self.workload, self.limit = server, workload, batch
        self.progress = progress
        size = workload.model.weight_bytes
        if workload.experts * size > server.store_gib * 2**30:
            raise ProblemError(
                f"server '{server.name}': {workload.experts} experts of {size / 1e9:.1f} GB exceed "
                f"its store_gib = {server.store_gib:g}"
            )
        self.cache = ExpertCache(places_of(server, workload))
        if self.cache.places < min(1 + ahead, workload.experts):
            raise ProblemError(
                f"server '{server.name}': fast memory holds {self.cache.places} experts; copying "
                f"{ahead} ahead needs {1 + ahead}"
            )
        self.env = simpy.Environment()
        self.engine = simpy.Resource(self.env)
        self.link = Link(self.env, server.switch_gb_per_s * 1e9)
        self.slots = simpy.Container(self.env, 1 + ahead, 1 + ahead)
        self.unrouted: deque[int] = deque()
        self.order: deque[int] = deque()
        self.queues: dict[int, deque[int]] = {}
        self.copies: dict[int, simpy.Event] = {}
        self.more = self.env.event()
        self.to_route = self.env.event()
        self.last_run: simpy.Event = self.env.event().succeed()
        self.answers = self.batches = 0
        self.engine_seconds = 0.0
        count = workload.requests
        self.experts, self.tokens, self.arrivals = (a.tolist() for a in workload.draw())
        self.came, self.ended = np.zeros(count), np.zeros(count)
        self.routing, self.switching, self.running = (np.zeros(count) for _ in range(3))
        self.taken = bytearray(count)
        self.answered: list[simpy.Event | None] = [None] * count
        self.done = self.env.event()

    def run(self) -> Served:
        """Runs until the last answer."""
        self.env.process(self._stage())
        if self.workload.router_tokens:
            self.env.process(self._route())
        if self.workload.rate is not None:
            self.env.process(self._arrive())
        else:
            asking = iter(range(self.workload.requests))
            for _ in range(min(self.workload.clients, self.workload.requests)):
                self.env.process(self._ask(asking))
        self.env.run(self.done)
        return Served(
            latency=self.ended - self.came,
            routing=self.routing,
            switching=self.switching,
            running=self.running,
            seconds=self.env.now,
            batches=self.batches,
            hits=self.cache.hits,
            engine_seconds=self.engine_seconds,
            copy_seconds=self.link.busy_seconds,
            places=self.cache.places,
        )

    def _arrive(self) -> Process:
        for request, at in enumerate(self.arrivals):
            yield self.env.timeout(at - self.env.now)
            self._accept(request)

    def _ask(self, asking: Iterator[int]) -> Process:
        """A client: asks, waits for the answer, asks again."""
        for request in asking:
            answer = self.answered[request] = self.env.event()
            self._accept(request)
            yield answer

    def _accept(self, request: int) -> None:
        self.came[request] = self.env.now
        if self.workload.router_tokens:
            self.unrouted.append(request)
            _signal(self.to_route)
        else:
            self._enqueue(request)

    def _enqueue(self, request: int) -> None:
        self.order.append(request)
        self.queues.setdefault(self.experts[request], deque()).append(request)
        _signal(self.more)

    def _route(self) -> Process:
        """Picks experts for all that wait, up to a batch at once, on the sockets themselves."""
        work, model = self.workload, self.workload.model
        while True:
            if not self.unrouted:
                self.to_route = self.env.event()
                yield self.to_route
            with self.engine.request() as turn:
                yield turn
                count = min(self.limit, len(self.unrouted))
                group = [self.unrouted.popleft() for _ in range(count)]
                seconds = model.prompt_seconds(self.server, count, work.prompt_tokens)
                seconds += model.decode_seconds(
                    self.server, count, work.prompt_tokens, work.router_tokens
                )
                seconds = yield from self._work(seconds)
            for request in group:
                self.routing[request] = seconds
                self._enqueue(request)

    def _work(self, seconds: float) -> Generator[simpy.Event, Any, float]:
        """Runs what takes so long without copies; returns how long it took with them."""
        begin, left = self.env.now, seconds
        while True:
            since, pace = self.env.now, self.server.pace if self.link.active else 1.0
            end = self.env.timeout(left / pace)
            yield end | self.link.changed
            if end.processed:
                break
            left = max(0.0, left - (self.env.now - since) * pace)
        took = self.env.now - begin
        self.engine_seconds += took
        return took

    def _stage(self) -> Process:
        """Forms batches in order and starts the copies that they need."""
        while True:
            yield self.slots.get(1)
            if not self.order:
                self.more = self.env.event()
                yield self.more
            expert = self.experts[self.order[0]]
            queue = self.queues[expert]
            group = [queue.popleft() for _ in range(min(self.limit, len(queue)))]
            self._forget(group)
            if not self.cache.take(expert):
                self.copies[expert] = self.link.transfer(self.workload.model.weight_bytes)
            turn, self.last_run = self.last_run, self.env.event()
            self.env.process(self._run_batch(expert, group, turn, self.last_run))

    def _forget(self, group: list[int]) -> None:
        """Takes requests out of the order; those behind others go when they come first."""
        for request in group:
            self.taken[request] = True
        while self.order and self.taken[self.order[0]]:
            self.order.popleft()

    def _run_batch(
        self, expert: int, group: list[int], turn: simpy.Event, done: simpy.Event
    ) -> Process:
        """Waits for its turn, its expert and the sockets; answers; frees its slot."""
        yield turn
        waited = self.env.now
        if not self.copies[expert].processed:
            yield self.copies[expert]
        switched = self.env.now - waited
        with self.engine.request() as engine:
            yield engine
            seconds = yield from self._work(self._batch_seconds(group))
        self.cache.release(expert)
        self.batches += 1
        for request in group:
            self.switching[request] = switched
            self.running[request] = seconds
            self._answer(request)
        done.succeed()
        yield self.slots.put(1)

    def _batch_seconds(self, group: list[int]) -> float:
        work, model = self.workload, self.workload.model
        longest = max(self.tokens[request] for request in group)
        prompt = work.prompt_tokens
        return model.prompt_seconds(self.server, len(group), prompt) + model.decode_seconds(
            self.server, len(group), prompt, longest
        )

    def _answer(self, request: int) -> None:
        self.ended[request] = self.env.now
        self.answers += 1
        waiter = self.answered[request]
        if waiter is not None:
            waiter.succeed()
        if self.progress is not None and self.answers % 512 == 0:
            self.progress(self.answers)
        if self.answers == self.workload.requests:
            self.done.succeed()


def _signal(event: simpy.Event) -> None:
    """Wakes up who waits; nobody may."""
    if not event.triggered:
        event.succeed()
