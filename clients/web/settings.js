// The visitor's choices, stored in this browser. Parameters of the page's address override them:
// ?avatar=mina&background=blur.

const KEY = "avatar";
const SHARED = ["avatar", "background", "size"]; // allowed in the address

export class Settings {
  constructor() {
    this.kept = stored();
    this.asked = Object.fromEntries(
      [...new URLSearchParams(window.location.search)].filter(([name]) => SHARED.includes(name)),
    );
  }

  get(name) {
    return this.asked[name] ?? this.kept[name];
  }

  set(name, value) {
    delete this.asked[name];
    this.kept[name] = value;
    try {
      localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // No storage, as in private windows: the choice lasts until the page is closed.
    }
  }
}

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY));
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}
