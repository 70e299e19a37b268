"""What a laptop with Windows does before it is logged in, on a Python without what Windows does not have.

A stand-in, for no Windows runs here: the modules and functions are taken away, `msvcrt` is one that types a
password, and the console is two files. Run in an empty folder; prints what was done.
"""

import os
import pkgutil
import signal
import socket
import sys
import threading
import types
import warnings
from importlib import import_module
from pathlib import Path

# What is not ours goes by sys.platform, so it is imported before.
import docker
import invoke.main
import paramiko
import requests  # noqa: F401
import rich.console
import rich.progress
import spython  # noqa: F401
import yaml  # noqa: F401

MODULES = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog", "filelock", "getpass")
FUNCTIONS = (
    *(
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "getgroups",
        "getpgid",
        "getpgrp",
        "setsid",
        "killpg",
        "fork",
    ),
    *("chown", "lchown", "fchown", "fchmod", "mkfifo", "mknod", "uname", "statvfs", "set_blocking"),
    *("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_DIRECTORY"),
)
SIGNALS = ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGALRM", "SIGCHLD", "SIGWINCH")


def take_away() -> None:
    for name in MODULES:
        sys.modules.pop(name, None)
    for name in set(MODULES) - {"filelock", "getpass"}:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in FUNCTIONS:
        delattr(os, name)
    for name in SIGNALS:
        delattr(signal, name)
    del socket.AF_UNIX
    typed = iter("secret\r")
    console = types.ModuleType("msvcrt")
    console.getwch = lambda: next(typed)  # type: ignore[attr-defined]
    console.putwch = lambda _: None  # type: ignore[attr-defined]
    sys.modules["msvcrt"] = console


def import_all() -> None:
    import slipway

    # What runs on the hosts of a site: beside Dask in a container, and under their own kernel.
    on_hosts = ("slipway.dask.there.", "slipway.scheduler.host.there.")
    names = [one.name for one in pkgutil.walk_packages(slipway.__path__, "slipway.")]
    for name in names:
        if name.startswith(on_hosts):
            continue
        import_module(name)
    print(f"imported {len(names) > 100}")


def lock(folder: Path) -> None:
    from slipway.lock import only_one, try_lock
    from slipway.workspace import abandoned, workspace

    file = folder / "locks" / "one"
    waiting = threading.Event()

    def second() -> None:
        with only_one(file, waiting.set):
            print("locked second")

    with only_one(file, waiting.set):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(20)
        with try_lock(file) as is_free:
            print(f"locked first, free {is_free}")
    thread.join(20)
    with workspace(folder / "tmp") as work:
        print(f"abandoned {abandoned(folder / 'tmp')} {work.is_dir()}")
    print(f"left {list((folder / 'tmp').iterdir())}")


def prompt() -> None:
    from slipway.terminal.terminal import Terminal

    Path("CONIN$").write_text("123\r\n")
    Path("CONOUT$").touch()
    screen = Terminal()
    print(f"asked {screen.ask('Code: ', echo=True)} by {Path('CONOUT$').read_text()}")
    print(f"asked {screen.ask('Password: ', echo=False)}")


def keys(folder: Path) -> None:
    from slipway.image.engine import current_user
    from slipway.ssh.agent import Agent
    from slipway.ssh.identity import read_key_file

    key = folder / "key"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(key))
    key.chmod(0o644)  # as they all are there
    read = read_key_file(key)
    print(f"key {read is not None}, {Agent('agent').problem}, user {current_user()}")


def snapshot(folder: Path) -> None:
    from slipway.code.checkout import find_revision
    from slipway.code.snapshot import take_snapshot

    with take_snapshot(folder / "code", folder / "state") as taken:
        print(f"snapshot {len(taken.tree.entries)} {find_revision(folder / 'code').commit}")


def tasks(folder: Path) -> None:
    for words in (["status"], ["job", "--profile", "lab", "--site", "hpc", "--", "--x"]):
        sys.argv = ["invoke", *words]
        code: object = 0
        try:
            invoke.main.program.run(["invoke", "--search-root", str(folder), *words])
        except SystemExit as exit_:
            code = exit_.code
        print(f"{words[0]} {code}", flush=True)


def main() -> None:
    # Without flock filelock says that it has but a file that is there or not; Windows has its own locks.
    warnings.filterwarnings("ignore", "only soft file lock")
    folder = Path.cwd()
    assert docker.from_env
    assert rich.console.Console
    take_away()
    import_all()
    lock(folder / "state")
    prompt()
    keys(folder)
    snapshot(folder)
    tasks(folder)


if __name__ == "__main__":
    main()
