// Pictures of a call as they come: those with a matte beside them are joined on a canvas that lies over the video.

import { Joiner } from "./matte.js";

const PACKED = "colour+matte";

/** Call `shown(where, painter)` with each picture: where is "canvas" or "video", and what paints the canvas, if any.
 * `layout()`: of the pictures, as the server told it (Avatar-Video). */
export function overlay(video, canvas, layout, shown) {
  let joiner = null; // made when it is needed
  const each = "requestVideoFrameCallback" in video; // else as often as the screen shows one
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
