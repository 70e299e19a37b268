"""What pydantic finds wrong with a value, in plain words."""

from __future__ import annotations

from typing import Any

# What pydantic calls a value of the wrong kind (https://docs.pydantic.dev/latest/errors/validation_errors/).
_WORDS = {
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "bool_parsing": "write yes or no",
    "bool_type": "write true or false",
    "string_type": "write it in quotes",
    "tuple_type": "write a list, such as [one, two]",
    "dict_type": "write keys with values",
    "model_type": "write keys with values",
    "model_attributes_type": "write keys with values",
    "dataclass_type": "write keys with values",
}


def explain(problem: Any) -> str:
    """What to write instead: one of the errors that pydantic has found, in plain words."""
    kind = problem["type"]
    if kind == "greater_than_equal":
        return f"write {problem['ctx']['ge']} or more"
    if kind == "less_than_equal":
        return f"write {problem['ctx']['le']} or less"
    if kind == "literal_error":
        return f"write {problem['ctx']['expected']}"
    message: str = problem["msg"]
    return _WORDS.get(kind) or message.removeprefix("Value error, ")
