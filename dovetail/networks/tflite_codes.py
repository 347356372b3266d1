"""The stored integers of a TFLite model, in the order in which its network's tensors have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.shapes import Shape
from dovetail.networks.tflite_import import guarded, read_file
from dovetail.networks.tflite_ops.contraction import DHWIO, HWO, OHWI
from dovetail.networks.tflite_ops.node import channels_first
from dovetail.networks.tflite_ops.reading import StoredGraph, read_graph

KERNELS = {"CONV_2D": OHWI, "DEPTHWISE_CONV_2D": HWO, "CONV_3D": DHWIO}


def load_codes(path: str | Path, network: Network) -> dict[str, NDArray[Any]]:
    """Elements of a model's parameters by tensor name.

    Args:
        path: the TFLite file.
        network: what `load_tflite` makes of it.

    Raises:
        NetworkError: if the file cannot be read or does not belong to the network.
        MissingExtraError: if TFLite's schema is not installed.
    """
    what = f"'{path}'"
    stored = guarded(what, lambda: read_graph(read_file(Path(path)), what))
    return codes_of(stored, network)


def codes_of(stored: StoredGraph, network: Network) -> dict[str, NDArray[Any]]:
    """Elements of a graph's parameters by the network's tensor names; raises as `load_codes`."""
    kernels = {op.inputs[1]: KERNELS[op.code] for op in stored.operators if op.code in KERNELS}
    found = {}
    for index, tensor in enumerate(stored.tensors):
        known = network.tensor.get(tensor.name)
        if known is None or not known.is_parameter or tensor.data is None:
            continue
        data = tensor.data.astype(np.int64) if tensor.data.dtype.kind in "iu" else tensor.data
        data = data - {"UINT8": 128}.get(tensor.type, 0)
        axes = kernels.get(index, channels_first(data.ndim))
        found[tensor.name] = _shaped(tensor.name, np.transpose(data, axes), known.shape)
    return found


def _shaped(name: str, data: NDArray[Any], shape: Shape) -> NDArray[Any]:
    if data.size != np.prod(shape, dtype=np.int64):
        raise NetworkError(f"parameter '{name}' {list(data.shape)} is no {list(shape)}")
    return data.reshape(shape)
