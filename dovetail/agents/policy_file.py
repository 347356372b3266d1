"""Trained policies as files: one .safetensors each, which says what it was trained for.

A file holds what was learnt: weights, moments of the optimiser, and how many designs were told.
It holds no random state: chance comes from the seed of the study that begins from it, so that
such a study is a function of the file, the seed and its problem. The header's metadata has one
entry, `dovetail`, a JSON object with the fields of `PolicyFile`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dovetail.agents.base import REGISTRY, Agent, Arrays, Trained, factory
from dovetail.envs.problem import DesignProblem
from dovetail.errors import OutputError, ProblemError, StudyError
from dovetail.ir.files import replaced_file

FORMAT = 1

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
"""Number formats of policies, as safetensors and numpy call them."""

MOST_BYTES = 2**28
"""A larger file is no policy of this package."""

MOST_HEADER = 2**20
"""Bytes of the JSON header."""

LARGEST = 1e6
"""No trained weight or moment is larger; the policy's odds would overflow."""


@dataclass(frozen=True)
class PolicyFile:
    """Contents of a file, its form checked; `restore` checks that they fit.

    Attributes:
        path: where they come from.
        sha256: hexadecimal digest of the file.
        agent: registered name.
        settings: the agent's, by name.
        problem: specification of the problem that it was trained on.
        knobs: `[name, values, ordered]` each.
        objectives: names, in order.
        arrays: what was learnt, by name.
    """

    path: Path
    sha256: str
    agent: str
    settings: dict[str, Any]
    problem: dict[str, Any]
    knobs: list[Any]
    objectives: list[str]
    arrays: Arrays


def check_trained(name: str) -> None:
    """Checks before long work that an agent has a policy which can be kept.

    Raises:
        UnknownNameError: if no agent has that name.
        ProblemError: if it has no policy.
    """
    if not hasattr(factory(name), "restore"):
        able = ", ".join(n for n in sorted(REGISTRY) if hasattr(factory(n), "restore"))
        raise ProblemError(f"agent '{name}' has no policy to save or load: choose one of {able}")


def save_policy(
    path: Path | str,
    agent: Agent,
    name: str,
    settings: Mapping[str, object],
    problem: DesignProblem,
) -> None:
    """Writes what an agent has learnt; equal policies give equal files.

    Args:
        path: the file, which appears complete or not at all.
        agent: a `Trained` one.
        name: its registered name.
        settings: all of its settings by name.
        problem: what it searches.

    Raises:
        ProblemError: if the agent has no policy.
        OutputError: if the file cannot be written.
    """
    from safetensors.numpy import save

    if not isinstance(agent, Trained):
        raise ProblemError(f"agent '{name}' has no policy to save")
    meaning = {
        "format": FORMAT,
        "agent": name,
        "settings": dict(settings),
        "problem": problem.describe(),
        "knobs": _knobs(problem),
        "objectives": [objective.name for objective in problem.objectives],
    }
    data = save(agent.state(), {"dovetail": json.dumps(meaning, sort_keys=True)})
    if int.from_bytes(data[:8], "little") > MOST_HEADER or len(data) > MOST_BYTES:
        raise OutputError(
            f"policy '{path}': larger than {MOST_BYTES} bytes; use fewer hidden units"
        )
    with replaced_file(path) as temporary:
        temporary.write_bytes(data)


def read_policy(path: Path | str) -> PolicyFile:
    """Reads a file; nothing is unpickled.

    Raises:
        StudyError: if there is none, or it is no policy.
    """
    path = Path(path)
    data = _read(path)
    arrays = _arrays(path, data)
    try:
        length = int.from_bytes(data[:8], "little")
        meaning = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["dovetail"])
        if meaning["format"] != FORMAT:
            raise _broken(path, f"has format {meaning['format']}, this version reads {FORMAT}")
        return PolicyFile(
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            agent=_of(str, meaning["agent"]),
            settings=_of(dict, meaning["settings"]),
            problem=_of(dict, meaning["problem"]),
            knobs=_of(list, meaning["knobs"]),
            objectives=[_of(str, name) for name in _of(list, meaning["objectives"])],
            arrays=arrays,
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _broken(path, "does not say what it was trained for") from error


def check_fits(file: PolicyFile, name: str, problem: DesignProblem) -> None:
    """Checks that a policy goes with an agent and a problem.

    Raises:
        StudyError: if it is another agent's, or of other knobs or objectives.
    """
    if file.agent != name:
        raise StudyError(
            f"policy '{file.path}' is of agent '{file.agent}', not '{name}': "
            f"use --agent {file.agent}"
        )
    wanted = _knobs(problem)
    if file.knobs != wanted:
        names = [knob[0] for knob in wanted]
        odd = next((k for k, w in zip(file.knobs, wanted, strict=False) if k != w), None)
        what = f"its {odd!r:.80} differs" if odd and len(file.knobs) == len(wanted) else (
            f"it has {len(file.knobs)}, the problem has {len(names)}")  # fmt: skip
        raise StudyError(f"policy '{file.path}' is for other knobs ({what}): use its problem")
    objectives = [objective.name for objective in problem.objectives]
    if file.objectives != objectives:
        raise StudyError(
            f"policy '{file.path}' is for the objectives {', '.join(file.objectives)}, not "
            f"{', '.join(objectives)}: give the same, in order"
        )


def restore(agent: Agent, file: PolicyFile) -> None:
    """Gives a fresh agent what a file holds.

    Raises:
        ProblemError: if the agent has no policy.
        StudyError: if the arrays are none that such an agent could have learnt.
    """
    if not isinstance(agent, Trained):
        raise ProblemError(f"agent '{file.agent}' has no policy to load")
    wanted = agent.state()
    if file.arrays.keys() != wanted.keys():
        odd = sorted(file.arrays.keys() ^ wanted.keys())[0]
        raise _broken(file.path, f"does not fit its agent: array '{odd:.60}'")
    for name, model in wanted.items():
        array = file.arrays[name]
        if (array.shape, array.dtype) != (model.shape, model.dtype):
            raise _broken(
                file.path,
                f"array '{name}' is {array.dtype}{array.shape}, the agent's is "
                f"{model.dtype}{model.shape}: use the settings that it was trained with",
            )
        if array.dtype.kind == "f" and not (np.abs(array) <= LARGEST).all():
            raise _broken(file.path, f"array '{name}' holds NaN or values beyond {LARGEST:g}")
        if _is_count(name) and (array < 0).any():
            raise _broken(file.path, f"array '{name}' holds a negative value")
    agent.restore(file.arrays)


def _is_count(name: str) -> bool:
    """Whether an array holds second moments or counts, by its name."""
    return name.partition("/")[0] in ("square", "steps", "told")


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise StudyError(f"there is no policy file '{path}': name one of --save-policy")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise _broken(path, f"has {size:,} bytes; at most {MOST_BYTES:,} are read")
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read policy '{path}': {error.strerror or error}") from error
    if int.from_bytes(data[:8], "little") > min(MOST_HEADER, max(0, len(data) - 8)):
        raise _broken(path, "is no safetensors file, or cut short")
    return data


def _arrays(path: Path, data: bytes) -> Arrays:
    from safetensors import SafetensorError, deserialize

    try:
        parts = deserialize(data)  # type: ignore[no-untyped-call]  # it has no types
    except SafetensorError as error:
        raise _broken(path, f"is no safetensors file ({error!s:.80})") from error
    found: Arrays = {}
    for name, part in parts:
        if part["dtype"] not in DTYPES:
            raise _broken(path, f"array '{name:.60}' is {part['dtype']}")
        values = np.frombuffer(part["data"], DTYPES[part["dtype"]])
        found[name] = values.reshape(part["shape"]).copy()
    return found


def _knobs(problem: DesignProblem) -> list[Any]:
    listed = [[k.name, list(k.values), k.ordered] for k in problem.space.knobs]
    plain: list[Any] = json.loads(json.dumps(listed))
    return plain


def _of(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _broken(path: Path, why: str) -> StudyError:
    return StudyError(f"policy '{path}' {why}")
