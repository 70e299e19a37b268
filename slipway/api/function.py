"""A function of the user's own code as the program of a job, by its name; its values travel as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.errors import UsageError

# It runs in the container, where there is no Slipway; the working directory is the code.
_PROGRAM = """\
import functools, importlib, json, os, sys
module, name, words = sys.argv[1:]
function = functools.reduce(getattr, name.split("."), importlib.import_module(module))
args, kwargs = json.loads(words)
value = function(*args, **kwargs)
try:
    text = json.dumps({"value": value})
except (TypeError, ValueError) as error:
    sys.exit(f"{module}.{name} returned what JSON does not have ({error}); have it write to $SLIPWAY_OUT")
with open(os.path.join(os.environ["SLIPWAY_OUT"], "return.json"), "w", encoding="utf-8") as file:
    file.write(text)
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function and its arguments; ``call`` makes it, and ``Project.submit()`` takes it."""

    function: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def command(self, code: Path) -> list[str]:
        """The command line of a job whose ``/code`` is this folder.

        Raises:
            UsageError: a job cannot import the function, or JSON does not have its arguments.
        """
        name = getattr(self.function, "__qualname__", type(self.function).__qualname__)
        module = str(getattr(self.function, "__module__", None))
        self._check_importable(module, name, code.resolve())
        return ["python3", "-c", _PROGRAM, module, name, self._format_arguments(name)]

    def _check_importable(self, module: str, name: str, code: Path) -> None:
        loaded: Any = sys.modules.get(module)
        file = Path(getattr(loaded, "__file__", None) or "none").resolve()
        path = code.joinpath(*module.split("."))
        if module == "__main__" or file not in (path.with_suffix(".py"), path / "__init__.py"):
            where = "this notebook or script" if module == "__main__" else str(file)
            raise UsageError(
                f"{name} is a function of {where}, which a job cannot import; put it in a module of the code "
                f"folder {code}, and import that here under the name that it has from there"
            )
        found = loaded
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not self.function:
            raise UsageError(
                f"{module}.{name} is another object than the one that was given; give a function"
            )

    def _format_arguments(self, name: str) -> str:
        given = [[*self.args], {**self.kwargs}]
        try:
            text = json.dumps(given)
            if json.loads(text) == given:
                return text
            why = "they would come back as something else (a tuple as a list, say)"
        except (TypeError, ValueError) as error:
            why = str(error)
        raise UsageError(
            f"the arguments of {name} travel as JSON, which does not have them: {why}. Give numbers, text, "
            "lists and dicts, or names of files that the job sees"
        )


def call(function: Callable[..., object], /, *args: Any, **kwargs: Any) -> Call:
    """Have a job call a function: ``project.submit(call(train, lr=1e-3), gpus=1)``.

    The job imports it by its name from the code folder, in the image's own Python. So it has to be a function
    of a module there, not of a notebook, and no lambda; ``python3`` and what the module imports have to be in
    the image. Arguments and the value that it returns travel as JSON; ``slipway.Results.returned`` has
    the value. An exception is in the job's log, and its exit code is 1.
    """
    return Call(function=function, args=args, kwargs=kwargs)
