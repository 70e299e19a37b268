"""Submits a job with lxm3: a folder of code, and a .sif. The environment that has lxm3 runs it."""

import sys

from absl import app  # type: ignore[import-not-found]
from lxm3 import xm, xm_cluster  # type: ignore[import-not-found]


def main(argv: list[str]) -> None:
    """Package the code, send it, submit."""
    code, sif = argv[1:]
    with xm_cluster.create_experiment(experiment_title="bench") as experiment:
        executor = xm_cluster.Slurm(walltime=60, resources={"mem": "100M", "cpus-per-task": 1})
        package = xm_cluster.UniversalPackage(entrypoint=["true"], path=code, build_script="build.sh")
        container = xm_cluster.SingularityContainer(package, image_path=sif)
        (executable,) = experiment.package([xm.Packageable(container, executor.Spec())])
        experiment.add(xm.Job(executable=executable, executor=executor))


if __name__ == "__main__":
    app.run(main, argv=sys.argv)
