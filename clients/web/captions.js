// Who says what, below the face: the captions of the control channel (docs/control.md).

import { subprotocols } from "./access.js";

const VERSION = 1;
const KEPT_MS = 6_000; // after its last word

/**
 * Shows captions while a call lasts. `panel`: where; `state` is told idle,
 * listening, thinking or speaking; `trouble` what is wrong with who speaks, "" when nothing is. */
export class Captions {
  constructor(panel, { state = () => {}, trouble = () => {} } = {}) {
    Object.assign(this, { panel, state, trouble });
    this.socket = null;
  }

  /** location: of the session. */
  open(location) {
    this.close();
    const socket = new WebSocket(`${String(location).replace(/^http/, "ws")}/control`, subprotocols());
    this.socket = socket;
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "hello", version: VERSION })));
    socket.addEventListener("message", ({ data }) => this.socket === socket && this.#take(JSON.parse(data)));
  }

  close() {
    this.socket?.close();
    this.socket = null;
    clearTimeout(this.fading);
    this.panel.textContent = "";
  }

  #take(event) {
    if (event.type === "state") this.state(event.state);
    if (event.type === "agent") this.trouble(event.message);
    if (event.type === "caption") this.#show(event);
  }

  #show({ of, text, interrupted }) {
    if (!text && of === "person") return;
    this.panel.dataset.of = of;
    this.panel.textContent = interrupted ? `${text} …` : text;
    clearTimeout(this.fading);
    this.fading = setTimeout(() => (this.panel.textContent = ""), KEPT_MS);
  }
}
