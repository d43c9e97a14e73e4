/* The frame: navigation, theme, keys, and which page the address asks for. */

const LISTED = new Set(["samples", "disagreements", "compare"]);
const PAGES = {
  overview: overviewPage, label: labelPage, samples: () => [], teachers: teachersPage, teacher: teacherPage,
  disagreements: disagreementsPage, levels: levelsPage, compare: comparePage,
};
let shown = null;
/** What a page does with a key; returns whether it did something. */
let keys = () => false;

function route() {
  const { view, query } = whereWeAre();
  shown = location.hash;
  keys = () => false;
  const title = view === "teacher" && S.teachers[query.teacher] ? S.teachers[query.teacher].name : VIEWS[view][0];
  document.title = `${title} – ${S.title}`;
  for (const a of document.querySelectorAll("nav a")) {
    if (a.dataset.view === view || (view === "teacher" && a.dataset.view === "teachers")) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  const main = $("main");
  main.className = LISTED.has(view) ? (view === "samples" ? "listed" : "listed below") : "";
  main.replaceChildren(h("h2.title", null, bdi(title)), ...PAGES[view](query).flat(3).filter(Boolean), ...(LISTED.has(view) ? browser(view, query) : []));
  scrollTo(0, 0);
}

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
$("top").append(h("nav", { "aria-label": "Pages" }, h("ul", null, NAV.map((view) =>
  h("li", null, h("a", { href: `#${view}`, "data-view": view }, VIEWS[view][0]))))), themeButton);
addEventListener("hashchange", () => { if (location.hash !== shown) { route(); $("main").focus({ preventScroll: true }); } });
addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  const search = $("search");
  if (event.key === "/" && search) { event.preventDefault(); search.closest("details").open = true; search.focus(); }
  else if (keys(event)) event.preventDefault();
});
$("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
route();
performance.mark("shown");
