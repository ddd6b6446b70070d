"""A store whose transactions fail where a history wants it, and whose every commit is looked at."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import event

from flagtrail.errors import StoreError
from flagtrail.store import Store
from tests.properties.oracle import Broken, held


class Breaking:
    """Which transaction of a store fails, and where; nothing fails until one of the two is set.

    `transaction` is the number of a transaction that stores pages, where in it, and at which statement: it leaves all
    or nothing, as is checked. `statement` counts the statements of whatever is done down to the one that fails.
    """

    def __init__(self, committed: Callable[[Store], None]) -> None:
        """Take what is to be called after every commit of pages."""
        self.committed = committed
        self.transaction: tuple[int, str, int] | None = None
        self.statement: int | None = None
        self._inside = False

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.transaction, self.statement, self._inside = None, None, False

    @contextmanager
    def watched(self, store: Store) -> Iterator[None]:
        """Look at every commit of a store, and let it fail where that was asked for."""
        write = store.write
        store.write = partial(self._write, store, write)  # type: ignore[method-assign]
        event.listen(store.engine, "before_cursor_execute", self._execute)
        event.listen(store.engine, "commit", self._commit)
        try:
            yield
        finally:
            del store.write
            event.remove(store.engine, "before_cursor_execute", self._execute)
            event.remove(store.engine, "commit", self._commit)

    def _execute(self, *args: Any) -> None:
        if self._inside and self.transaction is not None:
            at, where, left = self.transaction
            self.transaction = (at, where, left - 1)
            if left <= 0:
                raise StoreError("inside the transaction, on purpose")
        if self.statement is not None:
            self.statement -= 1
            if self.statement < 0:
                self.statement = None
                raise StoreError("at a statement, on purpose")

    def _commit(self, *args: Any) -> None:
        if self._inside:
            self._inside = False
            raise StoreError("instead of the commit, on purpose")

    def _write(self, store: Store, write: Callable[..., Any], *args: Any) -> Any:
        """Store pages as a store does, with a failure where that was asked for, and look at the commit."""
        where = self._failing()
        if where == "before":
            raise StoreError("before the transaction, on purpose")
        before = held(store) if where else None
        try:
            added = write(*args)
        except StoreError:
            if before is not None and held(store) != before:
                raise Broken("I10: a transaction that failed has left something") from None
            raise
        finally:
            self._inside = False
        quiet, self.statement = self.statement, None  # what looks at it does not fail
        self.committed(store)
        self.statement = quiet
        if where == "after":
            raise StoreError("after the commit, on purpose")
        return added

    def _failing(self) -> str | None:
        """Return where the transaction that begins is to fail; None when it is not."""
        if self.transaction is None:
            return None
        at, where, statement = self.transaction
        self.transaction = (at - 1, where, statement)
        if at != 0:
            return None
        if where in ("inside", "commit"):
            self.transaction = (-1, where, statement if where == "inside" else sys.maxsize)
            self._inside = True
        else:
            self.transaction = None
        return where
