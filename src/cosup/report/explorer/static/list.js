/* A list or gallery of any length, of which only what is seen is drawn. */

const TALLEST = 12e6; // browsers draw nothing taller than some ten million pixels
const ROW = PICTURES ? 52 : TEXTS ? 46 : 32, TILE = { width: 156, height: PICTURES ? 178 : 132 };
let looked = last; // the level whose fate the list shows

/** Key, title, what it is sorted by, and a cell. */
const COLUMNS = [
  ["sample", "Sample", "id", (row) => h("span.name", null, PICTURES ? picture(row, 44) : null,
    h("span.labels", null, h("span.id", { dir: "auto" }, row.id), row.text === undefined ? null : h("span.text", { dir: "auto" }, row.text)))],
  ["answer", "Answer", "answer", (row) => h("span.strong", null, bdi(className(row.answer)))],
  ["confidence", "Confidence", "confidence", (row) => meter(row.confidence, "confidence of the student")],
  ["teachers", "Teachers", "-differ", marks],
  ["assigned", "Assigned", "assigned", (row) => h("span", null, row.levels[looked].annotation < 0 ? "nobody" : [bdi(className(row.levels[looked].annotation)), " (", bdi(teacherName(row.levels[looked].assigned)), ")"])],
  ["kept", "Fate", "fate", (row) => { const fate = fateOf(row.levels[looked]); return h(fate === "overruled" ? "span.bad" : fate === "silent" ? "span.soft" : "span", null, FATES[fate]); }],
  ["rank", "Look", "look", (row) => (row.rank < 0 ? "–" : number(row.rank + 1))],
];

function makeList(open, sorted) {
  const rows = h(".rows", { role: "rowgroup" }), tall = h(".tall", { role: "presentation" }, rows);
  const status = h("p.status", { role: "status", "aria-live": "polite" });
  const buttons = new Map();
  const head = h(".head.row", { role: "row", "aria-rowindex": "1" }, COLUMNS.map(([key, title, sort], i) => {
    const button = h("button.sort", { type: "button", tabindex: "-1", click: () => sorted(sort) }, title, h("span.way", { "aria-hidden": "true" }));
    const cell = h(`span.c-${key}`, { role: "columnheader", "aria-colindex": i + 1 }, button);
    buttons.set(sort.replace("-", ""), [cell, button.lastChild]);
    return cell;
  }));
  const grid = h(".grid", { role: "grid", tabindex: "0", vars: { "--teachers": CROWD ? 6 : S.teachers.length, "--row": `${ROW}px` },
    "aria-label": "Samples. Arrow keys, J and K move, Enter shows one", "aria-colcount": COLUMNS.length }, h("div", { role: "rowgroup" }, head), tall);
  const empty = h(".empty", { hidden: true });
  let found = { total: 0, get: () => null }, at = 0, first = 0, gallery = false;

  const across = () => (gallery ? Math.max(1, Math.floor(grid.clientWidth / TILE.width)) : 1);
  const tallness = () => (gallery ? TILE.height : ROW);
  const lines = () => Math.ceil((found.total || 0) / across());
  const height = () => Math.min(lines() * tallness(), TALLEST);
  const view = () => Math.max(grid.clientHeight - (gallery ? 0 : head.offsetHeight), tallness());
  function draw() {
    const total = lines(), many = Math.ceil(view() / tallness()) + 1, top = grid.scrollTop, capped = total * tallness() > TALLEST;
    // Beyond what can be drawn, the bar's place is a share of all rows.
    first = capped ? Math.round((top / Math.max(height() - view(), 1)) * (total - many + 1)) : Math.floor(top / tallness());
    first = Math.max(0, Math.min(first, total - many + 1));
    rows.style.transform = `translateY(${capped ? top : first * tallness()}px)`;
    const drawn = [];
    for (let place = first; place < Math.min(first + many, total); place++) drawn.push(gallery ? tiles(place) : line(place));
    rows.replaceChildren(...drawn);
    if ($(`row-${at}`)) grid.setAttribute("aria-activedescendant", `row-${at}`);
    else grid.removeAttribute("aria-activedescendant");
  }
  function line(place) {
    const row = found.get(place);
    const node = h(".row", { role: "row", id: `row-${place}`, "aria-rowindex": place + 2, "aria-selected": String(place === at), click: () => { select(place); open(row); } });
    if (!row) node.append(h("span.c-sample.soft", { role: "gridcell" }, "…"));
    else node.append(...COLUMNS.map(([key, , , show], i) => h(`span.c-${key}`, { role: "gridcell", "aria-colindex": i + 1 }, show(row))));
    return node;
  }
  function tiles(number_) {
    const per = across(), cells = [];
    for (let place = number_ * per; place < Math.min((number_ + 1) * per, found.total); place++) {
      const row = found.get(place);
      cells.push(h(".sample", { role: "gridcell", id: `row-${place}`, "aria-selected": String(place === at), click: () => { select(place); open(row); } },
        row ? [PICTURES ? picture(row, 96) : h("span.text", { dir: "auto" }, row.text ?? row.id), h("span.strong", null, bdi(className(row.answer)), ` ${short(row.confidence)}`), h("span.id.soft", { dir: "auto" }, row.id), marks(row)] : "…"));
    }
    return h(".tiles-row", { role: "row", "aria-rowindex": number_ + 2 }, cells);
  }
  function select(place) {
    at = Math.max(0, Math.min(place, (found.total || 1) - 1));
    const total = lines(), mine = Math.floor(at / across()), capped = total * tallness() > TALLEST, fit = fitting();
    if (mine < first || (!capped && mine * tallness() < grid.scrollTop)) move(mine);
    else if (capped ? mine >= first + fit : (mine + 1) * tallness() > grid.scrollTop + view()) move(mine - fit + 1);
    draw();
  }
  function move(to) {
    const total = lines();
    grid.scrollTop = total * tallness() > TALLEST ? (to / Math.max(total - fitting(), 1)) * (height() - view()) : to * tallness();
  }
  const fitting = () => Math.max(1, Math.floor(view() / tallness()));
  grid.addEventListener("scroll", draw, { passive: true });
  grid.addEventListener("keydown", (event) => {
    const page = fitting() * across(), steps = { ArrowDown: across(), ArrowUp: -across(), PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
      ...(gallery ? { ArrowRight: 1, ArrowLeft: -1 } : {}) };
    if (event.key in steps) {
      event.preventDefault();
      const to = at + steps[event.key];
      select(to === Infinity ? found.total - 1 : to === -Infinity ? 0 : to);
    } else if (event.key === "Enter" && found.total && event.target === grid) {
      event.preventDefault();
      const row = found.get(at);
      if (row) open(row, true);
    }
  });
  new ResizeObserver(draw).observe(grid);
  return {
    nodes: [status, legend(), grid, empty],
    focus: () => grid.focus(),
    get found() { return found; },
    /** The row so many further on, once it is there. */
    step(by) {
      select(at + by);
      return found.get(at);
    },
    reveal(id) { const place = found.place(id); if (place >= 0) { select(place); return found.get(place); } return null; },
    show(query, clear) {
      looked = query.level < 0 ? last : query.level;
      gallery = query.show === "gallery";
      grid.classList.toggle("gallery", gallery);
      for (const [key, [cell, way]] of buttons) {
        const down = query.sort === `-${key}`, up = query.sort === key;
        cell.setAttribute("aria-sort", up ? "ascending" : down ? "descending" : "none");
        way.textContent = up ? " ▲" : down ? " ▼" : "";
      }
      empty.replaceChildren(h("p", null, "No sample matches."), h("button", { type: "button", click: clear }, "Clear the filters"));
      const mine = source.find(query, () => { if (mine === found) refresh(false); });
      found = mine;
      refresh(true);
    },
  };
  function refresh(fresh) {
    if (fresh) { at = 0; grid.scrollTop = 0; }
    grid.setAttribute("aria-rowcount", found.total === null ? -1 : found.total + 1);
    tall.style.height = `${height()}px`;
    empty.hidden = found.total !== 0 || Boolean(found.error);
    status.textContent = found.error || (found.total === null ? "Looking …"
      : `${number(found.total)} of ${number(n)} samples${LEVELS > 1 ? `; assigned and fate at level ${S.levels[looked].level}` : ""}${n < S.n ? `. This file holds those most worth a look of ${number(S.n)}; cosup serve shows all` : ""}`);
    draw();
  }
}
