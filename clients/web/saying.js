// Texts for a session to say (docs/api.md): POST and DELETE /session/TOKEN/say.

import { ask } from "./access.js";
import { refusal } from "./server.js";

/** Say a text; return its number once the whole text is queued, or null if it was interrupted before that. */
export async function say(location, token, text, { language = "en", interrupt = false } = {}) {
  const query = new URLSearchParams({ language, interrupt: interrupt ? "1" : "0" });
  return (await told(`${location}/say?${query}`, { method: "POST", body: text, token })).speech;
}

/** Silence the face; return how many milliseconds of the texts were heard. */
export async function interrupt(location, token) {
  return (await told(`${location}/say`, { method: "DELETE", token })).heard_ms;
}

async function told(address, options) {
  const response = await ask(address, options);
  if (!response.ok) throw await refusal(response);
  return response.json();
}
