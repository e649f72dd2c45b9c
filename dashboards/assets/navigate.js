// Navigation without reloading the scripts: the URL selects the page. On another page focus moves to its title; on the same page it
// stays where it was, and so does the scroll position. A card is busy until it shows what the URL asks for.
(function () {
  "use strict";
  const PAGE_PARAMS = ["name", "figure", "edition", "of", "device", "day"];  // they select another page under the same path
  const SLOW_MS = 1000;
  let moved = false, samePage = false, current = "", waiting = 0, slow = 0, focused = null;
  function here(link) {
    const url = new URL(link.href, window.location.href);
    if (url.origin !== window.location.origin || !/^\/[a-z-]*$/.test(url.pathname) || link.target || link.hasAttribute("download") || link.dataset.reload) { return null; }
    if (url.pathname === window.location.pathname && url.search === window.location.search && url.hash) { return null; }
    const now = new URLSearchParams(window.location.search), then = url.searchParams;
    // Language, theme and print view are set on the whole document, so that links that change them reload it.
    for (const name of ["lang", "theme", "print"]) {
      const was = name === "lang" ? document.documentElement.lang : now.get(name) || "";
      if ((then.get(name) || (name === "lang" ? was : "")) !== was) { return null; }
    }
    return url;
  }
  function page(url) { return [url.pathname, ...PAGE_PARAMS.map((name) => new URLSearchParams(url.search).get(name) || "")].join("\n"); }
  function close() {
    document.querySelectorAll("details.menu[open]").forEach((menu) => menu.removeAttribute("open"));
    document.querySelectorAll(samePage ? "header[data-open]" : "[data-open]").forEach((folded) => folded.removeAttribute("data-open"));
    if (!samePage) { document.querySelectorAll(".frame[data-shown]").forEach((frame) => frame.removeAttribute("data-shown")); }
    window.footprint_cards.restore();
  }
  function start() {
    moved = true;
    current = page(window.location);
    window.footprint_requests.drop();
    busy();
    window.clearTimeout(slow);
    slow = window.setTimeout(() => { if (moved && loading()) { const place = document.getElementById("spoken"); window.footprint_cards.speak(place.dataset.loading); } }, SLOW_MS);
  }
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) { return; }
    const link = event.target.closest && event.target.closest("a[href]");
    const url = link && here(link);
    if (!url) { return; }
    event.preventDefault();
    samePage = page(url) === current;
    const menu = link.closest("details.menu");
    if (samePage && menu) { menu.querySelector("summary").focus({ preventScroll: true }); }  // the link is hidden with its menu
    close();
    if (url.href === window.location.href) { return; }
    window.history.pushState({}, "", url.href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    start();
  });
  window.addEventListener("popstate", () => { samePage = page(window.location) === current; start(); });
  function shown() { return window.location.pathname + window.location.search; }
  function busy() {
    document.querySelectorAll(".frame").forEach((frame) => {
      const value = String(frame.dataset.url !== shown());
      if (frame.getAttribute("aria-busy") !== value) { frame.setAttribute("aria-busy", value); }
    });
  }
  function loading() { return !document.querySelector(".frame") || document.querySelector(".frame[aria-busy=true]") !== null; }
  // A control that an update replaces or removes passes the focus on: to the one of the same id, to its like in the same card, to the card.
  function controls(frame) { return Array.from(frame.querySelectorAll("a[href], button, summary, [tabindex='0']")); }
  document.addEventListener("focusin", (event) => {
    const control = event.target, frame = control.closest(".frame, #filters");
    focused = { control: control, id: control.id, frame: frame, at: frame ? controls(frame).indexOf(control) : -1 };
  });
  function refocus() {
    if (!focused || focused.control.isConnected || document.activeElement !== document.body) { return; }
    const frame = focused.frame && focused.frame.isConnected ? focused.frame : null;
    let next = (focused.id && document.getElementById(focused.id)) || (frame && frame.matches(".frame") && controls(frame)[focused.at]);
    if (!next && frame) { next = controls(frame).find((control) => control.checkVisibility()) || frame; }
    if (!next) { next = document.getElementById("main"); }
    if (next === frame) { frame.setAttribute("tabindex", "-1"); }
    next.focus({ preventScroll: true });
  }
  function settle() {
    const title = document.querySelector("main h1");
    if (!title) { return; }
    document.title = title.textContent + " · Footprint";
    if (moved && !samePage && document.activeElement !== title) { title.setAttribute("tabindex", "-1"); title.focus({ preventScroll: true }); window.scrollTo(0, 0); samePage = null; }
    if (loading()) { return; }
    weigh();
    if (!moved) { return; }
    moved = false;
    const place = document.getElementById("spoken");
    window.footprint_cards.speak(samePage ? place.dataset.updated.replace("{title}", title.textContent) : title.textContent);
  }
  function weigh() {
    const place = document.getElementById("weight"), footer = document.querySelector(".page-footer");
    if (!place || !footer) { return; }
    const all = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
    const bytes = all.reduce((sum, each) => sum + (each.name.includes("plotly") ? 0 : each.encodedBodySize || 0), 0);
    place.textContent = footer.dataset.weight.replace("{kb}", String(Math.round(bytes / 1000)));
  }
  function watch() {
    const root = document.getElementById("page");
    if (!root) { window.setTimeout(watch, 50); return; }
    new MutationObserver((changes) => {
      if (changes.every((change) => change.target.id === "weight")) { return; }
      busy();
      window.footprint_cards.restore();
      refocus();
      window.clearTimeout(waiting);
      waiting = window.setTimeout(settle, 60);
    }).observe(root, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["data-url"] });
    settle();
  }
  current = page(window.location);
  watch();
})();
