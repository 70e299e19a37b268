"""A run submitted again: the same image, code, words and resources, whatever is gone meanwhile."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ImageError, JobError, UsageError
from slipway.image.engine import engine
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.watch import follow
from slipway.profile import Profile
from slipway.progress import NullProgress
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.details import find_details
from slipway.steps.find import find_record
from slipway.steps.keep import keep_runs
from slipway.steps.replay import make_replay, preview_replay, replayed
from slipway.steps.session import Session
from slipway.steps.submit import Push, submitted
from tests.integration.small_image import IMAGE, SmallImageBox

PROGRAM = 'cat /code/file >/out/code; printf "%s\\0" "$@" "$MINE" >/out/words'
WORDS = ("", "it's", "*", "a\nb", "\udcff\udc80", "--", "$(id)", "é")
WANTED = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in (*WORDS, "a $b"))


class Notes(NullProgress):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Repeater:
    """A checkout with code in git, from which runs are submitted, and submitted again."""

    def __init__(self, small: SmallImageBox, folder: Path) -> None:
        self.small, self.folder = small, folder
        self.progress = Notes()
        self.session = Session(project=small.session.project, progress=self.progress)
        folder.mkdir()
        (folder / ".gitignore").write_text("*.log\n")
        self.git("init", "-q")
        self.commit("one")

    def git(self, *words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, *words], cwd=self.folder, check=True)

    def commit(self, text: str) -> None:
        (self.folder / "file").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", text)

    @property
    def profile(self) -> Profile:
        return self.small.choice.profile.model_copy(
            update={
                "program": ("sh", "-c", PROGRAM, "sh"),
                "environment": {"MINE": "a $b"},
                "code_dir": self.folder,
            }
        )

    def submit(self, args: Sequence[str] = WORDS, **wanted: str) -> Run:
        resources = SlurmResources(cpus=1, mem="100M", time="5", **wanted)
        request = Request(
            profile=self.profile, site=self.small.choice.site, args=tuple(args), resources=resources
        )
        with submitted(self.session, request, Push.NEVER) as done:
            return done.run

    def again(
        self,
        run: Run,
        push: Push = Push.NEVER,
        *,
        args: tuple[str, ...] | None = None,
        overrides: Sequence[str] = (),
        resources: SlurmResources | None = None,
    ) -> Run:
        wanted = resources or SlurmResources()
        replay = make_replay(self.session, run.run_id, args=args, overrides=overrides, resources=wanted)
        with replayed(self.session, replay, push) as done:
            return done.run

    def output(self, run: Run) -> tuple[bytes, bytes]:
        """What the program found of its code, and of its words."""
        with self.small.connect() as host:
            ended = follow(host, run, lambda text: None, lambda run: None)
            assert ended.status.reason == "ok", ended.status
            out = PurePosixPath(run.run_dir) / "attempt-1" / "out"
            code, words = host.read(out / "code"), host.read(out / "words")
        assert code is not None
        assert words is not None
        return code, words

    def remove_code(self, run: Run) -> None:
        self.small.on_box(f"rm -rf {PurePosixPath(run.run_dir).parent.parent}/code/{run.code}")


@pytest.fixture(scope="module")
def repeater(small: SmallImageBox, tmp_path_factory: pytest.TempPathFactory) -> Repeater:
    return Repeater(small, tmp_path_factory.mktemp("replay") / "code")


def test_a_replay_runs_the_old_code_with_the_very_same_words(repeater: Repeater) -> None:
    waited_for = f"afterany:{repeater.submit().job_id}"
    first = repeater.submit(dependency=waited_for)
    repeater.commit("two")
    second = repeater.again(first)
    assert repeater.output(first) == repeater.output(second) == (b"one", WANTED)
    assert (second.sif, second.code, second.commit) == (first.sif, first.code, first.commit)
    assert (first.parent, second.parent) == (None, first.run_id)
    assert second.resources["time"] == "5"
    assert second.resource_origins["time"] == f"as in {first.run_id}"
    assert second.resources["dependency"] is None
    assert f"{first.run_id} waited for {waited_for}; this one does not, unless --dependency is given" in (
        repeater.progress.notes
    )
    # The profile may have another value by now; what is given here goes before what the run had.
    third = repeater.again(
        second, args=("x",), overrides=["ENV_MINE=new"], resources=SlurmResources(time="4", cpus=1)
    )
    assert repeater.output(third) == (b"one", b"x\0new\0")
    assert (third.resources["time"], third.resource_origins["time"]) == ("4", "--time")
    assert third.profile_values["environment"] != first.profile_values["environment"]


@pytest.mark.long
def test_code_that_is_gone_is_sent_again_from_its_commit(repeater: Repeater) -> None:
    repeater.commit("clean")
    clean = repeater.submit()
    (repeater.folder / "file").write_text("changed")
    changed = repeater.submit()
    assert changed.dirty
    repeater.git("checkout", "-q", "file")
    repeater.commit("later")
    for run, code, source in (
        (clean, b"clean", f"commit {str(clean.commit)[:12]}: it has the same hash"),
        (changed, b"changed", f"commit {str(changed.commit)[:12]} with what was not committed: it has"),
    ):
        repeater.remove_code(run)
        # Of the old run nothing is needed but its words.
        second = repeater.again(run)
        assert repeater.output(second) == (code, WANTED)
        assert any(source in note for note in repeater.progress.notes), repeater.progress.notes
    # Nothing is left of the clone, and the checkout is as it was.
    assert (repeater.folder / "file").read_text() == "later"
    assert list((repeater.session.project.state / "tmp").glob("sif-*")) == []


def test_code_that_cannot_be_had_is_told_with_what_differs(repeater: Repeater) -> None:
    (repeater.folder / "untracked.py").write_text("print(1)")
    run = repeater.submit()
    repeater.output(run)
    (repeater.folder / "untracked.py").unlink()
    repeater.remove_code(run)
    with pytest.raises(JobError) as caught:
        repeater.again(run)
    said = str(caught.value)
    assert f"code/{run.code}: the code of {run.run_id} is not there (any more)" in said
    assert f"{repeater.folder} as it is now: untracked.py is missing" in said
    assert f"commit {str(run.commit)[:12]}: untracked.py is missing" in said
    # What is said to help does.
    (repeater.folder / "untracked.py").write_text("print(1)")
    assert repeater.output(repeater.again(run))[1] == WANTED
    (repeater.folder / "untracked.py").unlink()


def test_an_image_that_is_gone_is_sent_where_this_machine_has_it(repeater: Repeater) -> None:
    run = repeater.submit()
    repeater.output(run)
    image = PurePosixPath(run.sif)
    # Another test may have kept a copy of it in the home folder; that would be named instead.
    repeater.small.on_box(
        f"mv {image} {image}.away; [ ! -e ~/slipway-kept ] || mv ~/slipway-kept ~/kept.away"
    )
    try:
        with pytest.raises(ImageError) as caught:
            repeater.again(run)
        assert f"`invoke job --replay {run.run_id} --push` sends it before" in str(caught.value)
        # A run of which neither is to be had is told both.
        repeater.remove_code(run)
        with pytest.raises(ImageError, match="is not there") as caught:
            repeater.again(run)
        second = repeater.again(run, Push.ALWAYS)
        assert repeater.output(second)[1] == WANTED
        assert (second.sif, second.sif_sha256) == (run.sif, run.sif_sha256)
    finally:
        repeater.small.on_box(f"[ -e {image} ] || mv {image}.away {image}; rm -f {image}.away")
        repeater.small.on_box("[ ! -e ~/kept.away ] || mv ~/kept.away ~/slipway-kept")


@pytest.mark.long
def test_an_image_that_lost_its_name_is_converted_again(repeater: Repeater) -> None:
    run = repeater.submit()
    repeater.output(run)
    image, kept, client = PurePosixPath(run.sif), repeater.session.project.state / "sif", engine()
    tag = f"replay-{run.image_id.removeprefix('sha256:')[:12]}"
    repeater.small.on_box(f"mv {image} {image}.away")
    kept.rename(kept.with_name("sif.away"))
    client.images.get(run.image_id).tag("slipway-other")
    client.images.remove(IMAGE)
    try:
        second = repeater.again(run, Push.ALWAYS)
        assert repeater.output(second) == (repeater.output(run)[0], WANTED)
        assert (second.image_id, second.code) == (run.image_id, run.code)
        # The name still means the image that was pushed last.
        newest = repeater.small.on_box(f"readlink {image.parent}/{IMAGE}.sif").strip()
        assert newest == image.name
    finally:
        client.images.get(run.image_id).tag(IMAGE)
        for name in ("slipway-other", f"{IMAGE}:{tag}"):
            client.images.remove(name)
        shutil.rmtree(kept)
        kept.with_name("sif.away").rename(kept)
        repeater.small.on_box(f"mv {image}.away {image}")


def test_an_image_that_nobody_has_is_told_with_how_to_make_one_anew(repeater: Repeater) -> None:
    run = repeater.submit()
    store = repeater.session.store
    gone = json.loads((store.folder / f"{run.run_id}.json").read_text())
    gone |= {
        "sif": f"{PurePosixPath(run.sif).parent}/gone-0.sif",
        "sif_sha256": "0" * 64,
        "image_id": "sha256:0",
    }
    (store.folder / f"{run.run_id}.json").write_text(json.dumps(gone))
    with pytest.raises(ImageError) as caught:
        repeater.again(run)
    assert "gone-0.sif" in str(caught.value)
    assert f"`git worktree add ../at-{str(run.commit)[:12]} {run.commit}` brings back" in str(caught.value)
    store.save(run)
    repeater.output(run)


@pytest.mark.long
def test_a_run_whose_folder_is_gone_is_repeated_by_its_record(repeater: Repeater) -> None:
    run = repeater.submit()
    repeater.output(run)
    # As an older Slipway has written it.
    file = repeater.session.store.folder / f"{run.run_id}.json"
    old = json.loads(file.read_text())
    for key in ("resource_origins", "name", "parent", "task_indices"):
        old.pop(key)
    file.write_text(json.dumps(old))
    assert repeater.output(repeater.again(run)) == repeater.output(run)
    repeater.small.on_box(f"rm -rf {run.run_dir}")
    # The profile of the record's name has no such variable: the test's own was made up.
    with pytest.raises(JobError, match=r"MINE: the profile has no such ENV_ now") as caught:
        repeater.again(run)
    assert "Give each with `--set ENV_NAME=VALUE`" in str(caught.value)
    assert repeater.output(repeater.again(run, overrides=["ENV_MINE=a $b"]))[1] == WANTED


@pytest.mark.long
def test_what_is_kept_in_the_home_folder_serves(repeater: Repeater) -> None:
    (repeater.folder / "untracked.py").write_text("print(2)")
    run = repeater.submit()
    (repeater.folder / "untracked.py").unlink()
    repeater.output(run)
    keep_runs(repeater.session, [run.run_id], lambda moved: None)
    repeater.small.on_box(f"rm -rf {run.run_dir}")
    found = find_details(repeater.session, run.run_id)
    assert found.attempts is not None
    assert [one.number for one in found.attempts] == [1]
    # The words come from the copy; the code is still in scratch.
    assert repeater.output(repeater.again(run))[1] == WANTED
    repeater.remove_code(run)
    with pytest.raises(JobError, match=f"`invoke restore {run.run_id}` brings back what is kept"):
        repeater.again(run)
    keep_runs(repeater.session, [run.run_id], lambda moved: None, back=True)
    assert repeater.output(repeater.again(run))[1] == WANTED


@pytest.mark.long
def test_another_site_is_sent_what_it_needs(repeater: Repeater, tmp_path: Path) -> None:
    run = repeater.submit(partition="debug")
    repeater.output(run)
    # The same cluster by another name, and with another scratch.
    (tmp_path / "cluster").mkdir()
    text = (repeater.session.project.share / "cluster" / "box.yaml").read_text()
    other = text.replace("scratch: $SCRATCH", "scratch: $SCRATCH/other").replace(
        "partition: debug", "partition: long"
    )
    (tmp_path / "cluster" / "other.yaml").write_text(other)
    shutil.copy(repeater.session.project.share / "cluster" / "box.yaml", tmp_path / "cluster")
    (tmp_path / "env").mkdir()
    shutil.copy(repeater.session.project.profiles / ".env.base", tmp_path / "env")
    repeater.small.on_box("mkdir -p $SCRATCH/other")
    session = replace(repeater.session, project=replace(repeater.session.project, root=tmp_path))
    given = ["ENV_MINE=a $b"]
    replay = make_replay(session, run.run_id, site="other", overrides=given, resources=SlurmResources())
    with replayed(session, replay, Push.ALWAYS) as done:
        assert done.run.site == "other"
        assert done.run.resources["partition"] == "long"
        assert PurePosixPath(done.run.sif).name == PurePosixPath(run.sif).name
        assert done.run.sif != run.sif
        assert repeater.output(done.run)[1] == WANTED
    repeater.small.on_box("rm -rf $SCRATCH/other")


def test_what_would_be_submitted_is_printed_without_a_login(repeater: Repeater) -> None:
    run = repeater.submit()
    replay = make_replay(
        repeater.session, run.run_id, args=("a\nb",), resources=SlurmResources(time="3"), name="label"
    )
    script = preview_replay(repeater.session, replay)
    assert "#SBATCH --time=3\n" in script
    assert run.sif in script
    assert f"/code/{run.code}" in script
    assert "\n# b'\n" in script
    with pytest.raises(UsageError, match=r"--set IMAGE=…: a replay has the image and the code"):
        make_replay(repeater.session, run.run_id, overrides=["IMAGE=x"], resources=SlurmResources())
    repeater.output(run)


def test_attempts_and_the_difference_are_read_from_the_cluster(repeater: Repeater) -> None:
    (repeater.folder / "file").write_text("not committed")
    run = repeater.submit()
    repeater.output(run)
    repeater.git("checkout", "-q", "file")
    kept = repeater.session.project.state / "runs" / f"{run.run_id}.diff"
    here = kept.read_text()
    kept.unlink()
    found = find_details(repeater.session, run.run_id)
    assert found.run.status.reason == "ok"
    assert found.attempts is not None
    assert [(one.number, one.result is not None and one.result.reason.value) for one in found.attempts] == [
        (1, "ok")
    ]
    assert found.diff == here
    assert "+not committed" in here
    # It is kept from now on.
    assert kept.read_text() == here
    assert find_record(repeater.session, run.run_id).status.reason == "ok"
