-- What the patterns of log lines are made of and counted by. model/log_shape.py says what a shape is.

-- The shape of a line: equal for lines that differ only in numbers, ids and times; 0 for what has none (events, and
-- bodies that are no text).
ALTER TABLE logs $on_cluster ADD COLUMN IF NOT EXISTS shape UInt64 MATERIALIZED
    if(event_name != '' OR body_type != 's' OR body = '', 0, cityHash64(replaceRegexpAll(
        substringUTF8(substringIndex(body, '\n', 1), 1, 400),
        '\\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +-?[0-9]+(?:[.:,/+-][0-9]+)*(?: -?[0-9]+(?:[.:,/+-][0-9]+)*)*|\\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\\b|\\b(?:0[xX])?[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\\b|\\b0[xX][0-9a-fA-F]+\\b|<?-?[0-9]+(?:[.:,/+-][0-9]+)* (?:sec|[KMGT]?i?B)\\b|-?[0-9]+(?:[.:,/+-][0-9]+)*',
        '#'))) AFTER body_type;

-- How many lines of each shape there were, by the minute and by the hour.
CREATE TABLE log_shapes_1m $on_cluster
(
    time         DateTime('UTC'),
    service      LowCardinality(String),
    tenant       String,
    environment  LowCardinality(String),
    release      LowCardinality(String),
    level        LowCardinality(String),
    shape        UInt64,
    lines        SimpleAggregateFunction(sum, UInt64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (time, service, tenant, environment, release, level, shape)
SETTINGS $table_settings;

CREATE TABLE log_shapes_1h $on_cluster AS log_shapes_1m
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, service, tenant, environment, release, level, shape)
SETTINGS $table_settings;

-- What is known of a shape, for each tenant that has lines of it. stored: when a line of it was last written down here,
-- by which the miner finds what is new.
CREATE TABLE log_shapes $on_cluster
(
    day            Date,
    service        LowCardinality(String),
    shape          UInt64,
    tenant         String,
    environment    LowCardinality(String),
    first          SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    last           SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    first_release  AggregateFunction(argMin, String, DateTime64(9, 'UTC')),
    severity       SimpleAggregateFunction(max, Int8),
    level          SimpleAggregateFunction(anyLast, String),
    lines          SimpleAggregateFunction(sum, UInt64),
    example        SimpleAggregateFunction(anyLast, String),
    stored         SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    INDEX by_stored stored TYPE minmax GRANULARITY 1
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toMonday(day)
ORDER BY (service, shape, tenant, environment, day)
SETTINGS $table_settings;

-- Which pattern the lines of a shape belong to; written anew each day on which there are such lines.
CREATE TABLE log_shape_patterns $on_cluster
(
    day      Date,
    service  LowCardinality(String),
    shape    UInt64,
    pattern  UInt64,
    stored   DateTime64(3, 'UTC')
)
ENGINE = ${replicated}ReplacingMergeTree(stored)
PARTITION BY toMonday(day)
ORDER BY (service, shape, day)
SETTINGS $table_settings;

-- The patterns. into: the pattern that has absorbed this one, 0 for none. made: when it was found.
CREATE TABLE log_patterns $on_cluster
(
    service   LowCardinality(String),
    id        UInt64,
    template  String,
    into      UInt64,
    made      DateTime64(3, 'UTC'),
    stored    DateTime64(3, 'UTC')
)
ENGINE = ${replicated}ReplacingMergeTree(stored)
ORDER BY (service, id)
SETTINGS $table_settings;

CREATE MATERIALIZED VIEW log_shapes_1h_from_1m $on_cluster TO log_shapes_1h AS
SELECT toStartOfHour(time) AS time, service, tenant, environment, release, level, shape, sum(lines) AS lines
FROM log_shapes_1m
GROUP BY time, service, tenant, environment, release, level, shape;

CREATE MATERIALIZED VIEW log_shapes_1m_from_logs $on_cluster TO log_shapes_1m AS
SELECT
    toStartOfMinute(time) AS time, service, tenant, environment, release, level, shape, count() AS lines
FROM logs
WHERE shape != 0
GROUP BY time, service, tenant, environment, release, level, shape;

CREATE MATERIALIZED VIEW log_shapes_from_logs $on_cluster TO log_shapes AS
SELECT
    toDate(time) AS day, service, shape, tenant, environment, min(time) AS first, max(time) AS last,
    argMinState(toString(release), time) AS first_release, max(severity) AS severity,
    any(toString(level)) AS level, count() AS lines, any(substringUTF8(body, 1, 1000)) AS example,
    now64(3, 'UTC') AS stored
FROM logs
WHERE shape != 0
GROUP BY day, service, shape, tenant, environment;
