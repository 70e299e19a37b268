"""The modules that the site's file names."""

from __future__ import annotations

import shlex

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, skipped
from slipway.text.nearest import find_nearest

_NO_MODULES, _MISSING = 3, 4
_SO = "a job would end with launch-failure before its program began"
# Old versions of the command say that there is no such module, and end with 0.
_ASK = """
type module >/dev/null 2>&1 || exit 3
said=$(mktemp)
trap 'rm -f "$said"' EXIT
for name in "${names[@]}"; do
    module load "$name" >"$said" 2>&1
    code=$?
    if [ "$code" -ne 0 ] || grep -Eq 'ERROR|Unable to locate|unknown' "$said"; then
        echo "missing $name"
        echo "said $(head -c 300 "$said" | tr '\\n' ' ')"
        module -t avail "${name%%/*}" 2>&1 | sed 's/^/avail /' | head -n 40
        exit 4
    fi
done
"""


def _ask(facts: Facts) -> str:
    return f"names=({shlex.join(facts.there.modules)}){_ASK}" if facts.there.modules else "true"


def _look(facts: Facts, answer: Answer) -> Finding:
    names = facts.there.modules
    if not names:
        return skipped(f"{facts.there.file} names none")
    if answer.exit_code == _NO_MODULES:
        fix = f"remove modules from {facts.file}, or find out from the site how bash gets the command"
        return failed("there is no command `module` in a login shell there", so=_SO, fix=fix)
    if answer.exit_code == _MISSING:
        name = answer.value("missing") or ""
        return failed(
            f"{name} cannot be loaded: {answer.value('said')}", so=_SO, fix=_fix(facts, answer, name)
        )
    if answer.exit_code != 0:
        seen = f"loading {', '.join(names)} ended with exit code {answer.exit_code}: {answer.words[-200:]}"
        return failed(seen, so=_SO, fix=f"load them by hand there, and correct modules in {facts.file}")
    return ok(", ".join(names))


def _fix(facts: Facts, answer: Answer, name: str) -> str:
    lines = (line.removeprefix("avail ").strip() for line in answer.text.splitlines() if line[:6] == "avail ")
    there = [line.split()[0].removesuffix("(default)") for line in lines if line and not line.endswith(":")]
    there = [one for one in there if one.partition("/")[0] == name.partition("/")[0] and one != name]
    if there:
        near = find_nearest(name, there) or there[-1]
        return f"write {near} below modules: in {facts.file}; there are {', '.join(there[:6])}"
    return f"correct modules in {facts.file}; `module avail` there lists what there is"


CHECKS = (
    Check(
        name="modules",
        title="modules",
        place=Place.THERE,
        about="Each module of the site's file can be loaded, in their order.",
        predicts="A job ends with `launch-failure`.",
        look=_look,
        ask=_ask,
    ),
)
