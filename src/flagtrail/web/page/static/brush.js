// Choosing a time on the chart: by mouse or finger, or with the keyboard. Without it each bar is a link that zooms in.

import { fetchPage, go, put } from "./page.js";

let chosen = null; // [first, last]: edges of the chart, by their number
let from = null; // the edge at which a drag began
let moved = false;

const plot = () => document.getElementById("plot");
const edges = () => plot().dataset.edges.split(",").map(Number);
const iso = (seconds) => new Date(seconds * 1000).toISOString().replace(/(:00)?\.000Z$/, "Z");

function place(second, all) {
  return (100 * (second - all[0])) / (all.at(-1) - all[0]);
}

/** Return the number of the span under a pointer. */
function under(event) {
  const all = edges();
  const box = plot().getBoundingClientRect();
  const at = all[0] + ((event.clientX - box.left) / box.width) * (all.at(-1) - all[0]);
  const found = all.findIndex((edge) => edge > at);
  return Math.min(Math.max((found < 0 ? all.length : found) - 1, 0), all.length - 2);
}

function words([first, last]) {
  const all = edges();
  const zone = plot().dataset.zone;
  const form = new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "medium", timeStyle: "short" });
  return form.formatRange(all[first] * 1000, all[last] * 1000);
}

function draw() {
  const here = plot();
  for (const old of here.querySelectorAll(".selection, .about-time")) old.remove();
  if (!chosen) return;
  const all = edges();
  const shade = document.createElement("div");
  shade.className = "selection";
  const left = place(all[chosen[0]], all);
  shade.style.left = `${left}%`;
  shade.style.width = `${place(all[chosen[1]], all) - left}%`;
  here.append(shade);
}

function choose(first, last, told = true) {
  const most = edges().length - 1;
  first = Math.min(Math.max(first, 0), most - 1);
  chosen = [first, Math.min(Math.max(last, first + 1), most)];
  draw();
  if (told) say(words(chosen));
}

function say(text) {
  const status = document.getElementById("told");
  if (status) status.textContent = text;
}

function clear() {
  chosen = null;
  from = null;
  if (plot()) draw();
}

function zoomed([first, last]) {
  const all = edges();
  const address = new URL(plot().dataset.base, location.href);
  address.searchParams.set("since", iso(all[first]));
  const end = all[last];
  if (last < all.length - 1 || end * 1000 < Date.now() - 60000) address.searchParams.set("until", iso(end));
  const open = new URLSearchParams(location.search).get("event");
  if (open) address.searchParams.set("event", open);
  return address.href.replaceAll("%3A", ":").replaceAll("%2C", ",");
}

function around([first, last]) {
  const all = edges();
  const address = new URL(plot().dataset.around, location.href);
  address.searchParams.set("at", iso(Math.round((all[first] + all[last]) / 2)));
  return address.href.replaceAll("%3A", ":").replaceAll("%2C", ",");
}

/** Offer what can be done with a time that was chosen. */
function offer(text) {
  const all = edges();
  const about = document.createElement("div");
  about.className = "about-time";
  const told = document.createElement("p");
  told.textContent = text;
  const ways = document.createElement("div");
  for (const [label, address] of [["Zoom in", zoomed(chosen)], ["Around this moment", around(chosen)]]) {
    const link = document.createElement("a");
    link.className = "button";
    link.href = address;
    link.textContent = label;
    ways.append(link);
  }
  about.append(told, ways);
  plot().append(about);
  const middle = place((all[chosen[0]] + all[chosen[1]]) / 2, all) / 100;
  const most = Math.max(0, plot().clientWidth - about.offsetWidth);
  about.style.left = `${Math.min(Math.max(middle * plot().clientWidth - about.offsetWidth / 2, 0), most)}px`;
}

function counted() {
  const all = edges();
  const middle = place((all[chosen[0]] + all[chosen[1]]) / 2, all);
  for (const column of plot().querySelectorAll(".column")) {
    const left = Number.parseFloat(column.getAttribute("x"));
    if (left <= middle && middle < left + Number.parseFloat(column.getAttribute("width"))) {
      return column.querySelector("title").textContent;
    }
  }
  return `No changes, ${words(chosen)}`;
}

document.addEventListener("pointerdown", (event) => {
  const here = event.target.closest?.("#plot");
  if (event.target.closest?.(".about-time")) return;
  if (!here) {
    if (chosen && plot()) clear();
    return;
  }
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  from = under(event);
  moved = false;
});

document.addEventListener("pointermove", (event) => {
  if (from === null) return;
  const at = under(event);
  if (at !== from) moved = true;
  if (moved) choose(Math.min(from, at), Math.max(from, at) + 1, false);
});

document.addEventListener("pointerup", (event) => {
  if (from === null) return;
  const began = from;
  from = null;
  if (moved) {
    go(zoomed(chosen));
    return;
  }
  choose(began, began + 1, false);
  const text = counted();
  offer(text);
  say(text);
});

document.addEventListener("pointercancel", clear);
document.addEventListener("dragstart", (event) => event.target.closest?.("#plot") && event.preventDefault());
document.addEventListener("click", (event) => {
  const here = event.target.closest?.("#plot svg a");
  if (here && !(event.metaKey || event.ctrlKey || event.shiftKey)) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen && plot()) {
    clear();
    event.preventDefault();
  }
  if (event.target.id !== "plot" || event.metaKey || event.ctrlKey || event.altKey) return;
  const most = edges().length - 1;
  const [first, last] = chosen ?? [most, most];
  if (event.key === "ArrowLeft") event.shiftKey && chosen ? choose(first - 1, last) : choose(first - 1, first);
  else if (event.key === "ArrowRight") event.shiftKey && chosen ? choose(first, last + 1) : choose(last, last + 1);
  else if (event.key === "Home") choose(0, 1);
  else if (event.key === "End") choose(most - 1, most);
  else if (event.key === "Enter" && chosen) go(zoomed(chosen));
  else if (event.key === "a" && chosen) location.assign(around(chosen));
  else if (event.key === " " && chosen) {
    draw();
    offer(counted());
    say(counted());
  } else if (event.key === "Escape" && chosen) clear();
  else return;
  event.preventDefault();
});

/** What was too much to count before the page was shown is counted now that it is. */
async function countAll() {
  const asked = document.querySelector("[data-count-all]");
  if (!asked || asked.dataset.asked) return;
  asked.dataset.asked = "yes";
  const told = [...asked.childNodes];
  asked.replaceChildren("Counting all of them …");
  try {
    const { page, status } = await fetchPage(asked.dataset.countAll);
    if (status === 200 && document.contains(asked)) put(page, ["chart"]);
    else asked.replaceChildren(...told);
  } catch {
    asked.replaceChildren(...told);
  }
}

/** The chart can be reached by the keyboard where this script is there, which knows the keys. */
function ready() {
  plot()?.setAttribute("tabindex", "0");
  plot()?.setAttribute("aria-describedby", "plot-told plot-keys");
}

document.addEventListener("flagtrail:put", () => {
  ready();
  if (!document.querySelector(".selection")) chosen = null;
  countAll();
});
ready();
countAll();
