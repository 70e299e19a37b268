"""What `init` does to a folder, whatever is in it already."""

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import HostError, SlipwayError, UsageError
from slipway.init.answers import guess_site
from slipway.init.plan import PlannedFile
from slipway.init.project_files import image_name
from slipway.init.write import write_files
from slipway.profile import load_profile
from slipway.share import share_folder
from slipway.site_file import load_site
from slipway.ssh.prompt import NoPrompt
from slipway.steps.init import InitOptions, InitResult, init
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
PROFILE = """\
# The profile `base`: what jobs of this repository run in, and what they ask for. Slipway's
# env/.env.example explains every key that there is.
IMAGE=my-project
# The folder that it lies in is what its build may copy from.
DOCKERFILE=Dockerfile
# What is put before the words behind `--`. Empty: they are the whole command line.
PROGRAM=
# The code of a job is this repository, without what git ignores or .dockerignore names. CODE_DIR=src
# makes it that folder alone.
# What each job asks for, where its command line does not say it; without these, as the site has it:
# GPUS=1
# TIME=4:00:00
# MEM=32G
"""
SITE = """\
# The cluster hpc. Slipway's cluster/example.yaml explains every key.
login:
  host: login.hpc.example.org
  user: me
paths:
  # Large and fast; Slipway keeps all that it sends and makes in slipway/ there.
  scratch: /scratch/me
# Most clusters want some of these, too:
# modules: [apptainer]
# defaults:
#   account: my-project
#   partition: gpu
#   time: "1:00:00"
"""
LOCAL = "# What is personal. It overrides env/.env.base, and git does not track it.\nSITE=hpc\n"
GITIGNORE = """\
# Slipway: its state, results that it brought, and what is personal.
/.slipway/
/results/
env/.env.local
"""
HPC = InitOptions(site="hpc", host="login.hpc.example.org", user="me", scratch="/scratch/me")


class Person:
    """Gives one answer after the other, and keeps what was asked and told."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.said: list[str] = []

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        self.said.append(prompt)
        return self.answers.pop(0)

    def tell(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def project(home: Path) -> Path:
    folder = home / "My Project"
    folder.mkdir()
    return folder


def begin(folder: Path, options: InitOptions | None = None, *answers: str) -> InitResult:
    return init(folder, options or InitOptions(), Person(*answers) if answers else NoPrompt())


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def actions(done: InitResult) -> dict[str, str]:
    return {one.name: one.action for one in done.files}


def test_an_empty_folder_gets_a_few_small_files(project: Path) -> None:
    done = begin(project, HPC)
    texts = {name: content.decode() for name, content in files(project).items()}
    assert texts["env/.env.base"] == PROFILE
    assert texts["env/.env.local"] == LOCAL
    assert texts["cluster/hpc.yaml"] == SITE
    assert texts["tasks.py"] == "from slipway.tasks import slipway_tasks\n\nns = slipway_tasks(__file__)\n"
    assert texts[".gitignore"] == GITIGNORE
    assert list(texts) == list(dict.fromkeys([*texts, *actions(done)]))
    assert set(actions(done).values()) == {"write"}
    assert set(texts) == set(actions(done))
    assert done.commands == ("ssh.trust hpc", "build", "job --push --wait -- python3 --version")


def test_what_it_writes_is_a_profile_and_a_site(project: Path) -> None:
    begin(project, HPC)
    profile = load_profile(project / "env", "base")
    assert (profile.image, profile.site, profile.program) == ("my-project", "hpc", ())
    assert (profile.code_dir, profile.dockerfile) == (project, project / "Dockerfile")
    site = load_site([project / "cluster"], "hpc")
    assert (site.login.host, site.login.user, site.paths.scratch) == (HPC.host, "me", "/scratch/me")


def test_without_answers_jobs_go_to_the_box(project: Path) -> None:
    (project / "train.py").touch()
    done = begin(project)
    assert not (project / "cluster").exists()
    assert load_profile(project / "env", "base").site == "box"
    assert done.commands == ("box.up", "build", "job --push --wait -- python3 train.py")
    assert any("`invoke init --site NAME` adds a real one" in note for note in done.notes)
    assert any("$SLIPWAY_OUT" in note and "`invoke pull`" in note for note in done.notes)


def test_a_cluster_is_asked_for(project: Path, home: Path) -> None:
    (home / ".ssh" / "config").write_text(
        "Host *.org\n  User x\nHost hpc gate\n  User me\nHost slipway-mv2c-base-20261129-225320\n"
    )
    person = Person("hpc", "", "", "")
    init(project, InitOptions(), person)
    first, *others = person.said
    assert first == (
        "Name of the cluster (box: one on this machine, to try things on; hosts in ~/.ssh/config: hpc, gate) "
        "[box]: "
    )
    assert others == [
        "Its login node: a host's name, or an alias of ~/.ssh/config [hpc]: ",
        "Your user name there [as ~/.ssh/config has it]: ",
        "Folder for large files there [$SCRATCH]: ",
    ]
    site = load_site([project / "cluster"], "hpc")
    assert (site.login.host, site.login.user, site.paths.scratch) == ("hpc", None, "$SCRATCH")


def test_a_site_that_comes_along_needs_no_answers(project: Path) -> None:
    done = begin(project, InitOptions(site="euler"))
    assert not (project / "cluster").exists()
    assert load_profile(project / "env", "base").site == "euler"
    assert any(note.startswith("euler comes with Slipway: check ") for note in done.notes)
    # With a host it is one's own.
    begin(project, InitOptions(site="euler", host="login.hpc.example.org", user="me", yes=True))
    assert load_site([project / "cluster"], "euler").login.host == "login.hpc.example.org"


def test_a_cluster_is_only_asked_about_a_file_that_is_to_be_written(project: Path) -> None:
    with pytest.raises(UsageError, match=r"--from-host asks a cluster .* add --host HOST, or leave it out"):
        begin(project, InitOptions(site="box", from_host=True))
    assert files(project) == {}


def test_an_answer_that_cannot_be_is_asked_for_again(project: Path) -> None:
    person = Person("a/b", "hpc", "", "me@1.2.3.4", "scratch", "/scratch")
    init(project, InitOptions(), person)
    assert [said for said in person.said if not said.endswith(": ")] == [
        "write a short name of letters and digits, such as hpc",
        "write a host's name, or an alias of ~/.ssh/config",
        "write an absolute path, or one that starts with a variable such as $SCRATCH",
    ]
    site = load_site([project / "cluster"], "hpc")
    assert (site.login.host, site.login.user, site.paths.scratch) == ("1.2.3.4", "me", "/scratch")


def test_what_an_option_says_is_not_asked(project: Path) -> None:
    person = Person("")
    init(project, InitOptions(host="me@login3.hpc.example.org", scratch="/s"), person)
    assert len(person.said) == 1
    assert "[hpc]" in person.said[0]
    assert load_site([project / "cluster"], "hpc").login.user == "me"


def test_nobody_is_asked_for_what_is_there(project: Path) -> None:
    begin(project, HPC)
    person = Person("")
    done = init(project, InitOptions(), person)
    assert [said.partition("[")[2] for said in person.said] == ["hpc]: "]
    assert set(actions(done).values()) == {"keep"}


def test_a_second_cluster_leaves_the_first(project: Path) -> None:
    begin(project)
    before = files(project)
    done = begin(project, HPC)
    assert files(project) == {**before, "cluster/hpc.yaml": SITE.encode()}
    told = next(one for one in done.files if one.action == "tell")
    assert (told.name, told.lines) == ("env/.env.local", ("SITE=hpc",))
    assert done.commands[2] == "job --push --wait --site hpc -- python3 --version"


def test_a_site_that_all_share_needs_no_personal_file(project: Path) -> None:
    (project / "env").mkdir()
    (project / "env" / ".env.base").write_text("IMAGE=x\nDOCKERFILE=Dockerfile\nSITE=hpc\n")
    begin(project, HPC)
    assert not (project / "env" / ".env.local").exists()
    begin(project, InitOptions(site="box"))
    assert load_profile(project / "env", "base").site == "box"


def test_a_site_without_a_file_is_told(project: Path) -> None:
    (project / "env").mkdir()
    (project / "env" / ".env.base").write_text("IMAGE=x\nDOCKERFILE=Dockerfile\nSITE=hpc\n")
    done = begin(project)
    assert done.notes == (
        "SITE is hpc, and there is no cluster/hpc.yaml: `invoke site.add hpc --host HOST` writes it.",
    )
    assert not (project / "cluster").exists()


def test_what_is_there_stays(project: Path) -> None:
    own = {
        "env/.env.base": b"IMAGE=x",
        "env/.env.local": b"TIME=10\r\nMEM=4G",
        "cluster/hpc.yaml": b"",
        "docker/Dockerfile": b"FROM x\n",
        ".dockerignore": b"data\n.slipway/\n",
        "tasks.py": b"import invoke",
        ".gitignore": b"# mine\r\n!results\r\n*.pt",
    }
    for name, content in own.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_bytes(content)
    (project / ".gitignore").chmod(0o640)
    done = begin(project, HPC)
    assert files(project) == {
        **own,
        "env/.env.local": b"TIME=10\r\nMEM=4G\r\nSITE=hpc\r\n",
        ".gitignore": b"# mine\r\n!results\r\n*.pt\r\n"
        + GITIGNORE.replace("/results/\n", "").replace("\n", "\r\n").encode(),
    }
    assert (project / ".gitignore").stat().st_mode & 0o777 == 0o640
    assert actions(done) == {
        "env/.env.base": "keep",
        "env/.env.local": "append",
        "cluster/hpc.yaml": "keep",
        "docker/Dockerfile": "keep",
        ".dockerignore": "tell",
        "tasks.py": "tell",
        ".gitignore": "append",
    }
    told = {one.name: one.lines for one in done.files if one.action == "tell"}
    assert told == {
        ".dockerignore": ("results", "env/.env.local"),
        "tasks.py": (
            "from slipway.tasks import slipway_tasks",
            "ns = slipway_tasks(__file__)",
            "ns.add_task(mine)  # for each task of your own",
        ),
    }


@pytest.mark.parametrize("ignore", ["env/\n", ".env.*\n", "env/.env.local\n.env*\nenv\n*.pt", None])
def test_profiles_are_no_virtual_environment(project: Path, home: Path, ignore: str | None) -> None:
    """GitHub's .gitignore for Python has `env/`, others have `.env.*`."""
    git(project, "init", "--quiet")
    if ignore is None:
        (home / ".gitconfig").write_text("[core]\nexcludesFile = ~/mine\n")
        (home / "mine").write_text(".env*\n")
    else:
        (project / ".gitignore").write_text(ignore)
    (project / "env" / "bin").mkdir(parents=True)
    (project / "env" / "bin" / "python").touch()
    begin(project)
    shown = git(project, "status", "--porcelain", "--untracked-files=all")
    assert [line for line in shown.splitlines() if "env/" in line] == ["?? env/.env.base"]
    once = files(project)
    begin(project)
    assert files(project) == once


def test_a_rule_that_stays_stronger_is_answered_once(project: Path) -> None:
    git(project, "init", "--quiet")
    (project / "env").mkdir()
    (project / "env" / ".gitignore").write_text("*\n")
    begin(project)
    once = files(project)
    begin(project)
    assert files(project) == once


def test_links_are_followed_and_never_replaced(project: Path, home: Path) -> None:
    (home / "ignore").write_text("x\n")
    (project / ".gitignore").symlink_to(home / "ignore")
    (project / "Dockerfile").symlink_to("nowhere")
    begin(project)
    assert (project / ".gitignore").is_symlink()
    assert (home / "ignore").read_text() == f"x\n{GITIGNORE}"
    assert not (project / "Dockerfile").exists()


def test_a_dockerignore_that_lets_little_through_is_told(project: Path) -> None:
    (project / ".dockerignore").write_text("*\n!requirements.txt\n")
    done = begin(project)
    kept = next(one for one in done.files if one.name == ".dockerignore")
    assert "the code that jobs are sent, too" in kept.remark


LINES = st.sampled_from(
    [
        "",
        "# comment",
        "*",
        ".slipway",
        "/results/",
        "!results",
        "env/.env.local",
        "SITE=box",
        "SITE=",
        "export SITE='hpc'",
        "X=1",
        "-r requirements.txt",
        "-r env/.env.base",
        "-e .",
        "numpy",
        "[project]",
        'dependencies = ["a"]',
        "ns = slipway_tasks(__file__)",
        "\u2028é",
    ]
)
TEXTS = st.builds(
    lambda lines, end, last: (end.join(lines) + (end if last else "")).encode(),
    st.lists(LINES, max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
NAMES = st.sampled_from(
    [
        ".gitignore",
        ".dockerignore",
        "tasks.py",
        "Dockerfile",
        "docker/Dockerfile",
        "Dockerfile.dockerignore",
        "env/.env.base",
        "env/.env.local",
        "cluster/hpc.yaml",
        "requirements.txt",
        "pyproject.toml",
        "uv.lock",
        "environment.yml",
        "results/a",
    ]
)


@given(
    there=st.dictionaries(NAMES, TEXTS | st.binary(max_size=20)),
    options=st.sampled_from([InitOptions(), HPC, InitOptions(site="box")]),
)
def test_twice_is_once_and_no_byte_of_a_file_changes(there: dict[str, bytes], options: InitOptions) -> None:
    folder = Path.home() / "twice"
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in there.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    folder.mkdir(exist_ok=True)
    begin(folder, options)
    once = files(folder)
    assert all(once[name].startswith(content) for name, content in there.items())
    may_grow = {".gitignore", "env/.env.local"}
    assert {name for name in there if once[name] != there[name]} <= may_grow
    again = begin(folder, options)
    assert files(folder) == once
    assert set(actions(again).values()) <= {"keep", "tell"}


@pytest.mark.parametrize(
    ("folder", "image"),
    [
        ("My Project", "my-project"),
        ("slam_2", "slam_2"),
        ("..a..b__c-", "a-b-c"),
        ("Prüfung", "prufung"),
        ("项目", "project"),
        ("", "project"),
        ("x" * 70, "x" * 63),
    ],
)
def test_an_image_has_the_folders_name(folder: str, image: str) -> None:
    assert image_name(folder) == image


@given(st.text())
def test_any_name_becomes_one_that_images_can_have(folder: str) -> None:
    made = f"IMAGE={image_name(folder)}"
    assert load_profile(share_folder() / "env", "cpu", [made]).image == image_name(folder)


@pytest.mark.parametrize(
    ("host", "site"),
    [("hpc", "hpc"), ("login2.viper.mpcdf.mpg.de", "viper"), ("ssh-01", "ssh-01"), ("10.0.0.1", None)],
)
def test_a_site_is_named_by_its_login_node(host: str, site: str | None) -> None:
    assert guess_site(host) == site


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (InitOptions(site="hpc"), "there is no cluster/hpc.yaml yet; add --host HOST"),
        (InitOptions(site="box", host="h"), "the site box is a cluster on this machine"),
        (InitOptions(site="../x"), "--site '../x'"),
        (InitOptions(site="example"), "--site 'example'"),
        (InitOptions(site="hpc", host="a b"), "--host 'a b'"),
        (InitOptions(site="hpc", host="h", user="a b"), "--user 'a b'"),
        (InitOptions(site="hpc", host="h", scratch="here"), "--scratch 'here': write an absolute path"),
    ],
)
def test_options_that_cannot_be(project: Path, options: InitOptions, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        begin(project, options)
    assert words in str(caught.value)
    assert not list(project.iterdir())


def test_places_that_are_no_project(project: Path, home: Path) -> None:
    begin(project)
    inner = project / "src"
    inner.mkdir()
    for folder, words in {
        Path("/"): "is no folder of one project",
        home: "is no folder of one project",
        Path(gettempdir()): "is no folder of one project",
        inner: f"{inner} is in the project {project}: run `invoke init` there (`cd '{project}'`)",
        share_folder(): "is in Slipway's own checkout",
        share_folder() / "docs": "is in Slipway's own checkout",
    }.items():
        with pytest.raises(UsageError) as caught:
            begin(folder)
        assert words in str(caught.value)
    assert not list(inner.iterdir())
    begin(inner, InitOptions(yes=True))
    begin(home, InitOptions(yes=True))
    assert (inner / "env" / ".env.base").exists()
    assert (home / "env" / ".env.base").exists()


def test_a_folder_that_cannot_be_written(project: Path, home: Path) -> None:
    (project / "env").touch()
    with pytest.raises(HostError, match=r"cannot be written: .*`invoke init` again goes on from here"):
        begin(project)
    assert list(files(home)) == ["My Project/env"]
    # A file system that takes no files, from root neither.
    with pytest.raises(SlipwayError, match=r"/proc/sys.* cannot be written"):
        begin(Path("/proc/sys"))


@pytest.fixture
def at_a_terminal(project: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    code = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'slipway', 'init'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(
        argv, cwd=project, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        yield process, ours
        process.kill()
    os.close(ours)


def read_until(terminal: int, word: str) -> str:
    text = ""
    while word not in text:
        text += os.read(terminal, 1000).decode()
    return text


def test_ctrl_c_leaves_nothing(at_a_terminal: tuple[subprocess.Popen[bytes], int], project: Path) -> None:
    process, terminal = at_a_terminal
    read_until(terminal, "[box]: ")
    os.write(terminal, b"hpc\n")
    read_until(terminal, "~/.ssh/config: ")
    os.write(terminal, b"\x03")
    assert process.wait(PATIENCE_S) == 130
    assert not list(project.iterdir())


def test_it_is_seen_in_a_terminal(at_a_terminal: tuple[subprocess.Popen[bytes], int], project: Path) -> None:
    process, terminal = at_a_terminal
    read_until(terminal, "[box]: ")
    os.write(terminal, b"\n")
    shown = read_until(terminal, "python3 --version")
    assert process.wait(PATIENCE_S) == 0
    assert "written        env/.env.base\r\n" in shown
    assert "Next:\r\n  slipway box.up\r\n  slipway build\r\n  slipway job --push --wait -- " in shown
    assert "`slipway init --site NAME` adds a real" in " ".join(shown.split())


def test_what_another_command_writes_at_that_moment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tasks.py").write_text("theirs")
    # As it was a moment ago, when they had not come to it.
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    write_files(tmp_path, [PlannedFile(name="tasks.py", action="write", content=b"ours")])
    assert [(file.name, file.read_text()) for file in tmp_path.glob("*tasks.py*")] == [("tasks.py", "theirs")]
