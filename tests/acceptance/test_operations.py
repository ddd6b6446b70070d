"""The daemon as it is operated: asked how it does, told of another config, given other secrets, watched by systemd."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from flagtrail.testing.configured import write_config
from flagtrail_configcat.simulator import ConfigCatSimulator
from flagtrail_launchdarkly.simulator import TOKEN, LaunchDarklySimulator
from tests.acceptance.test_serve_command import free
from tests.faults.running import ALWAYS, Process, accepting, wait_until

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OTHER_TOKEN = "api-22222222-new-2222-2222-222222222222"


class Operated:
    """A daemon with its config, its address, what systemd hears of it, and both vendors."""

    def __init__(self, folder: Path, vendors: dict[str, Any], heard: socket.socket) -> None:
        self.folder, self.vendors, self.heard, self.address = folder, vendors, heard, free()
        self.process: Any = None

    def configure(self, *names: str, **settings: Any) -> str:
        """Write a config with these sources."""
        chosen = {name: self.vendors[name] for name in names}
        path = write_config(self.folder, chosen, "sqlite:///trail.db", start="31d", every="1s", **settings)
        text = path.read_text(encoding="utf-8")
        path.write_text(f'{text}\n[serve]\nlisten = "{self.address}"\n', encoding="utf-8")
        return str(path)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}{path}", headers=headers, timeout=20)

    def metrics(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return each metric that is served, with its labels and values."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def value(self, name: str, **labels: str) -> float:
        [value] = [value for told, value in self.metrics()[name] if labels.items() <= told.items()]
        return value

    def reloaded(self, event: str = "config_reloaded") -> dict[str, Any]:
        """Send SIGHUP, and return what the log says of it."""
        before = len(self.process.lines(event))
        self.process.signal(signal.SIGHUP)
        wait_until(lambda: len(self.process.lines(event)) > before, event)
        last: dict[str, Any] = self.process.lines(event)[-1]
        return last

    def told(self) -> list[str]:
        """Return what systemd has heard since it was asked last."""
        found: list[str] = []
        while True:
            try:
                found += self.heard.recv(1000).decode().splitlines()
            except BlockingIOError:
                return found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """A daemon that reads both vendors, has read them, and has refused a config."""
    folder = tmp_path_factory.mktemp("operated")
    with (
        LaunchDarklySimulator(quotas={"global": (10_000, 10_000), "route": (10_000, 10_000)}) as launchdarkly,
        ConfigCatSimulator() as configcat,
        _heard() as (heard, name),
    ):
        launchdarkly.fill(150, 30, seed=5)
        configcat.fill(80, 30, seed=5)
        made = Operated(folder, {"ld": launchdarkly, "cc": configcat}, heard)
        config = made.configure("ld", "cc", retention="60d")
        variables = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000000"}
        with Process("run", "--config", config, folder=folder, variables=variables) as made.process:
            wait_until(lambda: {line["source"] for line in made.process.lines("tick")} == {"ld", "cc"}, "all is read")
            wait_until(lambda: made.process.lines("serving"), "it serves")
            yield made


@contextmanager
def _heard() -> Iterator[tuple[socket.socket, str]]:
    """Give a socket that hears what systemd would, and its name."""
    name = f"flagtrail-test-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}")
        heard.setblocking(False)
        yield heard, f"@{name}"


def test_the_daemon_says_that_it_lives_and_is_ready(daemon: Operated) -> None:
    assert (daemon.get("/healthz").status_code, daemon.get("/healthz").text) == (200, "ok\n")
    answer = daemon.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "daemon": True, "reasons": []})
    assert daemon.get("/readyz/").status_code == 404
    told = daemon.told()
    assert told[0] == "READY=1"
    wait_until(lambda: "WATCHDOG=1" in daemon.told(), "the watchdog is fed")


class Asked:
    """What a query asks for: its metrics with the labels they are picked by, and the labels that its answer has."""

    def __init__(self, query: str, served: dict[str, set[str]]) -> None:
        self.metrics: dict[str, set[str]] = {}
        self.grouped: set[str] | None = None
        promql_parser.walk(promql_parser.parse(query), self._visit)
        all_of_them = set().union(*(served.get(name, set()) for name in self.metrics))
        self.labels = all_of_them if self.grouped is None else self.grouped

    def _visit(self, node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            matchers = {each.name for each in node.matchers.matchers}
            self.metrics[str(node.name)] = self.metrics.get(str(node.name), set()) | matchers
        elif isinstance(node, promql_parser.AggregateExpr) and str(node.op) not in ("topk", "bottomk"):
            self.grouped = set(node.modifier.labels) if node.modifier else set()


def templated(*texts: str) -> set[str]:
    """Return the labels that templates show."""
    return {name for text in texts for name in re.findall(r"{{ ?(?:\$labels\.)?([a-z]+) ?}}", text)}


def test_every_name_in_the_alerts_and_the_dashboard_is_served(daemon: Operated) -> None:
    (daemon.folder / "flagtrail.toml").write_text("nonsense", encoding="utf-8")  # so that an error is counted
    daemon.reloaded("config_refused")
    served: dict[str, set[str]] = {"up": set()}  # Prometheus makes that one itself
    for name, samples in daemon.metrics().items():
        served[name] = {label for labels, _ in samples for label in labels} | {"job", "instance"}
    rules = yaml.safe_load((ROOT / "config" / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    board = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    queries = [(rule["expr"], templated(*rule["annotations"].values())) for rule in rules]
    queries += [(target["expr"], templated(target["legendFormat"])) for panel in board["panels"]
                for target in panel["targets"]]  # fmt: skip
    assert len(queries) > 35
    for query, shown in queries:
        asked = Asked(query, served)
        assert asked.metrics, query
        for name, labels in asked.metrics.items():
            assert name in served, query
            assert labels <= served[name] | {"job"}, query
        assert (asked.grouped or set()) <= set().union(*(served[name] for name in asked.metrics)), query
        assert shown <= asked.labels, query
    picked = [each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    assert picked == ["label_values(flagtrail_source_failing, source)"]
    told = DOCS.partition("## Metrics")[2].partition("\n## ")[0]
    rows = {name: set(re.findall("`([a-z]+)`", labels)) for name, labels in
            re.findall(r"^\| `(flagtrail_[a-z_]+)` \| ([^|]*)\|", told, re.MULTILINE)}  # fmt: skip
    ours = {name: labels - {"job", "instance"} for name, labels in served.items() if name.startswith("flagtrail_")}
    assert rows == ours, "docs/operations.md tells of each metric and its labels"
    for rule in rules:
        assert rule["alert"] in told


def test_the_metrics_are_those_of_the_table(daemon: Operated) -> None:
    status = daemon.get("/api/v1/streams").json()["streams"]
    metrics = daemon.metrics()
    events = sum(value for _, value in metrics["flagtrail_events"])
    assert events == sum(stream["events"] for stream in status)
    lags = {labels["stream"]: value for labels, value in metrics["flagtrail_stream_settled_lag_seconds"]}
    assert lags.keys() == {stream["stream"] for stream in status}
    assert all(900 <= lag < 1000 for lag in lags.values()), "settling takes 15 minutes"
    asked = sum(value for labels, value in metrics["flagtrail_requests_total"] if labels["source"] == "cc")
    assert 0 < asked <= len(daemon.vendors["cc"].requests)
    headroom = {value for _, value in metrics["flagtrail_stream_retention_headroom_seconds"]}
    assert all(59.9 * 86400 < value < 60 * 86400 for value in headroom)


def test_another_config_holds_at_once_and_a_wrong_one_changes_nothing(daemon: Operated) -> None:
    daemon.configure("ld", "cc", retention="60d")
    daemon.reloaded()
    (daemon.folder / "flagtrail.toml").write_text('[[source]]\nname = "ld"\n', encoding="utf-8")
    refused = daemon.reloaded("config_refused")
    assert "source 'ld': the setting 'connector' is missing" in refused["error"]
    assert daemon.value("flagtrail_config_reload_successful") == 0
    assert daemon.get("/readyz").status_code == 200, "the old one stays"
    daemon.told()
    path = daemon.configure("cc", retention="60d")
    text = Path(path).read_text(encoding="utf-8").replace(daemon.address, free())
    Path(path).write_text(text + '\n[run]\nstuck = "20m"\n', encoding="utf-8")
    changes = daemon.reloaded()
    assert (changes["added"], changes["changed"], changes["removed"]) == ([], [], ["ld"])
    assert daemon.process.lines("restart_needed")[-1]["tables"] == ["serve", "run"]
    assert [line.partition("=")[0] for line in daemon.told() if line != "WATCHDOG=1"] == [
        "RELOADING", "MONOTONIC_USEC", "READY"
    ]  # fmt: skip
    assert daemon.value("flagtrail_config_reload_successful") == 1
    assert {labels["source"] for labels, _ in daemon.metrics()["flagtrail_streams"]} == {"cc"}
    time.sleep(0.5)
    asked = len(daemon.vendors["ld"].requests)
    ticks = len(daemon.process.lines("tick"))
    wait_until(lambda: len(daemon.process.lines("tick")) > ticks + 1, "the other one goes on")
    assert len(daemon.vendors["ld"].requests) == asked, "nobody asks for what was removed"
    daemon.configure("ld", "cc", retention="60d", parallel=2)
    changes = daemon.reloaded()
    assert (changes["added"], changes["changed"]) == (["ld"], ["cc"])
    wait_until(lambda: len(daemon.vendors["ld"].requests) > asked, "it is read again")


def test_a_secret_that_is_rotated_is_read_again_before_the_source_is_refused(daemon: Operated) -> None:
    daemon.configure("ld", "cc", retention="60d")
    daemon.reloaded()
    vendor, file = daemon.vendors["ld"], daemon.folder / "ld.token"
    valid = {OTHER_TOKEN}
    file.write_text(OTHER_TOKEN, encoding="utf-8")
    vendor.inject(accepting(vendor, valid), times=ALWAYS)
    vendor.happen()
    wait_until(lambda: daemon.process.lines("secrets_renewed"), "the file is read")
    wait_until(lambda: any(one.status == 200 for one in vendor.requests[-3:]), "it is read with it")
    assert daemon.process.lines("source_failed") == []
    assert daemon.value("flagtrail_source_refused", source="ld") == 0
    assert daemon.value("flagtrail_requests_total", source="ld", status="401") >= 1
    valid.clear()
    wait_until(lambda: daemon.get("/readyz").status_code == 503, "it is refused")
    [why] = daemon.get("/readyz").json()["reasons"]
    assert (why["why"], why["source"]) == ("source_refused", "ld")
    assert "401" in why["detail"]
    assert daemon.get("/readyz", forwarded="for=192.0.2.1").json()["reasons"] == [{"why": "source_refused"}]
    assert daemon.get("/healthz").status_code == 200
    assert daemon.value("flagtrail_not_ready", reason="source_refused") == 1
    vendor.heal()
    file.write_text(TOKEN, encoding="utf-8")
    daemon.reloaded()
    wait_until(lambda: daemon.get("/readyz").status_code == 200, "SIGHUP makes it count at once")
    assert OTHER_TOKEN not in daemon.process.text()


def test_every_line_of_its_log_is_json_and_of_a_known_name(daemon: Operated) -> None:
    names = set(re.findall(r"^\| `([a-z_]+)` \| (?:debug|info|warning|error) ", DOCS, re.MULTILINE))
    lines = [json.loads(line) for line in daemon.process.text().splitlines()]
    assert {line["event"] for line in lines} <= names
    assert all(line["timestamp"].endswith("Z") and line["level"] for line in lines)
    assert not [line for line in lines if line["event"] == "request" and line["path"] == "/healthz"]
    daemon.told()
    assert daemon.process.terminated()[0] == 0
    assert "STOPPING=1" in daemon.told()
