// Card controls that need no server call: chart or table, menus, folded filters, copying the URL of a page.
(function () {
  "use strict";
  function speak(text) {
    const place = document.getElementById("spoken");
    if (place) { place.textContent = ""; window.setTimeout(() => { place.textContent = text; }, 50); }
  }
  function show(card, kind) {
    if (!card.querySelector(".as-table")) { return; }
    card.setAttribute("data-shown", kind);
    card.closest(".frame").dataset.shown = kind;
    card.querySelectorAll("button[data-show]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.show === kind)));
    if (kind === "chart") { window.dispatchEvent(new Event("resize")); }
  }
  function folded(button) { return button.closest("header, #filters"); }
  function fold(button) {
    folded(button).toggleAttribute("data-open");
    restore();
  }
  // What the reader unfolded or switched stays so when a new filter replaces the elements.
  function restore() {
    document.querySelectorAll("button[data-fold]").forEach((button) => button.setAttribute("aria-expanded", String(folded(button).hasAttribute("data-open"))));
    document.querySelectorAll(".frame[data-shown] .block:not([data-shown])").forEach((card) => show(card, card.closest(".frame").dataset.shown));
  }
  document.addEventListener("click", (event) => {
    const target = event.target.closest ? event.target : event.target.parentElement;
    const button = target.closest("button");
    document.querySelectorAll("details.menu[open]").forEach((menu) => { if (!menu.contains(target)) { menu.removeAttribute("open"); } });
    if (!button) { return; }
    if (button.dataset.show) { show(button.closest(".block"), button.dataset.show); }
    if (button.dataset.fold) { fold(button); }
    if (button.dataset.copy) {
      const address = new URL(button.dataset.copy, window.location.href).href;
      navigator.clipboard.writeText(address).then(() => speak(button.dataset.done), () => window.prompt("", address));
      const said = button.textContent;
      button.textContent = button.dataset.done;
      window.setTimeout(() => { button.textContent = said; }, 2000);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") { return; }
    const open = document.querySelector("details.menu[open]");
    if (open) { open.removeAttribute("open"); open.querySelector("summary").focus(); }
  });
  window.footprint_cards = { show: show, speak: speak, restore: restore };
})();
