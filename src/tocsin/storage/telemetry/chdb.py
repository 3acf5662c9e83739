"""The embedded engine: chDB, which is ClickHouse as a library, on a folder that this process owns alone."""

from __future__ import annotations

import os
import queue
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tocsin.model.settings import setting
from tocsin.storage.telemetry.decode import Signal, format_settings, insert_statement, schema, structure
from tocsin.storage.telemetry.engine import Column, EngineError, QueryTimeoutError, Rows, Value
from tocsin.storage.telemetry.native import read_native

DATABASE = "tocsin"

# Codes of ClickHouse's ErrorCodes.cpp after which the same statement may well succeed.
TIMEOUT_CODES = {159, 160}  # TIMEOUT_EXCEEDED, TOO_SLOW
RETRYABLE_CODES = {
    49,  # LOGICAL_ERROR, as seen while shutting down
    74, 75, 76, 77,  # reading, writing, opening, closing a file failed
    202,  # TOO_MANY_SIMULTANEOUS_QUERIES
    209, 210,  # SOCKET_TIMEOUT, NETWORK_ERROR
    236,  # ABORTED
    241,  # MEMORY_LIMIT_EXCEEDED
    242,  # TABLE_IS_READ_ONLY
    243,  # NOT_ENOUGH_SPACE
    252,  # TOO_MANY_PARTS
    439,  # CANNOT_SCHEDULE_TASK
    999,  # KEEPER_EXCEPTION
}  # fmt: skip

# A replaced part costs 25 kB of memory for as long as it stays. What a merge makes is synced, so what it replaces may
# go at once; by default it stays for eight minutes, and the thread that removes it sleeps for up to five.
CONFIGURATION = """<clickhouse>
    <mark_cache_size>67108864</mark_cache_size>
    <index_mark_cache_size>16777216</index_mark_cache_size>
    <max_thread_pool_size>128</max_thread_pool_size>
    <max_thread_pool_free_size>8</max_thread_pool_free_size>
    <max_parts_cleaning_thread_pool_size>2</max_parts_cleaning_thread_pool_size>
    <max_active_parts_loading_thread_pool_size>4</max_active_parts_loading_thread_pool_size>
    <max_outdated_parts_loading_thread_pool_size>2</max_outdated_parts_loading_thread_pool_size>
    <max_io_thread_pool_size>16</max_io_thread_pool_size>
    <load_marks_threadpool_pool_size>4</load_marks_threadpool_pool_size>
    <prefetch_threadpool_pool_size>4</prefetch_threadpool_pool_size>
    <max_prefixes_deserialization_thread_pool_size>4</max_prefixes_deserialization_thread_pool_size>
    <threadpool_writer_pool_size>4</threadpool_writer_pool_size>
    <parts_killer_pool_size>2</parts_killer_pool_size>
    <background_pool_size>2</background_pool_size>
    <background_schedule_pool_size>2</background_schedule_pool_size>
    <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
    <query_condition_cache_size>16777216</query_condition_cache_size>
    <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
    <merge_tree>
        <min_rows_to_fsync_after_merge>1</min_rows_to_fsync_after_merge>
        <old_parts_lifetime>10</old_parts_lifetime>
        <cleanup_delay_period>10</cleanup_delay_period>
        <max_cleanup_delay_period>10</max_cleanup_delay_period>
        <cleanup_delay_period_random_add>2</cleanup_delay_period_random_add>
    </merge_tree>
</clickhouse>
"""

# The engine's allocator keeps freed memory for five seconds, which is half a gigabyte under load, and for each of its
# sixty threads up to 200 pieces of every size up to 32 kB, which is 19 MB; 4 kB and 40 pieces are as fast.
ALLOCATOR = "dirty_decay_ms:500,tcache_max:4096,tcache_nslots_small_max:40"


@dataclass(frozen=True)
class ChdbSettings:
    """How much of this machine the embedded engine may take."""

    query_connections: int = setting(4, help="Queries that run at the same time; raise it with many people looking.")
    query_threads: int = setting(2, help="Threads of one query; set it to the number of cores you want to spend.")
    memory_bytes: int = setting(
        2 * 1024**3,
        help="Memory the engine may take before queries and inserts are refused; lower it on a small machine.",
        unit="bytes",
    )


class ChdbEngine:
    """Fills the `Engine` contract from a data folder.

    One connection is serial, so there is a pool for queries and one connection of its own for inserts. Only one
    process can open the folder; a second gets EngineError.
    """

    def __init__(self, folder: Path, settings: ChdbSettings | None = None) -> None:
        connect = _connect_function()
        self._settings = settings or ChdbSettings()
        folder.mkdir(parents=True, exist_ok=True)
        configuration = folder / "engine.xml"
        configuration.write_text(CONFIGURATION.format(memory_bytes=self._settings.memory_bytes))
        address = f"{folder / 'engine'}?config-file={configuration}"
        self._schemas = folder.absolute() / "protobuf"
        self._schemas.mkdir(exist_ok=True)
        for signal in Signal:
            (self._schemas / f"{signal}.proto").write_text(schema(signal))
        self._connect: Callable[[], Any] = lambda: _open(connect, address)
        self._inserter = self._connect()
        self._insert_lock = threading.Lock()
        self._inserts = Counter[Signal]()
        self._statements = 0
        self._inserter.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
        self._inserter.query(f"USE {DATABASE}")
        self._is_closed = False
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(self._settings.query_connections):
            self._idle.put(self._reader())

    def version(self, signal: Signal) -> int:
        return self._statements + self._inserts[signal]

    def query(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> Rows:
        answer = orjson.loads(self._answer("JSONCompact", sql, parameters, settings, max_seconds))
        return Rows(
            columns=[column["name"] for column in answer["meta"]],
            rows=answer["data"],
            rows_read=answer["statistics"]["rows_read"],
            seconds=answer["statistics"]["elapsed"],
        )

    def query_arrays(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> dict[str, Column]:
        return read_native(self._answer("Native", sql, parameters, settings, max_seconds))

    def stream_arrays(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> Generator[dict[str, Column]]:
        text, bound = self._bound(sql, parameters, settings, max_seconds)
        with (
            self._borrowed() as connection,
            _translated_errors(),
            connection.send_query(text, "Native", params=bound) as blocks,
        ):
            for block in blocks:
                yield read_native(block.bytes())

    def execute(self, sql: str) -> None:
        self._insert(sql)

    def execute_aside(self, sql: str) -> None:
        with self._borrowed() as connection, _translated_errors():
            connection.query(sql)

    def insert_segment(self, signal: Signal, segment: Path, token: str) -> None:
        source = f"file({_literal(str(segment))}, 'Protobuf', '{structure(signal)}')"
        settings: dict[str, Value] = {
            **format_settings(signal, self._schemas / f"{signal}.proto"),
            "insert_deduplication_token": token,
            "insert_deduplicate": 1,
            "deduplicate_blocks_in_dependent_materialized_views": 1,
            # One block a segment: the token then stands for all of it.
            "max_insert_block_size": 10_000_000,
            "min_insert_block_size_rows": 10_000_000,
            "min_insert_block_size_bytes": 4 * 1024**3,
            "max_block_size": 10_000_000,
            # An import of old telemetry may touch any number of days at once.
            "max_partitions_per_insert_block": 0,
            "max_threads": 1,
            "max_insert_threads": 1,
            # Looking for a better plan costs a small insert a third of its time, and there is none to find.
            "query_plan_enable_optimizations": 0,
            "compile_expressions": 0,
            # It costs as much as the rest of an insert. Merges make it; until then the few newest lines are read.
            "exclude_materialize_skip_indexes_on_insert": "body_words",
        }
        statement = f"{insert_statement(signal, source)} SETTINGS {_settings_clause(settings)}"
        self._insert(statement, signal)

    def close(self) -> None:
        with self._insert_lock:
            if self._is_closed:
                return
            self._is_closed = True
            self._inserter.close()
        for _ in range(self._settings.query_connections):
            self._idle.get().close()
        self._idle.put(None)  # wakes whoever still waits for a connection

    def _answer(
        self,
        format: str,
        sql: str,
        parameters: Mapping[str, Value],
        settings: Mapping[str, Value],
        max_seconds: float,
    ) -> bytes:
        text, bound = self._bound(sql, parameters, settings, max_seconds)
        with self._borrowed() as connection, _translated_errors():
            answer: bytes = connection.query(text, format, params=bound).bytes()
        return answer

    def _bound(
        self, sql: str, parameters: Mapping[str, Value], settings: Mapping[str, Value], max_seconds: float
    ) -> tuple[str, dict[str, str]]:
        """The text with its settings, and the parameters as the engine takes them."""
        limits = {
            "max_execution_time": max_seconds,
            "max_threads": self._settings.query_threads,
            # Else one thread for every free gigabyte, which the memory that we let the engine take hardly has.
            "max_threads_min_free_memory_per_thread": 0,
            **settings,
        }
        bound = {name: _parameter(value) for name, value in parameters.items()}
        return f"{sql} SETTINGS {_settings_clause(limits)}", bound

    def _insert(self, sql: str, signal: Signal | None = None) -> None:
        with self._insert_lock, _translated_errors():
            if self._is_closed:
                raise _closed()
            self._inserter.query(sql)
            if signal is None:
                self._statements += 1
            else:
                self._inserts[signal] += 1

    @contextmanager
    def _borrowed(self) -> Iterator[Any]:
        connection = self._idle.get()
        if connection is None:
            self._idle.put(None)
            raise _closed()
        is_clean = False
        try:
            yield connection
            is_clean = True
        finally:
            if not is_clean:
                # chDB 4.4 hands the rows that a failed query had written to whoever asks next on its connection.
                connection.close()
                connection = self._reader()
            self._idle.put(connection)

    def _reader(self) -> Any:
        connection = self._connect()
        connection.query(f"USE {DATABASE}")
        return connection


def _connect_function() -> Any:
    """chdb's way to open a connection: 1.5 s and 200 MB, so only a process that opens a store pays for it."""
    # It loads pyarrow as well, 30 MB for answers as data frames, which nobody here asks for, and does without if it
    # is missing.
    is_hidden = "pyarrow" not in sys.modules
    # Read when the library is loaded.
    os.environ.setdefault("JE_MALLOC_CONF", ALLOCATOR)
    if is_hidden:
        sys.modules["pyarrow"] = None  # type: ignore[assignment]  # how Python marks a module as missing
    try:
        from chdb.state import connect
    finally:
        if is_hidden:
            del sys.modules["pyarrow"]
    return connect


def engine_connection(address: str) -> Any:
    """A connection to an engine of one's own, such as `:memory:`; not beside another engine in the same process."""
    return _connect_function()(address)


def _open(connect: Any, address: str) -> Any:
    try:
        return connect(address)
    except RuntimeError as error:
        raise EngineError(
            f"cannot open the telemetry store: {error}; is another tocsin serve using this data folder?"
        ) from error


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise _engine_error(str(error)) from None


def _closed() -> EngineError:
    return EngineError("cannot ask the telemetry store: it is closed; start the server again", retryable=True)


def _engine_error(text: str) -> EngineError:
    # A query that streams says so before.
    found = re.match(r"(?:Streaming query failed: )?Code: (\d+)(?:\. DB::Exception: )?", text)
    code = int(found[1]) if found else 0
    message = text[found.end() :] if found else text
    if code in TIMEOUT_CODES:
        return QueryTimeoutError(message, code=code, retryable=True)
    return EngineError(message, code=code, retryable=code in RETRYABLE_CODES or code == 0)


def _settings_clause(settings: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} = {_literal(value)}" for name, value in settings.items())


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return "[" + ", ".join(_literal(item) for item in value) + "]"


def _parameter(value: Value) -> str:
    """A query parameter as the engine reads it: escaped text for a string, a literal for a list."""
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    if isinstance(value, Sequence):
        return _literal(value)
    return _literal(value)
