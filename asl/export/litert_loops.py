"""The bodies of loops as functions of their own, which a .tflite wants and litert-torch forgets."""

from collections.abc import Sequence
from typing import Any

from litert_converter.mlir import ir
from litert_converter.mlir.dialects import func

CONSTANTS = ("arith.constant", "tfl.pseudo_const")


def outline(module: Any) -> None:
    """Give each `tfl.while` of a converted module's functions two functions to call.

    Args:
        module: changed.
    """
    with module.context, ir.Location.unknown():
        blocks = [block for each in module.body.operations for block in each.regions[0].blocks]
        found = [op for block in blocks for op in block.operations]
        loops = [op for op in found if op.operation.name == "tfl.while"]
        for number, loop in enumerate(loops):
            _outline(module, loop.operation, f"loop{number}")


def _outline(module: Any, loop: Any, name: str) -> None:
    seen = _from_outside(loop)
    constants = [value for value in seen if value.owner.name in CONSTANTS]
    # What is no constant has to be carried along.
    more = [value for value in seen if value.owner.name not in CONSTANTS]
    operands = [*loop.operands, *more]
    types = [value.type for value in operands]
    made = ir.Operation.create(
        "tfl.while",
        results=types,
        operands=operands,
        attributes={"is_stateless": loop.attributes["is_stateless"]},
        regions=2,
        ip=ir.InsertionPoint(loop),
    )
    for part, region, target in zip(("test", "step"), loop.regions, made.regions, strict=True):
        function = _function(module, f"{name}_{part}", region.blocks[0], types, more, constants)
        block = target.blocks.append(*types, arg_locs=[ir.Location.unknown()] * len(types))
        with ir.InsertionPoint(block):
            results = func.CallOp(function, list(block.arguments)).results
            ir.Operation.create("tfl.yield", operands=list(results))
    for old, new in zip(loop.results, made.results, strict=False):
        old.replace_all_uses_with(new)
    loop.erase()
    # Tensors that nobody reads would keep the weights' type when these are quantized.
    for constant in constants:
        if not list(constant.uses):
            constant.owner.erase()


def _from_outside(loop: Any) -> list[Any]:
    """The values that a loop's operators take from around it."""
    found: list[Any] = []
    for region in loop.regions:
        (block,) = region.blocks
        inside = list(block.arguments)
        for op in block.operations:
            found += [x for x in op.operands if x not in inside and x not in found]
            inside += op.results
    return found


def _function(
    module: Any,
    name: str,
    block: Any,
    types: Sequence[Any],
    more: Sequence[Any],
    constants: Sequence[Any],
) -> Any:
    """What a loop's block does, as a function that also takes and gives on what is carried."""
    *operations, last = block.operations
    tests = name.endswith("_test")
    results = [last.operands[0].type] if tests else types
    with ir.InsertionPoint.at_block_begin(module.body):
        function = func.FuncOp(name, ir.FunctionType.get(types, results), visibility="private")
    start = function.add_entry_block()
    given = list(start.arguments)
    known = dict(zip([*block.arguments, *more], given, strict=True))
    with ir.InsertionPoint(start):
        used = [operand for operation in operations for operand in operation.operands]
        for constant in constants:
            if constant in used:
                known[constant] = constant.owner.clone().results[0]
        for operation in operations:
            copy = operation.operation.clone()
            for place, operand in enumerate(operation.operands):
                copy.operands[place] = known[operand]
            known |= dict(zip(operation.results, copy.results, strict=True))
        answers = [known[operand] for operand in last.operands]
        func.ReturnOp(answers if tests else [*answers, *given[len(answers) :]])
    return function
