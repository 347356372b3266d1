"""A small network for scikit-learn's digits whose layers differ in kind, size and place."""

from __future__ import annotations

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder

WIDTHS = (16, 32, 48)


def digits_cnn(*, batch: int = 1, resolution: int = 8, classes: int = 10) -> Network:
    """Eleven layers with a residual block of each kind: plain, depthwise separable, bottleneck.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.
    """
    net = NetworkBuilder("digits_cnn")
    x = net.input("image", (batch, 1, resolution, resolution))
    x = _conv(net, x, WIDTHS[0], 3, name="stem")
    y = _conv(net, x, WIDTHS[0], 3, name="plain.first")
    x = _joined(net, x, net.conv2d(y, WIDTHS[0], 3, padding=1, bias=True, name="plain.second"))
    x = _conv(net, x, WIDTHS[1], 3, stride=2, name="down1")
    y = _conv(net, x, WIDTHS[1], 3, groups=WIDTHS[1], name="separable.depthwise")
    x = _joined(net, x, net.conv2d(y, WIDTHS[1], 1, bias=True, name="separable.pointwise"))
    x = _conv(net, x, WIDTHS[2], 3, stride=2, name="down2")
    y = _conv(net, x, WIDTHS[2] // 2, 1, name="bottleneck.reduce")
    y = _conv(net, y, WIDTHS[2] // 2, 3, name="bottleneck.spatial")
    x = _joined(net, x, net.conv2d(y, WIDTHS[2], 1, bias=True, name="bottleneck.expand"))
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def _conv(
    net: NetworkBuilder, x: str, channels: int, kernel: int, *, name: str, stride: int = 1,
    groups: int = 1,
) -> str:  # fmt: skip
    y = net.conv2d(
        x, channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=True, name=name
    )
    return net.activation(y, "relu", name=f"{name}.relu")


def _joined(net: NetworkBuilder, x: str, y: str) -> str:
    block = y.split(".")[0]
    return net.activation(net.add(x, y, name=f"{block}.add"), "relu", name=f"{block}.relu")
