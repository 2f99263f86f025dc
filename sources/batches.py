"""Batches: one row in `ops.extract_batches` per delivery, written in the transaction that lands its rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg

from sevenfold.errors import SevenfoldError
from sources.contract import Contract, ContractError, Entity
from sources.landing import Landed, RawTable
from sources.readers import Delivery, SourceError

StatusCode = Literal["landed", "unchanged", "duplicate_file", "refused"]


class ExtractRefused(SevenfoldError):  # noqa: N818 - named for what happened
    """A delivery cannot be taken as it is. Nothing of it landed; its batch says why."""


@dataclass(frozen=True)
class Batch:
    """One delivery read from a source: a row of `ops.extract_batches`."""

    location: str
    status_code: StatusCode = "unchanged"
    content_sha256: str | None = None
    size_bytes: int | None = None
    rows_read: int = 0
    rows_landed: int = 0
    cursor_from: str | None = None
    cursor_to: str | None = None
    message: str | None = None
    batch_id: int = 0


@dataclass
class OpenBatch:
    """A batch at work: what landed so far, and what is to be said about it."""

    batch: Batch
    table: RawTable
    landed: Landed = field(default_factory=Landed)
    notes: list[str] = field(default_factory=list)

    def land(self, delivery: Delivery) -> Landed:
        """Land what is new of a delivery; a second one is a wider read of the same source, and counts as the read."""
        is_file = self.batch.content_sha256 is not None  # hashed before it was read
        landed = self.table.land(delivery, self.batch.batch_id, with_digest=not is_file)
        self.landed = replace(
            landed,
            rows_landed=self.landed.rows_landed + landed.rows_landed,
            new_columns=self.landed.new_columns + landed.new_columns,
        )
        return self.landed

    def note(self, text: str) -> None:
        """Add a sentence to the batch's message."""
        self.notes.append(text)

    def closed(self) -> Batch:
        """Give the batch as it ends."""
        if self.landed.new_columns:
            self.note(f"New columns in the source: {', '.join(self.landed.new_columns)}.")
        if self.landed.nul_count:
            self.note(f"{self.landed.nul_count} NUL bytes removed.")
        if self.landed.is_open_ended:
            self.note("The last line has no end: was the file cut there? A manifest would tell.")
        return replace(
            self.batch,
            content_sha256=self.batch.content_sha256 or self.landed.content_sha256,
            status_code="landed" if self.landed.rows_landed else "unchanged",
            rows_read=self.landed.rows_read,
            rows_landed=self.landed.rows_landed,
            message=" ".join(self.notes) or None,
        )


class BatchLog:
    """The batches of one entity of a source, in one run, over a connection in autocommit."""

    def __init__(
        self, connection: psycopg.Connection[Any], contract: Contract, entity_code: str, run_id: str | None
    ) -> None:
        """Begin with no batch; those of other runs are in the warehouse."""
        self.connection = connection
        self.contract = contract
        self.entity_code = entity_code
        self.table = RawTable(connection, contract, entity_code)
        self.batches: list[Batch] = []
        self._keys = {"source_code": contract.source, "entity_code": entity_code, "run_id": run_id}

    @property
    def entity(self) -> Entity:
        """The entity that is extracted."""
        return self.contract.entity(self.entity_code)

    @contextmanager
    def open(self, batch: Batch) -> Iterator[OpenBatch]:
        """Open a batch; its rows and its row in ops become visible together when the block ends well."""
        with self.connection.transaction():
            lock = f"raw.{self.contract.raw_table(self.entity_code)}"  # two extracts of one table: one after the other
            self.connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
            opened = OpenBatch(self._insert(batch), self.table)
            yield opened
            closed = opened.closed()
            self.connection.execute(_UPDATE, vars(closed))
        self.batches.append(closed)

    def record(self, batch: Batch) -> None:
        """Store a batch of which nothing is read, because its content is known."""
        self.batches.append(self._insert(batch))

    @contextmanager
    def refusing(self, batch: Batch) -> Iterator[None]:
        """Turn what is wrong with a delivery into a refused batch and an error that says the same.

        Raises:
            ExtractRefused: for every SourceError or ContractError of the block, whose transaction is undone by then.
        """
        try:
            yield
        except (SourceError, ContractError) as error:
            message = f"{self.contract.source} {self.entity_code}, {batch.location}: {error} Nothing of it landed."
            self.record(replace(batch, status_code="refused", message=message))
            raise ExtractRefused(message) from None

    def known_content(self, batch: Batch) -> tuple[StatusCode, str] | None:
        """Tell a file whose content was taken before: at this place lately, or at another.

        A file that was replaced at its place and now has an earlier content again is not known: it says that its
        records have changed back, or that what was cut is whole again.
        """
        row = self.connection.execute(_KNOWN_CONTENT, self._keys | vars(batch)).fetchone()
        last_here, first_batch = row or (None, None)
        if not set(self.table.required) <= set(self.table.columns()):
            return None  # the contract was changed, and the file is to show whether it has what is needed now
        if last_here == batch.content_sha256 and first_batch is not None:
            return "unchanged", f"The content of batch {first_batch}."
        if last_here is None and first_batch is not None:
            return "duplicate_file", f"The content of batch {first_batch} under another name: nothing landed again."
        return None

    def last_cursor(self) -> str | None:
        """Return the cursor's value at the last read; None when there was none, or raw holds nothing."""
        row = self.connection.execute(_LAST_CURSOR, self._keys).fetchone()
        return row[0] if row and not self.table.is_empty() else None

    def known_versions(self) -> str | None:
        """Give the digest of the versions of rows of which raw was last found to miss none."""
        row = self.connection.execute(_KNOWN_VERSIONS, self._keys).fetchone()
        return row[0] if row else None

    def remember_versions(self, content_sha256: str) -> None:
        """Remember, once the batch ends well, that raw misses none of the versions of rows with this digest."""
        self.connection.execute(_REMEMBER_VERSIONS, self._keys | {"content_sha256": content_sha256})

    def _insert(self, batch: Batch) -> Batch:
        row = self.connection.execute(_INSERT, self._keys | vars(batch)).fetchone()
        return replace(batch, batch_id=row[0] if row else 0)


_INSERT = """
    insert into ops.extract_batches (
        run_id, source_code, entity_code, location, status_code, content_sha256, size_bytes, rows_read, rows_landed,
        cursor_from, cursor_to, extracted_at, message
    )
    values (
        %(run_id)s, %(source_code)s, %(entity_code)s, %(location)s, %(status_code)s, %(content_sha256)s,
        %(size_bytes)s, %(rows_read)s, %(rows_landed)s, %(cursor_from)s, %(cursor_to)s, now(), %(message)s
    )
    returning batch_id
"""
_UPDATE = """
    update ops.extract_batches
    set
        status_code = %(status_code)s,
        content_sha256 = %(content_sha256)s,
        rows_read = %(rows_read)s,
        rows_landed = %(rows_landed)s,
        message = %(message)s
    where batch_id = %(batch_id)s
"""
# Content is known by the batch that landed it; that somebody says it is unchanged makes it no content of ours.
_KNOWN_CONTENT = """
    with batches as (
        select
            batch_id,
            location,
            content_sha256,
            rows_read > 0 as was_read,
            bool_or(status_code in ('landed', 'superseded')) over (partition by content_sha256) as has_landed
        from ops.extract_batches
        where source_code = %(source_code)s and entity_code = %(entity_code)s and status_code <> 'refused'
    )
    select
        (
            array_agg(content_sha256 order by batch_id desc)
            filter (where location = %(location)s and (has_landed or was_read))
        )[1],
        min(batch_id) filter (where content_sha256 = %(content_sha256)s and has_landed)
    from batches
"""
_LAST_CURSOR = """
    select cursor_to
    from ops.extract_batches
    where source_code = %(source_code)s and entity_code = %(entity_code)s and status_code <> 'refused'
    order by batch_id desc
    limit 1
"""
_KNOWN_VERSIONS = """
    select content_sha256 from ops.source_versions
    where source_code = %(source_code)s and entity_code = %(entity_code)s
"""
_REMEMBER_VERSIONS = """
    insert into ops.source_versions (source_code, entity_code, content_sha256)
    values (%(source_code)s, %(entity_code)s, %(content_sha256)s)
    on conflict (source_code, entity_code) do update
    set content_sha256 = excluded.content_sha256, compared_at = excluded.compared_at
"""
