"""A design problem whose costs a learnt model predicts; what a search finds is costed after.

Laws of accelerators are checked as ever; whether a mapping fits is not known to the model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dovetail.envs.hardware import HardwareProblem
from dovetail.envs.objectives import assess, broken
from dovetail.envs.problem import Evaluation
from dovetail.envs.proxy_model import Proxy, digest
from dovetail.envs.registry import check_fields, make_problem
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray

DEFAULTS: dict[str, object] = {"model": None, "model_sha256": None}
"""Fields of a specification: the file that `dovetail proxy train` wrote, and its digest."""


class ProxyProblem:
    """The designs, objectives and constraints of a problem, with predicted metrics.

    Args:
        proxy: predicts metrics.
        of: the problem that it was trained for.
        source: fields of a specification that rebuild it.

    Raises:
        ProblemError: if the proxy is of another space, or does not predict what `of` needs.
    """

    def __init__(
        self, proxy: Proxy, of: HardwareProblem, source: Mapping[str, object] | None = None
    ) -> None:
        needed = {o.name for o in of.objectives} | {c.metric for c in of.constraints}
        if proxy.space != of.space:
            raise ProblemError("the proxy is of another design space than the problem")
        if missing := sorted(needed - set(proxy.names)):
            raise ProblemError(f"the proxy does not predict {', '.join(missing)}")
        self.proxy, self.of = proxy, of
        self.name = f"proxy-{of.name}"
        self.space, self.objectives, self.constraints = of.space, of.objectives, of.constraints
        self._source = dict(source or {"model": "given as an object"})

    @property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume: that of the problem itself."""
        return self.of.reference_point

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Predicts designs (n, knobs); illegal ones have no metrics.

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        violation = self.of.excess(designs)
        lawful = violation <= 0
        predicted = self.proxy.predict(designs)
        metrics = {name: np.where(lawful, values, np.nan) for name, values in predicted.items()}
        return assess(metrics, violation, self.objectives, self.constraints)

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and, as predicted, constraints that one design (knobs,) breaks; empty if none."""
        if laws := self.of.accelerator(design).validate():
            return laws
        evaluation = self.evaluate(np.asarray(design, dtype=np.int64)[None])
        return broken(evaluation.metrics, self.constraints)

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): True where some lawful design has that value."""
        return self.of.masks()

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        return {"problem": "proxy", **self._source, "fidelity": "proxy"}


def from_spec(spec: Mapping[str, object]) -> ProxyProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed, or the file is missing, corrupt or not
            the one that was meant.
    """
    fields = check_fields(spec, {**DEFAULTS, "fidelity": "proxy"})
    path, expected = fields["model"], fields["model_sha256"]
    if not isinstance(path, str):
        raise ProblemError(f"model = {path!r}: must be a file that dovetail proxy train wrote")
    proxy = Proxy.load(path)
    found = digest(path)
    if expected is not None and found != expected:
        raise ProblemError(
            f"proxy '{path}' has SHA-256 {found[:12]}…, but the specification was made with "
            f"{str(expected)[:12]}…: give the same file"
        )
    of = make_problem(proxy.about["problem"])
    if not isinstance(of, HardwareProblem):
        raise ProblemError(f"proxy '{path}' is of '{of.name}', which has no accelerators")
    return ProxyProblem(proxy, of, {"model": path, "model_sha256": found})
