// The access token of a server that asks for one: from the address's fragment (#token=…), which no server and no log sees,
// or typed in. It stays with this tab, and goes with every request to the page's own server.

const NAME = "token";

let held = taken() ?? stored();

/** The page's own token, null where there is none. */
export function token() {
  return held;
}

/** A token that was typed in, or the address that it came in. */
export function remember(text) {
  const found = text.trim();
  held = (found.includes("#") && new URLSearchParams(found.split("#")[1]).get(NAME)) || found || null;
  try {
    sessionStorage.setItem(NAME, held ?? "");
  } catch {
    // It holds as long as the page.
  }
}

/** fetch(), with a token: the page's own, if no other is given. */
export function ask(address, { token: given = held, ...options } = {}) {
  const headers = given ? { ...options.headers, Authorization: `Bearer ${given}` } : options.headers;
  return fetch(address, { ...options, headers });
}

/** The subprotocols of a WebSocket, which take a token along: no page can set its headers. */
export function subprotocols(given = held) {
  return given ? ["avatar", `avatar-token.${given}`] : [];
}

/** Show a picture of the server's; what an element shows is the last that it was asked for. */
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

/** The part of an address that hands the token on; for addresses that whoever copies them uses alone. */
export function fragment() {
  return held ? `#${new URLSearchParams({ [NAME]: held })}` : "";
}

/** Only of a page of this server: another site's fragment is not ours to read, or to take away. */
function taken() {
  if (new URL(import.meta.url).origin !== window.location.origin) return null;
  const found = new URLSearchParams(window.location.hash.slice(1)).get(NAME);
  if (!found) return null;
  history.replaceState(history.state, "", window.location.pathname + window.location.search);
  try {
    sessionStorage.setItem(NAME, found);
  } catch {
    // It holds as long as the page.
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
