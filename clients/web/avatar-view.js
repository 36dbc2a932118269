// <avatar-view>: the avatar on a page of any site. See docs/web-component.md.
//
//   <script type="module" src="https://SERVER/avatar-view.js"></script>
//   <avatar-view server="https://SERVER" avatar="mina" speech></avatar-view>
//
// Another site's page needs `avatar serve --allow-origin https://PAGE`.

import { token } from "./access.js";
import { Call } from "./call.js";
import { ControlLine } from "./control-line.js";
import { Keeper } from "./keeper.js";
import { adjust, play } from "./loudspeaker.js";
import { list } from "./microphone.js";
import { numbersOf } from "./numbers-line.js";
import { overlay } from "./overlay.js";
import { showPortrait } from "./portrait.js";
import { readout } from "./readout.js";
import { interrupt, say } from "./saying.js";
import { explain, sentence } from "./server.js";
import { ground, steering } from "./steering.js";
import { build, showJoined } from "./view-parts.js";
import { Voice } from "./voice.js";

const OF_THE_FACE = ["energy", "emotion", "intensity", "still", "pose-style", "expression-scale", "yaw", "pitch", "roll"];
const OF_THE_SESSION = ["avatar", "background", "key", "mode", "size", "lookahead", ...OF_THE_FACE];
const OF_THE_PORTRAIT = ["server", "token", "avatar", "background"];
const OF_THE_CALL = ["server", "token", "avatar", "background", "mode", "size", "energy", "emotion", "intensity"];
const OF_THE_PAGE = ["alt", "microphone", "muted", "volume"];
const REFUSED_MS = 3_000; // in which the server refuses what it was steered to
const GREETING_MS = 8_000; // of a call's control line, whose greeting says what a face can be steered to

export class AvatarView extends HTMLElement {
  static observedAttributes = [...new Set([...OF_THE_PORTRAIT, ...OF_THE_CALL, ...OF_THE_PAGE])];
  #call = new Call({
    query: () => this.#query(),
    voice: () => (this.hasAttribute("speech") ? null : this.#voice.stream()),
    token: () => this.#token(),
    control: true,
    on: (event, detail) => this.#follow(event, detail),
  });
  #voice = new Voice({ call: this.#call, start: () => this.#begun(), told: () => this.#tellMicrophone() });
  #control = new ControlLine((event) => this.#take(event));
  #keeper = null;
  #numbers = null; // ends them
  #state = "idle";
  #changed = new Set();
  #steered = -Infinity; // when
  #leave = () => this.stop();

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    build(root);
    overlay(this.video, this.canvas, () => this.#layout, (where) => showJoined(root, where === "canvas"));
  }

  connectedCallback() {
    this.#showPortrait();
    adjust(this, this.video);
    window.addEventListener("pagehide", this.#leave);
    if (this.hasAttribute("autostart")) this.start();
  }

  disconnectedCallback() {
    window.removeEventListener("pagehide", this.#leave);
    this.stop();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "alt") this.#image.alt = now ?? "";
    else if (name === "muted" || name === "volume") adjust(this, this.video);
    else if (name === "microphone") this.#voice.choose(now ?? "").catch((error) => this.#complain(error));
    else {
      if (!this.#changed.size) queueMicrotask(() => this.#settle()); // several are set at a time
      this.#changed.add(name);
    }
  }

  /** idle, connecting, waiting (for a place), live, lost (it calls again) or failed. */
  get state() {
    return this.#state;
  }

  /** Whether there is a call, or one is tried. */
  get active() {
    return this.#call.active;
  }

  /** The session's address, while there is one: whoever knows it may speak there. */
  get session() {
    return this.#call.session?.location.href ?? null;
  }

  get video() {
    return this.shadowRoot.querySelector("video");
  }

  /** On which a face without a background is drawn, over what lies behind the element. */
  get canvas() {
    return this.shadowRoot.querySelector("canvas");
  }

  /** How loud the microphone is, 0 to 1. */
  get level() {
    return this.#voice.meter.level;
  }

  /** Whether the microphone is muted; it stays so over several calls. */
  get microphoneMuted() {
    return this.#voice.muted;
  }

  set microphoneMuted(muted) {
    this.#voice.muted = Boolean(muted);
  }

  /** Microphones as { id, name }; their names are told once one has been allowed. */
  microphones() {
    return list();
  }

  /** Call the server. `microphone`: the id of one; without, the browser's own choice, or none with `speech`. */
  start({ microphone = this.getAttribute("microphone") ?? "" } = {}) {
    this.#call.stop();
    this.#voice.id = microphone;
    return this.#again();
  }

  stop() {
    this.#call.stop();
    this.#voice.quiet();
    this.#enter("idle");
  }

  /** Let the face say a sound, as if it came from the microphone; resolves at its end. `sound`: a file's bytes, or a Blob.
   * Where there is no call, it begins one without a microphone. */
  async play(sound) {
    await this.#voice.play(sound instanceof Blob ? await sound.arrayBuffer() : sound);
  }

  /** End the sound that is played. */
  stopPlaying() {
    this.#voice.player?.stop();
  }

  /** The last minute of the call, or up to two, as a File; null where `keep` is not set, or nothing was kept. */
  async lastMinute() {
    return (await this.#keeper?.save()) ?? null;
  }

  /** Say a text after what is said already, or in its place; resolves with its number when all of it is on its way. */
  async say(text, { language = "en", interrupt = false } = {}) {
    return say(this.#location(), this.#token(), text, { language, interrupt });
  }

  /** Silence, at once; resolves with the milliseconds that were heard of the texts said. */
  async interrupt() {
    return interrupt(this.#location(), this.#token());
  }

  /** Send a message of the control protocol (docs/control.md), such as { type: "gesture", name: "nod" }. */
  control(message) {
    this.#control.send(message);
  }

  /** Of the pictures; null where they are as usual. */
  get #layout() {
    return (this.active && this.#call.session?.layout) || null;
  }

  get #image() {
    return this.shadowRoot.querySelector("img");
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
    if (this.hasAttribute("numbers")) query.set("pictures", "0");
    for (const name of OF_THE_SESSION) if (this.getAttribute(name)) query.set(name, this.getAttribute(name));
    if (query.has("background")) query.set("background", ground(query.get("background")));
    return query;
  }

  #location() {
    if (!this.session) throw new Error("There is no session.");
    return this.session;
  }

  #showPortrait() {
    const [name, background] = [this.getAttribute("avatar"), ground(this.getAttribute("background"))];
    showPortrait(this.#image, { server: this.#server(), token: this.#token(), name, background });
  }

  /** Do as the attributes say now: within the call where the face can be steered to it, else by another call. */
  #settle(late = false) {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (!this.isConnected) return;
    if (changed.some((name) => OF_THE_PORTRAIT.includes(name))) this.#showPortrait();
    if (!this.active) return;
    if (this.#state === "live" && this.#control.awaited && !late) {
      for (const name of changed) this.#changed.add(name); // until it is known what can be done within the call
      return void setTimeout(() => this.#changed.size && this.#settle(true), GREETING_MS);
    }
    const messages = this.#state === "live" ? steering(this, changed, this.#control.can) : null;
    if (!messages) {
      this.#call.stop();
      return void this.#again();
    }
    this.#steered = performance.now();
    for (const message of messages) this.#control.send(message);
  }

  #again() {
    const [always, pictures] = [this.hasAttribute("autostart"), !this.hasAttribute("numbers")];
    Object.assign(this.#call, { server: this.#server(), always, pictures });
    return this.#call.start();
  }

  /** Begin a call; the promise is kept when it is live. */
  #begun() {
    return new Promise((done, failed) => {
      const follow = ({ detail }) => {
        if (detail.state === "live") done();
        else if (detail.state === "failed" || detail.state === "idle") failed(new Error(detail.message));
        else return;
        this.removeEventListener("avatar-state", follow);
      };
      this.addEventListener("avatar-state", follow);
      this.#again();
    });
  }

  #follow(event, detail) {
    switch (event) {
      case "asking":
        return this.#enter("connecting", "Asking for the microphone …");
      case "voice":
        return this.#voice.watch(detail);
      case "connecting":
        return this.#enter("connecting", "Connecting …");
      case "waiting":
        return this.#enter("waiting", `${sentence(detail.message)} You come in by yourself.`);
      case "stream":
        if (this.video.srcObject !== detail) this.video.srcObject = detail;
        return play(this, this.video, () => this.#tell("blocked"));
      case "live":
        this.#control.open(this.#call.session, this.#token());
        if (this.hasAttribute("numbers")) this.#listen();
        if (this.hasAttribute("keep") && Keeper.kind && !this.#layout) this.#keeper ??= new Keeper(this.video.srcObject);
        return this.#enter("live", "Live.");
      case "weak":
        return this.#enter("connecting", "The connection is weak …");
      case "report":
        return this.#tell("report", readout(detail, this.#call.session.delay));
      case "lost":
        this.#complain(detail);
        return this.#enter("lost", `Connection lost, calling again${soon(detail.wait)} …`);
      case "ended":
        return this.#clear();
      case "failed":
        this.#voice.quiet();
        this.#complain(detail);
        return this.#enter("failed", explain(detail));
    }
  }

  /** To the face's numbers, where it is not drawn. */
  #listen() {
    const told = ({ time_ms, blendshapes, head }) => this.#tell("numbers", { time_ms, blendshapes, head });
    this.#numbers ??= numbersOf(this.#call.session, this.#token(), this.getAttribute("numbers") || 25, told);
  }

  #clear() {
    this.#numbers?.();
    this.#numbers = null;
    this.#control.close();
    this.#keeper?.stop();
    this.#keeper = null;
    this.#voice.end();
  }

  #take(event) {
    if (event.type === "hello" && this.#changed.size) this.#settle();
    if (event.type === "error" && performance.now() - this.#steered < REFUSED_MS) {
      this.#steered = -Infinity;
      this.#call.stop();
      return void this.#again(); // it may be had from the beginning on, or the call says why not
    }
    this.#tell("event", event);
  }

  #enter(state, message = "") {
    if (state === "idle" && this.#state === "idle") return;
    this.#state = state;
    this.setAttribute("state", state);
    this.#tell("state", { state, message });
  }

  #complain(error) {
    this.#tell("error", { message: explain(error) });
  }

  #tellMicrophone() {
    const { microphone, muted, problem } = this.#voice;
    this.#tell("microphone", { open: microphone !== null, muted, problem });
  }

  #tell(kind, detail = {}) {
    this.dispatchEvent(new CustomEvent(`avatar-${kind}`, { detail, bubbles: true, composed: true }));
  }
}

/** When it calls again, where that takes long enough to be told. */
function soon(milliseconds) {
  return milliseconds < 500 ? "" : ` in ${Math.round(milliseconds / 1000)} s`;
}

customElements.define("avatar-view", AvatarView);
