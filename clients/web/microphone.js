// Opening and listing microphones, and measuring their level.

const SILENT_DB = -58; // below it is silence; a quiet room is near -70 after the browser's noise suppression
const SILENT_MS = 5_000;
const LOOK_MS = 50; // between two measurements of the level
const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** Open a microphone and return its stream; for `id` "" or an unplugged one, the browser chooses. */
export async function open(id) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to secure pages only: use http://localhost or https.");
  }
  const ask = (more) => navigator.mediaDevices.getUserMedia({ audio: { ...PROCESSING, ...more } });
  if (!id) return ask();
  return ask({ deviceId: { exact: id } }).catch((error) => { // not `ideal`: with that Chromium takes its default
    if (error.name !== "OverconstrainedError") throw error;
    return ask();
  });
}

/** List the microphones as { id, name }; browsers reveal names only once a microphone was allowed. */
export async function list() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  const found = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
  return found.map(({ deviceId, label }, index) => ({ id: deviceId, name: label || `Microphone ${index + 1}` }));
}

/** Measures a stream's level; calls `hears(false)` after five seconds of silence, `hears(true)` when sound returns. */
export class Meter {
  constructor(hears) {
    this.hears = hears;
    this.level = 0; // 0 to 1, over a range of 60 dB
  }

  watch(stream) {
    this.stop();
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const mine = { context, heard: performance.now(), told: null };
    this.mine = mine;
    mine.timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      const decibels = 10 * Math.log10(power + 1e-9);
      this.level = Math.min(1, Math.max(0, 1 + decibels / 60));
      this.#judge(mine, decibels);
    }, LOOK_MS);
  }

  /** Restart the count of silence. */
  forgive() {
    if (this.mine) this.mine.heard = performance.now();
  }

  #judge(mine, decibels) {
    const now = performance.now();
    if (decibels > SILENT_DB || mine.context.state !== "running") mine.heard = now;
    const hearing = now - mine.heard < SILENT_MS;
    if (hearing !== mine.told) this.hears((mine.told = hearing));
  }

  stop() {
    if (!this.mine) return;
    clearInterval(this.mine.timer);
    this.mine.context.close();
    this.mine = null;
    this.level = 0;
  }
}
