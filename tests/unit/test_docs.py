"""What the documents say is so."""

import re
import shlex
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.main import get_command

from flagtrail import __version__
from flagtrail.cli import app
from flagtrail.config import SourceSettings, StoreSettings, load
from flagtrail.event import Event
from flagtrail.example import EXAMPLE
from flagtrail.lake.settings import LakeSettings
from flagtrail.language import parse
from flagtrail.notices.running import rules_of, sinks_of
from flagtrail.notices.settings import KINDS, NoticeSettings, SinkSettings
from flagtrail.operating import EngineSettings, RunSettings, TelemetrySettings
from flagtrail.people import PersonSettings
from flagtrail.rows import Reading
from flagtrail.schema.describing import describe
from flagtrail.serving import ServeSettings
from flagtrail.store import Store

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert f"| `flagtrail {command}` |" in README


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/workers.md",
        "docs/export.md",
        "docs/sql.md",
        "docs/mcp.md",
        "docs/notices.md",
        "docs/people.md",
        "docs/lake.md",
    ],
)
def test_no_page_names_a_command_or_an_option_that_does_not_exist(page: str) -> None:
    found = "\n".join(blocks("console", (ROOT / page).read_text(encoding="utf-8")))
    assert "flagtrail " in found
    for line in re.findall(r"flagtrail [a-z].*", found):
        words = line.split()
        assert words[1] in COMMANDS, line
        command = getattr(COMMANDS[words[1]], "commands", {}).get(words[2] if words[2:] else "", COMMANDS[words[1]])
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words[2:] if word.startswith("-") and word != "-"} <= options, line


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    kinds = (
        ("store", StoreSettings), ("source", SourceSettings), ("person", PersonSettings), ("serve", ServeSettings),
        ("run", RunSettings), ("engine", EngineSettings), ("telemetry", TelemetrySettings),
        ("lake", LakeSettings),
    )  # fmt: skip
    for prefix, settings in kinds:
        for name in settings.model_fields:
            assert f"| `{prefix}.{name}` |" in README


NOTICES = (ROOT / "docs" / "notices.md").read_text(encoding="utf-8")


def test_every_setting_of_notices_is_on_their_page() -> None:
    for prefix, settings in (("notice", NoticeSettings), ("sink", SinkSettings)):
        for name in settings.model_fields:
            assert f"| `{prefix}.{name}` |" in NOTICES
    for kind in KINDS:
        [part] = re.findall(rf"^### {kind}\n(.*?)(?=^##)", NOTICES, re.DOTALL | re.MULTILINE)
        model = SinkSettings(name="x", kind=kind).model
        assert re.findall(r"^\| `([a-z_]+)` \|", part, re.MULTILINE) == [
            name for name in model.model_fields if name != "give_up"
        ]


def test_the_configs_on_the_page_about_notices_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK", "https://hooks.slack.com/services/made-up")
    for name in ("LAUNCHDARKLY_TOKEN", "LD_WEBHOOK"):
        monkeypatch.setenv(name, "made-up")
    path = tmp_path / "flagtrail.toml"
    first, second = blocks("toml", NOTICES)
    path.write_text(first, encoding="utf-8")
    config = load(path)
    assert [rule.name for rule in rules_of(config, sinks_of(config))] == ["production", "trail"]
    path.write_text(second, encoding="utf-8")
    assert load(path).sources()[0].webhook_secrets


def test_the_example_config_is_what_init_writes_and_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "config" / "flagtrail.example.toml"
    assert path.read_text(encoding="utf-8") == EXAMPLE
    for name in ("LAUNCHDARKLY_TOKEN", "CONFIGCAT_USER", "CONFIGCAT_PASS"):
        monkeypatch.setenv(name, "made-up")
    assert [source.name for source in load(path).sources()] == ["acme-launchdarkly", "acme-configcat"]


def test_the_example_config_names_every_setting() -> None:
    kinds = (
        StoreSettings, SourceSettings, PersonSettings, ServeSettings, RunSettings, TelemetrySettings, NoticeSettings,
        SinkSettings, EngineSettings, LakeSettings,
    )  # fmt: skip
    for name in [name for kind in kinds for name in kind.model_fields]:
        assert re.search(rf"^#? ?{name} = ", EXAMPLE, re.MULTILINE), name


def test_the_configs_in_the_readme_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAUNCHDARKLY_TOKEN", "CONFIGCAT_USER", "CONFIGCAT_PASS"):
        monkeypatch.setenv(name, "made-up")
    [text] = blocks("toml")
    assert tomllib.loads(text)
    path = tmp_path / "flagtrail.toml"
    path.write_text(text, encoding="utf-8")
    assert len(load(path).sources()) == 2


def test_the_schema_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "schema.md").read_text(encoding="utf-8") == describe(), "run `make docs`"


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("connectors/*/README.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\$ make ([a-z]+)|`make ([a-z]+)", README, re.MULTILINE))
    names = {first or second for first, second in targets}
    assert {"demo", "test"} <= names
    for name in names:
        assert f"\n{name}:" in makefile


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


QUERY = (ROOT / "docs" / "query.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_about_asking_are_understood() -> None:
    lines = re.findall(r"^\$ flagtrail (.*)", QUERY, re.MULTILINE)
    assert len(lines) > 4
    for line in lines:
        name, *words = shlex.split(line)
        with COMMANDS[name].make_context(name, words) as context:
            parse(context.params["query"] or "", datetime.now(UTC))


def test_the_program_of_the_page_about_asking_runs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    event = Event(
        vendor_id="1", occurred_at=datetime.now(UTC), action="turned_on", vendor_action="x", environment="eu-1"
    )
    store.add("acme", "configcat", [Reading("audit_log", [(event.model_copy(update={"summary": "told"}), {"id": 1})])])
    [program] = re.findall(r"^```python\n(.*?)^```", QUERY, re.DOTALL | re.MULTILINE)
    url = store.engine.url.render_as_string(hide_password=False)
    exec(program.replace("sqlite:///flagtrail.db", url), {})
    assert " told\n[('unknown', 1)]\n0.0\n" in capsys.readouterr().out
