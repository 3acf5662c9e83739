// Brings an element to the state of new HTML by changing only what differs, so that focus, hover, selection, scroll and
// open menus survive a refresh. Children with an id are matched by it and moved; others are matched by place.
// An element with data-keep is left to the script that filled it; one with data-keep-values keeps what people typed.

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id ? node.id : null);
const isSameKind = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function patchAttributes(now, next) {
  for (const { name, value } of next.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  for (const { name } of [...now.attributes]) {
    const isOurs = name === "open" || name === "class" || name.startsWith("data-at");
    if (!next.hasAttribute(name) && !isOurs) now.removeAttribute(name);
  }
  if (!next.hasAttribute("class") && now.className && !now.dataset.at) now.removeAttribute("class");
}

export function patch(now, next) {
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.nodeValue !== next.nodeValue) now.nodeValue = next.nodeValue;
    return;
  }
  if (now.hasAttribute("data-keep") || now.hasAttribute("data-keep-values")) return;
  if (now.isEqualNode(next)) return;
  patchAttributes(now, next);
  patchChildren(now, next);
}

export function patchChildren(parent, source) {
  const keyed = new Map([...parent.children].filter(keyOf).map((child) => [child.id, child]));
  let place = parent.firstChild;
  for (const next of [...source.childNodes]) {
    const key = keyOf(next);
    let match = key ? keyed.get(key) : place;
    while (!key && match && keyOf(match)) match = match.nextSibling;
    if (match && isSameKind(match, next)) {
      keyed.delete(key);
      if (match === place) place = place.nextSibling;
      else parent.insertBefore(match, place);
      patch(match, next);
    } else {
      parent.insertBefore(next, place);
    }
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    // What a script has put there stays, such as the tooltip of a chart.
    if (!gone.hasAttribute?.("data-keep")) gone.remove();
  }
}

// What a refresh brings is patched into its target: hx-swap="patch".
export function usePatch(htmx) {
  htmx.defineExtension("patch", {
    isInlineSwap: (style) => style === "patch",
    handleSwap(style, target, fragment) {
      if (style !== "patch") return false;
      fragment.querySelectorAll("title, [hx-swap-oob]").forEach((extra) => extra.remove());
      patchChildren(target, fragment);
      document.dispatchEvent(new CustomEvent("tocsin:patched"));
      return [target];
    },
  });
}
