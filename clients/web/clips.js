// Sounds for the avatar to say without a microphone: bundled clips, and typed text spoken by the server's voice.

import { ask } from "./access.js";
import { at, refusal, within } from "./server.js";

const LOAD_MS = 15_000;

export const CLIPS = [
  { file: "samples/hello.ogg", title: "Hello" },
  { file: "samples/story.ogg", title: "A story" },
  { file: "samples/numbers.ogg", title: "Numbers" },
];

export async function clip(file) {
  const response = await within(LOAD_MS, null, (signal) => fetch(at(file), { signal }));
  if (!response.ok) throw await refusal(response);
  return response.arrayBuffer();
}

/** Return text as sound, spoken by the server's speech synthesiser. */
export async function spoken(text, language) {
  const address = at(`/voice?${new URLSearchParams({ language })}`);
  const response = await within(LOAD_MS, null, (signal) => ask(address, { method: "POST", body: text, signal }));
  if (!response.ok) throw await refusal(response);
  return response.arrayBuffer();
}
