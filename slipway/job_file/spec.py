"""A job's file: its keys, and the arguments that they make."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError, field_validator

from slipway.errors import ConfigError, UsageError
from slipway.model import WrongValueError, field_names
from slipway.resources import Resources
from slipway.scheduler.choose import FIELDS, read_resources
from slipway.sweep.placeholder import fill, find_names
from slipway.text.nearest import nearest
from slipway.tilde import expand
from slipway.validation import explain
from slipway.yaml_file import read_keys

# What of a job's file names data; args have the path of each in the container as {images} and so on.
INPUTS = ("images", "calibration", "groundtruth", "weights")
PAGE = "docs/howto/from-a-file.md"
_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]*[A-Za-z0-9_-])*")
# How the program that comes with Slipway calls weights.
_WEIGHTS = {"infer": "--weights", "train": "--ckpt"}


class Images(BaseModel):
    """The images: a folder, a video or a bag of this machine, or a dataset that is staged already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = None
    dataset: str | None = None


class JobFile(BaseModel):
    """One job. All values are text, exactly as it was written; paths are relative to the file.

    Attributes:
        profile: what to run; the command line's goes before, as for all that both can say.
        site: where.
        name: a short label.
        resources: what the job asks for, as options of ``invoke job``.
        task: of the program that comes with Slipway, which is told by it where its data are.
        images: what is looked at.
        calibration: a file about the camera.
        groundtruth: a file of true poses.
        weights: a file of weights, or the name of staged ones.
        args: more of the program's arguments.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str | None = None
    site: str | None = None
    name: str | None = None
    resources: dict[str, str | tuple[str, ...]] = {}
    task: Literal["infer", "train", "evaluate", "check"] | None = None
    images: Images | None = None
    calibration: str | None = None
    groundtruth: str | None = None
    weights: str | None = None
    args: tuple[str, ...] = ()
    _file: Path = PrivateAttr(default=Path())

    @field_validator("images", mode="before")
    @classmethod
    def _images(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"path": value}
        if not isinstance(value, Mapping) or set(value) != {"dataset"}:
            raise ValueError("write a folder, a video, or {dataset: NAME} for one that is staged already")
        if not _DATASET.fullmatch(str(value["dataset"])):
            raise ValueError("write the name that it was staged by, such as {dataset: tum}")
        return value

    @property
    def file(self) -> Path:
        """The file that this was read from."""
        return self._file

    @property
    def wanted(self) -> Resources:
        """What the file asks for.

        Raises:
            ConfigError: an option is unknown, or has a value of the wrong kind.
        """
        options = self.resources.get("sbatch", ())
        words = {key.replace("-", "_"): value for key, value in self.resources.items() if key != "sbatch"}
        for key, value in words.items():
            if key not in field_names(FIELDS):
                known = field_names(FIELDS)
                raise ConfigError(
                    f"{self.file}: resources.{key} is no option of a job{nearest(key, known)}; there are: "
                    + ", ".join(known)
                )
            if not isinstance(value, str):
                raise ConfigError(f"{self.file}: resources.{key}: write one value, and no list")
        if isinstance(options, str):
            raise ConfigError(f"{self.file}: resources.sbatch: write a list, such as [--comment=mine]")
        try:
            return read_resources({key: str(value) for key, value in words.items()}, options)
        except WrongValueError as error:
            problem = error.problem
            key = ".".join(map(str, problem["loc"]))
            raise ConfigError(
                f"{self.file}: resources.{key}: {explain(problem)}; it is {problem['input']!r:.200}"
            ) from error

    def origins(self, before: Resources) -> dict[str, str]:
        """Where resources are asked for that ``before``, which goes before these, leaves open."""
        mine = self.wanted.model_dump(exclude_none=True).keys()
        return {
            key: f"resources.{key} in {self.file}"
            for key in mine
            if not isinstance(getattr(self.wanted, key), tuple) and getattr(before, key, None) is None
        }

    def place(self, word: str) -> Path:
        """A path of this file's, whole."""
        return self.file.parent / expand(word)

    def with_task(self, task: str) -> JobFile:
        """The same for a task that the command line names.

        Raises:
            UsageError: the file names another one.
        """
        if self.task not in (None, task):
            raise UsageError(
                f"{self.file} has task: {self.task}, which contradicts `invoke {task}`; "
                f"`invoke job --config {self.file}` does what the file says"
            )
        return self.model_copy(update={"task": task})

    def check(self) -> None:
        """Refuse what contradicts itself, before anything is looked at.

        Raises:
            ConfigError: it does.
        """
        used = {name for word in self.args for name in find_names(word)}
        given = {key for key in INPUTS if getattr(self, key) is not None}
        for name in sorted(used - given):
            if name in INPUTS:
                raise ConfigError(f"{self.file}: args have {{{name}}}, and there is no key {name}")
            raise ConfigError(
                f"{self.file}: args have {{{name}}}{nearest(name, INPUTS)}, which is none of "
                f"{', '.join(INPUTS)}; where the program wants it so, write {{{{{name}}}}}"
            )
        if self.task is None:
            self._check_named(given - used)
        else:
            self._check_task(given, used)

    def _check_named(self, unnamed: Collection[str]) -> None:
        for key in (key for key in INPUTS if key in unnamed):
            raise ConfigError(
                f"{self.file}: no argument says where the program finds {key}; write {{{key}}} in args where "
                f"it takes that, such as `--{key}={{{key}}}`, or name a task of the program that comes with "
                "Slipway, such as `task: infer`"
            )

    def _check_task(self, given: Collection[str], used: Collection[str]) -> None:
        if self.task not in _WEIGHTS and "weights" in given and "weights" not in used:
            raise ConfigError(f"{self.file}: weights: task: {self.task} takes none; leave the key out")
        for key in ("calibration", "groundtruth"):
            if key in given and key not in used and (self.images is None or self.images.path is None):
                raise ConfigError(
                    f"{self.file}: {key}: it goes beside images of this machine, and there are none; put it "
                    "into the folder of the dataset, and stage that again"
                )

    def arguments(self, paths: Mapping[str, str], dataset: str | None) -> tuple[str, ...]:
        """The program's arguments.

        Args:
            paths: where the container has each of the inputs.
            dataset: what ``--dataset`` is to name.
        """
        used = {name for word in self.args for name in find_names(word)}
        head = []
        if self.task is not None:
            head += ["--task", self.task]
            if dataset is not None and "images" not in used:
                head += ["--dataset", dataset]
            if "weights" in paths and "weights" not in used:
                head += [_WEIGHTS[self.task], paths["weights"]]
        return (*head, *(fill(word, paths) for word in self.args))


def load_job_file(file: Path) -> JobFile:
    """Read a job's file.

    Raises:
        UsageError: there is no such file.
        ConfigError: it is not YAML, or a key is unknown, of the wrong kind, or contradicts another.
    """
    content = read_keys(
        file,
        f"expected keys such as images and args; {PAGE} explains them",
        missing=f"--config {file}: there is no such file; {PAGE} shows one",
        as_text=True,
    )
    for key, value in content.items():
        if value == "":
            raise ConfigError(f"{file}: {key} is empty; write a value, or leave it out")
    try:
        spec = JobFile.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{file}: {_problem(error.errors()[0])}") from error
    spec._file = file
    _ = spec.wanted
    return spec


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        known = list(JobFile.model_fields)
        return f"{key} is not a key here{nearest(key, known)}; there are: {', '.join(known)}"
    return f"{key}: {explain(error)}; it is {error['input']!r:.200}"
