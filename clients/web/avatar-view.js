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
const REFUSED_MS = 3_000; // an error within this time after steering counts as its refusal
const GREETING_MS = 8_000; // to wait for the control channel's greeting, which lists what the face can do

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
  #numbers = null; // function that closes the numbers stream
  #state = "idle";
  #changed = new Set();
  #steered = -Infinity; // time of the last steering
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
      if (!this.#changed.size) queueMicrotask(() => this.#settle()); // several attributes may be set together
      this.#changed.add(name);
    }
  }

  /** idle, connecting, waiting (for a place), live, lost (reconnecting) or failed. */
  get state() {
    return this.#state;
  }

  /** Whether a call is open or being attempted. */
  get active() {
    return this.#call.active;
  }

  /** The session's address, while one is open: anyone who knows it may push speech there. */
  get session() {
    return this.#call.session?.location.href ?? null;
  }

  get video() {
    return this.shadowRoot.querySelector("video");
  }

  /** The canvas on which a face with a transparent background is drawn. */
  get canvas() {
    return this.shadowRoot.querySelector("canvas");
  }

  /** Level of the microphone, 0 to 1. */
  get level() {
    return this.#voice.meter.level;
  }

  /** Whether the microphone is muted; kept from call to call. */
  get microphoneMuted() {
    return this.#voice.muted;
  }

  set microphoneMuted(muted) {
    this.#voice.muted = Boolean(muted);
  }

  /** Return the microphones as { id, name }; browsers reveal names only once a microphone was allowed. */
  microphones() {
    return list();
  }

  /** Call the server. `microphone`: its id; default: the browser's choice, or no microphone with `speech`. */
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

  /** Let the face say a sound as if it came from the microphone; resolves at its end. `sound`: a file's bytes or a Blob.
   * If no call is open, start one without a microphone. */
  async play(sound) {
    await this.#voice.play(sound instanceof Blob ? await sound.arrayBuffer() : sound);
  }

  /** Stop the sound that is playing. */
  stopPlaying() {
    this.#voice.player?.stop();
  }

  /** Return the last one to two minutes of the call as a File; null if `keep` is not set or nothing was recorded. */
  async lastMinute() {
    return (await this.#keeper?.save()) ?? null;
  }

  /** Say a text after those queued, or instead of them; resolves with its number once the whole text is queued. */
  async say(text, { language = "en", interrupt = false } = {}) {
    return say(this.#location(), this.#token(), text, { language, interrupt });
  }

  /** Silence the face at once; resolves with how many milliseconds of the texts were heard. */
  async interrupt() {
    return interrupt(this.#location(), this.#token());
  }

  /** Send a message of the control protocol (docs/control.md), such as { type: "gesture", name: "nod" }. */
  control(message) {
    this.#control.send(message);
  }

  /** Layout of the video's pictures; null for plain ones. */
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

  /** Return the token for this server; the page's token is only for the page's own server. */
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

  /** Apply changed attributes: within the call if the face can be steered to them, else by a new call. */
  #settle(late = false) {
    const changed = [...this.#changed];
    this.#changed.clear();
    if (!this.isConnected) return;
    if (changed.some((name) => OF_THE_PORTRAIT.includes(name))) this.#showPortrait();
    if (!this.active) return;
    if (this.#state === "live" && this.#control.awaited && !late) {
      for (const name of changed) this.#changed.add(name); // until the greeting says what can be steered
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

  /** Start a call; the promise resolves when it is live. */
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

  /** Subscribe to the face's numbers; used when no pictures are sent. */
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
      return void this.#again(); // a new call either applies it from the start or reports why not
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

/** Return " in N s" for the wait before the next call, or "" if it is shorter than half a second. */
function soon(milliseconds) {
  return milliseconds < 500 ? "" : ` in ${Math.round(milliseconds / 1000)} s`;
}

customElements.define("avatar-view", AvatarView);
