// Whether another node has brought something new: then the page is loaded anew, unless somebody is typing into it.
"use strict";

const fresh = document.getElementById("fresh");
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function watch() {
  for (;;) {
    await pause(document.hidden ? 30 : 2);
    const answer = await fetch("/exchange/seen").catch(() => null);
    if (!answer?.ok) continue;
    const told = await answer.json();
    if (told.seen !== fresh.dataset.seen) {
      const typed = [...document.querySelectorAll("main input[type=text], main textarea")].some((one) => one.value !== one.defaultValue);
      if (!typed) return location.reload();
      fresh.textContent = "Something has changed: reload this page.";
    } else if (!told.asking && fresh.textContent.includes("Asking")) {
      fresh.textContent = "The other nodes were asked just now.";
    }
  }
}

if (fresh) watch();
