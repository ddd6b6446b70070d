// Completion of the search: what can stand at the caret, as the server says it. A combobox with a list, as ARIA has it.

const WAIT = 90;
let timer = null;
let asked = 0;
let answered = 0; // the last question that was answered: others are on their way
let told = null; // { from, to, options, length }: places in characters as Python counts them

const box = () => document.getElementById("q");
const list = () => document.getElementById("options");

function ready() {
  const input = box();
  if (!input || input.getAttribute("role") === "combobox") return;
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-haspopup": "listbox",
  })) {
    input.setAttribute(name, value);
  }
}

function close() {
  told = null;
  answered = ++asked;
  clearTimeout(timer);
  const input = box();
  if (!input) return;
  list().hidden = true;
  list().replaceChildren();
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-controls");
  input.removeAttribute("aria-activedescendant");
}

async function ask() {
  const input = box();
  const mine = ++asked;
  const at = [...input.value.slice(0, input.selectionStart)].length;
  const said = new URLSearchParams({ q: input.value, at });
  try {
    const answer = await fetch(`/complete?${said}`);
    if (!answer.ok || mine !== asked || document.activeElement !== input) return;
    told = { ...(await answer.json()), length: [...said.get("q")].length };
    if (mine === asked) draw();
  } catch {
    close(); // one can type without it
  } finally {
    answered = Math.max(answered, mine);
  }
}

function draw() {
  const items = told.options.map((option, place) => {
    const item = document.createElement("li");
    item.id = `option-${place}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    const label = document.createElement("span");
    label.className = "option";
    label.textContent = option.label;
    const about = document.createElement("span");
    about.className = "about";
    about.textContent = option.about;
    item.append(label, about);
    return item;
  });
  list().replaceChildren(...items);
  list().hidden = !items.length;
  list().scrollTop = 0;
  box().setAttribute("aria-expanded", String(items.length > 0));
  if (items.length) box().setAttribute("aria-controls", "options");
  else box().removeAttribute("aria-controls");
  box().removeAttribute("aria-activedescendant");
}

const items = () => [...list().children];
const active = () => items().findIndex((item) => item.getAttribute("aria-selected") === "true");

function move(by) {
  const all = items();
  const now = active();
  // Past the ends lies the box itself: there, nothing is chosen.
  const next = now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by;
  for (const [place, item] of all.entries()) item.setAttribute("aria-selected", String(place === next));
  if (all[next]) {
    box().setAttribute("aria-activedescendant", all[next].id);
    all[next].scrollIntoView({ block: "nearest" });
  } else box().removeAttribute("aria-activedescendant");
}

function take(place) {
  const input = box();
  const signs = [...input.value];
  const { text } = told.options[place];
  const before = signs.slice(0, told.from).join("") + text;
  const after = signs.slice(told.to + signs.length - told.length).join(""); // more may have been typed since
  input.value = before + (text.endsWith(" ") ? after.replace(/^ /, "") : after);
  input.setSelectionRange(before.length, before.length);
  close();
  input.focus();
  ask();
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "q") return;
  clearTimeout(timer);
  timer = setTimeout(ask, WAIT);
});

document.addEventListener("focusin", (event) => {
  if (event.target.id === "q") ready();
  else if (event.target !== list() && !list()?.contains(event.target)) close();
});

document.addEventListener("keydown", (event) => {
  if (event.target.id !== "q" || event.isComposing) return;
  const isOpen = list() && !list().hidden;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (isOpen) move(event.key === "ArrowDown" ? 1 : -1);
    else ask();
  } else if ((isOpen || answered < asked) && event.key === "Escape") close(); // also what is about to open
  else if (isOpen && event.key === "Enter" && active() >= 0) take(active());
  else if (isOpen && event.key === "Tab" && !event.shiftKey && active() >= 0) take(active());
  else {
    if (event.key === "Enter") close();
    return;
  }
  event.preventDefault();
});

document.addEventListener("pointerdown", (event) => {
  const item = event.target.closest?.("#options [role=option]");
  if (item) {
    event.preventDefault(); // the focus stays in the box
    take(items().indexOf(item));
  } else if (event.target.id === "q" && event.target === document.activeElement) ask();
  else if (!event.target.closest?.(".box")) close();
});

document.addEventListener("flagtrail:put", ready);
ready();
