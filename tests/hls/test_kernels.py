"""Every kernel: DSLX, its Verilog and its reference agree bit by bit; latency and II are real."""

from dataclasses import replace

import numpy as np
import pytest

from dovetail.arch.kernels import builds
from dovetail.hls import KERNELS, build, interpret
from dovetail.verify.hls_cases import CHECKS
from dovetail.verify.hls_checks import as_bits
from dovetail.verify.hls_judge import judge, measured
from dovetail.verify.hls_run import simulate, verify_kernel
from tests.rtl.icarus import require_icarus

FORMS = [(name, form) for name, check in CHECKS.items() for form in check.forms]
IDS = ["-".join([name, *(f"{k}{v}" for k, v in form.items())]) for name, form in FORMS]


@pytest.fixture(autouse=True)
def _needs_xls():
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")


def test_every_kernel_is_checked():
    assert set(CHECKS) == set(KERNELS)
    assert all({} in check.forms for check in CHECKS.values())


@pytest.mark.parametrize(
    ("kernel", "form"), [form for form in FORMS if not KERNELS[form[0]].stream], ids=str
)
def test_interpretation_equals_the_reference(kernel, form):
    values = KERNELS[kernel].values(form)
    table = CHECKS[kernel].vectors(values, np.random.default_rng(3), 2000)
    expected = CHECKS[kernel].reference(values, table)
    results = np.array(interpret(kernel, table.tolist(), form), dtype=object)
    width = build(kernel, form).out_bits
    wrong = np.flatnonzero(results != as_bits(expected, width))
    assert not len(wrong), f"{table[wrong[0]]}: {results[wrong[0]]:x}, not {expected[wrong[0]]:x}"
    # The vectors reach many results, not just the few that saturation gives.
    assert len(set(results)) > min(2 ** (width - 1), 500)


@pytest.mark.parametrize(
    ("kernel", "form"),
    [
        ("requantize", {"acc": 8, "multiplier": 7, "shift": 1, "out": 16}),  # as wide as it may be
        ("requantize", {"acc": 2, "multiplier": 1, "shift": 2, "out": 2}),
        ("quantize", {"in": 2, "shift": 2, "out": 4, "saturate": 0}),
        ("quantize", {"in": 44, "shift": 5, "out": 45}),
        ("gelu", {"width": 8, "fraction": 13}),
        ("gelu", {"width": 48, "fraction": 24}),
    ],
    ids=str,
)
def test_the_ends_of_the_legal_ranges_equal_the_reference(kernel, form):
    values = KERNELS[kernel].values(form)
    table = CHECKS[kernel].vectors(values, np.random.default_rng(1), 300)
    width = values["width"] if kernel == "gelu" else values["out"]
    expected = as_bits(CHECKS[kernel].reference(values, table), width)
    assert interpret(kernel, table.tolist(), form) == expected.tolist()


@pytest.mark.parametrize(("kernel", "form"), FORMS, ids=IDS)
def test_verilog_equals_the_reference_at_the_reported_latency_and_interval(kernel, form):
    require_icarus()
    outcome = verify_kernel(kernel, form, transactions=200)
    assert outcome.faults == ()
    assert outcome.transactions >= 200
    assert outcome.initiation_interval == 1
    assert outcome.measured == (outcome.latency_cycles, 1)
    # What the engine family uses.
    for row in builds():
        if (row.kernel, row.lanes, dict(row.parameters)) == (kernel, 1, outcome.parameters):
            assert outcome.measured == (row.latency_cycles, row.initiation_interval)


@pytest.mark.parametrize("kernel", [name for name, kernel in KERNELS.items() if not kernel.stream])
def test_lanes_and_clocks_change_no_value(kernel):
    require_icarus()
    wide = verify_kernel(
        kernel, transactions=60, lanes=3, clock_ps=20000, delay_model="sky130", seed=1
    )
    assert wide.faults == ()
    assert wide.lanes == 3


def test_a_stream_of_a_longer_interval_takes_a_word_as_often_as_it_says():
    require_icarus()
    outcome = verify_kernel("softmax", transactions=200, clock_ps=1500, interval=2)
    assert outcome.faults == ()
    assert outcome.initiation_interval == 2
    assert outcome.measured == (outcome.latency_cycles, 2)


def test_a_wrong_pipeline_is_found():
    require_icarus()
    made = build("requantize", clock_ps=4000)
    vectors = [[1000 + i, 1 << 20, 20, 0] for i in range(10)]
    clean = simulate(made, vectors, seed=0)
    order, right = range(10), [127] * 10
    assert judge(made, order, right, clean) == ()
    wrong = judge(made, order, [127] * 9 + [1], clean)
    assert wrong[0].startswith("1 results differ; result 9 is 0111")
    assert judge(made, range(11), [127] * 11, clean) == (
        "10 of 10 vectors accepted, 10 of 11 results",
    )
    late = clean | {"results": [[edge + 1, value] for edge, value in clean["results"]]}
    assert judge(made, order, right, late) == ("latencies [3], reported 2",)
    assert measured(order, late) == (3, 1)
    assert measured(order, late | {"results": []}) == (None, 1)
    slow = clean | {"accepted": [2 * edge for edge in clean["accepted"]]}
    assert "intervals [2], reported 1" in judge(made, order, right, slow)


def test_a_wrong_stream_is_found():
    """A stream that loses what waits under backpressure, and one that changes it."""
    require_icarus()
    made = build("softmax", clock_ps=4000)
    check = CHECKS["softmax"]
    scalars = check.vectors(made.parameters, np.random.default_rng(0), 120)
    vectors = [[word] for word in check.words(made.parameters, scalars)]
    triggers, words = check.reference(made.parameters, scalars)
    assert judge(made, triggers, words, simulate(made, vectors, seed=0)) == ()
    deaf = made.verilog.replace("= rows_ready | softmax__rows_valid_inv", "= 1'b1")
    assert deaf != made.verilog
    faults = judge(made, triggers, words, simulate(replace(made, verilog=deaf), vectors, seed=0))
    assert any("results" in fault for fault in faults)
    assert any("changed while it waited" in fault for fault in faults)
