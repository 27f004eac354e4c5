// Where a page is opened as a file, browsers allow no worker: the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inner = this.frame.contentDocument;
      const script = inner.createElement("script");
      const load = (source) => new Promise((resolve, reject) => {
        const one = inner.createElement("script");
        one.src = source;
        one.onload = resolve;
        one.onerror = () => reject(new Error(`cannot load ${source}`));
        inner.body.appendChild(one);
      });
      const outer = this;
      const own = this.frame.contentWindow;
      own.importScripts = (...sources) => sources.reduce((before, one) => before.then(() => load(one)), Promise.resolve());
      own.postMessage = (data) => outer.dispatchEvent(new MessageEvent("message", { data }));
      this.ready = load(address);
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
