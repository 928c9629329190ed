// Draws each picture when it comes near the window, the rest when nothing else is to do, all of them before printing, in the colours of the page.
(() => {
  const config = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d"] };
  const PAPER = 670, COLUMN = 330;  // pixels of A4 and of US Letter between their margins, and of half of it
  const slots = [...document.querySelectorAll("[data-figure]")];
  const drawn = new Set();

  function font() {
    const style = getComputedStyle(document.body);
    return { color: style.color, family: style.fontFamily };
  }

  function draw(slot) {
    if (drawn.has(slot)) return;
    drawn.add(slot);
    const figure = JSON.parse(document.getElementById(slot.dataset.figure).textContent);
    const layout = { ...figure.layout, font: font(), autosize: true };
    if (slot.clientWidth < 520 && layout.showlegend !== false) {  // a legend of one column needs room of its own
      layout.height += 90;
      layout.margin = { ...layout.margin, b: (layout.margin.b || 60) + 90 };
    }
    Plotly.newPlot(slot, figure.data, layout, config);
  }

  function adapt() {
    const hover = { bgcolor: getComputedStyle(document.documentElement).getPropertyValue("--card").trim() };
    drawn.forEach((slot) => Plotly.relayout(slot, { font: font(), hoverlabel: hover }));
  }

  const near = new IntersectionObserver(
    (seen) => seen.filter((one) => one.isIntersecting).forEach((one) => draw(one.target)),
    { rootMargin: "800px" },
  );
  slots.forEach((slot) => near.observe(slot));
  const idle = window.requestIdleCallback || ((next) => setTimeout(next, 50));
  function drawNext() {
    const slot = slots.find((one) => !drawn.has(one));
    if (slot) { draw(slot); idle(drawNext); }
  }
  addEventListener("load", () => idle(drawNext));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", adapt);
  matchMedia("print").addEventListener("change", adapt);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((one) => { one.open = true; });
    slots.forEach(draw);
    drawn.forEach((slot) => Plotly.relayout(slot, { width: slot.closest(".columns") ? COLUMN : PAPER }));
  });
  addEventListener("afterprint", () => {
    drawn.forEach((slot) => Plotly.relayout(slot, { width: null, autosize: true }));
  });
})();
