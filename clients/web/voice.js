// The voice sent in the call: the microphone, or a sound while it plays.

import { Meter, open } from "./microphone.js";
import { Player } from "./player.js";

export class Voice {
  #muted = false;
  #held = false; // whether another program or a telephone call uses the microphone
  #hearing = true;

  /** `call`: sends the voice; `start()` starts it, resolves when live; `told()` is called on every change. */
  constructor({ call, start, told }) {
    Object.assign(this, { call, start, told });
    this.id = ""; // the microphone's; "" lets the browser choose
    this.microphone = null; // its stream, while the call uses it
    this.player = null;
    this.withoutMicrophone = false; // whether the call was started to play a sound
    this.meter = new Meter((hearing) => {
      this.#hearing = hearing;
      this.told();
    });
  }

  /** The microphone's problem: "silent", "held" by another program, or null. */
  get problem() {
    if (!this.microphone) return null;
    if (this.#held) return "held";
    return this.#hearing || this.#muted || this.player ? null : "silent";
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    this.#apply();
    this.meter.forgive();
    this.told();
  }

  /** Return the stream for a call that starts. */
  async stream() {
    if (this.withoutMicrophone) return this.player.stream.clone();
    this.microphone = await open(this.id);
    this.#apply();
    return this.microphone;
  }

  /** Measure the level of the call's stream. */
  watch(stream) {
    this.meter.watch(stream);
    this.#held = false;
    const [track] = stream.getAudioTracks();
    for (const sign of ["mute", "unmute"]) {
      track.addEventListener(sign, () => {
        this.#held = sign === "mute";
        this.told();
      });
    }
    this.told();
  }

  /** Stop measuring and forget the microphone: the call has ended. */
  end() {
    this.meter.stop();
    this.microphone = null;
    this.told();
  }

  /** Stop the sound; the next call uses the microphone. */
  quiet() {
    this.player?.stop();
    this.withoutMicrophone = false;
  }

  /** Switch to another microphone, also during a call. */
  async choose(id) {
    this.id = id;
    if (!this.microphone) return;
    const before = this.microphone.getAudioTracks()[0];
    const fresh = (await open(id)).getAudioTracks()[0];
    if (!this.microphone) return fresh.stop(); // the call ended meanwhile
    await this.call.speakThrough(fresh);
    this.microphone.removeTrack(before);
    this.microphone.addTrack(fresh); // the call stops it at its end
    before.stop();
    this.#apply();
    this.watch(this.microphone);
  }

  /** Send a sound file's bytes instead of the microphone; resolves at its end. */
  async play(bytes) {
    const player = (this.player ??= new Player());
    try {
      if (!this.call.active) {
        this.withoutMicrophone = true;
        await this.start();
      }
      if (!this.withoutMicrophone) await this.call.speakThrough(player.stream.getAudioTracks()[0]);
      this.told();
      await player.play(bytes);
    } finally {
      if (!player.source && !this.withoutMicrophone && this.microphone) {
        await this.call.speakThrough(this.microphone.getAudioTracks()[0]);
        this.player?.close();
        this.player = null;
        this.meter.forgive();
      }
    }
  }

  #apply() {
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !this.#muted;
  }
}
