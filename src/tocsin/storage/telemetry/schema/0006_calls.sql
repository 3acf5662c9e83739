-- What apps call: statements, cache commands, requests to others and waits for a connection, exact per tenant and caller.
-- Buckets as in red_10s. `operation` is the text that `digest` stands for, `collection` the table or the kind of key,
-- `origin` the line of code that called it first; `amount` is rows, or hits out of `asked`. Rows with a `line` tell of
-- requests that repeated a statement there, and of slow calls.
CREATE TABLE calls_10s $on_cluster
(
    time             DateTime('UTC'),
    environment      LowCardinality(String),
    service          LowCardinality(String),
    tenant           String,
    kind             LowCardinality(String),
    system           LowCardinality(String),
    target           LowCardinality(String),
    digest           LowCardinality(String),
    caller           LowCardinality(String),
    error            LowCardinality(String),
    line             LowCardinality(String),
    release          LowCardinality(String),
    sdk              LowCardinality(String),
    operation        SimpleAggregateFunction(any, String),
    collection       SimpleAggregateFunction(any, String),
    origin           SimpleAggregateFunction(any, String),
    calls            SimpleAggregateFunction(sum, UInt64),
    seconds          SimpleAggregateFunction(sum, Float64),
    buckets          SimpleAggregateFunction(sumMap, Map(Int16, UInt64)),
    amount           SimpleAggregateFunction(sum, UInt64),
    asked            SimpleAggregateFunction(sum, UInt64),
    repeat_requests  SimpleAggregateFunction(sum, UInt64),
    repeat_calls     SimpleAggregateFunction(sum, UInt64),
    repeat_seconds   SimpleAggregateFunction(sum, Float64),
    slow_calls       SimpleAggregateFunction(sum, UInt64),
    slow_seconds     SimpleAggregateFunction(sum, Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (time, kind, service, tenant, target, digest, caller, error, line, system, environment, release, sdk)
SETTINGS $table_settings;

CREATE TABLE calls_1m $on_cluster AS calls_10s;
CREATE TABLE calls_1h $on_cluster AS calls_10s
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, kind, service, tenant, target, digest, caller, error, line, system, environment, release, sdk)
SETTINGS $table_settings;

-- The same without a dimension: `_operations` leaves the tenant empty, so it has nothing for a caller who may see some
-- tenants only; `_tenants` leaves empty what was called by whom.
CREATE TABLE calls_1m_operations $on_cluster AS calls_1m;
CREATE TABLE calls_1m_tenants $on_cluster AS calls_1m;
CREATE TABLE calls_1h_operations $on_cluster AS calls_1h;
CREATE TABLE calls_1h_tenants $on_cluster AS calls_1h;

CREATE MATERIALIZED VIEW calls_1m_from_10s $on_cluster TO calls_1m AS
SELECT
    toStartOfMinute(time) AS time, environment, service, tenant, kind, system, target, digest, caller, error, line, release, sdk,
    any(operation) AS operation, any(collection) AS collection, any(origin) AS origin, sum(calls) AS calls, sum(seconds) AS seconds, sumMap(buckets) AS buckets, sum(amount) AS amount, sum(asked) AS asked,
    sum(repeat_requests) AS repeat_requests, sum(repeat_calls) AS repeat_calls, sum(repeat_seconds) AS repeat_seconds,
    sum(slow_calls) AS slow_calls, sum(slow_seconds) AS slow_seconds
FROM calls_10s
GROUP BY ALL;

CREATE MATERIALIZED VIEW calls_1m_operations_from_10s $on_cluster TO calls_1m_operations AS
SELECT
    toStartOfMinute(time) AS time, environment, service, '' AS tenant, kind, system, target, digest, caller, error, line, release, sdk,
    any(operation) AS operation, any(collection) AS collection, any(origin) AS origin, sum(calls) AS calls, sum(seconds) AS seconds, sumMap(buckets) AS buckets, sum(amount) AS amount, sum(asked) AS asked,
    sum(repeat_requests) AS repeat_requests, sum(repeat_calls) AS repeat_calls, sum(repeat_seconds) AS repeat_seconds,
    sum(slow_calls) AS slow_calls, sum(slow_seconds) AS slow_seconds
FROM calls_10s
GROUP BY ALL;

CREATE MATERIALIZED VIEW calls_1m_tenants_from_10s $on_cluster TO calls_1m_tenants AS
SELECT
    toStartOfMinute(time) AS time, environment, service, tenant, kind, system, target, '' AS digest, '' AS caller, error, '' AS line, release, sdk,
    any('') AS operation, any('') AS collection, any('') AS origin, sum(calls) AS calls, sum(seconds) AS seconds, sumMap(buckets) AS buckets, sum(amount) AS amount, sum(asked) AS asked,
    sum(repeat_requests) AS repeat_requests, sum(repeat_calls) AS repeat_calls, sum(repeat_seconds) AS repeat_seconds,
    sum(slow_calls) AS slow_calls, sum(slow_seconds) AS slow_seconds
FROM calls_10s
GROUP BY ALL;

CREATE MATERIALIZED VIEW calls_1h_from_1m $on_cluster TO calls_1h AS
SELECT
    toStartOfHour(time) AS time, environment, service, tenant, kind, system, target, digest, caller, error, line, release, sdk,
    any(operation) AS operation, any(collection) AS collection, any(origin) AS origin, sum(calls) AS calls, sum(seconds) AS seconds, sumMap(buckets) AS buckets, sum(amount) AS amount, sum(asked) AS asked,
    sum(repeat_requests) AS repeat_requests, sum(repeat_calls) AS repeat_calls, sum(repeat_seconds) AS repeat_seconds,
    sum(slow_calls) AS slow_calls, sum(slow_seconds) AS slow_seconds
FROM calls_1m
GROUP BY ALL;

CREATE MATERIALIZED VIEW calls_1h_operations_from_1m $on_cluster TO calls_1h_operations AS
SELECT
    toStartOfHour(time) AS time, environment, service, '' AS tenant, kind, system, target, digest, caller, error, line, release, sdk,
    any(operation) AS operation, any(collection) AS collection, any(origin) AS origin, sum(calls) AS calls, sum(seconds) AS seconds, sumMap(buckets) AS buckets, sum(amount) AS amount, sum(asked) AS asked,
    sum(repeat_requests) AS repeat_requests, sum(repeat_calls) AS repeat_calls, sum(repeat_seconds) AS repeat_seconds,
    sum(slow_calls) AS slow_calls, sum(slow_seconds) AS slow_seconds
FROM calls_1m_operations
GROUP BY ALL;

CREATE MATERIALIZED VIEW calls_1h_tenants_from_1m $on_cluster TO calls_1h_tenants AS
SELECT
    toStartOfHour(time) AS time, environment, service, tenant, kind, system, target, '' AS digest, '' AS caller, error, '' AS line, release, sdk,
    any('') AS operation, any('') AS collection, any('') AS origin, sum(calls) AS calls, sum(seconds) AS seconds, sumMap(buckets) AS buckets, sum(amount) AS amount, sum(asked) AS asked,
    sum(repeat_requests) AS repeat_requests, sum(repeat_calls) AS repeat_calls, sum(repeat_seconds) AS repeat_seconds,
    sum(slow_calls) AS slow_calls, sum(slow_seconds) AS slow_seconds
FROM calls_1m_tenants
GROUP BY ALL;

-- Senders that are not our SDK tell it by the spans of their clients, as far as they keep them; so do other libraries'
-- instruments inside our SDK. The engine takes the literals out of statements.
CREATE MATERIALIZED VIEW calls_from_spans $on_cluster TO calls_10s AS
WITH
    attributes['db.system.name'] != '' ? attributes['db.system.name'] : attributes['db.system'] AS db,
    attributes['server.address'] != '' ? attributes['server.address'] : attributes['net.peer.name'] AS address,
    attributes['server.port'] != '' ? attributes['server.port'] : attributes['net.peer.port'] AS port,
    attributes['db.namespace'] != '' ? attributes['db.namespace'] : attributes['db.name'] AS namespace,
    attributes['db.query.text'] != '' ? attributes['db.query.text'] : attributes['db.statement'] AS statement,
    attributes['http.response.status_code'] != '' ? attributes['http.response.status_code'] : attributes['http.status_code'] AS code,
    multiIf(db IN ('redis', 'memcached', 'valkey'), 'cache', db != '', 'db', attributes['messaging.system'] != '', 'queue', 'http') AS called,
    multiIf(called = 'http', concat(method, ' ', attributes['url.template']),
            called = 'queue', name,
            statement = '', name,
            called = 'cache', upper(splitByChar(' ', statement)[1]),
            normalizeQuery(substring(statement, 1, 2048))) AS text
SELECT
    toStartOfInterval(start, INTERVAL 10 SECOND) AS time, environment, service, tenant,
    called AS kind,
    multiIf(db != '', db, called = 'queue', attributes['messaging.system'], 'http') AS system,
    multiIf(called = 'http', concat(address, port IN ('', '80', '443') ? '' : concat(':', port)),
            called = 'queue', attributes['messaging.destination.name'],
            namespace = '', address, address = '', namespace, concat(address, '/', namespace)) AS target,
    lower(hex(sipHash64(text))) AS digest,
    '' AS caller,
    multiIf(attributes['error.type'] != '', attributes['error.type'], toUInt16OrZero(code) >= 400, code, status = 2, 'error', '') AS error,
    '' AS line, release, sdk,
    any(text) AS operation,
    any(attributes['db.collection.name'] != '' ? attributes['db.collection.name'] : attributes['db.sql.table']) AS collection,
    count() AS calls,
    sum(duration_ns) / 1e9 AS seconds,
    sumMap(map(toInt16(floor(log2(greatest(duration_ns, 1) / 1e9) * 64)), toUInt64(1))) AS buckets,
    sum(toUInt64OrZero(attributes['db.response.returned_rows'])) AS amount
FROM spans
WHERE spans.kind IN (3, 4) AND (sdk != 'tocsin' OR scope_name NOT LIKE 'tocsin%')
GROUP BY ALL;
