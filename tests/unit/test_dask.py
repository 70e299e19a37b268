"""A Dask cluster on a site's hosts: files that list them, the order, the script in the place of Python."""

import json
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.dask.answer import ClusterState, parse_state, parse_status, parse_versions
from slipway.dask.cluster_file import read_cluster_file
from slipway.dask.copying import send_command
from slipway.dask.options import DaskOptions
from slipway.dask.order import WorkerHost, read_names, render_order, render_queue_order
from slipway.dask.wrapper import Wrapper, render_entry, render_wrapper
from slipway.errors import ConfigError, ParseError, UsageError
from slipway.model import read_values
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Container, Login, Paths
from slipway.site_file import load_site
from slipway.steps.dask_queue import worker_jobs

# gtsfm/configs/cluster.yaml of GTSfM (github.com/borglab/gtsfm, March 2026).
CLUSTER = """# replace by names of host machines, first worker is used for I/O

workers:
  - host1.cc.gatech.edu
  - host2.cc.gatech.edu
  - host3.cc.gatech.edu
"""
# cluster_gpu.yaml beside it.
GPU = """# GPU-enabled cluster configuration

workers:
  - host: localhost
    gpus: 1
    system_memory: "10GB"
  - host: localhost
    gpus: 1
    system_memory: "10GB\""""
# local_scheduler_postgres_remote_cluster.yaml beside it, filled in as in README_DASK_LOCAL_REMOTE.md.
REMOTE = """username: your_username
scheduler:
  port: 8788                 # Port for Dask scheduler to listen on
  dashboard: 8787        # Address for the Dask dashboard UI
workers:
  - your-remote-server.com
database:
  host: localhost
  port: 5432
"""
HOSTS = [WorkerHost(name=f"gpu{one}", user="me", address=(f"gpu{one}", 22), cpus=8) for one in (1, 2)]


def write(folder: Path, text: str, name: str = "cluster.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_gtsfm_s_own_file_is_read_as_it_is(tmp_path: Path) -> None:
    found = read_cluster_file(write(tmp_path, CLUSTER))
    assert [one["host"] for one in found.logins] == [f"host{one}.cc.gatech.edu" for one in (1, 2, 3)]
    assert found.options == {"workers": 1}


def test_a_host_that_is_written_twice_has_two_workers(tmp_path: Path) -> None:
    found = read_cluster_file(write(tmp_path, GPU))
    assert found.logins == ({"host": "localhost"},)
    assert read_values(DaskOptions, found.options) == DaskOptions(workers=2, gpus=2, memory="10G")


def test_user_and_ports_of_a_file_with_a_scheduler(tmp_path: Path) -> None:
    found = read_cluster_file(write(tmp_path, REMOTE))
    assert found.logins == ({"host": "your-remote-server.com", "user": "your_username"},)
    assert found.options == {"workers": 1, "port": 8788, "dashboard": 8787}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hosts: [a]", "workers"),
        ("workers: {}", "workers"),
        ("workers: {worker1.example.com: 9000}", "a list of hosts"),
        ("workers: [a, 7]", r"workers\[1\]"),
        ("workers: ['-oProxyCommand=x']", r"workers\[0\]"),
        ("workers: [{host: a, cores: 3}]", "cores is not a key"),
        ("workers: [{host: a, gpus: x}]", "gpus: write a number"),
        ("workers: [{host: a, system_memory: lots}]", "such as 10GB"),
        ("workers: [{host: a, gpus: 1}, b]", "gpus differs"),
        ("workers: [a, a, b]", "a 2 times, b 1 times"),
        ("workers: [a]\nscheduler: {port: x}", r"scheduler\.port"),
        ("workers: [a]\nscheduler: a", "scheduler"),
        ("workers: [a]\nusername: 3", "username"),
        ("workers: [a", "not YAML"),
    ],
)
def test_what_is_no_such_file_is_told_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_cluster_file(write(tmp_path, text))


def test_a_site_whose_hosts_are_such_a_file(tmp_path: Path) -> None:
    write(tmp_path, CLUSTER)
    text = "hosts: cluster.yaml\nlogin: {user: me}\ndask: {threads: 2}\npaths: {scratch: /s}\n"
    write(tmp_path, text, "lab.yaml")
    site = load_site([tmp_path], "lab")
    assert site.login == Login(host="host1.cc.gatech.edu", user="me")
    assert [one.host for one in site.hosts] == ["host2.cc.gatech.edu", "host3.cc.gatech.edu"]
    assert site.dask == DaskOptions(workers=1, threads=2)
    write(tmp_path, "hosts: nowhere.yaml\npaths: {scratch: /s}\n", "lab.yaml")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        load_site([tmp_path], "lab")


def read_order(options: DaskOptions, hosts: list[WorkerHost] = HOSTS, **others: Any) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(
        render_order("dask-1", PurePosixPath("/s/dask/python"), hosts, options, **others)
    )
    return order


def test_the_first_host_is_the_scheduler_and_works_too() -> None:
    order = read_order(DaskOptions(memory="4G", interface="ib0"))
    assert order["scheduler"]["address"] == "gpu1"
    assert order["scheduler_options"] == {"port": 8786, "dashboard_address": ":8787", "interface": "ib0"}
    assert read_names(order) == ["gpu1", "gpu2"]
    assert [one["options"] for one in order["workers"]] == [
        {"name": name, "nthreads": 8, "memory_limit": "4096MiB"} for name in ("gpu1", "gpu2")
    ]
    assert order["workers"][1]["connect"] == {"port": 22, "username": "me"}


def test_hosts_that_are_not_ready_and_a_first_one_that_does_not_work_have_no_worker() -> None:
    assert read_names(read_order(DaskOptions(), ready=HOSTS[:1])) == ["gpu1"]
    assert read_names(read_order(DaskOptions(first_works=False))) == ["gpu2"]
    # A single host does both.
    assert read_names(read_order(DaskOptions(first_works=False), HOSTS[:1])) == ["gpu1"]


def test_workers_of_one_host_share_its_cores_its_memory_and_its_gpus() -> None:
    workers = read_order(DaskOptions(workers=2, gpus=4), HOSTS[:1])["workers"]
    assert [one["options"]["name"] for one in workers] == ["gpu1-0", "gpu1-1"]
    assert {one["options"]["nthreads"] for one in workers} == {4}
    assert {one["options"]["memory_limit"] for one in workers} == {0.5}
    assert [one["python"] for one in workers] == [
        f"env CUDA_VISIBLE_DEVICES={gpus} /s/dask/python" for gpus in ("0,1", "2,3")
    ]


def test_the_job_of_a_worker_is_the_profile_s_without_what_would_end_it() -> None:
    site = SlurmSite(name="hpc", login=Login(host="a"), paths=Paths(scratch="/s"))
    wanted = SlurmResources(cpus=4, mem="8G", time="1:00:00", partition="long", gpus="a100:1")
    jobs = worker_jobs(wanted, DaskOptions(workers=2), site)
    assert (jobs.threads, jobs.memory) == (4, "8G")
    assert {"--cpus-per-task=4", "--mem=8G", "--partition=long", "--gres=gpu:a100:1"} <= set(jobs.directives)
    left_out = ("--signal", "--job-name", "--output")
    assert [one for one in jobs.directives if one.startswith(left_out)] == []
    folder = PurePosixPath("/s/dask")
    order = json.loads(render_queue_order("dask-1", folder, folder / "python", jobs, DaskOptions(workers=2)))
    assert order["job"] == {"cores": 4, "memory": "8192MiB", "log_directory": None}
    assert read_names(order) == ["worker-0", "worker-1"]
    # A worker may be told to take less than its job has.
    assert worker_jobs(wanted, DaskOptions(threads=2, memory="4G"), site).threads == 2
    assert "--mem=8G" in worker_jobs(wanted, DaskOptions(memory="4G"), site).directives
    with pytest.raises(UsageError, match="how much memory"):
        worker_jobs(SlurmResources(), DaskOptions(), site)


WRAPPER = Wrapper(
    cluster="dask-1",
    folder=PurePosixPath("/s/dask"),
    image=PurePosixPath("/s/images/a.sif"),
    code=PurePosixPath("/s/code/x"),
    data=PurePosixPath("/s/data"),
    weights=PurePosixPath("/s/weights"),
)
# Stands in for Apptainer, and shows what it was started with; the integration tests have the real one.
APPTAINER = """#!/bin/sh
printf '%s\\n' "$@"
echo "config=$APPTAINERENV_DASK_INTERNAL_INHERIT_CONFIG gpus=$APPTAINERENV_CUDA_VISIBLE_DEVICES"
printf 'one\\n\\ntwo\\n' >&2
"""


def start(
    tmp_path: Path, site: SlurmSite, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    script = write(tmp_path, render_wrapper(WRAPPER, site), "python")
    fake = write(tmp_path, APPTAINER, "apptainer")
    for file in (script, fake):
        file.chmod(0o700)
    profile = write(tmp_path, f"PATH={tmp_path}:$PATH\n", ".bash_profile").parent
    own = {"HOME": str(profile), "PATH": "/usr/bin:/bin", **environment}
    return subprocess.run([script, *words], env=own, capture_output=True, text=True, timeout=60, check=True)


def test_words_reach_the_container_as_they_are(tmp_path: Path) -> None:
    site = SlurmSite(
        name="lab",
        login=Login(host="a"),
        paths=Paths(scratch="/s"),
        before="export BEFORE=@image@",
        container=Container(binds=("/etc/pki:/etc/pki:ro",)),
    )
    spec = '{"cls": "distributed.Nanny", "opts": {"name": "a $b \'c\'"}}'
    done = start(
        tmp_path, site, "-m", "x", spec, "", DASK_INTERNAL_INHERIT_CONFIG="e30=", CUDA_VISIBLE_DEVICES="1"
    )
    lines = done.stdout.splitlines()
    assert lines[-5:-1] == ["-m", "x", spec, ""]
    assert lines[-1] == "config=e30= gpus=1"
    assert "/etc/pki:/etc/pki:ro" in lines
    assert "/s/dask:/dask:ro" in lines
    # Dask's SSHCluster takes an empty line for the end.
    assert done.stderr.splitlines() == ["one", "two"]


def test_only_the_cluster_s_own_process_sees_the_keys(tmp_path: Path) -> None:
    site = SlurmSite(name="lab", login=Login(host="a"), paths=Paths(scratch="/s"))
    (tmp_path / ".ssh").mkdir()
    lines = start(tmp_path, site, "-m", "x", SLIPWAY_DASK_LEADS="yes").stdout.splitlines()
    assert f"{tmp_path}/.ssh:{tmp_path}/.ssh:ro" in lines
    assert "/s/dask:/dask" in lines
    assert not any(".ssh" in line for line in start(tmp_path, site, "-m", "x").stdout.splitlines())


def test_the_profile_s_variables_are_no_shell_text() -> None:
    hostile = {"A": 'it\'s $HOME `id` "x"\nB=2', "DASK_LOGGING__DISTRIBUTED": "error", "PYTHONPATH": "/mine"}
    shown = 'printf "%s|%s|%s|%s" "$A" "$DASK_LOGGING__DISTRIBUTED" "$PYTHONPATH" "$DASK_TEMPORARY_DIRECTORY"'
    done = subprocess.run(
        ["sh", "-c", render_entry(hostile) + shown], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{hostile['A']}|info|/dask:/mine|/tmp"


def test_a_file_is_sent_by_a_host_without_a_question() -> None:
    path = PurePosixPath("/s/images/a.sif")
    argv = send_command(path, path.with_name(".a.sif.part"), "me", ("gpu2", 2222))
    assert argv[3:] == [
        *("slipway", "/s/images/a.sif", "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
        *("-o", "UpdateHostKeys=no", "-p", "2222", "--", "me@gpu2"),
        "mkdir -p /s/images && cat >/s/images/.a.sif.part",
    ]


def test_answers_are_found_among_other_lines() -> None:
    text = 'Welcome\nslipway-dask {"versions": {"python": "3.13.5", "dask": null}, "cpus": 4}\nbye\n'
    versions = parse_versions(text)
    assert (versions.cpus, versions.lacks("python", "dask", "asyncssh")) == (4, ["dask", "asyncssh"])
    worker = '{"name": "gpu1", "address": "tcp://a:1", "threads": 2, "memory_bytes": 5, "limit_bytes": 9, '
    worker += '"cpu": 3.5, "tasks": 1}'
    state = parse_status(
        'slipway-dask {"cluster": "dask-1", "state": "runs", "address": "tcp://a:8786", '
        f'"scheduler": {{"workers": [{worker}], "tasks": {{"memory": 3}}, "dashboard": 8787}}}}'
    )
    assert (state.is_alive, state.dashboard, state.tasks) == (True, 8787, {"memory": 3})
    assert state.workers[0].cpu_percent == 3.5
    assert parse_state(None) == ClusterState(state="none")


@pytest.mark.parametrize(
    "text",
    ["", "slipway-dask", "slipway-dask {", "slipway-dask []", 'slipway-dask {"versions": 3, "cpus": 1}'],
)
def test_what_is_no_answer_is_told(text: str) -> None:
    with pytest.raises(ParseError):
        parse_versions(text)


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"scheduler": {"workers": [{}]}}', b'{"problems": 3}'])
def test_what_is_no_state_is_told(text: bytes) -> None:
    with pytest.raises(ParseError):
        parse_state(text)
