// How far a job is, as the server tells it; when it has ended, the page is loaded anew and says how.
"use strict";

const job = document.getElementById("job");
const bar = job.querySelector("progress");
const words = job.querySelector(".words");
const events = new EventSource(job.dataset.events);
events.onmessage = (event) => {
  const told = JSON.parse(event.data);
  if (told.state !== "running") {
    events.close();
    location.reload();
    return;
  }
  words.textContent = told.words;
  if (told.share === null) bar.removeAttribute("value");
  else bar.value = told.share;
};
