"use strict";
/* The explorer of a fit. No framework, no request in a file; texts only ever enter the page as texts. */
(() => {
  const boot = JSON.parse(document.getElementById("data").textContent);
  const S = boot.summary, REMOTE = Boolean(boot.remote);
  const $ = (id) => document.getElementById(id);

  // -- small things ------------------------------------------------------------------------------------

  /** An element. Children are elements or texts; attributes that are null are left out, functions listen. */
  function h(name, attributes, ...children) {
    const [element, ...classes] = name.split(".");
    const node = document.createElement(element || "div");
    if (classes.length) node.className = classes.join(" ");
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (typeof value === "function") node.addEventListener(key, value);
      else if (key === "vars") for (const [name_, v] of Object.entries(value)) node.style.setProperty(name_, v);
      else node.setAttribute(key, value === true ? "" : value);
    }
    for (const child of children.flat(3)) if (child !== null && child !== undefined) node.append(child);
    return node;
  }
  const number = new Intl.NumberFormat("en").format;
  const percent = (x, digits = 1) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(digits)} %`);
  const short = (x, digits = 2) => (x === null || x === undefined ? "–" : x.toFixed(digits));
  const className = (c) => (c < 0 ? "–" : S.classes[c]);
  const teacherName = (t) => (t < 0 ? "the teachers’ vote" : S.teachers[t].name);
  const link = (view, query, ...children) => h("a", { href: address(view, query) }, ...children);

  function table(caption, header, rows, { words = [0], wide = false } = {}) {
    const at = (i) => (words.includes(i) ? "words" : null);
    return h(".scroll", { tabindex: "0", role: "region", "aria-label": caption },
      h(wide ? "table.wide" : "table", null,
        h("caption", null, caption),
        h("thead", null, h("tr", null, header.map((cell, i) => h("th", { scope: "col", class: at(i) }, cell)))),
        h("tbody", null, rows.map((row) => h("tr", null, row.map((cell, i) =>
          i === 0 ? h("th", { scope: "row", class: at(i) }, cell)
            : cell instanceof Element && cell.tagName === "TD" ? cell : h("td", { class: at(i) }, cell)))))));
  }

  // -- where we are: the address holds the view and what is asked for ------------------------------------

  const EMPTY = { q: "", answer: -1, teacher: -1, relation: "", says: -1, against: -1, instead: -1, kept: "", reason: -1, level: -1,
    low: 0, high: 100, sort: "look" };
  const VIEWS = {
    overview: ["Overview", {}], look: ["Look first", {}], samples: ["Samples", { sort: S.ranked ? "look" : "file" }],
    teachers: ["Teachers", {}], rejected: ["Rejected", { kept: "rejected" }],
    disagreements: ["Disagreements", { relation: "differs" }], levels: ["Levels", {}],
  };
  const preset = (view) => ({ ...EMPTY, sort: S.ranked ? "look" : "low", ...VIEWS[view][1] });

  function address(view, query = {}) {
    const base = preset(view), parts = new URLSearchParams();
    for (const [key, value] of Object.entries({ ...base, ...query })) if (value !== base[key]) parts.set(key, value);
    const text = parts.toString();
    return `#${view}${text ? "?" + text : ""}`;
  }
  function whereWeAre() {
    const [name, text] = location.hash.slice(1).split("?");
    const view = Object.hasOwn(VIEWS, name) ? name : "overview", query = preset(view);
    for (const [key, value] of new URLSearchParams(text || "")) {
      if (!Object.hasOwn(EMPTY, key)) continue;
      if (typeof EMPTY[key] !== "number") query[key] = value;
      else if (Number.isInteger(Number(value))) query[key] = Number(value);
    }
    return { view, query };
  }

  // -- the samples: in the page, or fetched --------------------------------------------------------------

  // A file holds so many samples at most; the summary is of all.
  const n = REMOTE ? S.n : boot.ids.length, LEVELS = S.levels.length, last = LEVELS - 1;
  // The classes that a teacher can be asked about: of its specialty, and named by it somewhere.
  const FIELD = S.teachers.map((t) => new Set(t.field));
  const LEVEL_OF = S.teachers.map((t) => S.levels.findIndex((at) => at.level === t.level));
  const covers = (t, answer) => answer >= 0 && FIELD[t].has(answer);
  const RELATIONS = { "": "any", spoke: "spoke", abstained: "abstained", agrees: "agrees with the answer",
    differs: "differs from the answer", believed: "was believed" };

  function insideSource() {
    const KINDS = { i1: Int8Array, i2: Int16Array, i4: Int32Array, u2: Uint16Array };
    const C = {};
    for (const [name, { kind, data }] of Object.entries(boot.columns)) {
      const text = atob(data), bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      C[name] = new KINDS[kind](bytes.buffer);
    }
    const lower = boot.ids.map((id, i) => (boot.texts ? `${id}\n${boot.texts[i]}` : id).toLowerCase());
    const order = {
      file: Int32Array.from({ length: n }, (_, i) => i),
      look: new Int32Array(n), low: null, high: null,
    };
    if (S.ranked) for (let i = 0; i < n; i++) order.look[C.rank[i]] = i;
    else order.look = order.file;
    order.low = order.file.slice().sort((a, b) => C.confidence[a] - C.confidence[b] || a - b);
    order.high = order.file.slice().sort((a, b) => C.confidence[b] - C.confidence[a] || a - b);
    const share = (x) => (x === 65535 ? null : x / 1e4);

    /** A test of one sample for a query: only what is asked for is looked at. */
    function test(query) {
      const tests = [], level = (query.level < 0 ? LEVELS - 1 : query.level) * n;
      const part = query.q.toLowerCase();
      if (query.answer >= 0) tests.push((i) => C.answer[i] === query.answer);
      if (query.low > 0 || query.high < 100) {
        const low = query.low * 100, high = query.high * 100;
        tests.push((i) => C.confidence[i] >= low && C.confidence[i] <= high);
      }
      if (query.kept || query.reason >= 0) {
        const kept = query.kept === "kept" ? 1 : 0;
        tests.push((i) => C.kept[level + i] === kept);
        if (query.reason >= 0) tests.push((i) => C.reason[level + i] === query.reason);
      }
      if (query.relation || Math.max(query.says, query.against, query.instead) >= 0) {
        const columns = query.teacher >= 0 ? [query.teacher] : S.teachers.map((_, t) => t);
        const one = (i, t) => {
          const said = C.said[t * n + i], answer = C.answer[i], k = LEVEL_OF[t];
          if (query.says >= 0 && said !== query.says) return false;
          if (query.against >= 0) {
            const other = C.said[query.against * n + i];
            if (said < 0 || other < 0 || said === other || !covers(t, answer) || !covers(query.against, answer)) return false;
          }
          if (query.instead >= 0) {
            if (k < 1 || C.believed[k * n + i] !== t || C.believed[(k - 1) * n + i] !== query.instead) return false;
            const before = C.annotation[(k - 1) * n + i], now = C.annotation[k * n + i];
            if (before < 0 || now < 0 || before === now) return false;
          }
          switch (query.relation) {
            case "": return true;
            case "abstained": return said < 0;
            case "believed": return k >= 0 && C.believed[k * n + i] === t;
            case "spoke": return said >= 0;
            default: return said >= 0 && covers(t, answer) && (said === answer) === (query.relation === "agrees");
          }
        };
        tests.push((i) => columns.some((t) => one(i, t)));
      }
      if (part) tests.push((i) => lower[i].includes(part));
      return (i) => tests.every((f) => f(i));
    }
    function row(i) {
      return {
        i, id: boot.ids[i], text: boot.texts ? boot.texts[i] : undefined, answer: C.answer[i],
        confidence: share(C.confidence[i]), second: C.second[i], secondConfidence: share(C.secondConfidence[i]),
        rank: C.rank[i], doubt: share(C.doubt[i]), dispute: share(C.dispute[i]), influence: share(C.influence[i]),
        said: S.teachers.map((_, t) => C.said[t * n + i]),
        support: S.teachers.map((_, t) => share(C.support[t * n + i])),
        levels: S.levels.map((_, k) => ({
          believed: C.believed[k * n + i], annotation: C.annotation[k * n + i], kept: C.kept[k * n + i] === 1,
          reason: C.reason[k * n + i], probability: share(C.probability[k * n + i]), answer: C.levelAnswer[k * n + i],
        })),
      };
    }
    return {
      find(query) {
        const fits = test(query), found = (order[query.sort] || order.look).filter(fits);
        return { total: found.length, get: (place) => row(found[place]), ready: null };
      },
    };
  }

  function fetchedSource() {
    const PAGE = 200;
    return {
      /** Rows that aren't there yet are null; `ready` is called when some have come. */
      find(query, ready) {
        const pages = new Map(), result = { total: null, get, error: null };
        function ask(page) {
          pages.set(page, null);
          const parts = new URLSearchParams({ offset: page * PAGE, limit: PAGE });
          for (const [key, value] of Object.entries(query)) if (value !== EMPTY[key]) parts.set(key, value);
          fetch(`/api/samples?${parts}`).then((answer) => answer.json()).then((found) => {
            if (found.error) throw new Error(found.error);
            pages.set(page, found.rows);
            result.total = found.total;
            ready();
          }).catch((error) => {
            pages.delete(page);
            result.error = `The samples could not be had: ${error.message}`;
            ready();
          });
        }
        function get(place) {
          const page = Math.floor(place / PAGE);
          if (!pages.has(page)) ask(page);
          const rows = pages.get(page);
          return rows ? rows[place % PAGE] : null;
        }
        ask(0);
        return result;
      },
    };
  }
  const source = REMOTE ? fetchedSource() : insideSource();

  // -- pictures ------------------------------------------------------------------------------------------

  const PICTURES = Boolean(boot.sheets || boot.pictures), TEXTS = Boolean(boot.texts || boot.textual);
  const sheetAddress = new Map();
  function sheet(place) {
    if (!sheetAddress.has(place)) {
      const text = atob($(`sheet-${place}`).textContent), bytes = new Uint8Array(text.length);
      for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
      sheetAddress.set(place, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
    }
    return sheetAddress.get(place);
  }
  function picture(row, side) {
    if (boot.pictures) return h("img.picture", { src: `/image/${row.i}`, alt: `Sample ${row.id}`, loading: "lazy", width: side, height: side });
    const { across } = boot.sheets, each = across * across, within = row.i % each;
    const node = h("span.picture", { role: "img", "aria-label": `Picture of sample ${row.id}` });
    const show = () => { node.style.backgroundImage = `url("${sheet(Math.floor(row.i / each))}")`; };
    Object.assign(node.style, {
      width: `${side}px`, height: `${side}px`, backgroundSize: `${across * side}px auto`,
      backgroundPosition: `-${(within % across) * side}px -${Math.floor(within / across) * side}px`,
    });
    // Sheets stand at the end of the file, and may have been read in part, or not at all.
    if (document.readyState !== "loading") show();
    else addEventListener("DOMContentLoaded", show, { once: true });
    return node;
  }

  // -- a list of any length, of which only what is seen is drawn -------------------------------------------

  const ROW = PICTURES ? 52 : TEXTS ? 46 : 32, TALLEST = 12e6;

  const CROWD = S.teachers.length > 16; // of so many, those who abstain are not shown one by one
  const MARK = { agree: "●", differ: "✕", outside: "○", silent: "·" };
  const stance = (row, t) => (row.said[t] < 0 ? "silent" : row.said[t] === row.answer ? "agree" : covers(t, row.answer) ? "differ" : "outside");
  function marks(row) {
    const counts = { agree: 0, differ: 0, outside: 0, silent: 0 };
    const nodes = row.said.map((_, t) => {
      const kind = stance(row, t);
      counts[kind]++;
      return CROWD && kind === "silent" ? null : h(`span.${kind}`, null, MARK[kind]);
    });
    const label = `${counts.agree} agree, ${counts.differ} differ, ${counts.outside} do not know its class, ${counts.silent} abstain`;
    return h("span.marks", { role: "img", "aria-label": label, title: label }, nodes);
  }
  function meter(value, label) {
    return h("span.meter", { vars: { "--part": value === null ? 0 : value }, title: label }, h("span.bar", { "aria-hidden": "true" }), short(value));
  }
  let looked = last; // the level whose fate the list shows
  const COLUMNS = [
    ["sample", "Sample", (row) => h("span.name", null, PICTURES ? picture(row, 44) : null,
      h("span.labels", null, h("span.id", null, row.id), row.text === undefined ? null : h("span.text", null, row.text)))],
    ["answer", "Answer", (row) => h("span.strong", null, className(row.answer))],
    ["confidence", "Confidence", (row) => meter(row.confidence, "confidence of the student")],
    ["teachers", "Teachers", marks],
    ["believed", "Believed", (row) => h("span", null, row.levels[looked].annotation < 0 ? "nobody" : `${className(row.levels[looked].annotation)} (${teacherName(row.levels[looked].believed)})`)],
    ["kept", "Fate", (row) => h(row.levels[looked].kept ? "span" : "span.bad", null, row.levels[looked].kept ? "kept" : "rejected")],
    ["rank", "Look", (row) => (row.rank < 0 ? "–" : number(row.rank + 1))],
  ];

  function makeList(open) {
    const rows = h(".rows", { role: "rowgroup" }), tall = h(".tall", { role: "presentation" }, rows);
    const status = h("p.status", { role: "status", "aria-live": "polite" });
    const head = h(".head.row", { role: "row", "aria-rowindex": "1" },
      COLUMNS.map(([key, title], i) => h(`span.c-${key}`, { role: "columnheader", "aria-colindex": i + 1 }, title)));
    const grid = h(".grid", { role: "grid", tabindex: "0", vars: { "--teachers": S.teachers.length, "--row": `${ROW}px` }, "aria-label": "Samples. Arrow keys move, Enter shows one",
      "aria-colcount": COLUMNS.length }, h("div", { role: "rowgroup" }, head), tall);
    let found = { total: 0, get: () => null }, at = 0, first = 0;

    const height = () => Math.min(found.total * ROW, TALLEST);
    const view = () => Math.max(grid.clientHeight - head.offsetHeight, ROW);
    function draw() {
      const total = found.total || 0, many = Math.ceil(view() / ROW) + 1, top = grid.scrollTop;
      const capped = total * ROW > TALLEST;
      // Browsers draw nothing taller than some ten million pixels: beyond, the bar's place is a share of all rows.
      first = capped ? Math.round((top / Math.max(height() - view(), 1)) * (total - many + 1)) : Math.floor(top / ROW);
      first = Math.max(0, Math.min(first, total - many + 1));
      rows.style.transform = `translateY(${capped ? top : first * ROW}px)`;
      const drawn = [];
      for (let place = first; place < Math.min(first + many, total); place++) drawn.push(line(place));
      rows.replaceChildren(...drawn);
      if ($(`row-${at}`)) grid.setAttribute("aria-activedescendant", `row-${at}`);
      else grid.removeAttribute("aria-activedescendant");
    }
    function line(place) {
      const row = found.get(place);
      const node = h(".row", { role: "row", id: `row-${place}`, "aria-rowindex": place + 2, "aria-selected": String(place === at),
        click: () => { select(place); open(row); } });
      if (!row) node.append(h("span.c-sample.soft", { role: "gridcell" }, "…"));
      else node.append(...COLUMNS.map(([key, , show], i) => h(`span.c-${key}`, { role: "gridcell", "aria-colindex": i + 1 }, show(row))));
      return node;
    }
    function select(place) {
      at = Math.max(0, Math.min(place, (found.total || 1) - 1));
      const total = found.total, capped = total * ROW > TALLEST, fit = Math.floor(view() / ROW);
      if (at < first || (!capped && at * ROW < grid.scrollTop)) move(at);
      else if (capped ? at >= first + fit : (at + 1) * ROW > grid.scrollTop + view()) move(at - fit + 1);
      draw();
    }
    function move(to) {
      const total = found.total;
      grid.scrollTop = total * ROW > TALLEST ? (to / Math.max(total - fitting(), 1)) * (height() - view()) : to * ROW;
    }
    const fitting = () => Math.floor(view() / ROW);
    grid.addEventListener("scroll", draw, { passive: true });
    grid.addEventListener("keydown", (event) => {
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: fitting(), PageUp: -fitting(), Home: -Infinity, End: Infinity };
      if (event.key in steps) {
        event.preventDefault();
        const to = at + steps[event.key];
        select(to === Infinity ? found.total - 1 : to === -Infinity ? 0 : to);
      } else if (event.key === "Enter" && found.total) {
        event.preventDefault();
        const row = found.get(at);
        if (row) open(row, true);
      }
    });
    new ResizeObserver(draw).observe(grid);
    return {
      nodes: [status, grid],
      focus: () => grid.focus(),
      show(query) {
        looked = query.level < 0 ? last : query.level;
        const mine = source.find(query, () => { if (mine === found) refresh(false); });
        found = mine;
        refresh(true);
      },
    };
    function refresh(fresh) {
      if (fresh) { at = 0; grid.scrollTop = 0; }
      grid.setAttribute("aria-rowcount", found.total === null ? -1 : found.total + 1);
      tall.style.height = `${height()}px`;
      status.textContent = found.error || (found.total === null ? "Looking …"
        : `${number(found.total)} of ${number(n)} samples${found.total === 1 ? " matches" : " match"}${LEVELS > 1 ? `; believed and fate at level ${S.levels[looked].level}` : ""}${n < S.n ? `. This file holds those most worth a look of ${number(S.n)}; cosup serve shows all` : ""}`);
      draw();
    }
  }

  // -- one sample ----------------------------------------------------------------------------------------

  function showSample(row) {
    const level = (k) => {
      const l = row.levels[k], probability = l.probability === null ? null : ` The student that had not seen it gives that ${short(l.probability)}.`;
      return h("li", null, h("strong", null, `Level ${S.levels[k].level}: `),
        l.annotation < 0 ? "nobody was believed." : [
          `believed ${teacherName(l.believed)}, who ${l.believed < 0 ? "say" : "says"} `, h("b", null, className(l.annotation)), ".", probability, " ",
          l.kept ? "Kept." : h("span.bad", null, `Rejected: ${S.reasons[l.reason]}.`)],
        l.answer < 0 ? null : [" The student then answers ", h("b", null, className(l.answer)), "."]);
    };
    return [
      h("h2", { id: "sample-title", tabindex: "-1" }, `Sample ${row.id}`),
      PICTURES ? picture(row, 160) : null,
      row.text === undefined ? null : h("p.quote", null, row.text),
      row.answer < 0 ? null : h("p", null, "The student answers ", h("b", null, className(row.answer)), ` with confidence ${short(row.confidence)}`,
        row.secondConfidence >= 0.005 ? `; ${className(row.second)} gets ${short(row.secondConfidence)}.` : "."),
      row.rank < 0 ? null : h("p.soft", null, `Place ${number(row.rank + 1)} of ${number(S.n)} in the order in which to look: doubt ${short(row.doubt)}, dispute ${short(row.dispute)}, influence ${short(row.influence)}.`),
      table("What the teachers say (● agrees with the answer, ✕ differs, ○ does not know that class), and how probable the student finds it", ["Teacher", "Level", "Says", "Support"], row.said.map((said, t) => (CROWD && said < 0 ? null : [
        S.teachers[t].name, S.teachers[t].level,
        h(`span.${stance(row, t)}`, null, `${MARK[stance(row, t)]} ${said < 0 ? "abstains" : className(said)}`),
        said < 0 ? "" : meter(row.support[t], "probability that the student gives it"),
      ])).filter(Boolean), { words: [0, 2] }),
      CROWD ? h("p.soft", null, `${row.said.filter((said) => said < 0).length} others abstain.`) : null,
      h("h3", null, "Level by level"), h("ol.steps", null, S.levels.map((_, k) => level(k))),
    ];
  }

  // -- the filters ---------------------------------------------------------------------------------------

  function filters(query, changed) {
    let waiting = 0;
    const set = (key, value, later) => {
      query[key] = value;
      clearTimeout(waiting);
      if (REMOTE && later) waiting = setTimeout(changed, 150);
      else changed();
    };
    const field = (label, control) => h("label.field", null, h("span", null, label), control);
    const select = (key, options) => {
      const node = h("select", { change: () => set(key, typeof EMPTY[key] === "number" ? Number(node.value) : node.value) },
        options.map(([value, text]) => h("option", { value, selected: String(value) === String(query[key]) }, text)));
      return node;
    };
    const bound = (key, label) => {
      const node = h("input", { type: "number", min: "0", max: "100", step: "1", value: query[key], "aria-label": label,
        input: () => { if (node.value !== "" && node.validity.valid) set(key, Math.round(Number(node.value)), true); } });
      return node;
    };
    const classes = [[-1, "any"], ...S.classes.map((name, c) => [c, name])];
    const teachers = S.teachers.map((t, i) => [i, t.name]);
    const search = h("input", { type: "search", id: "search", value: query.q, placeholder: TEXTS ? "id or text" : "id", autocomplete: "off",
      input: () => set("q", search.value, true) });
    return h("form.filters", { role: "search", "aria-label": "Filter the samples", submit: (event) => event.preventDefault() },
      field("Search", search),
      field("Answer", select("answer", classes)),
      field("Teacher", select("teacher", [[-1, "any"], ...teachers])),
      field("… that", select("relation", Object.entries(RELATIONS))),
      field("… says", select("says", classes)),
      field("Fate", select("kept", [["", "any"], ["kept", "kept"], ["rejected", "rejected"]])),
      h("fieldset.field", null, h("legend", null, "Confidence, %"), bound("low", "Least confidence in per cent"), " – ", bound("high", "Greatest confidence in per cent")),
      field("Sort", select("sort", [...(S.ranked ? [["look", "look first"]] : []), ["low", "least confident"], ["high", "most confident"], ["file", "as in the file"]])),
      h("button", { type: "button", click: () => { location.hash = address(whereWeAre().view); if (location.hash === shown) route(); } }, "Clear"),
      h("details.more", { open: Math.max(query.against, query.instead, query.reason, query.level) >= 0 }, h("summary", null, "More"), h(".filters", null,
        S.teachers.length > 1 ? field("The teacher contradicts", select("against", [[-1, "–"], ...teachers])) : null,
        LEVELS > 1 ? field("… was believed in place of", select("instead", [[-1, "–"], ...teachers])) : null,
        S.reasons.length > 1 ? field("Rejected because", select("reason", [[-1, "any"], ...S.reasons.map((r, i) => [i, r]).slice(1)])) : null,
        LEVELS > 1 ? field("Fate at level", select("level", [[-1, "the last"], ...S.levels.map((l, k) => [k, String(l.level)])])) : null)));
  }

  /** The filters, the list and the sample that is open. */
  function browser(view, query) {
    const pane = h("aside.pane", { "aria-label": "The sample that is open", hidden: true });
    const list = makeList((row, focus) => {
      pane.replaceChildren(h("button.close", { type: "button", "aria-label": "Close the sample", click: close }, "Close"), ...showSample(row).filter(Boolean));
      pane.hidden = false;
      pane.scrollTop = 0;
      if (focus) $("sample-title").focus();
    });
    function close() { pane.hidden = true; list.focus(); }
    pane.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
    const form = filters(query, () => {
      performance.mark("asked");
      list.show(query);
      performance.measure("filter", "asked");
      history.replaceState(null, "", address(view, query));
      shown = location.hash;
    });
    queueMicrotask(() => list.show(query));
    return [form, h(".split", null, h("section.list", { "aria-label": "Samples" }, list.nodes), pane)];
  }

  // -- the pages -----------------------------------------------------------------------------------------

  const MANY = 40; // rows or columns of a table that is still read as one
  const tile = (value, label, view, query) => h("li.tile", null, h("b", null, value), h("span", null, view ? link(view, query, label) : label));
  function bars(title, rows, note) {
    const most = Math.max(1, ...rows.map((row) => row[1]));
    return h("section", null, h("h3", null, title), note ? h("p.soft", null, note) : null,
      h("ul.bars", { vars: { "--label": `${Math.min(18, Math.max(2, ...rows.map((row) => row[0].length + 1)))}ch` } }, rows.map(([label, count, query]) => h("li", null,
        h("a", { href: address("samples", query), "aria-label": `${label}: ${number(count)} samples` },
          h("span.label", null, label), h("span.track", null, h("span.fill", { vars: { "--part": count / most } })), h("span.count", null, number(count)))))));
  }

  const PAGES = {
    overview() {
      const end = S.levels[last];
      const classes = S.answers.map((count, c) => [S.classes[c], count, { answer: c }]).sort((a, b) => b[1] - a[1]);
      const width = 100 / S.histogram.length;
      const columns = S.histogram.map((count, i) => [`${i * width}–${(i + 1) * width} %`, count, { low: i * width, high: (i + 1) * width, sort: "low" }]);
      return [
        h("ul.tiles", null,
          tile(number(S.n), "samples", "samples"), tile(S.teachers.length, S.teachers.length === 1 ? "teacher" : "teachers", "teachers"), tile(S.classes.length, "classes"),
          tile(LEVELS, LEVELS === 1 ? "level" : "levels", "levels"), tile(short(S.confidence), "mean confidence"),
          tile(percent(S.disputed), "some teacher differs", "disagreements"), tile(percent(1 - end.kept), "rejected at the last level", "rejected")),
        h("p.lead", null, S.estimates ? S.estimates.note : "No ground truth is involved: without estimates, nothing here says how often anybody is right. Agreement is with the student’s final answer."),
        h(".two", null,
          bars("What the student answers", classes),
          h("section", null, h("h3", null, "How confident it is"), histogram(columns), S.ranked ? firstFew() : null)),
        h("h3", null, "The fit"),
        h("dl.facts", null, S.facts.map(([key, value]) => [h("dt", null, key), h("dd", null, value)])),
      ];
    },
    look: () => [h("p.lead", null, S.ranked
      ? "Ordered by what a person’s look is worth: doubt of the student and of one that had not seen the sample’s own answer, times dispute among the teachers that know the class, times influence on the other samples."
      : "The order in which to look was not computed for this fit; the least confident come first.")],
    samples: () => [],
    teachers() {
      const E = S.estimates, byClass = E && E.byClass;
      const rows = S.teachers.map((t, i) => [
        link("samples", { teacher: i, relation: "spoke" }, t.name), t.level, percent(t.coverage), percent(t.believed),
        ...(E ? [estimate(E.overall[i])] : []), percent(t.agreement),
        t.specialty === null ? "not given" : t.specialty.length === S.classes.length ? "all classes" : t.specialty.map(className).join(", ")]);
      if (E) rows.push([h("em", null, "the student"), "", "", "", estimate(E.overall[S.teachers.length]), "", ""]);
      const cell = (value, text, label, query) => {
        const inside = query ? h("a", { href: address("samples", query), "aria-label": label }, text) : text;
        return h("td.heat", { vars: { "--part": value === null ? 0 : value }, title: label }, inside);
      };
      // Of many classes, those that are answered most often.
      const shownClasses = S.classes.map((_, c) => c).sort((a, b) => S.answers[b] - S.answers[a]).slice(0, MANY).sort((a, b) => a - b);
      const heat = S.teachers.map((t, i) => [t.name, ...shownClasses.map((c) => {
        const name = S.classes[c];
        if (byClass) {
          const [value, low, high] = byClass[i][c];
          return cell(value, value === null ? "–" : (100 * value).toFixed(0), value === null ? "unknown" : `${t.name}, ${name}: ${percent(value)}, interval ${percent(low)} to ${percent(high)}`);
        }
        const share = t.heard[c] ? t.agreed[c] / t.heard[c] : null;
        return cell(share, share === null ? "–" : (100 * share).toFixed(0), `${share === null ? "–" : (100 * share).toFixed(0)} %: ${t.name} on ${name} agrees on ${number(t.agreed[c])} of ${number(t.heard[c])}`,
          t.heard[c] ? { teacher: i, relation: t.agreed[c] < t.heard[c] ? "differs" : "agrees", answer: c } : null);
      })]);
      if (byClass) heat.push(["the student", ...shownClasses.map((c) => {
        const name = S.classes[c];
        const [value, low, high] = byClass[S.teachers.length][c];
        return cell(value, value === null ? "–" : (100 * value).toFixed(0), value === null ? "unknown" : `the student, ${name}: ${percent(value)}, interval ${percent(low)} to ${percent(high)}`);
      })]);
      const who = S.corrections.slice(0, 40).map((c) => [
        `${teacherName(c.from)} → ${teacherName(c.to)}`, S.levels[c.level].level,
        c.from >= 0 && c.to >= 0 ? link("samples", { teacher: c.to, instead: c.from }, number(c.count)) : number(c.count), percent(c.upheld),
        c.usual.map(([a, b, count]) => `${className(a)} → ${className(b)} (${number(count)})`).join(", ")]);
      return [
        table("Coverage: share of samples on which the teacher speaks. Believed: share on which its level chose it. Agreement: with the student’s answer, where the teacher speaks and knows that class.",
          ["Teacher", "Level", "Coverage", "Believed", ...(E ? ["Estimated accuracy"] : []), "Agreement", "Specialty"], rows, { words: [0, E ? 6 : 5], wide: true }),
        h("h3", null, byClass ? "Estimated accuracy by class, %" : "Agreement with the student by its answer, %"),
        table(byClass ? E.note : "Where the teacher speaks and knows the class. A link leads to the samples on which the two differ.", ["", ...shownClasses.map(className)], heat),
        shownClasses.length < S.classes.length ? h("p.soft", null, `The ${MANY} classes that are answered most often, of ${number(S.classes.length)}.`) : null,
        h("h3", null, "Who corrects whom"),
        who.length ? table("Where the teacher that was believed at a level says another class than the one believed before it. Upheld: the student’s final answer is the new one.",
          ["Believed before → now", "Level", "Samples", "Upheld", "Usual changes"], who, { words: [0, 4], wide: true }) : h("p.soft", null, "No level changed what was believed."),
      ];
    },
    rejected() {
      const rows = S.levels.flatMap((l, k) => l.lost.map(([r, count]) => [`level ${l.level}`, S.reasons[r], link("rejected", { level: k, reason: r }, number(count)), percent(count / S.n)]));
      return [rows.length ? table("Annotations that a level did not train on, by the check that they failed.", ["Level", "Because", "Samples", "Share"], rows, { words: [0, 1] })
        : h("p", null, "Nothing was rejected.")];
    },
    disagreements() {
      const m = S.teachers.length;
      if (m < 2) return [h("p.lead", null, "There is one teacher: below is where the student’s answer differs from it.")];
      if (m > MANY) {
        const pairs = S.teachers.flatMap((t, a) => S.teachers.slice(0, a).map((u, b) => [t, u, ...S.disagreement[a][b], a, b]));
        pairs.sort((one, other) => other[3] - one[3]);
        return [table(`The ${MANY} pairs of teachers that differ on most samples whose class both know.`, ["Teachers", "Both speak", "Differ", "Share"],
          pairs.slice(0, MANY).map(([t, u, both, differ, a, b]) => [`${t.name}, ${u.name}`, number(both), link("disagreements", { teacher: a, against: b, relation: "" }, number(differ)), percent(both ? differ / both : null)])),
        h("p.lead", null, BELOW)];
      }
      return [table("How often two teachers differ, in %, where both speak and know the class of the student’s answer (it is of their specialty, and they name it somewhere). A link leads to these samples.", ["", ...S.teachers.map((t) => t.name)],
        S.teachers.map((t, a) => [t.name, ...S.teachers.map((u, b) => {
          const [both, differ] = S.disagreement[a][b];
          if (a === b || !both) return h("td.heat", null, a === b ? "" : "–");
          const label = `${(100 * differ / both).toFixed(0)} %: ${t.name} and ${u.name} differ on ${number(differ)} of ${number(both)}`;
          return h("td.heat.warm", { vars: { "--part": differ / both }, title: label },
            h("a", { href: address("disagreements", { teacher: a, against: b, relation: "" }), "aria-label": label }, (100 * differ / both).toFixed(0)));
        })])), h("p.lead", null, BELOW)];
    },
    levels: () => [
      h("p.lead", null, "From the generalists to the specialists: whom each level believed, what it trained on, and what the student made of it."),
      h("ol.timeline", null, S.levels.map((l, k) => {
        const most = l.believed.slice(0, 16), others = l.believed.slice(16).reduce((sum, [, count]) => sum + count, 0);
        const parts = [...most.map(([t, count]) => [S.teachers[t].name, count, LEVEL_OF[t] === k ? { teacher: t, relation: "believed" } : null, `s${t % 6}`]),
          ...(others ? [[`${l.believed.length - most.length} others`, others, null, "s5"]] : []), ...(l.voted ? [["several as one", l.voted, null, "s0"]] : []), ...(l.nobody ? [["nobody", l.nobody, null, "none"]] : [])];
        return h("li", null, h("h3", null, `Level ${l.level}`),
          h(".strip", { "aria-hidden": "true" }, parts.map(([, count, , colour]) => h(`span.${colour}`, { vars: { "--part": count } }))),
          h("ul.key", null, parts.map(([name, count, query, colour]) => h("li", null, h(`span.dot.${colour}`, { "aria-hidden": "true" }), query ? link("samples", query, name) : name, ` ${percent(count / S.n)}`))),
          h("dl.inline", null, [["Kept", percent(l.kept)], ["Agreement of the student with its targets", percent(l.agreement)],
            ["Answers changed from the level before", percent(l.changed)], ["Rounds", l.rounds ?? "–"], ["Strength", l.strength === null ? "–" : l.strength.toPrecision(3)],
            ["Seconds", short(l.seconds)]].filter(([, value]) => value !== "–").map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, String(value))))),
          l.lost.length ? h("p", null, "Rejected: ", l.lost.map(([r, count], i) => [i ? "; " : "", link("rejected", { level: k, reason: r }, number(count)), ` because ${S.reasons[r]}`]), ".") : null,
          l.notes.length ? h("ul.notes", null, l.notes.map((note) => h("li", null, note))) : null);
      })),
    ],
  };
  /** The samples at the head of the order in which to look. */
  function firstFew() {
    const list = h("ol.few"), found = source.find(preset("look"), draw);
    function draw() {
      list.replaceChildren(...Array.from({ length: Math.min(5, found.total || 0) }, (_, i) => found.get(i)).filter(Boolean).map((row) =>
        h("li", null, PICTURES ? picture(row, 40) : null, h("span.labels", null, h("span", null, link("look", { q: row.id }, row.id), " ", h("b", null, className(row.answer)), ` ${short(row.confidence)}`),
          row.text === undefined ? null : h("span.text", null, row.text)))));
    }
    draw();
    return [h("h3", null, link("look", {}, "Where to look first")), list];
  }
  function histogram(columns) {
    const most = Math.max(1, ...columns.map((column) => column[1]));
    return h("div", null, h("ul.histogram", null, columns.map(([label, count, query]) => h("li", null,
      h("a", { href: address("samples", query), "aria-label": `Confidence ${label}: ${number(count)} samples`, title: `${label}: ${number(count)}` },
        h("span.fill", { vars: { "--part": count / most } }))))), h(".axis", { "aria-hidden": "true" }, h("span", null, "0 %"), h("span", null, "confidence"), h("span", null, "100 %")));
  }
  function estimate([value, low, high]) {
    if (value === null) return "–";
    const label = `${percent(value)}, interval ${percent(low)} to ${percent(high)}`;
    return h("span.interval", { title: label }, h("span.line", { "aria-hidden": "true", vars: { "--low": low ?? value, "--high": high ?? value, "--at": value } }),
      h("span.figures", null, `${percent(value)} (${(100 * (low ?? value)).toFixed(0)}–${(100 * (high ?? value)).toFixed(0)})`));
  }

  const BELOW = "Below: samples on which some teacher differs from the student’s answer, although it knows that class.";
  const LISTED = new Set(["look", "samples", "rejected", "disagreements"]);
  let shown = null;

  function route() {
    const { view, query } = whereWeAre();
    shown = location.hash;
    document.title = `${VIEWS[view][0]} – ${S.title}`;
    for (const a of document.querySelectorAll("nav a")) {
      if (a.dataset.view === view) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
    const main = $("main");
    main.className = LISTED.has(view) ? "listed" : "";
    main.replaceChildren(h("h2.title", null, VIEWS[view][0]), ...PAGES[view]().filter(Boolean), ...(LISTED.has(view) ? browser(view, query) : []));
    scrollTo(0, 0);
  }

  // -- the frame -----------------------------------------------------------------------------------------

  const THEMES = ["auto", "light", "dark"];
  let theme = 0;
  const themeButton = h("button.theme", { type: "button", click: () => setTheme((theme + 1) % 3) });
  function setTheme(to) {
    theme = to;
    if (to) document.documentElement.dataset.theme = THEMES[to];
    else delete document.documentElement.dataset.theme;
    themeButton.textContent = `Theme: ${THEMES[to]}`;
  }
  setTheme(0);
  $("top").append(h("nav", { "aria-label": "Pages" }, h("ul", null, Object.entries(VIEWS).map(([view, [title]]) =>
    h("li", null, h("a", { href: `#${view}`, "data-view": view }, title))))), themeButton);
  addEventListener("hashchange", () => { if (location.hash !== shown) { route(); $("main").focus({ preventScroll: true }); } });
  addEventListener("keydown", (event) => {
    const search = $("search");
    if (event.key === "/" && search && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) { event.preventDefault(); search.focus(); }
  });
  $("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
  route();
  performance.mark("shown");
})();
