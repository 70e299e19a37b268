"""Reading a YAML file that a person has written: what is wrong with it, by its file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from slipway.errors import ConfigError, UsageError


def read_keys(
    file: Path,
    expected: str,
    *,
    missing: str | None = None,
    as_text: bool = False,
    may_be_empty: bool = False,
) -> dict[Any, Any]:
    """The keys of a file.

    Args:
        file: the file.
        expected: what is said where it has no keys: what there should be, and where that is explained.
        missing: what is said where it is not there.
        as_text: every value is the text that stands there: ``1e-3`` stays that, and so do ``007``, ``yes``.
        may_be_empty: a file without a word, or with comments alone, has no keys, and that is all right.

    Raises:
        UsageError: it is not there, and ``missing`` says what then.
        ConfigError: it cannot be read, is not YAML, or has no keys.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=yaml.BaseLoader if as_text else yaml.SafeLoader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: this is not YAML: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            raise UsageError(missing) from error
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if content is None and may_be_empty:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: {expected}")
    return content
