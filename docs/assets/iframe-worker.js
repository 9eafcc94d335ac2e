// Search from disk: browsers start no worker for a page that they opened from a file, so the index would not be read.
// There, and only there, a worker's script runs in a hidden frame instead. Without this file Zensical's plugin
// `offline` loads one from a CDN, which a page on a disk without a network has not (its name is what Zensical goes by).
(() => {
  if (location.protocol !== "file:") return;

  const message = (data) => new MessageEvent("message", { data: structuredClone(data) });  // nothing is shared

  class FrameWorker extends EventTarget {
    constructor(script) {
      super();
      this.onmessage = this.onmessageerror = this.onerror = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => {
        const event = message(data);
        queueMicrotask(() => this.#hear(event));
      };
      this.ready = new Promise((resolve) => {
        const element = inside.document.createElement("script");
        element.src = new URL(script, document.baseURI).href;
        element.onload = () => resolve(inside);
        element.onerror = () => this.#hear(new ErrorEvent("error", { message: `${element.src} cannot be loaded` }));
        inside.document.body.append(element);
      });
    }

    #hear(event) {
      const heard = this[`on${event.type}`];
      if (heard) heard.call(this, event);
      this.dispatchEvent(event);
    }

    postMessage(data) {
      const event = message(data);
      this.ready.then((inside) => inside.dispatchEvent(event));
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.Worker = FrameWorker;
})();
