"""The image in a container on the node: that it starts, and the GPUs that are seen in it."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped
from slipway.job.script import Job, container_command
from slipway.runtime.choose import find_runtime

_NO_LINES, _NO_IMAGE = 3, 6
# Stands for the test job's folder, whose name is not known yet.
_HERE = "/slipway-here"
_INSIDE = r"""
echo "begun yes"
echo "glibc $(getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 1)"
echo x >/out/inside && echo "writes yes"
"""
_INSIDE_GPU = r"""
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1 | sed "s/^/gpu /"
    nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sed "s/^/capability /"
else
    echo "no-smi yes"
fi
echo "cuda ${CUDA_VERSION:-}"
if [ -r /opt/slam/versions.json ]; then
    echo "versions $(tr -d "\n" </opt/slam/versions.json)"
elif command -v python3 >/dev/null; then
    python3 -c "import torch; print(\"torch\", torch.version.cuda, *torch.cuda.get_arch_list())" 2>/dev/null
fi
for file in /.singularity.d/libs/libcuda.so* /.singularity.d/libs/libnvidia-ml.so*; do
    [ ! -e "$file" ] || echo "needs $(grep -aoh "GLIBC_[0-9][0-9.]*" "$file" | sort -u | tr "\n" " ")"
done
true
"""
_GPU = re.compile(r"^gpu (?P<name>[^,]+), (?P<driver>[\d.]+), (?P<memory>.+)$", re.M)


def _ask(facts: Facts) -> str:
    here = PurePosixPath(_HERE)
    job = Job(
        run_id="slipway-doctor",
        run_dir=here,
        image=here,
        code=here,
        data=here,
        weights=here,
        resources=facts.wanted.resources,
        home=facts.profile.mount_home,
    )
    command = shlex.join(container_command(job, facts.there)).replace(_HERE, '"$here"')
    inside = _INSIDE + (_INSIDE_GPU if facts.wanted.resources.gpu_count else "")
    runtime, gpus = find_runtime(facts.there.container.command), bool(facts.wanted.resources.gpu_count)
    lines = runtime.try_lines(command, shlex.quote(inside), gpus=gpus)
    image = f"$scratch/slipway/images/{facts.profile.image}{runtime.form.link}"
    return f"""
load_site || exit {_NO_LINES}
image=$(readlink -e -- "{image}") || exit {_NO_IMAGE}
{lines}
"""


def _look(facts: Facts, answer: Answer) -> Finding:
    if answer.exit_code == _NO_IMAGE:
        return skipped(f"the image {facts.profile.image} is not there yet")
    so = "a job would end with launch-failure"
    if answer.value("begun") is None:
        lines = [line for line in answer.text.strip().splitlines() if line.strip()]
        said = " / ".join(lines[-3:]) or f"exit code {answer.exit_code}"
        return failed(f"it does not start: {said[:400]}", so=so, fix=_remedy(facts, answer.text))
    if answer.value("writes") is None:
        fix = "look at container.flags and container.binds in " + facts.file
        return failed("it starts, and cannot write to /out", so="a job would lose its results", fix=fix)
    return ok(answer.value("glibc") or "it starts")


def _remedy(facts: Facts, said: str) -> str:
    """What usually helps, by what the container command says; for words only."""
    for pattern, remedy in (
        (r"not found", f"name the module that brings {facts.there.container.command} in {facts.file}"),
        (r"user namespace|namespaces", "ask the site for user namespaces on the nodes, or apptainer-suid"),
        (r"zstd|unknown compression|squashfs", f"`compression: gzip` in {facts.file}, then `invoke push`"),
        (r"fuse", "ask the site for /dev/fuse on the nodes"),
        (r"mount|bind", f"look at container.binds in {facts.file}: each has to be there on the nodes"),
        (r"exec format", "the image is for another processor: PLATFORM of the profile"),
    ):
        if re.search(pattern, said, re.I):
            return remedy
    return "run the same by hand on a node, and ask the site"


def _look_at_gpu(facts: Facts, answer: Answer) -> Finding:
    wanted = facts.wanted.resources.gpu_count
    if not wanted:
        return skipped("the profile asks for none")
    return judge_gpus(facts.answer("node-container"), wanted)


def judge_gpus(inside: Answer, wanted: int) -> Finding:
    """Whether the GPUs that were asked for are seen in the container."""
    found = [match["name"] for match in _GPU.finditer(inside.text)]
    so = "the program would run without a GPU, or end with: no CUDA device"
    if len(found) >= wanted:
        return ok(f"{len(found)} in the container: {', '.join(dict.fromkeys(found))}")
    if found:
        fix = "does gpu_request in the site's file fit? `gres` and `gpus` count differently"
        return failed(f"{len(found)} of {wanted} are seen: {', '.join(found)}", so=so, fix=fix)
    said = inside.value("gpu")
    seen = f"none is seen: {said}" if said else "none is seen: there is no nvidia-smi in the container"
    fix = (
        "is that a node with NVIDIA's driver? Name its partition and GPUs (--partition, --gpus), and look at "
        "gpu_request and container.flags in the site's file"
    )
    return failed(seen, so=so, fix=fix)


CHECKS = (
    Check(
        name="node-container",
        title="container starts",
        place=Place.NODE,
        about="The image starts on the node as a job's does, and can write to `/out`.",
        predicts="A job ends with `launch-failure`.",
        look=_look,
        ask=_ask,
        needs=("node-scratch",),
    ),
    Check(
        name="gpu",
        title="GPU",
        place=Place.NODE,
        about="As many GPUs as the profile asks for are seen in the container.",
        predicts="The program ends with: no CUDA device.",
        look=_look_at_gpu,
        needs=("node-container",),
    ),
)
