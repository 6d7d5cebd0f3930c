"""House rules that a linter does not have, each a function from a module's text to what breaks it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LONGEST_FUNCTION = 60
LONGEST_FILE = 400

_MARK = re.compile(r"\b(TODO|FIXME|HACK)\b")
_EVERYTHING = frozenset({"Exception", "BaseException"})
# Where an amount is computed, kept or described. Durations are floats elsewhere.
_MONEY = re.compile(r"^shared/(money|signing)\.py$|^shared/contracts/|^\w+/(domain|tables)(\.py$|/)")
_MONEY_NAME = re.compile(r"minor|amount|balance|cash|reserved")


# What breaks a rule with a reason: the module, and the finding that it is for.
ALLOWED = {
    # Whatever goes wrong with one command, it must not stop its lane: it is logged with its traceback, and parked.
    ("wallet_service/handlers/commands.py", "catches everything; name what can happen"),
    # Nor one payment the others: it is logged with its traceback, stays due, and is shown to staff when it is overdue.
    ("payments_service/handlers/worker.py", "catches everything; name what can happen"),
    # Nor one batch the settlement of the others: it is logged with its traceback, and waits as one that has no report.
    ("payments_service/handlers/settlement.py", "catches everything; name what can happen"),
}


def findings(path: str, text: str) -> list[str]:
    """What is wrong with a module, a line each. `path` is relative to the root of the tree."""
    tree = ast.parse(text)
    found = [
        *(finding for rule in (_marks, _length, _docstring) for finding in rule(path, text, tree)),
        *(
            finding
            for node in ast.walk(tree)
            for rule in (_long_function, _inner_import, _catch_all, _float_in_money)
            for finding in rule(path, text, node)
        ),
    ]
    return [f"{path}:{line}: {what}" for line, what in found if (path, what) not in ALLOWED]


def modules(root: Path, packages: tuple[str, ...]) -> Iterator[Path]:
    """Every module of the product."""
    for package in packages:
        yield from sorted((root / package).rglob("*.py"))


def _marks(path: str, text: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _MARK.search(line):
            yield number, f"{found[1]}: finish it, or file it"


def _length(path: str, text: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    lines = len(text.splitlines())
    if lines > LONGEST_FILE and "/migrations/" not in path:
        yield lines, f"{lines} lines; past {LONGEST_FILE} a room becomes a package"


def _docstring(path: str, text: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    if ast.get_docstring(tree) is None:
        yield 1, "a module says in its docstring what it is for"
    service = path.count("/") == 1 and path.split("/")[0].endswith(("_service", "gateway"))
    if service and path.endswith("/__init__.py") and len(tree.body) > 1:
        yield tree.body[1].lineno, "a service's __init__ has its docstring and nothing else"


def _long_function(path: str, text: str, node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "/migrations/" not in path:
        assert node.end_lineno is not None
        lines = node.end_lineno - node.lineno + 1
        if lines > LONGEST_FUNCTION:
            yield node.lineno, f"{node.name} has {lines} lines, more than {LONGEST_FUNCTION}"


def _inner_import(path: str, text: str, node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for inner in ast.walk(node):
            # A development dependency may be imported where it is needed, with its reason on the line.
            if isinstance(inner, ast.Import | ast.ImportFrom) and "noqa: PLC0415 - " not in _line(text, inner.lineno):
                yield inner.lineno, f"an import inside {node.name}"


def _catch_all(path: str, text: str, node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.ExceptHandler):
        caught = {"BaseException"} if node.type is None else {name.id for name in _names(node.type)}
        last = node.body[-1]
        # Cleaning up and letting the same error through catches nothing.
        if caught & _EVERYTHING and not (isinstance(last, ast.Raise) and last.exc is None):
            yield node.lineno, "catches everything; name what can happen"
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        suppressed = {name.id for argument in node.args for name in _names(argument)}
        if suppressed & _EVERYTHING:
            yield node.lineno, "suppresses everything; name what can happen"


def _float_in_money(path: str, text: str, node: ast.AST) -> Iterator[tuple[int, str]]:
    in_money = _MONEY.search(path) is not None
    annotation, name = _annotated(node)
    if annotation and any(found.id == "float" for found in _names(annotation)):
        if _MONEY_NAME.search(name) or (in_money and not name.endswith("_s")):
            yield annotation.lineno, f"{name} is a float"
    elif in_money and isinstance(node, ast.Call) and ast.unparse(node.func) == "float":
        yield node.lineno, "float() in money code"
    elif in_money and isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield node.lineno, f"the float {node.value} in money code"
    elif in_money and isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
        yield node.lineno, "/ makes a float; money is divided by // or as Decimal, and says how it rounds"


def _annotated(node: ast.AST) -> tuple[ast.expr | None, str]:
    if isinstance(node, ast.arg):
        return node.annotation, node.arg
    if isinstance(node, ast.AnnAssign):
        return node.annotation, ast.unparse(node.target)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.returns, node.name
    return None, ""


def _names(node: ast.expr) -> Iterator[ast.Name]:
    return (found for found in ast.walk(node) if isinstance(found, ast.Name))


def _line(text: str, number: int) -> str:
    return text.splitlines()[number - 1]
