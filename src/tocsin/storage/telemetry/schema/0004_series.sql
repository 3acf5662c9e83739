-- Our SDK's counts of requests go straight into the rollups, and all other metrics become series.
DROP TABLE IF EXISTS red_from_metric_points $on_cluster SYNC;
DROP TABLE IF EXISTS metric_points $on_cluster SYNC;

-- One row a series and day on which it had samples. The id is a hash of the tenant and the sorted labels.
CREATE TABLE series $on_cluster
(
    day          Date,
    name         LowCardinality(String),
    tenant       String,
    id           UInt64,
    labels       Map(LowCardinality(String), String),
    service      LowCardinality(String),
    environment  LowCardinality(String),
    instance     LowCardinality(String),
    -- Its samples are in `deltas`, each the increase since the one before.
    is_delta     Bool,
    first        DateTime64(3, 'UTC')
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (name, day, tenant, id)
SETTINGS $table_settings;

-- Of samples with the same time the last one written counts. Delta before ZSTD packs real values tighter and reads faster
-- than Gorilla: whole numbers and decimals that wander have bytes in common. The same for times, which DoubleDelta
-- unpacks bit by bit.
CREATE TABLE samples $on_cluster
(
    name    LowCardinality(String),
    series  UInt64 CODEC(Delta, ZSTD(1)),
    tenant  LowCardinality(String),
    time    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    value   Float64 CODEC(Delta, ZSTD(1))
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toDate(time)
ORDER BY (name, series, time)
SETTINGS $table_settings;

-- Increases as senders of delta temporality give them, made cumulative when read. Several with the same time add up.
CREATE TABLE deltas $on_cluster
(
    name    LowCardinality(String),
    series  UInt64 CODEC(Delta, ZSTD(1)),
    tenant  LowCardinality(String),
    time    DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value   SimpleAggregateFunction(sum, Float64)
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toDate(time)
ORDER BY (name, series, tenant, time)
SETTINGS $table_settings;

CREATE TABLE deltas_1h $on_cluster AS deltas
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (name, series, tenant, time)
SETTINGS $table_settings;

CREATE MATERIALIZED VIEW deltas_1h_from_deltas $on_cluster TO deltas_1h AS
SELECT name, series, tenant, toDateTime64(toStartOfHour(time), 3, 'UTC') AS time, sum(value) AS value
FROM deltas
GROUP BY name, series, tenant, time;

-- Samples of five minutes and of an hour in one row, for questions about weeks. Filled by `downsample`, hour by hour;
-- an hour that is done again replaces its rows. `increase` is that of a counter from the first to the last sample.
CREATE TABLE samples_5m $on_cluster
(
    name       LowCardinality(String),
    series     UInt64 CODEC(Delta, ZSTD(1)),
    tenant     LowCardinality(String),
    time       DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    last_time  DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    first      Float64 CODEC(Delta, ZSTD(1)),
    last       Float64 CODEC(Delta, ZSTD(1)),
    min        Float64 CODEC(Delta, ZSTD(1)),
    max        Float64 CODEC(Delta, ZSTD(1)),
    sum        Float64 CODEC(Delta, ZSTD(1)),
    count      UInt64 CODEC(ZSTD(1)),
    increase   Float64 CODEC(Delta, ZSTD(1))
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toDate(time)
ORDER BY (name, series, time)
SETTINGS $table_settings;

CREATE TABLE samples_1h $on_cluster AS samples_5m
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (name, series, time)
SETTINGS $table_settings;

-- Up to when that was done.
CREATE TABLE downsampled $on_cluster
(
    grain  LowCardinality(String),
    until  DateTime('UTC')
)
ENGINE = ${replicated}ReplacingMergeTree(until)
ORDER BY grain;

-- Native histograms. A bucket is its index and its count; index i of schema s ends at 2^(i / 2^s). With schema -53 the
-- ends are in custom_bounds.
CREATE TABLE native_histograms $on_cluster
(
    name              LowCardinality(String),
    series            UInt64,
    tenant            String,
    time              DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    -- An increase, as in `deltas`.
    is_delta          Bool,
    schema            Int8,
    reset_hint        UInt8,
    count             Float64,
    sum               Float64,
    zero_threshold    Float64,
    zero_count        Float64,
    positive_indexes  Array(Int32),
    positive_counts   Array(Float64),
    negative_indexes  Array(Int32),
    negative_counts   Array(Float64),
    custom_bounds     Array(Float64)
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toDate(time)
ORDER BY (name, series, time)
SETTINGS $table_settings;

CREATE TABLE exemplars $on_cluster
(
    name      LowCardinality(String),
    series    UInt64,
    tenant    String,
    time      DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value     Float64,
    trace_id  String,
    span_id   String,
    labels    Map(LowCardinality(String), String)
)
ENGINE = ${replicated}ReplacingMergeTree
PARTITION BY toDate(time)
ORDER BY (name, series, time, value)
SETTINGS $table_settings;

-- What senders say about a metric; the newest word counts.
CREATE TABLE metric_metadata $on_cluster
(
    name    LowCardinality(String),
    tenant  String,
    type    LowCardinality(String),
    unit    LowCardinality(String),
    help    String,
    seen    DateTime('UTC')
)
ENGINE = ${replicated}ReplacingMergeTree(seen)
PARTITION BY toYYYYMM(seen)
ORDER BY (name, tenant, type, unit, help)
SETTINGS $table_settings;
