"""How often a command waits for the cluster, which is what it costs on a slow line."""

from functools import partial
from pathlib import Path

import pytest

from slipway.host.connection import Connection
from slipway.host.open_shell import KeptShell
from slipway.job.request import Request
from slipway.progress import NullProgress
from slipway.push.upload import find_pushed, push_sif, there_command
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.sif.kept import Sif
from slipway.steps.image import pushing
from slipway.steps.submit import Push, submitted
from tests.integration.small_image import IMAGE, SmallImageBox


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many channels were opened, and how often the login shell's answer was waited for."""
    found = {"channels": 0, "answers": 0}
    open_channel, use = Connection.open_channel, KeptShell._use

    def count_channel(connection, *rest):  # type: ignore[no-untyped-def]
        found["channels"] += 1
        return open_channel(connection, *rest)

    def count_answer(shell, *rest):  # type: ignore[no-untyped-def]
        found["answers"] += 1
        return use(shell, *rest)

    monkeypatch.setattr(Connection, "open_channel", count_channel)
    monkeypatch.setattr(KeptShell, "_use", count_answer)
    return found


def test_a_submission_has_four_questions_on_one_channel(
    small: SmallImageBox, counted: dict[str, int]
) -> None:
    """Where scratch is, the image, packed data and partitions; code and run; sbatch; the record."""
    profile = small.choice.profile.model_copy(update={"program": ("true",)})
    wanted = SlurmResources(cpus=1, mem="200M", time="10")
    request = Request(profile=profile, site=small.choice.site, args=(), resources=wanted)
    with submitted(small.session, request, Push.NEVER) as first:
        small.wait_for(first.run)
    counted.update(channels=0, answers=0)
    with submitted(small.session, request, Push.NEVER) as second:
        assert counted == {"channels": 1, "answers": 4}
    assert second.run.job_id is not None
    small.wait_for(second.run)


def test_a_push_of_what_is_there_has_one_question(small: SmallImageBox, counted: dict[str, int]) -> None:
    session, site = small.session, small.choice.site
    with session.open_scratch(site) as (host, scratch):
        there = find_pushed(host, scratch, IMAGE)
    assert there is not None
    # The file is not there: nothing of it is read.
    sif = Sif(
        path=Path("/gone.sif"),
        name=IMAGE,
        image_id=there.image_id,
        sha256=there.sha256,
        size_bytes=there.size_bytes,
    )
    client = session.project.client
    counted.update(channels=0, answers=0)
    ahead = [partial(there_command, sif=sif, client=client)]
    with pushing(session, site, IMAGE, prune=False, ahead=ahead) as (host, scratch):
        assert push_sif(host, scratch, sif, client, NullProgress()) == (there, None)
    assert counted == {"channels": 1, "answers": 1}
