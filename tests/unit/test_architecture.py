"""Which part of Slipway imports which: from the top down, and never back."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# From the top down. A module belongs to the longest of these names that it begins with, and imports only
# what is in its own layer or below.
LAYERS = (
    ("tasks",),
    ("slipway.__main__",),
    ("slipway.completion.answer",),
    ("slipway.completion.load",),
    ("slipway.cli.program",),
    ("slipway.tasks",),
    ("slipway.cli",),
    ("slipway.demo",),
    ("slipway.terminal", "slipway.page", "slipway.export"),
    ("slipway.report",),
    ("slipway.api",),
    ("slipway.steps",),
    ("slipway.doctor",),
    ("slipway.job_file",),
    ("slipway.keep", "slipway.sweep", "slipway.monitor"),
    ("slipway.job",),
    ("slipway.dask",),
    ("slipway.push",),
    ("slipway.dataset", "slipway.weights", "slipway.registry", "slipway.box", "slipway.init"),
    ("slipway.sif", "slipway.local"),
    ("slipway.image",),
    ("slipway.profile", "slipway.site_file"),
    ("slipway.dask.cluster_file",),
    ("slipway.scheduler", "slipway.runtime"),
    ("slipway.code",),
    ("slipway.transfer", "slipway.tunnel", "slipway.interactive", "slipway.access", "slipway.editor"),
    ("slipway.host",),
    ("slipway.here",),
    ("slipway.multiplex",),
    ("slipway.ssh", "slipway.sftp"),
    ("slipway.completion",),
    ("slipway.site", "slipway.project", "slipway.notify", "slipway.local.setting"),
    ("slipway.dask.options",),
    ("slipway.resources", "slipway.monitor.rule"),
    ("slipway",),
)
RANKS = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def modules() -> Iterator[tuple[str, Path]]:
    yield "tasks", ROOT / "tasks.py"
    for file in sorted((ROOT / "slipway").rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), file


MODULES = dict(modules())


def imported(file: Path) -> set[str]:
    """The modules of Slipway that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            # `from slipway.ssh import auth` is of a module, `from slipway.ssh.auth import x` of one above it.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= inner & set(MODULES) or {node.module}
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & set(MODULES)


def rank(module: str) -> int:
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next(RANKS[name] for name in names if name in RANKS)


def test_no_import_goes_up() -> None:
    up = {
        f"{module} imports {other}"
        for module, file in MODULES.items()
        # It names what the API has, and loads that only when it is asked for.
        if module != "slipway"
        for other in imported(file)
        if rank(other) < rank(module)
    }
    assert up == set()
