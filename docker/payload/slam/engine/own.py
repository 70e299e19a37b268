"""An engine of a user's own: a folder with ``engine.py`` in it, as ``slam.engine.interface`` says."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from slam import errors
from slam.dataset.sequence import Sequence
from slam.engine.answer import read_answer
from slam.engine.estimate import Estimate, Settings
from slam.errors import CrashError, InputError, SlamError

T = TypeVar("T")

FILE = "engine.py"
FUNCTION = "estimate"
_SIGNATURE = f"def {FUNCTION}(sequence, settings, workspace)"
_PICTURES = "PICTURES"


@dataclass(frozen=True, kw_only=True)
class OwnEngine:
    """The engine in a folder; it can be pickled, and is imported where it is called."""

    folder: Path

    def __call__(self, sequence: Sequence, settings: Settings, workspace: Path) -> Estimate:
        """Run it.

        Raises:
            InputError: it has no such function, or what it returns is not what it should be.
            ReconstructionError: it placed too few frames.
            SlamError: what it raises of ours.
            CrashError: it raised anything else; its traceback is on standard error.
        """
        path = find_file(self.folder)
        module = _run(path, lambda: _import(path))
        function = _find_function(module, path)
        result = _run(path, lambda: function(sequence, settings, workspace))
        return read_answer(result, sequence, str(path))


def find_file(folder: Path) -> Path:
    """The engine's file, by its whole path.

    Raises:
        InputError: it is not there.
    """
    if not folder.is_dir():
        raise InputError(
            f"--engine {folder}: there is no such folder (seen from {Path.cwd()}); name one with {FILE} in it"
        )
    path = folder.resolve() / FILE
    if not path.is_file():
        raise InputError(f"--engine {folder}: it has no {FILE}; that holds `{_SIGNATURE}`")
    return path


def takes_pictures(folder: Path) -> bool:
    """Whether the engine asks for prepared pictures by ``PICTURES = True``; nothing of its file is run.

    Raises:
        InputError: the file is not there, or is no Python.
    """
    path = find_file(folder)
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(f"{path}{line}: it is no Python ({getattr(error, 'msg', error)})") from error
    assigned = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    value = assigned.get(_PICTURES)
    return isinstance(value, ast.Constant) and value.value is True


def _import(path: Path) -> ModuleType:
    # Beside it there may be modules that it imports by their names.
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("own_engine", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a .py file has both
    module = importlib.util.module_from_spec(spec)
    # Pickle and dataclasses look a class's module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _find_function(module: ModuleType, path: Path) -> Callable[[Sequence, Settings, Path], object]:
    function: Callable[[Sequence, Settings, Path], object] | None = getattr(module, FUNCTION, None)
    if not callable(function):
        raise InputError(f"{path}: there is no function {FUNCTION} in it; it needs `{_SIGNATURE}`")
    signature = inspect.signature(function)
    try:
        signature.bind(None, None, None)
    except TypeError as error:
        raise InputError(
            f"{path}: {FUNCTION}{signature} is called with three values; it is `{_SIGNATURE}`"
        ) from error
    return function


def _run(path: Path, call: Callable[[], T]) -> T:
    """Call the user's code; what is not meant for a person to read in a line is shown with a traceback.

    Raises:
        SlamError: of the classes that the interface has.
        MemoryError: there is not enough.
        CrashError: it raised something else.
    """
    try:
        return call()
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SlamError) and type(error).__module__ == errors.__name__:
            raise
        trace = error.__traceback__
        # Without our own frames and the import system's, as far as the first of the user's file.
        while trace is not None and trace.tb_frame.f_code.co_filename != str(path):
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace)
        raise CrashError(f"{path} raised {describe(error)}; its traceback is above") from None


def describe(error: BaseException) -> str:
    """An error as the last line of its traceback has it."""
    return traceback.format_exception_only(type(error), error)[-1].strip()
