-- One row a span. Newest-first searches read whole five-minute buckets of one service and tenant.
CREATE TABLE spans $on_cluster
(
    start             DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    duration_ns       UInt64,
    trace_id          FixedString(16),
    span_id           FixedString(8),
    parent_span_id    FixedString(8),
    tenant            String,
    environment       LowCardinality(String),
    service           LowCardinality(String),
    release           LowCardinality(String),
    sdk               LowCardinality(String),
    name              LowCardinality(String),
    kind              Int8,
    method            LowCardinality(String),
    route             LowCardinality(String),
    status_code       UInt16,
    status            Int8,
    status_message    String,
    attributes        Map(LowCardinality(String), String),
    attribute_types   LowCardinality(String),
    resource          Map(LowCardinality(String), String),
    resource_types    LowCardinality(String),
    scope_name        LowCardinality(String),
    scope_version     LowCardinality(String),
    trace_state       String,
    flags             UInt32,
    event_times       Array(UInt64),
    event_names       Array(LowCardinality(String)),
    event_attributes  Array(Map(LowCardinality(String), String)),
    event_types       Array(LowCardinality(String)),
    link_trace_ids    Array(String),
    link_span_ids     Array(String),
    link_states       Array(String),
    link_attributes   Array(Map(LowCardinality(String), String)),
    link_types        Array(LowCardinality(String)),
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(start)
ORDER BY (toStartOfFiveMinutes(start), service, tenant, start)
SETTINGS $table_settings;

-- Rate, errors and duration per ten seconds, exact per tenant. Duration buckets are OTLP's exponential ones of
-- scale 6: bucket b holds 2^(b/64) to 2^((b+1)/64) seconds, so a percentile is right within 0.6 %.
CREATE TABLE red_10s $on_cluster
(
    time               DateTime('UTC'),
    environment        LowCardinality(String),
    service            LowCardinality(String),
    tenant             String,
    method             LowCardinality(String),
    route              LowCardinality(String),
    status_code        UInt16,
    release            LowCardinality(String),
    sdk                LowCardinality(String),
    requests           SimpleAggregateFunction(sum, UInt64),
    errors             SimpleAggregateFunction(sum, UInt64),
    seconds            SimpleAggregateFunction(sum, Float64),
    buckets            SimpleAggregateFunction(sumMap, Map(Int16, UInt64)),
    response_bytes     SimpleAggregateFunction(sum, UInt64),
    background_seconds SimpleAggregateFunction(sum, Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (time, service, tenant, method, route, status_code, environment, release, sdk)
SETTINGS $table_settings;

CREATE TABLE red_1m $on_cluster AS red_10s;
CREATE TABLE red_1h $on_cluster AS red_10s
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, service, tenant, method, route, status_code, environment, release, sdk)
SETTINGS $table_settings;

-- The same without a dimension, for questions that do not ask for it: hundreds of tenants or routes then fold into one
-- row. `_routes` leaves the tenant empty, so it has nothing for a caller who may see some tenants only; `_tenants`
-- leaves method and route empty and keeps the class of the status (200, 400, 500).
CREATE TABLE red_1m_routes $on_cluster AS red_1m;
CREATE TABLE red_1m_tenants $on_cluster AS red_1m;
CREATE TABLE red_1h_routes $on_cluster AS red_1h;
CREATE TABLE red_1h_tenants $on_cluster AS red_1h;

-- Our own SDK sends these numbers exact in its metrics, whatever it samples; everybody else's come from their spans.
CREATE MATERIALIZED VIEW red_from_spans $on_cluster TO red_10s AS
SELECT
    toStartOfInterval(start, INTERVAL 10 SECOND) AS time,
    environment, service, tenant, method,
    if(route != '', route, name) AS route,
    status_code, release, sdk,
    count() AS requests,
    countIf(status = 2 OR status_code >= 500) AS errors,
    sum(duration_ns) / 1e9 AS seconds,
    sumMap(map(toInt16(floor(log2(greatest(duration_ns, 1) / 1e9) * 64)), toUInt64(1))) AS buckets,
    sum(toUInt64OrZero(attributes['http.response.body.size'])) AS response_bytes,
    sum(0.) AS background_seconds
FROM spans
WHERE kind IN (2, 5) AND sdk != 'tocsin'
GROUP BY ALL;

CREATE MATERIALIZED VIEW red_1m_from_10s $on_cluster TO red_1m AS
SELECT
    toStartOfMinute(time) AS time, environment, service, tenant, method, route, status_code, release, sdk,
    sum(requests) AS requests, sum(errors) AS errors, sum(seconds) AS seconds, sumMap(buckets) AS buckets,
    sum(response_bytes) AS response_bytes, sum(background_seconds) AS background_seconds
FROM red_10s
GROUP BY ALL;

CREATE MATERIALIZED VIEW red_1m_routes_from_10s $on_cluster TO red_1m_routes AS
SELECT
    toStartOfMinute(time) AS time, environment, service, '' AS tenant, method, route, status_code, release, sdk,
    sum(requests) AS requests, sum(errors) AS errors, sum(seconds) AS seconds, sumMap(buckets) AS buckets,
    sum(response_bytes) AS response_bytes, sum(background_seconds) AS background_seconds
FROM red_10s
GROUP BY ALL;

CREATE MATERIALIZED VIEW red_1m_tenants_from_10s $on_cluster TO red_1m_tenants AS
SELECT
    toStartOfMinute(time) AS time, environment, service, tenant, '' AS method, '' AS route, toUInt16(intDiv(status_code, 100) * 100) AS status_code, release, sdk,
    sum(requests) AS requests, sum(errors) AS errors, sum(seconds) AS seconds, sumMap(buckets) AS buckets,
    sum(response_bytes) AS response_bytes, sum(background_seconds) AS background_seconds
FROM red_10s
GROUP BY ALL;

CREATE MATERIALIZED VIEW red_1h_from_1m $on_cluster TO red_1h AS
SELECT
    toStartOfHour(time) AS time, environment, service, tenant, method, route, status_code, release, sdk,
    sum(requests) AS requests, sum(errors) AS errors, sum(seconds) AS seconds, sumMap(buckets) AS buckets,
    sum(response_bytes) AS response_bytes, sum(background_seconds) AS background_seconds
FROM red_1m
GROUP BY ALL;

CREATE MATERIALIZED VIEW red_1h_routes_from_1m $on_cluster TO red_1h_routes AS
SELECT
    toStartOfHour(time) AS time, environment, service, tenant, method, route, status_code, release, sdk,
    sum(requests) AS requests, sum(errors) AS errors, sum(seconds) AS seconds, sumMap(buckets) AS buckets,
    sum(response_bytes) AS response_bytes, sum(background_seconds) AS background_seconds
FROM red_1m_routes
GROUP BY ALL;

CREATE MATERIALIZED VIEW red_1h_tenants_from_1m $on_cluster TO red_1h_tenants AS
SELECT
    toStartOfHour(time) AS time, environment, service, tenant, method, route, status_code, release, sdk,
    sum(requests) AS requests, sum(errors) AS errors, sum(seconds) AS seconds, sumMap(buckets) AS buckets,
    sum(response_bytes) AS response_bytes, sum(background_seconds) AS background_seconds
FROM red_1m_tenants
GROUP BY ALL;

-- One row an exception. A sender that gives no fingerprint gets one from the exception's type and its frames
-- (file and function, no line numbers), so that it survives an edit above the line.
CREATE TABLE exceptions $on_cluster
(
    time         DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    environment  LowCardinality(String),
    service      LowCardinality(String),
    tenant       String,
    release      LowCardinality(String),
    method       LowCardinality(String),
    route        LowCardinality(String),
    fingerprint  LowCardinality(String),
    type         LowCardinality(String),
    message      String,
    trace_id     FixedString(16),
    span_id      FixedString(8)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfFiveMinutes(time), service, tenant, fingerprint, time)
SETTINGS $table_settings;

CREATE MATERIALIZED VIEW exceptions_from_spans $on_cluster TO exceptions AS
SELECT
    -- Never outside its span: a sender's odd event time must not open a partition of its own.
    fromUnixTimestamp64Nano(toInt64(least(greatest(event_time, toUnixTimestamp64Nano(start)),
        toUnixTimestamp64Nano(start) + duration_ns)), 'UTC') AS time,
    environment, service, tenant, release, method,
    if(route != '', route, name) AS route,
    if(event['tocsin.error.fingerprint'] != '', event['tocsin.error.fingerprint'],
       lower(hex(sipHash64(event['exception.type'],
           extractAllGroups(event['exception.stacktrace'], 'File "(?:[^"]*/)?([^"/]+/[^"/]+)", line \\d+, in (\\S+)'))))
    ) AS fingerprint,
    event['exception.type'] AS type,
    substring(event['exception.message'], 1, 2000) AS message,
    trace_id, span_id
FROM spans
ARRAY JOIN event_names AS event_name, event_times AS event_time, event_attributes AS event
WHERE event_name = 'exception';
