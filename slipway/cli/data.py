"""Tasks that bring data and weights to a site."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE, open_session


@task(
    help={
        **PROFILE,
        "site": "Where to stage them. Default: the profile's SITE; without one they stay here.",
        "name": "The file's name. Default: droid.pth.",
        "file": "A file that you have, in the place of a download.",
        "url": "Where to fetch it, in the place of what env/weights.json says.",
        "replace": "Take them although other weights are known by this name.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def weights(
    context: Context,
    name: str = "droid.pth",
    file: str | None = None,
    url: str | None = None,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    replace: bool = False,
) -> None:
    """Fetch the weights of a network, check them, and stage them; jobs see them as /weights/NAME."""
    with open_session(context) as (session, screen):
        from slipway.steps import data
        from slipway.text.wording import megabytes

        chosen = session.profile(profile, set_ or ())
        found, new = data.find_weights(
            session, name, file=Path(file) if file else None, url=url, replace=replace
        )
        screen.note(f"{found.name}: only tensors; {data.load_weights(found, chosen)}")
        text = f"{found.name}  {megabytes(found.size_bytes)}  sha256 {found.sha256}"
        text += "  " + ("checked" if new else "here already")
        if site or chosen.site:
            transfer = data.stage_weights(session, session.choose(profile, site, set_ or ()).site, found)
            text += (
                f"  {megabytes(transfer.sent_bytes)} sent" if transfer else "  there already, nothing sent"
            )
        screen.say(text)


@task(
    help={
        **PROFILE,
        **SITE,
        "path": "The folder, or one file, such as a video.",
        "name": "Its name on the cluster. Default: the folder's own, or the file's without its ending.",
        "delete": "Remove there what is not here.",
        "verify": "Hash all of it again, here and there, and send what is not right.",
        "via": "With --pack: by way of REMOTE:PATH, with rclone here and on the cluster.",
        "pack": "Send it as one file (squashfs), which jobs see as the same folder.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def stage(
    context: Context,
    path: str,
    name: str | None = None,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    delete: bool = False,
    verify: bool = False,
    pack: bool = False,
    via: str | None = None,
) -> None:
    """Send what is new in a folder of data, or one file, to the site; jobs see it in /data/NAME."""
    with open_session(context) as (session, screen):
        from slipway.errors import DataError
        from slipway.skipped import some_of
        from slipway.steps import data
        from slipway.text.wording import counted, megabytes

        choice = session.choose(profile, site, set_ or ())
        # A path does not tell nothing from `.`.
        if not path:
            raise DataError(
                "the path is empty; stage takes the folder whose files a job reads (`.` for this one)"
            )
        data.check_packing(pack=pack, delete=delete, via=via)
        if pack:
            done = data.stage_packed(session, choice, Path(path), name, verify=verify, via=via)
        else:
            done = data.stage(session, choice.site, Path(path), name, delete=delete, verify=verify)
        if done.left_out:
            screen.note(
                f"{len(done.left_out):,} not sent, since they are pipes, sockets or devices: "
                + some_of(done.left_out)
            )
        if done.surplus and not done.removed:
            screen.note(
                f"{len(done.surplus)} are there that are not here: {some_of(done.surplus)}; "
                "--delete removes them"
            )
        if done.older:
            screen.note(
                f"{counted(len(done.older), 'older version')} there, too: `invoke runs.prune --kind packed "
                f"--site {choice.site.name}` removes those that no job uses"
            )
        if done.packed_bytes is not None and done.has_folder:
            screen.note(
                f"{done.name} is there unpacked, too; jobs see the packed one. "
                f"`invoke runs.prune --kind data --data {done.name} "
                f"--site {choice.site.name}` removes the folder once no job uses it"
            )
        gone = f", {len(done.surplus)} removed" if done.surplus and done.removed else ""
        how = f"{done.files - done.sent_files} there already, "
        if done.packed_bytes is not None:
            how = f"packed in {megabytes(done.packed_bytes)}, "
        screen.say(
            f"{done.name}  {megabytes(done.size_bytes)}  {counted(done.files, 'file')}, {how}"
            f"{megabytes(done.sent_bytes)} sent{gone}  "
            f"for jobs: /data/{done.name}"
        )
        done.check()
