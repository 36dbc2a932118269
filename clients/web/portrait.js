// The picture of an avatar, shown without a call.
import { ask, showPicture } from "./access.js";
import { at } from "./server.js";

/** Show the portrait on `image`. `name`: the avatar's, null for the server's default, "" for none. */
export async function showPortrait(image, { server, token, name, background }) {
  const query = background ? `?${new URLSearchParams({ background })}` : "";
  const asked = (image.dataset.portrait = JSON.stringify([server, name, background]));
  try {
    const picture = name === null ? await standard(server, token) : name && `/avatars/${encodeURIComponent(name)}.png`;
    if (!picture || image.dataset.portrait !== asked) return;
    await showPicture(image, `${at(picture, server)}${query}`, token);
  } catch {
    // The call works without a portrait.
  }
}

async function standard(server, token) {
  const { avatars } = await (await ask(at("/avatars", server), { token })).json();
  return avatars.find((avatar) => avatar.default)?.picture;
}
