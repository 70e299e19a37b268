"""Replays: what of an earlier run is asked for again, and what its record and today's profile still tell."""

import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from slipway.code.snapshot import take_snapshot
from slipway.errors import JobError, UsageError
from slipway.host.host import Host
from slipway.job.kept import keep_tree
from slipway.job.rebuild import rebuild_code
from slipway.job.record import parse_run
from slipway.job.replay import Replay, find_words, known_words, replay_inputs
from slipway.job.replay_request import ask_again, site_changes
from slipway.job.run import Run
from slipway.job.secret import HIDDEN, keyed_hash
from slipway.project import Project
from slipway.push.upload import PushedSif
from slipway.resources import Resources
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Site
from slipway.site_file import load_site
from slipway.steps.replay import make_replay
from slipway.steps.session import Session
from tests.unit.test_run import make_run

ROOT = Path(__file__).parents[2]
KEY = b"key"


class Files:
    """Stands for a host that has some files; what is read is all that is asked of it here."""

    def __init__(self, **files: bytes) -> None:
        self.files = files

    def read(self, path: PurePosixPath) -> bytes | None:
        return self.files.get(path.name)


@pytest.fixture
def site() -> Site:
    return load_site((ROOT / "cluster",), "box")


def a_run(**values: Any) -> Run:
    return replace(make_run("k3f9"), **values)


def a_replay(run: Run, site: Site, **values: Any) -> Replay:
    return Replay(
        run=run,
        site=site,
        resource_request=ResourceRequest(resources=SlurmResources()),
        profile_values=run.profile_values,
        **values,
    )


def words(host: Files, replay: Replay, known: dict[str, str] | None = None) -> Any:
    return find_words(cast(Host, host), replay, lambda: known or {}, KEY)


def hashed(**values: str) -> dict[str, Any]:
    return {"environment": {name: keyed_hash(KEY, name, value) for name, value in values.items()}}


def test_the_same_is_asked_for_but_for_what_is_given(site: Site) -> None:
    run = a_run(
        resources={
            "time": "10", "cpus": 2, "mem": None, "array": "0-3", "dependency": "afterok:7",
            "partition": "debug", "sbatch": ["--comment=old"], "of_a_newer_one": 1,
        }
    )  # fmt: skip
    asked, notes = ask_again(run, site, None, (), SlurmResources(time="20", sbatch=("--nice=1",)))
    wanted = cast(SlurmResources, asked.resources)
    assert (wanted.time, wanted.cpus, wanted.array, wanted.dependency) == ("20", 2, "0-3", None)
    assert wanted.sbatch == ("--comment=old", "--nice=1")
    assert asked.origins == {
        "time": "--time",
        "cpus": "as in k3f9",
        "array": "as in k3f9",
        "partition": "as in k3f9",
    }
    assert notes == ["k3f9 waited for afterok:7; this one does not, unless --dependency is given"]


def test_at_another_site_what_was_the_old_ones_own_is_left_out(site: Site) -> None:
    resources = {"time": "10", "partition": "gpu", "account": "lab", "sbatch": ["--comment=old"]}
    run = a_run(site="elsewhere", resources=resources)
    asked, notes = ask_again(run, site, None, (), SlurmResources())
    assert asked.resources.partition == site.defaults.partition
    assert asked.resources.account == site.defaults.account
    assert cast(SlurmResources, asked.resources).sbatch == ()
    assert asked.origins["partition"] == "defaults.partition in cluster/box.yaml"
    assert asked.resources.time == "10"
    assert notes == ["partition, account, sbatch: left out, since they are elsewhere's own"]


def test_a_request_that_is_none_any_more_is_told(site: Site) -> None:
    with pytest.raises(JobError, match="k3f9 asked for time 'soon', which cannot be asked for any more"):
        ask_again(a_run(resources={"time": "soon"}), site, None, (), SlurmResources())


def test_a_site_that_is_not_as_it_was_is_told(site: Site) -> None:
    then = site.model_dump(mode="json")
    assert site_changes(a_run(site_values=then), site) == []
    then["container"] = {**then["container"], "flags": ["--old"]}
    then["grace_s"] = 7
    del then["paths"]
    assert site_changes(a_run(site_values=then), site) == ["container.flags", "grace_s"]
    assert site_changes(a_run(site="elsewhere", site_values=then), site) == []


def test_words_come_from_the_files_of_the_run(site: Site) -> None:
    run = a_run(program=("sh", "http://***@h"), args=("x", "http://***@h"))
    host = Files(argv=b"sh\0http://p@h\0\xff\0http://u:p@h\0", environment=b"A=1\0B=x=y\nz\0")
    found = words(host, a_replay(run, site, environment={"A": None, "C": "3"}))
    assert found.program == ("sh", "http://p@h")
    assert found.args == ("\udcff", "http://u:p@h")
    assert found.environment == {"B": "x=y\nz", "C": "3"}
    # What is replaced is not looked for.
    assert words(host, a_replay(run, site, args=("new",))).program == ("sh", "http://p@h")
    image = PushedSif(path=PurePosixPath("/i.sif"), image_id="sha256:1", sha256="1", size_bytes=1)
    inputs = replay_inputs(a_replay(run, site), found, image, "diff", KEY)
    assert inputs.argv == b"sh\0http://p@h\0\xff\0http://u:p@h\0"
    assert inputs.environment == b"B=x=y\nz\0C=3\0"
    assert inputs.profile_values["environment"] == hashed(B="x=y\nz", C="3")["environment"]
    assert (inputs.parent, inputs.code, inputs.revision.diff) == ("k3f9", "c0de", "diff")


def test_words_come_from_the_record_where_the_files_are_gone(site: Site) -> None:
    run = a_run(args=("\udcff", "a\nb"))
    assert words(Files(), a_replay(run, site)).args == run.args
    hidden = a_run(args=("--repo", "https://***@h/x"))
    with pytest.raises(JobError, match=r"had a password in 'https://\*\*\*@h/x'.*write the arguments anew"):
        words(Files(), a_replay(hidden, site))
    assert words(Files(), a_replay(hidden, site, args=("x",))).args == ("x",)
    # The folder of the run is at another site.
    elsewhere = a_replay(a_run(site="elsewhere"), site)
    assert words(Files(argv=b"wrong\0"), elsewhere).program == run.program


def test_variables_of_today_serve_where_they_are_what_they_were(site: Site) -> None:
    then = {"TOKEN": "secret", "MODE": "fast"}
    run, known = a_run(profile_values=hashed(**then)), {**then, "NEW": "1"}
    assert words(Files(), a_replay(run, site), known).environment == then
    with pytest.raises(JobError) as caught:
        words(Files(), a_replay(run, site), {"TOKEN": "other"})
    assert "TOKEN: the profile has another value now" in str(caught.value)
    assert "MODE: the profile has no such ENV_ now" in str(caught.value)
    assert "secret" not in str(caught.value)
    given = a_replay(run, site, environment={"MODE": "slow"})
    assert words(Files(), given, {"TOKEN": "secret"}).environment == {"TOKEN": "secret", "MODE": "slow"}
    old = a_run(profile_values={"environment": {"TOKEN": HIDDEN}})
    with pytest.raises(JobError, match="TOKEN: its record is of before values could be compared"):
        words(Files(), a_replay(old, site), known)
    assert sorted(known_words(given).environment) == ["MODE", "TOKEN"]


def git(folder: Path, *args: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


def test_code_of_before_is_put_together_again(tmp_path: Path) -> None:
    project = Project(root=tmp_path, state=tmp_path / ".slipway", results=tmp_path / "results")
    code = tmp_path / "sub" / "code"
    code.mkdir(parents=True)
    git(tmp_path, "init", "-q")
    # What git would leave out of an archive is in the commit all the same.
    (code / ".gitattributes").write_text("hidden export-ignore\n")
    (code / "hidden").write_text("x")
    (code / "tool.sh").write_text("#!/bin/sh\n")
    (code / "tool.sh").chmod(0o755)
    (code / "link").symlink_to("nowhere")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    with take_snapshot(code, project.state) as snapshot:
        keep_tree(project.state, snapshot.tree)
        run = a_run(code=snapshot.tree.name, commit=commit, profile_values={"code_dir": "sub/code"})
    now = tmp_path / "work"
    with rebuild_code(project, run, None, now).snapshot as found:
        assert found.source == code
    (code / "hidden").write_text("y")
    (code / "new\n.py").write_text("")
    rebuilt = rebuild_code(project, run, None, now)
    with rebuilt.snapshot:
        assert rebuilt.source == f"commit {commit[:12]}"
        assert rebuilt.snapshot.tree.name == run.code
    with pytest.raises(JobError) as caught:
        rebuild_code(project, replace(run, commit="0" * 40), None, tmp_path / "other")
    assert f"{code} as it is now: hidden is another, new .py was not there" in str(caught.value)
    assert f"{tmp_path} has no commit {'0' * 40} (any more); `git fetch` may bring it" in str(caught.value)
    with pytest.raises(JobError, match="`git apply` failed: "):
        rebuild_code(
            project, run, "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", tmp_path / "3"
        )
    with pytest.raises(JobError, match="it has another hash; what the run's code had is not kept here"):
        rebuild_code(project, replace(run, code="0" * 32, commit=None), None, tmp_path / "4")


def test_records_of_older_versions_are_asked_for_again(site: Site) -> None:
    for file in (ROOT / "tests" / "unit" / "data").glob("run-*.json"):
        run = parse_run(file.read_bytes())
        asked, _ = ask_again(run, site, None, (), SlurmResources())
        assert asked.resources.time == run.resources["time"]
        assert known_words(a_replay(run, site)).args == run.args


def test_what_would_need_another_image_is_refused(tmp_path: Path) -> None:
    project = Project(root=ROOT, state=tmp_path, results=tmp_path / "results")
    session = Session(project=project)
    session.store.save(a_run(resources={"time": "10"}))
    with pytest.raises(
        UsageError, match=r"--set CODE_DIR=…: a replay has the image and the code that the run"
    ):
        make_replay(session, "k3", overrides=["ENV_A=1", "CODE_DIR=."], resources=Resources())
    made = make_replay(
        session, "k3", overrides=["ENV_A=1", "ENV_B=", "TIME=7", "PROGRAM=sh -c"], resources=SlurmResources()
    )
    assert made.environment == {"A": "1", "B": None}
    assert made.program == ("sh", "-c")
    assert (made.resource_request.resources.time, made.resource_request.origins["time"]) == (
        "7",
        "--set TIME",
    )
