// Buttons that copy a change as text. Without this script the texts can be marked and copied by hand.

function show() {
  if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const part = button.closest("section");
  const name = button.dataset.copy;
  const text = [...part.querySelectorAll("[data-text]")].find((each) => each.dataset.text === name);
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    part.querySelector("details").open = true;
    text.select();
    said = "Press Ctrl+C";
  }
  button.textContent = said;
  part.querySelector("[data-copied]").textContent = `${name}: ${said}`;
  setTimeout(() => { button.textContent = name; }, 1800);
});
document.addEventListener("flagtrail:put", show);
show();
