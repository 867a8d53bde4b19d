// A signal to be looked into: contrast, zoom, places of a scan, the cursor of a spectrum. The page does all of it with
// links and forms as well; here the same addresses are asked for without leaving it.
"use strict";

(() => {
  const viewer = document.querySelector(".viewer");
  if (!viewer) return;
  const image = viewer.querySelector("img.drawing");
  const stage = viewer.querySelector(".view");
  const kind = viewer.dataset.kind;
  const whole = [Number(viewer.dataset.rows), Number(viewer.dataset.columns)];
  const scan = viewer.dataset.scan.split(",").map(Number);
  const zooms = viewer.querySelectorAll("[data-way]");
  const asked = new URL(image.src).searchParams;
  const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));

  // -- asking for a picture: one at a time, the last wish counts -------------------------------------------------
  let shown = crop();
  let loading = false;
  let wanted = false;

  function show(kept = true) {
    if (kept) {
      const address = new URL(location.href);
      address.search = asked.toString();
      history.replaceState(null, "", address);
      numbers.forget();
    }
    if (loading) { wanted = true; return; }
    loading = true;
    stage.setAttribute("aria-busy", "true");
    const next = new Image();
    const part = crop();
    next.onload = next.onerror = () => {
      image.src = next.src;
      shown = part;
      loading = false;
      preview();
      viewer.dispatchEvent(new Event("shown"));
      if (wanted) { wanted = false; show(false); } else stage.removeAttribute("aria-busy");
    };
    next.src = `${viewer.dataset.drawing}?${asked}`;
  }

  // -- numbers behind the picture --------------------------------------------------------------------------------
  const numbers = {
    known: null,
    forget() { this.known = null; },
    async get(of = "") {
      if (!this.known || of) {
        const query = new URLSearchParams(asked);
        if (of) { query.set("of", of); }
        const answer = fetch(`${viewer.dataset.numbers}?${query}`).then((found) => (found.ok ? found.json() : {}));
        if (of) return answer;
        this.known = answer;
      }
      return this.known;
    },
  };

  // -- zoom: a part of the image as [top, left, rows, columns] ---------------------------------------------------
  function crop() {
    const text = asked.get("crop");
    return text ? text.split(",").map(Number) : [0, 0, ...whole];
  }

  function look(top, left, rows, columns) {
    const size = [rows, columns].map((n, axis) => Math.round(clamp(n, Math.min(16, whole[axis]), whole[axis])));
    const start = [top, left].map((n, axis) => Math.round(clamp(n, 0, whole[axis] - size[axis])));
    if (size[0] === whole[0] && size[1] === whole[1]) asked.delete("crop");
    else asked.set("crop", [...start, ...size].join(","));
    for (const link of zooms) {
      const idle = !asked.has("crop") && link.dataset.way !== "Zoom in";
      if (idle) link.setAttribute("aria-disabled", "true"); else link.removeAttribute("aria-disabled");
    }
    preview();
    show();
  }

  function preview() {  // the old picture moved and enlarged, until the new one is there
    const [top, left, rows, columns] = crop();
    const factor = Math.min(shown[2] / rows, shown[3] / columns);
    const box = image.getBoundingClientRect();
    if (!box.width || String(shown) === String(crop())) { image.style.transform = ""; return; }
    const [width, height] = [image.offsetWidth, image.offsetHeight];
    const across = ((shown[1] - left) / shown[3]) * width * factor;
    const down = ((shown[0] - top) / shown[2]) * height * factor;
    image.style.transform = `translate(${across}px, ${down}px) scale(${factor})`;
  }

  function zoom(factor, across = 0.5, down = 0.5) {
    const [top, left, rows, columns] = crop();
    const size = [rows * factor, columns * factor].map((n, axis) => clamp(n, Math.min(16, whole[axis]), whole[axis]));
    look(top + (rows - size[0]) * down, left + (columns - size[1]) * across, ...size);
  }

  function move(down, across) {
    const [top, left, rows, columns] = crop();
    look(top + down * rows, left + across * columns, rows, columns);
  }

  const ways = {
    "Zoom in": () => zoom(0.5), "Zoom out": () => zoom(2), "Whole image": () => look(0, 0, ...whole),
    "Left": () => move(0, -0.5), "Right": () => move(0, 0.5), "Up": () => move(-0.5, 0), "Down": () => move(0.5, 0),
  };
  const keys = {
    "+": "Zoom in", "=": "Zoom in", "-": "Zoom out", "0": "Whole image",
    ArrowLeft: "Left", ArrowRight: "Right", ArrowUp: "Up", ArrowDown: "Down",
  };

  if (zooms.length) {
    for (const link of zooms) {
      link.addEventListener("click", (event) => { event.preventDefault(); ways[link.dataset.way](); });
    }
    stage.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      ways[keys[event.key]]();
    });
    stage.addEventListener("wheel", (event) => {
      const box = image.getBoundingClientRect();
      event.preventDefault();
      zoom(event.deltaY < 0 ? 0.8 : 1.25, clamp((event.clientX - box.left) / box.width, 0, 1),
        clamp((event.clientY - box.top) / box.height, 0, 1));
    }, { passive: false });
    let grip = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.button || !asked.has("crop")) return;
      grip = { x: event.clientX, y: event.clientY, from: crop(), width: image.offsetWidth, height: image.offsetHeight };
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const [top, left, rows, columns] = grip.from;
      look(top - ((event.clientY - grip.y) / grip.height) * rows, left - ((event.clientX - grip.x) / grip.width) * columns,
        rows, columns);
    });
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { grip = null; });
    image.draggable = false;
  }

  // -- contrast ---------------------------------------------------------------------------------------------------
  const contrast = viewer.querySelector(".contrast form");
  if (contrast) {
    const pictures = () => {  // the contrast of a map of spectra is that of the map
      if (kind === "scan" && !viewer.dataset.pattern) showMap(); else show();
    };
    const tell = () => {
      for (const field of contrast.querySelectorAll("input[type=range]")) {
        field.nextElementSibling.textContent = field.name === "gamma" ? field.value : `${field.value} %`;
      }
    };
    const take = (event) => {
      const field = event.target;
      const byShare = field.name === "black" || field.name === "white";
      for (const other of byShare ? ["low", "high"] : []) { contrast.elements[other].value = ""; asked.delete(other); }
      for (const name of ["black", "white", "low", "high", "gamma"]) {
        const own = contrast.elements[name];
        if (own === field || (byShare && (name === "black" || name === "white"))) {
          if (own.value === "") asked.delete(name); else asked.set(name, own.value);
        }
      }
      tell();
      pictures();
    };
    contrast.addEventListener("input", take);
    contrast.querySelector("button").hidden = true;
    tell();
    const box = contrast.closest("details");
    const draw = async () => {
      if (!box.open) return;
      const found = await numbers.get(kind === "scan" && !viewer.dataset.pattern ? "map" : "");
      histogram(box.querySelector(".histogram"), found.histogram, found.percentiles);
    };
    box.addEventListener("toggle", draw);
    viewer.addEventListener("shown", draw);
    draw();
  }

  function histogram(place, found, percentiles) {
    if (!found || !found.counts) { place.replaceChildren(); return; }
    const most = Math.log1p(Math.max(...found.counts)) || 1;
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawn.setAttribute("viewBox", `0 0 ${found.counts.length} 20`);
    drawn.setAttribute("preserveAspectRatio", "none");
    drawn.setAttribute("role", "img");
    const text = (value) => Number(value.toPrecision(4)).toString();
    drawn.setAttribute("aria-label",
      `How the values are spread: half are below ${text(percentiles[50])}, one in a hundred above ${text(percentiles[99])}`);
    found.counts.forEach((count, at) => {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = (20 * Math.log1p(count)) / most;
      for (const [name, value] of Object.entries({ x: at, y: 20 - height, width: 0.9, height })) bar.setAttribute(name, value);
      drawn.append(bar);
    });
    const ends = document.createElement("p");
    ends.className = "soft";
    ends.textContent = `${text(found.range[0])} to ${text(found.range[1])}, counts logarithmic`;
    place.replaceChildren(drawn, ends);
  }

  // -- a place of a scan, or a frame of a stack -------------------------------------------------------------------
  const placeForm = viewer.querySelector("form.place");
  const map = viewer.querySelector(".map-picture");

  function goTo(place, kept) {
    place.forEach((n, axis) => asked.set(["row", "column"][axis], clamp(n, 0, scan[axis] - 1)));
    show(kept);
    mark();
    const caption = viewer.querySelector("figcaption bdi");
    if (caption.nextSibling) caption.nextSibling.textContent = `, at ${place.join(", ")}`;
    else caption.after(`, at ${place.join(", ")}`);
  }

  function mark() {
    const spot = viewer.querySelector(".spot");
    if (!spot) return;
    const [row, column] = [asked.get("row"), asked.get("column")];
    spot.hidden = row === null;
    spot.style.left = `${((Number(column) + 0.5) / scan[1]) * map.offsetWidth}px`;
    spot.style.top = `${((Number(row) + 0.5) / scan[0]) * map.offsetHeight}px`;
  }

  function showMap() {
    const query = new URLSearchParams(asked);
    for (const [name, value] of Object.entries({ of: "map", size: "320" })) query.set(name, value);
    for (const name of ["row", "column", "crop"]) query.delete(name);
    map.src = `${viewer.dataset.drawing}?${query}`;
    numbers.forget();
    viewer.dispatchEvent(new Event("shown"));
  }

  if (placeForm) {
    const fields = ["row", "column"].map((name) => placeForm.elements[name]).filter(Boolean);
    const current = () => fields.map((field) => Number(field.value));
    placeForm.addEventListener("input", () => goTo(current(), true));
    placeForm.addEventListener("submit", (event) => { event.preventDefault(); goTo(current(), true); });
    if (map) {
      const spot = document.createElement("span");
      spot.className = "spot";
      map.after(spot);
      map.addEventListener("load", mark);
      mark();
      const under = (event) => {
        const box = map.getBoundingClientRect();
        return [
          clamp(Math.floor(((event.clientY - box.top) / box.height) * scan[0]), 0, scan[0] - 1),
          clamp(Math.floor(((event.clientX - box.left) / box.width) * scan[1]), 0, scan[1] - 1),
        ];
      };
      const take = (place, kept) => {
        if (String(place) === String([asked.get("row"), asked.get("column")]) && !kept) return;
        goTo(place, kept);
        fields.forEach((field, axis) => { field.value = place[axis]; });
      };
      map.addEventListener("pointermove", (event) => take(under(event), false));
      map.addEventListener("click", (event) => {
        event.preventDefault();
        if (event.detail) take(under(event), true);  // by keyboard the middle would be meant
      });
      map.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        take(current().map((n, axis) => clamp(n + step[axis], 0, scan[axis] - 1)), true);
      });
    }
  }

  // -- the cursor of a curve --------------------------------------------------------------------------------------
  const tool = viewer.querySelector(".cursor-tool");
  if (tool) {
    const [left, right] = [Number(tool.dataset.left), Number(tool.dataset.right)];
    const line = document.createElement("span");
    line.className = "cursor";
    line.hidden = true;
    stage.append(line);
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: 1, value: 0, className: "cursor-slider" });
    slider.setAttribute("aria-label", "Cursor along the curve");
    const told = document.createElement("output");
    told.textContent = "Move over the curve: energy and counts are told here.";
    tool.append(slider, told);
    const put = async (at) => {
      const { axes, values } = await numbers.get();
      if (!values) return;
      const place = clamp(Math.round(at * (values.length - 1)), 0, values.length - 1);
      const [axis] = axes;
      slider.max = values.length - 1;
      slider.value = place;
      line.hidden = false;
      line.style.left = `${image.offsetLeft + image.offsetWidth * (left + (right - left) * (values.length > 1 ? place / (values.length - 1) : 0))}px`;
      const position = Number((axis.offset + axis.scale * place).toPrecision(6));
      const text = `${axis.name || (axis.unit ? "x" : "channel")} ${position}${axis.unit ? ` ${axis.unit}` : ""}: ${values[place]}`;
      told.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    };
    numbers.get().then(({ values }) => { if (values) slider.max = values.length - 1; });
    stage.addEventListener("pointermove", (event) => {
      const box = image.getBoundingClientRect();
      put(((event.clientX - box.left) / box.width - left) / (right - left));
    });
    slider.addEventListener("input", () => put(Number(slider.value) / Math.max(1, Number(slider.max))));
    slider.addEventListener("keydown", (event) => event.stopPropagation());
    viewer.addEventListener("shown", () => { if (!line.hidden) put(Number(slider.value) / Math.max(1, Number(slider.max))); });
  }
})();
