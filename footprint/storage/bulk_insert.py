"""Bulk insert: the fast way of each SQL dialect to add many rows.

SQLite runs one prepared statement over all rows. PostgreSQL copies them into a temporary table
first, because COPY cannot skip rows that exist already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

_MIN_COPY_ROWS = 100  # below, a COPY and its table cost more than they save


def insert_rows(connection: Connection, name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert tuples into a table, skipping those whose key exists; return the number inserted."""
    if not rows:
        return 0
    column_list = ", ".join(columns)
    if connection.dialect.name == "sqlite" or len(rows) < _MIN_COPY_ROWS:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        marks = ", ".join([mark] * len(columns))
        statement = f"INSERT INTO {name} ({column_list}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        return int(connection.exec_driver_sql(statement, list(rows)).rowcount)
    staging = f"staging_{name}"
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {staging} AS SELECT {column_list} FROM {name} LIMIT 0")
    _copy(connection, staging, rows)
    result = connection.exec_driver_sql(
        f"INSERT INTO {name} ({column_list}) SELECT {column_list} FROM {staging} ON CONFLICT DO NOTHING"
    )
    connection.exec_driver_sql(f"DROP TABLE {staging}")
    return int(result.rowcount)


def create_temporary_table(
    connection: Connection, name: str, columns: Mapping[str, type], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Create a temporary table of integers and bytes and fill it, for use in joins."""
    is_sqlite = connection.dialect.name == "sqlite"
    sql_types = {int: "BIGINT", bytes: "BLOB" if is_sqlite else "BYTEA"}
    definitions = ", ".join(f"{column} {sql_types[python_type]}" for column, python_type in columns.items())
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({definitions})")
    if is_sqlite:
        connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", list(rows))
    else:
        _copy(connection, name, rows)
        connection.exec_driver_sql(f"ANALYZE {name}")


def _copy(connection: Connection, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
