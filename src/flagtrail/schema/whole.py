"""All tables together, with their indexes over a few rows: what the migrations make, and what docs/schema.md tells."""

from sqlalchemy import Index, MetaData
from sqlmodel import SQLModel

from flagtrail.columns import where
from flagtrail.schema.coverage import CoverageRow, GapRow, VerdictRow
from flagtrail.schema.forgetting import ForgottenRow, HoldRow, IdentityKeyRow, IdentityRow
from flagtrail.schema.gathered import FacetRow, GatheredRow, TallyRow, TotalRow, WaitingRow
from flagtrail.schema.notices import NOTICE, FindingRow, NoticeRow, RuleRow
from flagtrail.schema.streams import SourceRow, StreamRow
from flagtrail.schema.tokens import TokenRow
from flagtrail.schema.trail import DETAIL, EVENT, DetailRow, DictionaryRow, EventRow, RecordRow

TABLES: tuple[type[SQLModel], ...] = (
    EventRow, RecordRow, DictionaryRow, DetailRow, CoverageRow, GapRow, VerdictRow, SourceRow, StreamRow,
    TallyRow, TotalRow, FacetRow, WaitingRow, GatheredRow, TokenRow, RuleRow, NoticeRow, FindingRow,
    ForgottenRow, IdentityRow, IdentityKeyRow, HoldRow,
)  # fmt: skip
METADATA: MetaData = SQLModel.metadata

# Beside their tables, these would have SQLAlchemy load what it knows of PostgreSQL, each time that a command starts.
for _name, _columns, _condition in (
    ("event_by_related", (EVENT.c.related_event,), "related_event IS NOT NULL"),
    ("event_provisional", (EVENT.c.source, EVENT.c.stream, EVENT.c.occurred_at), "provisional"),
    ("event_vanished", (EVENT.c.source, EVENT.c.stream, EVENT.c.vanished_reason), "vanished_at IS NOT NULL"),
    ("detail_open", (DETAIL.c.source, DETAIL.c.occurred_at), "state = 'open'"),
    ("notice_waiting", (NOTICE.c.sink, NOTICE.c.due_at), "state = 'waiting'"),
):
    Index(_name, *_columns, **where(_condition))
