"""Which parts of the program may know which, lazy imports and those for type checkers included."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PAYLOAD = Path(__file__).parents[2] / "docker" / "payload"
# A folder, and what in the program it does without.
APART = {
    "dataset": ("demo", "engine", "evaluate", "selftest", "train", "task", "command"),
    "demo": ("engine", "evaluate", "selftest", "train", "task", "command"),
    "engine": ("demo", "evaluate", "train", "task", "command"),
    "evaluate": ("demo", "engine", "selftest", "train", "task", "command"),
    "output": ("demo", "engine", "selftest", "train", "task", "command"),
    "selftest": ("demo", "engine", "evaluate", "dataset", "train", "task", "command"),
    "train": ("demo", "evaluate", "selftest", "task"),
}


def modules() -> dict[str, set[str]]:
    """Each module of the program with those that it imports."""
    names = {
        ".".join(path.relative_to(PAYLOAD).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PAYLOAD.rglob("*.py")
    }
    return {name: imported(path, names) for name, path in names.items()}


def imported(path: Path, names: dict[str, Path]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{one.name}" for one in node.names}
            found |= inner & set(names) or {node.module}
    return found & set(names)


def test_no_module_needs_itself() -> None:
    list(TopologicalSorter(modules()).static_order())  # raises CycleError


@pytest.mark.parametrize("folder", APART)
def test_a_folder_does_without(folder: str) -> None:
    known = {
        (name, other)
        for name, others in modules().items()
        for other in others
        if name.startswith(f"slam.{folder}.") and other.split(".")[1] in APART[folder]
    }
    assert known == set()
