"""What a database says when it fails, without the values it says it about (law 8: personal data stays home)."""

import re

import psycopg

# PostgreSQL quotes names and values alike; a value stands after a colon at the end, or after the word "value". One that
# has a line break ends on another line.
QUOTED_VALUE = re.compile(r"""(:\s*|\bvalue\s+|\bliteral\s+)(["'])(?:.*\2|.*)""")


def holds_address(text: str) -> bool:
    """Say whether a text, which will stay on record for ever, holds an e-mail address."""
    return re.search(r"\S@\S", text) is not None


def without_values(message: str) -> str:
    """Give the first line of a database message, values blanked: the DETAIL and CONTEXT that follow show rows."""
    first_line = next(iter(message.strip().splitlines()), "")
    return QUOTED_VALUE.sub(r"\1(value hidden)", first_line)


def describe_database_error(error: psycopg.Error) -> str:
    """Say what the database refused, and where, in words that carry no value of any row."""
    place = [error.diag.schema_name, error.diag.table_name, error.diag.column_name or error.diag.constraint_name]
    where = ".".join(part for part in place if part)
    what = without_values(error.diag.message_primary or str(error)) or type(error).__name__
    return f"{what} [{error.sqlstate or type(error).__name__}{', ' + where if where else ''}]"
