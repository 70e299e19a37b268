"""Entries of ssh_config for runs, as OpenSSH itself reads them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.editor.entry import (
    INCLUDE,
    Entry,
    aliases,
    entry_text,
    proxy_command,
    with_entry,
    with_include,
    without_entry,
    without_include,
)
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]

PROXY = proxy_command(
    "/usr/bin/python 3", Path("/a 100% project's"), ["SLIPWAY_STATE=/s t"], ["--run", "k3f9"]
)


def entry(alias: str, folder: Path = Path("/keys 100%/k3f9")) -> Entry:
    return Entry(alias=alias, user="me", folder=folder, proxy=PROXY)


def read(file: Path, alias: str) -> dict[str, str]:
    """What ssh makes of it."""
    argv = ["ssh", "-F", str(file), "-G", alias]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_openssh_reads_an_entry_as_it_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(with_entry("", entry("slipway-k3f9")) + "Host *\n    ProxyJump other\n    User other\n")
    found = read(file, "slipway-k3f9")
    assert found["user"] == "me"
    assert found["identityfile"].replace("%%", "%") == "/keys 100%/k3f9/id_ed25519"
    assert found["stricthostkeychecking"] in ("yes", "true")
    assert found["hostkeyalias"] == "slipway-k3f9"
    assert "proxyjump" not in found
    assert found["proxycommand"].replace("%%", "%").endswith("-m slipway ssh.proxy --run k3f9")


def test_the_proxy_is_started_in_the_project_by_any_shell(tmp_path: Path) -> None:
    root = tmp_path / "it's a 100% project"
    root.mkdir()
    program = tmp_path / "py thon"
    program.write_text('#!/bin/sh\npwd\nprintf "%s\\n" "$SLIPWAY_STATE" "$@"\n')
    program.chmod(0o755)
    argv = proxy_command(str(program), root, ["SLIPWAY_STATE=/s t"], ["--run", "k3f9"])
    line = entry_text(Entry(alias="a", user="me", folder=tmp_path, proxy=argv))
    command = line.partition("ProxyCommand ")[2].strip().replace("%%", "%")
    done = subprocess.run(
        ["sh", "-c", f"exec {command}"], check=True, capture_output=True, text=True, timeout=PATIENCE_S
    )
    said = [str(root), "/s t", "-m", "slipway", "ssh.proxy", "--run", "k3f9"]
    assert done.stdout.splitlines() == said


def test_entries_come_and_go_by_themselves() -> None:
    both = with_entry(with_entry("", entry("slipway-a")), entry("slipway-b"))
    assert aliases(both) == ["slipway-a", "slipway-b"]
    assert with_entry(both, entry("slipway-b")) == both
    assert aliases(with_entry(both, entry("slipway-a"))) == ["slipway-b", "slipway-a"]
    assert without_entry(both, "slipway-b") == with_entry("", entry("slipway-a"))
    assert without_entry(without_entry(both, "slipway-b"), "slipway-a") == ""
    assert without_entry(both, "slipway") == both


@pytest.mark.parametrize("text", ["", "Host a\n    User b\n", "User x", "\r\nHost a\r\n"])
def test_the_line_that_includes_them_goes_as_it_came(text: str) -> None:
    assert with_include(text) == INCLUDE + text
    assert with_include(with_include(text)) == INCLUDE + text
    assert without_include(with_include(text)) == text
    assert without_include(text) == text


def test_what_the_node_is_told_is_clean_shell() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    script = Path(__file__).parents[2] / "cluster" / "editor.sh"
    subprocess.run([str(checker), str(script)], check=True, timeout=PATIENCE_S)


def test_a_home_folder_that_somebody_else_has_put_there_is_not_used(tmp_path: Path) -> None:
    """Others may write to the node's /tmp, and see the run's id."""
    script = ROOT / "cluster" / "editor.sh"
    argv = ["bash", str(script), "eval", 'printf %s "$inside"']
    inside = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    run = f"test-{os.getpid()}"
    home = Path(f"/tmp/slipway-home-{os.getuid()}-{run}")
    environment = {**os.environ, "HOME": "/nowhere", "SLIPWAY_RUN": run}
    command = ["sh", "-c", inside, "slipway", "command", 'echo "$HOME"']
    try:
        home.symlink_to(tmp_path)
        done = subprocess.run(command, capture_output=True, env=environment, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert "is somebody else's" in done.stderr
        home.unlink()
        done = subprocess.run(command, capture_output=True, env=environment, text=True)
        assert (done.returncode, done.stdout) == (0, f"{home}\n")
        assert home.stat().st_mode & 0o777 == 0o700
    finally:
        home.unlink() if home.is_symlink() else home.rmdir()
