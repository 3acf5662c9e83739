"""redis-py, synchronous and asyncio: every command, what its look-ups found, and which kind of key they asked for.

Keys are reduced to their kind, and values are never looked at except for being there.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tocsin.sdk.caller import own_line
from tocsin.sdk.calls import Kind, Operation, current_span, note
from tocsin.sdk.errors import qualified_name
from tocsin.sdk.guard import guarded_hook
from tocsin.sdk.instrument import _contract
from tocsin.sdk.instrument._isolation_keys import Keys
from tocsin.sdk.settings import Settings
from tocsin.sdk.shapes import Shapes

_OPERATIONS = 1000
_OTHER = "other"

_COMMAND = Kind(
    "db.client.operation.duration",
    "redis_command_duration_seconds",
    "Seconds a Redis command takes, the way there and back included.",
    "redis_commands_total",
    "Redis commands sent, by tenant and error; a pipeline is one.",
    "redis_seconds_total",
    "Seconds that Redis commands have taken, by tenant.",
    bounds=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
    group="cache",
)
# Look-ups inside of a pipeline: hits and misses, and no call of their own.
_LOOKUP = _COMMAND._replace(metric="", least_ns=1 << 62)
# Commands whose first argument is a key. Of all others (AUTH, EVAL, ECHO, …) no argument is ever looked at.
_COMMANDS = """
    GET SET SETEX PSETEX SETNX GETSET GETEX GETDEL MGET MSET MSETNX APPEND STRLEN GETRANGE SETRANGE INCR INCRBY
    INCRBYFLOAT DECR DECRBY DEL UNLINK EXISTS EXPIRE EXPIREAT PEXPIRE PEXPIREAT TTL PTTL PERSIST TYPE RENAME TOUCH DUMP
    HGET HSET HSETNX HMGET HMSET HGETALL HDEL HEXISTS HINCRBY HINCRBYFLOAT HKEYS HVALS HLEN HSCAN HSTRLEN HRANDFIELD
    LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LLEN LRANGE LINDEX LSET LTRIM LREM LINSERT LMOVE RPOPLPUSH BLPOP BRPOP LPOS
    SADD SREM SMEMBERS SISMEMBER SMISMEMBER SCARD SPOP SRANDMEMBER SMOVE SINTER SUNION SDIFF SSCAN
    ZADD ZREM ZSCORE ZMSCORE ZINCRBY ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZRANK ZREVRANK
    ZREMRANGEBYSCORE ZREMRANGEBYRANK ZPOPMIN ZPOPMAX ZSCAN BZPOPMIN BZPOPMAX
    XADD XLEN XRANGE XREVRANGE XDEL XTRIM XACK XPENDING XCLAIM XAUTOCLAIM SETBIT GETBIT BITCOUNT BITPOS
    PFADD PFCOUNT GEOADD GEOPOS GEODIST GEOSEARCH WATCH PUBLISH
"""
_KEYED = frozenset(_COMMANDS.split())
_ONE, _MANY, _NUMBER = range(3)
_LOOKUPS = {
    "GET": _ONE, "GETEX": _ONE, "GETDEL": _ONE, "HGET": _ONE, "MGET": _MANY, "HMGET": _MANY, "EXISTS": _NUMBER,
    "HEXISTS": _NUMBER,
}  # fmt: skip


class Source:
    """One Redis as its connection pool knows it, and the operations seen on it."""

    def __init__(self, pool: Any) -> None:
        known = getattr(pool, "connection_kwargs", None) or {}
        facts = {
            "db.system.name": "redis",
            "db.namespace": str(known.get("db") or 0),
            "server.address": known.get("host") or known.get("path") or "",
            "server.port": known.get("port") or "",
        }
        self.facts: dict[str, Any] = {key: value for key, value in facts.items() if value != ""}
        self.operations: dict[tuple[str, str], Operation] = {}
        self._lookups: dict[str, Operation] = {}

    def find_lookup(self, key: str) -> Operation:
        """Of a key of this kind, inside of a pipeline."""
        operation = self._lookups.get(key)
        if operation is None:
            if len(self._lookups) >= _OPERATIONS:
                key = _OTHER
            attributes = {**self.facts, "tocsin.cache": key, "db.query.text": f"PIPELINE {key}"}
            operation = self._lookups[key] = Operation(_LOOKUP, key, attributes, {}, {}, key)
        return operation

    def find(self, command: str, key: str) -> Operation:
        if len(self.operations) >= _OPERATIONS:
            key = _OTHER if key else ""
        operation = self.operations.get((command, key))
        if operation is None:
            operation = self.operations[command, key] = self._make(command, key)
        return operation

    def _make(self, command: str, key: str) -> Operation:
        common = {**self.facts, "db.operation.name": command, **({"tocsin.cache": key} if key else {})}
        text = f"{command} {key}".strip()
        cache = key if command in _LOOKUPS else ""
        return Operation(_COMMAND, text, {**common, "db.query.text": text}, common, {"command": command}, cache)


class Instrument(_contract.Instrument):
    """Commands as spans and numbers, hits and misses, and slow commands with their line."""

    modules = ("redis",)
    contrib = "opentelemetry.instrumentation.redis"

    def switch_on(self, settings: Settings) -> None:
        import redis
        import redis.asyncio
        from redis.asyncio.client import Pipeline as AsyncPipeline
        from redis.client import Pipeline

        if not hasattr(redis.asyncio.Redis, "execute_command"):
            raise _contract.UnsupportedError(f"redis {redis.__version__} is older than 4.2")
        from tocsin.sdk.instrument import is_chosen

        is_checked = settings.isolation_ratio > 0 and is_chosen("isolation", settings.instruments)
        self._noted = _noted(settings.slow_command_seconds * 1e9, Keys(settings, _text) if is_checked else None)
        for kind in (redis.Redis, getattr(redis, "RedisCluster", None)):
            if kind is not None:
                self.patches.wrap(kind, "execute_command", self._watch)
        for kind in (redis.asyncio.Redis, getattr(redis.asyncio, "RedisCluster", None)):
            if kind is not None:
                self.patches.wrap(kind, "execute_command", self._watch_async)
        self.patches.wrap(Pipeline, "execute", self._watch_pipeline)
        self.patches.wrap(AsyncPipeline, "execute", self._watch_async_pipeline)

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        noted = self._noted

        def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                answer = original(self, *args, **options)
            except BaseException as error:
                noted(self, args, None, began_ns, error)
                raise
            noted(self, args, answer, began_ns, None)
            return answer

        return execute_command

    def _watch_async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        noted = self._noted

        async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            began_ns = perf_counter_ns()
            try:
                answer = await original(self, *args, **options)
            except BaseException as error:
                noted(self, args, None, began_ns, error)
                raise
            noted(self, args, answer, began_ns, None)
            return answer

        return execute_command

    def _watch_pipeline(self, original: Callable[..., Any]) -> Callable[..., Any]:
        noted = self._noted

        def execute(self: Any, *args: Any, **options: Any) -> Any:
            began_ns, sent = perf_counter_ns(), list(self.command_stack)
            try:
                answer = original(self, *args, **options)
            except BaseException as error:
                noted(self, ("PIPELINE",), None, began_ns, error, sent)
                raise
            noted(self, ("PIPELINE",), answer, began_ns, None, sent)
            return answer

        return execute

    def _watch_async_pipeline(self, original: Callable[..., Any]) -> Callable[..., Any]:
        noted = self._noted

        async def execute(self: Any, *args: Any, **options: Any) -> Any:
            began_ns, sent = perf_counter_ns(), list(self.command_stack)
            try:
                answer = await original(self, *args, **options)
            except BaseException as error:
                noted(self, ("PIPELINE",), None, began_ns, error, sent)
                raise
            noted(self, ("PIPELINE",), answer, began_ns, None, sent)
            return answer

        return execute


def _noted(slow_ns: float, tenants: Keys | None) -> Callable[..., None]:
    """What happens after each command. tenants: holds keys against the request's tenant."""
    keys = Shapes("*", ":")

    @guarded_hook
    def noted(client: Any, args: tuple[Any, ...], answer: Any, began_ns: int, error: Any, sent: Any = None) -> None:
        ended_ns = perf_counter_ns()
        if sent is not None and not sent:
            return  # an empty pipeline sends nothing
        pool = getattr(client, "connection_pool", client)
        source = pool.__dict__.get("_tocsin_source")
        if source is None:
            source = pool.__dict__["_tocsin_source"] = Source(pool)
        command = args[0] if type(args[0]) is str and args[0].isupper() else str(args[0]).upper()
        key = ""
        if command in _KEYED and len(args) > 1:
            key = keys.of(_text(args[1]))
            if tenants is not None:
                tenants.check(command, args)
        elif command not in _KEYED:
            command = command.partition(" ")[0]
        operation = source.operations.get((command, key)) or source.find(command, key)
        hits, of = -1, 1
        if error is None and operation.cache:
            hits, of = _found(_LOOKUPS[command], answer, len(args) - 1)
        if error is None and ended_ns - began_ns < slow_ns and sent is None:
            note(operation, began_ns, ended_ns, current_span(), "", hits, of)
            return
        facts: dict[str, Any] = {"db.operation.batch.size": len(sent)} if sent is not None else {}
        if sent is not None and tenants is not None:
            for sent_args, *_ in sent:
                if len(sent_args) > 1 and sent_args[0] in _KEYED:
                    tenants.check(sent_args[0], sent_args)
        if sent is not None and error is None:
            note_lookups(source, sent, answer, ended_ns)
        if error is not None or ended_ns - began_ns >= slow_ns:
            line = own_line()
            facts.update(line.attributes() if line is not None else {})
            if ended_ns - began_ns >= slow_ns:
                facts["tocsin.slow"] = True
        name = qualified_name(error) if error is not None else ""
        note(operation, began_ns, ended_ns, current_span(), name, hits, of, facts)

    def note_lookups(source: Source, sent: list[Any], answers: list[Any], now_ns: int) -> None:
        span = current_span()
        for (args, *_), answer in zip(sent, answers, strict=False):
            way = _LOOKUPS.get(args[0])
            if way is not None and not isinstance(answer, Exception):
                hits, of = _found(way, answer, len(args) - 1)
                note(source.find_lookup(keys.of(_text(args[1]))), now_ns, now_ns, span, "", hits, of)

    return noted


def _found(way: int, answer: Any, asked: int) -> tuple[int, int]:
    """How many of how many look-ups found something."""
    if way == _ONE:
        return (0 if answer is None else 1), 1
    if way == _MANY and isinstance(answer, list | tuple):
        return sum(value is not None for value in answer), len(answer)
    if way == _NUMBER and isinstance(answer, int):
        return int(answer), max(1, asked) if not isinstance(answer, bool) else 1
    return -1, 1


def _text(key: Any) -> str:
    """A key as text; MGET and others also take a list of them, the first says which kind."""
    while isinstance(key, list | tuple):
        key = key[0] if key else ""
    if type(key) is str:
        return key
    return bytes(key).decode("utf-8", "replace") if isinstance(key, bytes | bytearray | memoryview) else str(key)
