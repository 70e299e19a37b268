from pathlib import Path

from slam.evaluate.markup import write_markup


def test_tables_for_a_page_and_for_a_paper(tmp_path: Path) -> None:
    rows = [
        {"sequence": "fr1_desk | 50%", "pairs": 573, "ate_rmse": 0.0171828, "seconds": 9.0, "result": "ok"},
        {"sequence": "fr1\\xyz", "pairs": 12, "ate_rmse": 1234.5678, "result": "ok"},
        {"sequence": "fr1~360", "result": "no \udcff pose"},
    ]
    write_markup(tmp_path, rows)
    assert (tmp_path / "table.md").read_text() == (
        "|  | pairs | ATE rmse |\n"
        "| --- | --: | --: |\n"
        "| fr1\\_desk \\| 50% | 573 | 0.01718 |\n"
        "| fr1\\\\xyz | 12 | 1235 |\n"
        "| fr1~360 | - | - |\n"
    )
    assert (tmp_path / "table.tex").read_text() == (
        "\\begin{tabular}{lrr}\n"
        "\\hline\n"
        " & pairs & ATE rmse \\\\\n"
        "\\hline\n"
        "fr1\\_desk | 50\\% & 573 & 0.01718 \\\\\n"
        "fr1\\textbackslash{}xyz & 12 & 1235 \\\\\n"
        "fr1\\textasciitilde{}360 & - & - \\\\\n"
        "\\hline\n"
        "\\end{tabular}\n"
    )
