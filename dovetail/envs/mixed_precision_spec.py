"""Mixed-precision problems by specification: a network trained on digits, or any network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dovetail.arch import presets
from dovetail.arch.accelerator import Accelerator
from dovetail.arch.systolic import SystolicArray
from dovetail.envs.accelerator import file_digest
from dovetail.envs.mixed_precision import BITS, MixedPrecisionProblem, check_bits
from dovetail.envs.registry import check_fields
from dovetail.errors import ProblemError
from dovetail.networks.bits.layers import layer_graph
from dovetail.networks.bits.sensitivity import given, perturbations, proxy
from dovetail.networks.registry import load_network

TRAINED = "digits_cnn"
"""The network whose error is measured: `dovetail.networks.bits.digits`."""

DEFAULTS: dict[str, object] = {
    "network": TRAINED,
    "network_sha256": None,
    "dataset": "digits",
    "dataset_sha256": None,
    "seed": 0,
    "epochs": 30,
    "sensitivities": None,
    "bits": BITS,
    "base": None,
    "objectives": None,
    "constraints": (),
    "cache": None,
}
"""Fields of a specification: `digits_cnn` (trained on the data set by seed and epochs, kept in the
cache folder), or what `load_network` takes, with sensitivities by layer (a proxy if None);
widths; the array that runs it, if any; objectives and constraints."""


def from_spec(spec: Mapping[str, object]) -> MixedPrecisionProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed, or data differ from what was specified.
        MissingExtraError: if a network must be trained and torch is not installed.
    """
    fields = check_fields(spec, DEFAULTS)
    if not isinstance(fields["network"], str):
        raise ProblemError(f"network = {fields['network']!r}: must be a name or a file")
    build = _trained if fields["network"] == TRAINED else _untrained
    return build(fields)


def _trained(fields: Mapping[str, object]) -> MixedPrecisionProblem:
    from dovetail.networks.elastic.accuracy import require_torch

    require_torch()
    from dovetail.networks.bits.digits import digits_cnn
    from dovetail.networks.bits.hessian import measured_perturbations
    from dovetail.networks.bits.quantized import Quantizer
    from dovetail.networks.bits.train import Recipe, train_or_load
    from dovetail.networks.elastic.data import load_dataset

    if fields["sensitivities"] is not None:
        raise ProblemError(f"sensitivities of '{TRAINED}' are measured: leave them out")
    bits, options = check_bits(fields["bits"])
    data = load_dataset(str(fields["dataset"]))
    _check_digest(f"data set '{fields['dataset']}'", data.digest, fields["dataset_sha256"])
    if data.channels != 1:
        raise ProblemError(f"data set '{data.name}': '{TRAINED}' reads one channel")
    network = digits_cnn(resolution=data.resolution, classes=data.classes)
    recipe = Recipe(seed=_whole(fields, "seed"), epochs=_whole(fields, "epochs"))
    trained = train_or_load(network, data, recipe, _folder(fields["cache"]))
    quantizer = Quantizer(trained, bits)
    source = {
        "network": TRAINED, "dataset": fields["dataset"], "dataset_sha256": data.digest,
        "seed": recipe.seed, "epochs": recipe.epochs,
    }  # fmt: skip
    return MixedPrecisionProblem(
        network, measured_perturbations(trained, quantizer, options), bits,
        fields["objectives"], fields["constraints"],  # type: ignore[arg-type]  # parsed there
        oracle=quantizer, accelerator=_array(fields["base"]), source=source,
    )  # fmt: skip


def _untrained(fields: Mapping[str, object]) -> MixedPrecisionProblem:
    name = str(fields["network"])
    network = load_network(name)
    digest = file_digest(name)
    _check_digest(f"network '{name}'", digest, fields["network_sha256"])
    bits, options = check_bits(fields["bits"])
    graph, values = layer_graph(network), fields["sensitivities"]
    share = proxy(graph) if values is None else given(graph, values)
    source: dict[str, object] = {"network": name, "sensitivities": values}
    if digest is not None:
        source["network_sha256"] = digest
    return MixedPrecisionProblem(
        network, perturbations(share, share, options), bits,
        fields["objectives"], fields["constraints"],  # type: ignore[arg-type]  # parsed there
        accelerator=_array(fields["base"]), source=source,
    )  # fmt: skip


def _array(base: object) -> SystolicArray | None:
    """The array of a field: None, a preset or its parameters."""
    chosen: Accelerator | None = None
    if isinstance(base, str):
        chosen = presets.load(base)
    elif isinstance(base, Mapping):
        chosen = presets.from_dict(base, "base")
    elif base is not None:
        raise ProblemError(f"base = {base!r}: must be a preset or parameters by name")
    if chosen is not None and not isinstance(chosen, SystolicArray):
        raise ProblemError(
            f"base '{chosen.name}' of family '{chosen.family}': bits per layer are costed on "
            "systolic arrays"
        )
    if chosen is not None and (reasons := chosen.validate()):
        raise ProblemError(f"base '{chosen.name}' is illegal: {reasons[0]}")
    return chosen


def _whole(fields: Mapping[str, object], name: str) -> int:
    value = fields[name]
    if type(value) is not int:
        raise ProblemError(f"{name} = {value!r}: must be a whole number")
    return value


def _check_digest(what: str, digest: str | None, expected: object) -> None:
    if expected is not None and digest != expected:
        raise ProblemError(
            f"{what} has SHA-256 {str(digest)[:12]}…, but the specification was made with "
            f"{str(expected)[:12]}…: give the same data"
        )


def _folder(cache: object) -> Path:
    """The cache folder: the user's if none is given."""
    if isinstance(cache, str):
        return Path(cache)
    if cache is not None:
        raise ProblemError(f"cache = {cache!r}: must be a folder")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dovetail"
