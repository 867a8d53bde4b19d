// The metadata of the maker, unfolded and searched in its place. Without this the same links lead to a page of their own.
"use strict";

for (const box of document.querySelectorAll("[data-tree]")) {
  const form = box.previousElementSibling;
  const field = form.elements.find;
  let turn = 0;

  const list = async (address) => {
    const answer = await fetch(address);
    const made = document.createElement("template");
    made.innerHTML = await answer.text();  // of our own templates, which escape whatever they are given
    return answer.ok ? made.content.querySelector("ul") : null;
  };

  const ask = async () => {
    const mine = ++turn;
    const address = new URL(box.dataset.tree, location.href);
    if (field.value.trim()) address.searchParams.set("find", field.value.trim());
    const found = await list(address);
    if (mine === turn && found) box.replaceChildren(found);
  };

  let pause = 0;
  field.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(ask, 200); });
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });

  box.addEventListener("click", async (event) => {
    const link = event.target.closest("a");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!link.dataset.branch) { ask(); return; }
    const line = link.closest("li");
    const below = line.querySelector(":scope > ul");
    if (below) {
      below.hidden = !below.hidden;
      link.setAttribute("aria-expanded", String(!below.hidden));
      return;
    }
    const found = await list(link.dataset.branch);
    if (found) { line.append(found); link.setAttribute("aria-expanded", "true"); }
  });
}
