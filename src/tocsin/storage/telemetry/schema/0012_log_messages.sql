-- The readable part of a line: of one that is a JSON object the text under the first of these names (BODIES in
-- model/log_line.py), of any other the line itself. Nothing is stored: it is read out of the body where it is asked for.
ALTER TABLE logs $on_cluster ADD COLUMN IF NOT EXISTS message String ALIAS
    if(body_type = 's' AND startsWith(trimLeft(body), '{'),
        if((arrayFirst(
            (value, name) -> value != '' AND (NOT match(value, '^[\\[{]') OR JSONType(body, name) = 'String'),
            [(JSONExtract(body, 'Tuple(message String, msg String, event String, body String)') AS said).1, said.2,
             said.3, said.4],
            ['message', 'msg', 'event', 'body']) AS told) != '', told, body),
        body);

-- Lines are alike by what they say, wherever in the line it stands.
ALTER TABLE logs $on_cluster MODIFY COLUMN shape UInt64 MATERIALIZED
    if(event_name != '' OR body_type != 's' OR body = '', 0, cityHash64(replaceRegexpAll(
        substringUTF8(substringIndex(message, '\n', 1), 1, 400),
        '\\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +-?[0-9]+(?:[.:,/+-][0-9]+)*(?: -?[0-9]+(?:[.:,/+-][0-9]+)*)*|\\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\\b|\\b(?:0[xX])?[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,})*\\b|\\b0[xX][0-9a-fA-F]+\\b|<?-?[0-9]+(?:[.:,/+-][0-9]+)* (?:sec|[KMGT]?i?B)\\b|-?[0-9]+(?:[.:,/+-][0-9]+)*',
        '#')));

-- Whether the example is one field of its line: then the line has more before and behind it.
ALTER TABLE log_shapes $on_cluster ADD COLUMN IF NOT EXISTS is_field SimpleAggregateFunction(max, UInt8) AFTER example;

DROP TABLE IF EXISTS log_shapes_from_logs $on_cluster SYNC;
CREATE MATERIALIZED VIEW log_shapes_from_logs $on_cluster TO log_shapes AS
SELECT
    toDate(time) AS day, service, shape, tenant, environment, min(time) AS first, max(time) AS last,
    argMinState(toString(release), time) AS first_release, max(severity) AS severity,
    any(toString(level)) AS level, count() AS lines, any(substringUTF8(message, 1, 1000)) AS example,
    max(message != body) AS is_field, now64(3, 'UTC') AS stored
FROM logs
WHERE shape != 0
GROUP BY day, service, shape, tenant, environment;
