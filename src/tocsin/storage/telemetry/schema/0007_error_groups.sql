-- Exceptions remember where they were raised: the innermost line of the app, read out of the stack.
ALTER TABLE exceptions $on_cluster ADD COLUMN IF NOT EXISTS place String;

DROP TABLE IF EXISTS exceptions_from_spans $on_cluster SYNC;

CREATE MATERIALIZED VIEW exceptions_from_spans $on_cluster TO exceptions AS
WITH
    arrayMap(frame -> (replaceAll(frame[1], '\\', '/'), frame[2], frame[3]),
        extractAllGroups(event['exception.stacktrace'], 'File "([^"]+)", line (\\d+), in ([^\\n]+)')) AS frames,
    arrayFilter(frame -> NOT match(frame.1, '/(site|dist)-packages/|/lib/python3|^<'), frames) AS own_frames,
    if(empty(own_frames), frames, own_frames) AS app_frames,
    if(empty(own_frames), frames, arraySlice(own_frames, -2)) AS raising_frames
SELECT
    -- Never outside its span: a sender's odd event time must not open a partition of its own.
    fromUnixTimestamp64Nano(toInt64(least(greatest(event_time, toUnixTimestamp64Nano(start)),
        toUnixTimestamp64Nano(start) + duration_ns)), 'UTC') AS time,
    environment, service, tenant, release, method,
    if(route != '', route, name) AS route,
    -- A sender that gives no fingerprint gets one from the type and the app's innermost two frames: file and function, no lines.
    if(event['tocsin.error.fingerprint'] != '', event['tocsin.error.fingerprint'],
       lower(hex(sipHash64(event['exception.type'],
           arrayMap(frame -> [extract(frame.1, '[^/]+(?:/[^/]+)?$$'), frame.3], raising_frames))))
    ) AS fingerprint,
    event['exception.type'] AS type,
    substring(event['exception.message'], 1, 2000) AS message,
    trace_id, span_id,
    if(empty(app_frames), '', concat(extract(app_frames[-1].1, '[^/]+(?:/[^/]+){0,2}$$'), ':', app_frames[-1].2, ' in ',
        app_frames[-1].3)) AS place
FROM spans
ARRAY JOIN event_names AS event_name, event_times AS event_time, event_attributes AS event
WHERE event_name = 'exception';

-- What is known of a fault for ever: when and in which release it was seen first and last, by whom, how often. Traces
-- stand for occurrences, because an exception is recorded by every span it passes through.
CREATE TABLE error_groups $on_cluster
(
    fingerprint  String,
    service      LowCardinality(String),
    environment  LowCardinality(String),
    tenant       String,
    release      LowCardinality(String),
    method       LowCardinality(String),
    route        LowCardinality(String),
    first        SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    last         SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    occurrences  AggregateFunction(uniqCombined(14), FixedString(16)),
    latest       AggregateFunction(argMax, Tuple(String, String, String, String), DateTime64(9, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (fingerprint, service, environment, tenant, release, method, route)
SETTINGS $table_settings;

-- The same by the hour, for its course.
CREATE TABLE error_hours $on_cluster
(
    hour         DateTime('UTC'),
    fingerprint  String,
    service      LowCardinality(String),
    environment  LowCardinality(String),
    tenant       String,
    release      LowCardinality(String),
    occurrences  AggregateFunction(uniqCombined(14), FixedString(16))
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (fingerprint, hour, service, environment, tenant, release)
SETTINGS $table_settings;

CREATE MATERIALIZED VIEW error_groups_from_exceptions $on_cluster TO error_groups AS
SELECT
    fingerprint, service, environment, tenant, release, method, route,
    min(time) AS first, max(time) AS last, uniqCombinedState(14)(trace_id) AS occurrences,
    argMaxState((toString(type), message, place, lower(hex(trace_id))), time) AS latest
FROM exceptions
GROUP BY fingerprint, service, environment, tenant, release, method, route;

CREATE MATERIALIZED VIEW error_hours_from_exceptions $on_cluster TO error_hours AS
SELECT
    toStartOfHour(time) AS hour, fingerprint, service, environment, tenant, release,
    uniqCombinedState(14)(trace_id) AS occurrences
FROM exceptions
GROUP BY hour, fingerprint, service, environment, tenant, release;

-- What was there before. Doing it twice changes nothing: the smallest, the largest and distinct traces stay the same.
INSERT INTO error_groups
SELECT
    fingerprint, service, environment, tenant, release, method, route,
    min(time), max(time), uniqCombinedState(14)(trace_id),
    argMaxState((toString(type), message, place, lower(hex(trace_id))), time)
FROM exceptions
GROUP BY fingerprint, service, environment, tenant, release, method, route;

INSERT INTO error_hours
SELECT toStartOfHour(time) AS hour, fingerprint, service, environment, tenant, release, uniqCombinedState(14)(trace_id)
FROM exceptions
GROUP BY hour, fingerprint, service, environment, tenant, release;
