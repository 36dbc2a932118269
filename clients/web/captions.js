// Who says what, below the face: the captions of the control channel (docs/control.md).

const KEPT_MS = 6_000; // after its last word

export class Captions {
  /** `panel`: where they are shown. */
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
