"""Networks from torch modules, by `torch.export`."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dovetail.errors import MissingExtraError, NetworkError
from dovetail.ir.network import Network
from dovetail.networks.assembly import Assembler, Value
from dovetail.networks.torch_ops.call import Call, format_of_dtype
from dovetail.networks.torch_ops.movement import CONSTANTS, IGNORED
from dovetail.networks.torch_ops.registry import HANDLERS

if TYPE_CHECKING:
    import torch

Known = dict[str, Value | list[Value]]


def from_torch(module: torch.nn.Module, example_inputs: tuple[Any, ...], *, name: str) -> Network:
    """Network of a torch module in inference.

    Args:
        module: exported in eval mode; its own mode is restored afterwards.
        example_inputs: positional arguments; their shapes and types become the network's.
        name: name of the network.

    Raises:
        NetworkError: if the module cannot be exported or holds an operator that cannot be imported.
        MissingExtraError: if torch is not installed.
    """
    program = _exported(module, example_inputs, name)
    graph = Assembler(name)
    values = _placeholders(program, graph)
    for node in program.graph.nodes:
        if node.op == "call_function":
            _import_call(node, values, graph)
        elif node.op not in ("placeholder", "output"):
            raise NetworkError(f"torch node '{node.name}' of kind {node.op} cannot be imported")
    outputs = [values[spec.arg.name] for spec in _user_outputs(program)]
    return graph.build([value for value in outputs if isinstance(value, Value)])


def _exported(module: torch.nn.Module, example_inputs: tuple[Any, ...], name: str) -> Any:
    try:
        from torch.export import export
    except ImportError:
        raise MissingExtraError("import from torch", "torch", "torch") from None
    modes = {child: child.training for child in module.modules()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = export(module.eval(), example_inputs)
            # Functional form has no writes into parts of a tensor.
            return program.run_decompositions({}) if _writes_into_views(program) else program
    except Exception as error:  # torch.export raises errors of many unrelated classes
        reason = " ".join(str(error).split())[:300]
        raise NetworkError(
            f"module '{name}' cannot be exported by torch.export: {type(error).__name__}: {reason}"
        ) from None
    finally:
        for child, training in modes.items():
            child.training = training


def _writes_into_views(program: Any) -> bool:
    """True if an operator changes a tensor through one of its views, as `x[:, 0] = y` does."""
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    writes = [node for node in calls if hasattr(node.target, "_schema") and _in_place(node)]
    changed = [node.args[0] for node in writes if getattr(node.args[0], "target", None)]
    return any(getattr(node.target, "is_view", node.op == "call_function") for node in changed)


def _placeholders(program: Any, graph: Assembler) -> Known:
    kinds = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    taken = {node.name for node in program.graph.nodes}
    stored = {**program.state_dict, **program.constants}
    values: Known = {}
    shared: dict[int, Value] = {}
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        spec, tensor = kinds[node.name], node.meta.get("val")
        if not hasattr(tensor, "shape"):
            continue
        shape, form = _shape(node.name, tensor), format_of_dtype(tensor.dtype)
        if spec.kind.name == "USER_INPUT":
            values[node.name] = graph.input(node.name, shape, form)
            continue
        found = stored.get(spec.target)
        name = node.name if spec.target in taken else spec.target
        value = Value(name, shape, form, constant=True, data=_number(found))
        values[node.name] = shared.setdefault(id(node if found is None else found), value)
    return values


def _user_outputs(program: Any) -> list[Any]:
    specs = program.graph_signature.output_specs
    return [s for s in specs if s.kind.name == "USER_OUTPUT" and hasattr(s.arg, "name")]


def _import_call(node: Any, values: Known, graph: Assembler) -> None:
    if node.target is operator.getitem:
        source = values.get(node.args[0].name)
        if isinstance(source, list) and node.args[1] < len(source):
            values[node.name] = source[node.args[1]]
        return
    op, overload = _operator(node)
    if op in IGNORED:
        return
    arguments = _arguments(node, values)
    outputs = _outputs(node)
    single = not isinstance(node.meta.get("val"), list | tuple)
    call = Call(graph, node.name, op, overload, arguments, outputs, _module_path(node))
    if op in CONSTANTS or (outputs and all(v.constant for v in call.tensors())):
        outputs = [Value(v.name, v.shape, v.format, constant=True) for v in outputs]
    else:
        _handle(call, node)
    values[node.name] = outputs[0] if single and outputs else outputs
    if _in_place(node) and outputs:
        values[node.args[0].name] = outputs[0]


def _handle(call: Call, node: Any) -> None:
    if call.op not in HANDLERS:
        raise call.fail(f"operator {node.target} cannot be imported")
    used = {user.args[1] for user in node.users if user.target is operator.getitem}
    if used and isinstance(node.meta.get("val"), list | tuple):
        call.outputs = [v for i, v in enumerate(call.outputs) if i in used or i == 0]
    try:
        HANDLERS[call.op](call)
    except NetworkError as error:
        text = str(error)
        raise (error if text.startswith("torch call") else call.fail(text)) from None


def _operator(node: Any) -> tuple[str, str]:
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.name.startswith("aten::"):
        raise NetworkError(f"torch operator {node.target} (call '{node.name}') cannot be imported")
    name = schema.name.removeprefix("aten::")
    return (name[:-1] if _in_place(node) else name), schema.overload_name


def _in_place(node: Any) -> bool:
    name: str = node.target._schema.name
    return name.endswith("_") and not name.endswith("__")


def _arguments(node: Any, values: Mapping[str, Value | list[Value]]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for index, argument in enumerate(node.target._schema.arguments):
        if index < len(node.args):
            given = node.args[index]
        else:
            given = node.kwargs.get(argument.name, argument.default_value)
        arguments[argument.name] = _resolved(given, values)
    return arguments


def _resolved(given: Any, values: Mapping[str, Value | list[Value]]) -> Any:
    if isinstance(given, list | tuple):
        return [_resolved(entry, values) for entry in given]
    name = getattr(given, "name", None) if hasattr(given, "meta") else None
    return values.get(name) if name is not None else given


def _outputs(node: Any) -> list[Value]:
    made = node.meta.get("val")
    if not isinstance(made, list | tuple):
        return [_value(node.name, made)] if hasattr(made, "shape") else []
    return [
        _value(f"{node.name}.{index}", part)
        for index, part in enumerate(made)
        if hasattr(part, "shape")
    ]


def _value(name: str, tensor: Any) -> Value:
    return Value(name, _shape(name, tensor), format_of_dtype(tensor.dtype))


def _shape(name: str, tensor: Any) -> tuple[int, ...]:
    shape = []
    for axis, extent in enumerate(tensor.shape):
        if not isinstance(extent, int):
            raise NetworkError(
                f"dimension {axis} of torch value '{name}' is {extent}, which depends on data: "
                "only static shapes can be imported"
            )
        shape.append(extent)
    return tuple(shape)


def _number(tensor: Any) -> Any:
    """The one element of a real tensor as an array, else None."""
    if tensor is None or tensor.numel() != 1 or tensor.is_meta or tensor.is_complex():
        return None
    return tensor.detach().cpu().double().numpy()


def _module_path(node: Any) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    last = list(stack.values())[-1:]
    return str(last[0][0]) if last else ""
