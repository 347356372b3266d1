"""Convolutional networks for ImageNet as torchvision defines them."""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder

VGG16_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def resnet18(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """ResNet-18: basic blocks, 1.81 GMAC, 11.69 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    """
    return _resnet("resnet18", (2, 2, 2, 2), False, batch, resolution, classes)


def resnet50(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """ResNet-50 v1.5: bottlenecks that stride in their 3x3, 4.09 GMAC, 25.56 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.

    References:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1.
    """
    return _resnet("resnet50", (3, 4, 6, 3), True, batch, resolution, classes)


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


def conv_norm(
    net: NetworkBuilder, x: str, channels: int, kernel: int, *, name: str, stride: int = 1,
    padding: int | str = 0, groups: int = 1, bias: bool = False, activation: str | None = "relu",
) -> str:  # fmt: skip
    """Convolution, batchnorm and activation; `name.conv`, `name.norm` and `name.<activation>`."""
    with net.scope(name):
        x = net.conv2d(
            x, channels, kernel, stride=stride, padding=padding, groups=groups, bias=bias,
            name="conv",
        )  # fmt: skip
        x = net.norm(x, "batchnorm", name="norm")
        return net.activation(x, activation) if activation else x


def _resnet(
    name: str, depths: tuple[int, ...], bottleneck: bool, batch: int, resolution: int, classes: int
) -> Network:
    net = NetworkBuilder(name)
    x = net.input("image", (batch, 3, resolution, resolution))
    x = conv_norm(net, x, 64, 7, stride=2, padding=3, name="stem")
    x = net.pool(x, "maxpool", 3, stride=2, padding=1, name="stem.pool")
    for stage, depth in enumerate(depths):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            with net.scope(f"layer{stage + 1}.{block}"):
                x = _residual_block(net, x, 64 << stage, stride, bottleneck)
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])


def _residual_block(net: NetworkBuilder, x: str, width: int, stride: int, bottleneck: bool) -> str:
    channels = width * 4 if bottleneck else width
    if bottleneck:
        y = conv_norm(net, x, width, 1, name="reduce")
        y = conv_norm(net, y, width, 3, stride=stride, padding=1, name="spatial")
        y = conv_norm(net, y, channels, 1, activation=None, name="expand")
    else:
        y = conv_norm(net, x, width, 3, stride=stride, padding=1, name="first")
        y = conv_norm(net, y, width, 3, padding=1, activation=None, name="second")
    if stride > 1 or net.shape(x)[1] != channels:
        x = conv_norm(net, x, channels, 1, stride=stride, activation=None, name="shortcut")
    return net.activation(net.add(x, y), "relu")


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
