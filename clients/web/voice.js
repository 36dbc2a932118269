// Whose voice goes into the call: a microphone's, or that of a sound for as long as it plays.

import { Meter, open } from "./microphone.js";
import { Player } from "./player.js";

export class Voice {
  #muted = false;
  #held = false; // by another program, or a telephone call
  #hearing = true;

  /** `call`: what the voice goes into; `start()` begins it, kept when it is live; `told()` hears of every change. */
  constructor({ call, start, told }) {
    Object.assign(this, { call, start, told });
    this.id = ""; // of the microphone; "" is the browser's own choice
    this.microphone = null; // its stream, while the call has it
    this.player = null;
    this.withoutMicrophone = false; // the call was begun by a sound
    this.meter = new Meter((hearing) => {
      this.#hearing = hearing;
      this.told();
    });
  }

  /** What is wrong with the microphone: "silent", "held" by another program, or null. */
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

  /** The stream of a call that begins. */
  async stream() {
    if (this.withoutMicrophone) return this.player.stream.clone();
    this.microphone = await open(this.id);
    this.#apply();
    return this.microphone;
  }

  /** The call has its stream: measure how loud it is. */
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

  /** The call has ended. */
  end() {
    this.meter.stop();
    this.microphone = null;
    this.told();
  }

  /** Nothing is said any more; the next call asks for the microphone. */
  quiet() {
    this.player?.stop();
    this.withoutMicrophone = false;
  }

  /** Another microphone, within a call too. */
  async choose(id) {
    this.id = id;
    if (!this.microphone) return;
    const before = this.microphone.getAudioTracks()[0];
    const fresh = (await open(id)).getAudioTracks()[0];
    if (!this.microphone) return fresh.stop(); // the call has ended meanwhile
    await this.call.speakThrough(fresh);
    this.microphone.removeTrack(before);
    this.microphone.addTrack(fresh); // the call lets go of it at its end
    before.stop();
    this.#apply();
    this.watch(this.microphone);
  }

  /** Say a sound file's bytes in the microphone's place; the promise is kept at its end. */
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
