// Keyboard shortcuts: g then o, u, s, c, q or m opens a page, t switches cards to tables and back, ? lists them; can be switched off (WCAG 2.1.4).
(function () {
  "use strict";
  const PAGES = { o: "/", u: "/use-cases", s: "/services", c: "/compare", q: "/quality", m: "/methods" };
  const OFF = "footprint-keys-off";
  let going = false;
  function off() { try { return window.localStorage.getItem(OFF) === "1"; } catch (none) { return false; } }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea, select, [contenteditable]");
    if (off() || typing || event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (going) {
      going = false;
      const link = PAGES[event.key] && Array.from(document.querySelectorAll("header a[href]")).find((a) => new URL(a.href).pathname === PAGES[event.key] && !a.lang);
      if (link) { link.click(); }
      return;
    }
    if (event.key === "g") { going = true; window.setTimeout(() => { going = false; }, 1500); }
    if (event.key === "t") {
      const cards = Array.from(document.querySelectorAll(".block"));
      const kind = cards.some((card) => card.getAttribute("data-shown") === "table") ? "chart" : "table";
      cards.forEach((card) => window.footprint_cards.show(card, kind));
    }
    if (event.key === "?") {
      const help = Array.from(document.querySelectorAll("a[href]")).find((a) => new URL(a.href).pathname === "/help");
      if (help) { help.click(); }
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button[data-keys]");
    if (!button) { return; }
    try { window.localStorage.setItem(OFF, off() ? "0" : "1"); } catch (none) { return; }
    button.setAttribute("aria-pressed", String(!off()));
  });
})();
