-- The comments of ops say what its columns have come to hold.

comment on column ops.extract_batches.content_sha256 is
    'SHA-256 of the file; of a table, a digest of the sorted content hashes of the rows that were read.';
comment on column ops.source_contracts.minimum_rows is
    'Fewest rows of a whole read; of a source that comes in increments (a cursor, several files), fewest rows in raw.';
comment on column ops.source_contracts.freshness is 'Greatest expected age of the newest row.';
