from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import ProblemError
from dovetail.networks.elastic import ElasticFamily

FAMILY = ElasticFamily()
DEEP = ElasticFamily(3, 7, (5, 9), ((4, 8), (6, 10)), (1, 2, 3), (1, 3, 5), (4, 8), (2, 8))


def fingerprint(family, choice):
    """By operator name: all fields of the operator and of the tensors it touches."""
    net = family.network(choice)
    return {
        op.name: (op, tuple(net.tensor[name] for name in (*op.inputs, *op.outputs)))
        for op in net.operators
    }


@pytest.mark.parametrize("family", [FAMILY, DEEP])
def test_an_operator_depends_only_on_the_knobs_of_its_slot(family):
    rng = np.random.default_rng(0)
    seen = {}
    for choice in family.space.sample(rng, 1500):
        prints = fingerprint(family, choice)
        assert set(prints) <= {slot.operator for slot in family.slots}
        for slot in family.slots:
            key = (slot.operator, *choice[list(slot.knobs)])
            assert seen.setdefault(key, prints.get(slot.operator)) == prints.get(slot.operator)


@pytest.mark.parametrize("family", [FAMILY, DEEP])
def test_slots_are_small_distinct_ordered_and_all_used(family):
    names = [slot.operator for slot in family.slots]
    assert len(set(names)) == len(names)
    largest = [op.name for op in family.network(family.space.cardinalities - 1).operators]
    assert largest == names
    for slot in family.slots:
        assert np.prod(family.space.cardinalities[list(slot.knobs)]) < 2000


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_graph_has_the_macs_of_its_choice(data):
    choice = [data.draw(st.integers(0, int(n) - 1)) for n in FAMILY.space.cardinalities]
    v = FAMILY.space.decode(choice)
    macs, before, size = 0, FAMILY.in_channels, v["resolution"]
    for stage in (1, 2, 3):
        size = size if stage == 1 else -(-size // 2)
        width, taps = v[f"width{stage}"], v[f"kernel{stage}"] ** 2
        macs += size**2 * taps * width * (before + (v[f"depth{stage}"] - 1) * width)
        before = width
    network = FAMILY.network(choice)
    assert network.macs == macs + before * FAMILY.classes
    bits = {t.format.bits for t in network.tensors if t.is_parameter and len(t.shape) > 1}
    assert bits == {v["weight_bits"]}
    assert network.tensor["image"].format.bits == v["activation_bits"]


def test_more_of_any_shape_knob_never_costs_fewer_macs():
    rng = np.random.default_rng(1)
    for choice in FAMILY.space.sample(rng, 50):
        for column, limit in enumerate(FAMILY.space.cardinalities[:-2]):
            if choice[column] + 1 < limit:
                more = choice.copy()
                more[column] += 1
                assert FAMILY.network(more).macs > FAMILY.network(choice).macs


def test_the_default_space():
    assert FAMILY.space.size == 31104
    assert ElasticFamily.of(3, 10, 32).resolutions == (16, 24, 32)
    assert ElasticFamily.of(1, 10, 8) == FAMILY


def test_a_family_survives_json():
    assert ElasticFamily.from_dict(json.loads(json.dumps(DEEP.to_dict()))) == DEEP
    with pytest.raises(ProblemError, match="fields"):
        ElasticFamily.from_dict({"classes": 3})


@pytest.mark.parametrize(
    "bad",
    [
        {"kernels": (2, 3)},
        {"depths": (2, 1)},
        {"resolutions": ()},
        {"weight_bits": (1, 8)},
        {"widths": ()},
        {"classes": 1},
    ],
)
def test_impossible_families_are_refused(bad):
    with pytest.raises(ProblemError, match="family"):
        ElasticFamily(**bad)


@pytest.mark.parametrize("choice", [[0], [9] * 12, [-1] + [0] * 11])
def test_impossible_choices_are_refused(choice):
    with pytest.raises(ProblemError, match="choice"):
        FAMILY.network(choice)
