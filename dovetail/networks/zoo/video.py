"""Networks for the recognition of actions in clips, as torchvision defines them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.windows import Triple


@dataclass(frozen=True, slots=True)
class Mixed:
    """Widths of one inception block of S3D.

    Attributes:
        point: channels of the 1x1x1 branch.
        wide: (reduced, output) channels of the first separable branch.
        narrow: (reduced, output) channels of the second.
        pooled: channels of the branch behind the pooling.
    """

    point: int
    wide: tuple[int, int]
    narrow: tuple[int, int]
    pooled: int


# Widths of Inception-v1, which S3D inflates: GoogLeNet (CVPR 2015), table 1, rows 3a to 5b.
S3D_STAGES = (
    (Mixed(64, (96, 128), (16, 32), 32), Mixed(128, (128, 192), (32, 96), 64)),
    (
        Mixed(192, (96, 208), (16, 48), 64),
        Mixed(160, (112, 224), (24, 64), 64),
        Mixed(128, (128, 256), (24, 64), 64),
        Mixed(112, (144, 288), (32, 64), 64),
        Mixed(256, (160, 320), (32, 128), 128),
    ),
    (Mixed(256, (160, 320), (32, 128), 128), Mixed(384, (192, 384), (48, 128), 128)),
)


def r2plus1d_18(
    *, batch: int = 1, frames: int = 16, resolution: int = 224, classes: int = 400
) -> Network:
    """R(2+1)D-18: 1x3x3 and 3x1x1 convolutions in turn, 162.1 GMAC, 31.51 M parameters.

    Args:
        batch: clips per inference.
        frames: images of a clip.
        resolution: rows and columns of an image in pixels; the published one is 112.
        classes: outputs of the classifier.

    References:
        Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition,
        CVPR 2018, section 3.5.
    """
    net = NetworkBuilder("r2plus1d_18")
    x = net.input("clip", (batch, 3, frames, resolution, resolution))
    with net.scope("stem"):
        x = _conv_norm(net, x, 45, (1, 7, 7), stride=(1, 2, 2), name="image")
        x = _conv_norm(net, x, 64, (3, 1, 1), name="time")
    for stage in range(4):
        for block in range(2):
            stride = 2 if stage and not block else 1
            with net.scope(f"layer{stage + 1}.{block}"):
                x = _residual(net, x, 64 << stage, stride)
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def s3d(*, batch: int = 1, frames: int = 16, resolution: int = 224, classes: int = 400) -> Network:
    """S3D: inception blocks of 1x3x3 and 3x1x1 convolutions, 17.98 GMAC, 8.32 M parameters.

    Args:
        batch: clips per inference.
        frames: images of a clip.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        Xie et al., Rethinking Spatiotemporal Feature Learning, ECCV 2018, section 4.
    """
    net = NetworkBuilder("s3d")
    x = net.input("clip", (batch, 3, frames, resolution, resolution))
    x = _separable(net, x, 64, 7, stride=2, name="stem")
    x = net.pool3d(x, "maxpool", (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), name="stem.pool")
    x = _conv_norm(net, x, 64, 1, name="point")
    x = _separable(net, x, 192, 3, name="separable")
    x = net.pool3d(x, "maxpool", (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), name="pool2")
    for stage, blocks in enumerate(S3D_STAGES, start=3):
        for block, widths in enumerate(blocks):
            with net.scope(f"stage{stage}.{block}"):
                x = _mixed(net, x, widths)
        if stage == 3:
            x = net.pool3d(x, "maxpool", 3, stride=2, padding=1, name="pool3")
        elif stage == 4:
            x = net.pool3d(x, "maxpool", 2, name="pool4")
    x = net.pool3d(x, "avgpool", (2, 7, 7), stride=1, name="pool")
    x = net.conv3d(x, classes, 1, bias=True, name="classifier")
    places = math.prod(net.shape(x))
    return net.build([net.vector("reduce", (x,), (batch, classes), work_elements=places)])


def _residual(net: NetworkBuilder, x: str, width: int, stride: int) -> str:
    channels = net.shape(x)[1]
    # As many parameters as two 3x3x3 would have; both halves take the width of the first.
    middle = 27 * channels * width // (9 * channels + 3 * width)
    y = _two_plus_one(net, x, width, middle, stride, name="first")
    y = net.activation(y, "relu", name="first.relu")
    y = _two_plus_one(net, y, width, middle, 1, name="second")
    if stride > 1 or channels != width:
        with net.scope("shortcut"):
            x = net.norm(net.conv3d(x, width, 1, stride=stride, name="conv"), "batchnorm")
    return net.activation(net.add(y, x), "relu")


def _two_plus_one(
    net: NetworkBuilder, x: str, width: int, middle: int, stride: int, *, name: str
) -> str:
    with net.scope(name):
        x = _conv_norm(net, x, middle, (1, 3, 3), stride=(1, stride, stride), name="image")
        x = net.conv3d(
            x, width, (3, 1, 1), stride=(stride, 1, 1), padding=(1, 0, 0), name="time"
        )  # fmt: skip
        return net.norm(x, "batchnorm", name="norm")


def _mixed(net: NetworkBuilder, x: str, widths: Mixed) -> str:
    branches = [_conv_norm(net, x, widths.point, 1, name="point")]
    for name, (reduced, width) in (("wide", widths.wide), ("narrow", widths.narrow)):
        with net.scope(name):
            y = _conv_norm(net, x, reduced, 1, name="reduce")
            branches.append(_separable(net, y, width, 3, name="separable"))
    with net.scope("pooled"):
        y = net.pool3d(x, "maxpool", 3, stride=1, padding=1)
        branches.append(_conv_norm(net, y, widths.pooled, 1, name="point"))
    return net.concat(branches, axis=1)


def _separable(
    net: NetworkBuilder, x: str, width: int, size: int, *, name: str, stride: int = 1
) -> str:
    """A convolution over the image and one over time, each with batchnorm and ReLU."""
    with net.scope(name):
        x = _conv_norm(net, x, width, (1, size, size), stride=(1, stride, stride), name="image")
        return _conv_norm(net, x, width, (size, 1, 1), stride=(stride, 1, 1), name="time")


def _conv_norm(
    net: NetworkBuilder, x: str, width: int, kernel: Triple, *, name: str, stride: Triple = 1
) -> str:
    """Convolution with half a kernel of padding, batchnorm and ReLU."""
    taps = (kernel,) * 3 if isinstance(kernel, int) else kernel
    with net.scope(name):
        padding = (taps[0] // 2, taps[1] // 2, taps[2] // 2)
        x = net.conv3d(x, width, taps, stride=stride, padding=padding, name="conv")
        return net.activation(net.norm(x, "batchnorm", name="norm"), "relu")
