"""Segmentation on a dilated ResNet-50, as torchvision defines it: FCN and DeepLabV3.

Stages 3 and 4 of the trunk spread their kernels instead of striding, so that features keep an
eighth of the image's rows and columns.
"""

from __future__ import annotations

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cnn import conv_norm, resized
from dovetail.networks.zoo.resnet import Residual, residual_trunk

TRUNK = Residual((3, 4, 6, 3), dilated=(2, 3))
ATROUS_RATES = (12, 24, 36)


def fcn_resnet50(
    *, batch: int = 1, resolution: int = 224, classes: int = 21, auxiliary: bool = False
) -> Network:
    """FCN on ResNet-50: 32.96 M parameters, 35.32 M with its auxiliary head.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: classes of a pixel.
        auxiliary: whether the head of stage 3, which serves training, is computed too.

    References:
        Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR 2015.
    """
    net = NetworkBuilder("fcn_resnet50")
    image = net.input("image", (batch, 3, resolution, resolution))
    *_, third, last = residual_trunk(net, image, TRUNK)
    outputs = [resized(net, _head(net, last, classes, "head"), image)]
    return net.build(outputs + _auxiliary(net, image, third, classes, auxiliary))


def deeplabv3(
    *, batch: int = 1, resolution: int = 224, classes: int = 21, auxiliary: bool = False
) -> Network:
    """DeepLabV3 on ResNet-50: 39.64 M parameters, 42.00 M with its auxiliary head.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: classes of a pixel.
        auxiliary: whether the head of stage 3, which serves training, is computed too.

    References:
        Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation,
        arXiv 1706.05587.
    """
    net = NetworkBuilder("deeplabv3")
    image = net.input("image", (batch, 3, resolution, resolution))
    *_, third, last = residual_trunk(net, image, TRUNK)
    x = conv_norm(net, _pyramid(net, last), 256, 3, padding=1, name="head")
    x = net.conv2d(x, classes, 1, bias=True, name="classifier")
    outputs = [resized(net, x, image)]
    return net.build(outputs + _auxiliary(net, image, third, classes, auxiliary))


def _pyramid(net: NetworkBuilder, x: str) -> str:
    """Atrous spatial pyramid pooling: five views of x of 256 channels, joined and reduced."""
    with net.scope("pyramid"):
        views = [conv_norm(net, x, 256, 1, name="point")]
        for rate in ATROUS_RATES:
            views.append(
                conv_norm(net, x, 256, 3, padding=rate, dilation=rate, name=f"atrous{rate}")
            )
        y = conv_norm(net, net.global_pool(x, name="pool"), 256, 1, name="mean")
        views.append(resized(net, y, x))
        return conv_norm(net, net.concat(views, axis=1), 256, 1, name="project")


def _head(net: NetworkBuilder, x: str, classes: int, name: str) -> str:
    x = conv_norm(net, x, net.shape(x)[1] // 4, 3, padding=1, name=name)
    return net.conv2d(x, classes, 1, bias=True, name=f"{name}.classifier")


def _auxiliary(
    net: NetworkBuilder, image: str, stage: str, classes: int, wanted: bool
) -> list[str]:
    if not wanted:
        return []
    return [resized(net, _head(net, stage, classes, "auxiliary"), image)]
