"""Convolutional networks for ImageNet without residuals, as torchvision defines them."""

from __future__ import annotations

import math

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder

VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DENSENET121_LAYERS = (6, 12, 24, 16)
DENSENET_GROWTH = 32


def vgg16(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """VGG-16 without batch normalization, 15.47 GMAC, 138.36 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        Simonyan and Zisserman, Very Deep Convolutional Networks, ICLR 2015, table 1 (D).
    """
    net = NetworkBuilder("vgg16")
    x = net.input("image", (batch, 3, resolution, resolution))
    for stage, widths in enumerate(VGG16_STAGES, start=1):
        for layer, width in enumerate(widths, start=1):
            x = net.conv2d(x, width, 3, padding=1, bias=True, name=f"conv{stage}_{layer}")
            x = net.activation(x, "relu", name=f"relu{stage}_{layer}")
        x = net.pool(x, "maxpool", 2, name=f"pool{stage}")
    return net.build([_classifier(net, _adaptive_pool(net, x, 7), classes)])


def alexnet(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """AlexNet in one column, 714 MMAC, 61.1 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
    """
    net = NetworkBuilder("alexnet")
    x = net.input("image", (batch, 3, resolution, resolution))
    x = net.conv2d(x, 64, 11, stride=4, padding=2, bias=True, name="conv1")
    x = net.activation(x, "relu", name="relu1")
    x = net.pool(x, "maxpool", 3, stride=2, name="pool1")
    x = net.conv2d(x, 192, 5, padding=2, bias=True, name="conv2")
    x = net.activation(x, "relu", name="relu2")
    x = net.pool(x, "maxpool", 3, stride=2, name="pool2")
    for layer, width in ((3, 384), (4, 256), (5, 256)):
        x = net.conv2d(x, width, 3, padding=1, bias=True, name=f"conv{layer}")
        x = net.activation(x, "relu", name=f"relu{layer}")
    x = net.pool(x, "maxpool", 3, stride=2, name="pool5")
    return net.build([_classifier(net, _adaptive_pool(net, x, 6), classes)])


def densenet121(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """DenseNet-121: four blocks of growth 32, 2.83 GMAC, 7.98 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        Huang et al., Densely Connected Convolutional Networks, CVPR 2017, table 1.
    """
    net = NetworkBuilder("densenet121")
    x = net.input("image", (batch, 3, resolution, resolution))
    x = conv_norm(net, x, 2 * DENSENET_GROWTH, 7, stride=2, padding=3, name="stem")
    x = net.pool(x, "maxpool", 3, stride=2, padding=1, name="stem.pool")
    for block, layers in enumerate(DENSENET121_LAYERS, start=1):
        if block > 1:
            with net.scope(f"transition{block - 1}"):
                x = _norm_conv(net, x, net.shape(x)[1] // 2, 1, name="reduce")
                x = net.pool(x, "avgpool", 2, name="pool")
        with net.scope(f"block{block}"):
            x = _dense_block(net, x, layers)
    x = net.activation(net.norm(x, "batchnorm", name="norm"), "relu")
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def conv_norm(
    net: NetworkBuilder, x: str, channels: int, kernel: int, *, name: str, stride: int = 1,
    padding: int | str = 0, dilation: int = 1, groups: int = 1, bias: bool = False,
    activation: str | None = "relu",
) -> str:  # fmt: skip
    """Convolution, batchnorm and activation; `name.conv`, `name.norm` and `name.<activation>`."""
    with net.scope(name):
        x = net.conv2d(
            x, channels, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups,
            bias=bias, name="conv",
        )  # fmt: skip
        x = net.norm(x, "batchnorm", name="norm")
        return net.activation(x, activation) if activation else x


def resized(net: NetworkBuilder, x: str, like: str) -> str:
    """Bilinear interpolation of x (N, C, H, W) to the rows and columns of `like`.

    Two linear interpolations an output element, one along each axis.
    """
    shape = (*net.shape(x)[:2], *net.shape(like)[2:])
    return net.vector("interpolate", (x,), shape, work_elements=2 * math.prod(shape))


def _dense_block(net: NetworkBuilder, x: str, layers: int) -> str:
    """Layers that each read all earlier features of the block and add `DENSENET_GROWTH`."""
    features = [x]
    for layer in range(layers):
        with net.scope(str(layer)):
            if layer:
                x = net.concat(features, axis=1)
            y = _norm_conv(net, x, 4 * DENSENET_GROWTH, 1, name="bottleneck")
            features.append(_norm_conv(net, y, DENSENET_GROWTH, 3, padding=1, name="grow"))
    return net.concat(features, axis=1)


def _norm_conv(
    net: NetworkBuilder, x: str, channels: int, kernel: int, *, name: str, padding: int = 0
) -> str:
    """Batchnorm, ReLU and convolution: the order of networks with pre-activation."""
    with net.scope(name):
        x = net.activation(net.norm(x, "batchnorm", name="norm"), "relu")
        return net.conv2d(x, channels, kernel, padding=padding, name="conv")


def _adaptive_pool(net: NetworkBuilder, x: str, size: int) -> str:
    """Averages equal windows to size x size: nothing to do at the published resolution."""
    rows, columns = net.shape(x)[2:]
    if (rows, columns) == (size, size):
        return x
    if min(rows, columns) < size:
        raise NetworkError(
            f"network '{net.name}': features of {rows} x {columns} reach a classifier that needs "
            f"{size} x {size}: increase resolution"
        )
    stride = (rows // size, columns // size)
    # Equal windows that overlap where `size` does not divide; torch lets their extents vary by 1.
    kernel = (rows - (size - 1) * stride[0], columns - (size - 1) * stride[1])
    return net.pool(x, "avgpool", kernel, stride=stride, name="pool")


def _classifier(net: NetworkBuilder, x: str, classes: int) -> str:
    x = net.flatten(x)
    for layer in (1, 2):
        x = net.activation(net.linear(x, 4096, name=f"classifier.{layer}"), "relu")
    return net.linear(x, classes, name="classifier.3")
