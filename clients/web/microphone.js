// Which microphone, how loud it is, and whether anything is heard of it.

const SILENT_DB = -58; // below it nobody speaks; a quiet room is near -70 after the browser's noise suppression
const SILENT_MS = 5_000;
const LOOK_MS = 50; // between two looks at the level
const PROCESSING = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** The stream of a microphone; `id` "" is the browser's own choice, as is one that has been unplugged since. */
export async function open(id) {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Error("Browsers give the microphone to secure pages only: use http://localhost or https.");
  }
  const ask = (more) => navigator.mediaDevices.getUserMedia({ audio: { ...PROCESSING, ...more } });
  if (!id) return ask();
  return ask({ deviceId: { exact: id } }).catch((error) => { // Chromium takes its default where a choice is `ideal`
    if (error.name !== "OverconstrainedError") throw error;
    return ask();
  });
}

/** Microphones by name; their names are told once one has been allowed. */
export async function list() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.().catch(() => [])) ?? [];
  const found = devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
  return found.map(({ deviceId, label }, index) => ({ id: deviceId, name: label || `Microphone ${index + 1}` }));
}

/** Measures a stream's level; `hears(false)` when nothing was heard for five seconds, `hears(true)` when something is. */
export class Meter {
  constructor(hears) {
    this.hears = hears;
    this.level = 0; // 0..1, of 60 dB
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

  /** Count silence from now on. */
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
