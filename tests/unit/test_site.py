import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ConfigError, UsageError
from slipway.model import field_names, read_values
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Paths, resolve_path
from slipway.site_file import list_sites, load_site

SITES = Path(__file__).parents[2] / "cluster"


SHIPPED = sorted({file.stem for file in SITES.glob("*.yaml")} - {"datasets"})


@pytest.mark.parametrize("name", SHIPPED)
def test_sites_of_the_repository_are_valid(name: str) -> None:
    assert load_site([SITES], name).name == name


@pytest.mark.parametrize("name", SHIPPED)
def test_jobs_can_be_written_for_each_of_their_partitions(name: str) -> None:
    from slipway.job.script import Job, render_script
    from slipway.job.template import load_template
    from slipway.scheduler.slurm.resources import SlurmResources

    site, run = load_site([SITES], name), PurePosixPath("/scratch/slipway/runs/r")
    for partition, queue in {**site.queues, None: None}.items():
        gpus = next(iter((queue.max_gpus or {}) if queue else {}), None)
        wanted = {"partition": partition, "gpus": "1" if gpus == "gpu" else gpus, "time": "10"}
        job = Job(
            run_id="r",
            run_dir=run,
            image=PurePosixPath("/scratch/i.sif"),
            code=PurePosixPath("/scratch/c"),
            data=PurePosixPath("/scratch/d"),
            weights=PurePosixPath("/scratch/w"),
            resources=read_values(SlurmResources, wanted).over(site.defaults),
        )
        script = render_script(job, site, load_template(SITES))
        check = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (check.returncode, check.stderr) == (0, "")
        assert all(f"module load {module} ||" in script for module in site.modules)
        assert f"container=({site.container.command} " in script
        if site.scheduler != "slurm":
            continue
        if partition:
            assert f"#SBATCH --partition={partition}\n" in script
        if gpus:
            assert ("#SBATCH --gpus=" in script) == (site.gpu_request == "gpus")
            assert ("#SBATCH --gres=gpu:" in script) == (site.gpu_request == "gres")


@pytest.mark.parametrize("name", sorted({*SHIPPED} - {"box", "example", "local"}))
def test_sites_of_others_name_their_sources_and_say_what_to_check(name: str) -> None:
    text = (SITES / f"{name}.yaml").read_text()
    assert "Check with your site" in text
    assert re.search(r"https://\S+", text)


def test_santos_dumont_has_the_nine_queues_of_its_guide() -> None:
    site = load_site([SITES], "santos-dumont")
    assert len(site.queues) == 9
    assert all(
        queue.max_time and queue.max_cpus and queue.max_mem and queue.cost for queue in site.queues.values()
    )
    assert site.scratch_purge_days == 60


def test_example_explains_every_key() -> None:
    import yaml

    from slipway.monitor.rule import Rules
    from slipway.scheduler.slurm.resources import SlurmResources
    from slipway.site import Container, Login, Queue

    text = (SITES / "example.yaml").read_text()
    content = yaml.safe_load(text)
    assert set(content) == set(field_names(SlurmSite)) - {"name"}
    assert set(content["login"]) | {"ssh_config"} == set(field_names(Login))
    assert "# ssh_config:" in text
    assert set(content["paths"]) | {"node_local"} == set(field_names(Paths))
    assert "# node_local:" in text
    assert set(content["container"]) == set(field_names(Container))
    # The two are of one job alone.
    assert set(content["defaults"]) == set(field_names(SlurmResources)) - {"array", "dependency"}
    assert set(content["queues"]["gpu"]) == set(field_names(Queue))
    assert set(content["monitor"]) == set(field_names(Rules))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("login: {host: h}\n", "hpc.yaml: paths is missing"),
        ("login: {hots: h}\npaths: {scratch: /s}\n", "hpc.yaml: login.host is missing"),
        (
            "login: {host: h, prot: 22}\npaths: {scratch: /s}\n",
            "hpc.yaml: login.prot is not a key here (did you mean port?); there are: address, host, keep,",
        ),
        (
            "login: {host: h, port: no}\npaths: {scratch: /s}\n",
            "hpc.yaml: login.port: write a whole number; it is",
        ),
        ("login: {host: h}\npaths: {scratch: scratch}\n", "hpc.yaml: paths.scratch: write an absolute path"),
        (
            "login: {host: h}\npaths: {scratch: '/a:b'}\n",
            "hpc.yaml: paths.scratch: write an absolute path without spaces",
        ),
        (
            "login: {host: h}\npaths: {scratch: /s}\nmodule: [a]\n",
            "module is not a key here (did you mean modules?)",
        ),
        (
            "login: {host: h}\npaths: {scratch: /s}\ndefaults: {time: 90}\n",
            "defaults.time: write it in quotes; it is 90",
        ),
        (
            "login: {host: h}\npaths: {scratch: /s}\nscheduler: cron\n",
            "it is 'cron'",
        ),
        (
            "login: {host: h}\npaths: {scratch: /s}\noutput: node-local\n",
            "output: paths.node_local has to say where the nodes' own disk is",
        ),
        ("login: {host: h\n", "hpc.yaml:2: this is not YAML"),
        ("- a\n", "hpc.yaml: expected keys such as login and paths"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "hpc.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_site([tmp_path], "hpc")
    assert message in str(caught.value)


def test_an_unknown_site_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "hpc.yaml").write_text("")
    with pytest.raises(
        UsageError, match=r"no site 'hpx' \(did you mean hpc\?\): /.* has hpc; a new one is a file"
    ):
        load_site([tmp_path], "hpx")
    assert list_sites([tmp_path]) == ["hpc"]


def test_an_unknown_site_is_told_with_whose_the_others_are(tmp_path: Path) -> None:
    own, packed = tmp_path / "cluster", tmp_path / "share"
    for folder, names in ((own, ("hpc", "box")), (packed, ("box", "euler", "example"))):
        folder.mkdir()
        for name in names:
            (folder / f"{name}.yaml").touch()
    with pytest.raises(UsageError, match=r"cluster has box, hpc; with Slipway come euler; a new one is"):
        load_site([own, packed], "far")
    with pytest.raises(UsageError, match=r"nowhere has none; with Slipway come box, euler; a new one is"):
        load_site([tmp_path / "nowhere", packed], "far")


def test_words_tell_a_file_of_slipways_own_and_how_it_becomes_ones_own(tmp_path: Path) -> None:
    packed = tmp_path / "a b"
    packed.mkdir()
    (packed / "hpc.yaml").write_text("login: {host: h}\npaths: {scratch: /s}\ndefaults: {cpus: 2}\n")
    site = load_site([tmp_path / "cluster", packed], "hpc")
    assert site.file == "Slipway's own cluster/hpc.yaml"
    assert site.file_to_change == (
        "cluster/hpc.yaml (Slipway's own becomes yours by "
        f"`mkdir -p cluster && cp '{packed}/hpc.yaml' cluster/hpc.yaml`)"
    )
    assert site.model_dump() == (own := load_site([packed], "hpc")).model_dump()
    assert (own.file, own.file_to_change) == ("cluster/hpc.yaml", "cluster/hpc.yaml")


def test_variables_are_looked_up_once_and_filled_in() -> None:
    asked = []

    def lookup(names):  # type: ignore[no-untyped-def]
        asked.append(list(names))
        return {"SCRATCH": "/scratch", "USER": "me"}

    assert resolve_path("${SCRATCH}/$USER/a", lookup) == PurePosixPath("/scratch/me/a")
    assert asked == [["SCRATCH", "USER"]]


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'\$WORK', but 'WORK' is not set in a login shell"):
        resolve_path("$WORK", lambda names: {})


@pytest.mark.parametrize("value", ["relative", "/a b", "/a%j", "/a:b"])
def test_a_path_that_slurm_or_containers_cannot_take_is_refused(value: str) -> None:
    with pytest.raises(
        ConfigError, match=r"'\$WORK', which there is .*write an absolute path without spaces"
    ):
        resolve_path("$WORK", lambda names: {"WORK": value})


def test_an_ssh_config_starts_from_the_sites_file_and_the_boxs_from_the_state(tmp_path: Path) -> None:
    for name, value in (("mine", "keys/config"), ("home", "~/config"), ("whole", "/etc/x"), ("box", "box/c")):
        text = f"login: {{host: h, ssh_config: {value}}}\npaths: {{scratch: /s}}\n"
        (tmp_path / f"{name}.yaml").write_text(text)
    found = {name: load_site([tmp_path], name).login.ssh_config for name in ("mine", "home", "whole", "box")}
    assert found == {
        "mine": str(tmp_path / "keys" / "config"),
        "home": str(Path.home() / "config"),
        "whole": "/etc/x",
        "box": "box/c",
    }


def test_the_first_folder_that_has_a_site_counts(tmp_path: Path) -> None:
    mine = tmp_path / "cluster"
    assert load_site([mine, SITES], "box").login.host == "box"
    mine.mkdir()
    (mine / "box.yaml").write_text("login: {host: mine}\npaths: {scratch: /s}\n")
    assert load_site([mine, SITES], "box").login.host == "mine"
    assert list_sites([mine, SITES]) == [name for name in SHIPPED if name != "example"]
