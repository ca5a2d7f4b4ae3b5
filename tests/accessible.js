// What axe-core would find first: things without a name, and text of low contrast. Returns a list of findings.
(() => {
  const named = (one) =>
    one.getAttribute("aria-label") || one.getAttribute("alt") || one.textContent.trim() || one.closest("label")?.textContent.trim();
  const found = [...document.querySelectorAll("canvas, input, select, img, a, button")]
    .filter((one) => one.getClientRects().length && !named(one))
    .map((one) => `no name: ${one.outerHTML.slice(0, 200)}`);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (text) => {
    const c = text.match(/[\d.]+/g).map((v) => linear(v / 255));
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (!/, 0\)$/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  for (const one of document.querySelectorAll("p, li, label, h1, h2, span, legend, figcaption, td, th, dt, dd")) {
    if (!one.offsetParent || !one.textContent.trim() || one.closest(":has(:disabled)")) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`contrast ${((a + 0.05) / (b + 0.05)).toFixed(2)}: ${one.textContent.trim().slice(0, 80)}`);
  }
  if (!document.documentElement.lang) found.push("no language");
  return found;
})();
