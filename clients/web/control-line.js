// The control channel of a session (docs/control.md), from the client's side: a data channel, or a WebSocket.

import { subprotocols } from "./access.js";

const VERSION = 1;
const OPEN_MS = 5_000; // for a data channel to open; then a WebSocket is used

export class ControlLine {
  #carrier = null; // a data channel or a WebSocket: both have send, close, and the events used here
  #can = [];

  /** `told(event)` is called with every event. */
  constructor(told) {
    this.told = told;
  }

  /** Message types that the face supports; empty before the server's greeting. */
  get can() {
    return this.#can;
  }

  /** Whether the channel is open or opening and the server's greeting is still to come. */
  get awaited() {
    return this.#carrier !== null && !this.#can.length;
  }

  /** Open the channel of a call's session. `token`: for its server. */
  open({ location, channel }, token) {
    if (this.#carrier) return;
    const socket = () => new WebSocket(`${String(location).replace(/^http/, "ws")}/control`, subprotocols(token));
    this.#carry(channel ?? socket());
    if (!channel) return;
    setTimeout(() => {
      if (this.#carrier === channel && channel.readyState === "connecting") this.#carry(socket());
    }, OPEN_MS);
  }

  close() {
    this.#carrier?.close();
    this.#carrier = null;
    this.#can = [];
  }

  /** Send a message. Throws without a session. */
  send(message) {
    if (!this.#can.length) throw new Error("There is no session.");
    this.#carrier.send(JSON.stringify(message));
  }

  #carry(carrier) {
    this.#carrier = carrier;
    const greet = () => this.#carrier === carrier && carrier.send(JSON.stringify({ type: "hello", version: VERSION }));
    if (carrier.readyState === "open") greet(); // a data channel's state; a socket's states are numbers
    else carrier.addEventListener("open", greet);
    carrier.addEventListener("message", ({ data }) => this.#carrier === carrier && this.#take(JSON.parse(data)));
    carrier.addEventListener("close", () => this.#carrier === carrier && this.close());
  }

  #take(event) {
    if (event.type === "hello") this.#can = event.can;
    this.told(event);
  }
}
