// Texts on the page that stand out too little from what is behind them (WCAG 2, 4.5 to 1).
(() => {
  const number = (c) => { const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return { r, g, b, a }; };
  const light = ({ r, g, b }) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (colour.startsWith("rgb") && number(colour).a === 1) return number(colour);
    }
    return { r: 255, g: 255, b: 255 };
  };
  const faint = [];
  for (const e of document.querySelectorAll(".sentence, .mute, .tag, .words, summary, #status, .score b, label span")) {
    if (!e.offsetParent || !e.textContent.trim()) continue;
    const [a, b] = [light(number(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push([e.className, e.textContent.trim().slice(0, 20), ratio.toFixed(2)]);
  }
  return JSON.stringify(faint);
})()
