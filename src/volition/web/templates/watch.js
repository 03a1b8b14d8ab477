// What a folder of runs, or one run, tells by server-sent events. Words from runs become text nodes.
(() => {
  const PAIRS = 24;
  const $ = (id) => document.getElementById(id);
  const page = document.body;
  const make = (name, words = "", kind = "") => {
    const node = document.createElement(name);
    node.textContent = words;
    if (kind) node.className = kind;
    return node;
  };
  const cell = (label, words) => {
    const node = make("td", words);
    node.dataset.label = label;
    return node;
  };
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)}%`);
  const dollars = (usd) => (usd === null ? "–" : `$${usd.toFixed(usd < 1 ? 4 : 2)}`);
  const counted = (number) => number.toLocaleString("en");
  const link = (words) => { $("link").textContent = words; };

  function listen(address, handlers) {
    const source = new EventSource(address);
    source.addEventListener("open", () => link("This page follows the run folder."));
    source.addEventListener("error", () => link("The connection is lost; it is tried again."));
    source.addEventListener("gone", (event) => {
      source.close();
      link(JSON.parse(event.data).why);
    });
    for (const [name, heed] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => heed(JSON.parse(event.data)));
    }
    addEventListener("pagehide", () => source.close());
  }

  async function say(address, body) {
    const response = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    return response.ok ? JSON.parse(text).told : text.trim();
  }

  // All runs -----------------------------------------------------------------------------------

  const chosen = new Set();

  function chooseLink() {
    $("compare").href = `compare?${[...chosen].map((name) => `run=${encodeURIComponent(name)}`).join("&")}`;
  }

  function showRuns(runs) {
    if (!runs.length) link("There is no run here yet: `volition train` makes one.");
    const focused = document.activeElement?.dataset?.name;
    $("rows").replaceChildren(...runs.map((run) => {
      const row = make("tr");
      const box = Object.assign(make("input"), { type: "checkbox", checked: chosen.has(run.name) });
      box.dataset.name = run.name;
      box.setAttribute("aria-label", `Compare ${run.name}`);
      box.addEventListener("change", () => {
        chosen[box.checked ? "add" : "delete"](run.name);
        chooseLink();
      });
      const first = make("td");
      first.append(box);
      const name = make("th");
      name.scope = "row";
      name.append(Object.assign(make("a", run.name), { href: `run/${encodeURIComponent(run.name)}` }), make("small", run.task));
      const state = make("td");
      state.append(make("span", run.state, `tag ${run.state}`));
      if (run.message) state.append(make("small", run.message));
      const judge = make("td", run.judge, "words");
      if (run.simulated) judge.append(" ", make("strong", "simulated", "tag loud"));
      row.append(
        first, name, state, judge,
        cell("judgments", counted(run.judgments)), cell("cost", dollars(run.cost_usd)),
        cell("steps", `${counted(run.env_steps)} of ${counted(run.total_steps)}`),
        cell("held-out", percent(run.heldout)),
        cell("true return", run.true === null ? "–" : run.true.toFixed(1)),
      );
      return row;
    }));
    if (focused) document.querySelector(`input[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  // One run ------------------------------------------------------------------------------------

  let now = null;

  function showState(run) {
    now = run;
    const under = run.state === "running" || run.state === "paused";
    $("state").textContent = run.state;
    $("state").className = `tag ${run.state}`;
    $("simulated").hidden = !run.simulated;
    $("about").textContent = `${run.task} · judged by ${run.judge}`;
    $("controls").hidden = !under;
    $("hold").textContent = run.state === "paused" ? "Go on" : "Pause";
    $("budget").hidden = run.max_usd === null;
    $("usd").min = run.max_usd ?? 0;
    if (run.max_usd !== null && !$("usd").value) $("usd").placeholder = `more than ${run.max_usd}`;
    const told = [run.waiting_for && under ? run.waiting_for : "", run.message].filter(Boolean).join(" ");
    if (told || !under) {
      $("message").textContent = told || ended(run);
    }
    $("message").hidden = !$("message").textContent;
    const notices = [
      ...run.alarms.map((words) => ["Alarm.", words]),
      ...run.warnings.map((words) => ["Warning.", words]),
    ];
    $("notices").replaceChildren(...notices.map(([kind, words]) => {
      const notice = make("p", "", "notice");
      notice.append(make("strong", kind), ` ${words}`);
      return notice;
    }));
    $("steps").textContent = counted(run.env_steps);
    $("steps-bar").max = Math.max(1, run.total_steps);
    $("steps-bar").value = run.env_steps;
    $("stage").textContent = run.stage ? `of ${counted(run.total_steps)}; ${run.stage}` : `of at most ${counted(run.total_steps)}`;
    $("verdicts").textContent = counted(run.verdicts);
    $("flight").textContent = under && run.live ? `${counted(run.in_flight)} requests in flight` : "";
    $("spent").textContent = dollars(run.cost_usd);
    $("spent-bar").hidden = run.max_usd === null;
    $("spent-bar").max = run.max_usd || 1;
    $("spent-bar").value = Math.min(run.max_usd || 1, run.cost_usd ?? 0);
    $("of-budget").textContent = run.max_usd === null ? "no limit was set" : `of ${dollars(run.max_usd)}`;
    $("failed").textContent = percent(run.failure_rate);
    const kinds = Object.entries(run.failures).map(([kind, count]) => `${count} × ${kind}`);
    $("failures").textContent = kinds.length ? `${kinds.join(", ")}; share of the last ${run.rated}` : `of the last ${run.rated}`;
    $("heldout").textContent = percent(run.heldout);
    $("interval").textContent = run.heldout_interval ? `95% interval ${percent(run.heldout_interval[0])} to ${percent(run.heldout_interval[1])}` : "";
    drawChart($("learned"), [{ name: "learned return", points: run.curves.learned }], "Learned return");
    drawChart($("trial"), [{ name: "reward of a step", points: run.curves.trial }], "Reward of a step");
    drawChart($("true"), [{ name: "true return", points: run.curves.true }], "True return, for evaluation only,");
    drawChart($("judgments"), [{ name: "judgments", points: run.curves.judgments }], "Judgments used");
    showFilm(run);
  }

  function ended(run) {
    if (run.state !== "finished") return `This run is ${run.state}; go on with: volition resume RUN`;
    const result = run.true === null ? "" : ` True return ${run.true.toFixed(1)} ± ${run.return_std.toFixed(1)} over ${run.episodes} episodes (evaluation only).`;
    return `Finished: ${run.ended || "all was learned"}.${result}`;
  }

  function showFilm(run) {
    const film = $("film");
    const address = run.film ? `${encodeURIComponent(run.name)}/policy.mp4?${run.film}`
      : run.made_film ? `${encodeURIComponent(run.name)}/now.mp4?${run.made_film}` : "";
    $("make-film").hidden = Boolean(run.film);
    $("no-film").hidden = film.hidden = false;
    $("no-film").hidden = Boolean(address);
    film.hidden = !address;
    if (address && film.getAttribute("src") !== address) film.setAttribute("src", address);
  }

  function showPairs(pairs) {
    $("no-pairs").hidden = true;
    const cards = pairs.map((pair) => {
      const card = make("article", "", "pair");
      const sides = make("div", "", "sides");
      pair.sides.forEach((side, place) => {
        const preferred = pair.p !== null && (place === 0 ? pair.p > 0.5 : pair.p < 0.5);
        const figure = make("figure", "", preferred ? "side chosen" : "side");
        const strip = make("div", "", "moments");
        for (let number = 0; number < side.frames; number += 1) {
          const image = make("img");
          image.src = `${encodeURIComponent(page.dataset.run)}/sides/${side.name}/${number}.png`;
          image.alt = number ? "" : place === 0 ? "shown first" : "shown second";
          image.loading = "lazy";
          strip.append(image);
        }
        figure.append(strip);
        sides.append(figure);
      });
      card.append(sides);
      const said = pair.failure !== null ? `no verdict: ${pair.failure}`
        : pair.p === 0.5 ? "a tie" : `${pair.p > 0.5 ? "first" : "second"}, ${percent(Math.max(pair.p, 1 - pair.p))}`;
      const line = make("p", `${pair.judge}: `);
      line.append(make("b", said));
      card.append(line);
      if (pair.principle) card.append(make("p", `Under: ${pair.principle}`));
      if (pair.words) card.append(make("p", `“${pair.words}”`));
      return card;
    });
    $("pairs").prepend(...cards);
    while ($("pairs").childElementCount > PAIRS) $("pairs").lastElementChild.remove();
  }

  function steer(name) {
    const wish = async (body) => {
      $("told").textContent = await say(`${encodeURIComponent(name)}/wish`, body);
    };
    $("hold").addEventListener("click", () => wish({ wish: now?.state === "paused" ? "go" : "pause" }));
    $("stop").addEventListener("click", () => wish({ wish: "stop" }));
    $("budget").addEventListener("submit", (event) => {
      event.preventDefault();
      wish({ wish: "budget", max_usd: Number($("usd").value) });
      $("usd").value = "";
    });
    $("make-film").addEventListener("click", async () => {
      $("film-told").textContent = "filming …";
      $("film-told").textContent = await say(`${encodeURIComponent(name)}/film`, {});
    });
  }

  if (page.classList.contains("runs")) listen("events", { runs: showRuns });
  if (page.classList.contains("run")) {
    steer(page.dataset.run);
    listen(`${encodeURIComponent(page.dataset.run)}/events`, { state: showState, pairs: showPairs });
  }
  if (page.classList.contains("compare")) {
    fetch(`${location.search || "?"}&json=1`).then((response) => response.json()).then(({ runs }) => {
      for (const [id, what] of [["learned", "Learned return"], ["true", "True return, for evaluation only,"]]) {
        drawChart($(id), runs.map((run) => ({ name: run.name, points: run.curves[id] })), what);
      }
    });
  }
})();
