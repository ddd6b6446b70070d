"""What comes with every installed connector: a simulator, the conformance suite, and a page that names each setting."""

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import SecretStr

from flagtrail.connector import Connector, Secret, installed
from flagtrail.testing.simulator import Simulator
from flagtrail.testing.suite import ConnectorSuite

INSTALLED = installed()
SECRET = Secret.__origin__  # type: ignore[attr-defined]

each = pytest.mark.parametrize("kind", INSTALLED.values(), ids=list(INSTALLED))


def folder_of(kind: type[Connector]) -> Path:
    return Path(inspect.getfile(importlib.import_module(kind.__module__.split(".")[0]))).parent


def defined_in(module: ModuleType, base: type) -> list[Any]:
    """Return the subclasses of a class that a module itself defines."""
    found = [item for _, item in inspect.getmembers(module, inspect.isclass)]
    return [item for item in found if issubclass(item, base) and item.__module__ == module.__name__]


def simulator_of(kind: type[Connector]) -> type[Simulator]:
    (found,) = defined_in(importlib.import_module(f"{kind.__module__}.simulator"), Simulator)
    assert found.connector is kind
    return found  # type: ignore[no-any-return]


def suites_of(kind: type[Connector]) -> list[type[ConnectorSuite]]:
    """Return the conformance suites that a connector's test files hold."""
    found = []
    for path in sorted((folder_of(kind) / "tests").glob("test_*.py")):
        if "ConnectorSuite" not in path.read_text(encoding="utf-8"):
            continue
        name = f"_seen_by_test_connectors_{kind.__module__}_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
            found += defined_in(module, ConnectorSuite)
        finally:
            del sys.modules[name]
    return found


def settings_in(readme: str) -> dict[str, str]:
    """Return the rows of the table under `## Settings` whose first cell is a name in back-quotes."""
    section = re.search(r"^## Settings$(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| *`([^`]+)` *\|(.*)\|$", section[1] if section else "", re.MULTILINE)
    return {name: rest for name, rest in rows if not name.startswith("http")}


def test_the_vendors_that_we_promise_are_installed() -> None:
    assert {"launchdarkly", "configcat"} <= INSTALLED.keys()


@each
def test_a_connector_is_called_like_its_vendor(kind: type[Connector]) -> None:
    assert INSTALLED[kind.vendor] is kind
    assert kind.__module__ == f"flagtrail_{kind.vendor}"


@each
def test_a_connector_has_a_simulator_that_sets_it_up(kind: type[Connector]) -> None:
    with simulator_of(kind)() as simulator:
        assert isinstance(simulator.connect(), kind)
        assert set(simulator.settings()) <= set(kind.model_fields)


@each
def test_a_simulator_listens_on_loopback_only(kind: type[Connector]) -> None:
    with simulator_of(kind)() as simulator:
        assert simulator._server is not None
        assert simulator._server.server_address[0] == "127.0.0.1"


@each
def test_a_connectors_tests_run_the_conformance_suite_against_its_simulator(kind: type[Connector]) -> None:
    suites = suites_of(kind)
    assert [suite.simulator for suite in suites] == [simulator_of(kind)]
    (suite,) = suites
    assert suite.__name__.startswith("Test"), "pytest does not collect it"
    assert suite.records >= ConnectorSuite.records
    ours = [name for name in vars(ConnectorSuite) if name.startswith("test_")]
    assert ours
    assert [name for name in ours if name in vars(suite)] == [], "a promise is overridden"


@each
def test_the_page_of_a_connector_names_every_setting_in_a_table_and_no_other(kind: type[Connector]) -> None:
    named = settings_in((folder_of(kind) / "README.md").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(kind.model_fields)


@each
def test_the_table_of_settings_says_what_is_required_and_what_else_is_the_default(kind: type[Connector]) -> None:
    named = settings_in((folder_of(kind) / "README.md").read_text(encoding="utf-8"))
    for name, field in kind.model_fields.items():
        assert field.is_required() == ("required" in named[name].split("|")[0]), name
        if isinstance(field.default, str):
            assert field.default in named[name].split("|")[0], name


@each
def test_every_setting_is_described(kind: type[Connector]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


@each
def test_the_settings_that_are_secret_are_of_the_type_secret(kind: type[Connector]) -> None:
    with simulator_of(kind)() as simulator:
        secret = {name for name, value in simulator.settings().items() if isinstance(value, SecretStr)}
    assert secret
    assert {name for name, field in kind.model_fields.items() if field.annotation is SECRET} == secret


@each
def test_the_base_url_is_a_real_vendors_over_https(kind: type[Connector]) -> None:
    assert kind.model_fields["base_url"].default.startswith("https://")


@each
def test_a_connector_is_frozen_and_refuses_unknown_settings(kind: type[Connector]) -> None:
    assert kind.model_config["frozen"] is True
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["hide_input_in_errors"] is True
