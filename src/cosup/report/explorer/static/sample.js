/* One sample, the filters, and the page that shows a list, its filters and the sample that is open. */

function showSample(row) {
  const level = (k) => {
    const l = row.levels[k], probability = l.probability === null ? null : ` A student that was not trained on the sample gives this ${short(l.probability)}.`;
    return h("li", null, h("strong", null, `Level ${S.levels[k].level}: `),
      l.annotation < 0 ? "no label." : [
        "assigned ", teacherLink(l.assigned), `, who ${l.assigned < 0 ? "say" : "says"} `, h("b", null, bdi(className(l.annotation))), ".", probability, " ",
        l.kept ? "Kept." : h("span.bad", null, `Overruled: ${S.reasons[l.reason]}.`)],
      l.answer < 0 ? null : [" The student then answers ", h("b", null, bdi(className(l.answer))), "."]);
  };
  const silent = row.annotated.filter((named) => named < 0).length;
  return [
    h("h2", { id: "sample-title", tabindex: "-1" }, "Sample ", bdi(row.id)),
    PICTURES ? picture(row, 160) : null,
    row.text === undefined ? null : h("p.quote", { dir: "auto" }, row.text),
    row.answer < 0 ? null : h("p", null, "The student answers ", h("b", null, bdi(className(row.answer))), ` with confidence ${short(row.confidence)}`,
      row.secondConfidence >= 0.005 ? ["; ", bdi(className(row.second)), ` gets ${short(row.secondConfidence)}.`] : "."),
    row.before < 0 || row.before === row.answer ? null : h("p", null, bdi(S.compare.title), " answered ", h("b", null, bdi(className(row.before))), "."),
    row.rank < 0 ? null : h("p.soft", null, `Place ${number(row.rank + 1)} of ${number(S.n)} in the order in which to look: doubt ${short(row.doubt)}, dispute ${short(row.dispute)}, influence ${short(row.influence)}.`),
    table("Annotations, and how probable the student finds each", ["Teacher", "Level", "Names", "Support"], row.annotated.map((named, t) => (CROWD && named < 0 ? null : [
      teacherLink(t), S.teachers[t].level,
      h(`span.${stance(row, t)}`, { title: STANCE[stance(row, t)] }, `${MARK[stance(row, t)]} `, named < 0 ? "abstains" : bdi(className(named))),
      named < 0 ? "" : meter(row.support[t], "probability that the student gives it"),
    ])).filter(Boolean), { words: [0, 2] }),
    CROWD ? h("p.soft", null, `${plural(silent, "other abstains", "others abstain")}.`) : null,
    h("h3", null, "Level by level"), h("ol.steps", null, S.levels.map((_, k) => level(k))),
    nearTable(row),
  ];
}

/** The samples that lie nearest by the features: of features alone, all that a person sees of a sample. */
function nearTable(row, { linked = true, hidden = false } = {}) {
  if (!row.near || !row.near.length) return null;
  const mine = (id) => { const answer = answers.all.get(id); return answer && answer.status === "label" ? bdi(className(answer.person)) : ""; };
  return table("The nearest samples by the features. Distance 1: the median distance between a sample and its nearest.",
    ["Sample", ...(hidden ? ["Your answer"] : ["Student", "Annotation"]), "Distance"],
    row.near.map((other) => [
      h("span.name", null, PICTURES ? picture(other, 40) : null, linked ? link("samples", { open: other.id }, bdi(other.id)) : bdi(other.id)),
      ...(hidden ? [mine(other.id)] : [bdi(className(other.answer)), bdi(className(other.annotation))]),
      other.distance >= 6.55 ? "over 6.5" : short(other.distance)]), { words: hidden ? [0, 1] : [0, 1, 2] });
}

/** What is asked for as a sentence; every part of it can be taken away. */
function sentence(query, set) {
  const who = query.teacher >= 0 ? bdi(teacherName(query.teacher)) : "some teacher", parts = [];
  const part = (keys, ...words) => parts.push(h("span.asked", null, words,
    h("button.remove", { type: "button", "aria-label": "Take this away", click: () => set(Object.fromEntries(keys.map((key) => [key, EMPTY[key]]))) }, "×")));
  if (query.q) part(["q"], "that hold “", bdi(query.q), "”");
  if (query.answer >= 0) part(["answer"], "that the student calls ", h("b", null, bdi(className(query.answer))));
  if (query.was >= 0) part(["was"], "that were ", h("b", null, bdi(className(query.was))), " before");
  if (query.moved) part(["moved"], "whose answer changed");
  if (query.relation) part(["relation"], "on which ", who, ` ${RELATIONS[query.relation]}`);
  else if (query.teacher >= 0 && Math.max(query.says, query.against, query.instead) < 0) part(["teacher"], "(", who, ": choose what about it)");
  if (query.says >= 0) part(["says"], "that ", who, " calls ", h("b", null, bdi(className(query.says))));
  if (query.against >= 0) part(["against"], "on which ", who, " contradicts ", bdi(teacherName(query.against)));
  if (query.instead >= 0) part(["instead"], "on which ", who, " was assigned in place of ", bdi(teacherName(query.instead)));
  if (query.kept) part(["kept"], { kept: "whose annotation was kept", overruled: "whose annotation was overruled", silent: "without a label" }[query.kept]);
  if (query.reason >= 0) part(["reason"], `not trained on because ${S.reasons[query.reason]}`);
  if (query.level >= 0 && LEVELS > 1) part(["level"], `at level ${S.levels[query.level].level}`);
  if (query.low > 0 || query.high < 100) part(["low", "high"], `with a confidence of ${query.low} to ${query.high} %`);
  const order = SORTED[query.sort.replace("-", "")];
  return h("p.sentence", null, parts.length ? "Samples " : "All samples", parts.map((node, i) => [i ? ", and " : "", node]), order ? `, ${order[query.sort.startsWith("-") ? 1 : 0]}.` : ".");
}
const SORTED = {
  look: ["most worth a look first", "least worth a look first"], confidence: ["least confident first", "most confident first"],
  file: ["as in the file", "as in the file, backwards"], id: ["by id", "by id, backwards"], answer: ["by answer", "by answer, backwards"],
  differ: ["least disputed first", "most disputed first"], assigned: ["by the annotation", "by the annotation, backwards"],
  fate: ["kept first", "without a label first"], draw: ["as drawn uniformly", "as drawn uniformly, backwards"],
};

function filters(query, changed) {
  let waiting = 0;
  const set = (change, later) => {
    Object.assign(query, change);
    clearTimeout(waiting);
    if (REMOTE && later) waiting = setTimeout(() => changed(later), 150);
    else changed(later);
  };
  const field = (label, control) => h("label.field", null, h("span", null, label), control);
  const select = (key, options) => {
    const node = h("select", { change: () => set({ [key]: typeof EMPTY[key] === "number" ? Number(node.value) : node.value }) },
      options.map(([value, text]) => h("option", { value, selected: String(value) === String(query[key]) }, text)));
    return node;
  };
  const bound = (key, label) => {
    const node = h("input", { type: "number", min: "0", max: "100", step: "1", value: query[key], "aria-label": label,
      input: () => { if (node.value !== "" && node.validity.valid) set({ [key]: Math.round(Number(node.value)) }, true); } });
    return node;
  };
  const classes = [[-1, "any"], ...S.classes.map((name, c) => [c, name])];
  const teachers = S.teachers.map((t, i) => [i, t.name]);
  const sorts = Object.entries(SORTED).filter(([key]) => (key !== "look" || S.ranked) && key !== "draw").flatMap(([key, [up, down]]) => [[key, up], [`-${key}`, down]]);
  const search = h("input", { type: "search", id: "search", value: query.q, placeholder: TEXTS ? "id or text" : "id", autocomplete: "off", dir: "auto",
    input: () => set({ q: search.value }, true) });
  return h("form.filters", { role: "search", "aria-label": "Filter the samples", submit: (event) => event.preventDefault() },
    field("Search", search),
    field("Answer", select("answer", classes)),
    field("Teacher", select("teacher", [[-1, "any"], ...teachers])),
    field("… that", select("relation", Object.entries(RELATIONS))),
    field("… names", select("says", classes)),
    field("Fate", select("kept", Object.entries(FATES))),
    h("fieldset.field", null, h("legend", null, "Confidence, %"), bound("low", "Least confidence in per cent"), " – ", bound("high", "Greatest confidence in per cent")),
    field("Sort", select("sort", sorts)),
    h("details.more", { open: Math.max(query.against, query.instead, query.reason, query.level) >= 0 }, h("summary", null, "More"), h(".filters", null,
      S.teachers.length > 1 ? field("The teacher contradicts", select("against", [[-1, "–"], ...teachers])) : null,
      LEVELS > 1 ? field("… was assigned in place of", select("instead", [[-1, "–"], ...teachers])) : null,
      S.reasons.length > 1 ? field("Not trained on because", select("reason", [[-1, "any"], ...S.reasons.map((r, i) => [i, r]).slice(1)])) : null,
      LEVELS > 1 ? field("Fate at level", select("level", [[-1, "the last"], ...S.levels.map((l, k) => [k, String(l.level)])])) : null)));
}

/** The filters, the list and the sample that is open. */
function browser(view, query) {
  const pane = h("aside.pane", { "aria-label": "The sample that is open", hidden: true, tabindex: "-1" });
  const list = makeList(open, (key) => change({ sort: query.sort === key ? (key.startsWith("-") ? key.slice(1) : `-${key}`) : key }, true));
  const top = h("div"), asked = h("div"), narrow = matchMedia("(max-width: 34rem)");
  // On a phone the filters are folded, or they would take a third of the screen.
  const folded = h("details.folded", { open: !narrow.matches }, h("summary", null, "Filters"), top);
  narrow.addEventListener("change", () => { folded.open = !narrow.matches; });
  function open(row, focus) {
    if (!row) return;
    const first = pane.hidden;
    pane.replaceChildren(h(".steps-bar", null,
      h("button", { type: "button", title: "K", click: () => open(list.step(-1)) }, "Previous"), h("button", { type: "button", title: "J", click: () => open(list.step(1)) }, "Next"),
      h("button.close", { type: "button", "aria-label": "Close the sample", click: close }, "Close")), ...showSample(row).filter(Boolean));
    pane.hidden = false;
    pane.scrollTop = 0;
    query.open = row.id;
    remember(!first);
    if (focus) $("sample-title").focus();
  }
  function close() { pane.hidden = true; query.open = ""; remember(false); list.focus(); }
  function remember(replace) {
    const now = address(view, query);
    if (now !== location.hash) history[replace ? "replaceState" : "pushState"](null, "", now);
    shown = location.hash;
  }
  function change(changes, redraw) {
    Object.assign(query, changes, { open: "" });
    if (redraw) top.replaceChildren(form());
    apply(false);
  }
  const clear = () => change({ ...preset(view), show: query.show, relation: "", kept: "", moved: "" }, true);
  const form = () => filters(query, (typing) => { query.open = ""; pane.hidden = true; apply(typing); });
  function apply(typing) {
    performance.mark("asked");
    asked.replaceChildren(sentence(query, (changes) => change(changes, true)));
    list.show(query, clear);
    performance.measure("filter", "asked");
    remember(typing);
  }
  async function save() {
    const rows = await source.all(query);
    download("samples.csv", csvLine(["id", "answer", "confidence", ...S.teachers.map((t) => `says: ${t.name}`), "assigned", "fate"])
      + rows.map((row) => csvLine([row.id, className(row.answer), short(row.confidence, 4), ...row.annotated.map((c) => (c < 0 ? "" : className(c))),
        row.levels[looked].annotation < 0 ? "" : className(row.levels[looked].annotation), FATES[fateOf(row.levels[looked])]])).join(""));
  }
  const shape = h("button", { type: "button", click: () => { query.show = query.show === "list" ? "gallery" : "list"; name(); apply(false); } });
  const name = () => { shape.textContent = query.show === "list" ? "Gallery" : "List"; };
  name();
  top.append(form());
  pane.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  keys = (event) => {
    if (event.key === "j" || event.key === "k") {
      const row = list.step(event.key === "j" ? 1 : -1);
      if (!pane.hidden || query.open) open(row);
      return true;
    }
    return false;
  };
  queueMicrotask(() => {
    asked.replaceChildren(sentence(query, (changes) => change(changes, true)));
    list.show(query, clear);
    if (query.open) {
      const row = list.reveal(query.open);
      if (row) open(row);
      else source.one(query.open, open);
    }
  });
  return [folded, h(".bar-line", null, asked, h(".buttons", null, shape, h("button", { type: "button", click: clear }, "Clear"), h("button", { type: "button", click: save }, "Export as CSV"))),
    h(".split", null, h("section.list", { "aria-label": "Samples" }, list.nodes), pane)];
}
