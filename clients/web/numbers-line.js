// The numbers of a session whose face is not drawn (docs/numbers.md).

import { subprotocols } from "./access.js";

/** Tell every frame: { time_ms, blendshapes, head }, at `hz`; returns a function that ends it. */
export function numbersOf({ location }, token, hz, told) {
  const address = `${String(location).replace(/^http/, "ws")}/numbers?${new URLSearchParams({ format: "names", hz })}`;
  const socket = new WebSocket(address, subprotocols(token));
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "frame") told(message);
  });
  return () => socket.close();
}
