"""Compile a Python package with CUDA code, and install it.

python3 compile.py SOURCE TARGET   with TORCH_CUDA_ARCH_LIST, and MAX_JOBS where it is not to be chosen here
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What one compiler takes for lietorch's templates, measured; DROID-SLAM's own kernels take half of that.
JOB_BYTES = 6_600_000_000
EIGEN = Path("/usr/include/eigen3")


def count_jobs(cores: int, memory_bytes: int) -> int:
    """How many compilers run at once: as many as there are cores and memory for, at least one."""
    return max(1, min(cores, memory_bytes // JOB_BYTES))


def find_memory(root: Path = Path("/")) -> int:
    """The bytes of memory that may be used here: what the machine has free, or less if a cgroup says so."""
    meminfo = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    free = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in meminfo}
    limits = [free.get("MemAvailable", free["MemTotal"])]
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (root / "sys/fs/cgroup" / file).read_text(encoding="ascii").strip()
        except OSError:
            continue  # the other version of cgroups, or none
        if text != "max":
            limits.append(int(text))
    return min(limits)


def choose_jobs(wanted: str) -> tuple[int, str]:
    """The number of compilers, and a line that says why."""
    if wanted:
        return int(wanted), f"{wanted} compilers at once, as MAX_JOBS says"
    cores, memory_bytes = len(os.sched_getaffinity(0)), find_memory()
    jobs = count_jobs(cores, memory_bytes)
    memory = f"{memory_bytes / 1e9:.1f} GB of memory"
    if memory_bytes < JOB_BYTES:
        return jobs, f"only {memory}, and a compiler may take {JOB_BYTES / 1e9} GB: it may be killed"
    return jobs, f"{jobs} compilers at once, for {cores} cores and {memory} (MAX_JOBS changes it)"


def link_eigen(source: Path) -> None:
    """Put Debian's Eigen where both packages look for a submodule, which is not fetched."""
    own = source if (source / "lietorch").is_dir() else source / "thirdparty" / "lietorch"
    eigen = own / "eigen"
    if (eigen / "Eigen").is_dir():
        return
    if eigen.is_dir():
        eigen.rmdir()
    own.mkdir(parents=True, exist_ok=True)
    eigen.symlink_to(EIGEN)


def pip(*words: str) -> int:
    """Run pip for the interpreter that this runs in; returns its exit code."""
    argv = ["/opt/pip/bin/pip", "--python", sys.executable, "--disable-pip-version-check", *words]
    return subprocess.run(argv).returncode


def main(argv: list[str]) -> str | None:
    """Compile and install; returns what is wrong."""
    source, target = (Path(word) for word in argv)
    jobs, why = choose_jobs(os.environ.get("MAX_JOBS", ""))
    print(f"{source.name}: {why}", flush=True)
    os.environ["MAX_JOBS"] = str(jobs)
    link_eigen(source)
    with tempfile.TemporaryDirectory() as wheels:
        # Without isolation: it is compiled against the PyTorch that it will run with.
        options = ("--no-deps", "--no-build-isolation", "--no-cache-dir", "-v")
        if pip("wheel", *options, "--wheel-dir", wheels, str(source)):
            return (
                f"{source.name} could not be compiled; if a compiler was `Killed`, set MAX_JOBS below {jobs}"
            )
        made = [str(wheel) for wheel in Path(wheels).glob("*.whl")]
        if pip("install", "--no-deps", "--no-index", "--target", str(target), *made):
            return f"the wheel of {source.name} could not be installed"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
