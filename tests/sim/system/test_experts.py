"""The server of experts: queueing theory, caching, sharing, and the numbers of the SN40L paper."""

from __future__ import annotations

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.server import SERVERS, Server, load_server
from dovetail.errors import AcceleratorError, ProblemError, UnknownNameError
from dovetail.sim.system.cache import ExpertCache
from dovetail.sim.system.experts import Served, places_of, serve
from dovetail.sim.system.link import Link
from dovetail.sim.system.workload import LanguageModel, Workload

NO_KV = LanguageModel(kv_bytes_per_token=0)


def test_transfers_share_a_link() -> None:
    env = simpy.Environment()
    link = Link(env, 10.0)
    ends: dict[str, float] = {}

    def move(name: str, start: float, size: float) -> simpy.events.ProcessGenerator:
        yield env.timeout(start)
        yield link.transfer(size)
        ends[name] = env.now

    env.process(move("a", 0, 100))
    env.process(move("b", 4, 20))
    env.process(move("c", 30, 50))
    env.run()
    # alone: 40 moved by 4 s; then half each: b ends at 8 s, a has 40 left and ends at 12 s
    assert ends == pytest.approx({"b": 8, "a": 12, "c": 35})
    assert link.busy_seconds == pytest.approx(17)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.001, 100)), min_size=1, max_size=20))
def test_a_link_is_never_idle_while_it_has_work(transfers: list[tuple[float, float]]) -> None:
    env = simpy.Environment()
    link = Link(env, 7.0)

    def move(start: float, size: float) -> simpy.events.ProcessGenerator:
        yield env.timeout(start)
        yield link.transfer(size)
        assert env.now >= start + size / 7.0 - 1e-9

    for start, size in transfers:
        env.process(move(start, size))
    env.run()
    assert link.busy_seconds == pytest.approx(sum(size for _, size in transfers) / 7.0)


def test_late_transfers_of_a_few_bytes_end() -> None:
    """What rounding leaves of one may be less than the clock can tell."""
    env = simpy.Environment()
    link = Link(env, 12e9)

    def move() -> simpy.events.ProcessGenerator:
        yield env.timeout(1e6 + 0.1)
        for size in (3.0, 4e3, 1e-3, 9.5e6):
            yield link.transfer(size) & link.transfer(size / 3)

    env.run(env.process(move()))
    assert env.now == pytest.approx(1e6 + 0.1)


@given(st.integers(1, 6), st.lists(st.integers(0, 9), max_size=60))
def test_the_least_recently_used_goes(places: int, visits: list[int]) -> None:
    cache = ExpertCache(places)
    recent: list[int] = []
    for expert in visits:
        assert cache.take(expert) == (expert in recent[-places:])
        cache.release(expert)
        recent = [other for other in recent if other != expert] + [expert]
    assert list(cache.held()) == recent[-places:]
    assert cache.hits + cache.misses == len(visits)


def test_an_expert_in_use_stays() -> None:
    cache = ExpertCache(2)
    cache.take(0), cache.take(1)
    cache.release(1)
    cache.take(2)
    assert cache.held() == (0, 2)
    with pytest.raises(ProblemError, match="all 2 experts"):
        cache.take(3)


def whole(served: Served) -> None:
    """Every latency is the sum of its parts, none of which is negative."""
    parts = (served.waiting, served.routing, served.switching, served.running)
    assert all(part.min() > -1e-9 for part in parts)
    assert served.engine_seconds <= served.seconds * (1 + 1e-9)
    assert served.copy_seconds <= served.seconds * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(SERVERS)), st.integers(1, 8), st.integers(0, 3), st.integers(1, 40),
    st.sampled_from([None, 2.0, 50.0]), st.sampled_from([0, 1]), st.sampled_from([0.0, 1.2]),
    st.integers(0, 5),
)  # fmt: skip
def test_time_adds_up(
    name: str, batch: int, ahead: int, clients: int, rate: float | None, router: int,
    skew: float, seed: int,
) -> None:  # fmt: skip
    work = Workload(
        requests=200, clients=clients, rate=rate, router_tokens=router, prompt_tokens=64,
        skew=skew, output_tokens=(5, 50), seed=seed,
    )  # fmt: skip
    found = serve(SERVERS[name], work, batch=batch, ahead=ahead)
    whole(found)
    again = serve(SERVERS[name], work, batch=batch, ahead=ahead)
    assert np.array_equal(found.latency, again.latency)
    assert found.batches >= 200 / batch
    least = work.model.decode_seconds(SERVERS[name], 1, 64, 5)
    assert found.latency.min() >= least


def test_random_arrivals_wait_as_in_an_m_d_1_queue() -> None:
    model = LanguageModel(kv_bytes_per_token=0)
    server = SERVERS["sn40l"]
    service = model.decode_seconds(server, 1, 0, 20)
    load = 0.7
    work = Workload(model, experts=1, requests=40_000, rate=load / service, seed=3)
    found = serve(server, work)
    theory = service * load / (2 * (1 - load))
    assert found.waiting.mean() == pytest.approx(theory, rel=0.05)
    assert found.engine_seconds / found.seconds == pytest.approx(load, rel=0.02)


def test_hits_of_evenly_chosen_experts() -> None:
    found = serve(SERVERS["sn40l"], Workload(requests=20_000))
    assert found.places == 40
    assert found.hits / found.batches == pytest.approx(40 / 150, abs=0.01)


def test_copying_ahead_hides_copies() -> None:
    work = Workload(requests=500, clients=20, skew="cyclic", output_tokens=(200, 200))
    plain, ahead = (serve(SERVERS["sn40l"], work, ahead=n) for n in (0, 2))
    run = work.model.decode_seconds(SERVERS["sn40l"], 1, 0, 200)
    copy = SERVERS["sn40l"].switch_seconds(work.model.weight_bytes)
    assert plain.seconds == pytest.approx(500 * (run + copy))
    slowed = copy * (1 - SERVERS["sn40l"].pace)
    assert 0.07 < 1 - SERVERS["sn40l"].pace < 0.08
    # The first three are copied side by side; all others while a batch runs.
    assert ahead.seconds == pytest.approx(3 * copy + 500 * run + 497 * slowed)
    whole(ahead)


def test_batches_answer_more_per_second() -> None:
    work = Workload(experts=2, requests=800, clients=32, output_tokens=(100, 100))
    seconds = [serve(SERVERS["dgx_h100"], work, batch=n).seconds for n in (1, 4, 16)]
    assert seconds[0] > 2 * seconds[1] > 2 * seconds[2]


@pytest.mark.parametrize(("name", "paper"), [("dgx_h100", 15), ("dgx_a100", 31)])
def test_switching_is_15_and_31_times_faster(name: str, paper: float) -> None:
    work = Workload(requests=100, skew="cyclic")
    ours, theirs = (serve(SERVERS[n], work).switching.mean() for n in ("sn40l", name))
    assert ours == pytest.approx(13.48e-3)
    assert theirs / ours == pytest.approx(paper, rel=0.05)


def test_footprint() -> None:
    ours, dgx = SERVERS["sn40l"], SERVERS["dgx_a100"]
    assert ours.store_gib / (dgx.sockets * dgx.hbm_gib) == pytest.approx(19.2)


@pytest.mark.parametrize(
    ("name", "tokens", "model"),
    [("dgx_a100", 200, 6.52), ("dgx_h100", 200, 3.77), ("dgx_a100", 20, 15.0),
     ("dgx_h100", 20, 7.8)],
)  # fmt: skip
def test_answers_of_one_prompt(name: str, tokens: int, model: float) -> None:
    """Every request switches: the model of the specification, 6.6x and 3.7x in the paper."""
    work = Workload(NO_KV, requests=200, skew="cyclic", output_tokens=(tokens, tokens))
    ours, theirs = (serve(SERVERS[n], work).latency.mean() for n in ("sn40l", name))
    assert theirs / ours == pytest.approx(model, rel=0.01)


def test_places_beside_the_router() -> None:
    assert places_of(SERVERS["sn40l"], Workload()) == 40
    assert places_of(SERVERS["sn40l"], Workload(router_tokens=1)) == 39
    assert places_of(SERVERS["sn40l"], Workload(experts=3)) == 3


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"experts": 0}, "0 experts"),
        ({"requests": 0}, "0 requests"),
        ({"output_tokens": (5, 4)}, "5 to 4 output tokens"),
        ({"rate": 0.0}, "rate of 0.0"),
        ({"clients": 0}, "0 clients"),
        ({"skew": "much"}, "skew much"),
        ({"prompt_tokens": -1}, "-1 prompt tokens"),
        ({"router_tokens": -1}, "-1 router tokens"),
    ],
)
def test_workloads_that_make_no_sense(values: dict[str, object], line: str) -> None:
    with pytest.raises(ProblemError, match=line):
        Workload(**values)  # type: ignore[arg-type]


def test_servers_that_cannot_serve() -> None:
    with pytest.raises(ProblemError, match=r"150 experts of 13\.5 GB exceed its store_gib = 1000"):
        serve(Server(store_gib=1000.0), Workload())
    with pytest.raises(ProblemError, match="no expert beside the router"):
        serve(Server(hbm_gib=1.0), Workload())
    with pytest.raises(ProblemError, match="holds 2 experts; copying 4 ahead needs 5"):
        serve(Server(hbm_gib=3.2), Workload(), ahead=4)
    with pytest.raises(ProblemError, match="batch 0"):
        serve(Server(), Workload(), batch=0)


def test_servers_from_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nsockets: 4\nswitch_gb_per_s: 200\n")
    assert load_server(str(file), {}).switch_seconds(2e9) == pytest.approx(0.01)
    assert load_server(str(file), {"sockets": 2}).sockets == 2
    file.write_text("sockets: 0\n")
    with pytest.raises(AcceleratorError, match="sockets = 0: must be"):
        load_server(str(file), {})
    file.write_text("- 1\n")
    with pytest.raises(AcceleratorError, match="one per parameter"):
        load_server(str(file), {})
    with pytest.raises(UnknownNameError, match="sn40l"):
        load_server("sn40", {})
    with pytest.raises(AcceleratorError, match="leaves nothing"):
        load_server("sn40l", {"reserved_gib": 600})
