"""What a command line means before anything is asked."""

import pytest
import typer
from typer.testing import CliRunner

from flagtrail.cli.options import Asking, EnvironmentOption, LinkedOption, QueryArgument

app = typer.Typer()


@app.command(cls=Asking)
def asked(
    query: QueryArgument = None, environment: EnvironmentOption = None, limit: int = 50, linked: LinkedOption = False
) -> None:
    """Print what was understood."""
    typer.echo(f"{query} {environment} {limit}")


@pytest.mark.parametrize(
    ("words", "understood"),
    [
        (["-actor:bot"], "-actor:bot None 50"),
        (["-environment:test,dev", "--limit", "3"], "-environment:test,dev None 3"),
        (["--limit", "3", "-e", "production", "-actor:bot action:x"], "-actor:bot action:x ['production'] 3"),
        (["-e", "production", "--", "-rollback"], "-rollback ['production'] 50"),
        (["--limit", "3", "--linked", "-actor:bot"], "-actor:bot None 3"),
        (["-e", "-odd:name"], "None ['-odd:name'] 50"),
        (["-eproduction"], "None ['production'] 50"),
    ],
)
def test_a_question_may_begin_with_what_is_not_wanted(words: list[str], understood: str) -> None:
    assert CliRunner().invoke(app, words).output == f"{understood}\n"


def test_two_questions_are_refused() -> None:
    assert CliRunner().invoke(app, ["-actor:bot", "-actor:ana"]).exit_code == 2
