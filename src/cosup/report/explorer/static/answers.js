/* A person's answers: kept in this browser at once, and written to the fit's folder where the page is served for it.

   Each is stored durably before the next sample is shown; one that the server has not confirmed is sent again. */

const STATUS = { label: "labelled", unsure: "unsure", skip: "skipped" };
const answers = {
  all: new Map(), // id -> {id, person, chosen, status, who, when, note, sent}
  database: null, error: null, who: (boot.label && boot.label.who) || "", listeners: new Set(), sending: Promise.resolve(),

  /** Read what this browser and the server hold. */
  async open() {
    try {
      this.database = await new Promise((resolve, reject) => {
        const asked = indexedDB.open("cosup", 1);
        asked.onupgradeneeded = () => asked.result.createObjectStore("answers", { keyPath: ["fit", "id"] });
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
      const range = IDBKeyRange.bound([boot.key, ""], [boot.key, "\uffff"]);
      for (const kept of await this.ask("readonly", (store) => store.getAll(range))) this.all.set(kept.id, kept);
    } catch (error) { this.error = `this browser keeps nothing (${error.message}); download answers.csv before you leave`; }
    if (boot.label) {
      try {
        const there = await this.call("GET");
        const known = new Set(there.map((answer) => answer.id));
        for (const answer of this.all.values()) if (answer.sent && !known.has(answer.id)) this.all.delete(answer.id);
        for (const answer of there) if (!this.all.has(answer.id) || this.all.get(answer.id).sent) this.all.set(answer.id, { ...answer, fit: boot.key, sent: true });
        await this.flush();
      } catch (error) { this.error = `the server does not answer (${error.message}); answers are kept in this browser until it does`; }
    }
    this.tell();
  },
  ask(mode, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction("answers", mode, { durability: "strict" });
      const asked = work(transaction.objectStore("answers"));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  },
  async call(method, body, path = "api/answers") {
    const answer = await fetch(path, { method, headers: { "X-Cosup-Token": boot.label.token, ...(body ? { "Content-Type": "application/json" } : {}) }, body: body ? JSON.stringify(body) : undefined });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error || answer.statusText);
    return content;
  },
  async put(answer) {
    answer = { ...answer, fit: boot.key, who: this.who, when: new Date().toISOString().replace(/\.\d+/, ""), sent: false };
    this.all.set(answer.id, answer);
    await this.keep(answer);
  },
  async remove(id) {
    this.all.delete(id);
    await this.keep({ fit: boot.key, id, status: "removed", sent: false });
  },
  async keep(answer) {
    try {
      if (this.database) await this.ask("readwrite", (store) => (answer.status === "removed" && !boot.label ? store.delete([answer.fit, answer.id]) : store.put(answer)));
    } catch (error) { this.error = `this browser could not keep the last answer (${error.message}); download answers.csv`; }
    // Stored here, it is safe; it goes to the server in its turn.
    if (boot.label) this.sending = this.sending.then(() => this.send(answer)).then(() => this.tell());
    this.tell();
  },
  async send(answer) {
    try {
      await this.call("POST", { id: answer.id, person: answer.status === "label" ? S.classes[answer.person] : "", chosen: answer.chosen || "", status: answer.status, who: answer.who || "", when: answer.when || "", note: answer.note || "" });
      this.error = null;
      answer.sent = true;
      if (this.database) await this.ask("readwrite", (store) => (answer.status === "removed" ? store.delete([answer.fit, answer.id]) : store.put(answer)));
    } catch (error) { this.error = `not written to the folder yet (${error.message}); kept in this browser, and sent again with the next answer`; }
  },
  /** Send what the server has not confirmed. */
  async flush() {
    await this.sending;
    for (const answer of [...this.all.values()]) if (!answer.sent) await this.send(answer);
    for (const answer of [...this.all.values()]) if (answer.status === "removed") this.all.delete(answer.id);
  },
  count(chosen) { return [...this.all.values()].filter((answer) => answer.status === "label" && (!chosen || answer.chosen === chosen)).length; },
  csv() {
    const rows = [...this.all.values()].filter((answer) => answer.status !== "removed").sort((a, b) => (a.when < b.when ? -1 : a.when > b.when ? 1 : a.id < b.id ? -1 : 1));
    return csvLine(["id", "person", "chosen", "status", "who", "when", "note"])
      + rows.map((a) => csvLine([a.id, a.status === "label" ? S.classes[a.person] : "", a.chosen, a.status, a.who || "", a.when, a.note || ""])).join("");
  },
  tell() { for (const listener of this.listeners) listener(); },
};
answers.ready = answers.open();
