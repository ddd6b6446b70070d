// The timeline without reloads: its links and its search, the change that opens beside the list, and the keys.

import { fetchPage, go, put } from "./page.js";

const pane = () => document.getElementById("pane");
const rows = () => [...document.querySelectorAll(".list .change")];
const narrow = matchMedia("(max-width: 1000px)");
let opening = 0;

function plain(event) {
  return event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
}

async function open(address, { focus = true } = {}) {
  const mine = ++opening;
  mark(new URL(address, location.href).searchParams.get("event"));
  try {
    const { page, status } = await fetchPage(address, "pane");
    if (mine !== opening) return;
    if (status >= 500) throw new Error("no pane");
    history.pushState(null, "", address);
    put(page, ["pane"]);
    behind(narrow.matches);
    if (focus) pane().focus({ preventScroll: true });
  } catch {
    if (mine === opening) location.assign(address);
  }
}

/** Close the pane, and give the focus back to the row that it was opened from. */
function close() {
  opening++;
  const address = new URL(location.href);
  const id = address.searchParams.get("event");
  address.searchParams.delete("event");
  history.pushState(null, "", address);
  pane().replaceChildren();
  pane().hidden = true;
  behind(false);
  mark(null);
  document.querySelector(`.list [data-id="${CSS.escape(id ?? "")}"] [data-open]`)?.focus({ preventScroll: true });
}

/** Where the pane lies over the page, what is behind it cannot be reached. */
function behind(hidden) {
  for (const each of document.querySelectorAll(".top, .search, .columns, .foot")) each.inert = hidden;
}

function mark(id) {
  for (const row of rows()) {
    const chosen = row.dataset.id === id;
    row.classList.toggle("chosen", chosen);
    const link = row.querySelector("[data-open]");
    if (chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

function step(by) {
  const all = rows();
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const now = at < 0 ? all.findIndex((row) => row.classList.contains("chosen")) : at;
  const next = all[now < 0 ? 0 : Math.min(Math.max(now + by, 0), all.length - 1)];
  if (!next) return;
  const link = next.querySelector("[data-open]");
  link.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  if (pane() && !pane().hidden && !narrow.matches) open(link.href, { focus: false });
}

function keys() {
  const dialog = document.getElementById("keys");
  if (!dialog.open) dialog.showModal();
}

const KEYS = {
  j: () => step(1),
  ArrowDown: () => step(1),
  k: () => step(-1),
  ArrowUp: () => step(-1),
  "/": () => document.getElementById("q").select(),
  c: () => document.getElementById("plot")?.focus(),
  p: () => document.querySelector("[data-live-pause]")?.click(),
  "?": keys,
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  const inside = event.target;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (document.querySelector(".selection, #options:not([hidden])")) return; // these go first
    if (inside.id === "q") inside.blur();
    else if (pane() && !pane().hidden) close();
    return;
  }
  if (inside.closest("input, textarea, select, [contenteditable]")) return;
  const arrow = event.key.startsWith("Arrow");
  // Arrows scroll the page and the pane, unless one is in the list.
  if (arrow && !inside.closest(".list .change")) return;
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || !plain(event) || link.target) return;
  const { origin, pathname } = new URL(link.getAttribute("href") ?? "", location.href);
  if (link.closest("svg") || origin !== location.origin || pathname !== "/") return;
  if (link.hash && link.getAttribute("href").startsWith("#")) return;
  if (link.closest(".top") || link.closest(".skip")) return;
  event.preventDefault();
  if (link.hasAttribute("data-close")) close();
  else if (link.hasAttribute("data-open")) open(link.href, { focus: event.detail === 0 || narrow.matches });
  else {
    const turns = Boolean(link.closest(".pages"));
    go(link.href).then(() => turns && document.querySelector(".list")?.scrollIntoView());
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-go")) return;
  event.preventDefault();
  const filled = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
  const said = new URLSearchParams(filled);
  const kept = new URLSearchParams(location.search).get("event");
  if (kept) said.set("event", kept);
  // What stands for itself in an address is left so: addresses are read, and passed on.
  go(`/${said.size ? "?" : ""}${String(said).replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/")}`).then(() => {
    // A time that was written without a zone is said so that it is the same for everybody.
    const { address } = document.querySelector(".search").dataset;
    if (address) history.replaceState(null, "", address);
  });
});

/** Tell people who do not see it what the list shows now. */
document.addEventListener("flagtrail:put", () => {
  const told = document.querySelector(".mistake")?.textContent ?? document.querySelector(".list")?.dataset.told;
  const status = document.getElementById("told");
  if (status && told && status.textContent !== told) status.textContent = told;
  behind(narrow.matches && Boolean(pane()) && !pane().hidden);
});
narrow.addEventListener("change", () => behind(narrow.matches && Boolean(pane()) && !pane().hidden));
behind(narrow.matches && Boolean(pane()) && !pane().hidden);
