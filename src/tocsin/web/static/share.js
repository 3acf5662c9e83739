// A link to this moment, and the page as one file that needs nothing else: for a ticket, a chat, an archive.

// The shown address with its time written out, so that it shows the same later.
export function frozenLink(rangeSeconds, shownAt) {
  const url = new URL(location.href);
  url.searchParams.delete("embed");
  if (!rangeSeconds) return url.href;
  const end = Math.floor(shownAt / 1000);
  url.searchParams.delete("range");
  url.searchParams.set("start", end - rangeSeconds);
  url.searchParams.set("end", end);
  return url.href;
}

// As served, because a browser's own text of a rule loses shorthands that hold variables.
const styles = async () => (await Promise.all([...document.styleSheets].map(async ({ href }) => (await fetch(href)).text()))).join("\n");
const NOT_KEPT = "script, link, meta[name='htmx-config'], nav, header.top, dialog, #toast, #progress, .skip, .tip, .behind, .copy, .ordering, form, .doors";

// Charts are pictures from here on; clones of canvases are empty, so the originals are drawn off in the same order.
function freezeCanvases(copy) {
  const drawn = [...document.querySelectorAll("main canvas")];
  [...copy.querySelectorAll("main canvas")].forEach((canvas, place) => {
    const image = document.createElement("img");
    image.src = drawn[place].toDataURL();
    image.alt = canvas.closest("[data-label]")?.dataset.label ?? "";
    image.width = drawn[place].clientWidth;
    image.height = drawn[place].clientHeight;
    canvas.replaceWith(image);
  });
}

function strip(copy) {
  copy.querySelectorAll(NOT_KEPT).forEach((element) => element.remove());
  for (const element of copy.querySelectorAll("*")) {
    for (const { name } of [...element.attributes]) if (/^(hx-|on|data-(action|keep|list|open))/.test(name)) element.removeAttribute(name);
    if (element.hasAttribute("href")) element.setAttribute("href", new URL(element.getAttribute("href"), location.href).href);
  }
}

export async function snapshot(link, isDark, shownAt) {
  const copy = document.documentElement.cloneNode(true);
  copy.dataset.theme = isDark ? "dark" : "light";
  freezeCanvases(copy);
  strip(copy);
  const style = document.createElement("style");
  style.textContent = `${await styles()}\n.shell { display: block; padding: 0; } main { max-width: ${document.querySelector("main").offsetWidth}px; margin: 0 auto; } .plot img { display: block; max-width: 100%; }`;
  copy.querySelector("head").append(style);
  const note = document.createElement("p");
  note.className = "muted small";
  const source = document.createElement("a");
  source.className = "link";
  source.href = link;
  source.textContent = "open it live";
  note.append(`Snapshot of ${new Date(shownAt).toLocaleString("en-GB", { timeZoneName: "short" })}; `, source);
  copy.querySelector("main").prepend(note);
  return `<!doctype html>\n${copy.outerHTML}`;
}

export function download(text) {
  const link = document.createElement("a");
  const title = document.title.replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "").toLowerCase();
  link.href = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  link.download = `${title || "page"}-${new Date().toISOString().slice(0, 16).replace(":", "")}.html`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
