/* What every page needs: elements, numbers, names, tables, addresses. Texts only ever enter the page as texts. */
const boot = JSON.parse(document.getElementById("data").textContent);
const S = boot.summary, REMOTE = Boolean(boot.remote);
const $ = (id) => document.getElementById(id);

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
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}
const number = new Intl.NumberFormat("en").format;
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many || `${one}s`}`;
const percent = (x, digits = 1) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(digits)} %`);
const short = (x, digits = 2) => (x === null || x === undefined ? "–" : x.toFixed(digits));
const className = (c) => (c < 0 ? "–" : S.classes[c]);
const teacherName = (t) => (t < 0 ? "the teachers’ vote" : S.teachers[t].name);
/** A name in whatever direction it is written, which leaves what stands around it alone. */
const bdi = (text) => h("bdi", null, text);
/** A text with names in it: runs that are written from right to left leave the order of what stands around them alone. */
const RIGHT_TO_LEFT = /([\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+(?: [\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+)*)/;
const isolated = (text) => text.split(RIGHT_TO_LEFT).map((part, i) => (i % 2 ? bdi(part) : part));
const link = (view, query, ...children) => h("a", { href: address(view, query) }, ...children);
const teacherLink = (t) => (t < 0 ? teacherName(t) : link("teacher", { teacher: t }, bdi(S.teachers[t].name)));

function table(caption, header, rows, { words = [0], wide = false } = {}) {
  const at = (i) => (words.includes(i) ? "words" : null);
  const label = typeof caption === "string" ? caption : caption.textContent;
  return h(".scroll", { tabindex: "0", role: "region", "aria-label": label.slice(0, 80) },
    h(wide ? "table.wide" : "table", null,
      h("caption", null, caption),
      h("thead", null, h("tr", null, header.map((cell, i) => (cell === "" ? h("td") : h("th", { scope: "col", class: at(i), dir: "auto" }, cell))))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map((cell, i) =>
        i === 0 ? h("th", { scope: "row", class: at(i), dir: "auto" }, cell)
          : cell instanceof Element && cell.tagName === "TD" ? cell : h("td", { class: at(i) }, cell)))))));
}
function meter(value, label) {
  return h("span.meter", { vars: { "--part": value === null ? 0 : value }, title: label }, h("span.bar", { "aria-hidden": "true" }), short(value));
}
/** An accuracy on a line from 0 to 1 with its interval, the same length everywhere, so that lines compare. */
function estimate(values) {
  if (!values || values[0] === null) return "not known";
  const [value, low, high] = values;
  const label = `${percent(value)}, 90 % interval ${percent(low)} to ${percent(high)}`;
  return h("span.interval", { title: label }, h("span.line", { "aria-hidden": "true", vars: { "--low": low ?? value, "--high": high ?? value, "--at": value } }),
    h("span.figures", null, `${percent(value)} (${(100 * (low ?? value)).toFixed(0)}–${(100 * (high ?? value)).toFixed(0)})`));
}
/** A command to type, with a button that copies it. */
function command(text) {
  const button = h("button", { type: "button", click: async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "Selected: copy it"; }
  } }, "Copy");
  const code = h("code", { tabindex: "0" }, isolated(text));
  return h("p.command", null, code, button);
}
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`);
const FOLDER = quoted(boot.folder || "MODEL");
/** Give the person a file. */
function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const a = h("a", { href: url, download: name });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
const csvLine = (cells) => cells.map((cell) => (/[",\n\r]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell))).join(",") + "\n";

// -- where we are: the address holds the view, the filters and the sample that is open ------------------------------

const EMPTY = { q: "", answer: -1, teacher: -1, relation: "", says: -1, against: -1, instead: -1, kept: "", reason: -1, level: -1,
  low: 0, high: 100, was: -1, moved: "", sort: "look", show: "list", open: "", order: "look" };
const MOST = { answer: S.classes.length, says: S.classes.length, was: S.classes.length, teacher: S.teachers.length,
  against: S.teachers.length, instead: S.teachers.length, level: S.levels.length, reason: S.reasons.length, low: 101, high: 101 };
const ASKED = ["q", "answer", "teacher", "relation", "says", "against", "instead", "kept", "reason", "level", "low", "high", "was", "moved", "sort"];
const VIEWS = {
  overview: ["Overview", {}], label: ["Label", {}], samples: ["Samples", {}], teachers: ["Teachers", {}], teacher: ["Teacher", {}],
  disagreements: ["Disagreements", { relation: "differs" }], levels: ["Levels", {}], compare: ["Changes", { moved: "yes" }],
};
const NAV = ["overview", "label", "samples", "teachers", "disagreements", "levels", ...(S.compare ? ["compare"] : [])];
const preset = (view) => ({ ...EMPTY, sort: S.ranked ? "look" : "confidence", ...VIEWS[view][1] });

function address(view, query = {}) {
  const base = preset(view), parts = new URLSearchParams();
  for (const [key, value] of Object.entries({ ...base, ...query })) if (value !== base[key]) parts.set(key, value);
  const text = parts.toString();
  return `#${view}${text ? "?" + text : ""}`;
}
function whereWeAre() {
  const [name, text] = location.hash.slice(1).split("?");
  const view = Object.hasOwn(VIEWS, name) && (name !== "compare" || S.compare) ? name : "overview", query = preset(view);
  for (const [key, value] of new URLSearchParams(text || "")) {
    // Whoever made the address: no name that every object has, no class or teacher that is not there.
    if (!Object.hasOwn(EMPTY, key) || value.replace("-", "") in EMPTY.constructor.prototype) continue;
    if (typeof EMPTY[key] !== "number") query[key] = value;
    else if (/^(-1|\d{1,9})$/.test(value) && Number(value) < MOST[key]) query[key] = Number(value);
  }
  return { view, query };
}
