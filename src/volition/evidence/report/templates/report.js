"use strict";
(() => {
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "{}");

  // A person who asked for less motion starts films herself.
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    for (const moving of document.querySelectorAll("video[autoplay]")) {
      moving.removeAttribute("autoplay");
      moving.pause();
    }
  }

  // One button in place of the browser's own controls, which would cover the film.
  const controlled = (button, films) => {
    if (!button || !films.length) return;
    const rests = () => films.every((film) => film.paused); // one that is out of sight does
    const name = () => (button.textContent = rests() ? "Play" : "Pause");
    button.hidden = false;
    for (const film of films) {
      film.controls = false;
      for (const event of ["play", "pause"]) film.addEventListener(event, name);
    }
    button.addEventListener("click", () => {
      const paused = rests();
      for (const film of films) paused ? film.play() : film.pause();
    });
    name();
  };
  controlled(document.getElementById("pause"), [...document.querySelectorAll("#film")]);
  controlled(document.getElementById("pause-versions"), [...document.querySelectorAll(".strip video")]);

  // Of many versions the newest is shown first.
  const strip = document.querySelector(".strip");
  if (strip) strip.scrollLeft = strip.scrollWidth;

  // Every frame is in the page once, however often it is shown.
  const frames = read("frames");
  for (const picture of document.querySelectorAll("img[data-frame]")) {
    const data = frames[picture.dataset.frame];
    picture.src = `data:image/${data.startsWith("UklGR") ? "webp" : "png"};base64,${data}`;
  }

  // Figures name the page's colours; the browser says what these are in the scheme of the moment.
  const figures = read("figures");
  const probe = document.body.appendChild(document.createElement("i"));
  probe.hidden = true;
  const colour = (name) => {
    probe.style.color = name;
    return getComputedStyle(probe).color;
  };
  const painted = (value) => {
    if (typeof value === "string") return value.startsWith("var(--") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(painted);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, painted(inner)]));
  };
  const draw = () => {
    for (const [id, figure] of Object.entries(figures)) {
      const { data, layout } = painted(figure);
      layout.font.family = getComputedStyle(document.body).fontFamily;
      Plotly.react(id, data, layout, { displayModeBar: false, responsive: true });
    }
  };
  draw();

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.scheme ? root.dataset.scheme === "dark" : dark.matches);
  dark.addEventListener("change", draw);
  document.getElementById("scheme").addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    draw();
  });

  const rest = document.getElementById("rest");
  if (!rest) return; // a page without a gallery that is filtered

  const shownAtOnce = 60;
  const pairs = [...document.querySelectorAll(".pair")];
  const buttons = [...document.querySelectorAll("[data-filter]")];
  let kind = "all";
  const show = (limit = shownAtOnce) => {
    const matching = pairs.filter((pair) => pair.dataset.kinds.split(" ").includes(kind));
    const shown = new Set(matching.slice(0, limit));
    for (const pair of pairs) pair.hidden = !shown.has(pair);
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.filter === kind);
    document.querySelector(".showing").textContent = `Showing ${shown.size} of ${pairs.length} pairs`;
    document.querySelector(".empty").hidden = shown.size > 0;
    rest.hidden = shown.size === matching.length;
    rest.textContent = `Show ${matching.length - shown.size} more`;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      kind = button.dataset.filter;
      show();
    });
  }
  rest.addEventListener("click", () => show(Infinity));
  // An answer in the list may lead to a pair that is not shown.
  for (const link of document.querySelectorAll(".answers a")) {
    link.addEventListener("click", () => {
      if (!document.getElementById(link.hash.slice(1)).hidden) return;
      kind = "all";
      show(Infinity);
    });
  }
  show();
})();
