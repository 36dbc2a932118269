// Watches a call's pictures: those with alpha are joined on a canvas over the video.

import { Joiner } from "./matte.js";

const PACKED = "colour+matte";

/** Call `shown(where, painter)` with each picture: where ("canvas" or "video"), and the kind of painter of the canvas.
 * `layout()`: layout of the pictures from the server's header Avatar-Video. */
export function overlay(video, canvas, layout, shown) {
  let joiner = null; // created on first use
  const each = "requestVideoFrameCallback" in video; // otherwise once per screen refresh
  const next = (then) => (each ? video.requestVideoFrameCallback(then) : requestAnimationFrame(then));
  const look = () => {
    next(look);
    const joined = layout() === PACKED;
    if (joined) {
      joiner ??= new Joiner(canvas);
      joiner.draw(video);
    }
    shown(joined ? "canvas" : "video", joiner?.kind);
  };
  next(look);
}
