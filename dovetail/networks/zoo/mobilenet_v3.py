"""MobileNetV3-large, and L-RASPP, the segmentation that its paper builds on it."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cnn import conv_norm, resized
from dovetail.networks.zoo.mobilenet import round_channels


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """One row of the table of MobileNetV3.

    Attributes:
        kernel: rows and columns of the depthwise convolution.
        hidden: channels between the two pointwise convolutions.
        channels: output channels.
        squeeze: whether channels are scaled by squeeze and excitation.
        activation: `relu` or `hard_swish`.
        stride: of the depthwise convolution.
    """

    kernel: int
    hidden: int
    channels: int
    squeeze: bool
    activation: str
    stride: int


# Table 1 of the paper.
LARGE = (
    Bottleneck(3, 16, 16, False, "relu", 1),
    Bottleneck(3, 64, 24, False, "relu", 2),
    Bottleneck(3, 72, 24, False, "relu", 1),
    Bottleneck(5, 72, 40, True, "relu", 2),
    Bottleneck(5, 120, 40, True, "relu", 1),
    Bottleneck(5, 120, 40, True, "relu", 1),
    Bottleneck(3, 240, 80, False, "hard_swish", 2),
    Bottleneck(3, 200, 80, False, "hard_swish", 1),
    Bottleneck(3, 184, 80, False, "hard_swish", 1),
    Bottleneck(3, 184, 80, False, "hard_swish", 1),
    Bottleneck(3, 480, 112, True, "hard_swish", 1),
    Bottleneck(3, 672, 112, True, "hard_swish", 1),
    Bottleneck(5, 672, 160, True, "hard_swish", 2),
    Bottleneck(5, 960, 160, True, "hard_swish", 1),
    Bottleneck(5, 960, 160, True, "hard_swish", 1),
)
LAST_STAGE = 12
"""Block from which a dilated trunk spreads its kernels instead of striding."""
SHALLOW = 3
"""Block whose output, an eighth of the image, is L-RASPP's second source."""


def mobilenet_v3_large(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """MobileNetV3-large, 217 MMAC, 5.48 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        Howard et al., Searching for MobileNetV3, ICCV 2019, table 1.
    """
    net = NetworkBuilder("mobilenet_v3_large")
    x = net.input("image", (batch, 3, resolution, resolution))
    x = net.flatten(net.global_pool(_trunk(net, x, dilated=False)[-1], name="pool"))
    x = net.activation(net.linear(x, 1280, name="hidden"), "hard_swish")
    return net.build([net.linear(x, classes, name="classifier")])


def lraspp(*, batch: int = 1, resolution: int = 224, classes: int = 21) -> Network:
    """L-RASPP on a dilated MobileNetV3-large, 3.22 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: classes of a pixel.

    References:
        Howard et al., Searching for MobileNetV3, ICCV 2019, section 6.4.
    """
    net = NetworkBuilder("lraspp")
    image = net.input("image", (batch, 3, resolution, resolution))
    low, high = _trunk(net, image, dilated=True)
    x = conv_norm(net, high, 128, 1, name="deep")
    gate = net.conv2d(net.global_pool(high, name="pool"), 128, 1, name="scale")
    x = net.mul(x, net.activation(gate, "sigmoid"))
    x = resized(net, x, low)
    low = net.conv2d(low, classes, 1, bias=True, name="shallow_classifier")
    x = net.conv2d(x, classes, 1, bias=True, name="deep_classifier")
    return net.build([resized(net, net.add(low, x), image)])


def _trunk(net: NetworkBuilder, x: str, *, dilated: bool) -> tuple[str, str]:
    """Adds stem and blocks; returns the output of block `SHALLOW` and the last features."""
    x = conv_norm(net, x, 16, 3, stride=2, padding=1, activation="hard_swish", name="stem")
    shallow = x
    for index, spec in enumerate(LARGE):
        with net.scope(f"block{index}"):
            x = _bottleneck(net, x, spec, 2 if dilated and index >= LAST_STAGE else 1)
        if index == SHALLOW:
            shallow = x
    width = 6 * net.shape(x)[1]
    return shallow, conv_norm(net, x, width, 1, activation="hard_swish", name="head")


def _bottleneck(net: NetworkBuilder, x: str, spec: Bottleneck, dilation: int) -> str:
    width, y = net.shape(x)[1], x
    if spec.hidden != width:
        y = conv_norm(net, y, spec.hidden, 1, activation=spec.activation, name="expand")
    y = conv_norm(
        net, y, spec.hidden, spec.kernel, stride=spec.stride if dilation == 1 else 1,
        padding=spec.kernel // 2 * dilation, dilation=dilation, groups=spec.hidden,
        activation=spec.activation, name="depthwise",
    )  # fmt: skip
    if spec.squeeze:
        y = _squeeze(net, y)
    y = conv_norm(net, y, spec.channels, 1, activation=None, name="project")
    return net.add(y, x) if spec.stride == 1 and width == spec.channels else y


def _squeeze(net: NetworkBuilder, x: str) -> str:
    """Scales every channel by a function of all channels' means."""
    width = net.shape(x)[1]
    with net.scope("squeeze"):
        y = net.global_pool(x, name="pool")
        y = net.conv2d(y, round_channels(width // 4), 1, bias=True, name="reduce")
        y = net.conv2d(net.activation(y, "relu"), width, 1, bias=True, name="expand")
        return net.mul(net.activation(y, "hard_sigmoid"), x)
