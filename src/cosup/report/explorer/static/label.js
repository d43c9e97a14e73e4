/* Label mode: one sample large, classes on keys, whatever is answered is kept at once. */

const SITTING = 50, KEYS = 9, FIXED = 10; // so many classes have their places and keys: 1 to 9, then 0
const ORDERS = {
  look: ["Where a look is worth most", "The student is trained on these answers. They measure nothing: the samples were chosen because they are doubtful."],
  uniform: ["Drawn uniformly", "These answers measure how good the student is, and are never trained on. The answers of student and teachers are hidden, so that they do not lead you."],
};

function labelPage(query) {
  const order = query.order === "uniform" ? "uniform" : "look", whole = REMOTE || n === S.n;
  const chosen = order === "uniform" && whole ? "uniform" : "look";
  const asked = { ...EMPTY, sort: chosen === "uniform" ? "draw" : S.ranked ? "look" : "confidence" };
  const box = h(".labelling"), done = [], times = [], typed = [];
  let found = null, place = 0, row = null, goal = 0, hidden = chosen === "uniform", busy = false, began = performance.now(), finished = false;
  const fresh = () => answers.count(chosen);

  const bar = h("progress", { max: SITTING, value: 0, "aria-label": "Samples labelled" }), progress = h("span", { role: "status", "aria-live": "polite" }), kept = h("p.kept", { role: "status" });
  const stage = h(".stage"), note = h("input.note", { type: "text", id: "note", "aria-label": "A note on this sample", placeholder: "Note (N)", dir: "auto", maxlength: "500" });
  const search = h("input", { type: "search", id: "class-search", "aria-label": "Find a class", placeholder: "Find a class (/)", autocomplete: "off", dir: "auto", input: () => choices() });
  const classes = h(".classes", { role: "group", "aria-label": "Classes" }), hide = h("button", { type: "button", click: () => { hidden = !hidden; draw(); } });
  const who = h("input", { type: "text", value: answers.who, "aria-label": "Your name", placeholder: "your name", maxlength: "100", input: () => { answers.who = who.value; } });
  note.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); note.blur(); } });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { event.preventDefault(); const first = classes.querySelector("button"); if (first) first.click(); }
    if (event.key === "Escape") { search.value = ""; choices(); search.blur(); }
  });
  const buttons = h(".buttons", null,
    h("button", { type: "button", click: () => give("skip") }, "Skip (S)"), h("button", { type: "button", click: () => give("unsure") }, "Unsure (U)"),
    h("button", { type: "button", click: undo }, "Undo (Z)"), hide, h("button", { type: "button", click: () => download("answers.csv", answers.csv()) }, "Download answers.csv"));

  /** The classes offered: all where these are few, always in the same places; else those that this sample may be. */
  function offered() {
    const part = search.value.trim().toLowerCase(), every = S.classes.map((_, c) => c);
    if (part) return every.filter((c) => S.classes[c].toLowerCase().includes(part)).sort((a, b) => S.classes[b].toLowerCase().startsWith(part) - S.classes[a].toLowerCase().startsWith(part)).slice(0, KEYS);
    if (every.length <= FIXED) return every;
    const often = every.slice().sort((a, b) => S.answers[b] - S.answers[a]);
    if (hidden) return often.slice(0, KEYS).sort((a, b) => a - b);
    return [...new Set([row.answer, row.second, ...row.annotated, ...often].filter((c) => c >= 0))].slice(0, KEYS);
  }
  function choices() {
    classes.replaceChildren(...offered().map((c, i) => h("button.class", { type: "button", "data-class": c, click: () => give("label", c) }, h("kbd", { "aria-hidden": "true" }, String((i + 1) % 10)), bdi(className(c)))));
    if (!classes.children.length) classes.append(h("span.soft", null, "No class of this name."));
  }
  function state() {
    const count = fresh(), left = Math.max(goal - count, 0), usual = times.slice(-10).sort((a, b) => a - b)[Math.floor(Math.min(times.length, 10) / 2)];
    bar.max = SITTING; bar.value = SITTING - left;
    progress.textContent = `${number(SITTING - left)} of ${SITTING}${usual && left ? `, ${usual * left < 60 ? "less than a minute" : `about ${plural(Math.round(usual * left / 60), "minute")}`} left` : ""}`;
    kept.textContent = answers.error ? `Note: ${answers.error}` : boot.label ? `Each answer is written to ${boot.label.path} at once.` : "Answers are kept in this browser; download answers.csv when you are done.";
    kept.classList.toggle("bad", Boolean(answers.error));
  }
  function draw() {
    if (!row) return;
    hide.textContent = hidden ? "Show the answers (H)" : "Hide the answers (H)";
    const spoken = row.annotated.map((c, t) => [t, c]).filter(([, c]) => c >= 0);
    stage.replaceChildren(h(".sample", null,
      PICTURES ? picture(row, innerWidth < 700 ? 240 : 320) : null,
      row.text === undefined ? null : h("p.quote", { dir: "auto" }, row.text),
      h("p.soft", null, "Sample ", bdi(row.id)),
      PICTURES || row.text !== undefined ? null : nearTable(row, { linked: false, hidden }) || h("p.soft", null, "Neither images nor texts were given: cosup explore --images or --text shows them.")),
    h(".annotations", null, hidden ? h("p.soft", null, "The answers of student and teachers are hidden.") : [
      row.answer < 0 ? null : h("p", null, "Student: ", h("b", null, bdi(className(row.answer))), ` ${short(row.confidence)}`, row.secondConfidence >= 0.005 ? [", then ", bdi(className(row.second)), ` ${short(row.secondConfidence)}`] : null),
      h("ul.chips", { "aria-label": "Annotations" }, spoken.slice(0, 20).map(([t, c]) => h(`li.${stance(row, t)}`, null, bdi(S.teachers[t].name), ": ", h("b", null, bdi(className(c)))))),
      spoken.length > 20 ? h("p.soft", null, `and ${spoken.length - 20} more`) : null, spoken.length ? null : h("p.soft", null, "No teacher names a class.")]),
    classes, ...(S.classes.length > FIXED ? [search] : []), note, buttons);
    choices();
    state();
  }
  async function give(status, person = -1) {
    if (!row || busy) return;
    performance.mark("given");
    busy = true;
    const answer = { id: row.id, person, chosen, status, note: note.value.trim() };
    done.push({ id: row.id, place, before: answers.all.get(row.id) });
    if (status === "label") times.push((performance.now() - began) / 1000);
    note.value = search.value = "";
    document.activeElement.blur();
    await answers.put(answer); // whatever happens now, it is kept
    performance.mark("kept");
    performance.measure("kept answer", "given", "kept");
    place++;
    busy = false;
    advance();
    performance.measure("next sample", "kept");
    const early = typed.shift();
    if (early && box.isConnected) keys(early);
  }
  function undo() {
    const step = done.pop();
    if (!step) return;
    answers.remove(step.id).then(state);
    place = step.place;
    finished = false;
    advance();
  }
  /** Go on to the next sample without an answer. */
  function advance() {
    if (!finished && fresh() >= goal && done.length) { finished = true; end(); return; }
    for (;;) {
      if (found.total !== null && place >= found.total) { end(); return; }
      const next = found.get(place);
      if (!next) return; // it is on its way
      const before = answers.all.get(next.id);
      if (!before) { row = next; break; }
      // One that was drawn uniformly and is among those most worth a look is trained on, and measures no more.
      if (chosen === "look" && before.chosen === "uniform") answers.put({ ...before, chosen: "look" });
      place++;
    }
    began = performance.now();
    if (!box.contains(stage)) frame();
    draw();
    if (!REMOTE) return;
    const next = found.get(place + 1);
    found.get(Math.min(place + 20, (found.total || 1) - 1)); // ask in time for the page that comes next
    if (boot.pictures && next) new Image().src = `image/${next.i}`;
  }
  function frame() { box.replaceChildren(h(".line", null, bar, progress, who), kept, stage); }
  function end() {
    const looks = answers.count("look"), draws = answers.count("uniform");
    const file = boot.label ? quoted(boot.label.path) : "answers.csv";
    const type = `cosup check ${FOLDER}${looks ? ` --answers ${file}` : ""}${draws ? ` --uniform ${file}` : ""} --out ${FOLDER}-checked`;
    const result = h(".result", { "aria-live": "polite" });
    row = null;
    box.replaceChildren(...[
      h("h3", null, fresh() >= goal ? "Done." : "There is no further sample in this order."),
      h("p", null, `${plural(looks, "answer")} to train on, ${number(draws)} drawn uniformly.`),
      boot.label ? null : h("p", null, h("button.primary", { type: "button", click: () => download("answers.csv", answers.csv()) }, "Download answers.csv"), " Then:"),
      looks + draws ? command(type) : null,
      boot.label && looks + draws ? h("p", null, h("button.primary", { type: "button", click: (event) => check(event.target, result) }, "Check now, and show what moved")) : null, result,
      h("p", null, h("button", { type: "button", click: () => { goal = fresh() + SITTING; finished = false; advance(); } }, `${SITTING} more`), " ",
        link("label", { order: order === "look" ? "uniform" : "look" }, order === "look" ? "Then some drawn uniformly, to measure" : "Some where a look is worth most")), kept, h("p", null, h("button", { type: "button", click: undo }, "Undo the last (Z)"))].filter(Boolean));
    state();
  }
  async function check(button, result) {
    button.disabled = true;
    result.replaceChildren(h("p.soft", null, "Training …"));
    try {
      await answers.flush();
      const checked = await answers.call("POST", {}, "api/check");
      result.replaceChildren(h("pre", { tabindex: "0" }, isolated(checked.text)), checked.flips.length ? table("Answers that are others now.", ["Before → now", "Samples"], checked.flips.map(([a, b, count]) => [[bdi(className(a)), " → ", bdi(className(b))], number(count)])) : h("p", null, "No answer changed."),
        h("p", null, "The new model is in ", bdi(checked.folder), ":"), command(`cosup explore --compare ${FOLDER} ${quoted(checked.folder)}`));
    } catch (error) { result.replaceChildren(h("p.bad", null, `It could not be checked: ${error.message}`)); }
    button.disabled = false;
  }
  keys = (event) => {
    if (!box.isConnected) return false;
    if (busy) { typed.push(event); return true; } // typed faster than answers are stored
    const digit = /^\d$/.test(event.key) ? (Number(event.key) + 9) % 10 : -1, low = event.key.toLowerCase();
    if (digit >= 0 && row) { const button = classes.children[digit]; if (button && button.tagName === "BUTTON") give("label", Number(button.dataset.class)); return true; }
    if (low === "z" || event.key === "Backspace") { undo(); return true; }
    if (!row) return false;
    if (low === "s") give("skip");
    else if (low === "u" || event.key === "?") give("unsure");
    else if (low === "n") note.focus();
    else if (low === "h") { hidden = !hidden; draw(); } else if (event.key === "/" && search.isConnected) search.focus();
    else return false;
    return true;
  };
  if (order === "uniform" && !whole) return [h("p", null, "This file holds a part of the samples, and a uniform draw needs all. Serve them:"), command(`cosup serve ${FOLDER} --label`)];
  answers.ready.then(() => {
    goal = fresh() + SITTING - (fresh() % SITTING);
    frame();
    answers.listeners.clear();
    answers.listeners.add(() => { if (box.isConnected) state(); });
    who.value = answers.who;
    found = source.find(asked, () => { if (!row && !finished) advance(); });
    advance();
  });
  return [
    h("p.orders", null, Object.entries(ORDERS).map(([key, [title]]) => h("a", { href: address("label", { order: key }), "aria-current": key === order ? "true" : null }, title))),
    h("p.lead", null, ORDERS[order][1]),
    h("p.soft.hint", null, `Keys: 1 to ${Math.min(KEYS, S.classes.length)}${S.classes.length === FIXED ? " and 0" : ""} name a class, ${S.classes.length > FIXED ? "/ finds one, " : ""}S skips, U is unsure, Z undoes, N notes, H hides or shows the answers.`), box];
}
