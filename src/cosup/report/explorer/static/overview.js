/* The overview: how good it is, what is suspicious, what to do next; then distributions. */

const MANY = 40; // rows or columns of a table that is still read as one
const tile = (value, label, view, query) => h("li.tile", null, h("b", null, value), h("span", null, view ? link(view, query, label) : label));
function bars(title, rows, note) {
  const most = Math.max(1, ...rows.map((row) => row[1]));
  return h("section", null, h("h3", null, title), note ? h("p.soft", null, note) : null,
    h("ul.bars", { tabindex: "0", "aria-label": title, vars: { "--label": `${Math.min(18, Math.max(2, ...rows.map((row) => row[0].length + 1)))}ch` } }, rows.map(([label, count, query]) => h("li", null,
      h("a", { href: address("samples", query) },
        h("span.label", { dir: "auto" }, label), h("span.track", null, h("span.fill", { vars: { "--part": count / most } })), h("span.count", null, number(count)))))));
}
function histogram(columns) {
  const most = Math.max(1, ...columns.map((column) => column[1]));
  return h("div", null, h("ul.histogram", null, columns.map(([label, count, query]) => h("li", null,
    h("a", { href: address("samples", query), "aria-label": `Confidence ${label}: ${plural(count, "sample")}`, title: `${label}: ${number(count)}` },
      h("span.fill", { vars: { "--part": count / most } }))))), h(".axis", { "aria-hidden": "true" }, h("span", null, "0 %"), h("span", null, "confidence"), h("span", null, "100 %")));
}
/** Names of classes in texts that were made elsewhere stay texts; a card leads to its samples. */
function card(finding) {
  return h("li.card", null, h("h4", null, finding.title), h("p", null, finding.text),
    finding.flag ? command(finding.flag) : null,
    finding.links.length ? h("p.links", null, finding.links.slice(0, 8).map(([text, view, query], i) => [i ? " · " : "", link(view, query, bdi(text))]), finding.links.length > 8 ? ` and ${finding.links.length - 8} more` : "") : null);
}

function howGood() {
  const E = S.estimates, m = S.teachers.length;
  if (!E) return h("p", null, "Nothing was estimated for this fit. Without labels, this page shows who agrees with whom, and agreement is not accuracy. ", link("label", { order: "uniform" }, "Fifty labels drawn uniformly"), " measure it.");
  // Of many, those of whom it is known: a rule of two votes may be estimated at 100 %, between 0 and 100.
  const by = (key) => (a, b) => key(E.overall[b]) - key(E.overall[a]), all = S.teachers.map((_, t) => t);
  const best = [...all].sort(by((e) => e[1] ?? -1)).slice(0, 6);
  const worst = all.filter((t) => !best.includes(t)).sort(by((e) => -(e[2] ?? 2))).slice(0, 6);
  const shown = (m > 12 ? [...best, ...worst] : all).sort(by((e) => e[0] ?? -1));
  return [
    h("ul.ladder", null,
      h("li.student", null, h("span", null, "The student"), estimate(E.overall[m])),
      shown.map((t) => h("li", null, h("span", null, teacherLink(t)), estimate(E.overall[t])))),
    m > shown.length ? h("p.soft", null, "The six teachers whose intervals begin highest, and the six whose intervals end lowest; ", link("teachers", {}, `all ${number(m)}`), ".") : null,
    h("p.soft", null, `${E.note} What no interval can show: mistakes that teachers and student share. Only labels do: `, link("label", { order: "uniform" }, "draw some uniformly"), "."),
  ];
}

function overviewPage() {
  const end = S.levels[last], classes = S.answers.map((count, c) => [S.classes[c], count, { answer: c }]).sort((a, b) => b[1] - a[1]);
  const width = 100 / S.histogram.length;
  const columns = S.histogram.map((count, i) => [`${i * width}–${(i + 1) * width} %`, count, { low: i * width, high: (i + 1) * width, sort: "confidence" }]);
  return [
    h("h3.question", null, "How good is it?"), howGood(),
    h("h3.question", null, "What is suspicious?"),
    S.findings.length ? h("ul.cards", null, S.findings.map(card)) : h("p", null, "Nothing that this page looks for: no teacher that nobody believes, no two that contradict each other, no class that was lost."),
    h("h3.question", null, "What next?"),
    h("p", null, link("label", {}, "Label 50 samples"), " where a look is worth most: the student is trained on them, and gets better. ",
      link("label", { order: "uniform" }, "Label 50 drawn uniformly"), ": they measure how good it is. Then:"),
    command(`cosup check ${FOLDER} --answers answers.csv --out ${FOLDER}-checked`),
    S.ranked ? firstFew() : null,
    h("h3.question", null, "Distributions"),
    h("ul.tiles", null,
      tile(number(S.n), S.n === 1 ? "sample" : "samples", "samples"), tile(number(S.teachers.length), S.teachers.length === 1 ? "teacher" : "teachers", "teachers"), tile(number(S.classes.length), "classes"),
      tile(number(LEVELS), LEVELS === 1 ? "level" : "levels", "levels"), tile(short(S.confidence), "mean confidence"),
      tile(percent(S.disputed), "some teacher differs", "disagreements"), tile(percent(end.kept / S.n), "kept", "samples", { kept: "kept" }),
      tile(percent(end.overruled / S.n), "overruled", "samples", { kept: "overruled" }), tile(percent(end.nobody / S.n), "no label", "samples", { kept: "silent" })),
    h(".two", null, bars("The student’s answers", classes), h("section", null, h("h3", null, "The student’s confidence"), histogram(columns))),
    h("h3", null, "The fit"),
    h("dl.facts", null, S.facts.map(([key, value]) => [h("dt", null, key), h("dd", { dir: "auto" }, value)])),
  ];
}
/** The samples at the head of the order in which to look. */
function firstFew() {
  const list = h("ol.few"), found = source.find(preset("samples"), draw);
  function draw() {
    list.replaceChildren(...Array.from({ length: Math.min(5, found.total || 0) }, (_, i) => found.get(i)).filter(Boolean).map((row) =>
      h("li", null, PICTURES ? picture(row, 40) : null, h("span.labels", null, h("span", null, link("samples", { open: row.id }, bdi(row.id)), " ", h("b", null, bdi(className(row.answer))), ` ${short(row.confidence)}`),
        row.text === undefined ? null : h("span.text", { dir: "auto" }, row.text)))));
  }
  draw();
  return list;
}
