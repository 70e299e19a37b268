"""Several sequences in one task: each in a folder of its own, and a table of all at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from slam.dataset.catalog import Staged
from slam.errors import SeveralError, SlamError
from slam.evaluate import table
from slam.evaluate.table import Row
from slam.output import results
from slam.progress import say

Work = Callable[[Staged, Path], object]
# Does the work for some sequences, in any order, and yields each with its error once it is done. It is told
# how many there are in all.
Each = Callable[[Sequence[Staged], int], Iterator[tuple[Staged, SlamError | None]]]
# What the table shows, and where in a sequence's files it stands: file, then keys.
COLUMNS = {
    "frames": ("summary.json", "frames"),
    "placed": ("summary.json", "frames_registered"),
    "seconds": ("summary.json", "seconds"),
    "pairs": ("ate.json", "pairs"),
    "ate_rmse": ("ate.json", "rmse"),
    "ate_median": ("ate.json", "median"),
    "ate_max": ("ate.json", "max"),
    "ape_rot_rmse_deg": ("ate.json", "rotation_deg", "rmse"),
    "scale": ("ate.json", "scale"),
    "alignment": ("ate.json", "alignment"),
    "rpe_trans_rmse": ("rpe.json", "translation", "rmse"),
    "rpe_rot_rmse_deg": ("rpe.json", "rotation_deg", "rmse"),
}
MEANS = ("ate_rmse", "ape_rot_rmse_deg", "rpe_trans_rmse", "rpe_rot_rmse_deg")


def run_each(
    staged: Sequence[Staged], out: Path, work: Work, previous: Path | None = None, each: Each | None = None
) -> tuple[list[Row], list[SlamError]]:
    """Do the work for each sequence, in a folder of ``out`` with its name; one that fails stops no other.

    What the last attempt has finished, by the table in ``previous``, is not done again: it is copied, so that
    ``out`` is whole. ``each`` does all of them, in the place of ``work``, which does one after the other.

    Returns a row for each sequence, and the errors of those that failed.

    Raises:
        OutputError: ``out`` cannot be written to.
    """
    results.prepare_folder(out, table.NAMES)
    done = _carry([one.name for one in staged], previous, out) if previous else {}
    for one in [one for one in staged if one.name in done]:
        say(f"[{staged.index(one) + 1}/{len(staged)}] {one.name}: the last attempt has done it")
    errors: list[SlamError] = []
    waiting = [one for one in staged if one.name not in done]
    for one, error in each(waiting, len(staged)) if each else _one_by_one(waiting, staged, out, work):
        if error is not None:
            say(f"failed     {one.name}: {error}")
            errors.append(error)
        row = {} if error else read_row(out / one.name)
        done[one.name] = {"sequence": one.name, **row, "result": str(error) if error else "ok"}
        # A job may be stopped at its time limit; what it has done until then should not be lost.
        table.write_table(out, _in_order(staged, done))
    return _in_order(staged, done), errors


def _one_by_one(
    waiting: Sequence[Staged], staged: Sequence[Staged], out: Path, work: Work
) -> Iterator[tuple[Staged, SlamError | None]]:
    for one in waiting:
        say(f"[{staged.index(one) + 1}/{len(staged)}] {one.name}")
        yield one, try_one(one, out / one.name, work)


def _in_order(staged: Sequence[Staged], done: Mapping[str, Row]) -> list[Row]:
    return [done[one.name] for one in staged if one.name in done]


def _carry(names: Sequence[str], previous: Path, out: Path) -> dict[str, Row]:
    """Copy what another attempt has finished; a row for each of that."""
    try:
        recorded = _read(previous / table.JSON).get("rows")
    except (ValueError, AttributeError):
        recorded = None
    rows = [row for row in recorded if isinstance(row, dict)] if isinstance(recorded, list) else []
    ended_well = {row.get("sequence") for row in rows if row.get("result") == "ok"}
    done: dict[str, Row] = {}
    for name in names:
        if name in ended_well and (previous / name).is_dir():
            results.carry(previous / name, out / name)
            done[name] = {"sequence": name, **read_row(out / name), "result": "ok"}
            table.write_table(out, list(done.values()))
    return done


def try_one(one: Staged, folder: Path, work: Work) -> SlamError | None:
    """Do the work for one sequence; returns why it failed, where it did."""
    try:
        work(one, folder)
    except SlamError as error:
        return error
    except OSError as error:
        return SlamError(f"{error.filename or folder}: {error.strerror or error}")
    return None


def finish(rows: Sequence[Row], errors: Sequence[SlamError], out: Path) -> None:
    """Write and print the table.

    Raises:
        SeveralError: a sequence failed; its exit code is theirs where all have the same.
    """
    table.write_table(out, rows)
    say("result")
    # What went wrong is long, and has been said.
    shown = [{**row, "result": _in_a_word(str(row.get("result")))} for row in rows]
    table.say_table([*shown, *_mean(rows)])
    say(f"files      {out}")
    _raise_failures(rows, errors, out)


def _in_a_word(result: str) -> str:
    return result if result in ("ok", "missing") else "failed"


def _raise_failures(rows: Sequence[Row], errors: Sequence[SlamError], out: Path) -> None:
    """Tell in one line which sequences failed.

    Raises:
        SeveralError: there is one.
    """
    failed = [str(row["sequence"]) for row in rows if row.get("result") != "ok"]
    if not failed:
        return
    codes = {error.exit_code for error in errors}
    raise SeveralError(
        f"{len(failed)} of {len(rows)} sequences failed or are missing: {', '.join(failed)}; why stands "
        f"above and in {out / table.CSV}, and the others' results are in {out}",
        exit_code=codes.pop() if len(codes) == 1 else SlamError.exit_code,
    )


def read_row(folder: Path) -> dict[str, object]:
    """What a sequence's own files say of it, as far as they are there."""
    row: dict[str, object] = {}
    for name, (file, *keys) in COLUMNS.items():
        value: object = _read(folder / file)
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            row[name] = value
    return row


def _read(path: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return values


def _mean(rows: Sequence[Row]) -> list[Row]:
    """The mean errors of the sequences that have one, where these are several."""
    means: dict[str, object] = {}
    count = 0
    for name in MEANS:
        values = [value for row in rows if isinstance(value := row.get(name), float)]
        if len(values) > 1:
            means[name] = sum(values) / len(values)
            count = len(values)
    return [{"sequence": f"mean of {count}", **means}] if means else []
