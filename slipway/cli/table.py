"""The task that makes tables of a sweep's figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import open_session
from slipway.tilde import expand

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.job.figure import Figure
    from slipway.report.metric_table import Measured, MetricTable
    from slipway.steps.session import Session
    from slipway.sweep.record import Sweep
    from slipway.terminal.terminal import Terminal


@task(
    help={
        "sweep": "A sweep's id or name, or the beginning of either; several, each has its own rows. "
        "Default: the newest.",
        "metric": "A figure of the results' JSON files: ate.rmse, or FILE:KEY.KEY. May be repeated. Default: "
        "show which there are.",
        "by": "A row for each value of this parameter; several with commas, or repeated. Default: one row.",
        "reference": "Lay figures beside those that were published for this dataset, such as tum. Default: "
        "the datasets that the arguments name.",
        "pull": "Ask how the elements stand, and bring the JSON files of those that are done.",
        "csv": "As CSV.",
        "json": "As JSON.",
        "markdown": "As Markdown.",
        "latex": "As LaTeX.",
        "picture": "Also draw it: a file that ends in .svg.",
        "mlflow": "Also export all figures, or those of --metric, to this MLflow server, a run an element. "
        "Alone: to the one that MLFLOW_TRACKING_URI names, else to ./mlflow.db.",
        "tensorboard": "Also export them for TensorBoard to this folder, with a folder an element.",
    },
    iterable=["sweep", "metric", "by"],
    optional=["mlflow"],
    auto_shortflags=False,
)
def table(
    context: Context,
    sweep: list[str] | None = None,
    metric: list[str] | None = None,
    by: list[str] | None = None,
    reference: str | None = None,
    pull: bool = False,
    csv: bool = False,
    json: bool = False,
    markdown: bool = False,
    latex: bool = False,
    picture: str | None = None,
    mlflow: str | None = None,
    tensorboard: str | None = None,
) -> None:
    """Show figures of a sweep, mean and spread: invoke table --sweep S --metric ate.rmse --by sequence.

    They are read from results that are home. Who has failed is counted and named.
    """
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.job.figure import choose_figure, parse_files
        from slipway.report.metric_table import check_parameters, known_figures, metric_table, published
        from slipway.steps.find import find_sweep
        from slipway.steps.table import bring_numbers, find_datasets

        form = _form(csv=csv, json=json, markdown=markdown, latex=latex)
        if picture is not None and not (metric and picture.lower().endswith(".svg")):
            raise UsageError(
                f"--picture {picture[:100]}: write a file that ends in .svg, and --metric with it"
            )
        names = [name for words in by or () for name in words.split(",") if name]
        files = parse_files(metric or ())
        words: list[str | None] = [*(sweep or ())] or [None]
        sweeps = [*{one.sweep_id: one for one in (find_sweep(session, word) for word in words)}.values()]
        check_parameters(names, sweeps)
        unasked = bring_numbers(session, sweeps, files) if pull else None
        measured = [one for each in sweeps for one in _measure(session, each, files)]
        figures = known_figures(measured)
        chosen = (
            list(dict.fromkeys(choose_figure(word, [*figures]) for word in metric or ())) if figures else []
        )
        datasets = find_datasets(session, sweeps, reference) if chosen else []
        tables = [metric_table(measured, one, names, published(datasets, one)) for one in chosen]
        if not metric:
            from slipway.terminal.metric_view import show_figures
            from slipway.terminal.terminal import print_json

            if form == "json":
                print_json({str(figure): values for figure, values in figures.items()})
            elif figures:
                show_figures(screen, figures, len(measured))
                screen.note("--metric FIGURE makes a table of one, --by PARAMETER with a row for each value")
        elif tables:
            _print(screen, form, tables, measured, names)
        _tell_others(screen, tables, measured, to_answer=form is None)
        if picture is not None and tables:
            _draw(screen, expand(picture), tables)
        is_exported = _export(
            session, screen, measured, chosen if metric else [*figures], mlflow, tensorboard
        )
        if unasked:
            raise unasked
        if not figures and not is_exported:
            raise UsageError("no figures are home; --pull brings those of elements that are done")


def _form(**asked: bool) -> str | None:
    from slipway.errors import UsageError

    forms = [name for name, is_asked in asked.items() if is_asked]
    if len(forms) > 1:
        raise UsageError(f"--{forms[0]} and --{forms[1]} contradict each other; leave one of them out")
    return forms[0] if forms else None


def _measure(session: Session, sweep: Sweep, files: Sequence[str]) -> list[Measured]:
    from slipway.report.metric_table import Measured
    from slipway.report.sweep_table import element_states
    from slipway.steps.table import read_sweep

    found = read_sweep(session, sweep, files)
    states = element_states(sweep, found.runs)
    return [
        Measured(sweep=sweep, state=state, numbers=numbers)
        for state, numbers in zip(states, found.numbers, strict=True)
    ]


def _print(
    screen: Terminal,
    form: str | None,
    tables: Sequence[MetricTable],
    measured: Sequence[Measured],
    by: Sequence[str],
) -> None:
    from slipway.report.metric_table import table_values
    from slipway.report.metric_text import metric_latex, metric_markdown, metrics_csv
    from slipway.terminal.metric_view import show_metric
    from slipway.terminal.terminal import print_json

    if form == "json":
        print_json(table_values(tables, measured, by))
    elif form == "csv":
        screen.log(metrics_csv(tables))
    elif form is not None:
        write = metric_markdown if form == "markdown" else metric_latex
        screen.log("\n".join(map(write, tables)))
    else:
        for one in tables:
            screen.say(str(one.metric))
            show_metric(screen, one)


def _tell_others(
    screen: Terminal, tables: Sequence[MetricTable], measured: Sequence[Measured], *, to_answer: bool
) -> None:
    """Who is not among the figures, and whose figures stand beside them."""
    from slipway.report.metric_text import outside_lines, outside_notes

    say = screen.say if to_answer else screen.note
    for line in outside_lines(measured):
        say(line)
    for line in outside_notes(measured, tables):
        screen.note(line)
    for title, source in {one.title: one.source for table in tables for one in table.references}.items():
        screen.note(f"{title}: {source}")


def _export(
    session: Session,
    screen: Terminal,
    measured: Sequence[Measured],
    figures: Sequence[Figure],
    mlflow: str | bool | None,
    tensorboard: str | None,
) -> bool:
    """Export the elements to where that is wanted; whether it is anywhere."""
    if not mlflow and not tensorboard:
        return False

    from slipway.export.element import exported
    from slipway.lock import only_one
    from slipway.text.wording import short

    elements = exported(measured, figures)
    # Two at once would not see each other's runs.
    wait = partial(screen.note, "another command exports; waiting for it")
    with only_one(session.project.state / "export.lock", wait):
        if mlflow:
            from slipway.export.mlflow_runs import export_mlflow

            screen.note(f"in MLflow: {export_mlflow(elements, None if mlflow is True else str(mlflow))}")
        if tensorboard:
            from slipway.export.event_files import export_tensorboard

            folder = expand(tensorboard)
            screen.note(f"for TensorBoard in {short(folder)}: {export_tensorboard(elements, folder)}")
    return True


def _draw(screen: Terminal, file: Path, tables: Sequence[MetricTable]) -> None:
    from slipway.page.spread import spread_picture
    from slipway.text.wording import short
    from slipway.whole_file import write_whole

    write_whole(file, spread_picture(tables))
    screen.note(f"drawn in {short(file)}")
