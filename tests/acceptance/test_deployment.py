"""What is in `config` for systemd, Docker, Kubernetes, Prometheus and Grafana fits the code, and itself.

Neither Docker nor Kubernetes runs here: names are compared, configs are loaded, and systemd's own check is asked.
"""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from flagtrail import __version__
from flagtrail.cli import app
from flagtrail.config import Config, load, store_url
from flagtrail.serving import Address
from flagtrail.store import Store
from flagtrail.testing.configured import write_config
from flagtrail.web.app import app as api
from flagtrail_configcat.simulator import ConfigCatSimulator
from tests.acceptance.test_serve_command import answered, free
from tests.faults.running import Process, wait_until

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
COMPOSE = yaml.safe_load((CONFIG / "compose.yaml").read_text(encoding="utf-8"))
KUBERNETES = {
    each["kind"]: each for each in yaml.safe_load_all((CONFIG / "kubernetes.yaml").read_text(encoding="utf-8"))
}
SERVICE = (CONFIG / "flagtrail.service").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
GIVEN = "/etc/flagtrail/flagtrail.toml"


def assert_exists(words: list[str]) -> None:
    """Check that the words after `flagtrail` are a command with these options."""
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", ()):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), words
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options, words


def commented_toml(text: str) -> str:
    """Return the config that stands in the comments of a file."""
    return "\n".join(line.removeprefix("#   ") for line in text.splitlines() if re.match(r"#   [\[a-z]|#$", line))


def loaded(text: str, folder: Path, secrets: dict[str, str]) -> Config:
    """Return a config of a deployment, its secrets found elsewhere; each secret that it names is one of `secrets`."""
    for place, name in secrets.items():
        file = folder / name
        file.write_text("postgresql://u:p@postgres/flagtrail" if name == "store" else f"made-up-{name}")
        assert place in text, f"nothing reads {place}"
        text = text.replace(place, str(file))
    assert not re.findall(r'file = "(?!' + re.escape(str(folder)) + ")", text), "it reads what nothing provides"
    path = folder / "flagtrail.toml"
    path.write_text(text, encoding="utf-8")
    config = load(path)
    assert [source.connector.vendor for source in config.sources()] == ["launchdarkly", "configcat"]
    return config


def routes() -> set[str]:
    """Return the addresses that the HTTP server answers."""
    made = api(None, Config().serve)  # type: ignore[arg-type] # nothing is asked of the store
    return {str(getattr(route, "path", "")) for route in _all(made.routes)}


def _all(routes: list[Any]) -> list[Any]:
    nested = [
        inner for route in routes for inner in _all(getattr(getattr(route, "original_router", None), "routes", []))
    ]
    return [*routes, *nested]


def test_the_unit_starts_a_command_that_is_there_and_provides_the_secrets_of_its_config(tmp_path: Path) -> None:
    [start] = re.findall(r"^ExecStart=\S+/flagtrail (.*)$", SERVICE, re.MULTILINE)
    assert_exists(shlex.split(start))
    provided = dict.fromkeys(re.findall(r"^LoadCredential=(\w+):", SERVICE, re.MULTILINE))
    config = loaded(
        commented_toml(SERVICE), tmp_path, {f"/run/credentials/flagtrail.service/{name}": name for name in provided}
    )
    [state] = re.findall(r"^StateDirectory=(.*)$", SERVICE, re.MULTILINE)
    assert store_url(config).startswith(f"sqlite:////var/lib/{state}/"), "it may write nowhere else"
    assert config.serve.listen.is_loopback
    settings = dict(re.findall(r"^(\w+)=(.*)$", SERVICE, re.MULTILINE))
    assert settings["Type"] == "notify", "the daemon says READY=1"
    assert settings["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert settings["TimeoutStartSec"] == "infinity", "a migration that is ended begins anew"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here, and cannot be asked")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "flagtrail.service"
    unit.write_text(SERVICE.replace("/opt/flagtrail/bin/flagtrail", "/bin/true"), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    ours = [line for line in said.stderr.splitlines() if "flagtrail" in line]
    assert (said.returncode, ours) == (0, [])
    unit.write_text(SERVICE.replace("WatchdogSec", "WatchdogSecs"), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "WatchdogSecs" in said.stderr, "it says nothing of a mistake"


def test_the_daemon_does_what_a_strict_service_lets_it(tmp_path: Path) -> None:
    """Linux itself refuses what MemoryDenyWriteExecute, UMask and NoNewPrivileges do."""
    begin = (
        "import ctypes, os, sys; os.umask(0o077); c = ctypes.CDLL(None);"
        "done = [c.prctl(38, 1, 0, 0, 0), c.prctl(65, 1, 0, 0, 0)];"  # PR_SET_NO_NEW_PRIVS, PR_SET_MDWE
        "print('refuses', done, flush=True);"
        "os.execv(sys.executable, [sys.executable, '-m', 'flagtrail', *sys.argv[1:]])"
    )
    with ConfigCatSimulator() as vendor:
        vendor.fill(50, 30, seed=1)
        path = write_config(tmp_path, {"cc": vendor}, "sqlite:///trail.db")
        address = free()
        path.write_text(path.read_text() + f'\n[serve]\nlisten = "{address}"\n')
        command = [sys.executable, "-c", begin]
        with Process("run", "--config", str(path), folder=tmp_path, command=command) as daemon:
            wait_until(lambda: daemon.lines("tick"), "it has read")
            assert answered(address, "/readyz").status_code == 200
            assert answered(address, "/").status_code == 200
            ready = len(daemon.lines("config_reloaded"))
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: len(daemon.lines("config_reloaded")) > ready, "it reloads")
            assert "refuses [0, " in daemon.text()
            assert daemon.terminated()[0] == 0
    assert (tmp_path / "trail.db").stat().st_mode & 0o077 == 0


def test_compose_mounts_what_exists_and_its_parts_find_each_other(tmp_path: Path) -> None:
    services = COMPOSE["services"]
    mounted: dict[str, dict[str, Path]] = {}
    for name, service in services.items():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        for volume in service.get("volumes", []):
            host, inside, *_ = volume.split(":")
            if host.startswith("."):
                assert (CONFIG / host).is_file(), volume
                mounted.setdefault(name, {})[inside] = CONFIG / host
            else:
                assert host in COMPOSE["volumes"], volume
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "only this machine reaches it"
    ours = services["flagtrail"]
    assert (CONFIG / ours["build"]["context"] / "Dockerfile").is_file()
    assert ours["image"] == f"flagtrail:{__version__}"
    text = mounted["flagtrail"][ours["environment"]["FLAGTRAIL_CONFIG"]].read_text(encoding="utf-8")
    config = loaded(text, tmp_path, {f"/run/secrets/{name}": name for name in ours["secrets"]})
    assert store_url(config).startswith("postgresql://")
    assert config.serve.listen == Address("0.0.0.0", 8421)
    assert_told_commands_exist("compose.yaml", r"exec (?:-T )?flagtrail flagtrail ([\w -]*\w)", 2)

    prometheus = yaml.safe_load(mounted["prometheus"]["/etc/prometheus/prometheus.yaml"].read_text(encoding="utf-8"))
    assert set(prometheus["rule_files"]) <= mounted["prometheus"].keys()
    [job] = prometheus["scrape_configs"]
    assert job["job_name"] == "flagtrail", "config/alerts.yaml asks for that job"
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{services['prometheus']['secrets'][0]}"
    [target] = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert (host in services, host in config.serve.names, int(port)) == (True, True, config.serve.listen.port)

    [source] = yaml.safe_load(_mounted(mounted["grafana"], "datasources"))["datasources"]
    assert source["url"].removeprefix("http://").split(":")[0] in services
    [provider] = yaml.safe_load(_mounted(mounted["grafana"], "dashboards"))["providers"]
    [board] = [
        file for place, file in mounted["grafana"].items() if place.startswith(provider["options"]["path"] + "/")
    ]
    assert json.loads(board.read_text(encoding="utf-8"))["uid"] == "flagtrail"


def assert_told_commands_exist(name: str, form: str, count: int) -> None:
    """Check the commands of flagtrail in the comments of a file, of which there are so many."""
    told = re.findall(form, _comment(name), re.MULTILINE)
    assert len(told) == count
    for words in told:
        assert_exists(shlex.split(words))


def _comment(name: str) -> str:
    lines = (CONFIG / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def _mounted(files: dict[str, Path], kind: str) -> str:
    [file] = [file for place, file in files.items() if f"/provisioning/{kind}/" in place]
    return file.read_text(encoding="utf-8")


@pytest.mark.skipif(not shutil.which("docker"), reason="the docker command line is not here, and cannot be asked")
def test_docker_compose_takes_the_file() -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose here, and cannot be asked")
    command = ["docker", "compose", "-f", str(CONFIG / "compose.yaml"), "config", "--quiet"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_kubernetes_probes_what_the_app_has_and_mounts_what_the_config_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = KUBERNETES["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["image"] == f"flagtrail:{__version__}"
    assert_exists(container["args"])
    variables = {one["name"]: one for one in container["env"]}
    assert variables["FLAGTRAIL_STORE"]["valueFrom"]["secretKeyRef"]["name"] == "flagtrail"
    monkeypatch.setenv("FLAGTRAIL_STORE", "postgresql://u:p@postgres/flagtrail")
    folder, name = variables["FLAGTRAIL_CONFIG"]["value"].rsplit("/", 1)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(mounts.values()) == volumes.keys()
    assert volumes[mounts[folder]]["configMap"]["name"] == KUBERNETES["ConfigMap"]["metadata"]["name"]
    made = set(re.findall(r"--from-(?:file|literal)=(\w+)", _comment("kubernetes.yaml")))
    assert made == {"store", "launchdarkly", "configcat_user", "configcat_pass"}
    assert_told_commands_exist("kubernetes.yaml", r"deploy/flagtrail -- flagtrail (.*)$", 1)
    text = KUBERNETES["ConfigMap"]["data"][name]
    config = loaded(text, tmp_path, {f"/secrets/{one}": one for one in made - {"store"}})
    assert {"/tmp", "/data"} <= mounts.keys(), "what may be written while the root may not"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": config.serve.listen.port}
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
        assert path in routes()
    service = KUBERNETES["Service"]
    labels = KUBERNETES["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["metadata"]["name"] in config.serve.names
    users = (container["securityContext"]["readOnlyRootFilesystem"], pod["securityContext"]["runAsUser"])
    assert users == (True, int(re.findall(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[0]))


def test_the_image_runs_commands_that_are_there_as_an_ordinary_user(tmp_path: Path) -> None:
    for source in [word for line in _copied() for word in line]:
        assert (ROOT / source).exists()
    [entry], [command] = (re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE) for name in ("ENTRYPOINT", "CMD"))
    assert json.loads(entry) == ["flagtrail"]
    assert_exists(json.loads(command))
    [check] = re.findall(r"^  CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    [probed] = re.findall(r"http://([0-9.:]+)/healthz", check)
    assert probed == str(Config().serve.listen)
    words = json.loads(check)
    address = free()
    with Store(f"sqlite:///{tmp_path / 'trail.db'}"):
        pass
    (tmp_path / "flagtrail.toml").write_text('[store]\nurl = "sqlite:///trail.db"\n')
    words = [word.replace(probed, address) for word in words]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1, "nobody answers yet"
    config = str(tmp_path / "flagtrail.toml")
    with Process("serve", "--config", config, "--listen", address, folder=tmp_path):
        assert answered(address, "/healthz").status_code == 200
        assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    [named] = re.findall(r"--build-arg EXTRAS=(\S+)", DOCKERFILE)
    assert set(named.split(",")) <= extras.keys()


def _copied() -> list[list[str]]:
    """Return what each COPY out of the repository copies."""
    return [line.split()[:-1] for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE)]
