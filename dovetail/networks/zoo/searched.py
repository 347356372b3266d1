"""Networks that architecture search found: NASNet-A, PNASNet-5, AmoebaNet-D, DARTS.

All read 224 x 224 pixels by default, as COSMA does (arXiv 2311.18246), where the first three were
published for 331 x 331. Their auxiliary classifiers serve training only and are left out.
"""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.cells import Cell, Stack, relu_conv_norm
from dovetail.networks.zoo.cnn import conv_norm

# Figure 4 of the paper.
NASNET_A = Cell(
    (
        (("sep5", 1), ("sep3", 0)),
        (("sep5", 0), ("sep3", 0)),
        (("avg3", 1), ("none", 0)),
        (("avg3", 0), ("avg3", 0)),
        (("sep3", 1), ("none", 1)),
    ),
    (0, 2, 3, 4, 5, 6),
)
NASNET_A_REDUCTION = Cell(
    (
        (("sep5", 1), ("sep7", 0)),
        (("max3", 1), ("sep7", 0)),
        (("avg3", 1), ("sep5", 0)),
        (("none", 3), ("avg3", 2)),
        (("sep3", 2), ("max3", 1)),
    ),
    (3, 4, 5, 6),
)
# Figure 1 of the paper; the same cell reduces, with stride 2.
PNASNET5 = Cell(
    (
        (("sep5", 0), ("max3", 0)),
        (("sep7", 1), ("max3", 1)),
        (("sep5", 1), ("sep3", 1)),
        (("sep3", 4), ("max3", 1)),
        (("sep3", 0), ("none", 1)),
    ),
    (2, 3, 4, 5, 6),
)
# Appendix of the paper. The normal cell joins states 1, 3, 4 and 6, as in the authors' programs,
# whose parameter counts the GPipe paper prints; the paper's figure joins 4, 5 and 6.
AMOEBANET_D = Cell(
    (
        (("conv1", 0), ("max3", 0)),
        (("none", 0), ("conv7", 1)),
        (("conv1", 1), ("conv7", 1)),
        (("max3", 2), ("none", 2)),
        (("avg3", 0), ("conv1", 5)),
    ),
    (1, 3, 4, 6),
)
AMOEBANET_D_REDUCTION = Cell(
    (
        (("max2", 1), ("max3", 1)),
        (("none", 2), ("conv3", 0)),
        (("conv7", 2), ("max3", 2)),
        (("none", 3), ("max2", 0)),
        (("avg3", 2), ("conv1", 3)),
    ),
    (4, 5, 6),
)
# Figures 4 and 5 of the paper: second order, searched on CIFAR-10.
DARTS_V2 = Cell(
    (
        (("sep3", 0), ("sep3", 1)),
        (("sep3", 0), ("sep3", 1)),
        (("sep3", 1), ("none", 0)),
        (("none", 0), ("dil3", 2)),
    ),
    (2, 3, 4, 5),
    projects=True,
)
DARTS_V2_REDUCTION = Cell(
    (
        (("max3", 0), ("max3", 1)),
        (("none", 2), ("max3", 1)),
        (("max3", 0), ("none", 2)),
        (("none", 2), ("max3", 1)),
    ),
    (2, 3, 4, 5),
    projects=True,
)


def nasnet_a(
    *, batch: int = 1, resolution: int = 224, repeats: int = 6, width: int = 168, stem: int = 96,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """NASNet-A (6 @ 4032, large): 10.28 GMAC, 23.78 at 331 pixels, 88.75 M parameters.

    NASNet-A (4 @ 1056, mobile) is `repeats=4, width=44, stem=32`.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        repeats: normal cells between two reductions.
        width: channels of a state in the first normal cells; the features have 24 times as many.
        stem: channels of the first convolution.
        classes: outputs of the classifier.

    References:
        Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018.
    """
    net = NetworkBuilder("nasnet_a")
    stack = _stem(net, NASNET_A_REDUCTION, batch, resolution, stem, width // 4)
    for stage in range(3):
        if stage:
            earlier = stack.earlier
            stack.add(NASNET_A_REDUCTION, width << stage, 2)
            # The next cell reads what the reduction reads, not what it follows.
            stack.earlier = earlier
        for _ in range(repeats):
            stack.add(NASNET_A, width << stage)
    return _classified(net, net.activation(stack.x, "relu"), classes)


def pnasnet5(
    *, batch: int = 1, resolution: int = 224, repeats: int = 4, width: int = 216, stem: int = 96,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """PNASNet-5 (4 @ 216, large): 10.82 GMAC, 24.94 at 331 pixels, 86.06 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        repeats: cells per stage; the first of stages 2 and 3 reduces.
        width: channels of a state in the first stage.
        stem: channels of the first convolution.
        classes: outputs of the classifier.

    References:
        Liu et al., Progressive Neural Architecture Search, ECCV 2018.
    """
    net = NetworkBuilder("pnasnet5")
    stack = _stem(net, PNASNET5, batch, resolution, stem, width // 4)
    for stage in range(3):
        for block in range(repeats):
            stack.add(PNASNET5, width << stage, 2 if stage and not block else 1)
    return _classified(net, net.activation(stack.x, "relu"), classes)


def amoebanet_d(
    *, batch: int = 1, resolution: int = 224, repeats: int = 6, width: int = 208, stem: int = 52,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """AmoebaNet-D (18, 208) of GPipe: 9.95 GMAC, 81.50 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        repeats: normal cells per stage, a third of L in the name (L, D).
        width: channels of a state in the first stage, D in that name.
        stem: channels of the first convolution.
        classes: outputs of the classifier.

    References:
        Real et al., Regularized Evolution for Image Classifier Architecture Search, AAAI 2019.
        Huang et al., GPipe, NeurIPS 2019, table 1.
    """
    net = NetworkBuilder("amoebanet_d")
    stack = _stem(net, AMOEBANET_D_REDUCTION, batch, resolution, stem, width // 2)
    for stage in range(3):
        if stage:
            stack.add(AMOEBANET_D_REDUCTION, width << stage, 2)
        for _ in range(repeats):
            stack.add(AMOEBANET_D, width << stage)
    return _classified(net, net.activation(stack.x, "relu"), classes)


def darts(
    *, batch: int = 1, resolution: int = 224, cells: int = 14, width: int = 48,
    classes: int = 1000,
) -> Network:  # fmt: skip
    """DARTS (second order) for ImageNet: 14 cells, 530 MMAC, 4.72 M parameters.

    The paper prints 574 M multiply-adds, which no count of its program reproduces
    (github.com/quark0/darts, issue 46).

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels.
        cells: stacked cells; those after a third and two thirds of them reduce.
        width: channels of a state in the first cells.
        classes: outputs of the classifier.

    References:
        Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019, section 3.4 and table 3.
    """
    net = NetworkBuilder("darts")
    x = net.input("image", (batch, 3, resolution, resolution))
    x = conv_norm(net, x, width // 2, 3, stride=2, padding=1, name="stem0")
    x = conv_norm(net, x, width, 3, stride=2, padding=1, activation=None, name="stem1")
    stack = Stack(net, relu_conv_norm(net, x, width, 3, stride=2, name="stem2"), x)
    for index in range(cells):
        if index in (cells // 3, 2 * cells // 3):
            width *= 2
            stack.add(DARTS_V2_REDUCTION, width, 2)
        else:
            stack.add(DARTS_V2, width)
    return _classified(net, stack.x, classes)


def _stem(
    net: NetworkBuilder, cell: Cell, batch: int, resolution: int, channels: int, width: int
) -> Stack:
    """A strided 3x3 and two reductions, the first of `width` channels, the second of twice that."""
    if width < 4:
        raise NetworkError(
            f"network '{net.name}': its first cell has {width} channels a state, and needs 4: "
            "increase width"
        )
    image = net.input("image", (batch, 3, resolution, resolution))
    stack = Stack(net, conv_norm(net, image, channels, 3, stride=2, activation=None, name="stem"))
    stack.add(cell, width, 2)
    stack.add(cell, 2 * width, 2)
    return stack


def _classified(net: NetworkBuilder, x: str, classes: int) -> Network:
    x = net.flatten(net.global_pool(x, name="pool"))
    return net.build([net.linear(x, classes, name="classifier")])
