// Whether anything comes by a connection. Browsers take half a minute to notice that a server has gone; sound comes 50
// times a second, silence too.

const MOST_MS = 1_000; // that a look counts: what lies between two looks of a page that was held up may yet be read

export class Pulse {
  #peer;
  #sign = ""; // another one whenever something was shown or played since: cheap, and enough while all is well
  #packets = null;
  #looked = performance.now();
  #quiet = 0;

  constructor(peer) {
    this.#peer = peer;
  }

  /** Look, several times a second: milliseconds for which no packet has come. */
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
    const { packets } = summary(await this.#peer.getStats()); // a page that plays nothing receives nonetheless
    if (this.#packets !== null && packets !== this.#packets) this.#quiet = 0;
    this.#packets = packets;
    return this.#quiet;
  }
}

/** What a page tells of a connection, from the standard statistics. */
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
