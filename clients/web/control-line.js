// The control channel of a session (docs/control.md), from the client's side.

import { subprotocols } from "./access.js";

const VERSION = 1;

export class ControlLine {
  #socket = null;
  #can = [];

  /** `told(event)` hears every event. */
  constructor(told) {
    this.told = told;
  }

  /** What the face takes; nothing before the server's greeting. */
  get can() {
    return this.#can;
  }

  open(location, token) {
    if (this.#socket) return;
    const socket = new WebSocket(`${String(location).replace(/^http/, "ws")}/control`, subprotocols(token));
    this.#socket = socket;
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "hello", version: VERSION })));
    socket.addEventListener("message", ({ data }) => this.#socket === socket && this.#take(JSON.parse(data)));
    socket.addEventListener("close", () => this.#socket === socket && this.close());
  }

  close() {
    this.#socket?.close();
    this.#socket = null;
    this.#can = [];
  }

  /** Throws where there is no session. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new Error("There is no session.");
    this.#socket.send(JSON.stringify(message));
  }

  #take(event) {
    if (event.type === "hello") this.#can = event.can;
    this.told(event);
  }
}
