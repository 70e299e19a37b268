"""What the job script costs, from its start to the program's first instruction."""

from __future__ import annotations

from bench.submit import make_code
from bench.suite.figure import Goal, Result, Taken, figure_of
from bench.suite.place import Place, expect
from bench.suite.row import Row, Way, take_turns
from bench.suite.submission import SMALL, push_small

# The first that a job's script does is to read this file, for it is one of a login shell.
_PROFILE = """if [ -n "$SLURM_JOB_ID" ] && [ ! -e ~/began-"$SLURM_JOB_ID" ]; then
    echo "$EPOCHREALTIME" >~/began-"$SLURM_JOB_ID"
fi
[ ! -e ~/.profile ] || . ~/.profile
"""
_PROGRAM = "date +%s.%N"
_BARE = """#!/bin/bash -l
#SBATCH --time=1 --cpus-per-task=1 --mem=100M --output=bare-%j
exec apptainer exec --cleanenv {image} sh -c '{program}' </dev/null
"""
_FIRST = 'cat ~/began-"$1"; cat "$2"'


def measure(place: Place) -> Result:
    """Submit the same program as a job of Slipway's, and as a bare script."""
    push_small(place)
    code = place.folder / "script-code"
    make_code(code, 1)
    image = f"{place.scratch}/slipway/images/{SMALL}.sif"
    bare = _BARE.format(image=image, program=_PROGRAM)
    place.there('printf %s "$1" >~/.bash_profile; printf %s "$2" >~/bare.sh', _PROFILE, bare)
    sets = [f"IMAGE={SMALL}", f"CODE_DIR={code}", "PROGRAM=sh"]
    words = ["job", "--profile", "cpu", "--site", "box", *(w for one in sets for w in ("--set", one))]

    def ours() -> Taken:
        place.slipway(*words, "--time", "1", "--cpus", "1", "--mem", "100M", "--wait", "--", "-c", _PROGRAM)
        run = place.newest_run()
        return _between(place, run["job_id"], f"{run['run_dir']}/attempt-1/log")

    def alone() -> Taken:
        job = place.there("cd && sbatch --wait --parsable bare.sh").split()[-1]
        return _between(place, job, f"bare-{job}")

    try:
        ways = [Way(name="Slipway", act=ours), Way(name="`apptainer exec` alone", act=alone)]
        figures = take_turns(
            place,
            ways,
            times=max(place.options.times, place.options.small(10, 1)),
            warm=True,
            over_line=False,
        )
    finally:
        place.there("rm -f ~/.bash_profile ~/bare.sh ~/began-* ~/bare-*")
    mine, other = (figure_of(figures, "", way.name) for way in ways)
    return Result(
        name=ROW.name,
        title=ROW.title,
        how="Jobs on the box, one at a time. The time goes from the first line that the script's login shell "
        "reads to the time that the "
        "program in the image prints, with `date`. Both begin with the same login shell; Slipway's then "
        "loads the site's modules.",
        figures=tuple(figures),
        goals=(
            Goal(
                what="time over `apptainer exec` alone",
                value=mine.median_s - other.median_s,
                limit=0.5,
                unit="s",
            ),
        ),
    )


def _between(place: Place, job: str, log: str) -> Taken:
    said = place.there(f"cd && {_FIRST}", job, log).split()
    expect(len(said) == 2, f"job {job} has printed {said}")
    return Taken(seconds=float(said[1]) - float(said[0]))


ROW = Row(name="script", title="The job script, from its start to the program", measure=measure)
