"""Two projects on one machine whose images have one name."""

from pathlib import Path

from slipway.image.engine import Image
from slipway.image.own import explain_other, remember_built
from slipway.project import Project


def image(number: int) -> Image:
    return Image(ref="code:latest", id=f"sha256:{number}", labels={}, size_bytes=1)


def test_an_image_that_another_project_has_put_in_its_place_is_told(tmp_path: Path) -> None:
    mine, theirs = Project.find(tmp_path / "mine" / "code"), Project.find(tmp_path / "theirs" / "code")
    remember_built(mine, image(1))
    assert explain_other(mine, image(1), "base") is None
    remember_built(theirs, image(2))
    assert explain_other(theirs, image(2), "base") is None
    said = explain_other(mine, image(2), "base")
    assert said is not None
    assert f"not the one that was built in {mine.root}" in said
    assert "`invoke build --profile base`" in said
    remember_built(mine, image(2))
    assert explain_other(mine, image(2), "base") is None


def test_nothing_is_said_where_no_image_was_built(tmp_path: Path) -> None:
    assert explain_other(Project.find(tmp_path), image(1), "base") is None
    assert not list(tmp_path.iterdir())
