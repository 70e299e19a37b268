"""The steps of the line, each from names to values: what the tasks call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.dataset.stage import check_dataset, stage
from slipway.dataset.staging import Staged
from slipway.depot import Depot, open_depot
from slipway.errors import HostError, ImageError, LinkError, SlipwayError, TransferOnlyError, UsageError
from slipway.image import Image, build_image, engine, find_image, run_container
from slipway.label import checkout_labels
from slipway.link import Link, connect
from slipway.lock import only_one
from slipway.poll import poll
from slipway.profile import Profile, load_profile
from slipway.progress import Progress
from slipway.project import Project
from slipway.prune import prune_images
from slipway.push import PushedSif, push_sif
from slipway.recipe import profile_recipe
from slipway.run import Run, RunStore, Status
from slipway.sif import COMPRESSIONS, Sif, make_sif, tools_recipe
from slipway.site import Site, list_sites, load_site
from slipway.slurm import JobState
from slipway.ssh.ask import Ask, Nobody
from slipway.ssh.target import resolve_target
from slipway.submit import settle
from slipway.transfer import Transfer

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.box import BoxStatus
    from slipway.publish import Published
    from slipway.weights import Weights

# Whoever only wants to know about an image waits no longer for the engine.
ENGINE_S = 1.0


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

    def reconnect(self, site: Site) -> Link:
        """A connection that the caller closes."""
        return connect(site.login, self.project.state, self.ask)

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

    def build(self, profile: Profile, *, fresh: bool = False, cache: str | None = None) -> tuple[Image, bool]:
        """Build a profile's image; see :func:`slipway.image.build_image`.

        With ``cache``, a registry, layers come from there; see :mod:`slipway.layercache`.
        """
        recipe = profile_recipe(profile, self.project.root)
        for source in recipe.sources:
            self.progress.step(str(source))
        recipe = replace(recipe, remarks=checkout_labels(self.project.root))
        if cache:
            from slipway.layercache import build_with_cache

            return build_with_cache(engine(), recipe, cache, self.progress, fresh=fresh)
        return build_image(engine(), recipe, self.progress, fresh=fresh)

    def convert(self, profile: Profile, compression: str = "zstd") -> tuple[Sif, bool]:
        """A profile's image as a ``.sif``, and whether it was made now; see :func:`slipway.sif.make_sif`.

        Raises:
            ImageError: the image was not built yet.
            UsageError: there is no such compression.
        """
        check_compression(compression)
        profile_recipe(profile, self.project.root)
        client = engine()
        image = self._built(client, profile)
        tools = tools_recipe(self.project, profile)
        return make_sif(client, image, self.project, tools, self.progress, compression=compression)

    def _built(self, client: DockerClient, profile: Profile) -> Image:
        image = find_image(client, profile.image)
        if image is None:
            raise ImageError(
                f"there is no image {profile.image} yet; `invoke build --profile {profile.name}` makes it"
            )
        return image

    def push(
        self, choice: Choice, *, compression: str | None = None, prune: bool = False
    ) -> tuple[Sif, bool, PushedSif, Transfer | None]:
        """Convert if needed, and send; says whether it was converted now, and what was sent.

        With ``prune``, images of that name that are older and that no job uses are removed, those that are
        older than the newest before there has to be room for another.
        """
        sif, converted = self.convert(choice.profile, compression or choice.site.container.compression)
        with self._pushing(choice.site, sif.name, prune=prune) as (link, depot):
            pushed, transfer = push_sif(link, depot, sif, self._client(choice.site), self.progress)
        return sif, converted, pushed, transfer

    @contextmanager
    def _pushing(self, site: Site, name: str, *, prune: bool) -> Iterator[tuple[Link, Depot]]:
        """A site's depot, to which nobody else of this checkout pushes an image of this name meanwhile."""
        waiting = f"Waiting for another push of {name} to {site.name}"
        with self._only_one(f"push-{site.name}-{name}", waiting), self.depot(site) as (link, depot):
            if prune:
                prune_images(link, depot, name, self.progress, tell_kept=False)
            yield link, depot
            if prune:
                prune_images(link, depot, name, self.progress)

    def push_from_registry(
        self,
        choice: Choice,
        name: str,
        *,
        compression: str | None = None,
        prune: bool = False,
        as_job: bool = False,
        https: bool = True,
    ) -> tuple[PushedSif, bool]:
        """Have the site pull the profile's image from a registry; see :mod:`slipway.fromregistry`.

        Args:
            choice: the profile and the site.
            name: the image there, ``HOST/NAME:TAG`` or ``…@sha256:…``; with ``oras://`` a ``.sif``.
            compression: of a Docker image's ``.sif``; what the site's file says without it.
            prune: as with :meth:`push`.
            as_job: pull in a job, also where the site's file does not say so.
            https: off for a registry without TLS.
        """
        from slipway.fromregistry import prepare_pull, pull_image, render_pull
        from slipway.registry.reference import parse_reference

        profile, site = choice.profile, choice.site
        compression = compression or site.container.compression
        check_compression(compression)
        pull = prepare_pull(
            profile.image, parse_reference(name), profile.platform, self.progress, https=https
        )
        template = (self.project.sites / "pull.sh").read_text(encoding="utf-8")
        job = profile.resources.over(site.defaults) if as_job or site.container.pull == "job" else None
        with self._pushing(site, profile.image, prune=prune) as (link, depot):
            script = render_pull(site, pull, depot, template, compression)
            return pull_image(link, depot, pull, script, self._client(site), self.progress, job)

    def publish(
        self, profile: Profile, registry: str, tag: str | None, *, sif: bool = False, https: bool = True
    ) -> list[Published]:
        """Push the profile's image to a registry, and its ``.sif`` too if that is wanted.

        Raises:
            ImageError: the image was not built yet.
            RegistryError: see :mod:`slipway.publish`.
        """
        from slipway.publish import choose_reference, publish_image, publish_sif

        client = engine()
        image = self._built(client, profile)
        reference = choose_reference(registry, image, tag)
        done = [publish_image(client, image, reference, self.progress)]
        if sif:
            made, _ = self.convert(profile)
            done.append(publish_sif(made, reference, self.progress, https=https))
        return done

    def weights(
        self, name: str, *, file: Path | None = None, url: str | None = None, replace: bool = False
    ) -> tuple[Weights, bool]:
        """Have weights here: what ``env/weights.json`` knows by this name, or what ``url`` or ``file`` has.

        Returns:
            The weights, and whether they are new here; see :mod:`slipway.weights`.
        """
        from slipway.weights import Source, fetch_weights, find_source, take_weights

        source = find_source(self.project.profiles / "weights.json", name)
        folder = self.project.state / "weights"
        if file:
            return take_weights(folder, file, source, replace=replace), True
        if url:
            source = Source(name=name, url=url)
        return fetch_weights(folder, source, self.progress)

    def load_weights(self, weights: Weights, profile: Profile) -> str:
        """Load weights with the profile's image where that is here; says how it went."""
        from slipway.weights import load_in_image

        try:
            client = engine()
            image = find_image(client, profile.image)
        except HostError as error:
            return f"not loaded, since there is no engine here: {error}"
        if image is None:
            return f"not loaded, since {profile.image} is not built here"
        done = load_in_image(client, image, weights)
        return f"loaded by {image.ref}" if done else f"not loaded, since {image.ref} has no PyTorch"

    def stage_weights(self, site: Site, weights: Weights) -> Transfer | None:
        """Send weights to a site, unless they are there; see :func:`slipway.weights.stage_weights`."""
        from slipway.weights import stage_weights

        with self.depot(site) as (link, depot):
            return stage_weights(link, depot, weights, self._client(site), self.progress)

    def stage(
        self, site: Site, source: Path, name: str | None, *, delete: bool = False, verify: bool = False
    ) -> Staged:
        """Send data under a name, its folder's own without one; see :func:`slipway.dataset.stage.stage`."""
        name = name or source.resolve().name
        check_dataset(source, name)
        with (
            self._only_one(
                f"stage-{site.name}-{name}", f"Waiting for another stage of {name} to {site.name}"
            ),
            self.depot(site) as (link, depot),
        ):
            return stage(
                link,
                depot,
                source,
                name,
                self._client(site),
                self.progress,
                memory=self.project.state / "digests",
                delete=delete,
                verify=verify,
            )

    def _client(self, site: Site) -> str:
        """What sets this checkout's uploads apart from all others that may be under way at the same time."""
        # Two sites may be the same cluster with the same scratch, and `_only_one` knows them by name.
        return f"{self.project.client}-{site.name}"

    def _only_one(self, name: str, waiting: str) -> AbstractContextManager[None]:
        """Nobody else of this checkout does the same meanwhile."""
        lock = self.project.state / "locks" / name
        return only_one(lock, lambda: self.progress.step(f"{waiting} from this checkout"))

    def look_for_image(self, profile: Profile) -> Callable[[], Image | None]:
        """Look for a profile's image here, beside other work.

        Returns:
            What gives the image; ``None`` where there is none, or where the engine does not answer soon.
        """
        found: list[Image | None] = []

        def look() -> None:
            with suppress(Exception):  # docker-py lets those of requests and urllib3 through
                found.append(find_image(engine(), profile.image))

        # A daemon, so that an engine that hangs keeps nobody waiting at the end.
        thread = threading.Thread(target=look, daemon=True)
        thread.start()

        def answer() -> Image | None:
            thread.join(ENGINE_S)
            return found[0] if found else None

        return answer

    def find(self, prefix: str | None) -> tuple[Run, Site]:
        """A run by the beginning of its id, and its site."""
        run = self.store.find(prefix)
        try:
            return run, load_site(self.project.sites, run.site)
        except UsageError as error:
            raise UsageError(f"{run.run_id} is a run at {run.site}, but {error}") from error

    def keep(self, run: Run) -> Run:
        """Write down how a run stands."""
        self.store.save(run)
        return run

    def look(self, link: Link, runs: Sequence[Run]) -> list[Run]:
        """Runs of one site as they stand now, written down; what a killed command left open is decided."""
        looked = []
        for old, run in zip(runs, poll(link, runs), strict=True):
            left = old.job_id is None and not self.store.is_submitting(old)
            new = settle(link, run) if left and run.status.state is JobState.SUBMITTING else run
            # Where SLURM has refused it meanwhile, the command that was to submit it has removed it.
            looked.append(self.keep(new) if self.store.has(new) else new)
        return looked

    def stand(self, link: Link, run: Run) -> Run:
        """How a run stands; as it was last known, where the host only moves files."""
        try:
            return self.look(link, [run])[0]
        except TransferOnlyError:
            self.progress.note(f"how {run.run_id} stands is not known: this host runs no commands")
            return run

    def refresh(self, prefix: str | None, count: int) -> tuple[list[Run], SlipwayError | None]:
        """Runs as they stand now, the newest first, and why some could not be asked for, if that is so.

        Args:
            prefix: the beginning of one run's id; ``None`` for all runs.
            count: how many runs at most.
        """
        runs = [self.store.find(prefix)] if prefix else self.store.list()[:count]
        known = {run.run_id: run for run in runs}
        troubles: dict[str, SlipwayError] = {}
        alive = sorted((run for run in runs if not run.status.state.is_over), key=lambda run: run.site)
        for name, group in groupby(alive, key=lambda run: run.site):
            some = list(group)
            try:
                with self.link(load_site(self.project.sites, name)) as link:
                    new = self.look(link, some)
            except SlipwayError as error:
                troubles[name] = error
                unknown = Status(state=JobState.UNKNOWN, note=str(error))
                new = [replace(run, status=unknown) for run in some]
            known.update({run.run_id: run for run in new})
        return list(known.values()), _together(troubles)

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


def _together(troubles: Mapping[str, SlipwayError]) -> SlipwayError | None:
    """One error for all sites that have trouble; where it is one site, it keeps its exit code."""
    said = "\n".join(f"{site}: {error}" for site, error in troubles.items())
    if len(troubles) == 1:
        (error,) = troubles.values()
        return type(error)(said)
    return LinkError(said) if troubles else None


def check_compression(name: str) -> None:
    """Refuse a compression that there is not.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in COMPRESSIONS:
        raise UsageError(f"--compression {name}: write {' or '.join(COMPRESSIONS)}")
