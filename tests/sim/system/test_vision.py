"""Stations and the vision server: queueing, batching, and capacity as closed forms have them."""

from __future__ import annotations

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import ProblemError
from dovetail.sim.system.stations import Station
from dovetail.sim.system.vision import Broker, Image, Network, VisionServer, answer

IMAGE = Image(500, 375, 121e3)


def ends(station: Station, env: simpy.Environment, arrivals: list[float]) -> list[float]:
    found = [0.0] * len(arrivals)

    def ask(i: int, at: float) -> simpy.events.ProcessGenerator:
        yield env.timeout(at)
        yield station.submit()
        found[i] = env.now

    for i, at in enumerate(arrivals):
        env.process(ask(i, at))
    env.run()
    return found


def test_a_batch_waits_for_others_but_not_for_long() -> None:
    env = simpy.Environment()
    station = Station(env, lambda n: 10.0, batch=3, delay=4.0)
    # 0 and 1 go at 4; 5, 6, 7 wait for the server, then fill a batch; 30 goes alone at 34
    assert ends(station, env, [0, 1, 5, 6, 7, 30]) == [14, 14, 24, 24, 24, 44]
    assert (station.batches, station.served, station.busy_seconds) == (3, 6, 30)


def test_a_full_batch_goes_at_once() -> None:
    env = simpy.Environment()
    station = Station(env, lambda n: 1.0, batch=2, delay=100.0)
    assert ends(station, env, [0, 3, 3, 4]) == [4, 4, 5, 5]


def test_servers_side_by_side() -> None:
    env = simpy.Environment()
    station = Station(env, lambda n: 2.0, servers=2)
    assert ends(station, env, [0, 0, 0, 0, 1]) == [2, 2, 4, 4, 6]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 5),
    st.sampled_from([0.0, 3.0]),
)  # fmt: skip
def test_everyone_is_served_once(
    arrivals: list[float], servers: int, batch: int, delay: float
) -> None:
    env = simpy.Environment()
    station = Station(env, lambda n: 1.0 + n, servers=servers, batch=batch, delay=delay)
    found = ends(station, env, arrivals)
    assert all(end >= at + 2 - 1e-9 for end, at in zip(found, arrivals, strict=True))
    assert station.served == len(arrivals)
    assert station.batches >= len(arrivals) / batch
    assert station.busy_seconds == pytest.approx(station.batches + station.served)


def test_random_arrivals_at_one_server_wait_as_in_theory() -> None:
    env = simpy.Environment()
    arrivals = np.cumsum(np.random.default_rng(5).exponential(1 / 0.6, 20_000))
    station = Station(env, lambda n: 1.0)
    found = np.array(ends(station, env, arrivals.tolist()))
    assert (found - arrivals - 1).mean() == pytest.approx(0.6 / (2 * 0.4), rel=0.05)


def test_latency_without_load_is_the_sum_of_its_parts() -> None:
    server = VisionServer(second=Network(1e-3, 1e-4))
    found = answer(server, IMAGE, clients=1, requests=5)
    total = sum(part.mean() for part in found.parts.values())
    assert found.latency.mean() == pytest.approx(total)
    assert found.parts["preprocess"][0] == pytest.approx(0.018 * 0.1875)
    assert found.parts["transfer"][0] == pytest.approx(20e-6 + 602_112 / 12e9)


PAIR = {"cores": 200, "second": Network(1e-3, 1e-4), "results": 4}


@pytest.mark.parametrize(
    ("server", "least"),
    [
        (VisionServer(cores=4), 0.98),
        (VisionServer(cores=64), 0.98),
        (VisionServer(accelerated=0.002), 0.95),
        (VisionServer(bus_bytes_per_second=2e8), 0.98),
        (VisionServer(**PAIR), 0.9),  # type: ignore[arg-type]
        (VisionServer(**PAIR, broker=Broker(1e-3, 1e9)), 0.98),  # type: ignore[arg-type]
    ],
)
def test_many_clients_reach_the_capacity_of_the_busiest_part(
    server: VisionServer, least: float
) -> None:
    """Where networks take turns, batches are not always full."""
    found = answer(server, IMAGE, clients=400, requests=6000)
    assert least <= found.throughput / server.capacity(IMAGE) <= 1.01


def test_larger_images_are_slower_and_more_cores_faster() -> None:
    sizes = [Image(w, w, w * w / 2) for w in (100, 400, 1600)]
    seconds = [answer(VisionServer(), i, clients=1, requests=2).latency.mean() for i in sizes]
    assert seconds == sorted(seconds)
    rates = [
        answer(VisionServer(cores=n), sizes[2], clients=64, requests=400).throughput
        for n in (1, 4, 16)
    ]
    assert rates == pytest.approx([rates[0], 4 * rates[0], 16 * rates[0]], rel=0.05)


def test_what_makes_no_sense() -> None:
    with pytest.raises(ProblemError, match="cores = 0"):
        VisionServer(cores=0)
    with pytest.raises(ProblemError, match="no bandwidth"):
        VisionServer(bus_bytes_per_second=0)
    with pytest.raises(ProblemError, match="0 clients"):
        answer(VisionServer(), IMAGE, clients=0, requests=1)
