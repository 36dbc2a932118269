// Records the last minute of the avatar, to be saved as a file. A recording cannot be trimmed at its start, so two
// overlap: each lasts two minutes and starts halfway through the other; the older one always holds the last minute.

const MINUTE_MS = 60_000;
const KINDS = ["video/mp4;codecs=avc1.42E01E,mp4a.40.2", "video/webm;codecs=vp8,opus", "video/webm"];

export class Keeper {
  static kind = "MediaRecorder" in window ? KINDS.find((kind) => MediaRecorder.isTypeSupported(kind)) : undefined;

  constructor(stream) {
    this.stream = stream;
    this.takes = [];
    this.#turn();
    this.timer = setInterval(() => this.#turn(), MINUTE_MS);
  }

  /** Return the last one to two minutes as a file; null if nothing was recorded. */
  async save() {
    const [take] = this.takes;
    if (!take) return null;
    if (take.recorder.state === "recording") {
      const given = new Promise((done) => take.recorder.addEventListener("dataavailable", done, { once: true }));
      take.recorder.requestData();
      await given;
    }
    return new File(take.parts, name(take.recorder.mimeType), { type: take.recorder.mimeType });
  }

  stop() {
    clearInterval(this.timer);
    for (const { recorder } of this.takes) if (recorder.state !== "inactive") recorder.stop();
  }

  #turn() {
    if (this.takes.length === 2) this.takes.shift().recorder.stop();
    const take = { recorder: new MediaRecorder(this.stream, { mimeType: Keeper.kind }), parts: [] };
    take.recorder.addEventListener("dataavailable", ({ data }) => data.size && take.parts.push(data));
    take.recorder.start(5_000);
    this.takes.push(take);
  }
}

function name(type) {
  const now = new Date();
  const local = new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString();
  return `avatar-${local.slice(0, 19).replace("T", "-").replaceAll(":", "")}.${type.includes("mp4") ? "mp4" : "webm"}`;
}

export function download(file) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: file.name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), MINUTE_MS);
}
