// The access token for a server that requires one: read from the address's fragment (#token=…), which is never sent to
// a server or logged, or typed in. It is kept for this tab and sent with every request to the page's own server.

const NAME = "token";

let held = taken() ?? stored();

/** Return the page's own token, or null. */
export function token() {
  return held;
}

/** Store a typed token; `text` may also be an address whose fragment holds it. */
export function remember(text) {
  const found = text.trim();
  held = (found.includes("#") && new URLSearchParams(found.split("#")[1]).get(NAME)) || found || null;
  try {
    sessionStorage.setItem(NAME, held ?? "");
  } catch {
    // No storage: the token lasts until the page is closed.
  }
}

/** fetch() with a token: by default the page's own. */
export function ask(address, { token: given = held, ...options } = {}) {
  const headers = given ? { ...options.headers, Authorization: `Bearer ${given}` } : options.headers;
  return fetch(address, { ...options, headers });
}

/** Return WebSocket subprotocols that carry the token: a page cannot set a WebSocket's headers. */
export function subprotocols(given = held) {
  return given ? ["avatar", `avatar-token.${given}`] : [];
}

/** Show a picture of the server on an <img>; if several are requested, the last request wins. */
export async function showPicture(image, address, given = held) {
  if (!given) return void (image.src = address);
  image.dataset.asked = address;
  const response = await ask(address, { token: given });
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const found = URL.createObjectURL(await response.blob());
  if (image.dataset.asked !== String(address)) return void URL.revokeObjectURL(found);
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.src = found;
}

/** Return the address fragment with the token; only for addresses that the visitor copies for private use. */
export function fragment() {
  return held ? `#${new URLSearchParams({ [NAME]: held })}` : "";
}

/** Take the token out of the page's fragment. Only on a page of this server: another site's fragment is left alone. */
function taken() {
  if (new URL(import.meta.url).origin !== window.location.origin) return null;
  const found = new URLSearchParams(window.location.hash.slice(1)).get(NAME);
  if (!found) return null;
  history.replaceState(history.state, "", window.location.pathname + window.location.search);
  try {
    sessionStorage.setItem(NAME, found);
  } catch {
    // No storage: the token lasts until the page is closed.
  }
  return found;
}

function stored() {
  if (new URL(import.meta.url).origin !== window.location.origin) return null;
  try {
    return sessionStorage.getItem(NAME) || null;
  } catch {
    return null;
  }
}
