// Choice of the face; the visitor's own faces can be renamed and deleted.

import { ask, showPicture } from "./access.js";
import { at, explain, refusal, within } from "./server.js";

const TIMEOUT_MS = 10_000;

const element = (id) => document.getElementById(id);

export class Faces {
  /** `shown(avatar)` is called with each avatar put on the stage, `chosen(avatar)` with each the visitor chooses. */
  constructor({ shown, chosen }) {
    Object.assign(this, { shown, chosen });
    this.current = null;
    this.all = new Map();
  }

  /** Show the avatars and choose the one called `name`, or the default if it does not exist. */
  show(avatars, name) {
    for (const avatar of avatars) this.#add(avatar);
    this.choose(this.all.get(name) ?? avatars.find((avatar) => avatar.default) ?? avatars[0]);
  }

  /** Add a new avatar and choose it. */
  take(avatar) {
    this.#add(avatar);
    this.choose(avatar);
    this.chosen(avatar);
  }

  choose(avatar) {
    if (!avatar) return;
    this.current = avatar;
    this.#input(avatar.name).checked = true;
    this.shown(avatar);
  }

  #input(name) {
    return document.querySelector(`#faces input[value="${CSS.escape(name)}"]`);
  }

  #add(avatar) {
    this.all.set(avatar.name, avatar);
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "face", value: avatar.name });
    input.addEventListener("change", () => {
      this.choose(avatar);
      this.chosen(avatar);
    });
    const picture = Object.assign(document.createElement("img"), { alt: "", loading: "lazy" });
    showPicture(picture, at(avatar.picture)).catch(() => {});
    const title = Object.assign(document.createElement("span"), { className: "title", textContent: avatar.title });
    label.title = `${avatar.title}: ${avatar.description}`;
    label.append(input, picture, title);
    if (avatar.own) label.append(this.#pen(avatar, label));
    element("faces").append(label);
  }

  #pen(avatar, label) {
    const button = Object.assign(document.createElement("button"), { type: "button", title: "Rename or delete" });
    button.setAttribute("aria-label", `Rename or delete ${avatar.title}`);
    button.append(icon("i-edit"));
    button.addEventListener("click", (event) => {
      event.preventDefault(); // the button is inside the label: its click must not choose the face
      this.#edit(avatar, label);
    });
    return button;
  }

  async #edit(avatar, label) {
    const [dialog, name, note, remove] = ["edit", "edit-name", "edit-note", "edit-delete"].map(element);
    name.value = avatar.title;
    note.textContent = `In a terminal: --avatar ${avatar.name}`;
    remove.textContent = "Delete";
    remove.onclick = async () => {
      if (remove.textContent === "Delete") return void (remove.textContent = "Delete for good?");
      if (await told(note, () => change("DELETE", avatar))) {
        dialog.close();
        this.#remove(avatar, label);
      }
    };
    dialog.returnValue = "";
    dialog.onclose = async () => {
      if (dialog.returnValue !== "save" || name.value.trim() === avatar.title) return;
      const answer = await told(element("photo-note"), () => change("PATCH", avatar, { title: name.value }));
      if (answer) {
        Object.assign(avatar, await answer.json());
        label.querySelector(".title").textContent = avatar.title;
      }
    };
    dialog.showModal();
    name.select();
  }

  #remove(avatar, label) {
    this.all.delete(avatar.name);
    label.remove();
    if (this.current !== avatar) return;
    this.choose([...this.all.values()].find((each) => each.default) ?? [...this.all.values()][0]);
    this.chosen(this.current);
  }
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

async function change(method, avatar, query = {}) {
  const address = at(`/avatars/${avatar.name}?${new URLSearchParams(query)}`);
  const response = await within(TIMEOUT_MS, null, (signal) => ask(address, { method, signal }));
  if (!response.ok) throw await refusal(response);
  return response;
}

async function told(note, act) {
  try {
    note.textContent = "";
    return await act();
  } catch (error) {
    note.textContent = explain(error);
    return null;
  }
}
