// The shell: keyboard, menus, search, live refresh, theme, progress. Pages work without it, only less comfortably.

import { recolourCharts, refreshCharts } from "./charts.js";
import { recolourHeatmaps, refreshHeatmaps } from "./heatmap.js";
import { usePatch } from "./patch.js";
import { mountWaterfall } from "./waterfall.js";

const root = document.body.dataset.root || "";
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const YEAR = 31536000;
const remember = (name, value) => (document.cookie = `${name}=${value}; path=${root || "/"}; max-age=${YEAR}; samesite=lax`);
const recall = (name) => document.cookie.split("; ").find((part) => part.startsWith(`${name}=`))?.split("=")[1];

usePatch(htmx);
const waterfall = mountWaterfall();
const mount = () => { refreshCharts(); refreshHeatmaps(); };
document.addEventListener("tocsin:patched", mount);
mount();

// Progress: a slim bar when anything takes longer than 300 ms.
const progress = one("#progress");
let waiting = 0, timer;
const begin = () => { waiting += 1; timer ??= setTimeout(() => (progress.hidden = false), 300); };
const finish = () => {
  waiting = Math.max(0, waiting - 1);
  if (waiting) return;
  clearTimeout(timer);
  timer = undefined;
  progress.hidden = true;
};
document.addEventListener("htmx:beforeRequest", (event) => { event.detail.target?.setAttribute("aria-busy", "true"); begin(); });
document.addEventListener("htmx:afterRequest", (event) => { event.detail.target?.removeAttribute("aria-busy"); finish(); });
addEventListener("beforeunload", begin);
addEventListener("pageshow", () => { waiting = 0; finish(); });

// Live refresh: only while Live is on, the tab is seen, and nobody is choosing text or a menu. A page whose answers take
// long is asked for less often, so that nobody who only looks keeps a server busy, but often enough to show an outbreak.
const page = one("#page");
const live = one('[data-action="live"]');
const word = one("[data-live-word]");
const isLive = () => live?.getAttribute("aria-pressed") === "true" && page && !page.hasAttribute("data-still");
let last = Date.now();
let took = 0;
const SHARE = 0.1, SLOWEST_MS = 5000;
const ask = () => { last = Date.now(); htmx.trigger(page, "tocsin:refresh"); };
const isChoosing = () => !getSelection().isCollapsed || one(".plot .u-select[style*='width']:not([style*='width: 0px'])");
if (live && page) {
  setInterval(() => {
    const due = Date.now() - last >= Math.max(Number(live.dataset.seconds) * 1000, Math.min(took / SHARE, SLOWEST_MS)) - 100;
    if (isLive() && !document.hidden && due && !isChoosing()) ask();
  }, 500);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && isLive()) ask(); });
}
const toggleLive = () => {
  if (!live) return;
  const isOn = live.getAttribute("aria-pressed") !== "true";
  live.setAttribute("aria-pressed", String(isOn));
  word.textContent = isOn ? "Live" : "Paused";
  live.classList.remove("lost");
  remember("tocsin_live", isOn ? "on" : "off");
  if (isOn) ask();
};
const lose = (isLost) => {
  if (!live || !isLive()) return;
  live.classList.toggle("lost", isLost);
  word.textContent = isLost ? "Reconnecting…" : "Live";
};
document.addEventListener("htmx:sendError", () => lose(true));
document.addEventListener("htmx:responseError", () => lose(true));
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.elt === page) took = Date.now() - last;
  lose(false);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  // The session ended: the answer is the sign-in page, which belongs in the window, not inside this one.
  const { pathname } = new URL(event.detail.xhr.responseURL || location.href, location.href);
  if (pathname === `${root}/sign-in`) { event.detail.shouldSwap = false; location.reload(); }
});

// The reader's zone: told once, then the server writes local times. Without cookies the page stays in UTC.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && recall("tocsin_zone") !== zone && one(".switches")) {
  remember("tocsin_zone", zone);
  // htmx starts listening once the document is there, after this module ran.
  if (recall("tocsin_zone") === zone) addEventListener("load", () => (page ? ask() : location.reload()));
}

// The address says what is shown, so that it can be shared: without parameters the choice came from a cookie.
const shown = page?.getAttribute("hx-get");
if (shown && !location.search) history.replaceState(history.state, "", shown + location.hash);

// Theme
const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
const paint = () => {
  all("[data-theme-word]").forEach((label) => (label.textContent = isDark() ? "Light" : "Dark"));
  recolourCharts();
  recolourHeatmaps();
};
const toggleTheme = () => {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  remember("tocsin_theme", next);
  paint();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
paint();

// Menus: one open at a time; a click outside or Esc closes.
const closeMenus = (but) => all("details.menu[open]").forEach((menu) => menu !== but && menu.removeAttribute("open"));
document.addEventListener("toggle", (event) => {
  if (event.target.matches?.("details.menu[open]")) { closeMenus(event.target); event.target.querySelector(".pop input[type=search]")?.focus(); }
}, true);
document.addEventListener("click", (event) => {
  if (!event.target.closest("details.menu")) closeMenus();
  if (!event.target.closest("#nav, [data-action=nav]")) openNav(false);
  if (!event.target.closest(".search")) closeSearch();
});
const openNav = (isOpen) => {
  one("#nav")?.classList.toggle("open", isOpen);
  one("[data-action=nav]")?.setAttribute("aria-expanded", String(isOpen));
};
document.addEventListener("input", (event) => {
  const target = event.target.dataset?.filter;
  if (!target) return;
  const wanted = event.target.value.trim().toLowerCase();
  for (const item of one(target)?.children ?? []) item.hidden = Boolean(wanted) && !(item.dataset.filterText ?? item.textContent).toLowerCase().includes(wanted);
});

// Search
const search = one("#search");
const results = one("#search-results");
const hits = () => [...(results?.querySelectorAll("[role=option]") ?? [])];
const closeSearch = () => { if (results) { results.hidden = true; search.setAttribute("aria-expanded", "false"); } };
results?.addEventListener("htmx:afterSwap", () => {
  const isOpen = document.activeElement === search;
  results.hidden = !isOpen;
  search.setAttribute("aria-expanded", String(isOpen));
  pickHit(0);
});
const pickHit = (place) => {
  const found = hits();
  found.forEach((hit, index) => hit.setAttribute("aria-selected", String(index === place)));
  const hit = found[place];
  if (hit) { search.setAttribute("aria-activedescendant", hit.id); hit.scrollIntoView({ block: "nearest" }); }
};
search?.addEventListener("keydown", (event) => {
  const found = hits();
  const at = found.findIndex((hit) => hit.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (found.length) pickHit((at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
  } else if (event.key === "Enter" && !results.hidden && found[at] && search.getAttribute("data-asked") === search.value) {
    event.preventDefault();
    location.href = found[at].href;
  }
});
document.addEventListener("htmx:beforeRequest", (event) => { if (event.target === search) search.setAttribute("data-asked", search.value); });

// Lists: j and k move a mark, Enter opens. The mark follows its row through refreshes, because rows keep their ids.
const LIST_ROWS = "[data-list] tbody tr:has([data-open]), ul[data-list] > li, .heat[data-list] > .strip";
let marked = null;
const move = (by) => {
  if (waterfall) return by > 0 ? waterfall.down() : waterfall.up();
  const rows = all(LIST_ROWS).filter((row) => row.offsetParent);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.id === marked);
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))] ?? rows[0];
  rows[at]?.classList.remove("at");
  rows[at]?.removeAttribute("data-at");
  next.classList.add("at");
  next.setAttribute("data-at", "");
  marked = next.id;
  (next.matches("[data-open]") ? next : next.querySelector("[data-open]"))?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
};
document.addEventListener("tocsin:patched", () => { const row = marked && document.getElementById(marked); if (row) { row.classList.add("at"); row.setAttribute("data-at", ""); } });

// Keyboard
const help = one("#help");
let pendingG = 0;
const jump = (key) => { const link = one(`.side [data-key="${CSS.escape(key)}"]`); if (link) location.href = link.href; return Boolean(link); };
const openRange = () => { const menu = one('[data-menu="range"]'); if (menu) { menu.open = true; (menu.querySelector(".pop a[aria-current]") ?? menu.querySelector(".pop a"))?.focus(); } };
const sharing = () => import("./share.js");
const rangeOf = (button) => Number(button.closest("[data-share]").dataset.share);
const ACTIONS = {
  theme: toggleTheme, live: toggleLive, help: () => help?.showModal(),
  nav: () => openNav(!one("#nav").classList.contains("open")),
  copy: (button) => copy(button),
  share: async (button) => { copyText((await sharing()).frozenLink(rangeOf(button), last)); closeMenus(); },
  download: async (button) => {
    const { download, frozenLink, snapshot } = await sharing();
    closeMenus();
    download(await snapshot(frozenLink(rangeOf(button), last), isDark(), last));
  },
};
const KEYS = {
  "/": () => { search?.focus(); search?.select(); },
  "?": () => (help?.open ? help.close() : help?.showModal()),
  t: openRange, l: toggleLive,
  j: () => move(1), k: () => move(-1),
  ArrowLeft: () => waterfall?.left(), ArrowRight: () => waterfall?.right(),
};
if (waterfall) Object.assign(KEYS, { ArrowDown: () => move(1), ArrowUp: () => move(-1) });
const escape = () => {
  closeMenus();
  openNav(false);
  closeSearch();
  if (document.activeElement !== document.body) document.activeElement?.blur();
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return escape();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, select, textarea, [contenteditable]")) return;
  const menu = event.target.closest?.("details.menu");
  if (menu && (event.key === "ArrowDown" || event.key === "ArrowUp")) return walk(menu, event);
  if (Date.now() - pendingG < 1500 && jump(event.key)) { pendingG = 0; event.preventDefault(); return; }
  if (event.key === "g") { pendingG = Date.now(); return; }
  if (help?.open && event.key !== "?") return;
  if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
});
const walk = (menu, event) => {
  event.preventDefault();
  const links = [...menu.querySelectorAll(".pop a")].filter((link) => link.offsetParent);
  links[(links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1) + links.length) % links.length]?.focus();
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  ACTIONS[button?.dataset.action]?.(button);
});

// Copy
const toast = (text) => { const box = one("#toast"); box.textContent = text; setTimeout(() => (box.textContent = ""), 1800); };
const copy = (button) => copyText((button.dataset.copy ?? button.closest(".code").querySelector("pre").textContent).trim());
const copyText = async (text) => {
  // Without https a page has no clipboard; a chosen field can still be copied.
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else {
    const field = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  toast("Copied");
};
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
  if (event.target.method === "get") event.target.querySelectorAll("input, select").forEach((field) => { if (!field.value) field.disabled = true; });
});
addEventListener("pageshow", () => all("form :disabled:not(button)").forEach((field) => (field.disabled = false)));

// Settings: the tenants field belongs to the role that needs it.
const showTenants = (select) => { const field = select.closest("form").querySelector("[data-for-role]"); if (field) field.hidden = select.value !== field.dataset.forRole; };
all("select[data-role]").forEach(showTenants);
document.addEventListener("change", (event) => { if (event.target.matches("select[data-role]")) showTenants(event.target); });
