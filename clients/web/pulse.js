// Detects a dead connection by missing packets: browsers take half a minute to notice that a server has gone, but sound
// packets arrive 50 times a second, also during silence.

const MOST_MS = 1_000; // counted between two checks at most: a stalled page may still have packets to read

export class Pulse {
  #peer;
  #sign = ""; // changes when media was shown or played: a cheap check, sufficient while all is well
  #packets = null;
  #looked = performance.now();
  #quiet = 0;

  constructor(peer) {
    this.#peer = peer;
  }

  /** Return the milliseconds since the last packet; to be called several times a second. */
  async quiet() {
    const now = performance.now();
    this.#quiet += Math.min(now - this.#looked, MOST_MS);
    this.#looked = now;
    const sign = this.#peer
      .getReceivers()
      .flatMap((receiver) => receiver.getSynchronizationSources?.() ?? [])
      .map(({ timestamp }) => timestamp)
      .join(" ");
    if (sign !== this.#sign) {
      [this.#sign, this.#packets, this.#quiet] = [sign, null, 0];
      return 0;
    }
    const { packets } = summary(await this.#peer.getStats()); // packets also arrive on a page that plays nothing
    if (this.#packets !== null && packets !== this.#packets) this.#quiet = 0;
    this.#packets = packets;
    return this.#quiet;
  }
}

/** Summarise a connection's standard WebRTC statistics. */
export function summary(report) {
  const found = { at: performance.now(), frames: 0, packets: 0, roundTrip: 0, buffer: 0, emitted: 0 };
  for (const stat of report.values()) {
    if (stat.type === "inbound-rtp") found.packets += stat.packetsReceived ?? 0;
    if (stat.type === "inbound-rtp" && stat.kind === "video") {
      found.frames = stat.framesDecoded ?? 0;
      found.buffer = stat.jitterBufferDelay ?? 0;
      found.emitted = stat.jitterBufferEmittedCount ?? 0;
    } else if (stat.type === "candidate-pair" && stat.nominated) {
      found.roundTrip = stat.currentRoundTripTime ?? 0;
    }
  }
  return found;
}
