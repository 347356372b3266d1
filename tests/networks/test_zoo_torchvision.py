"""The zoo against torchvision's own modules, operator by operator, where torchvision is installed.

It is no dependency: `pip install torchvision` beside the torch of `pyproject.toml` runs these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from dovetail.ir.network import Network  # noqa: E402
from dovetail.ir.operator import Operator  # noqa: E402
from dovetail.ir.window import Window  # noqa: E402
from dovetail.networks.torch_import import from_torch  # noqa: E402
from dovetail.networks.zoo import NETWORKS  # noqa: E402

IMAGE, CLIP = (1, 3, 224, 224), (1, 3, 16, 224, 224)


def _segmentation(name: str) -> Any:
    build: Callable[..., Any] = getattr(torchvision.models.segmentation, name)
    return build(weights=None, weights_backbone=None)


MODULES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "resnet18": (lambda: torchvision.models.resnet18(), IMAGE),
    "resnet50": (lambda: torchvision.models.resnet50(), IMAGE),
    "resnext50": (lambda: torchvision.models.resnext50_32x4d(), IMAGE),
    "densenet121": (lambda: torchvision.models.densenet121(), IMAGE),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(), IMAGE),
    "mobilenet_v3_large": (lambda: torchvision.models.mobilenet_v3_large(), IMAGE),
    "vgg16": (lambda: torchvision.models.vgg16(), IMAGE),
    "alexnet": (lambda: torchvision.models.alexnet(), IMAGE),
    "fcn_resnet50": (lambda: _segmentation("fcn_resnet50"), IMAGE),
    "deeplabv3": (lambda: _segmentation("deeplabv3_resnet50"), IMAGE),
    "lraspp": (lambda: _segmentation("lraspp_mobilenet_v3_large"), IMAGE),
    "r2plus1d_18": (lambda: torchvision.models.video.r2plus1d_18(), CLIP),
    "s3d": (lambda: torchvision.models.video.s3d(), CLIP),
}


def _sequence(network: Network) -> list[tuple[str, tuple[int, ...], int, int]]:
    """Kind, output shape, MACs and scalar operations of all that does work.

    Joining a single tensor, as DenseNet's first layers do there, is none, nor is an adaptive
    pooling (VGG-16, AlexNet) to the extents that its input has.
    """
    return [
        (op.kind, network.tensor[op.outputs[0]].shape, op.macs, op.vector_ops)
        for op in network.operators
        if not op.is_view and not _is_idle(op)
    ]


def _is_idle(op: Operator) -> bool:
    if op.kind == "avgpool":
        return op.window == Window((1, 1))
    return op.kind == "concat" and len(op.inputs) == 1


@pytest.mark.parametrize("name", MODULES)
def test_operators_are_those_of_torchvision_in_its_order(name: str) -> None:
    build, shape = MODULES[name]
    module = build().eval()
    ours = NETWORKS[name]()
    assert ours.parameters == sum(p.numel() for p in module.parameters())
    theirs = from_torch(module, (torch.zeros(shape),), name=name)
    assert _sequence(ours) == _sequence(theirs)


@pytest.mark.parametrize(
    ("name", "resolution"), [("r3d_18", 112), ("mc3_18", 112), ("mvit_v2_s", 224)]
)
def test_imported_video_networks_have_the_published_macs(name: str, resolution: int) -> None:
    video = torchvision.models.video
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"]
    module = getattr(video, name)()
    clip = torch.zeros(1, 3, 16, resolution, resolution)
    network = from_torch(module, (clip,), name=name)
    assert network.macs == pytest.approx(published * 1e9, abs=0.5e6)
