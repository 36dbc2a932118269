// The page's controls for the voice: the microphone, clips, typed text.

import { CLIPS, clip, spoken } from "./clips.js";
import { explain } from "./server.js";

const LANGUAGES = { en: "English", de: "Deutsch", es: "Español", fr: "Français", it: "Italiano", pt: "Português", nl: "Nederlands", pl: "Polski", cmn: "中文", hi: "हिन्दी" };
const PROBLEMS = {
  silent: "We hear nothing. Is the right microphone chosen, and switched on?",
  held: "Another program or a telephone call holds the microphone.",
};
const LOOK_MS = 50; // between two updates of the level

const element = (id) => document.getElementById(id);

export class Speaking {
  /** `view`: the <avatar-view>; `warn(text)` shows a warning until called with ""; `louder()` turns the volume up. */
  constructor({ view, settings, warn, louder }) {
    Object.assign(this, { view, settings, warn, louder });
    this.silentOften = false; // whether long silence is normal, as while listening to an agent's answer
    this.told = "";
    view.setAttribute("microphone", settings.get("microphone") ?? "");
    view.addEventListener("avatar-microphone", ({ detail }) => this.#follow(detail));
    setInterval(() => (element("level").style.transform = `scaleX(${view.level.toFixed(3)})`), LOOK_MS);
    this.#choices();
    this.#languages();
    this.listDevices();
  }

  mute() {
    if (!element("mute").disabled) this.view.microphoneMuted = !this.view.microphoneMuted;
  }

  async listDevices() {
    const devices = await this.view.microphones();
    const chosen = this.settings.get("microphone") ?? "";
    const options = [new Option("Default", ""), ...devices.map(({ id, name }) => new Option(name, id))];
    element("device").replaceChildren(...options);
    element("device").value = devices.some(({ id }) => id === chosen) ? chosen : "";
  }

  /** Let the avatar say a sound; `find` returns its bytes. */
  async say(button, find) {
    if (button.classList.contains("playing")) return this.view.stopPlaying();
    button.classList.add("playing");
    try {
      const bytes = await find();
      this.louder();
      await this.view.play(bytes);
    } catch (error) {
      this.warn(explain(error));
    } finally {
      button.classList.remove("playing");
    }
  }

  #follow({ open, muted, problem }) {
    if (open && element("mute").disabled) this.listDevices(); // their names are available now
    element("mute").disabled = !open;
    element("mute").setAttribute("aria-pressed", muted);
    element("mute").title = muted ? "Unmute (m)" : "Mute (m)";
    const expected = problem === "silent" && this.silentOften;
    const text = open && muted ? "You are muted." : expected ? "" : (PROBLEMS[problem] ?? "");
    if (text !== this.told) this.warn((this.told = text));
  }

  #choices() {
    element("mute").addEventListener("click", () => this.mute());
    element("device").addEventListener("change", ({ target }) => {
      this.settings.set("microphone", target.value);
      this.view.setAttribute("microphone", target.value);
    });
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.listDevices());
    for (const { file, title } of CLIPS) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
      button.textContent = `▸ ${title}`;
      button.addEventListener("click", () => this.say(button, () => clip(file)));
      element("clips").append(button);
    }
    element("say").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = element("text").value.trim();
      if (text) this.say(event.target.querySelector("button"), () => spoken(text, element("language").value));
    });
  }

  #languages() {
    const language = element("language");
    language.append(...Object.entries(LANGUAGES).map(([code, name]) => new Option(name, code)));
    language.value = this.settings.get("language") ?? "en";
    language.addEventListener("change", () => this.settings.set("language", language.value));
  }
}
