"""Where completion is put for each shell, and that nothing is left of it when it is taken away."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.cli.completion import _install, _uninstall
from slipway.completion.install import Homes, bash_folder, install, plan, script, uninstall
from slipway.errors import ConfigError, UsageError
from tests.waiting import PATIENCE_S

BLOCK = "# slipway completion: begin\n{}\n# slipway completion: end\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user of bash."""
    folder = tmp_path / "it's home"
    folder.mkdir()
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("SHELL", "/bin/bash")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes() if file.is_file() else b""
        for file in folder.rglob("*")
        if file.name not in (".local", "share", ".config")
    }


@pytest.mark.parametrize(
    "before", [None, b"", b"alias x=y\n", b"alias x=y", b"\xff\n\n", b"if true\r\nthen\r\n"]
)
@pytest.mark.parametrize(("shell", "start_file"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_a_start_file_gets_a_block_and_loses_it_again(
    monkeypatch: pytest.MonkeyPatch, home: Path, shell: str, start_file: str, before: bytes | None
) -> None:
    file = home / start_file
    if before is not None:
        file.write_bytes(before)
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    _install(None)
    path = str(home / f".local/share/slipway/completion.{shell}").replace("'", "'\\''")
    line = f"source '{path}'"
    if shell == "zsh":
        line = f"(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -i; }}\n{line}"
    assert file.read_bytes() == (before or b"") + b"\n" + BLOCK.format(line).encode()
    installed = content(home)
    assert _install(None) == [f"Completion for {shell} is there already; nothing changed."]
    assert content(home) == installed
    assert len(_uninstall()) == 2
    assert content(home) == ({} if not before else {start_file: before})
    assert _uninstall() == ["There was nothing to take away."]


def test_what_was_changed_is_said(home: Path) -> None:
    file = home / ".config/fish/conf.d/slipway.fish"
    assert _install("fish") == [f"{file} written", "Completion for fish works in each new terminal."]
    assert file.read_text() == script("fish")
    # An older script is replaced.
    file.write_text("# slipway completion: old\n")
    _install("fish")
    assert file.read_text() == script("fish")
    (home / ".bashrc").write_text("alias x=y\n")
    assert _install("bash") == [
        f"{home / '.local/share/slipway/completion.bash'} written",
        f"{home / '.bashrc'}: marked lines added",
        "Completion for bash works in each new terminal.",
    ]
    assert _uninstall() == [
        f"{home / '.bashrc'} as it was before",
        f"{home / '.local/share/slipway/completion.bash'} removed",
        f"{file} removed",
    ]


def test_folders_are_those_that_the_environment_names(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, folder in {"XDG_DATA_HOME": "d", "XDG_CONFIG_HOME": "c", "ZDOTDIR": "z"}.items():
        monkeypatch.setenv(name, str(home / folder))
    _install("zsh")
    _install("fish")
    assert {name for name in content(home) if (home / name).is_file()} == {
        "d/slipway/completion.zsh",
        "c/fish/conf.d/slipway.fish",
        "z/.zshrc",
    }


def test_where_bash_loads_scripts_by_itself_there_is_a_file_for_each_command(home: Path) -> None:
    (home / ".bashrc").write_text("_completion_loader() { :; }\necho noise\n")
    folder = home / ".local/share/bash-completion/completions"
    folder.mkdir(parents=True)
    (folder / "inv").write_text("# Invoke's own\n")
    before = content(home)
    assert f"{folder / 'inv'} is not Slipway's and stays as it is" in _install(None)
    assert sorted(file.name for file in folder.iterdir()) == ["inv", "invoke", "run", "slipway"]
    assert (folder / "slipway").read_text() == script("bash")
    _uninstall()
    assert content(home) == before


def test_bash_s_own_folder_of_scripts_counts(home: Path) -> None:
    (home / ".bashrc").write_text(f'_comp_load() {{ :; }}\nBASH_COMPLETION_USER_DIR="{home}/mine:/other"\n')
    _install(None)
    assert (home / "mine" / "completions" / "slipway").is_file()
    _uninstall()
    assert [*content(home)] == [".bashrc"]


@pytest.mark.parametrize(
    "start", ["exit 3\n", "exec sleep 60\n", "exec 1>&-\n", "read answer\n", "kill $$\n"]
)
def test_a_bash_that_gives_no_answer_loads_nothing_by_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setattr("slipway.completion.install._PATIENCE_S", 0.5)
    (home / ".bashrc").write_text(start)
    assert bash_folder(Homes.find(os.environ), os.environ) is None


def test_a_start_file_that_is_a_link_stays_one(home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles" / "zshrc").write_text("")
    (home / ".zshrc").symlink_to("dotfiles/zshrc")
    _install("zsh")
    assert "source" in (home / "dotfiles" / "zshrc").read_text()
    _uninstall()
    assert (home / ".zshrc").is_symlink()
    assert (home / "dotfiles" / "zshrc").read_text() == ""


def test_a_file_that_cannot_be_written_is_named(home: Path) -> None:
    (home / ".zshrc").mkdir()
    (home / ".config").touch()
    for shell, file in (("zsh", ".zshrc"), ("fish", ".config")):
        with pytest.raises(ConfigError) as error:
            _install(shell)
        assert str(home / file) in str(error.value)
        assert "`invoke completion SHELL` prints the script" in str(error.value)


@pytest.mark.parametrize("content", [b"mine\n", b"\xff"])
def test_a_file_of_that_name_that_is_not_slipway_s_is_left_alone(home: Path, content: bytes) -> None:
    file = home / ".config/fish/conf.d/slipway.fish"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"slipway\.fish is not Slipway's; move it away"):
        _install("fish")
    assert _uninstall() == ["There was nothing to take away."]
    assert file.read_bytes() == content


def test_a_shell_that_there_is_no_script_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UsageError, match=r"no completion for 'bsh' \(did you mean bash\?\); shells: bash, zsh"
    ):
        _install("bsh")
    for value, said in (("/bin/tcsh", "/bin/tcsh"), ("", "not set")):
        monkeypatch.setenv("SHELL", value)
        with pytest.raises(UsageError, match=f"SHELL is {said}; say which shell is meant: --shell bash, zsh"):
            _install(None)
    assert content(home) == {}


def test_the_task(home: Path) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "slipway", "completion", *words],
            cwd=home,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    assert run("zsh") == (0, script("zsh"), "")
    assert run()[::2] == (
        64,
        "error: add --install, or name the shell whose script is to be printed: bash, zsh or fish\n",
    )
    assert run("--install", "--uninstall")[0] == 64
    assert run("--install")[0] == 0
    assert (home / ".bashrc").is_file()
    assert run("--uninstall")[0] == 0
    assert content(home) == {}


def test_scripts_are_right_for_their_shells() -> None:
    checks = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}
    folder = Path(sys.modules["slipway.completion.install"].__file__ or "").parent / "scripts"
    for shell, command in checks.items():
        if shutil.which(shell):
            subprocess.run([*command, str(folder / f"slipway.{shell}")], check=True, timeout=PATIENCE_S)
    checker = Path(sys.executable).with_name("shellcheck")
    subprocess.run(
        [str(checker), "--shell=bash", str(folder / "slipway.bash")], check=True, timeout=PATIENCE_S
    )
    # Bash 3.2 has none of these.
    assert not re.search(r"mapfile|readarray|local -n|\$\{\w+@|\$\{\w+\^|\[\[ -v", script("bash"))


def test_lines_behind_a_block_whose_end_is_gone_are_the_users(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    file = home / ".zshrc"
    _install(None)
    file.write_text(file.read_text().replace("# slipway completion: end\n", "") + "export MINE=1\n")
    _install(None)
    _uninstall()
    assert "export MINE=1\n" in file.read_text()


def test_a_start_file_is_whole_where_the_disk_is_full(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is a fake: no test can fill the real one."""
    monkeypatch.setenv("SHELL", "/bin/zsh")
    file, write = home / ".zshrc", Path.write_bytes
    file.write_text("alias x=y\n")
    file.chmod(0o600)

    def fill(self: Path, content: bytes) -> int:
        write(self, content[:5])
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", fill)
        with pytest.raises(ConfigError, match="No space left on device"):
            _install(None)
    assert file.read_text() == "alias x=y\n"
    _install(None)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in home.iterdir() if one.name.endswith(".part")] == []


def test_a_folder_in_the_place_of_a_script_is_no_script(home: Path) -> None:
    folder = home / "completions"
    (folder / "run").mkdir(parents=True)
    homes = Homes.find(os.environ)
    assert install(plan("bash", homes, folder)).foreign == [folder / "run"]
    uninstall(homes, [folder])
    assert [one.name for one in folder.iterdir()] == ["run"]
