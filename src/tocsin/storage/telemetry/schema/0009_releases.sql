-- When a release of a service was first and last seen, by any of its requests. No tenant has a part in it.
CREATE TABLE releases $on_cluster
(
    service      LowCardinality(String),
    environment  LowCardinality(String),
    release      LowCardinality(String),
    first        SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last         SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = ${replicated}AggregatingMergeTree
ORDER BY (service, environment, release)
SETTINGS $table_settings;

INSERT INTO releases
SELECT service, environment, release, toDateTime64(min(time), 3, 'UTC'), toDateTime64(max(time), 3, 'UTC')
FROM red_1m_routes
WHERE release != ''
GROUP BY service, environment, release;

CREATE MATERIALIZED VIEW releases_from_red $on_cluster TO releases AS
SELECT service, environment, release, toDateTime64(min(time), 3, 'UTC') AS first, toDateTime64(max(time), 3, 'UTC') AS last
FROM red_10s
WHERE release != ''
GROUP BY service, environment, release;
