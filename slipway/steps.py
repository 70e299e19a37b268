"""The steps of the line, each from names to values: what the tasks call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.dataset import check_dataset, left_out, stage
from slipway.depot import Depot, open_depot
from slipway.errors import ImageError, SlipwayError, UsageError
from slipway.image import Image, build_image, engine, find_image, run_container
from slipway.label import checkout_labels
from slipway.link import Link, connect
from slipway.profile import Profile, load_profile
from slipway.progress import Progress
from slipway.project import Project
from slipway.push import PushedSif, push_sif
from slipway.recipe import profile_recipe
from slipway.run import Run, RunStore, Status
from slipway.sif import Sif, make_sif, tools_recipe
from slipway.site import Site, list_sites, load_site
from slipway.slurm import JobState
from slipway.ssh.ask import Ask, Nobody
from slipway.ssh.target import resolve_target
from slipway.transfer import Transfer
from slipway.watch import poll

if TYPE_CHECKING:
    from slipway.box import BoxStatus


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A profile and the site that goes with it."""

    profile: Profile
    site: Site


class Steps:
    """The line of one checkout."""

    def __init__(self, project: Project, progress: Progress, ask: Ask | None = None) -> None:
        self.project = project
        self.progress = progress
        self.ask = ask or Nobody()
        self.store = RunStore(project.state / "runs")

    def profile(self, name: str, overrides: Iterable[str]) -> Profile:
        """A profile; see :func:`slipway.profile.load_profile`."""
        return load_profile(self.project.profiles, name, overrides)

    def choose(self, name: str, site: str | None, overrides: Iterable[str]) -> Choice:
        """A profile, and the site that is named or that the profile names.

        Raises:
            UsageError: neither names a site.
        """
        profile = self.profile(name, overrides)
        wanted = site or profile.site
        if wanted is None:
            known = ", ".join(list_sites(self.project.sites))
            raise UsageError(
                f"no site is chosen: add --site NAME, or SITE=NAME in env/.env.local; sites: {known}"
            )
        return Choice(profile=profile, site=load_site(self.project.sites, wanted))

    @contextmanager
    def link(self, site: Site) -> Iterator[Link]:
        """A connection to a site, closed afterwards."""
        with connect(site.login, self.project.state, self.ask) as link:
            yield link

    def trust(self, name: str, *, yes: bool, replace: bool) -> list[str]:
        """Get to know a site's host keys; see :func:`slipway.ssh.trust.get_to_know`."""
        from slipway.ssh.trust import get_to_know

        target = resolve_target(load_site(self.project.sites, name).login, self.project.state)
        self.progress.step(f"Asking {name} for its key")
        return get_to_know(target, self.ask, yes=yes, replace=replace)

    @contextmanager
    def depot(self, site: Site, *, make: bool = True) -> Iterator[tuple[Link, Depot]]:
        """A connection to a site, and its depot, whose folders are made unless ``make`` is off."""
        self.progress.step(f"Logging in to {site.name}")
        with self.link(site) as link:
            yield link, open_depot(link, site, make=make)

    def build(self, profile: Profile, *, fresh: bool = False) -> tuple[Image, bool]:
        """Build a profile's image; see :func:`slipway.image.build_image`."""
        recipe = profile_recipe(profile, self.project.root)
        for source in recipe.sources:
            self.progress.step(str(source))
        recipe = replace(recipe, remarks=checkout_labels(self.project.root))
        return build_image(engine(), recipe, self.progress, fresh=fresh)

    def convert(self, profile: Profile) -> tuple[Sif, bool]:
        """A profile's image as a ``.sif``.

        Raises:
            UsageError: the image was not built yet.
        """
        profile_recipe(profile, self.project.root)
        client = engine()
        image = find_image(client, profile.image)
        if image is None:
            raise UsageError(
                f"there is no image {profile.image} yet; `invoke build --profile {profile.name}` makes it"
            )
        tools = tools_recipe(self.project, profile)
        return make_sif(client, image, self.project, tools, self.progress)

    def push(self, choice: Choice) -> tuple[Sif, bool, PushedSif, Transfer | None]:
        """Convert if needed, and send; says whether it was converted now, and what was sent."""
        sif, converted = self.convert(choice.profile)
        with self.depot(choice.site) as (link, depot):
            pushed, transfer = push_sif(link, depot, sif, self.progress)
        return sif, converted, pushed, transfer

    def stage(self, site: Site, source: Path, name: str | None) -> tuple[str, Transfer, list[str]]:
        """Send data under a name, its folder's own without one; see :func:`slipway.depot.stage`.

        Returns:
            The name, what was sent, and what was left out.
        """
        name = name or source.resolve().name
        check_dataset(source, name)
        with self.depot(site) as (link, depot):
            _, transfer = stage(link, depot, source, name, self.progress)
        return name, transfer, left_out(source)

    def find(self, prefix: str | None) -> tuple[Run, Site]:
        """A run by the beginning of its id, and its site."""
        run = self.store.find(prefix)
        return run, load_site(self.project.sites, run.site)

    def keep(self, run: Run) -> Run:
        """Write down how a run stands."""
        self.store.save(run)
        return run

    def refresh(self, prefix: str | None, count: int) -> tuple[list[Run], list[str]]:
        """Runs as they stand now, the newest first, and why some could not be asked for.

        Args:
            prefix: the beginning of one run's id; ``None`` for all runs.
            count: how many runs at most.
        """
        runs = [self.store.find(prefix)] if prefix else self.store.list()[:count]
        known = {run.run_id: run for run in runs}
        troubles = []
        alive = sorted((run for run in runs if not run.status.state.is_over), key=lambda run: run.site)
        for name, group in groupby(alive, key=lambda run: run.site):
            some = list(group)
            try:
                with self.link(load_site(self.project.sites, name)) as link:
                    new = [self.keep(run) for run in poll(link, some)]
            except SlipwayError as error:
                troubles.append(f"{name}: {error}")
                new = [replace(run, status=Status(state=JobState.UNKNOWN)) for run in some]
            known.update({run.run_id: run for run in new})
        return list(known.values()), troubles

    def ensure_base(self, profile: Profile, *, fresh: bool = False) -> dict[str, bool]:
        """Make Debian's images that Slipway and the profile start from, where they cannot be pulled.

        Returns:
            Each image, and whether it was made from packages now. Others, such as NVIDIA's, are left to
            `build`, which pulls them.
        """
        from slipway.base import ensure_base, parse_suite

        refs = (profile.tools_base_image, profile.base_image, profile.runtime_image)
        debian = dict.fromkeys(ref for ref in refs if ref and parse_suite(ref))
        client, mirror = engine(), profile.debian_mirror
        return {ref: ensure_base(client, ref, mirror, self.progress, fresh=fresh) for ref in debian}

    def box_up(self) -> BoxStatus:
        """Have the box ready; its images are built where they are missing."""
        from slipway import box

        profile = self.profile("base", ())
        self.ensure_base(profile)
        client = engine()
        build_image(client, tools_recipe(self.project, profile), self.progress)
        image, _ = build_image(client, box.box_recipe(self.project, profile), self.progress)
        return box.up(client, self.project.state, image.ref, progress=self.progress)

    def box_down(self, *, purge: bool) -> bool:
        """End the box; see :func:`slipway.box.down`."""
        from slipway import box

        self.progress.step("Ending the box")
        return box.down(engine(), self.project.state, purge=purge)

    def make_scene(self, profile: Profile) -> Path:
        """The demo's input: a scene that the profile's image renders; made once.

        Raises:
            ImageError: the image's program failed.
        """
        folder = self.project.state / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        scene = folder / "room"
        if scene.is_dir():
            return scene
        image = find_image(engine(), profile.image)
        if image is None:
            raise UsageError(
                f"there is no image {profile.image}; `invoke build --profile {profile.name}` makes it"
            )
        self.progress.step("Rendering a room, 40 frames along a path that is known")
        lines: list[str] = []
        code = run_container(
            engine(),
            image,
            ["python3", "-m", "slam.scene", "/demo/room"],
            mounts={folder: "/demo"},
            user=f"{os.getuid()}:{os.getgid()}",
            listen=lines.append,
        )
        if code:
            raise ImageError(
                f"{profile.image} could not render the scene (exit code {code}): {''.join(lines)}"
            )
        return scene
