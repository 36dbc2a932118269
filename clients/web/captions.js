// Captions of both sides below the face, from the control channel (docs/control.md).

const KEPT_MS = 6_000; // shown after the last update

export class Captions {
  /** `panel`: the element that shows them. */
  constructor(panel) {
    this.panel = panel;
  }

  show({ of, text, interrupted }) {
    if (!text && of === "person") return;
    this.panel.dataset.of = of;
    this.panel.textContent = interrupted ? `${text} …` : text;
    clearTimeout(this.fading);
    this.fading = setTimeout(() => (this.panel.textContent = ""), KEPT_MS);
  }

  clear() {
    clearTimeout(this.fading);
    this.panel.textContent = "";
  }
}
