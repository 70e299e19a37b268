"""What starts containers, and what it needs of the cluster's kernel.

An installation without setuid mounts an image in a user namespace, by FUSE; one with setuid needs neither.
"""

from __future__ import annotations

import re

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped, warning
from slipway.runtime.base import ARCHIVE, REFERENCE
from slipway.runtime.choose import find_runtime

_NOT_FOUND = 4
_SO = "a job would end with launch-failure"
_VERSION = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})(?:\.([0-9]{1,18}))?")
# What the installation says of itself, and where its own programs are.
_FIND = """
load_site >/dev/null 2>&1 || exit 3
echo "loaded yes"
path=$(command -v "$container") || exit 4
libexec=$("$container" buildcfg 2>/dev/null | sed -n 's/^LIBEXECDIR=//p')
conf=$("$container" buildcfg 2>/dev/null | sed -n 's/^[A-Z]*_CONF_FILE=//p')
PATH=$PATH:/usr/sbin:/sbin
for folder in "${libexec:-/usr/libexec}/apptainer/bin" "${libexec:-/usr/libexec}/singularity/bin"; do
    [ -d "$folder" ] && PATH=$folder:$PATH
done
"""
_ASK_COMMAND = """
load_site >/dev/null 2>&1 || exit 3
echo "loaded yes"
for other in apptainer singularity; do command -v "$other" >/dev/null && echo "other $other"; done
if ! path=$(command -v "$container"); then
    type module >/dev/null 2>&1 &&
        for name in apptainer singularity; do module -t avail "$name" 2>&1; done |
        grep -Ei '^(apptainer|singularity)' | sed 's/^/module /'
    exit 4
fi
echo "path $path"
case $container in docker | podman)
    said=$("$container" info 2>&1 >/dev/null) && echo "answers yes" ||
        echo "refusal $(echo "$said" | tail -n 1)" ;;
esac
case $container in
enroot) echo "version enroot $(enroot version 2>&1 | head -n 1)" ;;
srun) ! srun --help 2>&1 | grep -q container-image || echo "answers yes"
    echo "version $(srun --version 2>&1 | head -n 1)" ;;
*) echo "version $("$container" --version 2>&1 | head -n 1)" ;;
esac
"""
_ASK_NAMESPACES = """
for file in user/max_user_namespaces kernel/unprivileged_userns_clone \
    kernel/apparmor_restrict_unprivileged_userns
do [ ! -r "/proc/sys/$file" ] || echo "${file#*/} $(cat "/proc/sys/$file")"; done
said=$(unshare --user --map-root-user --mount true 2>&1) && echo "works yes" || echo "refusal $said"
echo "range $(grep -s "^$(id -un):" /etc/subuid || grep -s "^$(id -u):" /etc/subuid || echo none)"
"""
_ASK_SETUID = f"""{_FIND}
[ -z "$libexec" ] || echo "libexec $libexec"
for folder in "$libexec/apptainer/bin" "$libexec/singularity/bin"; do
    file=$folder/starter-suid
    [ ! -u "$file" ] || echo "starter $(stat -c %U "$file") $file"
done
[ ! -r "$conf" ] || echo "allowed $(sed -n 's/^ *allow setuid *= *//p' "$conf" | tail -n 1)"
"""
_ASK_FUSE = f"""{_FIND}
if [ ! -e /dev/fuse ]; then echo "device missing"
elif [ -r /dev/fuse ] && [ -w /dev/fuse ]; then echo "device open"
else echo "device closed"; fi
for name in squashfuse_ll squashfuse fusermount3 fusermount unsquashfs; do
    ! command -v "$name" >/dev/null || echo "$name $(command -v "$name")"
done
"""
_ASK_ZSTD = f"""{_FIND}
for name in squashfuse_ll squashfuse; do
    file=$(command -v "$name") || continue
    libraries=$(ldd "$file" 2>/dev/null)
    case $libraries in
    *zstd*) echo "fuse yes" ;;
    *libz.*) echo "fuse no" ;;
    *) ! grep -q zstd "$file" || echo "fuse yes" ;; # linked into it
    esac
    break
done
set_to=$(zgrep -sh CONFIG_SQUASHFS_ZSTD /proc/config.gz "/boot/config-$(uname -r)" 2>/dev/null | head -n 1)
case $set_to in *=y) echo "kernel yes" ;; *'not set'*) echo "kernel no" ;; esac
"""


def _is_missing(answer: Answer) -> bool:
    """Whether there is nothing to look at; the site's own lines may also end a script with 0."""
    return answer.exit_code == _NOT_FOUND or answer.value("loaded") is None


def _look_at_command(facts: Facts, answer: Answer) -> Finding:
    wanted = facts.there.container.command
    if answer.value("loaded") is None:
        return failed(
            "the site's modules and lines (modules, before) do not come to their end",
            so=_SO,
            fix=f"look at modules and before in {facts.file}",
        )
    if find_runtime(wanted).form == REFERENCE:
        return skipped("the scheduler starts the image itself")
    if answer.exit_code == _NOT_FOUND:
        return _missing(facts, answer, wanted)
    if _is_engine(facts):
        return _look_at_engine(facts, answer)
    if wanted == "pyxis" and not answer.value("answers"):
        fix = f"ask the site whether it has Pyxis; without it `command: enroot` in {facts.file} may do"
        return failed("srun there knows no --container-image", so=_SO, fix=fix)
    said = answer.value("version") or ""
    version = _VERSION.search(said)
    if version is None:
        return failed(f"`{wanted} --version` says {said[:100]!r}", so=_SO, fix="tell the site's support")
    # Apptainer counts from 1 again.
    if int(version[1]) < 3 and not said.startswith("apptainer"):
        so = f"{_SO}: it cannot read the images that are made today"
        return failed(f"{said} is too old", so=so, fix="ask the site for Apptainer, or a newer module")
    return ok(said)


def _is_engine(facts: Facts) -> bool:
    return find_runtime(facts.there.container.command).form == ARCHIVE


def _look_at_engine(facts: Facts, answer: Answer) -> Finding:
    """Whether an engine answers this user, which its program alone does not say."""
    said = answer.value("version") or facts.there.container.command
    if answer.value("answers"):
        return ok(said)
    why = answer.value("refusal") or "it does not answer"
    fix = "on that host `sudo usermod -aG docker $USER`, and log in anew, or start the engine there"
    if facts.there.container.command == "podman":
        fix = "run `podman info` there: it says what it lacks, often a range of ids in /etc/subuid"
    return failed(f"{said}, and {why}", so=_SO, fix=fix)


def _missing(facts: Facts, answer: Answer, wanted: str) -> Finding:
    seen, other, module = f"there is no {wanted}", answer.value("other"), answer.value("module")
    if other:
        fix = f"`command: {other}` below container: in {facts.file}"
    elif module:
        fix = f"`modules: [{module.removesuffix('(default)')}]` in {facts.file}"
    else:
        fix = f"find out how the site starts containers, and name the module in {facts.file}"
    if facts.has_job:
        so = "only `invoke push --from-registry` needs it here; the test job says whether nodes have it"
        return warning(f"{seen} on the login node", so=so, fix=fix)
    hint = "; if only nodes have it, --job tells"
    return failed(f"{seen} on the login node", so=_SO, fix=fix + hint)


def _look_at_namespaces(facts: Facts, answer: Answer) -> Finding:
    if _is_engine(facts):
        return skipped(f"{facts.there.container.command} does without")
    if answer.value("works"):
        none = answer.value("range") == "none"
        return ok(
            "can be made" + ("; no range of ids in /etc/subuid, which only --fakeroot wants" if none else "")
        )
    why = answer.value("refusal") or "unshare fails"
    for name, off in (
        ("max_user_namespaces", "0"),
        ("unprivileged_userns_clone", "0"),
        ("apparmor_restrict_unprivileged_userns", "1"),
    ):
        if answer.value(name) == off:
            why = f"{name} is {off}"
    seen = f"they cannot be made: {why}"
    if has_setuid(facts):
        return ok(f"{seen}; the setuid installation does without")
    return failed(
        seen,
        so=f"{_SO}: not allowed to create user namespace",
        fix="ask the site for user namespaces (user.max_user_namespaces), or for apptainer-suid",
    )


def has_setuid(facts: Facts) -> bool:
    """Whether the installation there is one with setuid, and may use it."""
    answer = facts.answer("setuid")
    starter = answer.value("starter") or ""
    return starter.partition(" ")[0] == "root" and answer.value("allowed") != "no"


def _look_at_setuid(facts: Facts, answer: Answer) -> Finding:
    if _is_engine(facts):
        return skipped(f"{facts.there.container.command} does without")
    if _is_missing(answer):
        return skipped("there is no container command to look at")
    if answer.value("libexec") is None:
        return skipped(f"`{facts.there.container.command} buildcfg` does not tell where its programs are")
    starter = answer.value("starter")
    if starter is None:
        return ok("none; containers start in user namespaces")
    owner, _, path = starter.partition(" ")
    if owner != "root":
        seen = f"{path} belongs to {owner}, and only root's counts"
        return warning(seen, so="containers start in user namespaces only", fix="tell the site's support")
    if answer.value("allowed") == "no":
        return ok("installed, and turned off (allow setuid = no)")
    return ok("installed")


def _look_at_fuse(facts: Facts, answer: Answer) -> Finding:
    if _is_engine(facts):
        return skipped(f"{facts.there.container.command} does without")
    if _is_missing(answer):
        return skipped("there is no container command to look at")
    if "--unsquash" in facts.there.container.flags:
        return skipped("images are unpacked before they run (--unsquash)")
    if has_setuid(facts):
        return skipped("the setuid installation mounts images by the kernel")
    reader = answer.value("squashfuse_ll") or answer.value("squashfuse")
    device = answer.value("device")
    if device == "open" and reader:
        return ok(f"/dev/fuse, {reader}")
    seen = f"/dev/fuse is {device}" if device != "open" else "there is no squashfuse"
    fix = "ask the site for /dev/fuse that users may open, and for squashfuse"
    if answer.value("unsquashfs"):
        so = "each job unpacks its image first: slow, and it takes the image's size in /tmp"
        return warning(seen, so=so, fix=fix)
    return failed(f"{seen}, and no unsquashfs", so=f"{_SO}: the image cannot be mounted", fix=fix)


def _look_at_zstd(facts: Facts, answer: Answer) -> Finding:
    if _is_engine(facts):
        return skipped(f"{facts.there.container.command} does without")
    if facts.there.container.compression != "zstd":
        return skipped(f"images for {facts.there.name} are compressed with gzip")
    if _is_missing(answer):
        return skipped("there is no container command to look at")
    which = "kernel" if has_setuid(facts) else "fuse"
    said = answer.value(which)
    shown = {"kernel": "the kernel's squashfs", "fuse": "squashfuse"}[which]
    if said == "yes":
        return ok(f"{shown} reads it")
    if said is None:
        return skipped(f"{shown} does not tell; a test job does (--job)")
    fix = f"`compression: gzip` below container: in {facts.file}, then `invoke push`"
    return failed(f"{shown} there cannot read it", so=f"{_SO}: the image cannot be mounted", fix=fix)


CHECKS = (
    Check(
        name="container",
        title="container command",
        place=Place.THERE,
        about="What starts containers is found once modules and `before` are through; its version.",
        predicts="A job ends with `launch-failure`.",
        look=_look_at_command,
        ask=lambda _: _ASK_COMMAND,
    ),
    Check(
        name="setuid",
        title="setuid",
        place=Place.THERE,
        about="Whether it is an installation with setuid, which needs no user namespaces.",
        predicts="Without both, a job ends with `launch-failure`.",
        look=_look_at_setuid,
        ask=lambda _: _ASK_SETUID,
    ),
    Check(
        name="namespaces",
        title="user namespaces",
        place=Place.THERE,
        about="Users may make namespaces: `unshare`, the kernel's settings, `/etc/subuid`.",
        predicts="Without setuid, a job ends with `launch-failure`.",
        look=_look_at_namespaces,
        ask=lambda _: _ASK_NAMESPACES,
    ),
    Check(
        name="fuse",
        title="FUSE",
        place=Place.THERE,
        about="`/dev/fuse` may be opened, and squashfuse is there; not needed with setuid.",
        predicts="Each job unpacks its image, or ends with `launch-failure`.",
        look=_look_at_fuse,
        ask=lambda _: _ASK_FUSE,
    ),
    Check(
        name="zstd",
        title="zstd",
        place=Place.THERE,
        about="What mounts images reads zstd, where images for the site have it.",
        predicts="A job ends with `launch-failure`.",
        look=_look_at_zstd,
        ask=lambda _: _ASK_ZSTD,
    ),
)
