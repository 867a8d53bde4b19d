// A button that copies a piece of Python; the text can be selected without it.
"use strict";

for (const text of document.querySelectorAll("pre.python")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain copy";
  button.textContent = "Copy Python";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.innerText.trim() + "\n");
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy Python"; }, 2000);
  });
  text.after(button);
}
