// Curves as SVG, in the page's own colours. A series is { name, points: [[x, y], ...] }.
(() => {
  const WIDTH = 520, HEIGHT = 250, LEFT = 62, RIGHT = 12, TOP = 10, BOTTOM = 34;
  const make = (name, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const short = (value) => Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(Math.abs(value) < 1e-9 ? 0 : value);

  function ticks(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
    return found;
  }

  window.drawChart = (place, series, what) => {
    const all = series.flatMap((one) => one.points);
    if (all.length === 0) {
      place.replaceChildren(Object.assign(document.createElement("p"), { className: "empty", textContent: "Nothing yet." }));
      return;
    }
    const last = series.filter((one) => one.points.length).map((one) => `${one.name} ${short(one.points.at(-1)[1])}`);
    const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${what} over environment steps; last: ${last.join(", ")}` });
    const right = Math.max(...all.map((point) => point[0]));
    let low = Math.min(...all.map((point) => point[1])), high = Math.max(...all.map((point) => point[1]));
    if (high - low < 1e-9) [low, high] = [low - 1, high + 1];
    const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * (value / right);
    const y = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ((value - low) / (high - low));
    for (const at of ticks(low, high, 4)) {
      svg.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(at), y2: y(at) }));
      svg.append(make("text", { class: "tick", x: LEFT - 8, y: y(at) + 4, "text-anchor": "end" }, short(at)));
    }
    for (const at of ticks(0, right, 5)) {
      svg.append(make("text", { class: "tick", x: x(at), y: HEIGHT - 12, "text-anchor": "middle" }, short(at)));
    }
    series.forEach((one, number) => {
      if (!one.points.length) return;
      const points = one.points.map((point) => `${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`);
      svg.append(make("polyline", { class: `curve s${number}`, points: points.join(" ") }));
      const [endX, endY] = points.at(-1).split(",");
      svg.append(make("circle", { class: `dot s${number}`, cx: endX, cy: endY, r: 3.5 }));
    });
    place.replaceChildren(svg);
  };
})();
