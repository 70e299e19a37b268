"""The text of the files that `init` writes, and the lines that it adds to others. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from slipway.init.answers import Answers

GITIGNORE_WHY = "# Slipway: its state, results that it brought, and what is personal."
GITIGNORE = ("/.slipway/", "/results/", "env/.env.local")
# Where env/ is ignored, as a virtual environment would be: the profiles in it are not. The order counts.
UNIGNORE = ("!/env/", "/env/*", "!/env/.env.*")
# These have to be in a .dockerignore; the others in DOCKERIGNORE_TEXT are only of no use to a job.
DOCKERIGNORE = (".slipway", "results", "env/.env.local")
DOCKERIGNORE_TEXT = """\
# What no job and no image needs. It is left out of the code that jobs are sent, and of builds in this folder.
.git
.slipway
results
env/.env.local
.venv
venv
**/__pycache__
**/.*_cache
"""
TASKS = "from slipway.tasks import slipway_tasks\n\nns = slipway_tasks(__file__)\n"
_NAME_LENGTH = 63
_PROFILE = """\
# The profile `base`: what jobs of this repository run in, and what they ask for. Slipway's
# env/.env.example explains every key that there is.
IMAGE={image}
# The folder that it lies in is what its build may copy from.
DOCKERFILE={dockerfile}
# What is put before the words behind `--`. Empty: they are the whole command line.
PROGRAM=
# The code of a job is this repository, without what git ignores or .dockerignore names. CODE_DIR=src
# makes it that folder alone.
# What each job asks for, where its command line does not say it; without these, as the site has it:
# GPUS=1
# TIME=4:00:00
# MEM=32G
"""
_SITE = """\
# The cluster {name}. Slipway's cluster/example.yaml explains every key.
login:
  host: {host}
{user}\
paths:
  # Large and fast; Slipway keeps all that it sends and makes in slipway/ there.
  scratch: {scratch}
# Most clusters want some of these, too:
# modules: [apptainer]
# defaults:
#   account: my-project
#   partition: gpu
#   time: "1:00:00"
"""


def image_name(folder: str) -> str:
    """A name for an image, made from a folder's: lower case letters and digits, single ``. _ -`` between."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[._-]{2,}", "-", re.sub(r"[^a-z0-9._-]+", "-", plain))
    return words.strip("._-")[:_NAME_LENGTH].rstrip("._-") or "project"


def render_profile(image: str, dockerfile: str) -> str:
    """The text of ``env/.env.base``."""
    return _PROFILE.format(image=image, dockerfile=dockerfile)


def render_local(site: str) -> str:
    """The text of ``env/.env.local``."""
    return f"# What is personal. It overrides env/.env.base, and git does not track it.\nSITE={site}\n"


def render_site(answers: Answers) -> str:
    """The text of ``cluster/<site>.yaml``; the answers have a host."""
    user = f"  user: {_scalar(answers.user)}\n" if answers.user else ""
    host = _scalar(answers.host or "")
    return _SITE.format(name=answers.site, host=host, user=user, scratch=_scalar(answers.scratch))


def missing_rules(content: bytes, wanted: Iterable[str]) -> list[str]:
    """Those rules that an ignore file says nothing about, neither that a path is ignored nor that not."""
    there = {_bare(line) for line in content.decode("utf-8-sig", errors="replace").splitlines()}
    return [rule for rule in wanted if _bare(rule) not in there]


def added_lines(content: bytes, lines: Iterable[str]) -> bytes:
    """What is to be put behind a file's content so that these lines follow, with its own line ends."""
    end = b"\r\n" if 2 * content.count(b"\r\n") > content.count(b"\n") else b"\n"
    begin = b"" if not content or content.endswith(b"\n") else end
    return begin + b"".join(line.encode() + end for line in lines)


def find_setting(content: bytes, key: str) -> str | None:
    """The value of a key in the text of a dotenv file; ``None`` where it is not set."""
    pattern = rf"^[ \t]*(?:export[ \t]+)?{key}[ \t]*=[ \t]*['\"]?([^\s'\"#]*)"
    match = re.search(pattern, content.decode("utf-8-sig", errors="replace"), re.M)
    return match[1] if match else None


def _bare(rule: str) -> str:
    return rule.strip().removeprefix("!").strip("/")


def _scalar(text: str) -> str:
    """A text as a value of YAML; in quotes only where it would be taken for something else."""
    import yaml

    return yaml.safe_dump(text, width=10_000, allow_unicode=True).removesuffix("\n").removesuffix("\n...")
