-- What makes logs quick to search and to count.

-- The level in words, by the severity's number or, without one, by its text; '' when a record says neither.
ALTER TABLE logs $on_cluster ADD COLUMN IF NOT EXISTS level LowCardinality(String) MATERIALIZED multiIf(
    severity >= 21, 'fatal', severity >= 17, 'error', severity >= 13, 'warn', severity >= 9, 'info',
    severity >= 5, 'debug', severity >= 1, 'trace',
    lower(severity_text) IN ('fatal', 'critical', 'crit', 'alert', 'emerg', 'emergency', 'panic'), 'fatal',
    lower(severity_text) IN ('error', 'err', 'severe'), 'error',
    lower(severity_text) IN ('warn', 'warning'), 'warn',
    lower(severity_text) IN ('info', 'information', 'informational', 'notice'), 'info',
    lower(severity_text) IN ('debug', 'verbose'), 'debug',
    lower(severity_text) IN ('trace', 'finest'), 'trace',
    '') AFTER severity_text;

-- The words of the body in lower case, row by row: body ILIKE '%word%' and hasAllTokens(body, 'words') are answered
-- from it without reading a body. One word of letters and digits, four or more, for ILIKE.
ALTER TABLE logs $on_cluster ADD INDEX IF NOT EXISTS body_words body
    TYPE text(tokenizer = splitByNonAlpha, preprocessor = lower(body));

-- Which attributes a record has, row by row, and which values a granule may have.
ALTER TABLE logs $on_cluster ADD INDEX IF NOT EXISTS attribute_keys mapKeys(attributes) TYPE text(tokenizer = 'array');
ALTER TABLE logs $on_cluster ADD INDEX IF NOT EXISTS attribute_values mapValues(attributes)
    TYPE bloom_filter(0.01) GRANULARITY 1;
-- Rare levels and tenants skip what has none of them.
ALTER TABLE logs $on_cluster ADD INDEX IF NOT EXISTS levels level TYPE set(8) GRANULARITY 1;

ALTER TABLE logs $on_cluster MATERIALIZE INDEX body_words;
ALTER TABLE logs $on_cluster MATERIALIZE INDEX attribute_keys;
ALTER TABLE logs $on_cluster MATERIALIZE INDEX attribute_values;

-- How many lines and bytes of bodies there were, by the minute and by the hour.
CREATE TABLE logs_1m $on_cluster
(
    time         DateTime('UTC'),
    service      LowCardinality(String),
    tenant       String,
    environment  LowCardinality(String),
    release      LowCardinality(String),
    level        LowCardinality(String),
    lines        SimpleAggregateFunction(sum, UInt64),
    bytes        SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (time, service, tenant, environment, release, level)
SETTINGS $table_settings;

CREATE TABLE logs_1h $on_cluster AS logs_1m
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, service, tenant, environment, release, level)
SETTINGS $table_settings;

-- The streams of a day: lines of the same service, tenant, environment, release and resource. Answers which labels and
-- values there are.
CREATE TABLE log_streams $on_cluster
(
    day          Date,
    service      LowCardinality(String),
    tenant       String,
    environment  LowCardinality(String),
    release      LowCardinality(String),
    id           UInt64,
    resource     SimpleAggregateFunction(any, Map(String, String)),
    first        SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    last         SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    lines        SimpleAggregateFunction(sum, UInt64),
    bytes        SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, service, tenant, environment, release, id)
SETTINGS $table_settings;

-- What was there before, from the beginning: a start that was cut short has counted a part already.
DROP TABLE IF EXISTS logs_1h_from_1m $on_cluster SYNC;
DROP TABLE IF EXISTS logs_1m_from_logs $on_cluster SYNC;
DROP TABLE IF EXISTS log_streams_from_logs $on_cluster SYNC;
TRUNCATE TABLE logs_1m $on_cluster;
TRUNCATE TABLE logs_1h $on_cluster;
TRUNCATE TABLE log_streams $on_cluster;

CREATE MATERIALIZED VIEW logs_1h_from_1m $on_cluster TO logs_1h AS
SELECT toStartOfHour(time) AS time, service, tenant, environment, release, level, sum(lines) AS lines, sum(bytes) AS bytes
FROM logs_1m
GROUP BY time, service, tenant, environment, release, level;

INSERT INTO logs_1m
SELECT toStartOfMinute(time), service, tenant, environment, release, level, count(), sum(length(body))
FROM logs
GROUP BY ALL;

CREATE MATERIALIZED VIEW logs_1m_from_logs $on_cluster TO logs_1m AS
SELECT
    toStartOfMinute(time) AS time, service, tenant, environment, release, level,
    count() AS lines, sum(length(body)) AS bytes
FROM logs
GROUP BY time, service, tenant, environment, release, level;

INSERT INTO log_streams
SELECT
    toDate(time), service, tenant, environment, release, cityHash64(mapKeys(resource), mapValues(resource)), resource,
    min(time), max(time), count(), sum(length(body))
FROM logs
GROUP BY toDate(time), service, tenant, environment, release, resource;

CREATE MATERIALIZED VIEW log_streams_from_logs $on_cluster TO log_streams AS
SELECT
    toDate(time) AS day, service, tenant, environment, release,
    cityHash64(mapKeys(resource), mapValues(resource)) AS id, resource,
    min(time) AS first, max(time) AS last, count() AS lines, sum(length(body)) AS bytes
FROM logs
GROUP BY day, service, tenant, environment, release, resource;
