// The stage's own buttons: full screen, picture in picture, the last minute as a file.

import "./avatar-view.js";
import { Keeper, download } from "./keeper.js";

const element = (id) => document.getElementById(id);
const view = element("avatar");
const { video } = view;

/** The call is live, or is not any more. */
export function live(is) {
  element("pip").disabled = !is;
  element("save").disabled = !is;
}

/** Wire the buttons; those that this browser cannot do are not there. `failed(text)` is told what went wrong. */
export function buttons(failed) {
  const wholeScreen = element("stage").requestFullscreen ?? video.webkitEnterFullscreen; // iOS: the video only
  element("full").hidden = !wholeScreen;
  element("pip").hidden = !document.pictureInPictureEnabled; // Firefox has a button of its own on the picture
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

/** 0 to 100. */
export function setVolume(percent) {
  view.setAttribute("volume", percent / 100);
}
