// Latency heat map on a canvas: time across, response time upwards (logarithmic, as the buckets are), darker is more.
// A cell says its count and leads to the traces in it. The data come from tocsin/web/charts.py.

import { colour, isoSeconds, tip, write } from "./units.js";

const mounted = new Map(); // figure -> {canvas, text, data, tip}
const ROUND_STEPS = [60, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400, 172800];
const LEFT = 56, BOTTOM = 22, TOP = 4, RIGHT = 8;

function geometry({ canvas, data }) {
  const width = canvas.clientWidth - LEFT - RIGHT, height = canvas.clientHeight - TOP - BOTTOM;
  const buckets = data.bounds.length - 1, span = data.end - data.start;
  return {
    width, height, buckets,
    x: (at) => LEFT + (Math.max(0, at - data.start) / span) * width,
    y: (bucket) => TOP + height - (bucket / buckets) * height,
    cellAt(px, py) {
      const at = data.start + ((px - LEFT) / width) * span;
      const column = data.times.findIndex((time) => at >= time && at < time + data.step);
      const bucket = Math.floor(((TOP + height - py) / height) * buckets);
      return column >= 0 && bucket >= 0 && bucket < buckets ? { column, bucket } : null;
    },
  };
}

function draw(entry) {
  const { canvas, data } = entry;
  const ratio = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const ctx = canvas.getContext("2d");
  ctx.scale(ratio, ratio);
  if (!data.counts.length || data.bounds.length < 2) return;
  const place = geometry(entry);
  drawCells(ctx, entry, place);
  drawAxes(ctx, data, place);
}

// Square root: a rare slow request must be seen beside a thousand fast ones.
function drawCells(ctx, { data }, place) {
  const most = Math.max(...data.counts.map((row) => Math.max(...row)), 1);
  ctx.fillStyle = colour("c1");
  data.counts.forEach((row, column) => {
    const x = place.x(data.times[column]), next = place.x(Math.min(data.times[column] + data.step, data.end));
    row.forEach((count, bucket) => {
      if (!count) return;
      ctx.globalAlpha = 0.1 + 0.9 * Math.sqrt(count / most);
      ctx.fillRect(x, place.y(bucket + 1), Math.max(next - x - 1, 1), Math.max(place.y(bucket) - place.y(bucket + 1) - 1, 1));
    });
  });
  ctx.globalAlpha = 1;
}

function drawAxes(ctx, data, place) {
  ctx.font = "11px Inter, ui-sans-serif, system-ui, sans-serif";
  ctx.fillStyle = colour("ink-3");
  ctx.textAlign = "right";
  ctx.textBaseline = "middle";
  const every = Math.max(1, Math.round(place.buckets / 6));
  for (let bucket = 0; bucket <= place.buckets; bucket += every)
    ctx.fillText(write("seconds", data.bounds[bucket]), LEFT - 8, Math.min(Math.max(place.y(bucket), TOP + 6), TOP + place.height - 4));
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "center";
  const span = data.end - data.start;
  const step = ROUND_STEPS.find((seconds) => (seconds / span) * place.width >= 90) ?? 604800;
  const offset = new Date(data.start * 1000).getTimezoneOffset() * 60;
  for (let at = Math.ceil((data.start - offset) / step) * step + offset; at <= data.end; at += step)
    ctx.fillText(isoSeconds(at), Math.min(Math.max(place.x(at), LEFT + 14), LEFT + place.width - 14), TOP + place.height + 16);
}

function hover(entry, event) {
  const cell = geometry(entry).cellAt(event.offsetX, event.offsetY);
  const count = cell && entry.data.counts[cell.column][cell.bucket];
  entry.canvas.style.cursor = count ? "pointer" : "default";
  if (!count) return entry.tip.hide();
  const { bounds, times } = entry.data;
  const took = `${write("seconds", bounds[cell.bucket])} – ${write("seconds", bounds[cell.bucket + 1])}`;
  entry.tip.show(event.offsetX + entry.canvas.offsetLeft, event.offsetY + entry.canvas.offsetTop, isoSeconds(times[cell.column]), [["c1", took, count.toLocaleString("en")]]);
}

function open(entry, event) {
  const cell = geometry(entry).cellAt(event.offsetX, event.offsetY);
  if (!cell || !entry.data.counts[cell.column][cell.bucket]) return;
  const { bounds, times, step, href } = entry.data;
  const url = new URL(href, location.href);
  url.searchParams.set("start", times[cell.column]);
  url.searchParams.set("end", times[cell.column] + step);
  url.searchParams.set("min_duration_ms", +(bounds[cell.bucket] * 1e3).toPrecision(6));
  url.searchParams.set("max_duration_ms", +(bounds[cell.bucket + 1] * 1e3).toPrecision(6));
  location.href = url.href;
}

const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => {
  const entry = mounted.get(target.closest("[data-heatmap]"));
  if (entry) draw(entry);
}));

function mount(figure) {
  const text = figure.querySelector("script").textContent;
  const canvas = document.createElement("canvas");
  canvas.style.width = canvas.style.height = "100%";
  const plot = figure.querySelector(".plot");
  plot.replaceChildren(canvas);
  const entry = { canvas, text, data: JSON.parse(text), tip: tip(figure) };
  mounted.set(figure, entry);
  canvas.addEventListener("mousemove", (event) => hover(entry, event));
  canvas.addEventListener("mouseleave", () => entry.tip.hide());
  canvas.addEventListener("click", (event) => open(entry, event));
  draw(entry);
  sizes.observe(plot);
}

export function refreshHeatmaps() {
  for (const figure of document.querySelectorAll("[data-heatmap]")) {
    const entry = mounted.get(figure);
    if (!entry) { mount(figure); continue; }
    const text = figure.querySelector("script").textContent;
    if (text === entry.text) continue;
    Object.assign(entry, { text, data: JSON.parse(text) });
    draw(entry);
  }
}

export function recolourHeatmaps() {
  mounted.forEach(draw);
}
