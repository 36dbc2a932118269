// <avatar-view>: the avatar on a page of any site. See docs/web-component.md.
//
//   <script type="module" src="https://SERVER/avatar-view.js"></script>
//   <avatar-view server="https://SERVER" avatar="mina" speech></avatar-view>
//
// Another site's page needs `avatar serve --allow-origin https://PAGE`.

import { ask, showPicture, subprotocols, token } from "./access.js";
import { Call } from "./call.js";
import { open } from "./microphone.js";
import { at, explain, refusal } from "./server.js";

const OF_THE_SESSION = ["avatar", "background", "key", "mode", "size", "energy", "emotion", "intensity", "lookahead"];
const STYLE = `
  :host { display: inline-block; position: relative; aspect-ratio: 1; overflow: hidden; }
  video, img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; }
  video { opacity: 0; } :host([state="live"]) video { opacity: 1; }`;
const VERSION = 1;

export class AvatarView extends HTMLElement {
  static observedAttributes = ["server", "avatar", "token"];
  #call = null;
  #socket = null;
  #state = "idle";

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.innerHTML = `<style>${STYLE}</style><img alt="" crossorigin="anonymous"><video playsinline autoplay></video>`;
  }

  connectedCallback() {
    this.#showPortrait();
    if (this.hasAttribute("autostart")) this.start();
  }

  disconnectedCallback() {
    this.stop();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.#showPortrait();
  }

  /** idle, connecting, waiting (for a place), live or lost (it calls again). */
  get state() {
    return this.#state;
  }

  /** The session's address, while there is one: whoever knows it may speak there. */
  get session() {
    return this.#call?.session?.location.href ?? null;
  }

  get video() {
    return this.shadowRoot.querySelector("video");
  }

  /** Call the server. `microphone`: the id of one; without, the browser's own choice, or none with `speech`. */
  start({ microphone = this.getAttribute("microphone") ?? "" } = {}) {
    this.stop();
    this.#call = new Call({
      server: this.#server(),
      token: this.#token(),
      query: () => this.#query(),
      voice: this.hasAttribute("speech") ? null : () => open(microphone),
      always: this.hasAttribute("autostart"),
      on: (event, detail) => this.#follow(event, detail),
    });
    return this.#call.start();
  }

  stop() {
    this.#call?.stop();
    this.#call = null;
    this.#enter("idle");
  }

  /** Say a text after what is said already, or in its place; resolves with its number when all of it is on its way. */
  async say(text, { language = "en", interrupt = false } = {}) {
    const query = new URLSearchParams({ language, interrupt: interrupt ? "1" : "0" });
    const response = await ask(`${this.#location()}/say?${query}`, { method: "POST", body: text, token: this.#token() });
    if (!response.ok) throw await refusal(response);
    return (await response.json()).speech;
  }

  /** Silence, at once; resolves with the milliseconds that were heard of the texts said. */
  async interrupt() {
    const response = await ask(`${this.#location()}/say`, { method: "DELETE", token: this.#token() });
    if (!response.ok) throw await refusal(response);
    return (await response.json()).heard_ms;
  }

  /** Send a message of the control protocol (docs/control.md), such as { type: "gesture", name: "nod" }. */
  control(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new Error("There is no session.");
    this.#socket.send(JSON.stringify(message));
  }

  #server() {
    const address = this.getAttribute("server") ?? new URL(".", import.meta.url).href;
    return new URL(address.endsWith("/") ? address : `${address}/`, document.baseURI).href;
  }

  /** Of this server; that of the page's address is for the page's own. */
  #token() {
    const own = new URL(this.#server()).origin === window.location.origin;
    return this.getAttribute("token") ?? (own ? token() : null);
  }

  #query() {
    const query = new URLSearchParams(this.hasAttribute("speech") ? { speech: "1" } : {});
    for (const name of OF_THE_SESSION) if (this.hasAttribute(name)) query.set(name, this.getAttribute(name));
    return query;
  }

  #location() {
    if (!this.session) throw new Error("There is no session.");
    return this.session;
  }

  async #showPortrait() {
    const server = this.#server();
    try {
      const { avatars } = await (await ask(at("/avatars", server), { token: this.#token() })).json();
      const name = this.getAttribute("avatar");
      const chosen = avatars.find((avatar) => (name ? avatar.name === name : avatar.default));
      const image = this.shadowRoot.querySelector("img");
      if (chosen) await showPicture(image, at(chosen.picture, server), this.#token());
    } catch {
      // Without a portrait the face comes all the same.
    }
  }

  #follow(event, detail) {
    switch (event) {
      case "asking":
      case "connecting":
        return this.#enter("connecting");
      case "waiting":
        return this.#enter("waiting");
      case "stream":
        this.video.srcObject = detail;
        return this.#play();
      case "live":
        this.#listen();
        return this.#enter("live");
      case "lost":
        this.#tell("error", { message: explain(detail) });
        return this.#enter("lost");
      case "failed":
        this.#tell("error", { message: explain(detail) });
        return this.#enter("idle");
      default:
        return undefined;
    }
  }

  /** Browsers play sound only where the visitor has clicked; else the face is mute until then. */
  async #play() {
    const { video } = this;
    video.muted = this.hasAttribute("muted");
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return;
      video.muted = true;
      this.#tell("blocked");
      window.addEventListener("pointerdown", () => (video.muted = this.hasAttribute("muted")), { once: true });
      await video.play().catch(() => undefined);
    }
  }

  #listen() {
    this.#socket?.close();
    const address = `${this.#location().replace(/^http/, "ws")}/control`;
    const socket = new WebSocket(address, subprotocols(this.#token()));
    this.#socket = socket;
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "hello", version: VERSION })));
    socket.addEventListener("message", ({ data }) => this.#tell("event", JSON.parse(data)));
  }

  #enter(state) {
    if (state !== "live") {
      this.#socket?.close();
      this.#socket = null;
    }
    if (state === this.#state) return;
    this.#state = state;
    this.setAttribute("state", state);
    this.#tell("state", { state });
  }

  #tell(kind, detail = {}) {
    this.dispatchEvent(new CustomEvent(`avatar-${kind}`, { detail, bubbles: true, composed: true }));
  }
}

customElements.define("avatar-view", AvatarView);
