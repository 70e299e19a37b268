"""NOT NVIDIA's `ngc`: a stand-in for it, and for the platform behind it, which cannot be had for tests.

It takes the commands and options that NVIDIA documents (`ngc batch run --help` and so on; NGC CLI 3.41 to
4.19), refuses what they refuse, and prints objects with the names that NVIDIA's own package declares for
them. Jobs are containers of this machine's Docker engine, with a folder in the place of the workspace; so
what a job does is real. Its state is the folder NGC_STAND_IN. `break.json` there has what is to go wrong:

  {"run": "refuse"}        `batch run` is refused, as where a quota is full
  {"run": "lose-answer"}   the job is made, and then the connection is lost
  {"upload": "refuse"}, {"download": "refuse"}, {"list": "refuse"}
  {"queue": true}          jobs stay QUEUED

"once": true in it takes it away after the first time. Nothing was ever compared with the service itself.
"""

import argparse
import fcntl
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NoReturn

STATE = Path(os.environ["NGC_STAND_IN"])
OWN = f"ngc-stand-in-{STATE.resolve().as_posix().replace('/', '-').strip('-')[-60:]}"
INSTANCES = {
    "dgxa100.80g.1.norm": {"gpus": 1, "cpuCores": 15.0, "systemMemory": 127 * 1024},
    "dgxa100.80g.8.norm": {"gpus": 8, "cpuCores": 120.0, "systemMemory": 1000 * 1024},
    "cpu.x86.tiny": {"gpus": 0, "cpuCores": 1.0, "systemMemory": 512},
}
OVER = {
    "FINISHED_SUCCESS",
    "FAILED",
    "KILLED_BY_USER",
    "KILLED_BY_SYSTEM",
    "FAILED_RUN_LIMIT_EXCEEDED",
    "CANCELED",
}
# What NVIDIA's program refuses in the name of a file that it is to upload.
FORBIDDEN = re.compile(r'[<>:;,?"*%|]')
LONGEST_S = 7 * 86400


def fail(words: str) -> NoReturn:
    """End as NVIDIA's program does: its errors are on standard error, with JSON as JSON."""
    print(json.dumps({"error": words}) if FORMAT == "json" else words, file=sys.stderr)
    raise SystemExit(1)


def broken(what: str) -> str | None:
    """What is to go wrong with a command."""
    file = STATE / "break.json"
    asked = json.loads(file.read_text()) if file.exists() else {}
    if what in asked and asked.get("once"):
        file.unlink()
    answer = asked.get(what)
    return str(answer) if answer else None


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def seconds(moment: str) -> float:
    return datetime.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()


def runtime(text: str) -> int:
    """[nD][nH][nM][nS]"""
    found = re.fullmatch(r"(?:(\d+)D)?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", text.upper())
    if not text or not found:
        raise argparse.ArgumentTypeError(f"Invalid duration: {text}")
    days, hours, minutes, secs = (int(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + secs


def label(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", value) or len(value) > 256:
        raise argparse.ArgumentTypeError(f"Invalid input: '{value}'")
    return value


def docker(*words: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        fail(f"the stand-in's Docker: {done.stderr.strip()}")
    return done.stdout.strip()


# ---- Jobs ---------------------------------------------------------------------------------------


def job_file(number: int) -> Path:
    return STATE / "jobs" / f"{number}.json"


def save(job: dict[str, Any]) -> None:
    file = job_file(job["id"])
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(job, indent=1))
    part.rename(file)


def container(job: dict[str, Any]) -> str:
    return f"{OWN}-{job['id']}"


def refreshed(job: dict[str, Any]) -> dict[str, Any]:
    """The job as it stands now: nothing watches it, so its container is asked."""
    status = job["jobStatus"]
    if status["status"] in OVER or status["status"] == "PREEMPTED":
        return job
    if status["status"] == "QUEUED" and not broken("queue"):
        start(job)
    if status["status"] in ("RUNNING", "PENDING_TERMINATION"):
        end(job)
    save(job)
    return job


def start(job: dict[str, Any]) -> None:
    definition, number = job["jobDefinition"], job["id"]
    mounts = [f"{STATE / 'results' / str(number)}:{definition['resultContainerMountPoint']}"]
    (STATE / "results" / str(number)).mkdir(parents=True, exist_ok=True)
    for one in definition["workspaceMounts"]:
        mounts.append(
            f"{workspace_folder(one['id'])}:{one['containerMountPoint']}:{one['mountMode'].lower()}"
        )
    for one in definition["datasetMounts"]:
        mounts.append(f"{STATE / 'datasets' / str(one['id'])}:{one['containerMountPoint']}:ro")
    docker("rm", "-f", container(job), check=False)
    words = [word for mount in mounts for word in ("-v", mount)]
    memory = f"--memory={definition['resources']['systemMemory']}m"
    docker(
        "run", "-d", "--init", "--name", container(job), *words, memory, "-e", f"NGC_JOB_ID={number}",
        "-e", "NGC_ARRAY_SIZE=1", "--entrypoint", "/bin/sh", definition["dockerImage"], "-c",
        "echo '*** a stand-in, not the platform of NVIDIA ***'\n" + definition["command"],
    )  # fmt: skip
    job["jobStatus"] |= {
        "status": "RUNNING",
        "startedAt": now(),
        "selectedNodes": [{"ipAddress": "10.0.0.7"}],
    }
    limit_s = definition["runPolicy"].get("totalRuntimeSeconds")
    if limit_s:
        # It ends with the container.
        wait = f"timeout {limit_s} docker wait {container(job)}"
        late = f"touch {STATE}/jobs/{number}.limit; docker stop -t 5 {container(job)}"
        script = f"{wait}; [ $? -ne 124 ] || {{ {late}; }}"
        subprocess.Popen(
            ["sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def end(job: dict[str, Any]) -> None:
    found = docker(
        "inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", container(job), check=False
    ).split()
    if found[:1] == ["true"]:
        return
    status, number = job["jobStatus"], job["id"]
    log = docker("logs", container(job), check=False) if found else ""
    (STATE / "results" / str(number) / "joblog.log").write_text(log)
    docker("rm", "-f", container(job), check=False)
    code = int(found[1]) if found else 137
    word = "FINISHED_SUCCESS" if code == 0 else "FAILED"
    if status["status"] == "PENDING_TERMINATION":
        word = "KILLED_BY_USER"
    elif (STATE / "jobs" / f"{number}.limit").exists():
        word = "KILLED_BY_SYSTEM"
    status |= {"status": word, "endedAt": now()}
    status["totalRuntimeSeconds"] = int(seconds(status["endedAt"]) - seconds(status["startedAt"]))


def jobs() -> list[dict[str, Any]]:
    files = sorted((STATE / "jobs").glob("*.json"), key=lambda file: int(file.stem))
    return [refreshed(json.loads(file.read_text())) for file in files]


def find(number: str) -> dict[str, Any]:
    file = job_file(int(number.partition(":")[0]))
    if not file.exists():
        fail(f"Error: Job '{number}' could not be found.")
    return refreshed(json.loads(file.read_text()))


def next_number() -> int:
    (STATE / "jobs").mkdir(parents=True, exist_ok=True)
    number = 7180000
    while True:
        number += 1
        try:
            job_file(number).open("x").write("{}")
        except FileExistsError:
            continue
        return number


def batch_run(args: argparse.Namespace) -> None:
    for name in ("name", "image", "result", "instance"):
        if not getattr(args, name):
            fail(f"Invalid argument: {name} is required")
    if args.instance not in INSTANCES:
        fail(
            f"Client Error: 400 Response: Instance type '{args.instance}' does not exist in ace '{args.ace}'"
        )
    if (args.total_runtime or 0) > LONGEST_S:
        fail("Total Runtime Seconds exceeds ACE maximum.")
    how = broken("run")
    if how == "refuse":
        fail("Client Error: 403 Response: the quota of team 'team' is used up - Request Id: 0")
    number = next_number()
    mounts = [dict(zip(("id", "containerMountPoint", "mountMode"), (*one.split(":"), "RW"), strict=False))
              for one in args.workspace]  # fmt: skip
    datasets = [
        dict(zip(("id", "containerMountPoint"), one.split(":"), strict=True)) for one in args.datasetid
    ]
    for one in mounts:
        workspace_folder(one["id"])
    job = {
        "id": number,
        "aceId": 357,
        "aceName": args.ace,
        "createdDate": now(),
        "jobDefinition": {
            "name": args.name,
            "command": args.commandline,
            "dockerImage": args.image,
            "jobType": "BATCH",
            "resultContainerMountPoint": args.result,
            "workspaceMounts": mounts,
            "datasetMounts": datasets,
            "resources": {"name": args.instance, "type": "GPU", **INSTANCES[args.instance]},
            "runPolicy": {"preemptClass": args.preempt, "totalRuntimeSeconds": args.total_runtime},
        },
        "jobStatus": {"status": "QUEUED", "createdDate": now(), "jobId": number},
        "jobOrder": 50,
        "jobPriority": args.priority,
        "labels": {"isLocked": False, "userLabels": {"values": args.label}},
        "orgName": args.org,
        "submittedByUser": "A Researcher",
        "submittedByUserId": 99,
        "teamName": args.team,
    }
    save(job)
    if how == "lose-answer":
        fail("Error: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))")
    show({"job": job, "jobStatusHistory": []})
    refreshed(job)


def batch_list(args: argparse.Namespace) -> None:
    if broken("list"):
        fail("Error: Request timed out.")
    end_s = moment(args.end_time) if args.end_time else time.time()
    begin_s = moment(args.begin_time) if args.begin_time else end_s - timedelta(days=7).total_seconds()
    found = []
    for job in reversed(jobs()):
        labels = job["labels"]["userLabels"]["values"]
        if not begin_s - 1 <= seconds(job["createdDate"]) <= end_s + 1 or job["teamName"] != args.team:
            continue
        if args.label and not any(fnmatch.fnmatch(one, pattern) for one in labels for pattern in args.label):
            continue
        found.append(job)
    if FORMAT == "csv":
        print("Id,Replicas,Name,Team,Status,Duration,Status Details")
        for job in found:
            words = (job["jobDefinition"]["name"], job["teamName"], job["jobStatus"]["status"])
            print(f"{job['id']},None,{','.join(words)},0:00:00,")
    else:
        show(found)


def moment(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d::%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()


def batch_info(args: argparse.Namespace) -> None:
    show({"job": find(args.job), "jobStatusHistory": []})


def batch_kill(args: argparse.Namespace) -> None:
    """Like NVIDIA's, it ends with 0 whatever comes of it."""
    for number in args.job.split(","):
        job = find(number)
        status = job["jobStatus"]["status"]
        if status in OVER:
            words = (
                f"Killing of job ID: '{number}' failed: Client Error: 409 Job is already in terminal state"
            )
            print(words, file=sys.stderr)
            continue
        if status in ("QUEUED", "PREEMPTED"):
            job["jobStatus"] |= {"status": "KILLED_BY_USER", "endedAt": now()}
        else:
            job["jobStatus"]["status"] = "PENDING_TERMINATION"
            subprocess.Popen(
                ["docker", "stop", "-t", "30", container(job)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        save(job)
        if FORMAT == "ascii":
            print(f"Submitted job kill request for Job ID: '{number}'")


def batch_log(args: argparse.Namespace) -> None:
    job = find(args.job)
    if job["jobStatus"]["status"] == "QUEUED":
        fail("Job is not yet started, there is no log data available.")
    kept = STATE / "results" / str(job["id"]) / "joblog.log"
    if kept.exists():
        sys.stdout.write(kept.read_text())
    else:
        sys.stdout.write(docker("logs", container(job), check=False) + "\n")


def batch_exec(args: argparse.Namespace) -> None:
    """Like NVIDIA's, it runs `sh -c` at a terminal, and hands on no exit code."""
    job = find(args.job)
    if job["jobStatus"]["status"] != "RUNNING":
        fail(f"Cannot run command as job is in: {job['jobStatus']['status']} state")
    terminal = ["-it"] if sys.stdin.isatty() else ["-i"]
    subprocess.run(["docker", "exec", *terminal, container(job), "sh", "-c", args.commandline], check=False)


def batch_preempt(args: argparse.Namespace) -> None:
    job = find(args.job)
    docker("stop", "-t", "10", container(job))
    docker("rm", "-f", container(job), check=False)
    job["jobStatus"] |= {"status": "PREEMPTED", "preemptedAt": now()}
    save(job)


def batch_resume(args: argparse.Namespace) -> None:
    job = find(args.job)
    job["jobStatus"]["status"] = "QUEUED"
    save(job)


# ---- Workspaces and the rest --------------------------------------------------------------------


def workspaces() -> list[dict[str, Any]]:
    file = STATE / "workspaces.json"
    found: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return found


def workspace_folder(word: str) -> Path:
    for one in workspaces():
        if word in (one["id"], one["name"]):
            return STATE / "workspaces" / str(one["id"])
    fail(f"Client Error: 404 Response: Workspace {word} not found.")


def workspace_create(args: argparse.Namespace) -> None:
    made = {"id": f"w{len(workspaces())}xIt2bQSGOMZcHyHTGA", "name": args.name, "aceName": args.ace}
    (STATE / "workspaces" / made["id"]).mkdir(parents=True)
    (STATE / "workspaces.json").write_text(json.dumps([*workspaces(), made]))
    show(made)


def workspace_list(args: argparse.Namespace) -> None:
    show(workspaces())


def workspace_info(args: argparse.Namespace) -> None:
    folder = workspace_folder(args.workspace)
    show(next(one for one in workspaces() if one["id"] == folder.name))


def workspace_upload(args: argparse.Namespace) -> None:
    if broken("upload"):
        fail("Error: upload failed: Client Error: 507 Insufficient Storage")
    source, target = (
        Path(args.source).absolute(),
        workspace_folder(args.workspace) / args.destination.lstrip("/"),
    )
    if not source.exists():
        fail(f"The path: '{source}' does not exist.")
    paths = [path for path in source.rglob("*") if not path.is_dir()] if source.is_dir() else [source]
    for path in paths:
        name = str(path.relative_to(source if source.is_dir() else source.parent))
        if FORBIDDEN.search(name):
            fail(f"File name '{name}' does not match the regex pattern: ^[^<>:;,?\"*%|]+$")
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    with (STATE / "uploads").open("a") as file:
        file.write("".join(f"{args.destination} {path.name}\n" for path in paths))


def workspace_download(args: argparse.Namespace) -> None:
    if broken("download"):
        fail("Error: download failed: Client Error: 503 Service Unavailable")
    folder, target = workspace_folder(args.workspace), Path(args.dest).absolute() / args.workspace
    if not Path(args.dest).is_dir():
        fail(f"The path: '{args.dest}' does not exist.")
    for name in [*args.dir, *args.file]:
        source = folder / name.strip("/")
        if not source.exists():
            fail(f"Client Error: 404 Response: {name} not found")
        place = target / (name.strip("/") if name in args.dir else source.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, place)


def result_download(args: argparse.Namespace) -> None:
    job = find(args.job)
    target = Path(args.dest) / str(job["id"])
    shutil.copytree(STATE / "results" / str(job["id"]), target, dirs_exist_ok=True)


def ace_list(args: argparse.Namespace) -> None:
    show([ace()])


def ace_info(args: argparse.Namespace) -> None:
    show(ace())


def ace() -> dict[str, Any]:
    instances = [{"name": name, "description": name, **values} for name, values in INSTANCES.items()]
    return {"id": 357, "name": "ace-1", "maxRuntimeSeconds": LONGEST_S, "instances": instances}


def show(answer: object) -> None:
    if FORMAT == "json":
        print(json.dumps(answer, indent=4, sort_keys=True))
    else:
        print(f"(the stand-in prints no tables) {answer}")


COMMANDS = {
    "batch run": batch_run,
    "batch list": batch_list,
    "batch info": batch_info,
    "batch kill": batch_kill,
    "batch log": batch_log,
    "batch exec": batch_exec,
    "batch preempt": batch_preempt,
    "batch resume": batch_resume,
    "workspace create": workspace_create,
    "workspace list": workspace_list,
    "workspace info": workspace_info,
    "workspace upload": workspace_upload,
    "workspace download": workspace_download,
    "result download": result_download,
    "ace list": ace_list,
    "ace info": ace_info,
}


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"ngc {command}")
    for name in ("--org", "--team", "--ace"):
        parser.add_argument(name, default=os.environ.get(f"NGC_CLI_{name[2:].upper()}"))
    parser.add_argument("--format_type", choices=("ascii", "csv", "json"), default="ascii")
    if command == "batch run":
        for name in ("--name", "--image", "--commandline", "--instance", "--result"):
            parser.add_argument(name)
        parser.add_argument("--preempt", choices=("RUNONCE", "RESUMABLE", "RESTARTABLE"), default="RUNONCE")
        parser.add_argument("--priority", choices=("HIGH", "NORMAL", "LOW"), default="NORMAL")
        parser.add_argument("--total-runtime", type=runtime)
        parser.add_argument("--min-timeslice", type=runtime)
        for name in ("--workspace", "--datasetid"):
            parser.add_argument(name, action="append", default=[])
        parser.add_argument("--label", action="append", default=[], type=label)
    elif command == "batch list":
        for name in ("--begin-time", "--end-time", "--duration"):
            parser.add_argument(name)
        for name in ("--label", "--status"):
            parser.add_argument(name, action="append", default=[])
        # NVIDIA's does not take `id`, which is always there.
        parser.add_argument("--column", action="append", choices=("name", "status", "team", "created"))
    elif command.startswith(("batch", "result")):
        parser.add_argument("job")
        if command == "batch exec":
            parser.add_argument("--commandline", default="/bin/bash")
        if command == "result download":
            parser.add_argument("--dest", default=".")
    elif command == "workspace create":
        parser.add_argument("--name")
    elif command == "workspace upload":
        parser.add_argument("workspace")
        parser.add_argument("--source", default=".")
        parser.add_argument("--destination", default="/")
    elif command == "workspace download":
        parser.add_argument("workspace")
        parser.add_argument("--dest", default=".")
        for name in ("--file", "--dir"):
            parser.add_argument(name, action="append", default=[])
    elif command == "workspace info":
        parser.add_argument("workspace")
    elif command == "ace info":
        parser.add_argument("name")
    return parser


FORMAT = "ascii"


def main(words: list[str]) -> None:
    """Run one command."""
    global FORMAT
    if words[:1] == ["--version"]:
        print("NGC CLI 0.0 - a stand-in of Slipway's tests, NOT NVIDIA's")
        return
    if "nvapi-" in " ".join(words):
        raise SystemExit(
            "the stand-in: an API key is in the arguments, where everybody on the machine sees it"
        )
    command = " ".join(words[:2])
    if command not in COMMANDS:
        raise SystemExit(f"the stand-in knows no `ngc {command}`")
    args = parser_of(command).parse_args(words[2:])
    FORMAT = args.format_type
    if command.startswith("batch") and command != "batch info" and not args.ace and "kill" not in command:
        args.ace = "ace-1"
    with (STATE / "lock").open("w") as lock:
        # Whoever looks at a job may be the one that starts it.
        if command.startswith("batch") and command != "batch exec":
            fcntl.flock(lock, fcntl.LOCK_EX)
        COMMANDS[command](args)


if __name__ == "__main__":
    main(sys.argv[1:])
