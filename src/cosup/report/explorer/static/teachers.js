/* The teachers: all in a table, one on a page, and two against each other. */

const cell = (value, text, label, query, warm) => h(warm ? "td.heat.warm" : "td.heat", { vars: { "--part": value === null ? 0 : value }, title: label },
  query ? h("a", { href: address("samples", query), "aria-label": label }, text) : text);
const namesOf = (t) => (t.names.length === S.classes.length ? "all classes" : t.names.length > 6 ? `${t.names.slice(0, 6).map(className).join(", ")} … (${t.names.length})` : t.names.map(className).join(", "));

function teachersPage() {
  const E = S.estimates, m = S.teachers.length;
  const rows = S.teachers.map((t, i) => [
    teacherLink(i), t.level, link("samples", { teacher: i, relation: "spoke" }, percent(t.coverage)), percent(t.conflicts),
    ...(E ? [estimate(E.overall[i])] : []),
    h("span", null, link("samples", { teacher: i, relation: "agrees" }, percent(t.agreement)), h("span.soft", null, ` of ${number(t.votes)}`)),
    `${number(t.kept)} / ${number(t.overruled)}`, bdi(namesOf(t)), t.specialty === null ? "not given" : bdi(t.specialty.map(className).join(", "))]);
  if (E) rows.push([h("em", null, "the student"), "", "", "", estimate(E.overall[m]), "", "", "", ""]);
  // Of many classes, those that are answered most often.
  const shownClasses = S.classes.map((_, c) => c).sort((a, b) => S.answers[b] - S.answers[a]).slice(0, MANY).sort((a, b) => a - b);
  const heat = S.teachers.map((t, i) => [teacherLink(i), ...shownClasses.map((c) => {
    const share = t.heard[c] ? t.agreed[c] / t.heard[c] : null, shown = share === null ? "–" : (100 * share).toFixed(0);
    return cell(share, shown, `${shown} %: ${t.name} on ${S.classes[c]} agrees on ${number(t.agreed[c])} of ${number(t.heard[c])}`, t.heard[c] ? { teacher: i, relation: t.agreed[c] < t.heard[c] ? "differs" : "agrees", answer: c } : null);
  })]);
  const who = S.corrections.slice(0, MANY).map((c) => [
    [bdi(teacherName(c.from)), " → ", bdi(teacherName(c.to))], S.levels[c.level].level,
    c.from >= 0 && c.to >= 0 ? link("samples", { teacher: c.to, instead: c.from }, number(c.count)) : number(c.count), percent(c.upheld),
    c.usual.map(([a, b, count], i) => [i ? ", " : "", bdi(className(a)), " → ", bdi(className(b)), ` (${number(count)})`])]);
  return [
    table("Coverage: share of samples on which the teacher names a class. Conflicts: share on which another contradicts it. Estimated accuracy: where it speaks, with a 90 % interval; of a rule that names one class, its precision. Agreement: with the student’s final answer, of all that it names. Kept / overruled: of its annotations, those whose class its level trained on, and the others.",
      ["Teacher", "Level", "Coverage", "Conflicts", ...(E ? ["Estimated accuracy"] : []), "Agreement", "Kept / overruled", "Names", "Specialty"], rows, { words: E ? [0, 7, 8] : [0, 6, 7], wide: true }),
    h("h3", null, "Agreement with the student by its answer, %"),
    table("Everywhere that the teacher speaks. A link leads to the samples on which the two differ.", ["", ...shownClasses.map((c) => bdi(className(c)))], heat),
    shownClasses.length < S.classes.length ? h("p.soft", null, `The ${MANY} classes that are answered most often, of ${number(S.classes.length)}.`) : null,
    LEVELS > 1 ? h("h3", null, "Who corrects whom") : null,
    LEVELS < 2 ? null : who.length ? table("Where the teacher that was assigned at a level names another class than the one assigned before it. Upheld: the student’s final answer is the new one.",
      ["Assigned before → now", "Level", "Samples", "Upheld", "Usual changes"], who, { words: [0, 4], wide: true }) : h("p.soft", null, "No level changed what was assigned."),
  ];
}

/** One teacher: what it gets right and wrong, who overrules it, whether to drop or to mend it. */
function teacherPage(query) {
  const t = S.teachers[query.teacher];
  if (!t) return [h("p", null, "There is no such teacher. ", link("teachers", {}, "All teachers"))];
  const i = query.teacher, E = S.estimates, byClass = E && E.byClass;
  const few = S.classes.length <= 12, wrong = t.confusion.filter(([a, b]) => a !== b);
  const count = new Map(t.confusion.map(([a, b, value]) => [`${a} ${b}`, value]));
  const says = S.classes.map((_, c) => c).filter((c) => t.names.includes(c)), all = S.classes.map((_, c) => c);
  const matrix = few ? table("Rows: what the teacher names. Columns: what the student answers there.", ["", ...all.map((c) => bdi(className(c)))], says.map((a) => {
    const total = all.reduce((sum, b) => sum + (count.get(`${a} ${b}`) || 0), 0);
    return [bdi(className(a)), ...all.map((b) => { const value = count.get(`${a} ${b}`) || 0; return cell(total ? value / total : null, value ? number(value) : "", `${className(a)} where the student answers ${className(b)}: ${number(value)}`, value ? { teacher: i, says: a, answer: b } : null, a !== b); })];
  })) : table("What it names most often where the student answers another class.", ["Names", "Student", "Samples"],
    wrong.slice(0, 20).map(([a, b, value]) => [bdi(className(a)), bdi(className(b)), link("samples", { teacher: i, says: a, answer: b }, number(value))]), { words: [0, 1] });
  const classes = byClass && t.names.length > 1 ? all.filter((c) => byClass[i][c][0] !== null).slice(0, MANY) : [];
  return [
    h("ul.tiles", null, tile(t.level, "level"), tile(percent(t.coverage), "names a class", "samples", { teacher: i, relation: "spoke" }),
      E ? tile(estimate(E.overall[i]), t.names.length === 1 ? "estimated precision" : "estimated accuracy") : null,
      tile(percent(t.agreement), "agrees with the student", "samples", { teacher: i, relation: "agrees" }), tile(percent(t.conflicts), "of samples: another contradicts it"),
      tile(number(t.kept), "annotations kept"), tile(number(t.overruled), "overruled"), tile(number(S.n - t.votes), "no label", "samples", { teacher: i, relation: "abstained" })),
    h("p", null, t.names.length === 1 ? "A rule for one class: " : "It names ", h("b", null, bdi(namesOf(t))), ".", t.specialty === null ? " No specialty was given." : [" Its specialty: ", bdi(t.specialty.map(className).join(", ")), "."]),
    t.flag ? [h("p", null, "If the classes that it names are its specialty, say so when you fit:"), command(t.flag)] : null,
    h("h3", null, "Against the student"), matrix,
    classes.length ? [h("h3", null, "Of the samples of a class, how many it names right where it speaks"), table(E.note, ["Class", "Accuracy (90 % interval)"], classes.map((c) => [bdi(className(c)), estimate(byClass[i][c])]))] : null,
    h("h3", null, "Who contradicts it"),
    t.against.length ? table("Both name a class, and not the same one.", ["Teacher", "Both speak", "Differ", "Share"], t.against.map(([u, both, differ]) => [teacherLink(u), number(both), link("samples", { teacher: i, against: u }, number(differ)), percent(differ / both)])) : h("p.soft", null, "Nobody."),
    h(".two", null, examples("Where it is likely right", { teacher: i, relation: "agrees", sort: "-confidence" }), examples("Where it is likely wrong", { teacher: i, relation: "differs", sort: "-confidence" })),
    h("h3", null, "Drop it or mend it?"),
    h("p", null, wrong.length ? ["Its most frequent slip: ", bdi(className(wrong[0][0])), " where the student answers ", bdi(className(wrong[0][1])), ` (${number(wrong[0][2])} of ${number(t.votes)} annotations). `] : "It never differs from the student. ",
      "Change the rule, or leave its column out of the labels, fit into another folder, and look at what moved:"),
    command(`cosup explore --compare ${FOLDER} ${FOLDER}-2`),
  ];
}
function examples(title, query) {
  const list = h("ol.few"), found = source.find({ ...EMPTY, ...query }, draw);
  function draw() {
    list.replaceChildren(...Array.from({ length: Math.min(6, found.total || 0) }, (_, place) => found.get(place)).filter(Boolean).map((row) =>
      h("li", null, PICTURES ? picture(row, 40) : null, h("span.labels", null, h("span", null, link("samples", { ...query, open: row.id }, bdi(row.id)), " names ", h("b", null, bdi(className(row.annotated[query.teacher]))), ", student: ", bdi(className(row.answer)), ` ${short(row.confidence)}`),
        row.text === undefined ? null : h("span.text", { dir: "auto" }, row.text)))));
    if (found.total === 0) list.replaceChildren(h("li.soft", null, "no sample"));
  }
  draw();
  return h("section", null, h("h3", null, title), list);
}

const BELOW = "Below: samples on which some teacher differs from the student’s answer.";
function disagreementsPage() {
  const m = S.teachers.length;
  if (m < 2) return [h("p.lead", null, "There is one teacher: below is where the student’s answer differs from it.")];
  if (m > 20) {
    const pairs = S.teachers.flatMap((_, a) => S.teachers.slice(0, a).map((__, b) => [a, b, ...S.disagreement[a][b]]));
    pairs.sort((one, other) => other[3] - one[3]);
    return [table(`The ${MANY} pairs of teachers that differ on most samples.`, ["Teachers", "Both speak", "Differ", "Share"],
      pairs.slice(0, MANY).map(([a, b, both, differ]) => [[teacherLink(a), ", ", teacherLink(b)], number(both), link("disagreements", { teacher: a, against: b, relation: "" }, number(differ)), percent(both ? differ / both : null)])),
    h("p.lead", null, BELOW)];
  }
  return [table("How often two teachers differ, in %, where both name a class. A link leads to these samples.", ["", ...S.teachers.map((t) => bdi(t.name))],
    S.teachers.map((t, a) => [teacherLink(a), ...S.teachers.map((u, b) => {
      const [both, differ] = S.disagreement[a][b];
      if (a === b || !both) return h("td.heat", null, a === b ? "" : "–");
      const label = `${(100 * differ / both).toFixed(0)} %: ${t.name} and ${u.name} differ on ${number(differ)} of ${number(both)}`;
      return h("td.heat.warm", { vars: { "--part": differ / both }, title: label },
        h("a", { href: address("disagreements", { teacher: a, against: b, relation: "" }), "aria-label": label }, (100 * differ / both).toFixed(0)));
    })])), h("p.lead", null, BELOW)];
}
