"""What runs have written."""

from __future__ import annotations

from pathlib import Path

from slipway.errors import SlipwayError
from slipway.job.figure import read_numbers
from slipway.job.log_search import LineFilter
from slipway.job.output import read_output
from slipway.page.read.events import read_events
from slipway.page.read.log_end import read_log_end
from slipway.page.read.ply import read_ply
from slipway.page.read.tables import read_table
from slipway.page.read.tum import read_tum
from slipway.text.escapes import LogFilter, neutral
from tests.fuzz.parsers.common import Parser, as_file, from_tests, latin, of
from tests.fuzz.samples import binaries


def _in_pieces(text: str) -> None:
    shown = neutral(text)
    assert neutral(shown) == shown
    screen = LogFilter()
    for start in range(0, len(text), 7 + len(text) // 50):
        screen.add(text[start : start + 7 + len(text) // 50])
    screen.end()


def _output(file: Path) -> None:
    read_output(file.parent)
    read_numbers(file.parent)


def _searched(text: str) -> None:
    lines = LineFilter("a|7", lambda line: None)
    for start in range(0, len(text), 11 + len(text) // 50):
        lines.add(text[start : start + 11 + len(text) // 50])
    lines.end()


_XYZ = "property float x\nproperty float y\nproperty float z\n"

RESULTS = (
    Parser(
        name="log",
        source="a run",
        read=_in_pieces,
        samples=from_tests("test_escapes", "test_shown"),
        share=3,
        words=("\x1b[", "\x1b]", "\x9b", "m", "\x07", "\x1b\\", "\r"),
    ),
    Parser(
        name="log-search", source="a run", read=_searched, samples=from_tests("test_escapes", "test_tail")
    ),
    Parser(
        name="log-of-a-page",
        source="a run",
        read=as_file(lambda file: read_log_end(file, 4000), "log/log"),
        samples=from_tests("test_escapes", "test_page"),
    ),
    Parser(
        name="figures",
        source="a run",
        read=as_file(_output, "figures/out/fig.json"),
        samples=from_tests("test_output", "test_table", more=('{"ate": 0.1, "ok": true, "name": "a"}',)),
    ),
    Parser(
        name="trajectory",
        source="a run",
        read=as_file(read_tum, "tum/a.txt"),
        samples=from_tests("test_page", more=("1.0 0 0 0 0 0 0 1\n2.0 1 0 0 0 0 0 1\n",)),
        errors=(SlipwayError, ValueError),
    ),
    Parser(
        name="csv",
        source="a run",
        read=as_file(read_table, "csv/a.csv"),
        samples=of("step,loss\n1,0.5\n2,nan\n", 'a,b\n"1",2\n'),
        errors=(SlipwayError, ValueError),
    ),
    Parser(
        name="ply",
        source="a run",
        read=as_file(lambda file: read_ply(file, 100), "ply/a.ply", latin),
        samples=of(
            f"ply\nformat ascii 1.0\nelement vertex 2\n{_XYZ}end_header\n0 0 0\n1 2 3\n",
            f"ply\nformat binary_little_endian 1.0\nelement vertex 1\n{_XYZ}property uchar red\nend_header\n"
            + "\0" * 13,
        ),
        errors=(SlipwayError, ValueError),
        words=("property double q\n", "property list uchar int i\n", "element face 3\n", "binary_big_endian"),
    ),
    Parser(
        name="tensorboard",
        source="a run",
        read=as_file(lambda file: read_events(file, {}), "tb/events", latin),
        samples=lambda: binaries("tensorboard/*"),
    ),
)
