-- Things that happened once: a deployment, a flag that changed, a row of another tenant. They are log records with an
-- event name, kept longer than logs and read by name.
CREATE TABLE events $on_cluster
(
    time             DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    name             LowCardinality(String),
    tenant           String,
    environment      LowCardinality(String),
    service          LowCardinality(String),
    release          LowCardinality(String),
    severity         Int8,
    body             String,
    attributes       Map(LowCardinality(String), String),
    attribute_types  LowCardinality(String),
    trace_id         FixedString(16),
    span_id          FixedString(8)
)
ENGINE = ${replicated}MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (name, toStartOfHour(time), tenant, time)
SETTINGS $table_settings;

CREATE MATERIALIZED VIEW events_from_logs $on_cluster TO events AS
SELECT
    time, event_name AS name, tenant, environment, service, release, severity, body, attributes, attribute_types,
    trace_id, span_id
FROM logs
WHERE event_name != '';
