"""What completes a command line: words and a cursor to candidates, and where names come from."""

import json
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.completion import kinds
from slipway.completion.bash_line import fit, quote, read_line
from slipway.completion.candidates import SOURCES, Answer, find_candidates
from slipway.completion.grammar import Grammar, Option, Task, from_json, to_json
from slipway.completion.load import load_grammar
from slipway.completion.names import ProjectNames
from slipway.completion.place import Place, find_place
from slipway.profile import _PATHS, list_profiles
from slipway.project import Project
from slipway.scheduler.slurm.option import check_option
from slipway.site_file import list_sites, load_site
from slipway.steps.data import stage
from slipway.steps.session import Session

RUNS = ("8xfp-cpu-20260103-120000", "8xgg-cpu-20260102-120000", "2bcd-base-20260101-120000")
GRAMMAR = Grammar(
    tasks=(
        Task(
            names=("build", "b"),
            options=(Option(names=("--fresh",)), Option(names=("--profile", "-p"), takes_value=True)),
        ),
        Task(
            names=("job",),
            help="Submit a job",
            options=(
                Option(names=("--partition",), takes_value=True),
                Option(names=("--profile", "-p"), takes_value=True),
                Option(names=("--sbatch",), takes_value=True, repeats=True),
                Option(names=("--set",), takes_value=True, repeats=True),
                Option(names=("--site",), takes_value=True),
                Option(names=("--time",), takes_value=True),
                Option(names=("--wait",)),
            ),
        ),
        Task(
            names=("logs",), options=(Option(names=("--follow",)), Option(names=("--run",), takes_value=True))
        ),
        Task(
            names=("pull",),
            options=(
                Option(names=("--name",), takes_value=True),
                Option(names=("--run",), takes_value=True, repeats=True),
            ),
        ),
        Task(
            names=("stage",),
            places=("--path",),
            options=(
                Option(names=("--name",), takes_value=True),
                Option(names=("--path",), takes_value=True),
            ),
        ),
        Task(
            names=("ssh.trust",), places=("--site",), options=(Option(names=("--site",), takes_value=True),)
        ),
        Task(
            names=("data.fetch",),
            places=("--name",),
            options=(
                Option(names=("--name",), takes_value=True),
                Option(names=("--on",), takes_value=True),
                Option(names=("--sequence",), takes_value=True, repeats=True),
                Option(names=("--to",), takes_value=True),
            ),
        ),
        Task(
            names=("data.remove",), places=("--name",), options=(Option(names=("--name",), takes_value=True),)
        ),
        Task(names=("mine",), options=(Option(names=("--input",), takes_value=True),)),
        Task(names=("queues",), options=(Option(names=("--site",), takes_value=True),)),
    ),
    core=(
        Option(names=("--echo", "-e")),
        Option(names=("--help", "-h"), takes_value=True, optional=True),
        Option(names=("--list-format",), takes_value=True),
        Option(names=("--write-pyc",)),
    ),
)
TASKS = ["build", "b", "job", "logs", "pull", "stage", "ssh.trust", "data.fetch", "data.remove", "mine"]
TASKS.append("queues")


class FakeNames:
    def profiles(self) -> Iterable[str]:
        return ["base", "cpu", "my lab"]

    def sites(self) -> Iterable[str]:
        return ["box", "hpc"]

    def hosts(self) -> Iterable[str]:
        return ["login"]

    def runs(self) -> Iterable[str]:
        return RUNS

    def run_names(self) -> Iterable[str]:
        return ["rpy-long", "rpy-short"]

    def sweeps(self) -> Iterable[str]:
        return ["k3f9-sweep-20260131-142530", "nine"]

    def parameters(self, place: Place) -> Iterable[str]:
        return ["sequence", "seed"]

    def datasets(self, place: Place) -> Iterable[str]:
        return ["door", "room"] if place.last("--site") != "box" else ["room"]

    def known_datasets(self) -> Iterable[str]:
        return ["euroc", "tum"]

    def sequences(self, place: Place) -> Iterable[str]:
        return ["fr1", "fr2"] if place.last("--name") == "tum" else []

    def setting_keys(self) -> Iterable[str]:
        return ["CODE_DIR", "SITE", "TIME"]

    def partitions(self, place: Place) -> Mapping[str, str]:
        return {"gpu": "A100: fast", "debug": ""} if place.last("--site") == "hpc" else {}

    def gpus(self, place: Place) -> Iterable[str]:
        return ["a100:1", "a100:2"]

    def code(self, place: Place, start: str) -> Iterable[str]:
        return [name for name in ("src/", "train.py") if name.startswith(start)]


def complete(typed: str) -> Answer:
    return find_candidates(find_place(GRAMMAR, typed.split(" ")), GRAMMAR, FakeNames())


def words(typed: str) -> list[str]:
    answer = complete(typed)
    assert answer.shell == ""
    return [candidate.word for candidate in answer.candidates]


JOB_OPTIONS = ["--partition", "--profile", "--sbatch", "--set", "--site", "--time", "--wait"]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", TASKS),
        ("b", ["build", "b"]),
        ("x", []),
        ("-", ["--echo", "--help", "--list-format"]),
        ("-e", ["-e"]),
        ("--list-format n", ["nested"]),
        ("--help jo", ["job"]),
        ("--help --e", ["--echo"]),
        # A task, its options, and the next task.
        ("job --p", ["--partition", "--profile"]),
        ("job --h", ["--help"]),
        ("job --echo --w", ["--wait"]),
        ("job --help l", ["logs"]),
        ("build lo", ["logs"]),
        ("build --fresh job --w", ["--wait"]),
        ("build --profile cpu job --pr", ["--profile"]),
        ("mine ", ["--input", "--help", *TASKS]),
        # What is given is not offered again, unless it may be repeated.
        ("job --wait --w", []),
        ("job --profile cpu --p", ["--partition"]),
        ("job --profile=cpu --p", ["--partition"]),
        ("job -p cpu --p", ["--partition"]),
        ("job -pcpu --p", ["--partition"]),
        ("job --set A=1 --se", ["--set"]),
        # Values.
        ("job --profile ", ["base", "cpu", "my lab"]),
        ("job --profile=", ["--profile=base", "--profile=cpu", "--profile=my lab"]),
        ("job --profile=c", ["--profile=cpu"]),
        ("job -p c", ["cpu"]),
        ("job --profile --s", []),
        ("job --profile logs --site h", ["hpc"]),
        ("job --time ", []),
        ("job --time=", []),
        ("job --wait=", []),
        ("job --nothing=", []),
        ("job --partition ", ["auto"]),
        ("job --site hpc --partition ", ["gpu", "debug", "auto"]),
        ("job --partition= --site hpc --partition=g", ["--partition=gpu"]),
        ("build --site hpc job --partition ", ["auto"]),
        # Settings: a key, then what the option of the same name takes.
        ("job --set ", ["CODE_DIR=", "SITE=", "TIME="]),
        ("job --set=S", ["--set=SITE="]),
        ("job --set SITE=box --set ", ["CODE_DIR=", "TIME="]),
        ("job --set SITE=", ["SITE=box", "SITE=hpc"]),
        ("job --set=SITE=h", ["--set=SITE=hpc"]),
        ("job --set TIME=", []),
        ("job --sbatch --comm", ["--comment="]),
        ("job --sbatch=--comm", ["--sbatch=--comment="]),
        ("job --sbatch=--comment=x --sbatch=--comm", []),
        # Runs, by option and by their place.
        ("logs ", [*RUNS, "rpy-long", "rpy-short"]),
        ("logs rpy-l", ["rpy-long"]),
        ("pull 2bcd 8", [*RUNS[:2]]),
        ("pull --name ", ["rpy-long", "rpy-short"]),
        ("stage . --name ", []),
        ("data.fetch ", ["euroc", "tum"]),
        ("data.remove ", ["door", "room"]),
        ("data.fetch tum --sequence ", ["fr1", "fr2"]),
        ("data.fetch tum --sequence=fr2", ["--sequence=fr2"]),
        ("data.fetch euroc --sequence ", []),
        ("data.fetch tum --on b", ["box"]),
        ("logs 8", [*RUNS[:2]]),
        ("logs --run 2", [RUNS[2]]),
        ("logs --follow 2", [RUNS[2]]),
        ("logs 2bcd ", ["--follow", "--help", *TASKS]),
        ("logs 2bcd 8", []),
        ("logs --run=2bcd --r", []),
        ("logs st", ["stage"]),
        # A site, which only some tasks take by its place.
        ("queues h", ["hpc"]),
        ("queues hpc b", ["build", "b"]),
        ("job h", []),
        # Values by their place, without which a task does not run.
        ("ssh.trust ", ["box", "hpc"]),
        ("ssh.trust box l", ["logs"]),
        ("ssh.trust --site box l", ["logs"]),
        ("stage folder jo", ["job"]),
        ("stage job jo", ["job"]),
        # The program's words.
        ("job -- ", ["src/", "train.py"]),
        ("job -- python t", ["train.py"]),
        ("job -- --lr", []),
        ("job -- --config=tr", ["--config=train.py"]),
        ("job -- --dataset ", ["door", "room"]),
        ("job --site box -- --dataset ", ["room"]),
        ("job -- --dataset=r", ["--dataset=room"]),
        ("job -- /data/r", ["/data/room/"]),
        ("job -- --in=/data/r", ["--in=/data/room/"]),
        ("job -- logs -- --wa", []),
    ],
)
def test_what_may_stand_at_the_cursor(typed: str, found: list[str]) -> None:
    assert words(typed) == found


@pytest.mark.parametrize(
    ("typed", "shell", "prefix"),
    [
        ("stage ", "folders", ""),
        ("data.fetch tum --to fo", "folders", ""),
        ("stage --name x fo", "folders", ""),
        ("stage --path=fo", "folders", "--path="),
        ("mine --input fi", "files", ""),
        ("mine --input=fi", "files", "--input="),
        ("job --set CODE_DIR=", "files", "CODE_DIR="),
        ("job --set=CODE_DIR=../x", "files", "--set=CODE_DIR="),
    ],
)
def test_where_a_path_is_wanted_the_shell_finds_it(typed: str, shell: str, prefix: str) -> None:
    assert complete(typed) == Answer(shell=shell, prefix=prefix)


def test_candidates_say_what_they_are() -> None:
    assert [one.help for one in complete("jo").candidates] == ["Submit a job"]
    assert [one.help for one in complete("job --site hpc --partition ").candidates][:2] == ["A100: fast", ""]


def test_names_that_a_terminal_would_obey_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNames, "sites", lambda self: ["a\nb", "a\x1b[2J", "a\udcff", "ab"])
    assert words("job --site a") == ["ab"]


def test_help_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNames, "partitions", lambda self, place: {"gpu": "A100:\n\tfast\x1b[2J "})
    assert next(one.help for one in complete("job --partition ").candidates) == "A100: fast [2J"


def test_no_more_is_offered_than_somebody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNames, "runs", lambda self: [f"{number:05}" for number in range(10_000)])
    assert words("logs ") == [f"{number:05}" for number in range(200)]
    assert words("logs 0999") == [f"{number:05}" for number in range(9990, 10_000)]


def test_the_grammar_is_kept_as_json() -> None:
    assert from_json(json.loads(json.dumps(to_json(GRAMMAR)))) == GRAMMAR


# ---- bash -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "read", "raw", "open_quote"),
    [
        ("", [""], "", ""),
        ("slipway", ["slipway"], "slipway", ""),
        ("slipway  job ", ["slipway", "job", ""], "", ""),
        (r"a b\ c", ["a", "b c"], r"b\ c", ""),
        ("a 'b c' d", ["a", "b c", "d"], "d", ""),
        ("a 'b c", ["a", "b c"], "'b c", "'"),
        ('a --p="b \\"c', ["a", '--p=b "c'], '--p="b \\"c', '"'),
        (r'a "b\n\$"', ["a", "b\\n$"], r'"b\n\$"', ""),
        ("a '' b", ["a", "", "b"], "b", ""),
        (r"a b\'c", ["a", "b'c"], r"b\'c", ""),
        ("a \\\n b", ["a", "", "b"], "b", ""),
        ("a b\\", ["a", "b"], "b\\", ""),
        ("a >out b", ["a", "b"], "b", ""),
        ("a 2>out b", ["a", "b"], "b", ""),
        ("a 2> out b", ["a", "b"], "b", ""),
        ("a b2> out c", ["a", "b2", "c"], "c", ""),
    ],
)
def test_bash_s_words(typed: str, read: list[str], raw: str, open_quote: str) -> None:
    line = read_line(typed)
    assert ([*line.words], line.raw, line.quote, line.is_redirected) == (read, raw, open_quote, False)


@pytest.mark.parametrize("typed", ["a > o", "a >o", "a 2>o", "a >>o", "a b <o", "a >"])
def test_what_follows_a_redirection_is_a_file(typed: str) -> None:
    assert read_line(typed).is_redirected


@pytest.mark.parametrize(
    ("typed", "tail", "candidate", "inserted"),
    [
        ("a --profile=c", "c", "--profile=cpu", "cpu"),
        ("a --profile=", "", "--profile=cpu", "cpu"),
        ("a --profile=c", "--profile=c", "--profile=cpu", "--profile=cpu"),
        ("a a100:", "", "a100:2", "2"),
        ("a m", "m", "my lab", r"my\ lab"),
        ('a "my l', "my l", "my lab", "my lab"),
        ("a 'it", "it", "it's", r"it'\''s"),
        ('a --p="x', "x", '--p=x"$y', r"x\"\$y"),
        (r"a b\ c:", "", "b c:d e", r"d\ e"),
        ("a ", "", "~x", r"\~x"),
    ],
)
def test_bash_gets_back_what_replaces_the_end_of_the_word(
    typed: str, tail: str, candidate: str, inserted: str
) -> None:
    assert fit(candidate, read_line(typed), tail) == inserted


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.sampled_from(["", "'", '"']))
def test_what_is_quoted_for_bash_is_read_as_it_was(text: str, kind: str) -> None:
    assert read_line(f"a {kind}{quote(text, kind)}{kind} b").words[1:-1] == ((text,) if text or kind else ())


# ---- the names of a project -----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.find(tmp_path / "mine")
    project.profiles.mkdir(parents=True)
    for name, text in {
        "base": "SITE=hpc\n",
        "lab": "CODE_DIR=src\n",
        "example": "KEY=\n",
        "local": "",
        "elsewhere": "SITE=box\n",
    }.items():
        (project.profiles / f".env.{name}").write_text(text)
    (project.root / "cluster").mkdir()
    (project.root / "cluster" / "hpc.yaml").write_text(
        "queues:\n  gpu: {max_gpus: {a100: 2}, note: A100}\n  long: {max_gpus: {a100: 1}}\n  debug:\n"
    )
    for name in (
        "src",
        "src/inner",
        "src/.hidden",
        ".slipway/runs",
        ".slipway/staged/hpc",
        ".slipway/staged/box",
    ):
        (project.root / name).mkdir(parents=True)
    (project.root / "src" / "train.py").touch()
    (project.root / "top.py").touch()
    (project.staged / "hpc" / "room").touch()
    (project.staged / "box" / "door").touch()
    return project


def record(project: Project, run: str, **values: object) -> None:
    (project.state / "runs" / f"{run}.json").write_text(json.dumps(values))


def place(**given: list[str]) -> Place:
    return Place(text="", given={f"--{name}": values for name, values in given.items()})


def test_profiles_and_sites_are_those_that_slipway_finds(project: Project) -> None:
    names = ProjectNames(project=project)
    assert names.profiles() == list_profiles(project.profiles, project.share / "env")
    assert {"base", "lab", "cpu"} <= {*names.profiles()}
    assert names.sites() == list_sites(project.sites)
    assert {"hpc", "box"} <= {*names.sites()}


def test_the_chosen_site_is_that_of_the_line_else_of_the_profile(project: Project) -> None:
    names = ProjectNames(project=project)
    assert names.partitions(place()) == {"gpu": "A100", "long": "", "debug": ""}
    assert [*names.partitions(place(profile=["elsewhere"]))] == ["debug", "long", "scavenge", "priority"]
    assert [*names.partitions(place(site=["box"]))] == ["debug", "long", "scavenge", "priority"]
    assert [*names.partitions(place(set=["SITE=hpc"], profile=["elsewhere"]))] == ["gpu", "long", "debug"]
    (project.profiles / ".env.local").write_text("SITE=nowhere\n")
    assert names.partitions(place()) == {}
    assert names.gpus(place(site=["hpc"])) == ["a100:1", "a100:2"]


def test_hosts_are_those_of_the_user_s_ssh_config(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.root))
    names = ProjectNames(project=project)
    assert names.hosts() == []
    (project.root / ".ssh").mkdir()
    (project.root / ".ssh" / "config").write_text(
        "Host hpc login?\n\nhost *\n  Hostname a\nHOST !x dgx\nHost\n"
    )
    assert names.hosts() == ["dgx", "hpc"]


def test_runs_are_the_newest_first_by_the_names_of_their_records(project: Project) -> None:
    for run in ("zzzz-a-20260101-000000", "bbbb-a-b-20260103-000000", "cccc-a-20260102-000000"):
        record(project, run)
    (project.state / "runs" / "x.lock").touch()
    assert [run[:4] for run in ProjectNames(project=project).runs()] == ["bbbb", "cccc", "zzzz"]


def test_names_of_runs_are_those_of_the_newest(project: Project) -> None:
    record(project, "aaaa-a-20260101-000000", name="rpy")
    record(project, "bbbb-a-20260102-000000", name="rpy-long")
    record(project, "cccc-a-20260103-000000", name="rpy")
    record(project, "dddd-a-20260104-000000", name=None)
    assert ProjectNames(project=project).run_names() == ["rpy", "rpy-long"]


def test_datasets_are_those_staged_from_here_and_those_of_the_newest_runs(project: Project) -> None:
    record(
        project,
        "aaaa-a-20260101-000000",
        site="hpc",
        args=["--dataset", "hall", "--dataset=yard", "--dataset"],
    )
    record(project, "bbbb-a-20260101-000000", site="box", args=["--dataset", "other"])
    record(project, "cccc-a-20260101-000000", site="hpc", args="none")
    (project.state / "runs" / "dddd-a-20260101-000000.json").write_text("{")
    names = ProjectNames(project=project)
    assert names.datasets(place()) == ["hall", "room", "yard"]
    assert names.datasets(place(site=["box"])) == ["door", "other"]
    (project.profiles / ".env.base").write_text("")
    assert names.datasets(place()) == ["door", "hall", "other", "room", "yard"]


def test_known_datasets_and_their_sequences(project: Project) -> None:
    (project.root / "cluster" / "datasets.yaml").write_text("lab: {sequences: {one: x, two: y}}\n")
    names = ProjectNames(project=project)
    assert names.known_datasets() == ["eth3d", "euroc", "lab", "room", "tartanair", "tum"]
    assert names.sequences(place(name=["lab"])) == ["one", "two"]
    assert names.sequences(place(name=["tum"]))[0] == "freiburg1_360"
    assert names.sequences(place()) == names.sequences(place(name=["none"])) == []
    assert "datasets" not in names.sites()


def test_what_is_staged_is_remembered_for_its_site(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is sent: there is no cluster here.
    monkeypatch.setattr(Session, "open_scratch", lambda self, site: nullcontext((None, None)))
    monkeypatch.setattr("slipway.dataset.stage.stage", lambda *words, **more: None)
    monkeypatch.setattr("slipway.steps.data.use_folder", lambda *words: False)
    stage(Session(project=project), load_site(project.sites, "box"), project.root / "src", "yard")
    assert ProjectNames(project=project).datasets(place(site=["box"])) == ["door", "yard"]


def test_of_ten_thousand_records_only_the_newest_are_opened(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10_000):
        (project.state / "runs" / f"{number:04}-a-20260101-{number:06}.json").touch()
    opened: list[Path] = []
    monkeypatch.setattr("slipway.completion.names._json", opened.append)
    names = ProjectNames(project=project)
    assert len(names.runs()) == 10_000
    assert opened == []
    names.datasets(place())
    assert [file.name[:4] for file in opened] == [f"{number:04}" for number in range(9999, 9969, -1)]


def test_files_of_the_code_folder_whatever_folder_somebody_is_in(project: Project) -> None:
    names = ProjectNames(project=project)
    assert [*names.code(place(profile=["lab"]), "")] == ["inner/", "train.py"]
    assert [*names.code(place(profile=["lab"]), "./t")] == ["./train.py"]
    assert [*names.code(place(profile=["lab"]), ".h")] == [".hidden/"]
    assert [*names.code(place(set=[f"CODE_DIR={project.root / 'src'}"]), "in")] == ["inner/"]
    assert [*names.code(place(), "src/t")] == ["src/train.py"]
    for outside in ("../", "src/../../", "/", "~/"):
        assert [*names.code(place(), outside)] == []


@pytest.mark.parametrize("name", ["env/.env.base", "env/.env.lab", "cluster/hpc.yaml"])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 400, b"a: b: c", b"'", b"queues: 3\nlogin", b"\0"])
def test_files_that_are_broken_have_no_names(project: Project, name: str, content: bytes) -> None:
    (project.root / name).write_bytes(content)
    names = ProjectNames(project=project)
    chosen = place(profile=["lab"], site=["hpc"])
    assert names.profiles()
    for found in (
        names.partitions(chosen),
        names.gpus(chosen),
        names.datasets(chosen),
        names.code(chosen, ""),
    ):
        assert len([*found]) < 5


def test_folders_that_are_none_have_no_names(tmp_path: Path) -> None:
    for name in ("env", "cluster", ".slipway"):
        (tmp_path / name).touch()
    names = ProjectNames(project=Project.find(tmp_path))
    assert "cpu" in names.profiles()
    assert (names.runs(), names.datasets(place())) == ([], [])


# ---- what Slipway's own tasks take ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Grammar:
    return load_grammar(Project.find(tmp_path_factory.mktemp("none")), None)


def test_it_is_known_of_each_option_what_it_takes(own: Grammar) -> None:
    known = kinds.FREE | kinds.FOLDERS | kinds.FILES | {*kinds.CHOICES, *SOURCES, "--set", "--help"}
    options = {option.name for task in own.tasks for option in task.options if option.takes_value}
    options |= {option.name for option in own.core if option.takes_value}
    assert options - known == set(), "say in slipway/completion/kinds.py what a new option takes"


def test_the_grammar_is_that_of_the_tasks(own: Grammar) -> None:
    job = own.task("job")
    assert job is not None
    assert job.help == "Submit a job"
    option = job.option("--set")
    # Invoke forgets help once it has given it, and another test may have asked.
    assert option is not None
    assert replace(option, help="") == Option(names=("--set",), takes_value=True, repeats=True)
    stage = own.task("stage")
    assert stage is not None
    assert stage.places == ("--path",)


def test_tables_agree_with_what_slipway_checks() -> None:
    assert {*_PATHS} == kinds.PATH_KEYS
    for word in kinds.CHOICES["--sbatch"]:
        assert check_option(word.replace("=", "=x")) is not None
