"""What an import leaves behind: every leaf of a Grafana document that was neither read nor says what Grafana would do
anyway."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

NO_WORDS: tuple[str, ...] = (
    "datasource*", "id", "type", "title", "description", "gridPos.*", "pluginVersion", "tocsin*", "targets*", "links*",
    "repeat", "panels*", "collapsed", "$$hashKey", "editable", "error", "isNew",
    "span", "minSpan", "height",
)  # fmt: skip
"""Read elsewhere, or without meaning outside the Grafana that wrote them."""

USUAL: dict[str, tuple[Any, ...]] = {
    "transparent": (False,), "maxDataPoints": (None, 100), "interval": (None, ""), "timeFrom": (None,),
    "timeShift": (None,), "transformations": ([],), "hideTimeOverride": (False,), "cacheTimeout": (None,),
    "repeatDirection": ("h", "v", None), "maxPerRow": (None,),
    "fieldConfig.overrides": ([],), "fieldConfig.defaults.mappings": ([],), "fieldConfig.defaults.links": ([],),
    "fieldConfig.defaults.color.mode": ("palette-classic", "thresholds"),
    "fieldConfig.defaults.color.seriesBy": ("last",),
    "fieldConfig.defaults.custom.drawStyle": ("line",), "fieldConfig.defaults.custom.lineInterpolation": ("linear",),
    "fieldConfig.defaults.custom.barAlignment": (0,), "fieldConfig.defaults.custom.barWidthFactor": (0.6,),
    "fieldConfig.defaults.custom.lineWidth": (1, 2), "fieldConfig.defaults.custom.pointSize": (5,),
    "fieldConfig.defaults.custom.gradientMode": ("none",), "fieldConfig.defaults.custom.showPoints": ("auto", "never"),
    "fieldConfig.defaults.custom.spanNulls": (False,), "fieldConfig.defaults.custom.insertNulls": (False,),
    "fieldConfig.defaults.custom.showValues": (False,), "fieldConfig.defaults.custom.lineStyle.fill": ("solid",),
    "fieldConfig.defaults.custom.axisLabel": ("",), "fieldConfig.defaults.custom.axisPlacement": ("auto",),
    "fieldConfig.defaults.custom.axisColorMode": ("text",), "fieldConfig.defaults.custom.axisBorderShow": (False,),
    "fieldConfig.defaults.custom.axisCenteredZero": (False,), "fieldConfig.defaults.custom.align": ("auto",),
    "fieldConfig.defaults.custom.scaleDistribution.type": ("linear",), "fieldConfig.defaults.custom.inspect": (False,),
    "fieldConfig.defaults.custom.hideFrom.*": (False,), "fieldConfig.defaults.custom.stacking.group": ("A",),
    "fieldConfig.defaults.custom.cellOptions.type": ("auto",), "fieldConfig.defaults.custom.fillOpacity": (0, 10, 12),
    "fieldConfig.defaults.custom.thresholdsStyle.mode": ("off", "dashed", "line"),
    "options.legend.*": ("list", "bottom", True, [], ["lastNotNull"]),
    "options.tooltip.*": ("single", "multi", "none", "desc", "asc", False, 600),
    "options.orientation": ("auto", "horizontal"),
    "options.textMode": ("auto",), "options.colorMode": ("value", "none"),
    "options.graphMode": ("area", "none"), "options.justifyMode": ("auto",), "options.wideLayout": (True,),
    "options.percentChangeColorMode": ("standard",), "options.showPercentChange": (False,),
    "options.reduceOptions.values": (False,), "options.reduceOptions.fields": ("",),
    "options.showThresholdLabels": (False,), "options.showThresholdMarkers": (True,),
    "options.minVizWidth": (0, 8, 75), "options.minVizHeight": (0, 10, 16, 75), "options.sizing": ("auto",),
    "options.maxVizHeight": (300,), "options.namePlacement": ("auto",), "options.valueMode": ("color",),
    "options.showUnfilled": (True,), "options.displayMode": ("basic", "gradient", "lcd"),
    "options.legend.showLegend": (True,), "options.mode": ("markdown",), "options.code.*": (False, "plaintext"),
    "options.showHeader": (True,), "options.cellHeight": ("sm",), "options.footer.*": (False, [], "", ["sum"]),
    "options.sortBy": ([],), "options.frameIndex": (0,), "options.showTime": (True, False),
    "options.sortOrder": ("Descending",), "options.wrapLogMessage": (True, False), "options.dedupStrategy": ("none",),
    "options.enableLogDetails": (True,), "options.prettifyLogMessage": (False,), "options.showCommonLabels": (False,),
    "options.showLabels": (False,), "options.calculate": (False,), "options.yAxis.*": ("s", "left", False, None),
    "options.exemplars.*": (None, "rgba(255,0,255,0.7)"),
}  # fmt: skip
"""Values that say no more than what we show anyway, or differ only in looks that we do not have."""

MOST = 12


def left_over(panel: dict[str, Any], read: set[str]) -> list[str]:
    """The paths of a panel that were not read (patterns in `read`) and are not as usual; the first MOST."""
    found = [path for path, value in _leaves(panel, "") if not _is_told(path, value, read)]
    return [*found[:MOST], f"{len(found) - MOST} more"] if len(found) > MOST else found


def _is_told(path: str, value: Any, read: set[str]) -> bool:
    if any(fnmatchcase(path, pattern) for pattern in (*NO_WORDS, *read)):
        return True
    return any(value in usual for pattern, usual in USUAL.items() if fnmatchcase(path, pattern))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _leaves(one, f"{path}.{key}" if path else str(key))
    elif not isinstance(value, dict):
        yield path, value
