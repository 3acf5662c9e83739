-- One row a log record, every OTLP field kept.
CREATE TABLE logs $on_cluster
(
    time             DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    observed         DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant           String,
    environment      LowCardinality(String),
    service          LowCardinality(String),
    release          LowCardinality(String),
    severity         Int8,
    severity_text    LowCardinality(String),
    body             String,
    body_type        LowCardinality(String),
    event_name       LowCardinality(String),
    trace_id         FixedString(16),
    span_id          FixedString(8),
    flags            UInt32,
    attributes       Map(LowCardinality(String), String),
    attribute_types  LowCardinality(String),
    resource         Map(LowCardinality(String), String),
    resource_types   LowCardinality(String),
    scope_name       LowCardinality(String),
    scope_version    LowCardinality(String),
    INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ${replicated}MergeTree
PARTITION BY toDate(time)
ORDER BY (toStartOfFiveMinutes(time), service, tenant, time)
SETTINGS $table_settings;
