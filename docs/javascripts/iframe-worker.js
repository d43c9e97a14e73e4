/* Search in pages that are opened as files: there a Worker may not load its script, so a hidden frame runs it. */
"use strict";
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inner = frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source !== this.inner) return;
        const copy = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(copy);
        if (this.onmessage) this.onmessage(copy);
      });
      const page = this.inner.document;
      const add = (fill) => {
        const script = page.createElement("script");
        const done = new Promise((resolve, reject) => {
          script.onload = resolve;
          script.onerror = reject;
        });
        fill(script);
        page.body.append(script);
        return done;
      };
      this.inner.importScripts = (...scripts) =>
        scripts.reduce((before, src) => before.then(() => add((script) => (script.src = src))), Promise.resolve());
      this.inner.postMessage = (data) => window.dispatchEvent(new MessageEvent("message", { data, source: this.inner }));
      this.ready = add((script) => (script.src = new URL(url, document.baseURI).href));
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.inner.frameElement.remove();
    }
  };
}
