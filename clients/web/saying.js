// Texts for a session to say (docs/api.md): POST and DELETE /session/TOKEN/say.

import { ask } from "./access.js";
import { refusal } from "./server.js";

/** The text's number, when all of it is on its way; null where it was interrupted before. */
export async function say(location, token, text, { language = "en", interrupt = false } = {}) {
  const query = new URLSearchParams({ language, interrupt: interrupt ? "1" : "0" });
  return (await told(`${location}/say?${query}`, { method: "POST", body: text, token })).speech;
}

/** The milliseconds that were heard of the texts said. */
export async function interrupt(location, token) {
  return (await told(`${location}/say`, { method: "DELETE", token })).heard_ms;
}

async function told(address, options) {
  const response = await ask(address, options);
  if (!response.ok) throw await refusal(response);
  return response.json();
}
