// Time charts: uPlot with the theme's colours, one cursor and one time axis for all charts of a page, deploy markers,
// the usual band, a tooltip, and zoom by dragging. The data and the options come from tocsin/web/charts.py.

import { colour, isoSeconds, tip, write, writeAxis, zoomed } from "./units.js";

const mounted = new Map(); // figure element -> {plot, text, data, tip}
const FONT = '11px Inter, ui-sans-serif, system-ui, sans-serif';
const MARKED = { deploy: "c6", flag: "c4", migration: "c2" }; // what happened beside the figures, by kind
const soft = (name, share) => `color-mix(in srgb, ${colour(name)} ${share}%, transparent)`;

const read = (figure) => {
  const text = figure.querySelector("script").textContent;
  return { text, data: JSON.parse(text) };
};

const columns = (data) => {
  const band = data.band ? [data.band.high, data.band.low] : [];
  return [data.times, ...drawnOrder(data, data.stacked ? stacked(data.lines) : data.lines.map((line) => line.values)), ...band];
};

// Bars hide what is drawn before them: the shortest, the first of a stack, comes last.
const drawnOrder = (data, lines) => (data.bars ? lines.reverse() : lines);

// Each line on top of those before it; the first is drawn last and so in front.
const stacked = (lines) => {
  const sums = lines[0]?.values.map(() => 0) ?? [];
  return lines.map((line) => line.apart ? line.values : line.values.map((value, at) => (value == null ? null : (sums[at] += value))));
};

// Thresholds as thin lines across the chart.
const limits = (figure) => (plot) => {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  for (const [value, tone] of (mounted.get(figure) ?? read(figure)).data.limits ?? []) {
    const y = plot.valToPos(value, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = colour(tone);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
};

const reach = (low, high) => {
  if (low == null) return [0, 1];
  const room = Math.max(Math.abs(low), Math.abs(high)) * 0.12 || 1;
  return [low < 0 ? low - room : 0, high > 0 ? high + high * 0.12 : low < 0 ? 0 : 1];
};

function series(data) {
  const lines = drawnOrder(data, data.lines.map((line) => ({
    label: line.label,
    stroke: () => colour(line.colour),
    fill: data.bars ? () => colour(line.colour) : line.filled ? () => soft(line.colour, 12) : undefined,
    width: data.bars ? 0 : 1.6,
    paths: data.bars ? uPlot.paths.bars({ size: [0.86, 40], align: 1 }) : undefined,
    dash: line.dashed ? [4, 4] : undefined,
    points: { show: (plot, index) => !data.bars && isLonely(plot.data[index]), size: 5 },
    spanGaps: false,
  })));
  const edge = { stroke: "transparent", width: 0, points: { show: false } };
  return [{}, ...lines, ...(data.band ? [edge, edge] : [])];
}

// A line needs two neighbouring points; values standing alone are drawn as dots or they would not be seen at all.
const isLonely = (values) => {
  const known = values.filter((value) => value != null).length;
  return known > 0 && known < 3;
};

// Requests behind a chart, at their own height or at its edge when they took longer.
const REACH = 8;
const placeOf = (plot, [at, value]) => [plot.valToPos(at, "x"), Math.max(plot.valToPos(value, "y"), 4)];

const examples = (figure) => (plot) => {
  const { ctx, bbox } = plot;
  const found = (mounted.get(figure) ?? read(figure)).data.examples ?? [];
  ctx.save();
  ctx.fillStyle = colour("c6");
  ctx.strokeStyle = colour("surface");
  for (const example of found) {
    const [left, top] = placeOf(plot, example).map((place) => place * devicePixelRatio);
    if (left < 0 || left > bbox.width) continue;
    const size = 4 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left + left, bbox.top + top - size);
    ctx.lineTo(bbox.left + left + size, bbox.top + top);
    ctx.lineTo(bbox.left + left, bbox.top + top + size);
    ctx.lineTo(bbox.left + left - size, bbox.top + top);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
};

// The example below the pointer, if any.
const exampleAt = (plot, found) => {
  const { left, top } = plot.cursor;
  const apart = (example) => { const [x, y] = placeOf(plot, example); return Math.hypot(x - left, y - top); };
  const near = (found ?? []).filter((example) => apart(example) <= REACH).sort((one, other) => apart(one) - apart(other));
  return near[0];
};

function markers(figure) {
  return (plot) => {
    const { data } = mounted.get(figure) ?? read(figure);
    const { ctx, bbox } = plot;
    ctx.save();
    const seen = data.markers.filter(({ at }) => { const x = plot.valToPos(at, "x", true); return x >= bbox.left && x <= bbox.left + bbox.width; });
    ctx.font = `${11 * devicePixelRatio}px Inter, sans-serif`;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    let writtenUpTo = -Infinity;
    for (const marker of seen) {
      const x = plot.valToPos(marker.at, "x", true);
      ctx.strokeStyle = ctx.fillStyle = colour(MARKED[marker.kind] ?? "ink-3");
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.moveTo(x - 4 * devicePixelRatio, bbox.top);
      ctx.lineTo(x + 4 * devicePixelRatio, bbox.top);
      ctx.lineTo(x, bbox.top + 6 * devicePixelRatio);
      ctx.fill();
      // Names that would lie on each other are left to the tooltip.
      const isLate = x > bbox.left + bbox.width * 0.7;
      const width = ctx.measureText(marker.label).width + 10 * devicePixelRatio;
      if ((isLate ? x - width : x) < writtenUpTo) continue;
      writtenUpTo = isLate ? x : x + width;
      ctx.textAlign = isLate ? "right" : "left";
      ctx.fillText(marker.label, x + (isLate ? -5 : 5) * devicePixelRatio, bbox.top + 9 * devicePixelRatio);
    }
    ctx.restore();
  };
}

function showTip(figure, plot) {
  const entry = mounted.get(figure);
  if (!entry) return;
  const { idx, left, top } = plot.cursor;
  const isHere = figure.matches(":hover");
  if (idx == null || left < 0 || !isHere) return entry.tip.hide();
  const rows = entry.data.lines.map((line) => [line.colour, line.label, write(entry.data.format, line.values[idx])]);
  if (entry.data.band?.low[idx] != null) rows.push(["c6", entry.data.band.words, `${write(entry.data.format, entry.data.band.low[idx])} – ${write(entry.data.format, entry.data.band.high[idx])}`]);
  for (const marker of entry.data.markers.filter(({ at }) => Math.abs(plot.valToPos(at, "x") - left) < 7))
    rows.push([MARKED[marker.kind] ?? "c6", marker.text || marker.label, ""]);
  const example = exampleAt(plot, entry.data.examples);
  if (example) rows.push(["c6", `trace of ${example[3]}`, write(entry.data.format, example[1])]);
  entry.tip.show(left + plot.over.offsetLeft, top + plot.over.offsetTop, isoSeconds(entry.data.times[idx]), rows);
}

function axes(data) {
  const grid = { stroke: () => colour("line"), width: 1 };
  const common = { stroke: () => colour("ink-3"), font: FONT, grid, ticks: { show: false } };
  const clock = (plot, splits) => splits.map((at) => axisTime(at, data));
  return [
    { ...common, grid: { show: false }, size: 26, gap: 4, space: 64, values: clock },
    { ...common, size: 50, gap: 6, space: 38, values: (plot, splits) => splits.map((value) => writeAxis(data.format, value)) },
  ];
}

const axisTime = (at, data) => {
  const date = new Date(at * 1000);
  const clock = `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
  if (data.end - data.start <= 86400 * 1.5) return clock;
  const day = `${date.getDate()} ${date.toLocaleString("en", { month: "short" })}`;
  return date.getHours() || date.getMinutes() ? clock : day;
};

function options(figure, data, box) {
  return {
    width: box.clientWidth,
    height: box.clientHeight,
    padding: [6, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { size: 6 },
      drag: { x: true, y: false, setScale: false },
      sync: { key: "page", setSeries: false },
    },
    select: { show: true },
    scales: {
      x: { time: true, range: () => { const { start, end } = (mounted.get(figure) ?? { data }).data; return [start, end]; } },
      y: { range: (plot, low, high) => reach(low, high) },
    },
    series: series(data),
    bands: data.band ? [{ series: [data.lines.length + 1, data.lines.length + 2], fill: () => soft("c6", 14) }] : [],
    axes: axes(data),
    hooks: {
      draw: [limits(figure), examples(figure), markers(figure)],
      setCursor: [(plot) => showTip(figure, plot)],
      setSelect: [(plot) => plot.select.width > 6 && zoom(plot)],
    },
  };
}

function zoom(plot) {
  const { left, width } = plot.select;
  location.href = zoomed(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
}

// A point opens the traces of its step; a drag has its own meaning and is told by the way the pointer went.
function openOnClick(figure, plot) {
  let pressed = 0;
  plot.over.addEventListener("mousedown", (event) => (pressed = event.clientX), true);
  plot.over.addEventListener("click", (event) => {
    const { times, href } = mounted.get(figure).data;
    const { idx } = plot.cursor;
    const example = exampleAt(plot, mounted.get(figure).data.examples);
    if (example && Math.abs(event.clientX - pressed) <= 4) { location.href = example[2]; return; }
    if (!href || idx == null || Math.abs(event.clientX - pressed) > 4) return;
    const url = new URL(href, location.href);
    url.searchParams.set("start", times[idx]);
    url.searchParams.set("end", times[idx] + (times[1] - times[0] || 60));
    location.href = url.href;
  });
  plot.over.classList.toggle("opens", Boolean(mounted.get(figure).data.href));
}

function mount(figure) {
  const { text, data } = read(figure);
  const box = figure.querySelector(".plot");
  box.replaceChildren();
  const plot = new uPlot(options(figure, data, box), columns(data), box);
  mounted.set(figure, { plot, text, data, box, tip: tip(figure), shape: shapeOf(data) });
  openOnClick(figure, plot);
  box.addEventListener("mouseleave", () => mounted.get(figure)?.tip.hide());
  sizes.observe(box);
}

const shapeOf = (data) => JSON.stringify([data.lines.map((line) => [line.label, line.colour, line.dashed]), !!data.band, data.format, data.stacked, data.bars]);

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const entry = mounted.get(target.closest("[data-chart]"));
    if (entry && target.clientWidth && target.clientWidth !== entry.plot.width)
      entry.plot.setSize({ width: target.clientWidth, height: target.clientHeight });
  }
});

function unmount(figure) {
  mounted.get(figure).plot.destroy();
  figure.querySelector(".tip")?.remove();
  mounted.delete(figure);
}

// Mounts new charts, brings new data into those that are there, drops those that left the page.
export function refreshCharts() {
  for (const figure of [...mounted.keys()]) if (!figure.isConnected) unmount(figure);
  for (const figure of document.querySelectorAll("[data-chart]")) {
    const entry = mounted.get(figure);
    if (!entry) { mount(figure); continue; }
    const { text, data } = read(figure);
    if (text === entry.text) continue;
    if (shapeOf(data) !== entry.shape) { unmount(figure); mount(figure); continue; }
    Object.assign(entry, { text, data });
    entry.plot.setData(columns(data));
  }
}

export function recolourCharts() {
  for (const { plot } of mounted.values()) plot.redraw(false);
}
