"""The commands that ask the trail."""

from typing import Annotated

import typer

from flagtrail.cli.commands.importing import importing
from flagtrail.cli.options import (
    MOST,
    ActionOption,
    ActorOption,
    ConfigOption,
    EnvironmentOption,
    Form,
    FromLakeOption,
    FromSourceOption,
    LinkedOption,
    ObjectOption,
    ProjectOption,
    QueryArgument,
    Simple,
    SinceOption,
    TextOption,
    UntilOption,
    VendorOption,
    ZoneOption,
)


def events(
    query: QueryArgument = None,
    since: SinceOption = None,
    until: UntilOption = None,
    vendor: VendorOption = None,
    source: FromSourceOption = None,
    project: ProjectOption = None,
    environment: EnvironmentOption = None,
    actor: ActorOption = None,
    action: ActionOption = None,
    object: ObjectOption = None,
    text: TextOption = None,
    linked: LinkedOption = False,
    zone: ZoneOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, max=MOST, help="How many, newest first; 0 for all.")
    ] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where the last page, or the last --follow, ended.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Show the last ones, and then each one as it is stored.")
    ] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How they are written.")] = Form.TABLE,
    envelope: Annotated[
        bool, typer.Option("--envelope", help="With -o json: also how complete the answer is, and the next page.")
    ] = False,
    from_lake: FromLakeOption = False,
    config: ConfigOption = None,
) -> None:
    """Show changes, newest first.

    What is asked for is a QUERY, options, or both; options may be repeated, and one of their values is enough. In a
    QUERY, field:value narrows down, field:a,b is any of them, -field:value is not that, * stands for anything, and the
    rest is text. Its fields: vendor, source, stream, project, environment, object_kind, object, actor_kind, actor,
    action, impact, has, is, text, since, until, linked, sort. docs/query.md describes them.

    A time without a zone is in your own zone; the table shows times in it too. JSON and CSV are in UTC.

    With --follow they come oldest first, each once, in the order in which they are stored, until Ctrl-C. One that the
    vendor changes later is not shown again.

    Examples:

      flagtrail events 'environment:production action:turned_* "checkout"' --since 2d

      flagtrail events 'impact:>5% -actor_kind:token sort:oldest since:2026-03-01' --zone Europe/Berlin

      flagtrail events --object 'checkout*' --action turned_off --environment production --environment test

      flagtrail events --since 2026-07-01 --until 2026-10-01 --project payments --limit 0 -o csv > q3.csv

      flagtrail events --follow --environment production
    """
    with importing():
        from flagtrail.cli import asking
    where = {"vendor": vendor, "source": source, "project": project, "environment": environment, "actor": actor,
             "action": action, "object": object, "text": text, "linked": linked}  # fmt: skip
    asked = asking.Typed(query, since, until, zone, where)
    if follow:
        with importing():
            from flagtrail.cli import following
        following.events(asked, limit, after, output, config, from_lake=from_lake)
        return
    asking.events(asked, limit, after, output, config, envelope=envelope, from_lake=from_lake)


def count(
    query: QueryArgument = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", "-b", help="vendor, actor, action, day, ...; several by commas.")
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=0, max=MOST, help="How many of the most frequent values; 0 for all.")
    ] = 20,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: ZoneOption = None,
    linked: LinkedOption = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How the counts are written.")] = Form.TABLE,
    from_lake: FromLakeOption = False,
    config: ConfigOption = None,
) -> None:
    """Count changes by anything that they have one value of, and by hour, day or week.

    They are those that `flagtrail events` would show for the same QUERY. JSON also tells how complete the counts are.

    Examples:

      flagtrail count --by actor,action 'environment:production since:30d' --top 10

      flagtrail count --by vendor,day --since 2w --zone Europe/Berlin

      flagtrail count 'action:turned_off' -o json
    """
    with importing():
        from flagtrail.cli import counting
    counting.count(query, by or [], top, since, until, zone, output, config, linked=linked, from_lake=from_lake)


def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="An event's id, or the beginning of one.")],
    output: Annotated[Simple, typer.Option("--output", "-o", help="How it is written.")] = Simple.TABLE,
    config: ConfigOption = None,
) -> None:
    """Print one event whole, with the vendor's own record of it.

    Examples:

      flagtrail show 1f0c9a2e

      flagtrail show 1f0c9a2e -o json
    """
    with importing():
        from flagtrail.cli import asking
    asking.show(event_id, output, config)


def around(
    at: Annotated[str, typer.Argument(metavar="MOMENT", help="2026-03-01T14:03Z, 20m (ago), now.")],
    before: Annotated[str, typer.Option(help="How far back to look: 1h, 90m, 0.")] = "1h",
    after: Annotated[str, typer.Option(help="And how far on, as clocks differ.")] = "5m",
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment.")] = None,
    object: Annotated[str | None, typer.Option(help="Key or name; * stands for anything.")] = None,
    project: Annotated[str | None, typer.Option(help="Project key, or product name.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, max=MOST, help="How many suspects; 0 for all.")] = 10,
    output: Annotated[
        Simple | None, typer.Option("--output", "-o", help="How it is written; JSON into a pipe, else a table.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what changed around an incident, the likeliest cause first, and why.

    Changes of all vendors are ranked by nearness in time, kind of change, environment, measured impact, what was put
    back soon after, and how unusual they are. docs/incidents.md has every factor with its points.

    Examples:

      flagtrail around 2026-03-01T14:03Z

      flagtrail around 10m --environment production --object 'checkout*'

      flagtrail around 2026-03-01T14:03Z --before 3h --after 0 -o json
    """
    with importing():
        from flagtrail.cli import incidents
    incidents.around(
        at, before, after, limit, output, config, environment=environment, object=object, project=project
    )  # fmt: skip


def state(
    flag: Annotated[str, typer.Argument(metavar="FLAG", help="Key or name; * stands for anything.")],
    at: Annotated[str, typer.Option("--at", help="2026-03-01T14:03Z, 20m (ago), now.")],
    environment: Annotated[str | None, typer.Option("--environment", "-e", help="Environment.")] = None,
    project: Annotated[str | None, typer.Option(help="Project key, or product name.")] = None,
    vendor: Annotated[str | None, typer.Option(help="launchdarkly, configcat, ...")] = None,
    output: Annotated[
        Simple | None, typer.Option("--output", "-o", help="How it is written; JSON into a pipe, else a table.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Show what a flag was at a moment, as far as the trail knows it, and what it cannot know.

    Each value names the change that it is known from. What may have changed unseen is not known, and it says why.

    Examples:

      flagtrail state checkout-v2 --at 2026-03-01T14:03Z

      flagtrail state checkout-v2 --at now --environment production -o json
    """
    with importing():
        from flagtrail.cli import incidents
    incidents.state(flag, at, output, config, environment=environment, project=project, vendor=vendor)


def status(
    source: Annotated[str | None, typer.Option("--source", "-s", help="Only this source.")] = None,
    output: Annotated[Simple, typer.Option("--output", "-o", help="How it is written.")] = Simple.TABLE,
    config: ConfigOption = None,
) -> None:
    """Show for each stream how much of the wanted past is covered and verified, every gap, and every finding.

    In the bar, a full block is covered, a shaded one partly, a dot not at all; it runs from the configured start to the
    youngest settled time at the last look. Verified is the share of the covered time whose entries are as many, or the
    same, as the vendor's own. The lag is how far the newest covered time is behind the present; it includes the
    settling time of 15 minutes. Quiet streams are looked at less often, and lag more, until the audit log tells of a
    change.

    Examples:

      flagtrail status

      flagtrail status -o json
    """
    with importing():
        from flagtrail.cli import coverage
    coverage.status(source, output, config)
