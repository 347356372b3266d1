"""The four networks of MLPerf Tiny v1, as its reference Keras models define them.

Their convolutions and dense layers have biases beside the batchnorms.

References:
    Banbury et al., MLPerf Tiny Benchmark, NeurIPS 2021 (datasets and benchmarks).
"""

from __future__ import annotations

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cnn import conv_norm
from dovetail.networks.zoo.mobilenet import mobilenet_v1_network, separable_block

AUTOENCODER_WIDTHS = (128, 128, 128, 128, 8, 128, 128, 128, 128)


def resnet8(*, batch: int = 1, resolution: int = 32, classes: int = 10) -> Network:
    """ResNet-8 for CIFAR-10 (image classification), 12.5 MMAC, 78 k parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.
    """
    net = NetworkBuilder("resnet8")
    x = net.input("image", (batch, 3, resolution, resolution))
    x = conv_norm(net, x, 16, 3, padding="same", bias=True, name="stem")
    for stage, width in enumerate((16, 32, 64), start=1):
        stride = 1 if stage == 1 else 2
        with net.scope(f"stage{stage}"):
            y = conv_norm(net, x, width, 3, stride=stride, padding="same", bias=True, name="first")
            y = conv_norm(
                net, y, width, 3, padding="same", bias=True, activation=None, name="second"
            )
            if stride > 1:
                x = net.conv2d(
                    x, width, 1, stride=stride, padding="same", bias=True, name="shortcut"
                )
            x = net.activation(net.add(x, y), "relu")
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.softmax(net.linear(x, classes, name="classifier"))])


def ds_cnn(*, batch: int = 1, frames: int = 49, features: int = 10, classes: int = 12) -> Network:
    """DS-CNN for keyword spotting, 2.7 MMAC, 24 k parameters.

    Args:
        batch: clips per inference.
        frames: time steps of the spectrogram.
        features: cepstral coefficients of a time step.
        classes: keywords.
    """
    net = NetworkBuilder("ds_cnn")
    x = net.input("spectrogram", (batch, 1, frames, features))
    with net.scope("stem"):
        x = net.conv2d(x, 64, (10, 4), stride=2, padding="same", bias=True, name="conv")
        x = net.activation(net.norm(x, "batchnorm", name="norm"), "relu")
    for block in range(1, 5):
        x = separable_block(net, x, 64, 1, bias=True, name=f"block{block}")
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.softmax(net.linear(x, classes, name="classifier"))])


def mobilenet_v1_025(
    *, batch: int = 1, resolution: int = 96, classes: int = 2, width: float = 0.25
) -> Network:
    """MobileNetV1 x 0.25 for visual wake words, 7.5 MMAC, 216 k parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        classes: outputs of the classifier.
        width: multiplier of all channel counts.
    """
    return mobilenet_v1_network("mobilenet_v1_025", batch, resolution, width, classes, bias=True)


def autoencoder(*, batch: int = 1, features: int = 640) -> Network:
    """Deep autoencoder for anomaly detection, 0.26 MMAC, 268 k parameters.

    Args:
        batch: windows of sound per inference.
        features: 5 frames of 128 mel bands.
    """
    net = NetworkBuilder("autoencoder")
    x = net.input("features", (batch, features))
    for layer, width in enumerate(AUTOENCODER_WIDTHS, start=1):
        with net.scope(f"layer{layer}"):
            x = net.linear(x, width)
            x = net.activation(net.norm(x, "batchnorm", name="norm"), "relu")
    return net.build([net.linear(x, features, name="output")])
