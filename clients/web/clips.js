// A voice for those without a microphone: bundled clips and typed text, played into the call as if they were spoken.

import { ask } from "./access.js";
import { at, refusal, within } from "./server.js";

const LOAD_MS = 15_000;

export const CLIPS = [
  { file: "samples/hello.ogg", title: "Hello" },
  { file: "samples/story.ogg", title: "A story" },
  { file: "samples/numbers.ogg", title: "Numbers" },
];

/** What is played goes into `stream`, and nowhere else: the avatar says it. */
export class Player {
  constructor() {
    this.context = new AudioContext({ sampleRate: 48_000 });
    this.outlet = this.context.createMediaStreamDestination();
    this.source = null;
  }

  get stream() {
    return this.outlet.stream;
  }

  /** Play a sound file's bytes; the promise is kept when it has ended or another has taken its place. */
  async play(bytes) {
    await this.context.resume();
    const buffer = await this.context.decodeAudioData(bytes);
    this.stop();
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(this.outlet);
    this.source = source;
    await new Promise((done) => {
      source.addEventListener("ended", done, { once: true });
      source.start();
    });
    if (this.source === source) this.source = null;
  }

  stop() {
    this.source?.stop();
    this.source = null;
  }

  close() {
    this.stop();
    this.context.close();
  }
}

export async function clip(file) {
  const response = await within(LOAD_MS, null, (signal) => fetch(at(file), { signal }));
  if (!response.ok) throw await refusal(response);
  return response.arrayBuffer();
}

/** Text, spoken by the server's speech synthesiser. */
export async function spoken(text, language) {
  const address = at(`/voice?${new URLSearchParams({ language })}`);
  const response = await within(LOAD_MS, null, (signal) => ask(address, { method: "POST", body: text, signal }));
  if (!response.ok) throw await refusal(response);
  return response.arrayBuffer();
}
