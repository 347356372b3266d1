"""The table that the engine family reads holds what `dovetail hls table` measures."""

from dovetail.arch.kernels import builds
from dovetail.hls import KERNELS
from dovetail.verify.hls_table import points


def test_the_table_has_every_point_once():
    rows = [(cost.kernel, cost.lanes, dict(cost.parameters)) for cost in builds()]
    wanted = [(name, lanes, KERNELS[name].values(form)) for name, lanes, form in points(KERNELS)]
    assert sorted(map(str, rows)) == sorted(
        str((name, lanes, dict(sorted(values.items())))) for name, lanes, values in wanted
    )
