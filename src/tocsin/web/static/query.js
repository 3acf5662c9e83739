// Completion in PromQL boxes: metrics, labels, values, functions and durations, all by keyboard. Enter runs the query.

const root = document.body.dataset.root || "";
const words = JSON.parse(document.querySelector("#promql-words")?.textContent ?? '{"functions":{},"aggregators":[]}');
const DURATIONS = ["30s", "1m", "5m", "15m", "1h", "6h", "1d", "7d"];
const KEYWORDS = ["by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or", "unless"];
const MOST = 60;

const answers = new Map();
// What the API says, asked once a page; the tenant of the page's switch narrows it.
async function ask(path, parameters = {}) {
  const shown = new URLSearchParams(location.search);
  const asked = new URLSearchParams(parameters);
  if (shown.get("tenant")) asked.set("tenant", shown.get("tenant"));
  asked.set("start", Math.floor(Date.now() / 1000) - 86400);
  const key = `${path} ${JSON.stringify(parameters)}`;
  if (!answers.has(key)) {
    answers.set(key, fetch(`${root}/prometheus/api/v1/${path}?${asked}`)
      .then((answer) => (answer.ok ? answer.json() : { data: [] }))
      .then(({ data }) => data)
      .catch(() => { answers.delete(key); return []; }));
  }
  return answers.get(key);
}

const metrics = () => ask("label/__name__/values");
const labelsOf = (metric) => ask("labels", metric ? { "match[]": metric } : {});
const valuesOf = (label, metric) => ask(`label/${encodeURIComponent(label)}/values`, metric ? { "match[]": metric } : {});

// What stands before the caret: inside braces, brackets, a string or a grouping, or in the open.
export function contextOf(text) {
  let quote = "", braces = -1, bracket = -1, group = -1;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (quote) { if (sign === "\\") at += 1; else if (sign === quote) quote = ""; continue; }
    if (sign === "#") { const end = text.indexOf("\n", at); if (end < 0) return { kind: "none" }; at = end; continue; }
    if ("\"'`".includes(sign)) { quote = sign; continue; }
    if (sign === "{") braces = at;
    if (sign === "}") braces = -1;
    if (sign === "[") bracket = at;
    if (sign === "]") bracket = -1;
    if (sign === "(") group = /\b(by|without|on|ignoring|group_left|group_right)\s*$/i.test(text.slice(0, at)) ? at : -1;
    if (sign === ")") group = -1;
  }
  if (braces >= 0) {
    const metric = /([a-zA-Z_:][\w:]*)\s*$/.exec(text.slice(0, braces))?.[1] ?? "";
    const value = /([a-zA-Z_]\w*|"[^"]+")\s*(=~|!~|!=|=)\s*(["'`])([^"'`]*)$/.exec(text.slice(braces));
    if (quote && value) return { kind: "value", metric, label: value[1].replaceAll('"', ""), typed: value[4] };
    if (quote) return { kind: "none" };
    return { kind: "label", metric, typed: /[a-zA-Z_]*\w*$/.exec(text.slice(braces + 1))[0] };
  }
  if (quote) return { kind: "none" };
  if (bracket >= 0) return { kind: "duration", typed: text.slice(bracket + 1).trim() };
  if (group >= 0) return { kind: "label", metric: "", typed: /\w*$/.exec(text.slice(group + 1))[0], isGroup: true };
  return { kind: "open", typed: /[a-zA-Z_:][\w:.]*$/.exec(text)?.[0] ?? "" };
}

async function proposals(context, wholeText) {
  const { kind, metric } = context;
  if (kind === "value") return (await valuesOf(context.label, metric)).map((text) => ({ text, note: context.label }));
  if (kind === "label") {
    const named = metric || (context.isGroup ? /([a-zA-Z_:][\w:]*)\s*[{[]/.exec(wholeText)?.[1] : "");
    const found = await labelsOf(named);
    return found.filter((name) => name !== "__name__").map((text) => ({ text, note: "label", after: context.isGroup ? "" : '="' }));
  }
  if (kind === "duration") return DURATIONS.map((text) => ({ text, note: "range" }));
  if (kind !== "open" || !context.typed) return [];
  const functions = Object.entries(words.functions).map(([text, types]) => ({ text, note: `(${types.join(", ")})`, after: "(" }));
  const aggregators = words.aggregators.map((text) => ({ text, note: "aggregation", after: "(" }));
  return [...(await metrics()).map((text) => ({ text, note: "metric" })), ...aggregators, ...functions, ...KEYWORDS.map((text) => ({ text, note: "" }))];
}

// Those that begin with what was typed come first, then those that hold it; a whole word needs no completion.
function fitting(found, typed) {
  const wanted = typed.toLowerCase();
  const rank = ({ text }) => { const at = text.toLowerCase().indexOf(wanted); return at < 0 ? 2 : at && 1; };
  const kept = found.filter((one) => rank(one) < 2 && one.text !== typed);
  return kept.sort((a, b) => rank(a) - rank(b)).slice(0, MOST);
}

function complete(box) {
  const list = document.createElement("div");
  Object.assign(list, { id: `${box.id}-words`, className: "pop words", hidden: true });
  list.setAttribute("role", "listbox");
  box.after(list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" })) box.setAttribute(name, value);
  let shown = [], picked = 0, typed = "", asking = 0, caret = 0;

  const close = () => { list.hidden = true; shown = []; box.setAttribute("aria-expanded", "false"); box.removeAttribute("aria-activedescendant"); };
  const pick = (place) => {
    picked = (place + shown.length) % shown.length;
    [...list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === picked)));
    box.setAttribute("aria-activedescendant", list.children[picked].id);
    list.children[picked].scrollIntoView({ block: "nearest" });
  };
  const hasMoved = () => box.selectionStart !== caret || box.selectionEnd !== caret;
  const accept = () => {
    if (hasMoved()) return close();
    const { text, after = "" } = shown[picked];
    const start = box.selectionStart - typed.length, end = box.selectionStart;
    const behind = box.value.slice(end);
    const escaped = contextOf(box.value.slice(0, end)).kind === "value" ? text.replaceAll("\\", "\\\\").replaceAll('"', '\\"') : text;
    const added = behind.startsWith(after.slice(0, 1)) && after ? escaped : escaped + after;
    box.setRangeText(added, start, end, "end");
    close();
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const show = async (isAsked) => {
    const turn = ++asking;
    caret = box.selectionStart;
    const context = contextOf(box.value.slice(0, box.selectionStart));
    if (isAsked && context.kind === "open" && !context.typed) context.typed = " ";
    const found = await proposals(context, box.value);
    if (turn !== asking || document.activeElement !== box) return;
    if (hasMoved()) return close();
    typed = (context.typed ?? "").trim();
    shown = fitting(found, typed);
    if (!shown.length) return close();
    list.replaceChildren(...shown.map(({ text, note }, at) => {
      const row = document.createElement("div");
      row.id = `${list.id}-${at}`;
      row.setAttribute("role", "option");
      const name = Object.assign(document.createElement("span"), { className: "mono", textContent: text });
      row.append(name, Object.assign(document.createElement("span"), { className: "muted small", textContent: note }));
      row.addEventListener("mousedown", (event) => { event.preventDefault(); picked = at; accept(); });
      return row;
    }));
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    pick(0);
  };

  const grow = () => { box.rows = Math.min(12, box.value.split("\n").length); };
  box.addEventListener("input", () => { grow(); show(false); });
  box.addEventListener("blur", close);
  box.addEventListener("click", () => hasMoved() && close());
  box.addEventListener("keyup", () => !list.hidden && hasMoved() && close());
  box.addEventListener("keydown", (event) => {
    const isOpen = !list.hidden;
    if (event.key === " " && event.ctrlKey) { event.preventDefault(); show(true); return; }
    if (isOpen && (event.key === "ArrowDown" || event.key === "ArrowUp")) { event.preventDefault(); pick(picked + (event.key === "ArrowDown" ? 1 : -1)); return; }
    if (isOpen && (event.key === "Tab" || event.key === "Enter") && !event.shiftKey) { event.preventDefault(); accept(); return; }
    if (isOpen && event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); return; }
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); box.form.requestSubmit(); }
  });
}

document.querySelectorAll("textarea[data-promql]").forEach(complete);
const first = document.querySelector("textarea[data-promql]");
if (first && !first.value) first.focus();

// A note shows its place in the query.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-place]");
  if (!button) return;
  const [start, end] = button.dataset.place.split(",").map(Number);
  const box = document.getElementById(button.dataset.query);
  box.focus();
  box.setSelectionRange(start, end);
});
