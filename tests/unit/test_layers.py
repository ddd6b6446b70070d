"""The layers: a module imports only from lines below its own. A new module fails here until it is placed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = (
    ("__main__",),
    ("cli",),  # talks to people
    ("notices",),  # tells people and programs of changes
    ("web", "assistants"),
    ("daemon",),
    ("threads", "workers", "metrics"),
    ("roster", "readiness"),
    ("turns",),
    ("pulse",),
    ("config",),
    ("testing",),  # simulators, the conformance suite; of the core only the demo uses it
    ("lake",),
    ("upkeep",),  # does the work
    ("verify", "forget"),
    ("rounds", "sync", "follow", "sql", "sweep", "keep"),
    ("compare", "details", "discovery", "readers", "renewal", "vanished"),
    ("around", "state", "reach"),
    ("completeness", "jobs", "status_json", "trust"),
    ("quiet", "nudges"),
    ("unread",),
    ("again", "report", "holdings", "refusals", "status", "hold", "relearn"),
    ("numbers", "query", "verdicts", "plan"),
    ("counts", "histogram", "tokens", "naming"),
    ("source", "store", "walk"),  # know one thing each
    ("recount", "forgotten"),
    ("revisions", "gather", "covering"),
    ("lanes",),
    ("search", "rarest", "facts", "suspects"),
    ("touches", "rollouts", "sentence"),
    ("places", "effects"),
    ("facets",),
    ("conditions", "vocabulary", "exports.parquet"),
    ("spelling",),
    ("notices.settings",),
    ("language", "notices.hours"),
    ("question",),
    ("lake.settings", "values"),
    ("exports.jsonl", "exports.csv", "exports.ocsf", "exports.ecs", "exports.cloudevents"),
    ("exports.verbs", "exports.columns"),
    ("packing", "connector", "rows", "bulk", "pseudonyms"),
    ("database",),
    ("api", "schema", "people"),
    ("columns", "retries", "migrations.upgrade", "serving", "operating", "secret", "mistakes", "traces"),
    ("limit",),
    (
        "ledger",
        "lines",
        "clock",
        "event",
        "window",
        "when",
        "deadline",
        "errors",
        "migrations",
        "logs",
        "systemd",
        "memory",
        "example",
        "words",
        "exports",
        "exports.files",
        "fields",
        "impact",
        "share",
        "__init__",
    ),  # know nothing
)
CONTRACT = {"api", "connector", "errors", "event", "limit", "window"}  # all that a connector may know of flagtrail
# The modules of each may import each other.
PACKAGES = ("assistants", "cli", "lake", "notices", "schema", "testing", "web", "workers")

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "flagtrail"
CONNECTORS = ROOT / "connectors"


def module_of(path: Path) -> str:
    """Return a file's module below flagtrail, such as `cli.showing`; a package's own is the package."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively: write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def package_of(name: str) -> str:
    return name.partition(".")[0]


def below_flagtrail(name: str) -> str | None:
    """Return the module of flagtrail that an imported name is, or lies in; None when it is not ours."""
    if package_of(name) != "flagtrail":
        return None
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        place = CORE.joinpath(*parts[:length])
        if place.with_suffix(".py").exists() or (place / "__init__.py").exists():
            return ".".join(parts[:length])
    return "__init__"


def line_of(module: str) -> int:
    """Return the line of the table that a module stands in, by its own name or by its package's."""
    for name in (module, package_of(module)):
        for number, line in enumerate(LAYERS):
            if name in line and (name == module or name in PACKAGES):
                return number
    raise AssertionError(f"flagtrail.{module} stands in no line of LAYERS: place it")


def is_simulator(path: Path) -> bool:
    """Return whether a connector's file is `simulator.py` or lies in `simulation/`."""
    place = path.relative_to(CONNECTORS).parts
    return place[1:] == ("simulator.py",) or "simulation" in place


def breach(module: str, other: str) -> bool:
    """Return whether a module of flagtrail may not import another."""
    if package_of(module) in PACKAGES and package_of(other) == package_of(module):
        return False
    if package_of(other) == "testing":
        return module != "cli.demo"
    return line_of(other) <= line_of(module)


MODULES = {module_of(path): path for path in sorted(CORE.rglob("*.py")) if "versions" not in path.parts}


def test_every_module_stands_in_the_table_and_every_name_in_it_is_a_module() -> None:
    placed = [name for line in LAYERS for name in line]
    assert len(placed) == len(set(placed)), "a module stands in two lines"
    assert [name for name in placed if name not in MODULES] == []
    assert [line_of(module) for module in MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_lines_below_its_own(module: str) -> None:
    ours = {other for name in imported(MODULES[module]) if (other := below_flagtrail(name))}
    assert sorted(other for other in ours if breach(module, other)) == []


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_knows_no_vendor(path: Path) -> None:
    assert [name for name in imported(path) if name.startswith("flagtrail_")] == []


@pytest.mark.parametrize("path", sorted((CORE / "migrations" / "versions").glob("*.py")), ids=lambda path: path.stem)
def test_a_step_of_the_schemas_history_knows_nothing_of_ours(path: Path) -> None:
    """A step that imported today's tables would change what it did yesterday."""
    assert [name for name in imported(path) if name.startswith("flagtrail")] == []


@pytest.mark.parametrize(
    "path", sorted(CONNECTORS.rglob("*.py")), ids=lambda path: path.relative_to(CONNECTORS).as_posix()
)
def test_a_connector_knows_the_contract_and_itself_only(path: Path) -> None:
    package, *rest = path.relative_to(CONNECTORS).parts
    names = list(imported(path))
    simulates = is_simulator(path) or "tests" in rest
    ours = {other for name in names if (other := below_flagtrail(name))}
    foreign = {other for other in ours if other not in CONTRACT and not (simulates and other.startswith("testing"))}
    assert sorted(foreign) == []
    assert sorted(n for n in names if n.startswith("flagtrail_") and package_of(n) != package) == []


@pytest.mark.parametrize("path", sorted(CONNECTORS.glob("*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_runs_in_production_never_imports_a_simulator(path: Path) -> None:
    if not is_simulator(path):
        assert [name for name in imported(path) if "simulat" in name or ".testing" in name] == []


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("event", "store"),
        ("plan", "status"),
        ("store", "query"),
        ("api", "connector"),
        ("query", "testing.simulator"),
    ],
)
def test_the_table_forbids(module: str, other: str) -> None:
    assert breach(module, other)


@pytest.mark.parametrize(
    ("module", "other"),
    [("cli.asking", "query"), ("cli.asking", "cli.showing"), ("cli.demo", "testing.simulator"), ("sync", "plan")],
)
def test_the_table_allows(module: str, other: str) -> None:
    assert not breach(module, other)


def test_a_module_that_stands_nowhere_is_refused() -> None:
    for module in ("page", "migrations.new"):
        with pytest.raises(AssertionError, match="place it"):
            line_of(module)


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "new.py"
    lines = ["import flagtrail.store as s, os", "from flagtrail import query", "def f():"]
    file.write_text("\n".join([*lines, "    from flagtrail.cli.showing import out", ""]), encoding="utf-8")
    assert {below_flagtrail(name) for name in imported(file)} == {"store", None, "query", "cli.showing"}


def test_a_relative_import_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "new.py"
    file.write_text("from . import store\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="imports relatively"):
        list(imported(file))
