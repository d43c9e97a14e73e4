/* The levels: who was assigned, and what was trained on; and, beside another model, what changed. */

function levelsPage() {
  return [
    h("p.lead", null, "From the generalists to the specialists: who was assigned on each level, what was trained on, and what the student then answered."),
    h("ol.timeline", null, S.levels.map((l, k) => {
      const most = l.assigned.slice(0, 16), others = l.assigned.slice(16).reduce((sum, [, count]) => sum + count, 0);
      const parts = [...most.map(([t, count]) => [S.teachers[t].name, count, LEVEL_OF[t] === k ? { teacher: t, relation: "assigned" } : null, `s${t % 6}`]),
        ...(others ? [[`${l.assigned.length - most.length} others`, others, null, "s5"]] : []), ...(l.voted ? [["several as one", l.voted, null, "s0"]] : []), ...(l.nobody ? [["no label", l.nobody, { kept: "silent", level: k }, "none"]] : [])];
      const told = [["Agreement with its training targets", percent(l.agreement)],
        ["Answers changed from the level before", percent(l.changed)], ["Rounds", l.rounds], ["Regularisation (alpha)", l.alpha === null || l.alpha === undefined ? null : l.alpha.toPrecision(3)],
        ["Seconds", l.seconds === null ? null : short(l.seconds)]].filter(([, value]) => value !== null && value !== undefined && value !== "–");
      return h("li", null, h("h3", null, `Level ${l.level}`),
        h(".strip", { "aria-hidden": "true" }, parts.map(([, count, , colour]) => h(`span.${colour}`, { vars: { "--part": count } }))),
        h("ul.key", null, parts.map(([name, count, query, colour]) => h("li", null, h(`span.dot.${colour}`, { "aria-hidden": "true" }), query ? link("samples", query, bdi(name)) : bdi(name), ` ${percent(count / S.n)}`))),
        h("p", null, `Of ${plural(S.n, "sample")} `, link("samples", { kept: "kept", level: k }, `${number(l.kept)} kept`), ", ", link("samples", { kept: "overruled", level: k }, `${number(l.overruled)} overruled`), ", ", link("samples", { kept: "silent", level: k }, `${number(l.nobody)} without a label`), "."),
        l.lost.length ? h("p", null, "Overruled because: ", l.lost.map(([r, count], i) => [i ? "; " : "", S.reasons[r], " (", link("samples", { level: k, reason: r }, number(count)), ")"]), ".") : null,
        h("dl.inline", null, told.map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, String(value))))),
        l.notes.length ? h("ul.notes", null, l.notes.map((note) => h("li", null, isolated(note)))) : null);
    })),
  ];
}

function comparePage() {
  const C = S.compare, top = C.flips.slice(0, MANY);
  const classes = S.classes.map((_, c) => c).filter((c) => C.before[c] !== C.now[c]).sort((a, b) => Math.abs(C.now[b] - C.before[b]) - Math.abs(C.now[a] - C.before[a])).slice(0, MANY);
  return [
    h("p", null, `Of ${plural(C.both, "sample")} that `, bdi(C.title), " and this model answer, ", h("b", null, number(C.moved)), ` ${C.moved === 1 ? "answer is another" : "answers are others"} now.`),
    h(".two", null,
      h("section", null, h("h3", null, "Answers that flipped"), top.length ? table("The class that was answered, and the one that is.", ["Before → now", "Samples"], top.map(([a, b, count]) => [[bdi(className(a)), " → ", bdi(className(b))], link("compare", { was: a, answer: b }, number(count))])) : h("p.soft", null, "None.")),
      h("section", null, h("h3", null, "Classes that moved"), classes.length ? table("Samples of each class by the student’s answer.", ["Class", "Before", "Now", ""], classes.map((c) => [bdi(className(c)), number(C.before[c]), number(C.now[c]), `${C.now[c] > C.before[c] ? "+" : "−"}${number(Math.abs(C.now[c] - C.before[c]))}`])) : h("p.soft", null, "None."))),
    C.estimates.length ? [h("h3", null, "Estimates side by side"), table("Estimated without a label, 90 % intervals; measure with labels before you believe a difference.", ["", "Before", "Now"], C.estimates.map(([name, before, now]) => [bdi(name), estimate(before), estimate(now)]))] : null,
    h("p.lead", null, "Below: the samples whose answer changed."),
  ];
}
