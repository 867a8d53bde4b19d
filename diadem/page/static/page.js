// Small conveniences; every page reads and works without them.
"use strict";

// "/" goes to the search box, as on many sites.
document.addEventListener("keydown", (event) => {
  const inText = event.target.matches("input, textarea, select");
  if (event.key === "/" && !inText && !event.ctrlKey && !event.metaKey) {
    document.querySelector(".ask input")?.focus();
    event.preventDefault();
  }
  if (!inText && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
    document.querySelector(event.key === "ArrowLeft" ? "a[rel=prev]" : "a[rel=next]")?.click();
  }
});
