/* The samples: in the page, or fetched. */

// A file holds so many samples at most; the summary is of all.
const n = REMOTE ? S.n : boot.ids.length, LEVELS = S.levels.length, last = LEVELS - 1;
const LEVEL_OF = S.teachers.map((t) => S.levels.findIndex((at) => at.level === t.level));
const GIVEN = S.teachers.map((t) => (t.specialty === null ? null : new Set(t.specialty)));
const RELATIONS = { "": "any", spoke: "names a class", abstained: "abstains", agrees: "agrees with the student",
  differs: "differs from the student", assigned: "was assigned" };
const FATES = { "": "any", kept: "kept", overruled: "overruled", silent: "no label" };
const fateOf = (l) => (l.kept ? "kept" : l.annotation < 0 ? "silent" : "overruled");

function insideSource() {
  const KINDS = { i1: Int8Array, i2: Int16Array, i4: Int32Array, u2: Uint16Array };
  const C = {};
  for (const [name, { kind, data }] of Object.entries(boot.columns)) {
    const text = atob(data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    C[name] = new KINDS[kind](bytes.buffer);
  }
  const m = S.teachers.length;
  let lower = null;
  const searched = () => (lower ??= boot.ids.map((id, i) => (boot.texts ? `${id}\n${boot.texts[i]}` : id).toLowerCase()));
  if (window.requestIdleCallback) requestIdleCallback(searched);
  const share = (x) => (x === 65535 ? null : x / 1e4);
  const orders = new Map();

  /** What samples are sorted by: an array of numbers, the smallest first. */
  function keys(name, k) {
    if (name === "look") return C.rank;
    if (name === "draw") return C.draw;
    if (name === "answer" || name === "confidence") return C[name];
    const out = new Int32Array(n);
    if (name === "id") Array.from(out.keys()).sort((a, b) => (boot.ids[a] < boot.ids[b] ? -1 : boot.ids[a] > boot.ids[b] ? 1 : a - b)).forEach((i, place) => { out[i] = place; });
    else if (name === "differ") {
      for (let t = 0; t < m; t++) for (let i = 0, at = t * n; i < n; i++, at++) if (C.annotated[at] >= 0 && C.annotated[at] !== C.answer[i]) out[i]++;
    } else if (name === "assigned") for (let i = 0; i < n; i++) out[i] = C.annotation[k * n + i];
    else if (name === "fate") for (let i = 0; i < n; i++) out[i] = C.kept[k * n + i] ? 0 : C.annotation[k * n + i] < 0 ? 2 : 1;
    else for (let i = 0; i < n; i++) out[i] = i;
    return out;
  }
  function order(sort, k) {
    const cached = `${sort} ${k}`;
    if (!orders.has(cached)) {
      const down = sort.startsWith("-"), by = keys(down ? sort.slice(1) : sort, k), sign = down ? -1 : 1;
      // Key and place in one number: sorted without a function that compares, ties in the order of the file.
      const packed = new Float64Array(n);
      for (let i = 0; i < n; i++) packed[i] = sign * by[i] * n + i;
      packed.sort();
      orders.set(cached, Int32Array.from(packed, (value) => value - n * Math.floor(value / n)));
    }
    return orders.get(cached);
  }

  /** Where the teacher, or any of them, stands as asked for: one pass over each one's column. */
  function byTeacher(query) {
    const mask = new Uint8Array(n), { relation, says, against, instead } = query, ALL = query.teacher < 0;
    for (let t = ALL ? 0 : query.teacher; t < (ALL ? m : query.teacher + 1); t++) {
      const k = LEVEL_OF[t];
      if ((instead >= 0 && k < 1) || (relation === "assigned" && k < 0)) continue;
      for (let i = 0, at = t * n; i < n; i++, at++) {
        if (mask[i]) continue;
        const named = C.annotated[at];
        if (says >= 0 && named !== says) continue;
        if (relation === "spoke" && named < 0) continue;
        if (relation === "abstained" && named >= 0) continue;
        if (relation === "agrees" && (named < 0 || named !== C.answer[i])) continue;
        if (relation === "differs" && (named < 0 || named === C.answer[i])) continue;
        if (relation === "assigned" && C.assigned[k * n + i] !== t) continue;
        if (against >= 0) {
          const other = C.annotated[against * n + i];
          if (named < 0 || other < 0 || named === other) continue;
        }
        if (instead >= 0) {
          if (C.assigned[k * n + i] !== t || C.assigned[(k - 1) * n + i] !== instead) continue;
          const before = C.annotation[(k - 1) * n + i], now = C.annotation[k * n + i];
          if (before < 0 || now < 0 || before === now) continue;
        }
        mask[i] = 1;
      }
    }
    return mask;
  }

  /** A test of one sample for a query: only what is asked for is looked at. */
  function test(query) {
    const tests = [], level = (query.level < 0 ? last : query.level) * n, part = query.q.toLowerCase();
    if (query.answer >= 0) tests.push((i) => C.answer[i] === query.answer);
    if (query.low > 0 || query.high < 100) {
      const low = query.low * 100, high = query.high * 100;
      tests.push((i) => C.confidence[i] >= low && C.confidence[i] <= high);
    }
    if (query.moved && C.before) tests.push((i) => C.before[i] >= 0 && C.before[i] !== C.answer[i]);
    if (query.was >= 0 && C.before) tests.push((i) => C.before[i] === query.was);
    if (query.kept === "kept") tests.push((i) => C.kept[level + i] === 1);
    if (query.kept === "silent") tests.push((i) => C.annotation[level + i] < 0);
    if (query.kept === "overruled") tests.push((i) => C.kept[level + i] === 0 && C.annotation[level + i] >= 0);
    if (query.reason >= 0) tests.push((i) => C.kept[level + i] === 0 && C.reason[level + i] === query.reason);
    if (query.relation || Math.max(query.says, query.against, query.instead) >= 0) {
      const mask = byTeacher(query);
      tests.push((i) => mask[i] === 1);
    }
    if (part) { const texts = searched(); tests.push((i) => texts[i].includes(part)); }
    return (i) => tests.every((f) => f(i));
  }
  function row(i) {
    return {
      i, id: boot.ids[i], text: boot.texts ? boot.texts[i] : undefined, answer: C.answer[i],
      confidence: share(C.confidence[i]), second: C.second[i], secondConfidence: share(C.secondConfidence[i]),
      rank: C.rank[i], doubt: share(C.doubt[i]), dispute: share(C.dispute[i]), influence: share(C.influence[i]),
      before: C.before ? C.before[i] : -1,
      near: Array.from({ length: C.nearest ? C.nearest.length / n : 0 }, (_, place) => place * n + i).filter((at) => C.nearest[at] >= 0).map((at) => {
        const j = C.nearest[at];
        return { i: j, id: boot.ids[j], answer: C.answer[j], annotation: C.annotation[last * n + j], distance: share(C.distance[at]) };
      }),
      annotated: S.teachers.map((_, t) => C.annotated[t * n + i]),
      support: S.teachers.map((_, t) => share(C.support[t * n + i])),
      levels: S.levels.map((_, k) => ({
        assigned: C.assigned[k * n + i], annotation: C.annotation[k * n + i], kept: C.kept[k * n + i] === 1,
        reason: C.reason[k * n + i], probability: share(C.probability[k * n + i]), answer: C.levelAnswer[k * n + i],
      })),
    };
  }
  return {
    find(query) {
      const fits = test(query), found = order(query.sort, query.level < 0 ? last : query.level).filter(fits);
      return { total: found.length, get: (place) => row(found[place]), place: (id) => { const i = boot.ids.indexOf(id); return i < 0 ? -1 : found.indexOf(i); } };
    },
    one(id, done) { const i = boot.ids.indexOf(id); if (i >= 0) done(row(i)); },
    async all(query) { const found = this.find(query); return Array.from({ length: found.total }, (_, place) => found.get(place)); },
  };
}

function fetchedSource() {
  const PAGE = 200;
  const asked = (query, offset, limit) => {
    const parts = new URLSearchParams({ offset, limit });
    for (const key of ASKED) if (query[key] !== EMPTY[key]) parts.set(key, query[key]);
    return fetch(`api/samples?${parts}`).then((answer) => answer.json()).then((found) => {
      if (found.error) throw new Error(found.error);
      return found;
    });
  };
  return {
    /** Rows that aren't there yet are null; `ready` is called when some have come. */
    find(query, ready) {
      const pages = new Map(), result = { total: null, get, error: null, place: () => -1 };
      function ask(page) {
        pages.set(page, null);
        asked(query, page * PAGE, PAGE).then((found) => {
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
        return rows ? rows[place % PAGE] ?? null : null;
      }
      ask(0);
      return result;
    },
    async one(id, done) {
      const row = (await asked({ ...EMPTY, q: id }, 0, 500)).rows.find((found) => found.id === id);
      if (row) done(row);
    },
    async all(query) {
      const rows = [];
      for (;;) {
        const found = await asked(query, rows.length, 500);
        rows.push(...found.rows);
        if (!found.rows.length || rows.length >= found.total) return rows;
      }
    },
  };
}
const source = REMOTE ? fetchedSource() : insideSource();

// -- pictures ------------------------------------------------------------------------------------------------------

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
  if (boot.pictures) return h("img.picture", { src: `image/${row.i}`, alt: `Sample ${row.id}`, loading: side > 100 ? "eager" : "lazy", width: side, height: side });
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

// -- where teachers stand ------------------------------------------------------------------------------------------

const CROWD = S.teachers.length > 16; // so many are counted, not marked one by one
const MARK = { agree: "●", differ: "✕", outside: "○", silent: "·" };
const STANCE = { agree: "agrees", differ: "differs", outside: "differs, on a class outside the specialty that it was given", silent: "abstains" };
const stance = (row, t) => (row.annotated[t] < 0 ? "silent" : row.annotated[t] === row.answer ? "agree" : GIVEN[t] && !GIVEN[t].has(row.answer) ? "outside" : "differ");
function marks(row) {
  const counts = { agree: 0, differ: 0, outside: 0, silent: 0 };
  const nodes = row.annotated.map((_, t) => {
    const kind = stance(row, t);
    counts[kind]++;
    return CROWD ? null : h(`span.${kind}`, null, MARK[kind]);
  });
  const label = `${counts.agree} agree, ${counts.differ + counts.outside} differ, ${counts.silent} abstain`;
  return h(CROWD ? "span.marks.counts" : "span.marks", { role: "img", "aria-label": label, title: label },
    CROWD ? [h("span.agree", null, `${MARK.agree} ${counts.agree}`), h("span.differ", null, `${MARK.differ} ${counts.differ + counts.outside}`)] : nodes);
}
function legend() {
  const kinds = ["agree", "differ", ...(GIVEN.some(Boolean) ? ["outside"] : []), "silent"];
  return h("p.legend", null, "Teachers: ", kinds.map((kind) => h("span.entry", null, h(`span.${kind}`, { "aria-hidden": "true" }, MARK[kind]), ` ${STANCE[kind]}`)));
}
