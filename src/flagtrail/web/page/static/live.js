// New changes as they are stored: the list and the chart are fetched again, at most every two seconds, and what was not
// there before is marked. Only while the page is seen; what was stored meanwhile comes when it is looked at again.

import { fetchPage, isGoing, put } from "./page.js";

const EVERY = 2000;
const TRIES = 15000; // milliseconds after which a connection that was refused is tried again
let source = null;
let address = null; // that is listened to
let position = null; // the id of the last change that was told
let paused = false;
let waiting = 0; // changes that were told and are not shown yet
let timer = null;
let again = null;
let last = 0;

const list = () => document.querySelector(".list");

function show(state, text) {
  const label = document.querySelector("[data-live-state]");
  if (!label) return;
  label.className = `live-state ${state}`;
  if (label.textContent !== text) label.textContent = text;
}

function tell() {
  const controls = document.querySelector("[data-live-controls]");
  if (!controls) return;
  controls.hidden = false;
  const button = controls.querySelector("[data-live-pause]");
  button.textContent = paused ? (waiting ? `Show ${waiting} new` : "Go on") : "Pause";
  button.setAttribute("aria-pressed", String(paused));
  if (paused) show("", "Paused");
  else if (source?.readyState === EventSource.OPEN) show("on", "Live");
  else show("lost", "Reconnecting …");
}

function listen() {
  const wanted = list()?.dataset.live ?? null;
  if (wanted === address && source && source.readyState !== EventSource.CLOSED) return tell();
  source?.close();
  clearTimeout(again);
  source = null;
  if (wanted !== address) {
    waiting = 0;
    position = null;
  }
  address = wanted;
  if (!address || document.hidden) return undefined;
  const there = new URL(address, location.href);
  if (position) there.searchParams.set("after", position);
  source = new EventSource(there);
  source.onopen = tell;
  source.onerror = () => {
    tell();
    if (source?.readyState === EventSource.CLOSED) again = setTimeout(listen, TRIES);
  };
  source.addEventListener("change", (event) => {
    position = event.lastEventId || position;
    waiting += 1;
    if (paused) {
      tell();
      say(`${waiting} new ${waiting === 1 ? "change" : "changes"} while paused`);
    } else soon();
  });
  return tell();
}

function say(text) {
  const status = document.getElementById("told");
  if (status) status.textContent = text;
}

function soon() {
  if (timer) return;
  timer = setTimeout(
    () => {
      timer = null;
      refresh();
    },
    Math.max(150, last + EVERY - Date.now()),
  );
}

async function refresh() {
  if (paused || document.hidden || !waiting) return;
  if (isGoing() || document.querySelector(".selection")) return void soon(); // not while somebody chooses a time
  last = Date.now();
  const came = waiting;
  const here = location.href;
  const before = new Set([...document.querySelectorAll(".list .change")].map((row) => row.dataset.id));
  try {
    const { page, status } = await fetchPage(here);
    if (paused) return;
    if (status !== 200 || here !== location.href) return void soon();
    const keep = anchored();
    put(page, ["chart", "list", "facets"]);
    keep();
    waiting = Math.max(0, waiting - came);
    const fresh = [...document.querySelectorAll(".list .change")].filter((row) => !before.has(row.dataset.id));
    for (const row of fresh) row.classList.add("new");
    if (fresh.length) say(`${fresh.length} new ${fresh.length === 1 ? "change" : "changes"}`);
    listen();
  } catch {
    soon();
    tell(); // the connection says by itself when it is back
  }
}

/** Keep the row that is read in its place, whatever comes above it. */
function anchored() {
  const head = 100;
  if (scrollY < head) return () => {};
  const row = [...document.querySelectorAll(".list .change")].find((each) => each.getBoundingClientRect().top > head);
  if (!row) return () => {};
  const { id } = row.dataset;
  const { top } = row.getBoundingClientRect();
  return () => {
    const there = document.querySelector(`.list [data-id="${CSS.escape(id)}"]`);
    if (there) scrollBy({ top: there.getBoundingClientRect().top - top, behavior: "instant" });
  };
}

document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-live-pause]")) return;
  paused = !paused;
  tell();
  if (!paused && waiting) refresh();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    source = null;
  } else {
    listen();
    if (waiting) soon();
  }
});

// How far the trail can be trusted changes also while nothing comes: a page that stays open must not stay green.
setInterval(() => {
  if (!source || paused || document.hidden) return;
  waiting = Math.max(waiting, 1);
  soon();
}, 60_000);

document.addEventListener("flagtrail:put", listen);
listen();
