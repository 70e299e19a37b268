"""The suite of benches: statistics, goals, tables, JSON, the page of figures, turns, and the line."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.suite import document, record
from bench.suite.__main__ import FIGURES, PAGE, chosen, parse
from bench.suite.figure import Figure, Goal, Result, Taken, figure_of, find, ratio
from bench.suite.line import Line
from bench.suite.place import Options
from bench.suite.process import Watch, timed
from bench.suite.row import Way, take_turns
from bench.suite.rows import ROWS
from bench.suite.rows.push import goals
from bench.suite.rows.submit import round_trips
from bench.suite.table import anchor, render, render_figures, render_goals, seconds, size


def figure(way: str, *took: float, case: str = "", sent: int | None = None, scale: float = 1.0) -> Figure:
    taken = tuple(Taken(seconds=one, sent_bytes=sent) for one in took)
    return Figure(case=case, way=way, taken=taken, scale=scale)


def result(*figures: Figure, goals: tuple[Goal, ...] = (), **more: Any) -> Result:
    return Result(name="row", title="A row", how="It was done.", figures=figures, goals=goals, **more)


def test_a_ratio_compares_each_time_with_that_of_its_own_turn() -> None:
    # The machine was three times as slow in the second turn, for both.
    assert ratio(figure("a", 2, 6, 2), figure("b", 1, 3, 1)) == 2
    assert ratio(figure("a", 2, 30, 2), figure("b", 1, 3, 1)) == 2
    assert ratio(figure("a", 20), figure("b", 1, 2, 3)) == 10


def test_what_was_measured_in_part_counts_for_the_whole() -> None:
    part = figure("a", 2, 4, 3, sent=10, scale=20)
    assert (part.median_s, part.median("sent_bytes")) == (60, 200)
    assert part.median("read_bytes") is None


def test_a_figure_is_found_by_its_case_and_way() -> None:
    some = [figure("a", 1, case="0 ms"), figure("a", 2, case="25 ms")]
    assert find(some, "25 ms", "a") is some[1]
    assert find(some, "25 ms", "b") is None
    assert figure_of(some, "0 ms", "a") is some[0]


@pytest.mark.parametrize(
    ("value", "limit", "at_least", "is_met", "distance"),
    [
        (20, 15, True, True, 0.75),
        (5, 15, True, False, 3),
        (0.2, 1, False, True, 0.2),
        (2, 1, False, False, 2),
    ],
)
def test_goals(value: float, limit: float, at_least: bool, is_met: bool, distance: float) -> None:
    goal = Goal(what="time", value=value, limit=limit, at_least=at_least)
    assert goal.is_met is is_met
    assert goal.distance == pytest.approx(distance)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    goal = Goal(what="time", value=None, limit=1)
    assert goal.is_met is None
    assert goal.distance is None
    assert "| ≤ 1 | not measured |  |" in render_goals([result(goals=(goal,))])


def test_a_push_has_the_worst_of_its_cases() -> None:
    some = [
        figure("Slipway", 1, case="0 ms", sent=5),
        figure("Orbit's recipe", 20, case="0 ms", sent=1000),
        figure("Slipway", 2, case="25 ms", sent=30),
        figure("Orbit's recipe", 30, case="25 ms", sent=1000),
    ]
    times, share = goals(some, 15)
    assert (times.value, times.is_met) == (15, True)
    assert (share.value, share.is_met) == (3, False)


def test_round_trips_are_what_a_delay_has_added() -> None:
    some = [
        figure("Slipway", 1.0, case="0 ms"),
        figure("Slipway", 1.7, case="100 ms"),
        figure("Slipway", 1.2, case="25 ms"),
    ]
    assert "Slipway 7;" in round_trips(some)
    assert round_trips(some[:1]) == ""


def test_a_table_has_only_the_columns_that_were_measured() -> None:
    table = render_figures(
        result(figure("Slipway", 1, 3, 2, sent=1500), figure("rsync", 4, 4, 4, sent=2_500_000))
    )
    assert table == (
        "| way | time | least to most | times | ratio | sent |\n"
        "|---|--:|--:|--:|--:|--:|\n"
        "| Slipway | 2.00 s | 1.00 s to 3.00 s | 3 | 1.00 | 1.5 kB |\n"
        "| rsync | 4.00 s | 4.00 s to 4.00 s | 3 | 2.00 | 2.5 MB |"
    )


def test_cases_have_a_column_and_a_ratio_of_their_own() -> None:
    table = render_figures(
        result(
            figure("Slipway", 1, case="0 ms"),
            figure("Orbit", 4, case="0 ms"),
            figure("Slipway", 2, case="25 ms"),
            figure("Orbit", 6, case="25 ms"),
        )
    )
    assert "| 0 ms | Orbit | 4.00 s |  | 1 | 4.00 |" in table
    assert "| 25 ms | Orbit | 6.00 s |  | 1 | 3.00 |" in table


def test_goals_stand_before_all_rows_and_lead_to_theirs() -> None:
    one = result(figure("Slipway", 1), goals=(Goal(what="time", value=3, limit=1, unit="s"),))
    text = render([one])
    assert "| [A row](#a-row) | time | ≤ 1.00 s | 3.00 s | no, by a factor of 3.0 |" in text
    close = result(figure("Slipway", 1), goals=(Goal(what="time", value=1.04, limit=1, unit="s"),))
    assert "| 1.04 s | no, by 4 % |" in render([close])
    assert text.index("(#a-row)") < text.index("## A row\n\nIt was done.\n\n| way |")


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12 s"), (9.5, "9.50 s"), (12.34, "12.3 s"), (123.4, "123 s")]
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(500, "0.5 kB"), (2.5e6, "2.5 MB"), (5.5e9, "5.50 GB")])
def test_sizes(value: float, text: str) -> None:
    assert size(value) == text


def test_an_anchor_is_what_the_site_makes_of_a_heading() -> None:
    assert anchor("Push, 300 kB changed in 5.5 GB") == "push-300-kb-changed-in-55-gb"
    assert anchor("invoke --list") == "invoke---list"


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    goal = Goal(what="time", value=3, limit=1, unit="s")
    one = result(
        figure("Slipway", 1, 2, sent=5, scale=2), goals=(goal,), notes=("a note",), facts={"cores": "2"}
    )
    file = tmp_path / "new" / "figures.json"
    record.write(file, [one])
    assert record.read(file) == [one]
    values = json.loads(file.read_text())["rows"][0]
    assert values["goals"][0]["is_met"] is False
    assert values["figures"][0]["taken"] == [{"seconds": 1, "sent_bytes": 5}, {"seconds": 2, "sent_bytes": 5}]
    assert record.read(tmp_path / "nothing.json") == []


def test_a_row_that_is_measured_anew_takes_its_place() -> None:
    def row(name: str, how: str) -> Result:
        return Result(name=name, title=name, how=how, figures=())

    both = record.merge([row("b", "old"), row("a", "old")], [row("b", "new")], ["a", "b", "c"])
    assert [(one.name, one.how) for one in both] == [("a", "old"), ("b", "new")]


def test_a_page_gets_its_figures_between_the_marks() -> None:
    page = f"Before.\n\n{document.BEGIN}\nold\n{document.END}\n\nBehind.\n"
    filled = document.fill(page, [result(figure("Slipway", 1))])
    assert filled.startswith(f"Before.\n\n{document.BEGIN}\n\n| work |")
    assert filled.endswith(f"\n\n{document.END}\n\nBehind.\n")
    assert "old" not in filled
    assert document.fill(filled, [result(figure("Slipway", 1))]) == filled
    with pytest.raises(ValueError, match="lacks"):
        document.fill("no marks", [])


def test_the_figures_of_the_documentation_are_those_of_the_file() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert document.fill(page, record.read(FIGURES)) == page, "invoke bench --write-docs"


def test_rows_have_names_and_titles_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == 11
    assert len({anchor(row.title) for row in ROWS}) == len(ROWS)


def test_the_short_form_leaves_out_what_is_long_unless_it_is_named() -> None:
    assert [row.name for row in chosen(parse(["--short"]))] == [row.name for row in ROWS if not row.is_long]
    assert [row.name for row in chosen(parse(["--short", "--only", "push-large"]))] == ["push-large"]
    assert [row.name for row in chosen(parse(["--only", "submit", "push"]))] == ["push", "submit"]


@pytest.mark.parametrize("words", [["--only", "nothing"], ["--times", "0"], ["--times", "x"]])
def test_what_cannot_be_measured_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(words)
    assert "invoke bench: error" in capsys.readouterr().err


class NoPlace:
    """A place without a line."""

    options = Options(times=3)

    def counts(self) -> None:
        return None


def test_ways_take_turns_and_each_begins_once() -> None:
    done: list[str] = []

    def way(name: str, times: int | None = None) -> Way:
        return Way(
            name=name,
            times=times,
            before=lambda: done.append(f"before {name}"),
            act=lambda: done.append(name),
            check=lambda: done.append(f"check {name}"),
        )

    place: Any = NoPlace()
    figures = take_turns(place, [way("a"), way("b", times=1)], each_turn=lambda: done.append("|"), warm=True)
    names = [one for one in done if " " not in one]
    assert names == ["|", "a", "b", "|", "a", "b", "|", "a", "|", "a"]
    assert done[:4] == ["|", "before a", "a", "check a"]
    # The turn before the first does not count.
    assert [(one.way, len(one.taken)) for one in figures] == [("a", 3), ("b", 1)]
    done.clear()
    take_turns(place, [way("a"), way("b")], times=2)
    assert [one for one in done if " " not in one] == ["a", "b", "b", "a"]


def test_a_program_is_measured_with_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    taken, said = timed(["sh", "-c", "cat file >/dev/null; echo done; sleep 0.2"], cwd=tmp_path)
    assert said == "done\n"
    assert taken.seconds >= 0.2
    assert taken.read_bytes is None or 3_000_000 <= taken.read_bytes < 4_000_000
    with pytest.raises(SystemExit, match="ended with 3:\nwrong"):
        timed(["sh", "-c", "echo wrong >&2; exit 3"])


def test_memory_and_disk_are_seen_while_something_goes_on(tmp_path: Path) -> None:
    script = "x = bytearray(80_000_000)\nopen('file', 'wb').write(x[:9_000_000])\nimport time; time.sleep(1)"
    (tmp_path / "there").write_bytes(bytes(5_000_000))
    with Watch(list, [tmp_path]) as watch:
        timed(["python3", "-c", script], cwd=tmp_path)
    assert 80_000_000 <= watch.memory_bytes < 200_000_000
    assert 9_000_000 <= watch.disk_bytes < 10_000_000


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                with one:
                    while chunk := one.recv(1 << 16):
                        one.sendall(chunk)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_the_line_counts_delays_and_limits(echo: int) -> None:
    line = Line(echo)
    try:
        with socket.create_connection(("127.0.0.1", line.port)) as one:
            assert _there_and_back(one, 1000) < 5
            first = line.counts()
            assert (first.sent_bytes, first.received_bytes, first.connections) == (1000, 1000, 1)
            line.use(delay_ms=300)
            assert _there_and_back(one, 1000) >= 0.3
            line.use(rate_mbit=8)
            # A megabyte each way, a megabyte a second.
            assert _there_and_back(one, 1_000_000) >= 0.9
            assert line.counts().sent_bytes == 1_002_000
    finally:
        line.close()


def test_the_end_of_one_way_arrives_behind_all_its_bytes(echo: int) -> None:
    line = Line(echo)
    try:
        line.use(delay_ms=100)
        with socket.create_connection(("127.0.0.1", line.port)) as one:
            one.sendall(b"last words")
            one.shutdown(socket.SHUT_WR)
            said = b""
            while chunk := one.recv(100):
                said += chunk
        assert said == b"last words"
    finally:
        line.close()


def _there_and_back(one: socket.socket, count: int) -> float:
    began, left = time.monotonic(), count
    threading.Thread(target=one.sendall, args=(bytes(count),)).start()
    while left:
        left -= len(one.recv(1 << 16))
    return time.monotonic() - began
