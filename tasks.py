"""Slipway's tasks: arguments in, words out. `invoke --list` shows them, `invoke --help TASK` explains one."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from invoke import Collection, Context, task
from invoke.exceptions import Exit

from slipway.words import explain_unknown_words

explain_unknown_words()
ROOT = Path(__file__).resolve().parent
# Heavy packages are imported by the task that needs them, so that `invoke --list` is quick.

PROFILE = {
    "profile": "What to build and run: a file env/.env.<profile>.",
    "set_": "KEY=VALUE over the profile.",
}
SITE = {"site": "The cluster: a file cluster/<site>.yaml. Default: the profile's SITE."}
RUN = {"run": "A run's id or the beginning of it. Default: the newest run."}


def _steps(screen):
    from slipway.project import Project
    from slipway.steps.line import Steps

    return Steps(Project.find(ROOT), screen, screen)


def _terminal():
    from slipway.terminal import terminal

    return terminal()


def _arguments() -> tuple[str, ...]:
    """What stands behind the first ``--``, exactly as typed; Invoke joins its own remainder with spaces."""
    return tuple(sys.argv[sys.argv.index("--") + 1 :]) if "--" in sys.argv else ()


@task(help={**PROFILE, "fresh": "Make it even if it is there."}, iterable=["set_"], auto_shortflags=False)
def base(_: Context, profile="base", set_=None, fresh=False):
    """Make Debian's base images from its packages, where they cannot be pulled."""
    with _terminal() as screen:
        steps = _steps(screen)
        for ref, made in steps.ensure_base(steps.profile(profile, set_ or ()), fresh=fresh).items():
            screen.say(f"{ref} {'made from Debian packages' if made else 'is there already'}")


@task(
    help={
        **PROFILE,
        "fresh": "Build without the engine's cache.",
        "cache": "A registry, such as ghcr.io/me, that keeps layers for machines that have none.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def build(_: Context, profile="base", set_=None, fresh=False, cache=None):
    """Build the profile's Docker image."""
    with _terminal() as screen:
        steps = _steps(screen)
        image, built = steps.build(steps.profile(profile, set_ or ()), fresh=fresh, cache=cache)
        screen.say(
            f"{image.ref}  {image.id[7:19]}  {image.size_bytes / 1e6:,.0f} MB  "
            + ("built" if built else "unchanged, nothing built")
        )


@task(
    help={
        **PROFILE,
        **SITE,
        "compression": "zstd or gzip. Default: what the site's file says, else zstd.",
        "prune": "Remove older images of this name there, unless a job uses them.",
        "from_registry": "Have the cluster pull HOST/NAME:TAG or …@sha256:… by itself; oras://… is a .sif.",
        "as_job": "Pull in a job, not on the login node.",
        "no_https": "The registry has no TLS.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def push(
    _: Context,
    profile="base",
    site=None,
    set_=None,
    compression=None,
    prune=False,
    from_registry=None,
    as_job=False,
    no_https=False,
):
    """Convert the image to a .sif if needed, and send it to the site if it is not there."""
    with _terminal() as screen:
        from slipway.errors import UsageError
        from slipway.wording import megabytes, sent

        steps = _steps(screen)
        choice = steps.choose(profile, site, set_ or ())
        if from_registry:
            there, pulled = steps.push_from_registry(
                choice,
                from_registry,
                compression=compression,
                prune=prune,
                as_job=as_job,
                https=not no_https,
            )
            how = "pulled from the registry" if pulled else "there already, nothing pulled"
            screen.say(f"{there.path}  {megabytes(there.size_bytes)}  {how}")
            return
        if as_job or no_https:
            raise UsageError("--as-job and --no-https are about --from-registry HOST/NAME:TAG; add that")
        sif, converted, pushed, transfer = steps.push(choice, compression=compression, prune=prune)
        made = "converted" if converted else "unchanged, not converted"
        cost = sent(transfer, sif.size_bytes)
        screen.say(f"{pushed.path}  {megabytes(sif.size_bytes)}  {made}  {cost}")


@task(
    help={
        **PROFILE,
        "registry": "Where to, without the image's own name: ghcr.io/me, nvcr.io/org/team, docker.io/me.",
        "tag": "The tag. Default: the first digits of the hash of what the image was built from.",
        "sif": "Push the .sif too, as TAG.sif, for `apptainer pull oras://…`.",
        "compression": "Of the .sif: zstd or gzip. Default: zstd.",
        "no_https": "The registry has no TLS.",
        "json": "As JSON.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def publish(
    _: Context,
    registry,
    profile="base",
    tag=None,
    set_=None,
    sif=False,
    compression="zstd",
    no_https=False,
    json=False,
):
    """Push the image to a registry, with the credentials of `docker login`, and print its digest."""
    with _terminal() as screen:
        from slipway.terminal import print_json
        from slipway.wording import megabytes

        steps = _steps(screen)
        chosen = steps.profile(profile, set_ or ())
        done = steps.publish(chosen, registry, tag, sif=sif, compression=compression, https=not no_https)
        if json:
            print_json([one.listed() for one in done])
            return
        for one in done:
            layers = (
                f"{one.layers} layers, {one.sent_layers} sent"
                if one.reference.kind == "docker"
                else ("sent" if one.sent_layers else "there already, nothing sent")
            )
            screen.say(f"{one.reference}  {one.pinned}  {megabytes(one.size_bytes)}  {layers}")


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
    _: Context, name="droid.pth", file=None, url=None, profile="base", site=None, set_=None, replace=False
):
    """Fetch the weights of a network, check them, and stage them; jobs see them as /weights/NAME."""
    with _terminal() as screen:
        from slipway.wording import megabytes

        steps = _steps(screen)
        chosen = steps.profile(profile, set_ or ())
        found, new = steps.weights(name, file=Path(file) if file else None, url=url, replace=replace)
        screen.note(f"{found.name}: only tensors; {steps.load_weights(found, chosen)}")
        text = f"{found.name}  {megabytes(found.size_bytes)}  sha256 {found.sha256}"
        text += "  " + ("checked" if new else "here already")
        if site or chosen.site:
            transfer = steps.stage_weights(steps.choose(profile, site, set_ or ()).site, found)
            text += (
                f"  {megabytes(transfer.sent_bytes)} sent" if transfer else "  there already, nothing sent"
            )
        screen.say(text)


@task(
    help={
        **PROFILE,
        **SITE,
        "path": "The folder.",
        "name": "Its name on the cluster. Default: the folder's own.",
        "delete": "Remove there what is not here.",
        "verify": "Hash all of it again, here and there, and send what is not right.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def stage(_: Context, path, name=None, profile="base", site=None, set_=None, delete=False, verify=False):
    """Send what is new in a folder of data to the site; jobs see it as /data/NAME."""
    with _terminal() as screen:
        from slipway.dataset.survey import some_of
        from slipway.wording import megabytes

        steps = _steps(screen)
        chosen = steps.choose(profile, site, set_ or ()).site
        done = steps.stage(chosen, Path(path), name, delete=delete, verify=verify)
        if done.left_out:
            screen.note(
                f"{len(done.left_out)} not sent, since they lead out of the folder or are no files: "
                + some_of(done.left_out)
            )
        if done.surplus and not done.removed:
            screen.note(
                f"{len(done.surplus)} are there that are not here: {some_of(done.surplus)}; "
                "--delete removes them"
            )
        gone = f", {len(done.surplus)} removed" if done.surplus and done.removed else ""
        screen.say(
            f"{done.name}  {megabytes(done.size_bytes)}  {done.files} files, {done.files - done.sent_files} "
            f"there already, {megabytes(done.sent_bytes)} sent{gone}  --dataset {done.name}"
        )


@task(
    help={
        **PROFILE,
        **SITE,
        "wait": "Follow the log, and exit with the job's own exit code.",
        "dry_run": "Print the job script; send and submit nothing.",
        "time": "Wall time: minutes, H:MM:SS or D-HH:MM:SS.",
        "cpus": "Processor cores.",
        "mem": "Memory a node, such as 16G.",
        "gpus": "GPUs: a number, or a type and a number such as a100:2.",
        "partition": "SLURM partition.",
        "account": "SLURM account.",
        "qos": "SLURM quality of service.",
        "nodes": "Nodes; the program starts once on each.",
        "exclusive": "Whole nodes, shared with nobody.",
        "constraint": "Features that the nodes must have.",
        "array": "Tasks of one run: 0-9, 1,3,5 or 0-99%4; $SLURM_ARRAY_TASK_ID is the program's own.",
        "dependency": "What must be over before, with SLURM's job ids: afterok:123.",
        "sbatch": "Any other option of sbatch, such as --sbatch=--comment=mine; may be repeated.",
    },
    iterable=["set_", "sbatch"],
    auto_shortflags=False,
)
def job(
    _: Context,
    profile="base",
    site=None,
    set_=None,
    wait=False,
    dry_run=False,
    time=None,
    cpus=None,
    mem=None,
    gpus=None,
    partition=None,
    account=None,
    qos=None,
    nodes=None,
    exclusive=False,
    constraint=None,
    array=None,
    dependency=None,
    sbatch=None,
):
    """Submit a job: invoke job --profile cpu --site box -- --task infer --dataset room.

    Everything behind -- reaches the program exactly as typed.
    """
    with _terminal() as screen:
        from slipway.job.plan import Request
        from slipway.job.submit import preview, submit
        from slipway.resources import parse_resources

        wanted = {"time": time, "cpus": cpus, "mem": mem, "gpus": gpus}
        wanted |= {"partition": partition, "account": account, "qos": qos, "nodes": nodes}
        wanted |= {"exclusive": "true" if exclusive else None, "constraint": constraint}
        wanted |= {"array": array, "dependency": dependency}
        resources = parse_resources(wanted, sbatch or ())
        steps = _steps(screen)
        choice = steps.choose(profile, site, set_ or ())
        request = Request(profile=choice.profile, site=choice.site, args=_arguments(), resources=resources)
        find_local = steps.look_for_image(choice.profile)
        with steps.scratch(choice.site, make=not dry_run) as (host, scratch):
            if dry_run:
                screen.raw(preview(steps.project, request, host, scratch))
                return
            run = submit(steps.project, request, host, scratch, screen)
            log = f"{run.site}:{run.run_dir}/{'task-*/' if resources.array else ''}attempt-1/log"
            screen.say(f"run {run.run_id}  job {run.job_id}  log {log}")
            local = find_local()
            if local is not None and local.id != run.image_id:
                screen.note(
                    f"The image {choice.profile.image} here is not the one that {run.site} has and this run "
                    f"uses; `invoke push --profile {run.profile} --site {run.site}` brings it there"
                )
            if wait:
                _follow(steps, screen, host, run, choice.site)


@task(
    help={**RUN, "json": "As JSON.", "count": "How many runs, the newest first."},
    auto_shortflags=False,
)
def status(_: Context, run=None, json=False, count="20"):
    """Show how runs stand."""
    with _terminal() as screen:
        from slipway.errors import UsageError
        from slipway.terminal import print_json

        if not count.isdigit():
            raise UsageError(f"--count {count}: write how many runs as a number")
        runs, trouble = _steps(screen).refresh(run, int(count))
        if json:
            print_json([one.listed() for one in runs])
        elif runs:
            screen.runs(runs)
        else:
            screen.say("There are no runs yet; `invoke job -- …` starts one.")
        if trouble:
            raise trouble


@task(help={**RUN, "follow": "Go on until the run is over."}, auto_shortflags=False)
def logs(_: Context, run=None, follow=False):
    """Show what a run has printed."""
    with _terminal() as screen:
        steps = _steps(screen)
        found, site = steps.find(run)
        with steps.host(site) as host:
            if follow:
                _follow(steps, screen, host, found, site)
                return
            from slipway.job.tail import LogTail

            tail = LogTail(found, screen.raw)
            tail.finish(host)
            if not tail.said:
                screen.note(
                    f"{found.run_id} has printed nothing{'' if found.status.state.is_over else ' yet'}"
                )


@task(help=RUN, auto_shortflags=False)
def pull(_: Context, run=None):
    """Bring a run's results home, to results/<run>/, and show its figures."""
    with _terminal() as screen:
        from slipway.errors import JobError
        from slipway.job.results import pull, read_figures
        from slipway.wording import megabytes, short

        steps = _steps(screen)
        found, site = steps.find(run)
        with steps.host(site) as host:
            found = steps.stand(host, found)
            if found.job_id is None and found.status.state.is_over:
                raise JobError(f"{found.run_id} has no results: {found.status.note}")
            home, transfer = pull(host, found, steps.project.results, screen)
        screen.done()
        screen.figures(read_figures(home))
        screen.files(home / "out")
        state = found.status.state.value
        if not found.status.state.is_over:
            screen.note(f"{found.run_id} is {state}: these are not its last results; pull again later")
        screen.note(f"{found.run_id} {state}: {megabytes(transfer.received_bytes)} brought to {short(home)}/")


@task(help={"run": "The run's id or the beginning of it."}, auto_shortflags=False)
def cancel(_: Context, run):
    """Cancel a run's job."""
    with _terminal() as screen:
        from slipway.job.watch import cancel

        steps = _steps(screen)
        found, site = steps.find(run)
        with steps.host(site) as host:
            before = steps.look(host, [found])[0]
            found = steps.keep(cancel(host, before))
        over = " (it was over already)" if before.status.state.is_over else ""
        screen.say(f"{found.run_id} is {found.status.state.value}{over}")


@task(
    name="trust",
    positional=["site"],
    help={
        "site": "The cluster: a file cluster/<site>.yaml.",
        "yes": "Ask nobody.",
        "replace": "Put a key that has changed in the place of the known one.",
    },
    auto_shortflags=False,
)
def ssh_trust(_: Context, site, yes=False, replace=False):
    """Show the keys of a site's hosts, and keep those that you confirm: invoke ssh.trust SITE."""
    with _terminal() as screen:
        for line in _steps(screen).trust(site, yes=yes, replace=replace):
            screen.say(line)


@task(name="up", auto_shortflags=False)
def box_up(_: Context):
    """Start a SLURM cluster in a container on this machine: site `box`."""
    with _terminal() as screen:
        status = _steps(screen).box_up()
        for line in status.lines():
            screen.say(line)


@task(name="down", help={"purge": "Remove its images too."}, auto_shortflags=False)
def box_down(_: Context, purge=False):
    """End the box, with everything that is on it."""
    with _terminal() as screen:
        was_there = _steps(screen).box_down(purge=purge)
        screen.say("The box is gone." if was_there else "There was no box.")


@task(auto_shortflags=False)
def demo(_: Context):
    """Run the whole line on this machine: build, convert, box, push, stage, job, results."""
    with _terminal() as screen:
        from slipway.demo import run_demo

        code = run_demo(_steps(screen), screen)
    if code:
        raise Exit(code=code)


@task(help={"fast": "Leave out what needs Docker."}, auto_shortflags=False)
def test(c: Context, fast=False):
    """Check style and types, and run all tests."""
    commands = ["ruff check .", "ruff format --check .", "mypy", "pytest -n auto tests/unit tests/payload"]
    if not fast:
        # These make the images that others need, too: made once and not by each of them. Most of what the
        # others do is to wait, for SLURM above all, so there are more of them than processors.
        first = "tests/integration/test_image.py tests/integration/test_box.py"
        ignored = " ".join(f"--ignore {name}" for name in first.split())
        commands += [f"pytest {first}", f"pytest -n 4 --dist loadfile {ignored} tests/integration"]
    python = shlex.quote(sys.executable)
    # It lies beside the interpreter and is no module.
    hadolint = shlex.quote(str(Path(sys.executable).with_name("hadolint")))
    dockerfiles = "docker/Dockerfile.* docker/*/Dockerfile singularity/Dockerfile cluster/box/Dockerfile"
    dockerfiles += " tests/*/*/Dockerfile"
    with c.cd(str(ROOT)):
        for command in (f"{hadolint} {dockerfiles}", *(f"{python} -m {one}" for one in commands)):
            c.run(command, echo=True, pty=sys.stdout.isatty())


def _follow(steps, screen, host, run, site) -> None:
    """Show a run's log to its end, and exit as the job did."""
    run = screen.follow(
        host, run, lambda host, run: steps.look(host, [run])[0], lambda: steps.reconnect(site)
    )
    status = run.status
    code = "no exit code" if status.exit_code is None else f"exit code {status.exit_code}"
    screen.say(f"run {run.run_id}  {status.state.value}  {status.reason}  {code}")
    if status.note:
        screen.note(status.note)
    if status.wait_code:
        raise Exit(code=status.wait_code)


box = Collection("box", box_up, box_down)
ssh = Collection("ssh", ssh_trust)
ns = Collection(
    base, build, push, publish, weights, stage, job, status, logs, pull, cancel, demo, test, box, ssh
)
