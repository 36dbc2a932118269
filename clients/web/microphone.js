// Which microphone, how loud it is, and whether anything is heard of it.

const SILENT_DB = -58; // below it nobody speaks; a quiet room is near -70 after the browser's noise suppression
const SILENT_MS = 5_000;
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

/** Draws a stream's level; `hears(false)` when nothing was heard for five seconds, `hears(true)` when something is. */
export class Meter {
  constructor(bar, hears) {
    Object.assign(this, { bar, hears });
  }

  watch(stream) {
    this.stop();
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const mine = { context, heard: performance.now(), told: null };
    this.mine = mine;
    const draw = () => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      const decibels = 10 * Math.log10(power + 1e-9);
      this.bar.style.transform = `scaleX(${Math.min(1, Math.max(0, 1 + decibels / 60)).toFixed(3)})`;
      this.#judge(mine, decibels);
      mine.drawing = requestAnimationFrame(draw);
    };
    draw();
  }

  #judge(mine, decibels) {
    const now = performance.now();
    if (decibels > SILENT_DB || mine.context.state !== "running") mine.heard = now;
    const hearing = now - mine.heard < SILENT_MS;
    if (hearing !== mine.told) this.hears((mine.told = hearing));
  }

  stop() {
    if (!this.mine) return;
    cancelAnimationFrame(this.mine.drawing);
    this.mine.context.close();
    this.mine = null;
    this.bar.style.transform = "scaleX(0)";
  }
}
