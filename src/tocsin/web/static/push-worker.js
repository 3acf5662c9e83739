// Shows alerts that were pushed to this browser, and acknowledges them in the name of whoever is signed in here.
// Served at the root of the product, because a worker serves the pages below its own path only.

const SCOPE = self.registration.scope;

// Only pages of ours are opened, whatever a message says.
function pageOf(path) {
  const url = new URL(path || "", SCOPE);
  return url.href.startsWith(SCOPE) ? url.href : SCOPE;
}

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data ? event.data.json() : {};
  } catch {
    told = {};
  }
  const fingerprints = Array.isArray(told.acknowledge) ? told.acknowledge : [];
  const options = {
    body: told.body || "",
    data: { path: told.path || "alerts", fingerprints },
    requireInteraction: Boolean(told.stays),
    timestamp: told.at_ms,
    actions: [{ action: "open", title: "Open" }, ...(fingerprints.length ? [{ action: "acknowledge", title: "Acknowledge" }] : [])],
  };
  if (told.tag) Object.assign(options, { tag: told.tag, renotify: Boolean(told.is_firing) });
  event.waitUntil(self.registration.showNotification(told.title || "An alert", options));
});

async function open(path) {
  const url = pageOf(path);
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const shown = windows.find((client) => client.url === url);
  return shown ? shown.focus() : self.clients.openWindow(url);
}

// Another site can neither read the token nor send the header, as with every form of the pages.
async function changes() {
  const answer = await fetch(new URL("api/v1/push/session", SCOPE), { credentials: "same-origin", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`not signed in (${answer.status})`);
  const { csrf } = await answer.json();
  return (path, body) =>
    fetch(new URL(path, SCOPE), {
      method: "POST",
      credentials: "same-origin",
      headers: { "content-type": "application/json", accept: "application/json", "X-CSRF-Token": csrf },
      body: JSON.stringify(body),
    });
}

async function acknowledge({ path, fingerprints }) {
  try {
    const post = await changes();
    const answers = await Promise.all(fingerprints.map((one) => post(`api/v1/alerts/${encodeURIComponent(one)}/ack`, { note: "from a notification" })));
    if (!answers.every((answer) => answer.ok)) throw new Error("not all were acknowledged");
  } catch {
    await open(path); // signed out, or no longer allowed to: the page says so
  }
}

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const data = event.notification.data || {};
  event.waitUntil(event.action === "acknowledge" ? acknowledge(data) : open(data.path));
});

// A push service may give a browser another address; the server has to know.
self.addEventListener("pushsubscriptionchange", (event) => {
  async function again() {
    const key = event.oldSubscription?.options.applicationServerKey;
    const fresh = event.newSubscription || (key && (await self.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key })));
    if (fresh) await (await changes())("api/v1/push/browsers", fresh.toJSON());
  }
  event.waitUntil(again());
});
