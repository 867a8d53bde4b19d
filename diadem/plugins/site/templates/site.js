// A catalogue that is searched where it lies, on a disk or at a server: no request goes anywhere but into this folder.
// Whatever stands in it may be anybody's words: it becomes text, never markup, and no address is made of it.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);
  const { total, searches, sheet, row: wide } = document.body.dataset;
  const NAME = document.title;
  const SHOWN = 48;
  const LISTED = 8;
  const MORE = 200;
  // Facets in the order of a row; the first two are made of its day.
  const FACETS = ["year", "day", "instrument", "sample", "operator", "kind", "verdict"];

  // -- files: a script calls `diadem` with its name and a text ----------------------------------------------------
  const waiting = new Map();
  const scripts = window.trustedTypes
    ? window.trustedTypes.createPolicy("files", { createScriptURL: (name) => `data/${name}.js` })
    : { createScriptURL: (name) => `data/${name}.js` };

  window.diadem = (name, text) => waiting.get(name)(text);

  async function read(name) {
    const text = await new Promise((done, failed) => {
      const script = document.createElement("script");
      waiting.set(name, done);
      script.onload = () => { script.remove(); failed(new Error(`data/${name}.js is damaged`)); };
      script.onerror = () => { script.remove(); failed(new Error(`data/${name}.js cannot be read`)); };
      script.src = scripts.createScriptURL(name);
      document.head.append(script);
    });
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  function failed(error) {
    at("loading").hidden = true;
    at("problem").hidden = false;
    at("problem").replaceChildren(
      `This catalogue cannot be read here: ${error.message}. Copy the whole folder again, or read the plain list: `,
      element("a", { href: "list.html" }, "list.html"),
    );
  }

  // -- elements: texts go in as texts -----------------------------------------------------------------------------
  function element(name, given = {}, ...inside) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
    made.append(...inside);
    return made;
  }

  const bdi = (text) => element("bdi", {}, String(text));

  // A picture on its sheet, in a frame that shows nothing else of it.
  function picture(number, alt) {
    const place = number % sheet;
    const image = element("img", { alt, src: `pictures/${Math.floor(number / sheet) + 1}.webp`, decoding: "async" });
    image.style.width = `${wide * 100}%`;
    image.style.left = `${-100 * (place % wide)}%`;
    image.style.top = `${-100 * Math.floor(place / wide)}%`;
    return element("div", { class: "stage" }, image);
  }

  // -- what is searched -------------------------------------------------------------------------------------------
  const fold = (text) => text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase();
  const rows = [];
  const texts = [];
  const places = new Map();
  const facets = FACETS.map((name) => ({ name, values: [], codes: new Map(), of: [], open: false, all: false }));

  function take(row) {
    const [id, title, day, instruments, samples, operators, kinds, verdicts, words] = row;
    places.set(id, rows.length);
    const values = [day ? [day.slice(0, 4)] : [], day ? [day] : [], instruments, samples, operators, kinds, verdicts];
    facets.forEach((facet, number) => {
      facet.of.push(values[number].map((value) => {
        let code = facet.codes.get(value);
        if (code === undefined) {
          code = facet.values.push(value) - 1;
          facet.codes.set(value, code);
        }
        return code;
      }));
    });
    texts.push(fold([title, id, ...values.flat(), words].join("\n")));
    row[8] = "";
    rows.push(row);
  }

  function parsed(query) {
    const found = { wanted: [], unwanted: [] };
    for (const [, minus, phrase, word] of query.matchAll(/(-?)(?:"([^"]*)"?|(\S+))/g)) {
      const text = fold(phrase ?? word).trim();
      if (text) found[minus ? "unwanted" : "wanted"].push(text);
    }
    return found;
  }

  // Numbers of the rows that are found, and how many there are of each value: of a facet's values as if none were
  // chosen in it, so that a second one can be added.
  function search(state) {
    const { wanted, unwanted } = parsed(state.words);
    const chosen = facets.map((facet, number) => {
      const codes = state.chosen[number].map((value) => facet.codes.get(value) ?? -1);
      return codes.length ? new Set(codes) : null;
    });
    const counts = facets.map((facet) => new Uint32Array(facet.values.length));
    const found = [];
    for (let number = 0; number < rows.length; number += 1) {
      const text = texts[number];
      if (!wanted.every((word) => text.includes(word)) || unwanted.some((word) => text.includes(word))) continue;
      let misses = 0;
      let missed = -1;
      for (let facet = 0; facet < facets.length && misses < 2; facet += 1) {
        if (chosen[facet] && !facets[facet].of[number].some((code) => chosen[facet].has(code))) {
          misses += 1;
          missed = facet;
        }
      }
      if (misses === 0) found.push(number);
      if (misses < 2) {
        facets.forEach((facet, each) => {
          if (misses === 0 || missed === each) for (const code of facet.of[number]) counts[each][code] += 1;
        });
      }
    }
    const day = (number) => rows[number][2];
    const compare = (one, two) => (one < two ? -1 : Number(one > two));
    if (state.order === "new") found.sort((one, two) => compare(day(two), day(one)));
    if (state.order === "old") found.sort((one, two) => compare(day(one), day(two)));
    if (state.order === "title") found.sort((one, two) => compare(fold(rows[one][1]), fold(rows[two][1])));
    return { found, counts };
  }

  // -- what is asked stands in the address, behind # --------------------------------------------------------------
  function asked() {
    const given = new URLSearchParams(location.hash.slice(1));
    return {
      words: given.get("q") ?? "",
      order: given.get("order") ?? "",
      page: Math.max(1, Number(given.get("page")) || 1),
      package: given.get("package") ?? "",
      chosen: FACETS.map((name) => given.getAll(name)),
    };
  }

  function address(state) {
    const given = new URLSearchParams();
    if (state.words) given.set("q", state.words);
    state.chosen.forEach((values, number) => values.forEach((value) => given.append(FACETS[number], value)));
    if (state.order) given.set("order", state.order);
    if (state.page > 1) given.set("page", state.page);
    return `#${given}`;
  }

  // -- the list ---------------------------------------------------------------------------------------------------
  let last = "#";

  function showList() {
    const state = asked();
    const { found, counts } = search(state);
    const pages = Math.max(1, Math.ceil(found.length / SHOWN));
    const page = Math.min(state.page, pages);
    last = address(state);
    document.title = NAME;
    if (at("words").value !== state.words) at("words").value = state.words;
    at("order").value = state.order;
    at("found").textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} sessions`
      + (pages > 1 ? `, page ${page} of ${pages}` : "");
    at("list").replaceChildren(...found.slice((page - 1) * SHOWN, page * SHOWN).map(card));
    const turn = (to, text) => element("a", { href: address({ ...state, page: to }) }, text);
    at("turn").replaceChildren(
      ...(page > 1 ? [turn(page - 1, "Previous page")] : []),
      ...(page < pages ? [turn(page + 1, "Next page")] : []),
    );
    showFilters(state, counts);
  }

  function card(number) {
    const [id, title, day, instruments, samples, operators, , verdicts, , figures, pictured] = rows[number];
    const stage = pictured ? picture(number, "") : element("div", { class: "stage blank", "aria-hidden": "true" }, "–");
    const lines = [[day, ...samples], [...instruments, ...operators], [figures]];
    const doubts = verdicts.filter((one) => one !== "not judged");
    return element("li", { class: "card" }, stage, element(
      "div", { class: "body" },
      element("h2", {}, element("a", { href: `#package=${id}` }, bdi(title))),
      ...lines.map((line) => line.filter(Boolean).join(" · ")).filter(Boolean)
        .map((line) => element("p", { class: "soft" }, bdi(line))),
      ...(doubts.length ? [element("p", { class: "note" }, bdi(doubts.join(", ")))] : []),
    ));
  }

  function showFilters(state, counts) {
    const focused = document.activeElement?.dataset.key;
    const shown = facets.flatMap((facet, number) => {
      const chosen = new Set(state.chosen[number]);
      const codes = facet.values.map((_, code) => code)
        .filter((code) => counts[number][code] || chosen.has(facet.values[code]));
      if (!codes.length || (facet.name === "day" && !state.chosen[0].length && !chosen.size)) return [];
      const dated = facet.name === "year" || facet.name === "day";
      codes.sort((one, two) => chosen.has(facet.values[two]) - chosen.has(facet.values[one])
        || (dated ? 0 : counts[number][two] - counts[number][one])
        || (facet.values[one] < facet.values[two] ? -1 : 1) * (dated ? -1 : 1));
      const some = codes.slice(0, facet.all ? MORE : LISTED);
      return [details(facet, chosen, [
        ...some.map((code) => choice(state, number, facet.values[code], chosen, counts[number][code])),
        ...(some.length < codes.length ? [more(facet, codes.length - some.length)] : []),
      ])];
    });
    at("filters").replaceChildren(...shown);
    if (focused) [...at("filters").querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus();
  }

  function details(facet, chosen, choices) {
    const title = facet.name[0].toUpperCase() + facet.name.slice(1);
    const made = element("details", {}, element("summary", { "data-key": facet.name }, title), element(
      "ul", { "aria-label": title }, ...choices,
    ));
    made.open = facet.open || chosen.size > 0;
    made.addEventListener("toggle", () => { facet.open = made.open; });
    return made;
  }

  function choice(state, number, value, chosen, count) {
    const box = element("input", { type: "checkbox", "data-key": `${number} ${value}` });
    box.checked = chosen.has(value);
    box.addEventListener("change", () => {
      const values = box.checked ? [...chosen, value] : [...chosen].filter((one) => one !== value);
      location.hash = address({ ...state, page: 1, chosen: state.chosen.with(number, values) });
    });
    const counted = element("span", { class: "soft" }, count.toLocaleString("en"));
    return element("li", {}, element("label", {}, box, element("span", {}, bdi(value)), counted));
  }

  function more(facet, count) {
    const text = facet.all ? `and ${count.toLocaleString("en")} more: search for them` : `Show ${count.toLocaleString("en")} more`;
    if (facet.all) return element("li", { class: "soft" }, text);
    const button = element("button", { type: "button", "data-key": `${facet.name} more` }, text);
    button.addEventListener("click", () => { facet.all = true; showList(); });
    return element("li", {}, button);
  }

  // -- one package ------------------------------------------------------------------------------------------------
  const parts = new Map();

  async function showPackage(id) {
    const number = places.get(id);
    const back = element("p", {}, element("a", { href: last }, "Back to the list"));
    if (number === undefined) {
      at("package").replaceChildren(back, element("p", { class: "note" }, "There is no such package in this catalogue."));
      return;
    }
    const part = Math.floor(number / sheet) + 1;
    if (!parts.has(part)) parts.set(part, read(`packages-${part}`));
    const told = (await parts.get(part))[number % sheet];
    if (asked().package !== id) return;
    const title = element("h1", { tabindex: "-1" }, bdi(told.title));
    document.title = told.title;
    at("package").replaceChildren(
      back,
      title,
      ...(told.description ? [element("p", { class: "said" }, bdi(told.description))] : []),
      element("p", {}, "Package ", element("code", {}, told.id)),
      ...(told.place ? [element("p", {}, element("a", { href: told.page }, "Its own page"), " · ",
        element("a", { href: `${told.place}/data/` }, "its files"), ", beside this catalogue")] : []),
      ...(rows[number][10] ? [picture(number, `Preview of ${told.picture}`)] : []),
      ...told.sections.flatMap(([name, head, lines]) => [element("h2", {}, name), table(name, head, lines)]),
      ...(told.datasets.length ? [element("h2", {}, "Datasets"), ...told.datasets.map(dataset)] : []),
      ...(told.more ? [element("p", {}, `And ${told.more.toLocaleString("en")} more, in the package.`)] : []),
    );
    title.focus();
  }

  function table(name, head, lines) {
    const cell = (value, number) => {
      const scope = number === 0 && lines[0].length > 1 ? ["th", { scope: "row" }] : ["td", {}];
      return element(...scope, typeof value === "string" ? bdi(value) : link(value.id));
    };
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, element(
      "table", { class: "list" },
      ...(head.length ? [element("thead", {}, element("tr", {}, ...head.map((one) => element("th", { scope: "col" }, one))))] : []),
      element("tbody", {}, ...lines.map((line) => element("tr", {}, ...line.map(cell)))),
    ));
  }

  function link(id) {
    const number = places.get(id);
    if (number === undefined) return element("code", {}, `diadem:${id.slice(0, 12)}…`);
    return element("a", { href: `#package=${encodeURIComponent(id)}` }, bdi(rows[number][1]));
  }

  function dataset([path, what, values, issues]) {
    const made = element("details", {}, element("summary", {}, bdi(path)), element("p", { class: "soft" }, bdi(what)));
    made.append(...issues.map((issue) => element("p", { class: "note" }, bdi(issue))));
    if (values.length) made.append(table(`Values of ${path}`, [], values));
    return made;
  }

  // -- showing ----------------------------------------------------------------------------------------------------
  function show() {
    const id = asked().package;
    at("name").hidden = at("catalogue").hidden = Boolean(id);
    at("package").hidden = !id;
    if (id) showPackage(id).catch(failed);
    else showList();
  }

  function ask() {
    history.replaceState(null, "", address({ ...asked(), page: 1, words: at("words").value, order: at("order").value }));
    showList();
  }

  async function start() {
    if (!window.DecompressionStream) throw new Error("the browser is older than 2023");
    for (let part = 1; part <= Number(searches); part += 1) (await read(`search-${part}`)).forEach(take);
    if (rows.length !== Number(total)) throw new Error(`${rows.length} of ${total} sessions are there`);
    at("loading").hidden = true;
    at("words").addEventListener("input", ask);
    at("order").addEventListener("change", ask);
    at("search").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
    window.addEventListener("hashchange", show);
    facets[0].open = true;
    facets[2].open = true;
    show();
  }

  start().catch(failed);
})();
