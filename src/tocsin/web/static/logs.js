// Log lines that arrive while one looks: a stream of rows, drawn by the server, put on top of the list.

const MOST_ROWS = 500;
let source = null, card = null, held = [];

const button = () => card?.querySelector('[data-action="follow"]');
const list = () => card.querySelector("[data-list]");
const isOn = (of) => of.getAttribute("aria-pressed") === "true";
const say = (of, words) => (of.querySelector("[data-follow-word]").textContent = words);
// Nothing moves under the eyes of who reads further down, has a line open or chooses text.
const isReading = () => list().scrollTop > 4 || card.getBoundingClientRect().top < -80 || list().querySelector("details[open]") || !getSelection().isCollapsed;

function put(html) {
  const made = new DOMParser().parseFromString(html, "text/html");
  const rows = [...made.querySelectorAll("li")].filter((row) => !document.getElementById(row.id) && !held.some(({ id }) => id === row.id));
  held = [...rows, ...held].slice(0, MOST_ROWS);
  show();
}

function show() {
  if (!held.length || !button()) return;
  if (isReading()) return say(button(), `${held.length} new`);
  say(button(), "Following");
  const rows = held.map((row) => document.importNode(row, true));
  held = [];
  rows.forEach((row) => row.classList.add("is-fresh"));
  list().prepend(...rows);
  rows.forEach((row) => htmx.process(row));
  [...list().children].slice(MOST_ROWS).forEach((row) => row.remove());
  card.querySelector(":scope > .none")?.remove();
}

function follow(of) {
  stop();
  card = of.closest("[data-follow]");
  of.setAttribute("aria-pressed", "true");
  say(of, "Following");
  list().setAttribute("data-keep", ""); // the page's own refresh leaves the list to this script
  source = new EventSource(card.dataset.follow);
  source.addEventListener("message", ({ data }) => put(data));
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return button() && say(button(), "Reconnecting…");
    stop();
    say(of, "Not now; try again");
  });
  source.addEventListener("open", () => button() && !held.length && say(button(), "Following"));
}

function stop() {
  source?.close();
  source = null;
  held = [];
  if (!card) return;
  list()?.removeAttribute("data-keep");
  const of = button();
  if (of) { of.setAttribute("aria-pressed", "false"); say(of, "Follow"); }
  card = null;
}

document.addEventListener("click", (event) => {
  const of = event.target.closest?.('[data-action="follow"]');
  if (!of) return;
  if (isOn(of) && held.length) { list().scrollTop = 0; list().querySelectorAll("details[open]").forEach((one) => (one.open = false)); card.scrollIntoView({ block: "start" }); return show(); }
  isOn(of) ? stop() : follow(of);
});
document.addEventListener("toggle", () => source && show(), true);
document.addEventListener("scroll", () => source && show(), { passive: true, capture: true });
document.addEventListener("visibilitychange", () => { if (!document.hidden && source) show(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "f" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
  document.querySelector('[data-action="follow"]')?.click();
});
// A refresh that brings another question, or the page's button as the server draws it, must not lose the state.
document.addEventListener("tocsin:patched", () => {
  if (!source || !card?.isConnected) return stop();
  const of = button();
  if (of && !isOn(of)) { of.setAttribute("aria-pressed", "true"); say(of, held.length ? `${held.length} new` : "Following"); }
});
addEventListener("pagehide", stop);
