"""What Apptainer writes of where an image came from and when it was built, as the image itself has it.

So the same image gives the same bytes wherever it is converted, and whenever.
"""

from __future__ import annotations

import re
import time

_DATE = re.compile(rb'("org\.label-schema\.build-date":\s*")[^"]*')
_LABEL = re.compile(rb'("org\.label-schema\.usage\.singularity\.deffile\.from":\s*")[^"]*')
# A definition file, alone and as a JSON string.
_FILE = re.compile(rb"(\A(?:bootstrap|Bootstrap): oci\n(?:from|From): )[^\n]*")
_QUOTED = re.compile(rb'("deffile":\s*"[Bb]ootstrap: oci\\n[Ff]rom: )(?:[^"\\]|\\[^n])*')


def with_origin(text: bytes, origin: str, created: int) -> bytes:
    """The text with an image's own words.

    Args:
        text: a definition file, labels or what ``apptainer inspect`` shows, as Apptainer wrote it.
        origin: what to say that it came from; without quotes and backslashes.
        created: seconds since 1970.
    """
    date = time.strftime("%A_%d_%B_%Y_%H:%M:%S_UTC", time.gmtime(created)).encode()
    for pattern, value in ((_DATE, date), *((one, origin.encode()) for one in (_LABEL, _FILE, _QUOTED))):
        text = pattern.sub(rb"\g<1>" + value, text)
    return text
