"""This file moves many rows into the store at once, each dialect its fast way.

SQLite runs one prepared statement over all rows. PostgreSQL takes them as one COPY into a temporary
table and moves them from there, for a COPY cannot pass over rows that are there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

_FEW = 100  # below, a COPY and its table cost more than they save


def insert_rows(connection: Connection, name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> int:
    """Insert tuples into a table, but for those whose key is there already; how many went in."""
    if not rows:
        return 0
    listed = ", ".join(columns)
    if connection.dialect.name == "sqlite" or len(rows) < _FEW:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        marks = ", ".join([mark] * len(columns))
        statement = f"INSERT INTO {name} ({listed}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        return int(connection.exec_driver_sql(statement, list(rows)).rowcount)
    waiting = f"waiting_{name}"
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {waiting} AS SELECT {listed} FROM {name} LIMIT 0")
    _copy(connection, waiting, rows)
    moved = connection.exec_driver_sql(f"INSERT INTO {name} ({listed}) SELECT {listed} FROM {waiting} ON CONFLICT DO NOTHING")
    connection.exec_driver_sql(f"DROP TABLE {waiting}")
    return int(moved.rowcount)


def create_temporary_table(
    connection: Connection, name: str, columns: Mapping[str, type], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Put tuples of integers and bytes into an empty temporary table, to be joined with."""
    lite = connection.dialect.name == "sqlite"
    kinds = {int: "BIGINT", bytes: "BLOB" if lite else "BYTEA"}
    told = ", ".join(f"{column} {kinds[kind]}" for column, kind in columns.items())
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({told})")
    if lite:
        connection.exec_driver_sql(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", list(rows))
    else:
        _copy(connection, name, rows)
        connection.exec_driver_sql(f"ANALYZE {name}")


def _copy(connection: Connection, name: str, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
