"""Residual networks: ResNet and ResNeXt, and their trunk as a backbone of segmentation."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cnn import conv_norm


@dataclass(frozen=True, slots=True)
class Residual:
    """One kind of residual network.

    Attributes:
        depths: blocks of each stage.
        bottleneck: three convolutions a block instead of two, the last four times as wide.
        groups: of a bottleneck's 3x3.
        group_width: channels of one of these groups in the first stage, 64 for one group.
        dilated: stages, the first is 0, whose stride becomes dilation.
    """

    depths: tuple[int, ...]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    dilated: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    stride: int
    dilation: int


RESNET18 = Residual((2, 2, 2, 2), bottleneck=False)
RESNET50 = Residual((3, 4, 6, 3))
RESNEXT50 = Residual((3, 4, 6, 3), groups=32, group_width=4)


def resnet18(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """ResNet-18: basic blocks, 1.81 GMAC, 11.69 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    """
    return _classifier("resnet18", RESNET18, batch, resolution, classes)


def resnet50(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """ResNet-50 v1.5: bottlenecks that stride in their 3x3, 4.09 GMAC, 25.56 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    """
    return _classifier("resnet50", RESNET50, batch, resolution, classes)


def resnext50(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """ResNeXt-50 of 32 groups of 4 channels, 4.23 GMAC, 25.03 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017,
        table 1.
    """
    return _classifier("resnext50", RESNEXT50, batch, resolution, classes)


def residual_trunk(net: NetworkBuilder, x: str, kind: Residual) -> list[str]:
    """Adds the stem and all stages behind images x; returns the output of each stage."""
    x = conv_norm(net, x, 64, 7, stride=2, padding=3, name="stem")
    x = net.pool(x, "maxpool", 3, stride=2, padding=1, name="stem.pool")
    stages, dilation = [], 1
    for stage, depth in enumerate(kind.depths):
        stride = 2 if stage else 1
        first = _Step(stride, dilation)
        if stage in kind.dilated:
            # The stride becomes dilation of all blocks but the first, which is not yet spread.
            first, dilation = _Step(1, dilation), dilation * stride
        for block in range(depth):
            step = _Step(1, dilation) if block else first
            with net.scope(f"layer{stage + 1}.{block}"):
                x = _block(net, x, kind, stage, step)
        stages.append(x)
    return stages


def _classifier(name: str, kind: Residual, batch: int, resolution: int, classes: int) -> Network:
    net = NetworkBuilder(name)
    x = net.input("image", (batch, 3, resolution, resolution))
    x = residual_trunk(net, x, kind)[-1]
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def _block(net: NetworkBuilder, x: str, kind: Residual, stage: int, step: _Step) -> str:
    channels = (256 if kind.bottleneck else 64) << stage
    if kind.bottleneck:
        width = (kind.groups * kind.group_width) << stage
        y = conv_norm(net, x, width, 1, name="reduce")
        y = conv_norm(
            net, y, width, 3, stride=step.stride, padding=step.dilation, dilation=step.dilation,
            groups=kind.groups, name="spatial",
        )  # fmt: skip
        y = conv_norm(net, y, channels, 1, activation=None, name="expand")
    else:
        y = conv_norm(net, x, channels, 3, stride=step.stride, padding=1, name="first")
        y = conv_norm(net, y, channels, 3, padding=1, activation=None, name="second")
    if step.stride > 1 or net.shape(x)[1] != channels:
        x = conv_norm(net, x, channels, 1, stride=step.stride, activation=None, name="shortcut")
    return net.activation(net.add(x, y), "relu")
