"""What users write."""

from __future__ import annotations

import shutil
from pathlib import Path

from slipway.build_secret import parse_build_secret
from slipway.builder import parse_base
from slipway.code.dockerignore import read_dockerignore
from slipway.completion.bash_line import read_line
from slipway.dask.cluster_file import read_cluster_file
from slipway.dataset.catalog import load_catalog
from slipway.errors import SlipwayError
from slipway.image import copied, dockerfile
from slipway.image.definition_file import parse_definition
from slipway.image.endpoint import find_endpoint, list_contexts
from slipway.init.detect import has_dependencies
from slipway.job import selection, wanted
from slipway.job_file.look import check_calibration, check_groundtruth
from slipway.job_file.spec import load_job_file
from slipway.keep.age import parse_age
from slipway.local.setting import parse_mount, parse_port
from slipway.notify.target import parse_targets
from slipway.profile import load_profile, parse_overrides
from slipway.quantity import mebibytes, minutes, parse_array
from slipway.registry.layercache import parse_stages
from slipway.registry.reference import parse_reference
from slipway.scheduler.choose import parse_resources
from slipway.scheduler.host.request import parse_options
from slipway.sif.definition.instruction import parse_instructions, read_list
from slipway.site import Login
from slipway.site_file import load_site
from slipway.ssh import hostkey
from slipway.ssh.config import list_aliases
from slipway.ssh.target import Target, resolve_target
from slipway.steps.report import parse_names, parse_span
from slipway.sweep.parameter import parse_each
from slipway.sweep.spec import load_spec
from slipway.tunnel.port import parse_ports
from slipway.yaml_text import add_entries
from tests.fuzz.parsers.common import NOW, ROOT, Parser, as_bytes, as_file, each, folder, from_tests, of
from tests.fuzz.samples import files, literals, repository


def _site(file: Path) -> object:
    return load_site([file.parent], "site")


def _profile(file: Path) -> object:
    base = file.with_name(".env.base")
    if not base.exists():
        base.write_text((ROOT / "env" / ".env.base").read_text(encoding="utf-8"), encoding="utf-8")
    return load_profile(file.parent, "mine", share=ROOT / "env")


def _ssh_config(text: str) -> None:
    # `Match exec` runs what stands there, as OpenSSH does; and a pattern may name all of a disk.
    low = text.lower()
    if "exec" in low or ("include" in low and "*" in low):
        return
    file = folder() / "ssh" / "config"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(as_bytes(text))
    each(
        lambda _: resolve_target(Login(host="cluster", ssh_config=str(file)), file.parent),
        lambda _: list_aliases(file, file.parent),
    )(text)


def _known_hosts(file: Path) -> None:
    target = Target(
        host="a", port=22, user="me", key_name="a", known_hosts=(str(file),), global_known_hosts=()
    )
    key = hostkey.HostKey(kind="ssh-ed25519", blob=b"7")
    hostkey.check_host_key(target, key)
    hostkey.known_kinds(target)
    hostkey.list_keys(file.read_text(encoding="utf-8", errors="surrogateescape"), "a")


def _contexts(file: Path) -> None:
    home = file.parent
    (home / ".docker").mkdir(exist_ok=True)
    shutil.copyfile(file, home / ".docker" / "config.json")
    folder = home / ".docker" / "contexts" / "meta" / "a"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / "meta.json")
    find_endpoint({}, home)
    list_contexts(home / ".docker")


def _spec(file: Path) -> None:
    load_spec(file).elements  # noqa: B018


def _added(text: str) -> object:
    return add_entries(text, "queues", {"p": {"max_time": "1:00:00"}})


_ARGS = {"BASE_IMAGE": "debian", "A": "b"}
_DOCKERFILES = lambda: (  # noqa: E731
    *repository("docker/Dockerfile.*"),
    *repository("examples/*/Dockerfile"),
    *literals("test_dockerfile", "test_copied", "test_features"),
)


def _dockerfile(text: str) -> None:
    dockerfile.parse_bases(text, _ARGS)
    copied.parse_sources(text, _ARGS)
    parse_stages(text)
    for instruction in dockerfile.read_instructions(text):
        dockerfile.read_from(instruction.text)
        dockerfile.read_settings(instruction.text)


WRITTEN = (
    Parser(
        name="site",
        source="a user's files",
        read=as_file(_site, "site/site.yaml"),
        samples=lambda: (*repository("cluster/*.yaml"), *literals("test_site")),
        share=1,
        words=(
            "login:",
            "paths:",
            "queues:",
            "monitor:",
            "defaults:",
            "container:",
            "hosts:",
            "dask:",
            "scheduler: pbs",
            "scheduler: host",
            "scheduler: ngc",
        ),
    ),
    Parser(
        name="profile",
        source="a user's files",
        read=as_file(_profile, "profile/.env.mine"),
        samples=lambda: (*repository("env/.env.*"), *literals("test_profile")),
        share=0.5,
    ),
    Parser(
        name="catalog",
        source="a user's files",
        read=as_file(lambda file: load_catalog([file]), "catalog/datasets.yaml"),
        samples=lambda: (*repository("cluster/datasets.yaml"), *literals("test_dataset_catalog")),
        share=0.5,
    ),
    Parser(
        name="sweep-file",
        source="a user's files",
        read=as_file(_spec, "spec/sweep.yaml"),
        samples=from_tests("test_sweep", "test_sweep_limit"),
        share=1,
    ),
    Parser(
        name="job-file",
        source="a user's files",
        read=as_file(load_job_file, "jobfile/job.yaml"),
        samples=from_tests("test_job_file"),
        share=1,
    ),
    Parser(
        name="cluster.yaml",
        source="a user's files",
        read=as_file(read_cluster_file, "dask/cluster.yaml"),
        samples=from_tests(
            "test_dask",
            more=(
                "workers:\n  - host1.gatech.edu\n  - host2\n",
                "username: me\nworkers:\n  - host: a\n    gpus: 1\n    system_memory: 10GB\n",
                "workers: [a, a]\nscheduler:\n  port: 8786\n",
            ),
        ),
    ),
    Parser(
        name="yaml-text",
        source="a user's files",
        read=_added,
        samples=from_tests("test_yaml_text"),
        share=0.3,
        errors=(SlipwayError, ValueError),
    ),
    Parser(
        name="ssh_config",
        source="a user's files",
        read=_ssh_config,
        samples=from_tests("test_target", "test_kept_hosts"),
        share=1,
    ),
    Parser(
        name="known_hosts",
        source="a user's files",
        read=as_file(_known_hosts, "known/hosts"),
        samples=from_tests(
            "test_hostkey", more=("a ssh-ed25519 Nw==\n@revoked * ssh-rsa AAAA\n|1|AAAA|AAAA ssh-rsa AAAA\n",)
        ),
    ),
    Parser(name="dockerfile", source="a user's files", read=_dockerfile, samples=_DOCKERFILES, share=2),
    Parser(
        name="dockerfile-steps",
        source="a user's files",
        read=each(parse_instructions, read_list),
        samples=_DOCKERFILES,
    ),
    Parser(
        name="definition-file",
        source="a user's files",
        read=lambda text: parse_definition(text, _ARGS),
        samples=lambda: (*files("definition/*"), *literals("test_definition")),
    ),
    Parser(
        name="dockerignore",
        source="a user's files",
        read=as_file(lambda file: read_dockerignore(file.parent).leaves_out("a/b"), "ignore/.dockerignore"),
        samples=from_tests("test_dockerignore"),
    ),
    Parser(name="pyproject", source="a user's files", read=has_dependencies, samples=from_tests("test_init")),
    Parser(
        name="docker-context",
        source="a user's files",
        read=as_file(_contexts, "contexts/x.json"),
        samples=from_tests(
            "test_endpoint",
            more=('{"currentContext": "a", "Name": "a", "Endpoints": {"docker": {"Host": "unix:///x"}}}',),
        ),
    ),
    Parser(
        name="calibration",
        source="a user's files",
        read=each(as_file(check_calibration, "look/cam.txt"), as_file(check_groundtruth, "look/gt.txt")),
        samples=from_tests("test_job_file", "test_picture"),
    ),
    Parser(
        name="bash-line",
        source="a user's words",
        read=read_line,
        samples=from_tests("test_tab", "test_completion"),
    ),
    Parser(
        name="sizes-times",
        source="a user's words",
        read=each(
            minutes,
            mebibytes,
            parse_array,
            lambda text: parse_age(text, "--age"),
            lambda text: selection.parse_since(text, NOW),
            lambda text: selection.parse_states([text]),
            wanted.parse_tasks,
            wanted.parse_attempt,
            lambda text: wanted.parse_only([text]),
            lambda text: parse_names("--user", [text]),
            lambda text: parse_span(text, None, NOW),
            lambda text: parse_span(None, text, NOW),
        ),
        samples=from_tests(
            "test_resources",
            "test_select",
            "test_wanted",
            "test_size_limit",
            "test_keep_words",
            more=("30d", "1:00:00", "4G", "0-9:2,12", "200M", "2026-11-01T14:30"),
        ),
        share=0.5,
    ),
    Parser(
        name="resources",
        source="a user's words",
        read=lambda text: parse_resources(
            dict(
                zip(
                    ("time", "mem", "gpus", "array", "cpus", "nodes", "dependency"),
                    text.split("\n"),
                    strict=False,
                )
            )
        ),
        samples=of("1:00:00\n4G\na100:2\n0-9%2\n4\n1\nafterok:7", "30\n4096\n1\n0\n1\n2\nsingleton"),
        share=0.5,
    ),
    Parser(
        name="overrides",
        source="a user's words",
        read=each(
            lambda text: parse_overrides([text]),
            lambda text: parse_each([text]),
            parse_ports,
            parse_reference,
            lambda text: parse_options(text.split()),
        ),
        samples=from_tests(
            "test_sweep",
            "test_registry",
            more=("seed=0..9:2", "8888:0", "ghcr.io/a/b:1@sha256:" + "0" * 64, "TIME=1"),
        ),
    ),
    Parser(
        name="mounts",
        source="a user's words",
        read=each(
            lambda text: parse_mount(text, Path("/p")),
            lambda text: parse_port(text, Path("/p")),
            lambda text: parse_base(text, Path("/p")),
            lambda text: parse_build_secret(text, Path("/p")),
            lambda text: parse_targets([text]),
            errors=(SlipwayError, ValueError),
        ),
        samples=from_tests("test_local", "test_notify", "test_builder", "test_build_secret"),
        errors=(SlipwayError, ValueError),
    ),
)
