// Export of a card as SVG or PNG: as displayed, on white, with title, period, source, licence and date.
// The browser builds it from the elements of the card: boxes, texts and drawings become SVG elements; no server call.
(function () {
  "use strict";
  const NS = "http://www.w3.org/2000/svg", MARGIN = 32;
  const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-family", "text-anchor", "paint-order", "vector-effect"];
  function make(name, attributes, words) {
    const node = document.createElementNS(NS, name);
    Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
    if (words !== undefined) { node.textContent = words; }
    return node;
  }
  function visible(style) { return style.display !== "none" && style.visibility !== "hidden" && style.opacity !== "0" && style.clipPath === "none"; }
  function clear(colour) { return colour === "transparent" || /, 0\)$/.test(colour); }
  function styled(from, to) {
    const style = getComputedStyle(from);
    if (from instanceof SVGElement && from.tagName !== "svg") { KEPT.forEach((name) => { const value = style.getPropertyValue(name); if (value) { to.setAttribute(name, value); } }); }
    to.removeAttribute("style"); to.removeAttribute("class");
    Array.from(from.children).forEach((child, n) => styled(child, to.children[n]));
  }
  function drawing(svg, base, out) {
    const box = svg.getBoundingClientRect(), copy = svg.cloneNode(true);
    styled(svg, copy);
    copy.querySelectorAll(".hoverlayer, .infolayer > .g-gtitle:empty").forEach((node) => node.remove());
    copy.setAttribute("x", box.left - base.left); copy.setAttribute("y", box.top - base.top);
    copy.setAttribute("width", box.width); copy.setAttribute("height", box.height); copy.setAttribute("overflow", "visible");
    out.appendChild(copy);
  }
  function boxed(element, style, base, out) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) { return; }
    const at = { x: box.left - base.left, y: box.top - base.top, width: box.width, height: box.height };
    const round = style.borderTopLeftRadius === "50%" ? { rx: box.width / 2, ry: box.height / 2 } : {};
    const border = parseFloat(style.borderLeftWidth) || 0, outline = style.outlineStyle !== "none" ? parseFloat(style.outlineWidth) : 0;
    const around = style.borderTopStyle !== "none" && parseFloat(style.borderTopWidth) > 0 && border > 0;
    if (style.backgroundImage.startsWith("repeating-linear-gradient")) {
      const ink = style.borderLeftWidth !== "0px" ? style.borderLeftColor : style.outlineColor;
      for (let x = -box.height; x < box.width; x += 5) {
        const a = Math.max(x, 0), b = Math.min(x + box.height, box.width);
        out.appendChild(make("line", { x1: at.x + a, y1: at.y + box.height - (a - x), x2: at.x + b, y2: at.y + box.height - (b - x), stroke: ink, "stroke-width": 1.6 }));
      }
      out.appendChild(make("rect", { ...at, fill: "none", stroke: ink }));
    } else if (style.backgroundImage.startsWith("linear-gradient")) {
      out.appendChild(make("path", { d: `M${at.x} ${at.y + at.height}L${at.x + at.width} ${at.y}V${at.y + at.height}Z`, fill: style.borderLeftColor }));
    } else if (!clear(style.backgroundColor)) { out.appendChild(make("rect", { ...at, ...round, fill: style.backgroundColor })); }
    if (around || outline) {
      const dashed = ["dashed", "dotted"].includes(around ? style.borderLeftStyle : style.outlineStyle) ? { "stroke-dasharray": "2 2" } : {};
      out.appendChild(make("rect", { ...at, ...round, ...dashed, fill: "none", stroke: around ? style.borderLeftColor : style.outlineColor, "stroke-width": around ? border : outline }));
    } else {
      [["Left", 0, 0, 0, 1], ["Right", 1, 0, 1, 1], ["Top", 0, 0, 1, 0], ["Bottom", 0, 1, 1, 1]].forEach(([side, x1, y1, x2, y2]) => {
        const width = parseFloat(style[`border${side}Width`]);
        if (width && style[`border${side}Style`] !== "none" && !clear(style[`border${side}Color`])) {
          out.appendChild(make("line", { x1: at.x + x1 * at.width, y1: at.y + y1 * at.height, x2: at.x + x2 * at.width, y2: at.y + y2 * at.height, stroke: style[`border${side}Color`], "stroke-width": width }));
        }
      });
    }
  }
  function words(node, base, out) {
    const text = node.textContent.trim(), style = getComputedStyle(node.parentElement);
    if (!text) { return; }
    const range = document.createRange();
    let begin = 0, top = null;
    const line = (from, to) => {
      const said = node.textContent.slice(from, to).trim();
      if (!said) { return; }
      range.setStart(node, from); range.setEnd(node, to);
      const box = range.getBoundingClientRect();
      out.appendChild(make("text", { x: box.left - base.left, y: box.top - base.top + box.height * 0.76, fill: style.color, "font-size": style.fontSize, "font-weight": style.fontWeight, "font-family": style.fontFamily }, said));
    };
    for (let n = 0; n < node.length; n += 1) {
      range.setStart(node, n); range.setEnd(node, n + 1);
      const box = range.getBoundingClientRect();
      if (!box.width) { continue; }
      if (top !== null && box.top > top + 4) { line(begin, n); begin = n; }
      top = box.top;
    }
    line(begin, node.length);
  }
  function walk(element, base, out) {
    const style = getComputedStyle(element);
    if (!visible(style)) { return; }
    if (element.tagName.toLowerCase() === "svg") { drawing(element, base, out); return; }
    boxed(element, style, base, out);
    const after = getComputedStyle(element, "::after");
    if (element.matches(".whisker, .ruler-band")) {
      const box = element.getBoundingClientRect();
      out.appendChild(make("rect", { x: box.left - base.left, y: box.top - base.top + parseFloat(after.top), width: box.width, height: 1.4, fill: after.backgroundColor }));
    }
    element.childNodes.forEach((child) => {
      if (child.nodeType === Node.TEXT_NODE) { words(child, base, out); } else if (child.nodeType === Node.ELEMENT_NODE && !child.matches(".acts, .button")) { walk(child, base, out); }
    });
  }
  function wrapped(text, most) {
    return text.split(" ").reduce((lines, word) => {
      const last = lines[lines.length - 1];
      if ((last + " " + word).length > most) { lines.push(word); } else { lines[lines.length - 1] = (last + " " + word).trim(); }
      return lines;
    }, [""]);
  }
  function picture(card) {
    const root = document.documentElement, theme = root.getAttribute("data-theme");
    root.setAttribute("data-theme", "light");
    root.style.setProperty("--paper", "#FFFFFF");
    try {
      const base = card.getBoundingClientRect(), footer = document.querySelector(".page-footer"), body = make("g", { transform: `translate(${MARGIN} ${MARGIN})` });
      walk(card, base, body);
      const lines = wrapped(`${footer.dataset.burn} ${new URL(document.querySelector("[data-copy]").dataset.copy, location.href).href}`, Math.floor(base.width / 6.4));
      const width = Math.ceil(base.width + 2 * MARGIN), height = Math.ceil(base.height + 2 * MARGIN + 18 * lines.length);
      const svg = make("svg", { xmlns: NS, width: width, height: height, viewBox: `0 0 ${width} ${height}`, role: "img" });
      svg.appendChild(make("title", {}, card.querySelector("h2").textContent));
      svg.appendChild(make("rect", { width: width, height: height, fill: "#FFFFFF" }));
      svg.appendChild(body);
      lines.forEach((line, n) => svg.appendChild(make("text", { x: MARGIN, y: base.height + MARGIN + 20 + 18 * n, "font-size": 12.5, "font-family": "'Source Sans 3', Arial, sans-serif", fill: "#626B79" }, line)));
      if (footer.dataset.demo) {
        svg.appendChild(make("text", { x: width / 2, y: height / 2, transform: `rotate(-24 ${width / 2} ${height / 2})`, "text-anchor": "middle", "font-size": Math.min(width / 9, 84), "font-weight": 600, "font-family": "'Source Sans 3', Arial, sans-serif", fill: "#16202E", "fill-opacity": 0.12 }, footer.dataset.demo));
      }
      return { text: new XMLSerializer().serializeToString(svg), width: width, height: height };
    } finally {
      root.style.removeProperty("--paper");
      if (theme === null) { root.removeAttribute("data-theme"); } else { root.setAttribute("data-theme", theme); }
    }
  }
  function save(blob, name) {
    const link = document.createElement("a"), address = URL.createObjectURL(blob);
    link.href = address; link.download = name;
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(address), 10000);
  }
  function named(card, form) {
    const words = card.querySelector("h2").textContent.normalize("NFD").replace(/[^\w]+/g, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 60);
    return `footprint-${words}.${form}`;
  }
  function take(card, form) {
    const made = picture(card);
    const blob = new Blob([made.text], { type: "image/svg+xml" });
    if (form === "svg") { save(blob, named(card, form)); return; }
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * made.width; canvas.height = 2 * made.height;
      const pen = canvas.getContext("2d");
      pen.scale(2, 2); pen.drawImage(image, 0, 0);
      canvas.toBlob((png) => save(png, named(card, form)), "image/png");
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(made.text);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button[data-picture]");
    if (button) { button.closest("details").removeAttribute("open"); take(button.closest(".block"), button.dataset.picture); }
  });
  window.footprint_picture = picture;
})();
