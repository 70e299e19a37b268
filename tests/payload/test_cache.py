import os
from pathlib import Path

import pytest

from slam.dataset.sequence import Sequence
from slam.engine.estimate import Settings
from slam.errors import ReconstructionError
from slam.evaluate.absolute import Comparison
from slam.evaluate.relative import Step
from slam.output.figure.style import Drawing
from slam.task import infer as task
from tests.payload.datasets import frames_at


def test_engines_find_a_place_for_matplotlibs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DROID-SLAM imports matplotlib, which fails where it finds none. An error leaves all as it was."""
    closed = tmp_path / "file" / "matplotlib"
    closed.parent.write_text("")
    monkeypatch.setenv("MPLCONFIGDIR", str(closed))
    monkeypatch.delenv("TMPDIR", raising=False)
    out = tmp_path / "out"
    out.mkdir()

    def engine(*_: object) -> None:
        place = Path(os.environ["MPLCONFIGDIR"])
        assert place.is_relative_to(out)
        assert place.is_dir()
        raise ReconstructionError("nothing")

    monkeypatch.setattr(task, "run_engine", engine)
    stream = Sequence(name="made", frames=frames_at("0", "1", "2"), height=128, width=128)
    with pytest.raises(ReconstructionError, match="nothing"):
        task.infer(
            stream,
            Settings(threads=1),
            Comparison(),
            Step(),
            Drawing(),
            engine="droid",
            out=out,
            source="made",
            arguments={},
        )
    assert os.environ["MPLCONFIGDIR"] == str(closed)
    assert list(out.iterdir()) == []
