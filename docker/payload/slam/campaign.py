"""What is asked of several sequences or runs: from the command line to the work on each of them."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from slam.arguments import alignment_of, changed_options, comparison_of, drawing_of, step_of
from slam.batch import finish, run_each
from slam.dataset.bag import find_bag
from slam.dataset.catalog import Staged, find_sequences, match
from slam.dataset.layout import groundtruth_of
from slam.engine.droid.options import find_changes
from slam.errors import InputError, SlamError, UsageError
from slam.evaluate import benchmark
from slam.evaluate.table import Row
from slam.output import results
from slam.spread import Movable, is_asked, spread
from slam.task.evaluate import Compared
from slam.task.evaluate import evaluate as compare_files
from slam.task.runs import draw_together


class Infer(Movable, Protocol):
    """Infers one sequence: called with its folder and the folder for its results."""


def infer(arguments: argparse.Namespace, work: Infer) -> None:
    """Call ``work`` with the folder of each sequence that is asked for, and the folder for its results.

    One that was named, or a dataset that is one itself, has its results in ``--out``; several have them in
    folders of their names there.

    Raises:
        SlamError: what ``work`` raises for one, or that some of several failed.
    """
    staged = find_sequences(arguments.data_root, arguments.dataset, tuple(arguments.sequence or ()))
    is_itself = staged[0].folder == arguments.data_root / arguments.dataset
    if len(staged) == 1 and (arguments.sequence or is_itself):
        work(staged[0].folder, arguments.out)
        return
    previous = find_previous(arguments.out, os.environ)
    rows, errors = _infer_each(arguments, staged, work, previous)
    finish(rows, errors, arguments.out)


def _infer_each(
    arguments: argparse.Namespace, staged: Sequence[Staged], work: Infer, previous: Path | None
) -> tuple[list[Row], list[SlamError]]:
    """Infer several sequences: here, or on the workers of a Dask cluster where there is one."""
    out = arguments.out

    def each(waiting: Sequence[Staged], count: int) -> Iterator[tuple[Staged, SlamError | None]]:
        return spread(waiting, out, work, arguments.data_root, count)

    return run_each(
        staged,
        out,
        lambda one, folder: work(one.folder, folder),
        previous,
        each if is_asked(os.environ) else None,
    )


def find_previous(out: Path, environment: Mapping[str, str]) -> Path | None:
    """Where a job's last attempt had its results in the place of ``out``; ``None`` where there was none."""
    previous, root = environment.get("SLIPWAY_PREVIOUS"), environment.get("SLIPWAY_OUT")
    if not previous or not root or not out.is_relative_to(root):
        return None
    return Path(previous) / out.relative_to(root)


def run_benchmark(arguments: argparse.Namespace, work: Infer) -> None:
    """Infer a benchmark's sequences, or take the ``--runs`` that did, and lay them beside its figures.

    Raises:
        UsageError: another alignment is asked for than the figures' own.
        SlamError: one failed or is missing; all others have been done, and the table is there.
    """
    if alignment_of(arguments) != "sim3":
        raise UsageError("a benchmark's published errors are after sim3; leave --align and --depth out")
    arguments.align = "sim3"
    # Without its errors a sequence is of no use here.
    arguments.require_groundtruth = True
    chosen = benchmark.BENCHMARKS[arguments.benchmark]
    if arguments.runs:
        staged = tuple(_name_by_sequence(chosen, run) for run in find_runs(arguments.runs))
    else:
        staged = find_sequences(
            arguments.data_root, arguments.dataset or chosen.dataset, tuple(arguments.sequence or ())
        )
    found, missing = benchmark.choose_sequences(chosen, staged)
    results.prepare_folder(arguments.out, (benchmark.JSON,))
    if arguments.runs:
        rows, errors = run_each(found, arguments.out, lambda one, out: evaluate_run(arguments, one, out))
    else:
        previous = find_previous(arguments.out, os.environ)
        rows, errors = _infer_each(arguments, found, work, previous)
    wanted = () if arguments.sequence else missing
    rows += [{"sequence": name, "result": "missing"} for name in wanted]
    errors += [InputError(f"{name} is not there") for name in wanted]
    folders = [one.folder if arguments.runs else arguments.out / one.name for one in found]
    changed = {option: None for folder in folders for option in _find_changes(chosen, folder)}
    benchmark.tell(chosen, rows, arguments.out, changed=tuple(changed))
    finish(rows, errors, arguments.out)


def _name_by_sequence(chosen: benchmark.Benchmark, run: Staged) -> Staged:
    """A run with the name of its sequence where its folder's name is none of the benchmark's."""
    summary = _read_summary(run.folder)
    sequence = summary.get("source") or summary.get("dataset")
    is_named = any(match(name, (run.name,)) for name in chosen.figures)
    return run if is_named or not isinstance(sequence, str) else replace(run, name=sequence)


def _find_changes(chosen: benchmark.Benchmark, folder: Path) -> tuple[str, ...]:
    """The options that make a run another one than the benchmark's, by its summary."""
    settings = _read_summary(folder).get("engine_settings")
    others = find_changes(chosen.settings, settings) if isinstance(settings, dict) else ()
    return (*changed_options(_recorded_arguments(folder)), *others)


def evaluate(arguments: argparse.Namespace) -> None:
    """Compare a trajectory file, one run or many with their ground truth.

    Raises:
        UsageError: nothing, or too much, is asked for.
        SlamError: a file is missing or not what it should be, or some of several failed.
    """
    if arguments.runs:
        runs = find_runs(arguments.runs)
        if len(runs) == 1:
            evaluate_run(arguments, runs[0], arguments.out)
            return
        _evaluate_runs(arguments, runs)
        return
    _evaluate_file(arguments)


def _evaluate_runs(arguments: argparse.Namespace, runs: tuple[Staged, ...]) -> None:
    compared: dict[str, Compared] = {}

    def compare(one: Staged, out: Path) -> None:
        compared[one.name] = evaluate_run(arguments, one, out)

    rows, errors = run_each(runs, arguments.out, compare)
    draw_together(compared, drawing_of(arguments), out=arguments.out)
    finish(rows, errors, arguments.out)


def _evaluate_file(arguments: argparse.Namespace) -> None:
    if arguments.estimate is None:
        raise UsageError("evaluate needs a trajectory; name one with --estimate, or runs with --runs")
    groundtruth = arguments.groundtruth
    if groundtruth is None and arguments.dataset is None:
        raise UsageError("evaluate needs a ground truth; name one with --groundtruth or --dataset")
    if groundtruth is None:
        names = tuple(arguments.sequence or ())
        staged = find_sequences(arguments.data_root, arguments.dataset, names)
        if len(staged) > 1:
            raise UsageError(
                f"--dataset {arguments.dataset} has {len(staged)} sequences, and one trajectory is of one; "
                "name it with --sequence"
            )
        groundtruth = _truth_in(staged[0].folder, arguments)
    _compare(arguments, arguments.estimate, groundtruth, arguments.out)


def evaluate_run(arguments: argparse.Namespace, run: Staged, out: Path) -> Compared:
    """Compare the trajectory in a run's output folder with its ground truth.

    That is the file that ``--groundtruth`` names, or that of the sequence that the run's own summary or its
    name names, in the dataset that ``--dataset`` or the summary names.

    Raises:
        InputError: the sequence or its ground truth is not there.
    """
    groundtruth = arguments.groundtruth or _find_groundtruth(arguments, run)
    recorded = _recorded_arguments(run.folder)
    return _compare(arguments, run.folder / results.TRAJECTORY, groundtruth, out, recorded)


def _compare(
    arguments: argparse.Namespace,
    estimate: Path,
    groundtruth: Path,
    out: Path,
    recorded: Mapping[str, object] | None = None,
) -> Compared:
    results.prepare_folder(out, results.COMPARED)
    return compare_files(
        estimate,
        groundtruth,
        comparison_of(arguments, recorded),
        step_of(arguments),
        drawing_of(arguments),
        out=out,
    )


def find_runs(folders: list[Path]) -> tuple[Staged, ...]:
    """The runs in some folders, each with the shortest end of its path that is no other's as its name.

    Raises:
        InputError: a folder is or holds no run.
    """
    found = tuple(dict.fromkeys(run for folder in folders for run in _runs_in(folder)))
    for length in range(1, 100):
        names = ["/".join(run.parts[-length:]).lstrip("/") for run in found]
        if len(set(names)) == len(names):
            break
    return tuple(Staged(name=name, folder=run) for name, run in zip(names, found, strict=True))


def _runs_in(folder: Path) -> list[Path]:
    folder = folder.resolve()
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of a run")
    if (folder / results.TRAJECTORY).is_file():
        return [folder]
    runs = sorted(path.parent for path in folder.glob(f"**/{results.TRAJECTORY}"))
    if not runs:
        raise InputError(
            f"{folder}: no {results.TRAJECTORY} in it or its folders; name folders that infer wrote"
        )
    return runs


def _find_groundtruth(arguments: argparse.Namespace, run: Staged) -> Path:
    source = _read_summary(run.folder).get("source")
    if arguments.dataset is None and isinstance(source, str) and (arguments.data_root / source).exists():
        return _truth_in(arguments.data_root / source, arguments)
    dataset = arguments.dataset or _recorded_arguments(run.folder).get("dataset")
    if not isinstance(dataset, str):
        raise InputError(
            f"{run.folder}: which dataset it is a run of is not known; name it with --dataset, or its ground "
            "truth with --groundtruth"
        )
    staged = find_sequences(arguments.data_root, dataset)
    folder = next(_sequences_of(run, staged), None)
    if folder is None:
        raise InputError(
            f"{run.folder}: none of the {len(staged)} sequences of {dataset} in {arguments.data_root} has "
            "its name, or several have; name its ground truth with --groundtruth"
        )
    return _truth_in(folder, arguments)


def _truth_in(folder: Path, arguments: argparse.Namespace) -> Path:
    """The ground truth of a sequence: a bag itself, where a topic is named."""
    bag = find_bag(folder) if arguments.groundtruth_topic else None
    return bag or groundtruth_of(folder)


def _sequences_of(run: Staged, staged: tuple[Staged, ...]) -> Iterator[Path]:
    """The sequences that a run may be of, the likeliest first."""
    if len(staged) == 1:
        yield staged[0].folder
    names = tuple(one.name for one in staged)
    summary = _read_summary(run.folder)
    within = str(Path(*Path(str(summary.get("source", ""))).parts[1:]))
    for word in (within, run.name, str(summary.get("dataset")), run.folder.name):
        fitting = match(word, names)
        if len(fitting) == 1:
            yield next(one.folder for one in staged if one.name == fitting[0])


def _read_summary(folder: Path) -> dict[str, object]:
    try:
        summary = json.loads((folder / results.SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def _recorded_arguments(folder: Path) -> dict[str, object]:
    """The command line that a run says it had."""
    recorded = _read_summary(folder).get("arguments")
    return recorded if isinstance(recorded, dict) else {}
