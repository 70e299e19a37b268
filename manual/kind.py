"""Which values a key takes, in the words of the message that a wrong one gets."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from slipway.model import Model
from slipway.validation import explain

# No key takes this, unless it takes any text.
_WRONG = "\0: "


def kind(model: type[Model], key: str, *, strict: bool) -> str:
    """What to write as the value of a key of a model.

    Args:
        model: the model, which reads YAML if ``strict`` and else a dotenv file.
        key: the field's name.
        strict: whether values have types of their own.
    """
    annotation = get_type_hints(model)[key]
    if any(
        isinstance(one, type) and issubclass(one, PurePath) for one in (annotation, *get_args(annotation))
    ):
        return "a path"
    try:
        TypeAdapter(model).validate_json(json.dumps({key: _WRONG}), strict=strict)
    except ValidationError as error:
        found = [problem for problem in error.errors() if problem["loc"][:1] == (key,)]
        return _words(explain(found[0])) if found else "text"
    return "text"


def _words(message: Any) -> str:
    words = str(message).removeprefix("write it as ").removeprefix("write ")
    return "text" if words == "it in quotes" else words.replace("'", "`")
