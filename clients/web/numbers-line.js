// Face numbers (blend shapes and head pose) of a session without pictures (docs/numbers.md).

import { subprotocols } from "./access.js";

/** Call `told` with each frame { time_ms, blendshapes, head } at `hz`; return a function that closes the stream. */
export function numbersOf({ location }, token, hz, told) {
  const address = `${String(location).replace(/^http/, "ws")}/numbers?${new URLSearchParams({ format: "names", hz })}`;
  const socket = new WebSocket(address, subprotocols(token));
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "frame") told(message);
  });
  return () => socket.close();
}
