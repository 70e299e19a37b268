"""A table of figures for a paper or a page: Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from slam.output.results import replacing

MARKDOWN = "table.md"
LATEX = "table.tex"
NAMES = (MARKDOWN, LATEX)
# What a paper says of a sequence or a run; time, kinds of alignment and endings are in table.csv.
COLUMNS = {
    "sequence": "",
    "pairs": "pairs",
    "ate_rmse": "ATE rmse",
    "ate_median": "ATE median",
    "ape_rot_rmse_deg": "rotation APE rmse [deg]",
    "rpe_trans_rmse": "RPE rmse",
    "rpe_rot_rmse_deg": "rotation RPE rmse [deg]",
}
_MARKDOWN_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|])")
_LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def write_markup(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write ``table.md`` and ``table.tex``: a row for each sequence or run, four digits of each figure.

    LaTeX's needs no package.
    """
    shown = [name for name in COLUMNS if name == "sequence" or any(name in row for row in rows)]
    heads = [COLUMNS[name] for name in shown]
    cells = [[_word(row.get(name)) for name in shown] for row in rows]
    for name, lines in ((MARKDOWN, _markdown(heads, cells)), (LATEX, _latex(heads, cells))):
        with replacing(folder / name) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")


def _word(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _markdown(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["--:"] * (len(heads) - 1)]
    rows = [[_MARKDOWN_SIGNS.sub(r"\\\1", " ".join(cell.split())) for cell in row] for row in cells]
    return [f"| {' | '.join(row)} |" for row in (heads, rule, *rows)]


def _latex(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    def line(row: Sequence[str]) -> str:
        words = ("".join(_LATEX_SIGNS.get(sign, sign) for sign in cell) for cell in row)
        return f"{' & '.join(words)} \\\\"

    return [
        f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        "\\hline",
        line(heads),
        "\\hline",
        *map(line, cells),
        "\\hline",
        "\\end{tabular}",
    ]
