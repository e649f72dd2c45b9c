// Navigation without reloading the scripts: the URL selects the page, focus moves to its title, the document title follows.
(function () {
  "use strict";
  let moved = false, samePage = false;
  function here(link) {
    const url = new URL(link.href, window.location.href);
    if (url.origin !== window.location.origin || !/^\/[a-z-]*$/.test(url.pathname) || link.target || link.hasAttribute("download")) { return null; }
    if (url.pathname === window.location.pathname && url.search === window.location.search && url.hash) { return null; }
    const now = new URLSearchParams(window.location.search), then = url.searchParams;
    // Language, theme and print view are set on the whole document, so that links that change them reload it.
    for (const name of ["lang", "theme", "print"]) {
      const was = name === "lang" ? document.documentElement.lang : now.get(name) || "";
      if ((then.get(name) || (name === "lang" ? was : "")) !== was) { return null; }
    }
    return url;
  }
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) { return; }
    const link = event.target.closest && event.target.closest("a[href]");
    const url = link && here(link);
    if (!url) { return; }
    event.preventDefault();
    samePage = url.pathname === window.location.pathname;
    moved = true;
    document.querySelectorAll("details.menu[open], [data-open]").forEach((each) => { each.removeAttribute("open"); each.removeAttribute("data-open"); });
    window.history.pushState({}, "", url.href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
  });
  window.addEventListener("popstate", () => { moved = true; samePage = false; });
  function settle() {
    const title = document.querySelector("main h1");
    if (!title) { return; }
    document.title = title.textContent + " · Footprint";
    weigh();
    if (!moved) { return; }
    moved = false;
    if (!samePage) { title.setAttribute("tabindex", "-1"); title.focus({ preventScroll: true }); window.scrollTo(0, 0); }
    window.footprint_cards.speak(title.textContent);
  }
  function weigh() {
    const place = document.getElementById("weight"), footer = document.querySelector(".page-footer");
    if (!place || !footer) { return; }
    const all = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
    const bytes = all.reduce((sum, each) => sum + (each.name.includes("plotly") ? 0 : each.encodedBodySize || 0), 0);
    place.textContent = footer.dataset.weight.replace("{kb}", String(Math.round(bytes / 1000)));
  }
  let waiting = 0;
  function watch() {
    const page = document.getElementById("page");
    if (!page) { window.setTimeout(watch, 50); return; }
    new MutationObserver((changes) => {
      if (changes.every((change) => change.target.id === "weight")) { return; }
      window.clearTimeout(waiting);
      waiting = window.setTimeout(settle, 60);
    }).observe(page, { childList: true, subtree: true, characterData: true });
    settle();
  }
  watch();
})();
