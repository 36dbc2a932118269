// Reloads a page if one of its modules failed to load: a change of network aborts requests in flight, and a module
// whose import failed never runs. This is a classic script, so that it runs before all modules.

(() => {
  const NAME = "loaded-again";
  const MOST = 5;
  const WAIT_MS = 1_000; // before the first reload; each further one waits that much longer
  let times = 0;
  try {
    times = Number(sessionStorage.getItem(NAME));
  } catch {
    return; // without storage the page cannot count its reloads
  }
  let whole = true;

  const again = (event) => {
    if (!(event.target instanceof HTMLScriptElement) || !whole) return;
    whole = false;
    if (times >= MOST) return;
    sessionStorage.setItem(NAME, times + 1);
    setTimeout(() => location.reload(), WAIT_MS * (times + 1));
  };
  window.addEventListener("error", again, true); // load errors do not bubble
  window.addEventListener("load", () => whole && sessionStorage.removeItem(NAME)); // fires after all modules have run
})();
