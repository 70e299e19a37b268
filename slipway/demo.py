"""The demo: the whole line on one machine, with the steps that a user would take."""

from __future__ import annotations

from slipway.job.plan import Request
from slipway.job.results import pull, read_figures
from slipway.job.run import Run
from slipway.job.submit import submit
from slipway.resources import Resources
from slipway.steps.line import Steps
from slipway.terminal import Terminal
from slipway.wording import megabytes, short

DATASET = "room"
ARGUMENTS = ("--task", "infer", "--dataset", DATASET)


def run_demo(steps: Steps, screen: Terminal) -> int:
    """Go from a Dockerfile to results; returns the job's exit code."""
    profile = steps.profile("cpu", ())
    screen.heading(f"1  The base image, {profile.base_image}")
    if any(steps.ensure_base(profile).values()):
        screen.say("It can be pulled from nowhere, so it was made here from Debian packages.")
    screen.heading("2  The image with COLMAP      invoke build --profile cpu")
    image, built = steps.build(profile)
    screen.say(f"{image.ref}, {megabytes(image.size_bytes)}" + ("" if built else ", unchanged"))
    screen.heading("3  A SLURM cluster            invoke box.up")
    for line in steps.box_up().lines():
        screen.say(line)
    choice = steps.choose("cpu", "box", ())
    screen.heading("4  The image, as a .sif       invoke push --profile cpu --site box")
    sif, _, pushed, transfer = steps.push(choice)
    sent = megabytes(transfer.sent_bytes) if transfer else "nothing: it is there"
    screen.say(f"{pushed.path.name}, {megabytes(sif.size_bytes)}; sent: {sent}")
    scene = steps.make_scene(profile)
    screen.heading(f"5  Images to work on          invoke stage {short(scene)} --name {DATASET} --site box")
    staged = steps.stage(choice.site, scene, DATASET)
    screen.say(f"{DATASET}: {megabytes(staged.size_bytes)}; sent: {megabytes(staged.sent_bytes)}")
    screen.heading(
        "6  The job                    invoke job --profile cpu --site box --wait -- " + " ".join(ARGUMENTS)
    )
    run = _job(steps, screen, Request(**vars(choice), args=ARGUMENTS, resources=Resources()))
    screen.heading(f"7  Its results                invoke pull --run {run.run_id}")
    with steps.host(choice.site) as host:
        home, _ = pull(host, run, steps.project.results, screen)
    screen.figures(read_figures(home))
    screen.files(home / "out")
    if run.status.wait_code == 0:
        screen.heading("Done")
        screen.say("The box is still there: `./run status`, `ssh -F .slipway/box/ssh_config box`.")
        screen.say("`./run box.down` ends it, with everything that is on it.")
    return run.status.wait_code


def _job(steps: Steps, screen: Terminal, request: Request) -> Run:
    with steps.scratch(request.site) as (host, scratch):
        run = submit(steps.project, request, host, scratch, screen)
        screen.say(f"run {run.run_id}, job {run.job_id}")
        run = screen.follow(host, run, lambda host, run: steps.look(host, [run])[0])
    return steps.keep(run)
