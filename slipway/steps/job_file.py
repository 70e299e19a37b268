"""Steps of a job that a file describes: its files are looked at here, and sent before it is submitted."""

from __future__ import annotations

from pathlib import Path

from slipway.dataset import stage as dataset
from slipway.dataset.staging import Staged
from slipway.errors import DataError
from slipway.job.request import NOTHING_SUBMITTED
from slipway.job_file.inputs import Inputs, Upload, Weights, find_inputs, gather
from slipway.job_file.spec import JobFile
from slipway.profile import Profile
from slipway.progress import explain_stop
from slipway.site import Site
from slipway.steps.data import find_weights, remember
from slipway.steps.session import Choice, Session
from slipway.steps.submit import Ready
from slipway.text.nearest import nearest
from slipway.text.wording import megabytes


def look_at_inputs(session: Session, spec: JobFile) -> Inputs:
    """Look at what a job's file names on this machine; see :func:`slipway.job_file.inputs.find_inputs`.

    Raises:
        ConfigError: the file contradicts itself.
        DataError: one of them is not there, or not what it should be.
    """
    spec.check()
    session.progress.step(f"Looking at the files that {spec.file} names")
    return find_inputs(spec, session.project.state / "digests", session.progress)


@explain_stop(f"what has arrived is kept, and {NOTHING_SUBMITTED}")
def stage_inputs(session: Session, choice: Choice, inputs: Inputs, ready: Ready) -> None:
    """Have all that a job reads on the cluster; what is there as it is here is not sent.

    Raises:
        ImageError: the site has no image, so that there will be no job.
        DataError: weights that are named are not there.
        RemoteError: a command on the cluster failed.
    """
    if ready.image is None:
        from slipway.job.inputs import find_image

        find_image(ready.host, ready.scratch, choice.profile, choice.site)
    if inputs.weights is not None:
        _stage_weights(session, choice.profile, choice.site, inputs.weights, ready)
    for upload in inputs.uploads:
        _stage(session, choice.site, upload, ready)


def _stage(session: Session, site: Site, upload: Upload, ready: Ready) -> None:
    waiting = f"Waiting for another stage of {upload.name} to {site.name}"
    with session.lock(f"stage-{site.name}-{upload.name}", waiting):
        done = [_send(session, site, upload.source, upload.name, ready)]
        if upload.beside:
            folder = gather(upload, session.project.state / "beside")
            done.append(_send(session, site, folder, upload.name, ready))
    remember(session.project, site, upload.name)
    sent_bytes = sum(one.sent_bytes for one in done)
    is_new = any(one.sent_files for one in done)
    said = f"{megabytes(sent_bytes)} sent" if is_new else "there already, nothing sent"
    session.progress.note(f"/data/{upload.name}: {megabytes(upload.size_bytes)}, {said}")
    for one in done:
        one.check()


def _send(session: Session, site: Site, source: Path, name: str, ready: Ready) -> Staged:
    return dataset.stage(
        ready.host,
        ready.scratch,
        source,
        name,
        session.client(site),
        session.progress,
        memory=session.project.state / "digests",
    )


def _stage_weights(session: Session, profile: Profile, site: Site, weights: Weights, ready: Ready) -> None:
    if weights.source is None:
        there = ready.host.list(ready.scratch.weights)
        if weights.name not in there:
            raise DataError(
                f"weights: {site.name} has no {weights.name}{nearest(weights.name, there)}, and there is no "
                "such file here; `invoke weights --file PATH --name NAME` brings some there"
            )
        return
    from slipway.weights.stage import stage_weights

    found, _ = find_weights(session, weights.name, file=weights.source)
    waiting = f"Waiting for another transfer of {weights.name} to {site.name}"
    with session.lock(f"weights-{site.name}-{weights.name}", waiting):
        sent = stage_weights(ready.host, ready.scratch, found, session.client(site), session.progress)
    said = f"{megabytes(sent.sent_bytes)} sent" if sent else "there already, nothing sent"
    session.progress.note(f"/weights/{weights.name}: {megabytes(found.size_bytes)}, {said}")
