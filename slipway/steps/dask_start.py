"""What bringing up a Dask cluster has in common, wherever its workers are started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.dask import folder as there
from slipway.dask.answer import ClusterState, Versions
from slipway.dask.options import DaskOptions
from slipway.dask.wrapper import ENTRY, PYTHON, Wrapper, render_entry, render_wrapper
from slipway.errors import ImageError, RemoteError, SlipwayError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.push.upload import PushedSif
from slipway.site import Site
from slipway.steps.session import Choice
from slipway.steps.submit import Push


@dataclass(frozen=True, kw_only=True)
class UpRequest:
    """What is asked for.

    Attributes:
        options: of the site's file, with those of the command line.
        copy: what a host lacks is brought to it by the first one, and nobody is asked.
        weights: the weights of networks have to be on each host, too.
        push: whether the image here is sent before.
    """

    options: DaskOptions
    copy: bool = False
    weights: bool = False
    push: Push = Push.ASK


@dataclass(frozen=True, kw_only=True)
class Started:
    """A cluster that runs.

    Attributes:
        state: how it stands.
        site: where.
        port: the dashboard's, on the first host.
        hosts: how many were asked for.
        left_out: hosts that have no worker, and why.
    """

    state: ClusterState
    site: Site
    port: int
    hosts: int
    left_out: Mapping[str, str]

    @property
    def error(self) -> SlipwayError | None:
        """What is wrong with hosts that were left out."""
        if not self.left_out:
            return None
        lines = [f"{name}: {why}" for name, why in self.left_out.items()]
        return RemoteError("\n".join(["Dask runs without these:", *lines]))


def refuse_second(site: Site, host: Host, scratch: Scratch) -> None:
    """Go on only where there is no cluster yet.

    Raises:
        UsageError: there is one.
    """
    noted, name = there.note(host, there.cluster_folder(scratch)), site.name
    if noted.is_alive and there.is_alive(host, noted.cluster):
        raise UsageError(
            f"{name} has a Dask cluster already ({noted.state}): `invoke dask.status {name}` shows it, "
            f"and `invoke dask.down {name}` ends it"
        )


def cluster_files(
    choice: Choice, cluster: str, image: PushedSif, scratch: Scratch, code: str, options: DaskOptions
) -> Mapping[str, bytes]:
    """What starts Python in the image on one host.

    Raises:
        ConfigError: the site starts containers by something else than Apptainer.
    """
    profile = choice.profile
    wrapper = Wrapper(
        cluster=cluster,
        folder=there.cluster_folder(scratch),
        image=image.path,
        code=scratch.code / code,
        data=scratch.data,
        weights=scratch.weights,
        home=profile.mount_home,
        gpus=bool(options.gpus),
    )
    return {
        PYTHON: render_wrapper(wrapper, choice.site).encode(),
        ENTRY: render_entry(profile.environment).encode("utf-8", "surrogateescape"),
    }


def require_packages(image: PushedSif, versions: Versions, needed: Sequence[str]) -> None:
    """Go on only where the image has these.

    Raises:
        ImageError: it lacks one.
    """
    lacks = [name.replace("_", "-") for name in versions.lacks(*needed)]
    if lacks:
        wanted = " ".join([*(name.replace("_", "-") for name in needed if name != "dask"), "bokeh"])
        raise ImageError(
            f"{image.path.name} has no {', '.join(lacks)}: Dask starts its workers from the image. Add "
            f"`{wanted}` to the packages that its Dockerfile installs (docs/dask.md), then do "
            "`invoke build` and `invoke push`"
        )
