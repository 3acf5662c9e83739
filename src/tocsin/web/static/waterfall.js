// The waterfall of a trace: choose a span, fold and unfold, find by name. Rows come from tocsin/web/waterfall.py.

const KEEP_IN_VIEW = { block: "nearest" };

export function mountWaterfall() {
  const fall = document.getElementById("waterfall");
  if (!fall) return null;
  const rows = [...fall.querySelectorAll(".row[id]")];
  const byParent = new Map();
  for (const row of rows) {
    const parent = row.dataset.parent;
    byParent.set(parent, [...(byParent.get(parent) ?? []), row]);
  }
  const idOf = (row) => row.id.slice("row-".length);
  const childrenOf = (row) => byParent.get(idOf(row)) ?? [];
  const isOpen = (row) => row.getAttribute("aria-expanded") === "true";

  function show(row, isShown) {
    for (const child of childrenOf(row)) {
      child.hidden = !isShown;
      show(child, isShown && isOpen(child));
    }
  }

  function fold(row, isShown) {
    if (!row.hasAttribute("aria-expanded")) return;
    row.setAttribute("aria-expanded", String(isShown));
    show(row, isShown);
  }

  function choose(row, isQuiet) {
    fall.querySelector(".row.on")?.classList.remove("on");
    row.classList.add("on");
    row.tabIndex = 0;
    row.scrollIntoView(KEEP_IN_VIEW);
    if (isQuiet) return;
    row.focus({ preventScroll: true });
    history.replaceState(null, "", row.getAttribute("href"));
    htmx.trigger(row, "select");
  }

  function reveal(row) {
    const parent = row.dataset.parent && document.getElementById(`row-${row.dataset.parent}`);
    if (!parent) return;
    reveal(parent);
    if (!isOpen(parent)) fold(parent, true);
  }

  const current = () => fall.querySelector(".row.on") ?? rows[0];

  fall.addEventListener("click", (event) => {
    const row = event.target.closest(".row[id]");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (event.target.closest(".twist") && row.hasAttribute("aria-expanded")) fold(row, !isOpen(row));
    else choose(row);
  });

  function step(by) {
    const seen = rows.filter((row) => !row.hidden);
    const next = seen[seen.indexOf(current()) + by];
    if (next) choose(next);
  }

  function left() {
    const row = current();
    if (isOpen(row)) fold(row, false);
    else if (row.dataset.parent) choose(document.getElementById(`row-${row.dataset.parent}`));
  }

  const find = document.getElementById("find-span");
  const count = document.getElementById("find-count");
  let matches = [];
  find?.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    matches = wanted ? rows.filter((row) => row.dataset.text.toLowerCase().includes(wanted)) : [];
    for (const row of rows) {
      row.classList.toggle("match", matches.includes(row));
      row.classList.toggle("miss", Boolean(wanted) && !matches.includes(row));
    }
    count.textContent = wanted ? String(matches.length) : "";
  });
  find?.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !matches.length) return;
    event.preventDefault();
    const next = matches[(matches.indexOf(current()) + 1) % matches.length];
    reveal(next);
    choose(next);
    find.focus();
  });

  document.querySelector('[data-action="fold-all"]')?.addEventListener("click", (event) => {
    const isFolding = event.target.textContent.startsWith("Fold");
    for (const row of rows) if (row.hasAttribute("aria-expanded") && row !== rows[0]) fold(row, !isFolding && !row.id.startsWith("row-run-"));
    event.target.textContent = isFolding ? "Unfold all" : "Fold all";
  });

  const chosen = document.getElementById(`row-${fall.dataset.span}`);
  if (chosen) {
    reveal(chosen);
    choose(chosen, true);
  } else if (rows[0]) rows[0].tabIndex = 0;

  return {
    down: () => step(1),
    up: () => step(-1),
    left,
    right: () => fold(current(), true),
  };
}
