// What every page does when there is JavaScript: the reader's theme, and parts that change without a reload.
// Markup is only ever taken from a document that the browser itself has parsed (XMLHttpRequest), and nothing in it runs.

const YEAR = 31536000;

/** Fetch a page of ours, and return it as a document; scripts in it do not run. `part`: only that part is needed. */
export function fetchPage(address, part) {
  return new Promise((found, failed) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    if (part) request.setRequestHeader("Flagtrail-Part", part);
    request.onload = () => {
      if (request.response) found({ page: request.response, address: request.responseURL, status: request.status });
      else failed(new Error(`no page at ${address}`));
    };
    request.onerror = () => failed(new Error("flagtrail cannot be reached"));
    request.send();
  });
}

/** Put the parts of another page that stand in data-part into this one. `only`: the names of those to put. */
export function put(page, only) {
  const names = only ?? [...document.querySelectorAll("[data-part]")].map((part) => part.dataset.part);
  const focus = focused();
  for (const name of names) {
    const old = document.querySelector(`[data-part="${name}"]`);
    const fresh = page.querySelector(`[data-part="${name}"]`);
    if (old && fresh) old.replaceWith(document.adoptNode(fresh));
    else if (old && !only) old.replaceChildren();
  }
  const sign = page.getElementById("sign");
  if (sign) document.getElementById("sign")?.replaceWith(document.adoptNode(sign));
  if (!only) document.title = page.title;
  document.dispatchEvent(new CustomEvent("flagtrail:put"));
  focus();
}

/** Return what gives the focus back to what has it now, or to what stands there instead by then. */
function focused() {
  const was = document.activeElement;
  const part = was?.closest("[data-part]")?.dataset.part;
  if (!part) return () => {};
  const { id } = was;
  const key = was.dataset.key ?? was.closest("[data-id]")?.dataset.id;
  const place = id === "q" ? [was.selectionStart, was.selectionEnd] : null;
  return () => {
    if (document.contains(was)) return;
    const here = document.querySelector(`[data-part="${part}"]`);
    const found =
      (id && document.getElementById(id)) ||
      (key &&
        [...(here?.querySelectorAll("[data-key], [data-id] [data-open]") ?? [])].find(
          (each) => (each.dataset.key ?? each.closest("[data-id]").dataset.id) === key,
        )) ||
      here;
    found?.focus({ preventScroll: true });
    if (place && found?.id === "q") found.setSelectionRange(...place);
  };
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
    if (push) history.pushState(null, "", there);
    put(page);
  } catch {
    if (mine === last) location.assign(address);
  } finally {
    if (mine === last) document.body.classList.remove("loading");
  }
}

/** Return whether what is fetched with `go` at the moment is still on its way. */
export const isGoing = () => document.body.classList.contains("loading");

function theme() {
  const button = document.getElementById("theme");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `flagtrail_theme=${root.dataset.theme}; path=/; max-age=${YEAR}; samesite=lax`;
  });
}

addEventListener("popstate", () => go(location.href, { push: false }));
theme();
