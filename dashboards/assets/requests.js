// Requests of cards: a few at a time, so that the next page does not wait for the cards of this one; those of a URL that was left are dropped.
(function () {
  "use strict";
  const AT_ONCE = 3, NOT_NEEDED = 204;  // Dash keeps what is shown at an answer of 204
  const send = window.fetch.bind(window), waiting = [], running = new Set();
  function next() {
    while (waiting.length && running.size < AT_ONCE) {
      const request = waiting.shift(), control = new AbortController();
      running.add(control);
      send(request.address, { ...request.options, signal: control.signal })
        .catch((failure) => { if (control.signal.aborted) { return new Response(null, { status: NOT_NEEDED }); } throw failure; })
        .then(request.resolve, request.reject)
        .finally(() => { running.delete(control); next(); });
    }
  }
  window.fetch = (address, options) => {
    if (!options || typeof options.body !== "string" || !options.body.includes('"data-url"')) { return send(address, options); }
    return new Promise((resolve, reject) => { waiting.push({ address, options, resolve, reject }); next(); });
  };
  function drop() {
    waiting.splice(0).forEach((request) => request.resolve(new Response(null, { status: NOT_NEEDED })));
    running.forEach((control) => control.abort());
  }
  window.footprint_requests = { drop: drop };
})();
