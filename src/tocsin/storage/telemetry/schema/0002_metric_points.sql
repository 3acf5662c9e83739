-- Every OTLP metric point to the letter: numbers in `value`, histograms in the columns behind it.
CREATE TABLE metric_points $on_cluster
(
    time             DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    start            DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant           String,
    environment      LowCardinality(String),
    service          LowCardinality(String),
    instance         LowCardinality(String),
    release          LowCardinality(String),
    sdk              LowCardinality(String),
    name             LowCardinality(String),
    unit             LowCardinality(String),
    description      LowCardinality(String),
    type             Enum8('gauge' = 1, 'sum' = 2, 'histogram' = 3, 'exponential' = 4, 'summary' = 5),
    temporality      Enum8('unspecified' = 0, 'delta' = 1, 'cumulative' = 2),
    is_monotonic     Bool,
    attributes       Map(LowCardinality(String), String),
    attribute_types  LowCardinality(String),
    resource         Map(LowCardinality(String), String),
    resource_types   LowCardinality(String),
    scope_name       LowCardinality(String),
    scope_version    LowCardinality(String),
    flags            UInt64,
    value            Float64,
    is_integer       Bool,
    count            UInt64,
    sum              Nullable(Float64),
    min              Nullable(Float64),
    max              Nullable(Float64),
    bounds           Array(Float64),
    bucket_counts    Array(UInt64),
    scale            Int32,
    zero_count       UInt64,
    zero_threshold   Float64,
    offset           Int32,
    negative_offset  Int32,
    negative_counts  Array(UInt64),
    quantiles        Array(Tuple(Float64, Float64)),
    exemplars        Array(String)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(time)
ORDER BY (name, service, tenant, time)
SETTINGS $table_settings;

CREATE MATERIALIZED VIEW red_from_metric_points $on_cluster TO red_10s AS
SELECT
    toStartOfInterval(time, INTERVAL 10 SECOND) AS time,
    environment, service, tenant,
    attributes['http.request.method'] AS method,
    attributes['http.route'] AS route,
    toUInt16OrZero(attributes['http.response.status_code']) AS status_code,
    release, sdk,
    sumIf(count, name = 'http.server.request.duration') AS requests,
    sumIf(count, name = 'http.server.request.duration'
        AND (toUInt16OrZero(attributes['http.response.status_code']) >= 500
             OR (attributes['error.type'] != '' AND NOT toUInt16OrZero(attributes['http.response.status_code']) BETWEEN 400 AND 499)))
        AS errors,
    sumIf(assumeNotNull(sum), name = 'http.server.request.duration') AS seconds,
    sumMap(mapFromArrays(
        arrayMap(i -> toInt16(offset + i - 1), arrayFilter(i -> bucket_counts[i] > 0, arrayEnumerate(bucket_counts))),
        arrayFilter(c -> c > 0, bucket_counts))) AS buckets,
    sumIf(toUInt64(assumeNotNull(sum)), name = 'http.server.response.body.size') AS response_bytes,
    sumIf(assumeNotNull(sum), name = 'tocsin.http.server.background.duration') AS background_seconds
FROM metric_points
WHERE sdk = 'tocsin' AND temporality = 'delta'
    AND ((name = 'http.server.request.duration' AND type = 'exponential' AND scale = 6)
         OR (name IN ('http.server.response.body.size', 'tocsin.http.server.background.duration') AND type = 'histogram'))
GROUP BY ALL;
