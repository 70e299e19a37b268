"""What is installed."""

from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "slipway"


def test_every_folder_is_a_package() -> None:
    """setuptools leaves a folder without ``__init__.py`` out of what it installs."""
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    assert len(folders) > 10
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
