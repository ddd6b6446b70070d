// New changes as they are stored: the list and the chart are fetched again, at most every two seconds, and what was not
// there before is marked. Only while the page is seen; what was stored meanwhile comes when it is looked at again.

import { Connection } from "./connection.js";
import { fetchPage, isGoing, put } from "./page.js";

const EVERY = 2000;
let paused = false;
let waiting = 0; // changes that were told and are not shown yet
let timer = null;
let last = 0;
let signedOut = false;

const connection = new Connection(came, tell, ask);
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
  button.hidden = signedOut;
  const { isOpen, wait } = connection;
  const again = controls.querySelector("[data-live-again]");
  again.hidden = !wait && !signedOut;
  again.textContent = signedOut ? "Sign in" : "Try now";
  if (signedOut) show("lost", "Signed out");
  else if (wait) show("lost", navigator.onLine ? `Not connected, next try in ${wait} s` : "No network");
  else if (paused) show("", "Paused");
  else if (isOpen) show("on", "Live");
  else show("lost", "Connecting …");
  if (isOpen && waiting) soon();
}

function came() {
  waiting += 1;
  if (paused) {
    tell();
    say(`${waiting} new ${waiting === 1 ? "change" : "changes"} while paused`);
  } else soon();
}

/** Find out whether we were refused because the token, by which we signed in, is of no use any more. */
async function ask() {
  try {
    const { address } = await fetchPage(location.href);
    if (new URL(address).pathname !== "/signin") return;
    signedOut = true;
    connection.listen(null);
  } catch {
    // the next try tells
  }
}

function listen() {
  if (signedOut) return void tell();
  const address = list()?.dataset.live ?? null;
  if (address !== connection.address) waiting = 0;
  connection.listen(address);
  tell();
}

function say(text) {
  const status = document.getElementById("told");
  if (status) status.textContent = text;
}

function soon() {
  if (timer || paused) return;
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
  const known = waiting;
  const here = location.href;
  const before = new Set([...document.querySelectorAll(".list .change")].map((row) => row.dataset.id));
  try {
    const { page, status } = await fetchPage(here);
    if (paused) return;
    if (here !== location.href) return void soon();
    if (status !== 200) return connection.lose();
    connection.keep();
    const keep = anchored();
    put(page, ["chart", "list", "facets"]);
    keep();
    waiting = Math.max(0, waiting - known);
    const fresh = [...document.querySelectorAll(".list .change")].filter((row) => !before.has(row.dataset.id));
    for (const row of fresh) row.classList.add("new");
    if (fresh.length) say(`${fresh.length} new ${fresh.length === 1 ? "change" : "changes"}`);
    listen();
  } catch {
    connection.lose(); // what waits is fetched when it is back
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
  if (event.target.closest?.("[data-live-again]")) {
    if (signedOut) return void location.reload(); // which leads to where a token is asked for, and back
    document.querySelector("[data-live-pause]").focus(); // the button goes away
    connection.again();
  }
  if (!event.target.closest?.("[data-live-pause]")) return;
  paused = !paused;
  tell();
  if (!paused && waiting) refresh();
});

// How far the trail can be trusted changes also while nothing comes: a page that stays open must not stay green.
setInterval(() => {
  if (!connection.isOpen || paused || document.hidden) return;
  waiting = Math.max(waiting, 1);
  soon();
}, 60_000);

document.addEventListener("flagtrail:put", listen);
listen();
