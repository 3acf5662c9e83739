// Values as tocsin/web/format.py writes them, for axes and tooltips.

const plain = (value) => {
  const size = Math.abs(value);
  if (size === 0) return "0";
  for (const [limit, unit, suffix] of [[999.5e6, 1e9, "B"], [999500, 1e6, "M"], [9999.5, 1e3, "k"]])
    if (size >= limit) return `${+(value / unit).toFixed(size / unit >= 99.5 ? 0 : 1)}${suffix}`;
  if (size >= 999.5) return Math.round(value).toLocaleString("en");
  if (size >= 9.95) return value.toFixed(0);
  return `${+value.toFixed(size >= 0.095 ? 1 : size >= 0.00995 ? 2 : 3)}`;
};

const seconds = (value) => {
  if (value === 0) return "0";
  for (const [limit, factor, unit] of [[0.0009995, 1e6, "µs"], [0.9995, 1e3, "ms"], [59.995, 1, "s"]])
    if (value < limit) {
      const scaled = value * factor;
      return `${+scaled.toFixed(scaled >= 99.5 ? 0 : scaled >= 9.95 ? 1 : 2)}\u202f${unit}`;
    }
  return value < 3600 ? `${Math.round(value / 6) / 10}\u202fmin` : `${Math.round(value / 360) / 10}\u202fh`;
};

const bytes = (value) => {
  for (const [limit, factor, unit] of [[999.5, 1, "B"], [999500, 1e3, "kB"], [999.5e6, 1e6, "MB"], [1e12, 1e9, "GB"]])
    if (Math.abs(value) < limit) return `${+(value / factor).toFixed(Math.abs(value / factor) >= 99.5 ? 0 : 1)}\u202f${unit}`;
  return `${+(value / 1e12).toFixed(1)}\u202fTB`;
};

const signed = (write) => (value) => (value < 0 ? `\u2212${write(-value)}` : write(value));
const rate = (value) => `${plain(value)}/s`;
const percent = (value) => `${plain(value * 100)}\u202f%`;
const FORMATS = {
  rate, per_second: rate, count: plain, seconds: signed(seconds), milliseconds: signed((value) => seconds(value / 1000)), percent,
  percent100: (value) => percent(value / 100), bytes, bytes_per_second: (value) => `${bytes(value)}/s`, up: (value) => ["down", "up"][value] ?? plain(value),
};

export const write = (format, value) => (value == null ? "–" : (FORMATS[format] ?? plain)(value));
export const writeAxis = (format, value) => (format === "rate" || format === "per_second" ? plain(value) : write(format, value));

const two = (value) => String(value).padStart(2, "0");
export const isoSeconds = (at) => {
  const date = new Date(at * 1000);
  const day = new Date().toDateString() === date.toDateString() ? "" : `${date.getDate()} ${date.toLocaleString("en", { month: "short" })} `;
  return `${day}${two(date.getHours())}:${two(date.getMinutes())}${date.getSeconds() ? ":" + two(date.getSeconds()) : ""}`;
};

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The address of this page with another span of time.
export function zoomed(start, end) {
  const url = new URL(location.href);
  for (const name of ["range", "before"]) url.searchParams.delete(name);
  url.searchParams.set("start", start.toFixed(0));
  url.searchParams.set("end", Math.max(end, start + 1).toFixed(0));
  return url.href;
}

// A box beside the pointer; content is rows of [colour or "", label, value] under a title.
export function tip(host) {
  const box = document.createElement("div");
  box.className = "tip";
  box.hidden = true;
  box.dataset.keep = "";
  host.append(box);
  return {
    hide: () => (box.hidden = true),
    show(x, y, title, rows) {
      const time = document.createElement("time");
      time.textContent = title;
      box.replaceChildren(time);
      for (const [swatch, label, value] of rows) {
        const key = document.createElement("span");
        key.className = "key";
        if (swatch) key.append(Object.assign(document.createElement("i"), { className: `bg-${swatch}` }));
        key.append(label);
        box.append(key, Object.assign(document.createElement("b"), { textContent: value }));
      }
      box.hidden = false;
      const room = host.clientWidth - box.offsetWidth - 4;
      box.style.left = `${Math.max(4, Math.min(x + 14 > room ? x - box.offsetWidth - 14 : x + 14, room))}px`;
      box.style.top = `${Math.max(0, y - box.offsetHeight - 10)}px`;
    },
  };
}
