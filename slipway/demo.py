"""The demo: the whole pipeline on one machine, with the steps that a user would take."""

from __future__ import annotations

from slipway.job.run import Run
from slipway.page.write import write_pages
from slipway.resources import Resources
from slipway.steps import box, data, image
from slipway.steps.follow import follow
from slipway.steps.pull import pull
from slipway.steps.session import Choice, Session
from slipway.steps.submit import make_request, submitted
from slipway.terminal.terminal import Terminal
from slipway.terminal.view import show_output
from slipway.text.command_name import command_name
from slipway.text.wording import megabytes, short

DATASET = "room"
ARGUMENTS = ("--task", "infer", "--dataset", DATASET)


def run_demo(session: Session, screen: Terminal) -> int:
    """Go from a Dockerfile to results; returns the job's exit code."""
    profile, command = session.profile("cpu"), command_name()
    screen.heading(f"1  The base image, {profile.base_image}")
    if any(image.ensure_base(session, profile).values()):
        screen.say("It can be pulled from nowhere, so it was made here from Debian packages.")
    screen.heading(f"2  The image with COLMAP      {command} build --profile cpu")
    built_image, built = image.build(session, profile)
    screen.say(f"{built_image.ref}, {megabytes(built_image.size_bytes)}" + ("" if built else ", unchanged"))
    screen.heading(f"3  A SLURM cluster            {command} box.up")
    status = box.box_up(session)
    for line in status.lines():
        screen.say(line)
    choice = session.choose("cpu", "box")
    screen.heading(f"4  The image, as a .sif       {command} push --profile cpu --site box")
    sif, _, pushed, transfer = image.push(session, choice)
    sent = megabytes(transfer.sent_bytes) if transfer else "nothing: it is there"
    screen.say(f"{pushed.path.name}, {megabytes(sif.size_bytes)}; sent: {sent}")
    scene = data.make_scene(session, profile)
    screen.heading(
        f"5  Images to work on          {command} stage {short(scene)} --name {DATASET} --site box"
    )
    staged = data.stage(session, choice.site, scene, DATASET)
    screen.say(f"{DATASET}: {megabytes(staged.size_bytes)}; sent: {megabytes(staged.sent_bytes)}")
    screen.heading(
        f"6  The job                    {command} job --profile cpu --site box --wait -- "
        + " ".join(ARGUMENTS)
    )
    run = _job(session, screen, choice)
    screen.heading(f"7  Its results                {command} pull {run.run_id}")
    results = pull(session, run.run_id).results
    show_output(screen, results.output)
    results.check()
    page = write_pages([run], session.project.results, session.progress)
    screen.say(f"A page of it, for a browser: {short(page)}")
    if run.status.wait_code == 0:
        screen.heading("Done")
        screen.say(f"The box is still there: `invoke status`, `ssh -F {short(status.box.ssh_config)} box`.")
        screen.say("`invoke box.down` ends it, with everything that is on it.")
    return run.status.wait_code


def _job(session: Session, screen: Terminal, choice: Choice) -> Run:
    with submitted(session, make_request(choice, ARGUMENTS, Resources())) as done:
        screen.say(f"run {done.run.run_id}, job {done.run.job_id}")
        return follow(session, done.host, done.run, choice.site, screen.log)
