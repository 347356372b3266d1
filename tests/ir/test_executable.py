import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.ir.executable import PlanarRegion, Region


@given(
    channels=st.integers(1, 9), height=st.integers(1, 4), width=st.integers(1, 4),
    bits=st.integers(2, 32), planar=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_tensors_survive_their_region(
    channels: int, height: int, width: int, bits: int, planar: bool, seed: int
) -> None:
    region = (
        PlanarRegion("x", 24, channels, height, width, 16, bits, 12)
        if planar
        else Region("x", 24, channels, height, width, 16, bits)
    )
    limit = 1 << (bits - 1)
    values = np.random.default_rng(seed).integers(-limit, limit, (channels, height, width))
    memory = np.full(24 + region.size + 8, 255, dtype=np.uint8)
    packed = region.pack(values)
    assert packed.size == region.size
    memory[24 : 24 + region.size] = packed
    np.testing.assert_array_equal(region.unpack(memory), values)


def test_channels_lie_innermost_behind_a_padded_pixel() -> None:
    region = Region("x", 0, 3, 2, 2, 4, 8)
    packed = region.pack(np.arange(12).reshape(3, 2, 2))
    assert packed.tolist() == [0, 4, 8, 0, 1, 5, 9, 0, 2, 6, 10, 0, 3, 7, 11, 0]
    assert (region.pixel_bytes, region.row_bytes, region.size) == (4, 8, 16)


def test_pixels_lie_innermost_in_planes() -> None:
    region = PlanarRegion("x", 0, 2, 1, 3, 4, 8, 3)
    assert region.pack(np.arange(6).reshape(2, 1, 3)).tolist() == [
        0, 1, 2, 0, 3, 4, 5, 0, 0, 0, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("region", [
    Region("x", 0, 3, 2, 2, 4, 8), PlanarRegion("x", 0, 3, 2, 2, 4, 8, 4),
])  # fmt: skip
def test_another_shape_is_an_error(region: Region) -> None:
    with pytest.raises(MappingError, match=r"of shape \(3, 2, 1\): must be \(3, 2, 2\)"):
        region.pack(np.zeros((3, 2, 1), dtype=int))
