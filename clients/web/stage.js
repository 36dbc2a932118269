// The stage's own buttons: full screen, picture in picture, the last minute as a file.

import { Keeper, download } from "./keeper.js";

const element = (id) => document.getElementById(id);
const video = element("avatar");
let keeper = null;

/** The avatar's stream has come, or has ended (null). */
export function play(stream) {
  if (stream && video.srcObject !== stream) video.srcObject = stream;
  if (stream) video.play().catch(() => {}); // muted video may always play; unmuted follows a click
}

/** The call is live, or is not any more. */
export function live(is) {
  element("pip").disabled = !is;
  element("save").disabled = !is;
  if (is && Keeper.kind && !keeper) {
    keeper = new Keeper(video.srcObject);
  } else if (!is) {
    keeper?.stop();
    keeper = null;
  }
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
    const file = await keeper?.save();
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

/** 0 to 100; the browser does not even decode sound that is muted. */
export function setVolume(percent) {
  video.volume = percent / 100;
  video.muted = percent === 0;
}
