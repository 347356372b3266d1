"""A vision server around its networks: decoding, transfer, batching, a broker, a second network.

A request is an image: it is decoded, resized and normalized on a core of the host (or on the
accelerator), moved over the bus, and waits for a batch. If the first network's results feed a
second one, each of them goes through a message broker first.

References:
    Beyond Inference: Performance Analysis of DNN Server Overheads for Computer Vision, DAC 2024,
    arXiv 2403.12981.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import simpy

from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray
from dovetail.sim.system.link import Link
from dovetail.sim.system.stations import Station

Process: TypeAlias = Generator[simpy.Event, Any, None]
PARTS = ("preprocess", "transfer", "inference", "broker", "second")


@dataclass(frozen=True, slots=True)
class Image:
    """What a client sends.

    Attributes:
        width: pixels.
        height: pixels.
        file_bytes: compressed.
    """

    width: int
    height: int
    file_bytes: float

    @property
    def megapixels(self) -> float:
        """Pixels in millions."""
        return self.width * self.height / 1e6


@dataclass(frozen=True, slots=True)
class Network:
    """Time of a batch of n on the accelerator: `fixed` + n `each`, seconds.

    Attributes:
        fixed: launches, weights.
        each: per input.
    """

    fixed: float = 2.0e-3
    each: float = 0.65e-3

    def seconds(self, batch: int) -> float:
        """Of one batch."""
        return self.fixed + batch * self.each


@dataclass(frozen=True, slots=True)
class Broker:
    """Moves messages between two networks, one by one.

    Attributes:
        seconds_per_message: handling.
        bytes_per_second: of the memory or disk that it keeps them in.
    """

    seconds_per_message: float
    bytes_per_second: float

    def seconds(self, size: float) -> float:
        """Of one message."""
        return self.seconds_per_message + size / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class VisionServer:
    """A host and an accelerator.

    Attributes:
        network: runs on every image.
        cores: of the host that preprocess.
        seconds_per_megapixel: decode, resize, normalize on one core.
        accelerated: megapixels are preprocessed by the accelerator, in so many seconds each, which
            then cannot infer; None for the cores.
        tensor_bytes: that the network reads for an image.
        bus_bytes_per_second: between host and accelerator.
        bus_seconds: latency of a transfer.
        batch: most images of a batch.
        delay: seconds that an image may wait for others.
        second: network on each of the first one's results; None for none.
        results: of an image.
        result_bytes: of one.
        broker: before the second network.
    """

    network: Network = field(default_factory=Network)
    cores: int = 16
    seconds_per_megapixel: float = 0.018
    accelerated: float | None = None
    tensor_bytes: float = 224 * 224 * 3 * 4.0
    bus_bytes_per_second: float = 12e9
    bus_seconds: float = 20e-6
    batch: int = 64
    delay: float = 0.0
    second: Network | None = None
    results: int = 1
    result_bytes: float = 112 * 112 * 3 * 4.0
    broker: Broker = field(default_factory=lambda: Broker(20e-6, 5e9))

    def __post_init__(self) -> None:
        for name in ("cores", "batch", "results"):
            if getattr(self, name) < 1:
                raise ProblemError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.bus_bytes_per_second <= 0 or self.broker.bytes_per_second <= 0:
            raise ProblemError("a bus or broker of no bandwidth moves nothing: enlarge it")

    def preprocess_seconds(self, image: Image) -> float:
        """Of one image, where it is done."""
        pace = self.seconds_per_megapixel if self.accelerated is None else self.accelerated
        return pace * image.megapixels

    def moved_bytes(self, image: Image) -> float:
        """Over the bus: the tensor, or the file if the accelerator decodes it."""
        return self.tensor_bytes if self.accelerated is None else image.file_bytes

    def capacity(self, image: Image) -> float:
        """Images per second of the busiest part, were batches always full."""
        engine = self.network.seconds(self.batch) / self.batch
        if self.second is not None:
            engine += self.results * self.second.seconds(self.batch) / self.batch
        host = self.preprocess_seconds(image)
        if self.accelerated is not None:
            engine, host = engine + host, 0.0
        bus = self.moved_bytes(image) / self.bus_bytes_per_second
        messages = self.results * self.broker.seconds(self.result_bytes) if self.second else 0.0
        return 1 / max(engine, host / self.cores, bus, messages)


@dataclass(frozen=True)
class Answers:
    """What clients saw.

    Attributes:
        latency: (requests,) seconds.
        parts: (requests,) seconds of service by part, of its whole batch; the rest of a latency is
            waiting.
        ends: (requests,) seconds at which the answers came.
    """

    latency: FloatArray
    parts: dict[str, FloatArray]
    ends: FloatArray

    @property
    def throughput(self) -> float:
        """Answers per second between the first tenth and the last tenth of them."""
        ends = np.sort(self.ends)
        first, last = len(ends) // 10, len(ends) - 1 - len(ends) // 10
        return float((last - first) / (ends[last] - ends[first]))

    def share(self, *parts: str) -> float:
        """Share of the mean latency that some parts take."""
        return float(sum(self.parts[part].mean() for part in parts) / self.latency.mean())


def answer(server: VisionServer, image: Image, *, clients: int, requests: int) -> Answers:
    """Simulates clients that each send an image, wait for the answer, and send the next.

    Args:
        server: that answers.
        image: that they send.
        clients: side by side; one sees the latency without load.
        requests: in all.

    Raises:
        ProblemError: without clients or requests.
    """
    if clients < 1 or requests < 1:
        raise ProblemError(f"{clients} clients, {requests} requests: must be at least 1 of each")
    return _Simulation(server, image, requests).run(clients)


class _Simulation:
    def __init__(self, server: VisionServer, image: Image, requests: int) -> None:
        self.server, self.image = server, image
        env = self.env = simpy.Environment()
        engine = simpy.Resource(env)
        pre = server.preprocess_seconds(image)
        on_host = server.accelerated is None
        self.preprocess = Station(
            env,
            lambda n: n * pre,
            servers=server.cores if on_host else 1,
            batch=1 if on_host else server.batch,
            engine=None if on_host else engine,
        )
        self.bus = Link(env, server.bus_bytes_per_second)
        self.first = Station(
            env, server.network.seconds, batch=server.batch, delay=server.delay, engine=engine
        )
        second = server.second or server.network
        self.second = Station(
            env, second.seconds, batch=server.batch, delay=server.delay, engine=engine
        )
        message = server.broker.seconds(server.result_bytes)
        self.broker = Station(env, lambda n: n * message)
        self.latency, self.ends = np.zeros(requests), np.zeros(requests)
        self.parts = {part: np.zeros(requests) for part in PARTS}

    def run(self, clients: int) -> Answers:
        asking = iter(range(len(self.latency)))
        done = [self.env.process(self._client(asking)) for _ in range(clients)]
        self.env.run(simpy.AllOf(self.env, done))
        return Answers(self.latency, self.parts, self.ends)

    def _client(self, asking: Iterator[int]) -> Process:
        for request in asking:
            begin = self.env.now
            yield from self._request(request)
            self.ends[request] = self.env.now
            self.latency[request] = self.env.now - begin

    def _request(self, request: int) -> Process:
        steps = [self._decode, self._move]
        for step in steps if self.server.accelerated is None else reversed(steps):
            yield from step(request)
        self.parts["inference"][request] = yield self.first.submit()
        if self.server.second is not None:
            results = [self.env.process(self._result(request)) for _ in range(self.server.results)]
            yield simpy.AllOf(self.env, results)

    def _decode(self, request: int) -> Process:
        self.parts["preprocess"][request] = yield self.preprocess.submit()

    def _move(self, request: int) -> Process:
        begin = self.env.now
        yield self.env.timeout(self.server.bus_seconds)
        yield self.bus.transfer(self.server.moved_bytes(self.image))
        self.parts["transfer"][request] = self.env.now - begin

    def _result(self, request: int) -> Process:
        """One result through the broker and the second network; the last one's times stay."""
        self.parts["broker"][request] = yield self.broker.submit()
        self.parts["second"][request] = yield self.second.submit()
