// Whose voice goes into the call: a microphone's, or that of a clip or a text for as long as it lasts.

import { CLIPS, Player, clip, spoken } from "./clips.js";
import { Meter, list, open } from "./microphone.js";
import { explain } from "./server.js";

const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", fr: "Français", it: "Italiano", pt: "Português", nl: "Nederlands", pl: "Polski", cmn: "中文", hi: "हिन्दी" };
const UNHEARD = "We hear nothing. Is the right microphone chosen, and switched on?";

const element = (id) => document.getElementById(id);

export class Voice {
  /** `start()` begins a call where there is none; `warn(text)` shows a warning until it is called with "". */
  constructor({ call, settings, start, warn, louder }) {
    Object.assign(this, { call, settings, start, warn, louder });
    this.muted = false;
    this.microphone = null; // the stream of the call's microphone, where it has one
    this.player = null;
    this.withoutMicrophone = false; // it was begun with a clip
    this.silentOften = false; // who listens to an answer says nothing
    const expected = () => this.silentOften || this.muted || this.player;
    this.meter = new Meter(element("level"), (hearing) => this.warn(hearing || expected() ? "" : UNHEARD));
    this.#choices();
  }

  /** The stream of a call that begins. */
  async stream() {
    if (this.withoutMicrophone) return this.player.stream.clone();
    this.microphone = await open(this.settings.get("microphone") ?? "");
    this.#apply();
    this.listDevices();
    return this.microphone;
  }

  /** The call has its stream: show how loud it is. */
  watch(stream) {
    element("mute").disabled = this.withoutMicrophone;
    this.meter.watch(stream);
    const [track] = stream.getAudioTracks();
    track.addEventListener("mute", () => this.warn("Another program or a telephone call holds the microphone."));
    track.addEventListener("unmute", () => this.warn(""));
  }

  /** The call has ended. */
  end() {
    this.meter.stop();
    this.microphone = null;
    element("mute").disabled = true;
  }

  /** Nothing is said any more; the next call asks for the microphone. */
  quiet() {
    this.player?.stop();
    this.withoutMicrophone = false;
  }

  mute(muted = !this.muted) {
    if (element("mute").disabled) return;
    this.muted = muted;
    element("mute").setAttribute("aria-pressed", muted);
    element("mute").title = muted ? "Unmute (m)" : "Mute (m)";
    this.#apply();
    this.warn(muted ? "You are muted." : "");
  }

  async listDevices() {
    const devices = await list();
    const chosen = this.settings.get("microphone") ?? "";
    const options = [new Option("Default", ""), ...devices.map(({ id, name }) => new Option(name, id))];
    element("device").replaceChildren(...options);
    element("device").value = devices.some(({ id }) => id === chosen) ? chosen : "";
  }

  /** Let the avatar say a sound; `find` gives its bytes. */
  async say(button, find) {
    const ownPlayer = (this.player ??= new Player());
    if (button.classList.contains("playing")) return ownPlayer.stop();
    button.classList.add("playing");
    try {
      const bytes = await find();
      if (!this.call.active) {
        this.withoutMicrophone = true;
        await this.start();
      }
      if (!this.withoutMicrophone) await this.call.speakThrough(ownPlayer.stream.getAudioTracks()[0]);
      this.louder();
      this.warn("");
      await ownPlayer.play(bytes);
    } catch (error) {
      this.warn(explain(error));
    } finally {
      button.classList.remove("playing");
      if (!ownPlayer.source && !this.withoutMicrophone && this.microphone) {
        await this.call.speakThrough(this.microphone.getAudioTracks()[0]);
        this.player?.close();
        this.player = null;
      }
    }
  }

  #apply() {
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !this.muted;
  }

  async #another() {
    this.settings.set("microphone", element("device").value);
    if (!this.microphone) return;
    try {
      const before = this.microphone.getAudioTracks()[0];
      const fresh = (await open(element("device").value)).getAudioTracks()[0];
      await this.call.speakThrough(fresh);
      this.microphone.removeTrack(before);
      this.microphone.addTrack(fresh); // the call lets go of it at its end
      before.stop();
      this.#apply();
      this.watch(this.microphone);
    } catch (error) {
      this.warn(explain(error));
    }
  }

  #choices() {
    element("mute").addEventListener("click", () => this.mute());
    element("device").addEventListener("change", () => this.#another());
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    for (const { file, title } of CLIPS) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
      button.textContent = `▸ ${title}`;
      button.addEventListener("click", () => this.say(button, () => clip(file)));
      element("clips").append(button);
    }
    const language = element("language");
    language.append(...Object.entries(LANGUAGES).map(([code, name]) => new Option(name, code)));
    language.value = this.settings.get("language") ?? "en";
    language.addEventListener("change", () => this.settings.set("language", language.value));
    element("say").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = element("text").value.trim();
      if (text) this.say(event.target.querySelector("button"), () => spoken(text, language.value));
    });
  }
}
