"""Projects, as the Python API has them: the steps, as methods over connections that are kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slipway.api.function import Call
from slipway.api.request import Settings, Word, as_resources, as_settings, as_words
from slipway.api.run import Run
from slipway.api.session import Ask, Listener, keep_session
from slipway.errors import ConnectionLostError, UsageError
from slipway.job.selection import ALL
from slipway.project import Project as Folders
from slipway.project import find_root
from slipway.steps import data, image
from slipway.steps.find import find_run
from slipway.steps.session import Choice
from slipway.steps.status import list_runs
from slipway.steps.submit import Push, make_request, submitted

if TYPE_CHECKING:
    from typing_extensions import Self


class Project:
    """A repository with ``env/`` and ``cluster/``, and one connection to each of its sites.

    A connection is made by the first call that needs it, and used by all that follow; one that is lost is
    made again. ``close()``, the end of a ``with``, and that of the last reference end them.

    Args:
        path: the repository: the folder with ``env/.env.base`` in it.
        progress: is told what goes on: a function of a text, such as ``print``, or an object of a class
            that is derived from ``slipway.Progress``. Default: nobody; nothing is ever printed.
        prompt: answers what a login asks: a function of a text, such as ``getpass.getpass``. Default:
            nobody, and a login that asks is an error.

    Attributes:
        root: the repository.
        results: the folder to which ``pull()`` brings results.

    Raises:
        UsageError: there is no ``env/.env.base``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        progress: Listener | None = None,
        prompt: Ask | None = None,
    ) -> None:
        self.root = Path(path).resolve()
        if find_root(self.root) != self.root:
            raise UsageError(
                f"{self.root} is no project of Slipway: it has no env/.env.base. `slipway init` makes it"
            )
        folders = Folders.find(self.root)
        self.results = folders.results
        self._session = keep_session(folders, progress, prompt)

    @classmethod
    def here(
        cls,
        start: str | os.PathLike[str] | None = None,
        *,
        progress: Listener | None = None,
        prompt: Ask | None = None,
    ) -> Self:
        """The project that a folder is in: the nearest at or above it.

        Args:
            start: the folder. Default: the current one.
            progress: see ``Project``.
            prompt: see ``Project``.

        Raises:
            UsageError: there is none.
        """
        folder = Path(start or ".").resolve()
        root = find_root(folder)
        if root is None:
            raise UsageError(
                f"no project of Slipway is at or above {folder}: none of these has env/.env.base. "
                "`slipway init` makes one"
            )
        return cls(root, progress=progress, prompt=prompt)

    def __repr__(self) -> str:
        return f"<Project {self.root}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections, also what another thread has under way; a later call makes new ones."""
        self._session.connections.close()

    def build(self, profile: str = "base", *, set: Settings | None = None, fresh: bool = False) -> str:  # noqa: A002
        """Build a profile's image, unless it is there as its inputs are now.

        Args:
            profile: the profile's name.
            set: keys of the profile, with values that go before its own.
            fresh: build it from the first step on, whatever is there.

        Returns:
            The image's id, ``sha256:…``.

        Raises:
            EngineError: there is no Docker engine.
            ImageError: it cannot be built.
        """
        chosen = self._session.profile(profile, as_settings(set))
        image.ensure_base(self._session, chosen)
        built, _ = image.build(self._session, chosen, fresh=fresh)
        return built.id

    def push(
        self,
        profile: str = "base",
        site: str | None = None,
        *,
        set: Settings | None = None,  # noqa: A002
        prune: bool = False,
    ) -> PurePosixPath:
        """Convert a profile's image, which has been built, and send it, where the site does not have it.

        Args:
            profile: the profile's name.
            site: the site's name. Default: the profile's SITE.
            set: keys of the profile, with values that go before its own.
            prune: remove older images of this name that no job uses.

        Returns:
            The image's file on the cluster.

        Raises:
            ImageError: it was not built yet, or cannot be converted.
            SshError: the site cannot be reached.
        """
        choice = self._choose(profile, site, set)
        with self._session.connections.turn(choice.site):
            return image.push(self._session, choice, prune=prune)[2].path

    def stage(
        self,
        folder: str | os.PathLike[str],
        name: str | None = None,
        site: str | None = None,
        *,
        delete: bool = False,
        verify: bool = False,
        pack: bool = False,
        via: str | None = None,
    ) -> PurePosixPath:
        """Send data, of which the site is sent only what it does not have.

        Args:
            folder: the data; a single file, too.
            name: its name there. Default: the folder's own, or the file's without its ending.
            site: the site's name. Default: SITE of the profile ``base``.
            delete: remove there what is not here.
            verify: check and repair all that is there.
            pack: send it as one file, which jobs see as the same folder.
            via: with ``pack``, by way of this remote of rclone's, ``REMOTE:PATH``.

        Returns:
            Where jobs see it: ``/data/<name>``.

        Raises:
            UsageError: ``delete`` is of folders, and ``via`` of what is packed.
            DataError: it is no folder or file, or has a name that cannot be.
            IncompleteError: some files cannot be read; all others were sent.
            SshError: the site cannot be reached.
        """
        choice, source = self._choose("base", site, None), Path(folder)
        data.check_packing(pack=pack, delete=delete, via=via)
        with self._session.connections.turn(choice.site):
            if pack:
                staged = data.stage_packed(self._session, choice, source, name, verify=verify, via=via)
            else:
                staged = data.stage(self._session, choice.site, source, name, delete=delete, verify=verify)
        staged.check()
        return PurePosixPath("/data") / staged.name

    def submit(
        self,
        argv: Sequence[Word] | Call,
        *,
        profile: str = "base",
        site: str | None = None,
        set: Settings | None = None,  # noqa: A002
        push: bool = False,
        time: str | int | None = None,
        cpus: int | None = None,
        mem: str | int | None = None,
        gpus: str | int | None = None,
        nodes: int | None = None,
        exclusive: bool | None = None,
        partition: str | None = None,
        prefer: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        array: str | None = None,
        dependency: str | None = None,
        continue_after_limit: int | None = None,
        sbatch: Sequence[str] = (),
    ) -> Run:
        """Submit a job, which SLURM gets once at most, whatever becomes of the connection.

        Args:
            argv: the words that stand behind ``--`` of ``slipway job``: the command line, or what is put
                behind the profile's PROGRAM. No shell reads them. Or a ``call``.
            profile: the profile's name.
            site: the site's name. Default: the profile's SITE.
            set: keys of the profile, with values that go before its own.
            push: build, convert and send the image before, where the site does not have it.
            time: wall time: minutes, ``"H:MM:SS"`` or ``"D-HH:MM:SS"``.
            cpus: processor cores a node.
            mem: memory a node, such as ``"16G"``; a number is MiB.
            gpus: GPUs a node: a number, or a type and a number such as ``"a100:2"``.
            nodes: nodes; the program starts once on each.
            exclusive: whole nodes, shared with nobody.
            partition: SLURM's partition, or ``"auto"``: of those that take the job, where it begins first.
            prefer: with ``"auto"``: ``"start"``, or ``"cost"`` for the cheapest by the site's file.
            account: SLURM's account.
            qos: SLURM's quality of service.
            constraint: features that the nodes must have.
            array: tasks of one run: ``"0-9"``, ``"1,3,5"`` or ``"0-99%4"``.
            dependency: what must be over before: ``f"afterok:{run.job_id}"``.
            continue_after_limit: how many times a job that ends by its time limit may begin again.
            sbatch: other options of sbatch, such as ``"--comment=mine"``.

        Raises:
            UsageError: ``argv`` is a string, or a value is of the wrong kind.
            ImageError: the site has no image of this profile.
            JobError: the request would never start, or SLURM refused it.
            SshError: the site cannot be reached. Where the connection was lost in the middle,
                ``runs()`` finds out whether there is a job.
        """
        wanted = {
            "time": time, "cpus": cpus, "mem": mem, "gpus": gpus, "nodes": nodes, "exclusive": exclusive,
            "partition": partition, "account": account, "qos": qos, "constraint": constraint,
            "array": array, "dependency": dependency, "continue_after_limit": continue_after_limit,
        }  # fmt: skip
        resources = as_resources(wanted, sbatch)
        choice = self._choose(profile, site, set)
        words = argv.command(choice.profile.code_dir) if isinstance(argv, Call) else argv
        request = make_request(choice, as_words(words), resources, prefer=prefer)
        with (
            self._session.connections.turn(choice.site),
            submitted(self._session, request, Push.ALWAYS if push else Push.NEVER) as done,
        ):
            return Run(self._session, done.run)

    def runs(self, count: int | None = None, *, refresh: bool = True) -> list[Run]:
        """The project's runs, the newest first.

        Args:
            count: how many at most. Default: all.
            refresh: look how those stand that are not over, with one question a site. A run of a site that
                cannot be asked is UNKNOWN, and its ``note`` says why.
        """
        session, most = self._session, sys.maxsize if count is None else count
        if not refresh:
            return [Run(session, record) for record in session.store.select(ALL, most)]
        records, error = list_runs(session, ALL, most)
        if isinstance(error, ConnectionLostError):
            records, _ = list_runs(session, ALL, most)
        return [Run(session, record) for record in records]

    def run(self, prefix: str) -> Run:
        """A run by its id or name, or the beginning of either, as it was last seen; nobody is asked.

        Raises:
            UsageError: there is none, or more than one.
        """
        if not prefix:
            raise UsageError("write the run's id or name, or the beginning of either")
        return Run(self._session, find_run(self._session, prefix)[0])

    def _choose(self, profile: str, site: str | None, settings: Settings | None) -> Choice:
        return self._session.choose(profile, site, as_settings(settings))
