"""Known datasets: fetched here or by a cluster, looked at, listed and removed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slipway.dataset.catalog import FILE, Dataset, find_dataset, load_catalog
from slipway.dataset.choice import choose_sequences
from slipway.dataset.fetch import Fetched, explain_disk, fetch
from slipway.dataset.fetch_there import FetchThere
from slipway.dataset.fetched import notes_file, read_notes
from slipway.dataset.packed import use_folder
from slipway.dataset.packing import dataset_of
from slipway.errors import DataError, HostError, ImageError, UsageError
from slipway.image.engine import container_user, engine, run_container
from slipway.job.input import named_datasets
from slipway.job.request import Request
from slipway.job.run import LOCAL
from slipway.job.selection import Selection
from slipway.keep.decision import Criteria, Decision
from slipway.keep.here import data_here
from slipway.keep.survey import Item, survey_data
from slipway.profile import Profile
from slipway.progress import explain_stop
from slipway.project import Project
from slipway.resources import Resources
from slipway.site import Site
from slipway.steps import prune as pruning
from slipway.steps.container import find_built
from slipway.steps.data import make_data, remember
from slipway.steps.local_runs import sweep
from slipway.steps.session import Choice, Session
from slipway.steps.submit import make_request
from slipway.text.nearest import nearest
from slipway.tilde import expand

CHECK = ("python3", "-m", "slam", "--task", "check")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_PROGRAM = "No module named"
_GOES_ON = "what has arrived is kept; the same command goes on where this one was"


def known_datasets(project: Project) -> dict[str, Dataset]:
    """The datasets of the project's ``cluster/datasets.yaml``, and those that come with Slipway.

    Raises:
        ConfigError: a file is not what it should be.
    """
    return load_catalog([folder / FILE for folder in project.sites])


def data_root(session: Session, profile: Profile, to: Path | None = None) -> Path:
    """The folder of data on this machine: what programs here see as ``/data``, unless another is named."""
    return to or profile.data_dir or session.project.root / "data"


@explain_stop(_GOES_ON)
def fetch_here(
    session: Session, profile: Profile, name: str, words: Sequence[str], to: Path | None = None
) -> tuple[Dataset, Path, Fetched]:
    """Fetch sequences of a dataset to this machine; one that is made is made by the profile's image.

    Args:
        session: the checkout's.
        profile: whose ``/data`` it is to be in.
        name: the dataset's.
        words: what its sequences are called; the usual ones without any.
        to: the folder of data, in the place of the profile's.

    Returns:
        The dataset, the folder that it is in, and what came of it.

    Raises:
        UsageError: no dataset, or no sequence, is known by that name.
        SpaceError: the disk is full.
    """
    dataset = find_dataset(known_datasets(session.project), name)
    names = choose_sequences(dataset, words)
    root = data_root(session, profile, to)
    _make_root(root, is_own=to is None and profile.data_dir is None)
    waiting = f"Waiting for another fetch of {name}"
    with session.lock(f"fetch-{name}", waiting):
        if dataset.program:
            return dataset, root / name, _make(session, profile, dataset, root)
        if not names:
            raise DataError(
                f"{dataset.file} names no sequences of {name}, so there is nothing to fetch"
                + (f"; by hand: {dataset.source}" if dataset.source else "")
            )
        return dataset, root / name, fetch(root, dataset, names, session.progress)


def _make_root(root: Path, *, is_own: bool) -> None:
    if root.is_dir():
        return
    try:
        root.mkdir(parents=True)
        if is_own:
            # It lies in a repository, and is none of its code.
            (root / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise explain_disk(error, root) from error


def _make(session: Session, profile: Profile, dataset: Dataset, root: Path) -> Fetched:
    target, part = root / dataset.name, root / f".{dataset.name}.fetch" / dataset.name
    if target.exists():
        return Fetched(there=[dataset.name])
    session.progress.step(f"Making {dataset.name}")
    try:
        shutil.rmtree(part.parent, ignore_errors=True)
        make_data(profile, dataset.program, part)
        part.rename(target)
        part.parent.rmdir()
    except OSError as error:
        raise explain_disk(error, root) from error
    return Fetched(new=[dataset.name])


@explain_stop(_GOES_ON)
def fetch_at(session: Session, site: Site, name: str, words: Sequence[str]) -> tuple[Dataset, Fetched]:
    """Have a site's login node fetch sequences of a dataset to its scratch, as if they were staged.

    Raises:
        UsageError: no dataset, or no sequence, is known by that name.
        DataError: it is not fetched, but made.
        RemoteError: the login node reaches no server, or cannot write there.
        RemoteSpaceError: there is no room there.
    """
    dataset = find_dataset(known_datasets(session.project), name)
    names = choose_sequences(dataset, words)
    by_hand = (
        f"Fetch it on this machine, `invoke data.fetch {name}`, and send it: `invoke stage data/{name} "
        f"--site {site.name}`"
    )
    if not names or dataset.program:
        raise DataError(f"{name} is not fetched from anywhere. {by_hand}")
    script = (session.project.share / "cluster" / "fetch.sh").read_text(encoding="utf-8")
    with (
        session.lock(f"stage-{site.name}-{name}", f"Waiting for another stage of {name} to {site.name}"),
        session.open_scratch(site) as (host, scratch),
    ):
        fetched = FetchThere(
            host=host,
            scratch=scratch,
            script=script,
            dataset=dataset,
            progress=session.progress,
            by_hand=by_hand,
        ).run(names)
        if fetched.new and use_folder(host, scratch, name):
            session.progress.note(f"{name} was packed until now; jobs from now on see the folder")
    if fetched.new or fetched.there:
        remember(session.project, site, name)
    return dataset, fetched


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Datasets by their names: what is known of them, and what is here and at a site.

    Attributes:
        known: those that can be fetched.
        root: the folder of data here.
        here: what is in it.
        fetched: the sequences that were fetched to it, by datasets.
        there: what is in the site's scratch; ``None`` where nobody has asked.
        packed: versions of it there that are one file, the newest first.
    """

    known: Mapping[str, Dataset]
    root: Path
    here: Mapping[str, Item]
    fetched: Mapping[str, Sequence[str]]
    there: Mapping[str, Item] | None
    packed: Mapping[str, Sequence[Item]] = field(default_factory=dict)


def list_data(session: Session, root: Path, site: Site | None = None) -> Listing:
    """Look for datasets here, and in a site's scratch.

    Raises:
        RemoteError: the site's scratch cannot be looked through.
    """
    known = known_datasets(session.project)
    here = {item.name: item for item in data_here(root)}
    there: dict[str, Item] | None = None
    packed: dict[str, list[Item]] = {}
    if site is not None:
        with session.open_scratch(site, make=False) as (host, scratch):
            host.require_commands()
            session.progress.step(f"Looking through {scratch.data}")
            found = survey_data(host, scratch, session.progress)
        there = {item.name: item for item in found if item.kind == "data"}
        for item in sorted(found, key=lambda one: one.arrived_s, reverse=True):
            if item.kind == "packed" and (name := dataset_of(item.name)):
                packed.setdefault(name, []).append(item)
    fetched = {name: tuple(read_notes(notes_file(root, name))) for name in here}
    return Listing(known=known, root=root, here=here, fetched=fetched, there=there, packed=packed)


def find_data(root: Path, word: str) -> Path:
    """A dataset on this machine: a path, or a name in the folder of data.

    Raises:
        UsageError: there is none.
    """
    named = root / word
    for path in (named, expand(word)) if _NAME.fullmatch(word) else (expand(word),):
        if path.exists():
            return path.resolve()
    there = [item.name for item in data_here(root)]
    raise UsageError(
        f"there is no dataset {word!r} in {root}{nearest(word, there)}, and no such path; `invoke data.list` "
        "shows what is here"
    )


def check_here(profile: Profile, path: Path, sequences: Sequence[str], on_text: Callable[[str], None]) -> int:
    """Look at a dataset with the program of the profile's image, which knows all layouts; its exit code.

    Raises:
        ImageError: there is no such image, or that program is not in it.
        EngineError: there is no engine.
    """
    return run_program(profile, path, check_arguments(path.name, sequences, with_program=True), on_text)


def run_program(profile: Profile, path: Path, program: Sequence[str], on_text: Callable[[str], None]) -> int:
    """Run the program that knows datasets in the profile's image, with one of them; its exit code.

    Raises:
        ImageError: there is no such image, or that program is not in it.
        EngineError: there is no engine.
    """
    client = engine()
    image = find_built(client, profile)
    said: list[str] = []

    def listen(text: str) -> None:
        said.append(text)
        on_text(text)

    code = run_container(
        client,
        image,
        program,
        mounts={path: f"/data/{path.name}"},
        user=container_user(client),
        listen=listen,
        writable=False,
    )
    if code and _NO_PROGRAM in "".join(said[-3:]):
        raise ImageError(
            f"the image {profile.image} has no program that knows datasets, or an older one; name a profile "
            "that has, such as --profile cpu, and build it"
        )
    return code


def check_arguments(name: str, sequences: Sequence[str], *, with_program: bool = False) -> tuple[str, ...]:
    """What the program is given to look at a dataset."""
    options = [word for one in sequences for word in ("--sequence", one)]
    return (*(CHECK if with_program else CHECK[3:]), "--dataset", name, *options)


def check_request(choice: Choice, name: str, sequences: Sequence[str], resources: Resources) -> Request:
    """A job that looks at a staged dataset."""
    profile = choice.profile.model_copy(update={"program": CHECK[:3]})
    chosen = Choice(profile=profile, site=choice.site)
    return make_request(chosen, check_arguments(name, sequences), resources, name=f"check-{name}")


def remove_here(session: Session, root: Path, name: str, confirm: Callable[[Decision], bool]) -> Item | None:
    """Remove a dataset from this machine; ``None`` where it is not to be.

    Raises:
        UsageError: it is not here.
        DataError: a run on this machine may read it.
        HostError: not all of it could be removed.
    """
    there = {item.name: item for item in data_here(root)}
    if name not in there:
        raise UsageError(f"there is no dataset {name!r} in {root}{nearest(name, there)}")
    sweep(session)
    for entry in session.store.select(Selection(site=LOCAL, over=False)):
        named = set(named_datasets([*entry.program, *entry.args]))
        if name in named or not named:
            raise DataError(f"{root / name} stays: the run {entry.run_id} here may read it; end it first")
    if not confirm(Decision(remove=[there[name]])):
        return None
    path = root / name
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise HostError(f"not all of {path} could be removed; whose are the files in it?")
    shutil.rmtree(root / f".{name}.fetch", ignore_errors=True)
    notes_file(root, name).unlink(missing_ok=True)
    return there[name]


def remove_at(session: Session, site: Site, name: str, confirm: Callable[[Decision], bool]) -> Sequence[Item]:
    """Remove a dataset from a site's scratch, with all packed versions; says what is gone.

    See :func:`slipway.steps.prune.prune`.

    Raises:
        UsageError: it is not there.
        DataError: a job that waits or runs may read it.
        RemoteError: SLURM could not be asked; nothing was removed.
    """

    def ask(costs: pruning.Costs, decision: Decision) -> bool:
        for why, items in decision.stay.items():
            raise DataError(f"{items[0].path} at {site.name} stays: it {why}")
        return confirm(decision)

    criteria = Criteria(kinds=frozenset({"data", "packed"}), data=frozenset({name}))
    done = pruning.prune(session, site, criteria, ask)
    for item, why in done.kept:
        raise DataError(f"{item.path} at {site.name} stays after all: it {why}")
    done.check()
    if done.gone:
        (session.project.staged / site.name / name).unlink(missing_ok=True)
    return done.gone
