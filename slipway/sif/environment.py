"""The image's ENV, where Apptainer would change it.

Apptainer writes ENV into a script, ``export NAME="${NAME:-"value"}"``, and escapes the value with
backslashes, which stay in it when the script is read (seen with 1.4.5). So ``"``, ``$``, backslashes and line
breaks come out as other values, what looks like a command is run, and one backquote loses the whole
environment. Such variables are given to Apptainer as a script of the image's own, which it runs too.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable

SCRIPT = ".singularity.d/env/11-image.sh"
_HARD = re.compile(r"[\"$`\\\x00-\x1f\x7f]")
# What a shell has variables for; Apptainer leaves out all others.
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def is_hard(pair: str) -> bool:
    """True where Apptainer would change the value of ``NAME=value``."""
    name, _, value = pair.partition("=")
    return bool(VARIABLE.match(name) and _HARD.search(value))


def environment_layer(pairs: Iterable[str]) -> bytes:
    """A layer, an uncompressed tar archive, with the script that sets ``NAME=value`` as they are.

    As with Apptainer's own, a value that is there already counts.
    """
    text = "#!/bin/sh\n"
    for pair in pairs:
        name, _, value = pair.partition("=")
        # Not '\'' as usual: Apptainer's own reader of such scripts keeps that backslash (seen with 1.4.5).
        quoted = value.replace("'", "'\"'\"'")
        text += f"if [ -z \"${{{name}:-}}\" ]; then export {name}='{quoted}'; fi\n"
    content = text.encode("utf-8", errors="surrogateescape")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in (".singularity.d", ".singularity.d/env"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        member = tarfile.TarInfo(SCRIPT)
        member.mode, member.size = 0o755, len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
