"""One weight-sharing network that contains every sub-network of an elastic family."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from dovetail.networks.elastic.family import ElasticFamily
from dovetail.networks.elastic.quantize import Tensor, fake_activation, fake_weight
from dovetail.networks.elastic.subnetwork import Block, SubNetwork

EPSILON = 1e-5
"""Added to variances by batch normalization."""


class SharedBlock(nn.Module):
    """Weights of one block at its largest; a sub-network takes first channels and the centre.

    Args:
        family: gives the largest widths and kernel.
        stage: stage, from 0.
        index: position in the stage, from 0.
        generator: source of the initial weights.
    """

    def __init__(self, family: ElasticFamily, stage: int, index: int, generator: Any) -> None:
        super().__init__()
        channels, kernel = max(family.widths[stage]), max(family.kernels)
        before = max(family.widths[stage - 1]) if stage else family.in_channels
        inputs = channels if index else before
        shape = (channels, inputs, kernel, kernel)
        # He initialization at the smallest kernel: the crop is what most sub-networks see.
        spread = math.sqrt(2.0 / (inputs * min(family.kernels) ** 2))
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * spread)
        self.gains = _affine(family, stage, channels, 1.0)
        self.shifts = _affine(family, stage, channels, 0.0)
        self.log_step = initial_steps(family, 4.0)
        self.log_add_step = initial_steps(family, 8.0)

    def affine(self, block: Block, sub: SubNetwork) -> tuple[Tensor, Tensor]:
        """Gain and shift (channels,) after normalization."""
        keys = (
            "shared",
            f"width{block.channels}",
            f"kernel{block.kernel}",
            f"bits{sub.weight_bits}",
        )
        n = block.channels
        gain, shift = (sum(table[key][:n] for key in keys) for table in (self.gains, self.shifts))
        return gain, shift

    def slice(self, block: Block) -> Tensor:
        """Weight (channels, in_channels, kernel, kernel) of one block."""
        edge = (self.weight.shape[-1] - block.kernel) // 2
        crop = slice(edge, edge + block.kernel)
        return self.weight[: block.channels, : block.in_channels, crop, crop]


def _affine(family: ElasticFamily, stage: int, channels: int, value: float) -> Any:
    """A shared vector and what each width, kernel and weight precision adds to it."""
    keys = [f"width{width}" for width in family.widths[stage]]
    keys += [f"kernel{kernel}" for kernel in family.kernels]
    keys += [f"bits{bits}" for bits in family.weight_bits]
    table = {key: nn.Parameter(torch.zeros(channels)) for key in keys}
    return nn.ParameterDict({"shared": nn.Parameter(torch.full((channels,), value)), **table})


def initial_steps(family: ElasticFamily, span: float) -> Any:
    """Learned log steps, one per activation width, that cover `span` at first."""
    steps = {str(bits): math.log(span / 2**bits) for bits in family.activation_bits}
    return nn.ParameterDict({key: nn.Parameter(torch.tensor(step)) for key, step in steps.items()})


class Supernet(nn.Module):
    """All sub-networks of a family in one set of weights.

    Batch normalization has no running statistics: training uses those of the batch, and
    evaluation measures those of each sub-network anew (`inference.py`).

    Args:
        family: the space of sub-networks.
        seed: of the initial weights; the global random state is neither read nor changed.

    References:
        Cai et al., Once-for-All, ICLR 2020, section 3.3; Yu and Huang, Universally Slimmable
        Networks, ICCV 2019 (statistics recomputed after training).
    """

    def __init__(self, family: ElasticFamily, seed: int) -> None:
        super().__init__()
        self.family = family
        generator = torch.Generator().manual_seed(seed)
        self.stages = nn.ModuleList(
            nn.ModuleList(
                SharedBlock(family, stage, index, generator) for index in range(max(family.depths))
            )
            for stage in range(family.stages)
        )
        width = max(family.widths[-1])
        shape = (family.classes, width)
        self.classifier = nn.Parameter(torch.randn(shape, generator=generator) / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(family.classes))
        self.log_pool_step = initial_steps(family, 4.0)

    def forward(self, images: Tensor, sub: SubNetwork) -> Tensor:
        """Logits (n, classes) of native images (n, C, H, H) under batch statistics."""
        bits = sub.activation_bits
        x = image_codes(images, sub) / (2**bits - 1)
        for stage, shared in enumerate(self.stages):
            for block in sub.stage(stage, self.family.in_channels):
                x = _forward_block(shared[block.index], block, x, sub)
        x = fake_activation(x.mean((2, 3)), self.log_pool_step[str(bits)].exp(), bits)
        weight = fake_weight(self.classifier[:, : x.shape[1]], sub.weight_bits, per_channel=False)
        return F.linear(x, weight, self.bias)


def _forward_block(shared: SharedBlock, block: Block, x: Tensor, sub: SubNetwork) -> Tensor:
    bits = sub.activation_bits
    gain, shift = shared.affine(block, sub)
    weight = fake_weight(shared.slice(block), sub.weight_bits)
    y = F.conv2d(x, weight, stride=block.stride, padding=block.kernel // 2)
    y = F.batch_norm(y, None, None, gain, shift, training=True, eps=EPSILON)
    if block.residual:
        y = x + fake_activation(y, shared.log_add_step[str(bits)].exp(), bits, signed=True)
    return fake_activation(y, shared.log_step[str(bits)].exp(), bits)


def resize(images: Tensor, resolution: int) -> Tensor:
    """Images (n, C, H, H) to (n, C, resolution, resolution), bilinear with antialiasing."""
    if images.shape[-1] == resolution:
        return images
    size = (resolution, resolution)
    out = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    return out.clamp(0.0, 1.0)


def image_codes(images: Tensor, sub: SubNetwork) -> Tensor:
    """Codes, as floats, of native images at the resolution and bits of `sub`."""
    return (resize(images, sub.resolution) * (2**sub.activation_bits - 1)).round()
