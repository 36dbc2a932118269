// The stage's buttons: full screen, picture in picture, save the last minute.

import "./avatar-view.js";
import { Keeper, download } from "./keeper.js";

const element = (id) => document.getElementById(id);
const view = element("avatar");
const { video } = view;

/** Enable the buttons that need a live call. */
export function live(is) {
  element("pip").disabled = !is;
  element("save").disabled = !is;
}

/** Wire the buttons; those that this browser does not support are hidden. `failed(text)` is called with errors. */
export function buttons(failed) {
  const wholeScreen = element("stage").requestFullscreen ?? video.webkitEnterFullscreen; // iOS: the video only
  element("full").hidden = !wholeScreen;
  element("pip").hidden = !document.pictureInPictureEnabled; // Firefox shows its own button on the picture
  element("save").hidden = !Keeper.kind;
  element("full").addEventListener("click", fullScreen);
  element("pip").addEventListener("click", () => pictureInPicture().catch((error) => failed(error.message)));
  element("save").addEventListener("click", async () => {
    const file = await view.lastMinute();
    if (file?.size) download(file);
  });
}

export function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if (element("stage").requestFullscreen) element("stage").requestFullscreen();
  else video.webkitEnterFullscreen?.();
}

export async function pictureInPicture() {
  if (document.pictureInPictureElement) await document.exitPictureInPicture();
  else if (!element("pip").disabled) await video.requestPictureInPicture();
}

/** Set the volume, 0 to 100. */
export function setVolume(percent) {
  view.setAttribute("volume", percent / 100);
}
