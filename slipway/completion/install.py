"""Scripts for shells: put where each shell looks for them, and taken away again."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from slipway.errors import ConfigError, HostError, UsageError
from slipway.shell import LocalShell
from slipway.text.nearest import nearest

SHELLS = ("bash", "zsh", "fish")
# What is completed; bash loads scripts by the command's name, and wants a file for each.
_COMMANDS = ("slipway", "invoke", "inv", "run")
# Each of our files begins with it, and nothing else is overwritten or removed.
_MARK = "# slipway completion"
# From a begin to its own end: where somebody has removed that, what follows is theirs.
_BLOCK = re.compile(rf"\n?{_MARK}: begin\n(?:(?!{_MARK}).*\n)+{_MARK}: end\n")
# Whether bash loads scripts from a folder, which the package bash-completion does.
_ASK_BASH = (
    "{ declare -F _completion_loader || declare -F _comp_load; } >/dev/null "
    '&& printf "\\nslipway:%s\\n" "${BASH_COMPLETION_USER_DIR%%:*}"'
)
_PATIENCE_S = 10


@dataclass(frozen=True, kw_only=True)
class Homes:
    """Where a user's own files are: the home folder, and those of data, settings and zsh."""

    home: Path
    data: Path
    config: Path
    zsh: Path

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Homes:
        """Those that the environment names (XDG_DATA_HOME, XDG_CONFIG_HOME, ZDOTDIR), else the usual ones."""
        home = Path(environment.get("HOME") or Path.home())
        return cls(
            home=home,
            data=Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share"),
            config=Path(environment.get("XDG_CONFIG_HOME") or home / ".config"),
            zsh=Path(environment.get("ZDOTDIR") or home),
        )


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What one shell gets: files, the script first, and lines in a file of the user's that load it."""

    files: Mapping[Path, str]
    start_file: Path | None = None
    line: str = ""


def script(shell: str) -> str:
    """The script for a shell.

    Raises:
        UsageError: there is none for it.
    """
    if shell not in SHELLS:
        raise UsageError(
            f"there is no completion for {shell!r}{nearest(shell, SHELLS)}; shells: {', '.join(SHELLS)}"
        )
    return (Path(__file__).parent / "scripts" / f"slipway.{shell}").read_text(encoding="utf-8")


def find_shell(environment: Mapping[str, str]) -> str:
    """The name of the user's shell, by ``$SHELL``.

    Raises:
        UsageError: it is none that there is completion for.
    """
    name = PurePath(environment.get("SHELL") or "").name
    if name not in SHELLS:
        raise UsageError(
            f"$SHELL is {environment.get('SHELL') or 'not set'}; say which shell is meant: --shell "
            + ", ".join(SHELLS)
        )
    return name


def plan(shell: str, homes: Homes, bash_folder: Path | None) -> Installation:
    """What is to be there for a shell.

    Args:
        shell: its name.
        homes: the user's folders.
        bash_folder: where bash loads scripts from; ``None``: it loads none by itself.
    """
    text = script(shell)
    if shell == "fish":
        # From completions/ fish loads what is for a command on PATH, and ./run is none.
        return Installation(files={homes.config / "fish" / "conf.d" / "slipway.fish": text})
    if shell == "bash" and bash_folder:
        return Installation(files=_by_command(bash_folder, text))
    file = homes.data / "slipway" / f"completion.{shell}"
    line = f"source {_quoted(file)}"
    if shell == "bash":
        # On a Mac each window's shell is a login shell, which does not read .bashrc.
        start_file = homes.home / (".bash_profile" if sys.platform == "darwin" else ".bashrc")
    else:
        start_file = homes.zsh / ".zshrc"
        line = f"(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -i; }}\n{line}"
    return Installation(files={file: text}, start_file=start_file, line=line)


def _by_command(folder: Path, text: str) -> dict[Path, str]:
    first = folder / _COMMANDS[0]
    return {first: text} | {folder / name: f"{_MARK}\nsource {_quoted(first)}\n" for name in _COMMANDS[1:]}


def _quoted(file: Path) -> str:
    return "'" + str(file).replace("'", "'\\''") + "'"


def bash_folder(homes: Homes, environment: Mapping[str, str]) -> Path | None:
    """Where bash loads scripts from by the name of a command; ``None`` where it does not.

    Only bash knows: that the package is installed does not say that a user's start files load it.
    """
    shell = environment.get("SHELL") or ""
    argv = [shell if PurePath(shell).name == "bash" else "bash", "-i", "-c", _ASK_BASH]
    if sys.platform == "darwin":
        argv.insert(1, "-l")
    try:
        said = LocalShell(env=environment, apart=True).run(argv, timeout_s=_PATIENCE_S).stdout
    except (HostError, OSError):
        return None
    found = re.search(r"^slipway:(.*)$", said, re.M)
    if found is None:
        return None
    return Path(found[1] or homes.data / "bash-completion") / "completions"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was done: files that were written or removed, and those in the way, which stay as they are."""

    done: Sequence[Path]
    foreign: Sequence[Path] = ()


def install(wanted: Installation) -> Change:
    """Have it as it is wanted; what is there already is left alone.

    Raises:
        ConfigError: a file cannot be written, or the script's place is taken.
    """
    try:
        foreign = [file for file in wanted.files if not _is_ours(file)]
        script_file = next(iter(wanted.files))
        if script_file in foreign:
            raise ConfigError(f"{script_file} is not Slipway's; move it away and try again")
        done = [file for file, text in wanted.files.items() if file not in foreign and _write(file, text)]
        if wanted.start_file and _add_line(wanted.start_file, wanted.line):
            done.append(wanted.start_file)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}. `invoke completion SHELL` prints the script; put it where "
            "your shell reads it"
        ) from error
    return Change(done=done, foreign=foreign)


def uninstall(homes: Homes, folders: Sequence[Path]) -> Change:
    """Take away all that :func:`install` has added for any shell.

    Args:
        homes: the user's folders.
        folders: where bash loads or may have loaded scripts from.

    Raises:
        ConfigError: a file cannot be changed.
    """
    plans = [plan(shell, homes, folder) for shell in SHELLS for folder in (None, *folders)]
    files = dict.fromkeys(file for one in plans for file in one.files if file.exists() and _is_ours(file))
    starts = dict.fromkeys(one.start_file for one in plans if one.start_file)
    try:
        done = [file for file in starts if _remove_block(file)]
        for file in files:
            file.unlink()
            _remove_empty(file.parent, (homes.data, homes.config, homes.home))
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    return Change(done=[*done, *files])


def _is_ours(file: Path) -> bool:
    """True, too, where there is no file."""
    try:
        return any(line.startswith(_MARK) for line in file.read_text(encoding="utf-8").splitlines()[:2])
    except FileNotFoundError:
        return True
    except (UnicodeDecodeError, IsADirectoryError, PermissionError):
        return False


def _write(file: Path, text: str) -> bool:
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return True


def _read(file: Path) -> str:
    # Bytes that are no UTF-8 are kept, and so are line ends.
    return os.fsdecode(file.read_bytes()) if file.exists() else ""


def _add_line(file: Path, line: str) -> bool:
    """Put a block at the end of a file. It begins with the line end that the file may not have."""
    before = _read(file)
    block = f"\n{_MARK}: begin\n{line}\n{_MARK}: end\n"
    if block in before:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    # A link, as people have who keep such files in a repository, stays one.
    _replace(file, _BLOCK.sub("", before) + block)
    return True


def _replace(file: Path, text: str) -> None:
    """Give a file of the user's another content: all of it or, on a full disk, none."""
    real = file.resolve()
    part = real.with_name(f".{real.name}.{os.getpid()}.part")
    try:
        part.write_bytes(os.fsencode(text))
        if real.exists():
            shutil.copymode(real, part)
        part.replace(real)
    finally:
        part.unlink(missing_ok=True)


def _remove_block(file: Path) -> bool:
    before = _read(file)
    after = _BLOCK.sub("", before)
    if before == after:
        return False
    if after or file.is_symlink():
        _replace(file, after)
    else:
        file.unlink()
    return True


def _remove_empty(folder: Path, stop: Sequence[Path]) -> None:
    with suppress(OSError):  # it is not empty
        while folder not in stop:
            folder.rmdir()
            folder = folder.parent
