// Dash component that inserts SVG text into the page, so that it takes the colours of the theme.
(function () {
  "use strict";
  function Drawing(props) {
    return window.React.createElement("div", {
      id: props.id, className: props.className, role: props.label ? "img" : undefined, "aria-label": props.label || undefined,
      "aria-hidden": props.label ? undefined : true, dangerouslySetInnerHTML: { __html: props.svg },
    });
  }
  window.footprint_pages = { Drawing: Drawing };
})();
