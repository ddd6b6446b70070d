// A calendar for the field of the moment: what is chosen there is written into it, in the reader's own zone.

const field = document.getElementById("at");
const probe = document.createElement("input");
probe.type = "datetime-local";

// The browser's calendar knows its own zone only: when the page shows another one, times are typed.
if (field && probe.type === "datetime-local" && probe.showPicker && zoneIsMine()) {
  probe.className = "picker";
  probe.step = "1";
  probe.tabIndex = -1;
  probe.setAttribute("aria-hidden", "true");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "▾";
  button.setAttribute("aria-label", "Choose the time in a calendar");
  button.addEventListener("click", () => {
    const said = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(:\d\d)?)$/.exec(field.value.trim());
    if (said) probe.value = `${said[1]}T${said[2]}`;
    probe.showPicker();
  });
  probe.addEventListener("change", () => {
    if (probe.value) field.value = probe.value.replace("T", " ");
  });
  field.parentElement.classList.add("picks");
  field.after(probe, button);
}

function zoneIsMine() {
  return document.documentElement.dataset.zone === Intl.DateTimeFormat().resolvedOptions().timeZone;
}
