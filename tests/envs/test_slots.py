from __future__ import annotations

import numpy as np
import pytest

from dovetail.envs.costing import rows_by_operator
from dovetail.envs.slots import tabulate
from dovetail.networks.elastic import ElasticFamily

DEEP = ElasticFamily(3, 7, (5, 9), ((4, 8), (6, 10)), (1, 2, 3), (1, 3, 5), (4, 8), (2, 8))
FLAT = ElasticFamily(1, 2, (4,), ((4,),), (1,), (3,), (8,), (8,))


@pytest.mark.parametrize("family", [DEEP, FLAT])
def test_tables_hold_the_scheduled_operators_of_every_network(family):
    networks = 0

    def counted(network):
        nonlocal networks
        networks += 1
        return rows_by_operator(network)

    slots = tabulate(family, counted)
    assert networks <= sum(table.size for table in slots.tables)
    choices = family.space.sample(np.random.default_rng(0), 200)
    index = slots.index(choices)
    for choice, row in zip(choices, index, strict=True):
        expected = list(rows_by_operator(family.network(choice)).values())
        np.testing.assert_array_equal(slots.operators[row[row >= 0]], expected)
    assert len(np.unique(slots.operators, axis=0)) == len(slots.operators)
