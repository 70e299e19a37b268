"""How a host is reached, noted beside its kept connection: commands that use it need not load paramiko."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from slipway.errors import SlipwayError
from slipway.jsontext import load_json
from slipway.multiplex.folder import find_folder, is_possible
from slipway.multiplex.frame import VERSION
from slipway.multiplex.relay import parse_target, target_values
from slipway.site import Login
from slipway.ssh.target import Target, read_text

# Where these words are in ssh_config, what comes of it depends on more than its text.
_BEYOND = ("exec", "canonical", "${")
_SUFFIX = ".target"


def find_noted(login: Login, state: Path) -> Target | None:
    """What :func:`slipway.ssh.target.resolve_target` gave for this login and this ``ssh_config``, if noted.

    Raises:
        HostError: somebody else can get at the folder of the sockets.
    """
    file = _file(login, state)
    with suppress(OSError, ValueError, KeyError, TypeError):
        if file is not None:
            return replace(parse_target(load_json(file.read_bytes())), vpn=login.vpn)
    return None


def note_target(login: Login, state: Path, target: Target) -> None:
    """Note how a host is reached, for the next command; nothing is lost where that fails."""
    file = _file(login, state)
    with suppress(OSError):
        if file is not None:
            part = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
            part.write_text(json.dumps(target_values(target)), encoding="ascii")
            part.replace(file)


def _file(login: Login, state: Path) -> Path | None:
    folder = find_folder() if is_possible() else None
    if folder is None:
        return None
    try:
        text = read_text(login, state)
    except (SlipwayError, ValueError, RuntimeError):
        return None  # whoever resolves it says what is wrong
    if any(word in text.lower() for word in _BEYOND):
        return None
    who = [getpass.getuser(), str(Path.home()), login.host, login.user, login.port]
    key = json.dumps([VERSION, *who, os.fsencode(text).hex()])
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}{_SUFFIX}"
