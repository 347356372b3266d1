"""The one error tree; the command line prints any of these as one line and exits with code 2.

DovetailError
├── NetworkError        a network that is malformed, or holds what cannot be imported
├── AcceleratorError    a preset or parameter that breaks a law of its family
├── MappingError        an operator that cannot be laid onto an accelerator
├── FidelityError       a fidelity that an accelerator does not support
├── UnknownNameError    a name that no registry holds
├── StudyError          a study that is corrupt, or does not fit the request
├── ProblemError        a design problem or a budget that makes no sense
├── OutputError         a result that cannot be written where the user asked
├── ReportError         a report file that cannot be read
├── ToolError           an external tool that fails or takes too long
├── MissingToolError    an external tool that is not installed
└── MissingExtraError   an optional dependency that is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DovetailError(Exception):
    """Base of all errors that users can cause and mend."""


class NetworkError(DovetailError):
    """A network is malformed or holds an operator that cannot be imported."""


class AcceleratorError(DovetailError):
    """An accelerator's preset, file or parameter is illegal."""


class MappingError(DovetailError):
    """An operator cannot be mapped onto an accelerator."""


class FidelityError(DovetailError):
    """An accelerator does not support the requested fidelity."""


class ProblemError(DovetailError):
    """A design problem, objective or budget is ill-posed."""


class StudyError(DovetailError):
    """A study file is corrupt or does not belong to the request."""


class OutputError(DovetailError):
    """A result cannot be written."""


class ReportError(DovetailError):
    """A file holds no report."""


class ToolError(DovetailError):
    """An external tool fails, or takes longer than it may."""


class MissingToolError(DovetailError):
    """An external tool is missing; the message says how to install it."""

    def __init__(self, feature: str, tool: str, install: str) -> None:
        super().__init__(f"{feature} needs '{tool}', which is not installed: {install}")


class UnknownNameError(DovetailError):
    """A name is not registered; the message lists the nearest known ones."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
        super().__init__(f"unknown {what} '{name}'; {hint}")


class MissingExtraError(DovetailError):
    """An optional dependency is missing; the message says how to install it."""

    def __init__(self, feature: str, extra: str, module: str) -> None:
        super().__init__(
            f"{feature} needs the module '{module}', which is not installed: "
            f"pip install 'dovetail[{extra}]'"
        )
