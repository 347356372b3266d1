"""MobileNets: depthwise separable convolutions and inverted residuals."""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cnn import conv_norm

# (output channels, stride) of the separable blocks of MobileNetV1, its table 1.
V1_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
    (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip

# (expansion, output channels, repeats, first stride) of MobileNetV2, its table 2.
V2_BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


def mobilenet_v1(
    *, batch: int = 1, resolution: int = 224, width: float = 1.0, classes: int = 1000
) -> Network:
    """MobileNetV1, 569 MMAC, 4.23 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        width: multiplier of all channel counts.
        classes: outputs of the classifier.

    References:
        Howard et al., MobileNets, arXiv 1704.04861, tables 1 and 8.
    """
    return mobilenet_v1_network("mobilenet_v1", batch, resolution, width, classes)


def mobilenet_v2(
    *, batch: int = 1, resolution: int = 224, width: float = 1.0, classes: int = 1000
) -> Network:
    """MobileNetV2, 300.8 MMAC, 3.50 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        width: multiplier of all channel counts.
        classes: outputs of the classifier.

    References:
        Sandler et al., MobileNetV2, CVPR 2018, table 2.
    """
    net = NetworkBuilder("mobilenet_v2")
    x = net.input("image", (batch, 3, resolution, resolution))
    stem = round_channels(32 * width)
    x = conv_norm(net, x, stem, 3, stride=2, padding=1, activation="clip", name="stem")
    for stage, (expansion, channels, repeats, first) in enumerate(V2_BLOCKS, start=1):
        for block in range(repeats):
            stride = 1 if block else first
            with net.scope(f"stage{stage}.{block}"):
                x = _inverted_residual(net, x, expansion, round_channels(channels * width), stride)
    head = round_channels(1280 * max(1.0, width))
    x = conv_norm(net, x, head, 1, activation="clip", name="head")
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def mobilenet_v1_network(
    name: str, batch: int, resolution: int, width: float, classes: int, *, bias: bool = False
) -> Network:
    """MobileNetV1 under another name, with convolution biases if `bias`."""
    net = NetworkBuilder(name)
    x = net.input("image", (batch, 3, resolution, resolution))
    stem = round_channels(32 * width)
    x = conv_norm(net, x, stem, 3, stride=2, padding="same", bias=bias, name="stem")
    for block, (channels, stride) in enumerate(V1_BLOCKS, start=1):
        x = separable_block(
            net, x, round_channels(channels * width), stride, bias=bias, name=f"block{block}"
        )
    x = net.flatten(net.global_pool(x, name="pool"))
    x = net.linear(x, classes, name="classifier")
    return net.build([net.softmax(x)])


def separable_block(
    net: NetworkBuilder, x: str, channels: int, stride: int, *, bias: bool, name: str
) -> str:
    """Depthwise 3x3 and pointwise convolution, each with batchnorm and ReLU."""
    width = net.shape(x)[1]
    with net.scope(name):
        x = conv_norm(
            net, x, width, 3, stride=stride, padding="same", groups=width, bias=bias,
            name="depthwise",
        )  # fmt: skip
        return conv_norm(net, x, channels, 1, bias=bias, name="pointwise")


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, never below it nor below 90 % of `channels`.

    Raises:
        NetworkError: if `channels` is not positive.
    """
    if not channels > 0:
        raise NetworkError(f"{channels} channels: the width multiplier must be positive")
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _inverted_residual(
    net: NetworkBuilder, x: str, expansion: int, channels: int, stride: int
) -> str:
    width = net.shape(x)[1]
    y, hidden = x, width * expansion
    if expansion > 1:
        y = conv_norm(net, y, hidden, 1, activation="clip", name="expand")
    y = conv_norm(
        net, y, hidden, 3, stride=stride, padding=1, groups=hidden, activation="clip",
        name="depthwise",
    )  # fmt: skip
    y = conv_norm(net, y, channels, 1, activation=None, name="project")
    return net.add(x, y) if stride == 1 and width == channels else y
