// Delay and frame rate of a call from two of its reports: the server's planned delay, and network plus jitter buffer.

/** Compute the readout. `delay`: ms, from the session's answer, used if the report has no newer value. */
export function readout({ before, now }, delay) {
  const seconds = (now.at - before.at) / 1000;
  const { told } = now;
  const made = told && before.told ? told.pictures - before.told.pictures : now.frames - before.frames;
  const held = (now.buffer - before.buffer) / Math.max(1, now.emitted - before.emitted);
  return {
    delay_ms: told?.delay_ms ?? delay,
    network_ms: Math.round(1000 * (now.roundTrip + held)),
    pictures_per_second: made / seconds,
    left_out: told?.left_out ?? null,
  };
}
