"""What of a run's values is not written into its record."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
# The part of an address that may hold a password, after its scheme.
_USER = re.compile(r"://([^\s/?#]*)@")


def keyed_hash(key: bytes, name: str, value: str) -> str:
    """What tells whether a value has changed, and nothing else to whoever does not have the key."""
    text = f"{name}\0{value}".encode(errors="surrogateescape")
    return f"hmac-sha256:{hmac.new(key, text, hashlib.sha256).hexdigest()[:32]}"


def may_have_passwords(text: str) -> bool:
    """False where no address is in a text, as JSON has it, and so nothing for :func:`without_passwords`."""
    return "://" in text


def without_passwords(value: Any) -> Any:
    """The same value, with ``***`` for the passwords of all addresses in it, however deep.

    Of an address for HTTP the name before a password goes, too: it may be a token.
    """
    if isinstance(value, str):
        return _USER.sub(_hide, value) if "://" in value else value
    if isinstance(value, Mapping):
        return {without_passwords(key): without_passwords(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_passwords(one) for one in value]
    return value


def without_commands(site_values: Mapping[str, Any]) -> dict[str, Any]:
    """A site's values without what may set a variable to a secret: its ``before`` and ``--env``."""
    values = dict(site_values)
    if values.get("before"):
        values["before"] = HIDDEN
    container = values.get("container")
    if isinstance(container, Mapping) and isinstance(container.get("flags"), list | tuple):
        values["container"] = {**container, "flags": _without_env([*container["flags"]])}
    return values


def without_values(profile_values: Mapping[str, Any]) -> dict[str, Any]:
    """A profile's values with no more than the names of its ENV_…, as older records have them whole."""
    environment = profile_values.get("environment")
    names = environment if isinstance(environment, Mapping) else {}
    return {**profile_values, "environment": dict.fromkeys(names, HIDDEN)}


def _without_env(flags: list[Any]) -> list[Any]:
    hidden = []
    for before, flag in zip([None, *flags], flags, strict=False):
        if before == "--env":
            hidden.append(HIDDEN)
        else:
            hidden.append(f"--env={HIDDEN}" if str(flag).startswith("--env=") else flag)
    return hidden


def _hide(found: re.Match[str]) -> str:
    name, colon, _ = found[1].partition(":")
    is_web = found.string[max(0, found.start() - 5) : found.start()].lower().endswith(("http", "https"))
    if not colon and not is_web:
        return found[0]  # Such as ssh://git@host.
    return f"://{HIDDEN}@" if is_web else f"://{name}:{HIDDEN}@"
