// The button of the page My browsers: this browser's subscription, made and ended.

const box = document.querySelector("[data-push]");
const button = box?.querySelector("button");
const status = box?.querySelector("[data-push-status]");
const root = document.body.dataset.root || "";

const say = (words) => {
  status.textContent = words;
};

function bytesOf(text) {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

async function ask(method, path, body) {
  const answer = await fetch(`${root}/api/v1/push/${path}`, {
    method,
    headers: { "content-type": "application/json", accept: "application/json", "X-CSRF-Token": box.dataset.csrf },
    body: body && JSON.stringify(body),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const { detail } = await answer.json().catch(() => ({}));
  throw new Error(typeof detail === "string" ? detail : `the server answered ${answer.status}`);
}

async function fingerprintOf(endpoint) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(endpoint));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const registered = async () => (await navigator.serviceWorker.getRegistration(`${root}/`))?.pushManager.getSubscription();

async function rowOfThisBrowser() {
  const subscription = await registered();
  return subscription && document.querySelector(`[data-endpoint="${await fingerprintOf(subscription.endpoint)}"]`);
}

async function subscribe() {
  if ((await Notification.requestPermission()) !== "granted") {
    throw new Error("this browser does not allow it; change that in its settings for this site");
  }
  await navigator.serviceWorker.register(`${root}/push-worker.js`, { scope: `${root}/` });
  const worker = await navigator.serviceWorker.ready;
  const wanted = { userVisibleOnly: true, applicationServerKey: bytesOf(box.dataset.push) };
  let subscription;
  try {
    subscription = await worker.pushManager.subscribe(wanted);
  } catch (error) {
    // One that another key was given to stands in the way.
    const old = await worker.pushManager.getSubscription();
    if (!old) throw error;
    await old.unsubscribe();
    subscription = await worker.pushManager.subscribe(wanted);
  }
  await ask("POST", "browsers", subscription.toJSON());
}

async function unsubscribe(row) {
  await ask("DELETE", `browsers/${row.dataset.id}`);
  await (await registered())?.unsubscribe();
}

function lacking() {
  if (!window.isSecureContext) return "Browsers allow this over https only (or on localhost).";
  if ("serviceWorker" in navigator && "PushManager" in window && "Notification" in window) return "";
  return "This browser has no web push. On an iPhone or iPad, add this page to the Home Screen first and open it from there.";
}

async function begin() {
  const cause = lacking();
  if (cause) {
    say(cause);
    return;
  }
  const row = await rowOfThisBrowser();
  if (row) {
    row.querySelector("[data-push-this]").hidden = false;
    button.textContent = "Stop telling this browser";
    button.classList.add("danger");
  }
  button.disabled = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    say("");
    try {
      await (row ? unsubscribe(row) : subscribe());
      location.reload();
    } catch (error) {
      say(`It did not work: ${error.message}`);
      button.disabled = false;
    }
  });
}

if (button) begin();
