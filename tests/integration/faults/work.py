"""What is interrupted: a task of Slipway's, what is new for it to do, and what has to hold afterwards.

``check`` holds after every fault, wherever it has met the task; ``finished`` once the task has come through.
"""

import hashlib
import io
import json
import os
import random
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from slipway.image.engine import engine, find_image
from slipway.job.home import read_home
from slipway.job.run import Run, Status
from slipway.scheduler.base import State
from slipway.sif.file import read_sif
from slipway.sif.holes import SUFFIX, Piece
from slipway.sif.kept import find_sif, sha256
from tests.integration.faults.laptop import Laptop, site_options, small_resources
from tests.integration.push_box import sif_name
from tests.integration.task_runner import INVOKE
from tests.waiting import wait_until

SCRATCH = "/scratch/researcher"
RUNS, DATA = f"{SCRATCH}/slipway/runs", f"{SCRATCH}/slipway/data"
KEPT = "/home/researcher/slipway-kept"
IMAGE_OF_OURS = "slipway-faults"
Files = dict[str, str]


class Work(ABC):
    """A task that is interrupted."""

    title: str
    argv: Sequence[str] = INVOKE
    # How fast the line is meanwhile, so that what is sent takes a while.
    rate_bytes_s = 1e9

    def __init__(self, laptop: Laptop, dice: random.Random) -> None:
        self.laptop, self.dice, self.count = laptop, dice, 0

    def begin(self) -> None:
        """Have something new to do."""
        self.count += 1

    @property
    @abstractmethod
    def words(self) -> Sequence[str]:
        """What is typed."""

    @abstractmethod
    def check(self) -> None:
        """Nothing is partial, lost or done twice, at any moment."""

    @abstractmethod
    def finished(self) -> None:
        """All is done, and nothing is left over."""


class Build(Work):
    """`build`: the image's name is on the old image or on the new one."""

    title = "build"

    def __init__(self, laptop: Laptop, dice: random.Random) -> None:
        super().__init__(laptop, dice)
        # What another campaign has left in the engine.
        self.known = {self.built()}

    def begin(self) -> None:
        super().begin()
        self.version = os.urandom(6).hex()
        self.known.add(self.version)
        base = self.laptop.small.choice.profile.base_image
        # Steps that take a moment, so that there is something to interrupt.
        steps = "".join(f"RUN sleep 0.3; echo {self.version} >/version-{number}\n" for number in range(3))
        (self.laptop.folder / "Dockerfile").write_text(
            f"FROM {base}\n{steps}LABEL slipway.version={self.version}\n"
        )

    @property
    def words(self) -> Sequence[str]:
        return ["build", *self.image_options]

    @property
    def image_options(self) -> list[str]:
        dockerfile = self.laptop.folder / "Dockerfile"
        return ["--profile", "cpu", "--set", f"IMAGE={IMAGE_OF_OURS}", "--set", f"DOCKERFILE={dockerfile}"]

    def check(self) -> None:
        assert self.built() in self.known

    def finished(self) -> None:
        assert self.built() == self.version
        assert "nothing built" in self.laptop.run(*self.words).said

    def built(self) -> str | None:
        client = engine()
        image = find_image(client, IMAGE_OF_OURS)
        label = image.labels.get("slipway.version") if image else None
        client.close()
        return label


class Convert(Build):
    """`sif`: a file under its own name is whole, and is what its record says."""

    title = "convert"

    def begin(self) -> None:
        super().begin()
        client = engine()
        base = self.laptop.small.choice.profile.base_image
        text = f"FROM {base}\nRUN echo {self.version} >/version\nLABEL slipway.version={self.version}\n"
        (self.laptop.folder / "Dockerfile").write_text(text)
        client.images.build(fileobj=io.BytesIO(text.encode()), tag=IMAGE_OF_OURS)
        client.close()

    @property
    def words(self) -> Sequence[str]:
        return ["sif", *self.image_options, "--site", "box"]

    def check(self) -> None:
        for path in (self.laptop.state / "sif").glob("*.sif"):
            read_sif(path)
            record = path.with_suffix(".json")
            if record.exists() and record.stat().st_size:
                assert json.loads(record.read_text())["sha256"] == sha256(path)

    def finished(self) -> None:
        client = engine()
        image = find_image(client, IMAGE_OF_OURS)
        client.close()
        assert image is not None
        found = find_sif(self.laptop.project, image)
        assert found is not None
        assert found.sha256 == sha256(found.path)
        assert not list((self.laptop.state / "tmp").glob("*/*"))
        assert len(list((self.laptop.state / "sif").glob("*.sif"))) == 1


class Push(Work):
    """`push` of a file that is an image by its name: whole under its own name, or not there."""

    title = "push"
    argv = (sys.executable, "-m", "tests.integration.push_program")
    rate_bytes_s = 20e6
    size_bytes = 12_000_000

    def begin(self) -> None:
        super().begin()
        self.pushes = self.laptop.pushes
        self.name = "faults"
        self.old = self.newest()
        self.path = self.laptop.folder / f"image-{self.count}-{os.urandom(3).hex()}.sif"
        self.path.write_bytes(os.urandom(self.size_bytes))
        self.digest = sha256(self.path)

    @property
    def words(self) -> Sequence[str]:
        config = self.laptop.state / "box" / "ssh_config"
        return [str(self.laptop.state), str(self.path), str(config), SCRATCH, self.name]

    def check(self) -> None:
        new = sif_name(self.name, self.digest)
        listed = self.pushes.listing()
        assert new not in listed or self.hash_there(new) == self.digest
        assert self.newest() in {self.old, new}
        assert self.old is None or self.old in listed

    def finished(self) -> None:
        new = sif_name(self.name, self.digest)
        assert self.newest() == new
        assert self.hash_there(new) == self.digest
        assert not [name for name in self.pushes.listing() if name.startswith(f".{self.name}")]
        self.pushes.there(
            f"cd {self.pushes.images} && ls | grep '^{self.name}-' | grep -v {new[:-4]} | xargs rm -f"
        )
        for path in self.laptop.folder.glob(f"{self.path.stem}.*"):
            path.unlink()

    def newest(self) -> str | None:
        return self.pushes.there(f"readlink {self.pushes.images}/{self.name}.sif || true").strip() or None

    def hash_there(self, name: str) -> str:
        return self.pushes.there('sha256sum -- "$1"', f"{self.pushes.images}/{name}").split()[0]


class PushOfLayers(Push):
    """`push` of an image that has holes here: sent by SFTP, or written here and sent by rsync."""

    title = "push of layers"

    def begin(self) -> None:
        super().begin()
        content = self.path.read_bytes()
        self.path.unlink()
        name, offset = f"{os.urandom(32).hex()}-zstd.squashfs", 1_000_000
        layers = self.laptop.state / "layers"
        layers.mkdir(exist_ok=True)
        (layers / name).write_bytes(content[offset:])
        with self.path.with_suffix(SUFFIX).open("wb") as file:
            file.write(content[:offset])
            file.truncate(len(content))
        hole = Piece(layer=f"{name} 00000001", start=0, size_bytes=len(content) - offset, offset=offset)
        values = {"image_id": "sha256:0", "sha256": self.digest, "size_bytes": len(content)}
        text = json.dumps({**values, "holes": [asdict(hole)]})
        self.path.with_suffix(".values.json").write_text(text)
        self.layer = layers / name
        if self.count % 2:
            # Without an older one there is nothing that rsync could compare with.
            self.pushes.there(f"cd {self.pushes.images} && rm -f {self.name}.sif {self.name}-*")
            self.old = None

    def check(self) -> None:
        super().check()
        assert not self.path.exists() or sha256(self.path) == self.digest

    def finished(self) -> None:
        super().finished()
        self.layer.unlink()


class Stage(Work):
    """`stage`: each file there is an old one or a new one, and the manifest holds for all that it names."""

    title = "stage"
    rate_bytes_s = 10e6
    files, large_bytes = 60, 2_000_000

    def begin(self) -> None:
        super().begin()
        self.folder = self.laptop.folder / "faults-data"
        # A test that has failed leaves what it had come to.
        self.before = content(self.folder) if self.count > 1 else self.there()
        # One in three is new, and one in three stays as it was.
        for number in range(self.files):
            path = self.folder / f"sub{number % 3}" / f"file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or number % 3 == self.count % 3:
                path.write_bytes(os.urandom(10_000))
        (self.folder / "large").write_bytes(os.urandom(self.large_bytes))
        self.after = content(self.folder)

    @property
    def words(self) -> Sequence[str]:
        return ["stage", "--path", str(self.folder), "--name", "faults", "--site", "box"]

    def check(self) -> None:
        there = self.there()
        assert all(there[name] in (self.before.get(name), self.after.get(name)) for name in there), there
        assert self.before.keys() <= there.keys()

    def finished(self) -> None:
        assert self.there() == self.after
        checked = self.laptop.there(
            f"cd {DATA}/faults && sha256sum --strict --quiet -c ../.faults.sha256 && ls -A .. | grep faults"
        )
        assert set(checked.split()) == {"faults", ".faults.sha256"}, checked

    def there(self) -> Files:
        return hashes(self.laptop, f"{DATA}/faults")


class Job(Work):
    """`job`: each job is in a record, and each record has one job, or was surely never submitted."""

    title = "job"

    def __init__(self, laptop: Laptop, dice: random.Random) -> None:
        super().__init__(laptop, dice)
        # Other tests make records, and take away what these are of.
        self.others, self.earlier = set(self.jobs()), set(laptop.runs())

    def begin(self) -> None:
        super().begin()
        (self.laptop.code / "main.sh").write_text(f"echo {os.urandom(4).hex()}\n")

    @property
    def words(self) -> Sequence[str]:
        return ["job", *site_options(self.laptop), *small_resources(), "--no-push"]

    def check(self) -> None:
        def settled() -> bool:
            self.laptop.run("status", "--json", "--count", "1000")
            return all(
                run.state not in (State.SUBMITTING, State.UNKNOWN) for run in self.laptop.runs().values()
            )

        # What was under way when the command ended may still come to its end there.
        wait_until(settled, lambda: str(self.laptop.runs()))
        runs = {key: run for key, run in self.laptop.runs().items() if key not in self.earlier}
        jobs = self.jobs()
        assert jobs.keys() <= runs.keys(), (jobs, runs)
        assert all(count == 1 for count in jobs.values()), jobs
        folders = set(self.laptop.there(f"ls {RUNS}").split())
        for run in runs.values():
            assert (run.job_id is not None) is (run.run_id in folders), (run, folders)
            if run.job_id is None:
                assert (run.status.state, run.status.reason) == (State.FAILED, "launch-failure"), run

    def finished(self) -> None:
        assert [run for run in self.laptop.runs().values() if run.job_id]
        assert not list(self.laptop.store.folder.glob("*.lock"))

    def jobs(self) -> Counter[str]:
        """How many jobs of each name there are, by the controller and by accounting."""
        rows = self.laptop.there(
            "squeue -h -t all -o '%A %j'; sacct -X -n -P -o JobIDRaw,JobName | tr '|' ' '"
        )
        pairs = {tuple(row.split()) for row in rows.splitlines()}
        names = Counter(pair[1] for pair in pairs if len(pair) == 2)
        return Counter(
            {name: count for name, count in names.items() if name not in getattr(self, "others", ())}
        )


class Sweep(Work):
    """`sweep`: the same command again submits what is missing, and no element runs twice."""

    title = "sweep"
    elements = 4

    def begin(self) -> None:
        super().begin()
        self.mark = os.urandom(4).hex()
        (self.laptop.code / "main.sh").write_text(f"echo element-$1 of {self.mark}\n")
        self.file = self.laptop.folder / "sweep.yaml"
        self.file.write_text(
            f"name: faults\nargs: ['{{n}}']\neach:\n  n: 0..{self.elements - 1}\nresources: {{time: '5'}}\n"
        )

    @property
    def words(self) -> Sequence[str]:
        return ["sweep", "--file", str(self.file), *site_options(self.laptop), "--no-push"]

    def check(self) -> None:
        begun = self.begun()
        assert all(count == 1 for count in begun.values()), begun
        self.laptop.run("status", "--json", "--count", "1000")

    def finished(self) -> None:
        self.laptop.quiet()
        expected = {f"element-{number}": 1 for number in range(self.elements)}
        assert self.begun() == expected, self.begun()
        known = set(self.laptop.runs())
        assert set(self.folders()) <= known, (self.folders(), known)

    def folders(self) -> list[str]:
        """The runs of this sweep's code that are there."""
        found = self.laptop.there(
            f"grep -rlE 'of {self.mark}' {RUNS}/*/task-*/attempt-*/log 2>/dev/null || true"
        )
        return sorted({Path(line).parts[len(Path(RUNS).parts)] for line in found.split()})

    def begun(self) -> Counter[str]:
        """How often each element has run."""
        lines = self.laptop.there(
            f"cat {RUNS}/*/task-*/attempt-*/log 2>/dev/null | grep -F 'of {self.mark}' || true"
        )
        return Counter(line.split()[0] for line in lines.splitlines())


class Monitor(Sweep):
    """`monitor`: what failed is submitted again, and no try of an element runs twice."""

    title = "monitor"
    failures = 2

    def begin(self) -> None:
        super().begin()
        (self.laptop.code / "main.sh").write_text(
            "n=$(cat /previous/count 2>/dev/null || echo 0); echo $((n + 1)) >/out/count\n"
            f'echo "element-$1-try-$n of {self.mark}"\n'
            f'[ "$n" -ge {self.failures} ] || {{ echo "x: Input/output error"; exit 1; }}\n'
        )
        self.laptop.run(*super().words)

    @property
    def words(self) -> Sequence[str]:
        return ["monitor", "--interval", "1", "--most-tries", str(self.failures + 1)]

    def finished(self) -> None:
        self.laptop.quiet()
        tries = [(number, n) for number in range(self.elements) for n in range(self.failures + 1)]
        assert self.begun() == {f"element-{number}-try-{n}": 1 for number, n in tries}, self.begun()
        known = set(self.laptop.runs())
        assert set(self.folders()) <= known, (self.folders(), known)


class WithRun(Work):
    """Of a run that is over, whose folder a script has made."""

    script = ""

    def begin(self) -> None:
        super().begin()
        run_id = f"f{os.urandom(3).hex()}-cpu-20260131-142530"
        folder = f"{RUNS}/{run_id}"
        out = f"{folder}/attempt-1/out"
        begin = f"mkdir -p {out} && cd {folder} && touch job.sh && echo '{OK}' >attempt-1/result.json"
        self.laptop.there(f"{begin} && cd {out} && {self.script}")
        status = Status(state=State.COMPLETED, reason="ok")
        self.run = replace(self.model, run_id=run_id, run_dir=folder, status=status, kept=None)
        self.laptop.store.save(self.run)
        self.expected = hashes(self.laptop, out)

    @property
    def model(self) -> Run:
        """A run of which others are made."""
        found = [run for run in self.laptop.runs().values() if run.job_id and "model" in run.args]
        if not found:
            self.laptop.run("job", *site_options(self.laptop), *small_resources(), "--no-push", "--", "model")
            return self.model
        return found[0]


OK = '{"version": 1, "exit_code": 0, "signal": null, "reason": "ok", "start": 1, "end": 2, "node": "node1"}'


class Pull(WithRun):
    """`pull`: a file that is home under its own name is whole."""

    title = "pull"
    rate_bytes_s = 10e6
    script = (
        "for n in $(seq 80); do head -c 10000 /dev/urandom >file$n; done; "
        "head -c 3000000 /dev/urandom >large; mkdir deep; echo x >deep/file"
    )

    @property
    def words(self) -> Sequence[str]:
        return ["pull", "--run", self.run.run_id]

    def check(self) -> None:
        home = content(self.home)
        # What is under a hidden name, or in a hidden folder, is not what it will be called.
        named = {
            name: digest for name, digest in home.items() if not name.startswith(".") and "/." not in name
        }
        assert named.items() <= self.expected.items(), named.items() - self.expected.items()
        mark = read_home(self.laptop.results, self.run)
        assert mark is None or not mark.is_complete or home == self.expected

    def finished(self) -> None:
        assert content(self.home) == self.expected
        mark = read_home(self.laptop.results, self.run)
        assert mark is not None
        assert mark.is_complete

    @property
    def home(self) -> Path:
        return self.laptop.results / self.run.run_id / "attempt-1" / "out"


class Keep(WithRun):
    """`keep`: what is kept under its own name is whole, and what it is a copy of stays."""

    title = "keep"
    script = "for n in $(seq 40); do seq $n 2000 >file$n; done; head -c 150M /dev/zero >large"

    @property
    def words(self) -> Sequence[str]:
        return ["keep", "--run", self.run.run_id]

    def check(self) -> None:
        kept = hashes(self.laptop, f"{KEPT}/runs/{self.run.run_id}/attempt-1/out")
        assert kept in ({}, self.expected)
        assert hashes(self.laptop, f"{self.run.run_dir}/attempt-1/out") == self.expected

    def finished(self) -> None:
        assert hashes(self.laptop, f"{KEPT}/runs/{self.run.run_id}/attempt-1/out") == self.expected
        self.laptop.there(f'test -z "$(ls -A {KEPT}/.part)" && rm -r {KEPT}/runs {self.run.run_dir}')


class Login(Work):
    """`login`: there is no more than one process that keeps it, and none without a login."""

    title = "login"

    def begin(self) -> None:
        super().begin()
        self.laptop.run("logout", "box")

    @property
    def words(self) -> Sequence[str]:
        return ["login", "box"]

    def check(self) -> None:
        # One that was about to log in for a command that is gone ends by itself.
        wait_until(lambda: len(self.laptop.keepers()) <= 1, lambda: str(self.laptop.keepers()))
        listed = json.loads(self.laptop.run("login", "--json").stdout)
        assert len(listed) <= 1

    def finished(self) -> None:
        assert len(json.loads(self.laptop.run("login", "--json").stdout)) == 1
        self.laptop.run("logout", "box")
        wait_until(lambda: not self.laptop.keepers(), lambda: str(self.laptop.keepers()))


def each(*kinds: type[Work], short: Sequence[type[Work]] = ()) -> pytest.MarkDecorator:
    """A test for each; all but the ``short`` ones only with ``--long``."""
    return pytest.mark.parametrize(
        "kind",
        [pytest.param(one, id=one.title, marks=() if one in short else pytest.mark.long) for one in kinds],
    )


def content(folder: Path) -> Files:
    """The hashes of all files of a folder here."""
    if not folder.is_dir():
        return {}
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def hashes(laptop: Laptop, folder: str) -> Files:
    """The same of a folder on the box; nothing where it is not there."""
    listed = laptop.there(
        f"cd {folder} 2>/dev/null || exit 0; find . -type f -exec sha256sum {{}} + | sort -k2"
    )
    rows = (line.split("  ", 1) for line in listed.splitlines())
    return {name.removeprefix("./"): digest for digest, name in rows}
