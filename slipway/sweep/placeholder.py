"""Placeholders: ``{name}`` in arguments and templates, filled in for each element. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from slipway.errors import UsageError
from slipway.sweep.parameter import Values
from slipway.text.nearest import nearest

# ``{{name}}`` stands for ``{name}`` itself. All other braces are the program's own: JSON has many.
_PLACEHOLDER = re.compile(r"\{\{([A-Za-z_]\w*)\}\}|\{([A-Za-z_]\w*)\}")


def find_names(text: str) -> Iterator[str]:
    """The names between braces in a text, in order."""
    return (found[2] for found in _PLACEHOLDER.finditer(text) if found[2])


def fill(text: str, values: Values) -> str:
    """A text with each ``{name}`` replaced by that element's value, exactly as it is.

    Raises:
        UsageError: it has a name that the element has not.
    """

    def one(found: re.Match[str]) -> str:
        if found[1]:
            return f"{{{found[1]}}}"
        if found[2] not in values:
            raise unknown(found[2], values)
        return values[found[2]]

    return _PLACEHOLDER.sub(one, text)


def unknown(name: str, known: Collection[str]) -> UsageError:
    """The error for a name that is no parameter."""
    return UsageError(
        f"{{{name}}} is no parameter of this sweep{nearest(name, known)}; it has {', '.join(known)}. "
        f"Where the program wants it so, write {{{{{name}}}}}"
    )


def check_used(parameters: Iterable[str], texts: Sequence[str], also: Collection[str] = ()) -> None:
    """Refuse a parameter that no text names, nor ``also`` has: its elements would all be the same.

    Raises:
        UsageError: there is one.
    """
    used = {*also, *(name for text in texts for name in find_names(text))}
    for name in parameters:
        if name not in used:
            raise UsageError(
                f"{{{name}}} stands nowhere in the arguments, so that all values of {name} would run the "
                f"same; write it where the program takes it, such as `--{name.replace('_', '-')} {{{name}}}`"
            )
