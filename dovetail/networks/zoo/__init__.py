"""Networks by name, each a function with documented keyword arguments."""

from __future__ import annotations

from collections.abc import Callable

from dovetail.ir.network import Network
from dovetail.networks.zoo.cnn import alexnet, densenet121, vgg16
from dovetail.networks.zoo.decoders import (
    gpt2_decode,
    gpt2_prefill,
    llama2_7b_decode,
    llama2_7b_prefill,
)
from dovetail.networks.zoo.encoders import bert_base, t5, trxl, vit_b16, xlm
from dovetail.networks.zoo.llms import DECODES, PREFILLS
from dovetail.networks.zoo.mobilenet import mobilenet_v1, mobilenet_v2
from dovetail.networks.zoo.mobilenet_v3 import lraspp, mobilenet_v3_large
from dovetail.networks.zoo.moe import m3vit
from dovetail.networks.zoo.monarch import flash_fft_conv
from dovetail.networks.zoo.resnet import resnet18, resnet50, resnext50
from dovetail.networks.zoo.searched import amoebanet_d, darts, nasnet_a, pnasnet5
from dovetail.networks.zoo.segmentation import deeplabv3, fcn_resnet50
from dovetail.networks.zoo.tiny import autoencoder, ds_cnn, mobilenet_v1_025, resnet8
from dovetail.networks.zoo.transformer import transformer
from dovetail.networks.zoo.video import r2plus1d_18, s3d

_FUNCTIONS: tuple[Callable[..., Network], ...] = (
    resnet18, resnet50, mobilenet_v1, mobilenet_v2, vgg16, alexnet,
    densenet121, resnext50, mobilenet_v3_large, fcn_resnet50, deeplabv3, lraspp,
    nasnet_a, pnasnet5, amoebanet_d, darts,
    r2plus1d_18, s3d,
    bert_base, vit_b16, m3vit, transformer, t5, xlm, trxl,
    gpt2_prefill, gpt2_decode, llama2_7b_prefill, llama2_7b_decode, *PREFILLS, *DECODES,
    flash_fft_conv,
    resnet8, ds_cnn, mobilenet_v1_025, autoencoder,
)  # fmt: skip

NETWORKS = {function.__name__: function for function in _FUNCTIONS}
"""Functions that return a network; every one takes `batch` and has defaults for all arguments."""
