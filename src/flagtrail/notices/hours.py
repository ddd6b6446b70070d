"""Quiet hours: when nobody wants to be told, and the moment at which that ends."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

FORM = 'two times of the day such as "22:00-07:00"'
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Hours(NamedTuple):
    """From `begin` on, and up to `end`, each day by the clocks of a zone; over midnight when the end is earlier."""

    begin: time
    end: time
    zone: ZoneInfo

    def over_at(self, at: datetime) -> datetime:
        """Return when somebody may be told who would be told at a moment: then, or when the quiet hours are over."""
        local = at.astimezone(self.zone)
        now, overnight = local.time(), self.end < self.begin
        if not (self.begin <= now or now < self.end if overnight else self.begin <= now < self.end):
            return at
        day = local.date() + timedelta(days=overnight and now >= self.begin)
        # Where clocks are put back, the end may come twice.
        ends = (datetime.combine(day, self.end.replace(fold=fold), self.zone).astimezone(UTC) for fold in (0, 1))
        return next((end for end in ends if end > at), at)


def parse_hours(text: str, zone: str) -> Hours:
    """Return the hours that a text such as 22:00-07:00 names; ValueError says the right form."""
    found = _HOURS.fullmatch(text.replace(" ", ""))
    if not found or found[1] + found[2] == found[3] + found[4]:
        raise ValueError(f"{text!r} is not {FORM}")
    hour, minute, until_hour, until_minute = (int(number) for number in found.groups())
    return Hours(time(hour, minute), time(until_hour, until_minute), parse_zone(zone))


def parse_zone(name: str) -> ZoneInfo:
    """Return the zone of a name; ValueError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(f"there is no zone {name!r}; write one such as Europe/Berlin or UTC") from None
