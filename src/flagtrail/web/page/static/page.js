// What every page does when there is JavaScript: the reader's zone and theme, and parts that change without a reload.
// Markup is only ever taken from a document that the browser itself has parsed (XMLHttpRequest), and nothing in it runs.

const YEAR = 31536000;

function keep(name, value) {
  document.cookie = `${name}=${value}; path=/; max-age=${YEAR}; samesite=lax`; // a zone or a theme: nothing to escape
}

/** Fetch a page of ours, and return it as a document; scripts in it do not run. */
export function fetchPage(address) {
  return new Promise((found, failed) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.onload = () => {
      if (request.response) found({ page: request.response, address: request.responseURL, status: request.status });
      else failed(new Error(`no page at ${address}`));
    };
    request.onerror = () => failed(new Error("flagtrail cannot be reached"));
    request.send();
  });
}

/** Put the parts of another page that stand in data-part into this one; parts that it lacks are taken away. */
export function put(page, only) {
  const parts = only ? [only] : [...document.querySelectorAll("[data-part]")].map((part) => part.dataset.part);
  for (const name of parts) {
    const old = document.querySelector(`[data-part="${name}"]`);
    const fresh = page.querySelector(`[data-part="${name}"]`);
    if (old && fresh) old.replaceWith(document.adoptNode(fresh));
  }
  const sign = page.getElementById("sign");
  if (sign) document.getElementById("sign")?.replaceWith(document.adoptNode(sign));
  document.title = page.title;
  document.dispatchEvent(new CustomEvent("flagtrail:put"));
}

let last = 0;

/** Go to a view of this page without a reload; the address bar says where one is. Falls back on going there plainly. */
export async function go(address, { push = true } = {}) {
  const mine = ++last;
  document.body.classList.add("loading");
  try {
    const { page, address: there, status } = await fetchPage(address);
    if (mine !== last) return;
    if (status >= 500 || page.body.className !== document.body.className.replace(/ ?loading/, "")) {
      location.assign(address);
      return;
    }
    put(page);
    if (push) history.pushState(null, "", there);
  } catch {
    location.assign(address);
  } finally {
    document.body.classList.remove("loading");
  }
}

function theme() {
  const button = document.getElementById("theme");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    keep("flagtrail_theme", root.dataset.theme);
  });
}

function zone() {
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const root = document.documentElement;
  if (!mine || new URLSearchParams(location.search).has("zone")) return;
  keep("flagtrail_zone", mine);
  const kept = document.cookie.includes("flagtrail_zone=");
  if (kept && root.dataset.zone !== mine && !sessionStorage.getItem("flagtrail_zone_asked")) {
    sessionStorage.setItem("flagtrail_zone_asked", mine); // once: a server without this zone would be asked for ever
    location.reload();
  }
}

addEventListener("popstate", () => go(location.href, { push: false }));
theme();
zone();
