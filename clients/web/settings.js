// What was chosen, kept in this browser. What the page's address says comes first: ?avatar=mina&background=blur.

const KEY = "avatar";
const SHARED = ["avatar", "background", "size"]; // those that an address may hold

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
      // Private windows may keep nothing; the choice holds as long as the page.
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
