"""How a login node is reached: what ``ssh_config`` says of it, as OpenSSH would read it."""

from __future__ import annotations

import getpass
import io
import os
import re
import shlex
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConfigError
from slipway.site import BOX_FOLDER, THIS_MACHINE, Login
from slipway.ssh.config import read_config

if TYPE_CHECKING:
    import paramiko

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
DEFAULT_IDENTITIES = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
METHODS = ("publickey", "keyboard-interactive", "password")
MAX_DEPTH = 16
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>.+)@)?(?:\[(?P<six>[^]]+)\]|(?P<host>[^:@]+))(?::(?P<port>\d+))?/?"
)
_SWITCHES = {
    "publickey": "pubkeyauthentication",
    "keyboard-interactive": "kbdinteractiveauthentication",
    "password": "passwordauthentication",
}
_CONTROL_PATH = "opensshcontrolpath"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, kw_only=True)
class Target:
    """One host to log in to, with everything that ``ssh_config`` says of it.

    Attributes:
        key_name: the name under which its host key is known.
        identity_files: those that are named; where none are, ``None``, and OpenSSH's usual ones are meant.
        identity_agent: the agent's socket, ``none`` for no agent, or ``None`` for ``$SSH_AUTH_SOCK``.
        known_hosts: the user's files of host keys; new ones go to the first.
        methods: ways to log in that may be tried, in this order.
        jumps: the hosts on the way, the nearest first.
        vpn: what the site says of its VPN, for somebody who does not get there.
        control_paths: where OpenSSH would look for a connection that it keeps.
    """

    host: str
    port: int
    user: str
    key_name: str
    identity_files: tuple[str, ...] | None = None
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    known_hosts: tuple[str, ...] = USER_KNOWN_HOSTS
    global_known_hosts: tuple[str, ...] = GLOBAL_KNOWN_HOSTS
    hash_known_hosts: bool = False
    methods: tuple[str, ...] = METHODS
    connect_timeout_s: float = 20
    keep_alive_s: int = 30
    proxy_command: str | None = None
    jumps: tuple[Target, ...] = field(default=())
    vpn: str | None = None
    control_paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``user@host:port``, for messages."""
        if self.host == THIS_MACHINE:
            return "this machine"
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def ssh_command(self) -> str:
        """What to type to get there by hand."""
        jumps = f"-J {','.join(map(str, self.jumps))} " if self.jumps else ""
        port = "" if self.port == 22 else f"-p {self.port} "
        return f"ssh {jumps}{port}{self.user}@{self.host}"


def resolve_target(login: Login, state: Path) -> Target:
    """Find out how a host is reached, as OpenSSH would.

    Args:
        login: the site's login.
        state: Slipway's state folder, where the box's ``ssh_config`` is.

    Raises:
        ConfigError: the ssh_config that the site names does not exist, or is broken.
    """
    if login.is_this_machine:
        return Target(host=login.host, port=0, user=getpass.getuser(), key_name=login.host)

    import paramiko

    file = _config_file(login, state)
    try:
        target = _target(read_text(login, state), login.host, user=login.user, port=login.port)
        return replace(target, vpn=login.vpn)
    except (paramiko.SSHException, ValueError, KeyError, RuntimeError) as error:
        # The last is Python's for a ~USER that there is not.
        by_hand = f"ssh -F {shlex.quote(str(file))} -G {shlex.quote(login.host)}"
        raise ConfigError(
            f"{file} cannot be understood: {error!s:.500}; `{by_hand}` shows how OpenSSH reads it"
        ) from error


def read_text(login: Login, state: Path) -> str:
    """The text of ``ssh_config`` that counts for a login, with all that it includes.

    Raises:
        ConfigError: it does not exist, or is broken.
    """
    text = read_config(_config_file(login, state), Path("~/.ssh").expanduser())
    if not login.ssh_config:
        # Like `ssh -F`, a file of the site's own stands alone.
        text += "Host *\n" + read_config(SYSTEM_CONFIG, SYSTEM_CONFIG.parent, lenient=True)
    return text


def _config_file(login: Login, state: Path) -> Path:
    if not login.ssh_config:
        return Path("~/.ssh/config").expanduser()
    file = state / Path(login.ssh_config).expanduser()
    if not file.is_file():
        if login.ssh_config.startswith(BOX_FOLDER):
            raise ConfigError(
                f"the box is not up ({file} does not exist); `invoke box.up` starts one, with nothing on it"
            )
        hint = "correct it, or leave it out for ~/.ssh/config"
        raise ConfigError(f"the site's login.ssh_config is {file}, which does not exist; {hint}")
    return file


def _target(
    text: str, host: str, *, user: str | None, port: int | None, seen: tuple[str, ...] = ()
) -> Target:
    if host in seen or len(seen) > MAX_DEPTH:
        way = " → ".join([*seen, host])
        raise ConfigError(f"ProxyJump leads in a circle: {way:.500}; correct it in ssh_config")
    options = _lookup(text, host, user, port)
    name, port = options.get("hostname", host), _port(options)
    target = Target(
        host=name,
        port=port,
        user=options.get("user") or getpass.getuser(),
        key_name=options.get("hostkeyalias", name if port == 22 else f"[{name}]:{port}").lower(),
        identity_agent=options.get("identityagent"),
        identities_only=_is_on(options, "identitiesonly"),
        hash_known_hosts=_is_on(options, "hashknownhosts"),
        methods=_methods(options),
        connect_timeout_s=_seconds(options, "connecttimeout", 20),
        keep_alive_s=_seconds(options, "serveraliveinterval", 30),
        certificate_files=_files([options["certificatefile"]] if "certificatefile" in options else []),
    )
    if _is_set(options, _CONTROL_PATH):
        target = replace(target, control_paths=_control_paths(options, target, host))
    if "identityfile" in options:
        target = replace(target, identity_files=_files(options["identityfile"]))
    if "userknownhostsfile" in options:
        words = shlex.split(_fill_in(options["userknownhostsfile"], target, host))
        target = replace(target, known_hosts=_files(words))
    if "globalknownhostsfile" in options:
        words = shlex.split(_fill_in(options["globalknownhostsfile"], target, host))
        target = replace(target, global_known_hosts=_files(words))
    return _with_way(text, target, host, options, seen)


def _lookup(text: str, host: str, user: str | None, port: int | None) -> dict[str, Any]:
    import paramiko

    # What the site's file says goes first, so that it counts in %r and %p too.
    first = (f"User {user}\n" if user else "") + (f"Port {port}\n" if port else "")
    # Paramiko would fill in its %C, and differently than OpenSSH does.
    text = re.sub(r"(?im)^(\s*)controlpath(?=[\s=])", rf"\1{_CONTROL_PATH}", text)
    config: paramiko.SSHConfig = paramiko.SSHConfig.from_file(io.StringIO(f"{first}Host *\n{text}"))
    return dict(config.lookup(host))


def _with_way(text: str, target: Target, host: str, options: dict[str, Any], seen: tuple[str, ...]) -> Target:
    # Of the two the one that was said first counts.
    way = next((key for key in options if key in ("proxyjump", "proxycommand")), None)
    if way is None or options[way] is None or str(options[way]).lower() == "none":
        return target
    if way == "proxycommand":
        return replace(target, proxy_command=_fill_in(options[way], target, host))
    jumps: list[Target] = []
    for word in str(options[way]).split(","):
        jump = _jump(text, word.strip(), (*seen, host))
        # The nearest one may have a way of its own; the others are reached through the one before them.
        jumps += [jump] if jumps else [*jump.jumps, replace(jump, jumps=())]
        if len(jumps) > 1:
            jumps[-1] = replace(jumps[-1], jumps=(), proxy_command=None)
    return replace(target, jumps=tuple(jumps))


def _jump(text: str, word: str, seen: tuple[str, ...]) -> Target:
    match = _JUMP.fullmatch(word)
    if match is None:
        raise ConfigError(f"ProxyJump {word!r:.200} is not [USER@]HOST[:PORT]; correct it in ssh_config")
    port = int(match["port"]) if match["port"] else None
    return _target(text, match["six"] or match["host"], user=match["user"], port=port, seen=seen)


def _methods(options: dict[str, Any]) -> tuple[str, ...]:
    # The older name of the same.
    options.setdefault("kbdinteractiveauthentication", options.get("challengeresponseauthentication", "yes"))
    wanted = options.get("preferredauthentications", ",".join(METHODS)).split(",")
    return tuple(
        word for word in wanted if word in METHODS and options.get(_SWITCHES[word], "yes").lower() != "no"
    )


def _port(options: dict[str, Any]) -> int:
    word = str(options.get("port", 22))
    if not word.isdecimal():
        raise ValueError(f"Port {word} is not a number")
    return int(word)


def _is_on(options: dict[str, Any], key: str) -> bool:
    return str(options.get(key, "no")).lower() == "yes"


def _seconds(options: dict[str, Any], key: str, default: int) -> int:
    # 90, 90s and 1m30s are the same.
    parts = re.findall(r"(\d+)([smhdw]?)", str(options.get(key, "")).lower())
    return sum(int(number) * _UNITS[unit] for number, unit in parts) or default


def _files(words: Sequence[str]) -> tuple[str, ...]:
    named = [word for word in words if word.lower() != "none"]
    for word in named:
        Path(word).expanduser()  # to fail now and not when it is opened
    return tuple(named)


def _is_set(options: dict[str, Any], key: str) -> bool:
    return str(options.get(key) or "none").lower() != "none"


def _control_paths(options: dict[str, Any], target: Target, alias: str) -> tuple[str, ...]:
    """``ControlPath`` with its tokens filled in; before OpenSSH 9.6 a jump host was no part of ``%C``."""
    name, jump = socket.gethostname(), ""
    if match := _JUMP.fullmatch(str(options.get("proxyjump") or "").rpartition(",")[2].strip()):
        jump = match["six"] or match["host"]
    way = f"{name}{target.host}{target.port}{target.user}"
    paths = []
    for hashed in dict.fromkeys((way + jump, way)):
        digest = sha1(hashed.encode(), usedforsecurity=False).hexdigest()
        values = {"C": digest, "j": jump, "l": name, "L": name.partition(".")[0]}
        if hasattr(os, "getuid"):
            values["i"] = str(os.getuid())
        text = re.sub(r"\$\{(\w+)\}", lambda found: os.environ.get(found[1], ""), str(options[_CONTROL_PATH]))
        paths.append(str(Path(_fill_in(text, target, alias, values)).expanduser()))
    return tuple(dict.fromkeys(paths))


def _fill_in(text: str, target: Target, alias: str, more: Mapping[str, str] | None = None) -> str:
    """OpenSSH's tokens, in settings where paramiko leaves them."""
    values = {
        "%": "%",
        "d": str(Path.home()),
        "h": target.host,
        "k": target.key_name,
        "n": alias,
        "p": str(target.port),
        "r": target.user,
        "u": getpass.getuser(),
        **(more or {}),
    }
    return re.sub(rf"%([{''.join(values)}])", lambda match: values[match[1]], text)
