// Uploads with progress, a stop button, and folders that are dropped on the form. Without it the form is sent plainly.
"use strict";

const upload = document.getElementById("upload");
const shown = upload.querySelector("progress");
const said = upload.querySelector(".words");
const stop = upload.querySelector(".stop");

function amount(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (bytes >= 1000 && power < units.length - 1) { bytes /= 1000; power += 1; }
  return `${power ? bytes.toPrecision(3) : bytes} ${units[power]}`;
}

function send(files) {
  const total = files.reduce((sum, [file]) => sum + file.size, 0);
  if (!files.length) { said.textContent = "Choose a folder or files first."; return; }
  if (total > Number(upload.dataset.room)) {
    said.textContent = `These files are ${amount(total)}, and there is room for ${amount(Number(upload.dataset.room))}. Choose the folder on this machine above instead.`;
    return;
  }
  const data = new FormData();
  data.append("form_word", upload.elements.form_word.value);
  for (const [file, path] of files) {
    data.append("modified", String(file.lastModified));
    data.append("files", file, path);
  }
  const request = new XMLHttpRequest();
  request.open("POST", upload.action);
  request.upload.onprogress = (event) => {
    shown.value = event.total ? event.loaded / event.total : 0;
    said.textContent = event.loaded < event.total ? `${amount(event.loaded)} of ${amount(event.total)}` : "Looking at what came …";
  };
  request.onload = () => {
    if (request.status < 400) { location.assign(request.responseURL); return; }
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    ended([...page.querySelectorAll("main h1, main p:not(:last-child)")].map((one) => one.textContent).join(" "));
  };
  request.onerror = () => ended("The upload broke off; nothing was kept. Send it again.");
  request.onabort = () => ended("Stopped; nothing was kept.");
  stop.onclick = () => request.abort();
  shown.hidden = stop.hidden = false;
  request.send(data);
}

function ended(words) {
  shown.hidden = stop.hidden = true;
  said.textContent = words;
}

upload.addEventListener("submit", (event) => {
  event.preventDefault();
  const inputs = [...upload.querySelectorAll("input[type=file]")];
  send(inputs.flatMap((input) => [...input.files]).map((file) => [file, file.webkitRelativePath || file.name]));
});

// What is dropped may be a folder: its files are asked for one after the other, as the browser gives them.
async function inside(entry) {
  if (entry.isFile) {
    const file = await new Promise((found, failed) => entry.file(found, failed));
    return [[file, entry.fullPath.replace(/^\//, "")]];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!some.length) return files;
    for (const one of some) files.push(...await inside(one));
  }
}

upload.addEventListener("dragover", (event) => event.preventDefault());
upload.addEventListener("drop", async (event) => {
  event.preventDefault();
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  send((await Promise.all(entries.map(inside))).flat());
});
