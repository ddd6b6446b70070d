// Before anything is drawn: the reader's zone goes into a cookie, and the page is asked for again, once, if it was drawn
// in another. It is no module, so that nobody sees times jump.
(() => {
  const root = document.documentElement;
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!mine || !/^[\w+\-/]+$/.test(mine) || new URLSearchParams(location.search).has("zone")) return;
  document.cookie = `flagtrail_zone=${mine}; path=/; max-age=31536000; samesite=lax`;
  if (root.dataset.zone === mine || !document.cookie.includes(`flagtrail_zone=${mine}`)) return;
  try {
    // A server that does not know this zone would be asked for ever.
    if (sessionStorage.getItem("flagtrail_zone") === mine) return;
    sessionStorage.setItem("flagtrail_zone", mine);
  } catch {
    return;
  }
  location.reload();
})();
