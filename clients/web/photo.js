// Makes a face from the visitor's photo, chosen with the tile or dropped anywhere on the page.

import { ask } from "./access.js";
import { at, explain, refusal, within } from "./server.js";

const MAKE_TIMEOUT_MS = 150_000;
const CONSENT = "A face is personal: use a photo of yourself, or of someone who agreed.";

/** Accept photos; `made(avatar)` is called with each new avatar, as GET /avatars lists it. Uses #photo, #photo-note. */
export function takePhotos(made) {
  const input = document.getElementById("photo");
  const tile = input.parentElement;
  const note = document.getElementById("photo-note");
  tile.hidden = false;
  tile.title = CONSENT;

  async function take(file, face) {
    if (!file || tile.classList.contains("busy")) return;
    tile.classList.add("busy");
    input.disabled = true;
    note.textContent = `Making a face of it … ${CONSENT}`;
    try {
      const { avatar, notes } = await send(file, face);
      note.textContent = notes.map((text) => `Note: ${text}.`).join(" ");
      made(avatar);
    } catch (error) {
      note.textContent = explain(error);
      if (error.faces) note.append(...choices(error.faces, (chosen) => take(file, chosen)));
    } finally {
      tile.classList.remove("busy");
      input.disabled = false;
      input.value = ""; // so that the same photo may be chosen again
    }
  }

  input.addEventListener("change", () => take(input.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
}

/** Return a button for each of the photo's faces. */
function choices(count, take) {
  return Array.from({ length: count }, (_, index) => {
    const place = index === 0 ? "leftmost" : index === count - 1 ? "rightmost" : `${index + 1}.`;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
    button.textContent = place;
    button.setAttribute("aria-label", `Take the face that is ${place}, counted from the left`);
    button.addEventListener("click", () => take(index + 1));
    return button;
  });
}

async function send(file, face) {
  const wanted = new URLSearchParams({ title: file.name });
  if (face) wanted.set("face", face);
  const response = await within(MAKE_TIMEOUT_MS, null, (signal) =>
    ask(at(`/avatars?${wanted}`), { method: "POST", body: file, signal }),
  );
  if (response.status !== 201) throw await refusal(response);
  return response.json();
}
