// Buttons that copy the text beside them. Without this script the text can be marked and copied by hand.

function show() {
  if (navigator.clipboard) for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const here = button.closest(".copy");
  const text = here.querySelector("textarea").value;
  const said = button.closest("section")?.querySelector("[data-copied]");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    if (said) said.textContent = "Copied";
  } catch {
    here.querySelector("details").open = true;
    here.querySelector("textarea").select();
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1800);
});
document.addEventListener("flagtrail:put", show);
show();
