// Keyboard-first labelling. An answer is in localStorage before the next pair is shown, and stays
// there until the server has it on disk: neither a reload nor a lost connection loses one.
(() => {
  const AHEAD = 16, LOW = 8, TOGETHER = 50, FRAME_MS = 220, REST_MS = 700, RETRY_MS = 1500;
  const FLASH_MS = 60;
  // What is judged begins with that where it is asked of one side alone.
  const OF_ONE = {
    "kept: ": "Is this kept to on the left? Left if it is, right if it is not, whatever the right shows:",
    "done: ": "Is this stage done on the left? Left if it is, right if it is not, whatever the right shows:",
  };
  const $ = (id) => document.getElementById(id);
  const source = document.body.dataset.source;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const KEYS = {
    ArrowLeft: "first", a: "first", 1: "first",
    ArrowRight: "second", d: "second", 2: "second",
    ArrowDown: "tie", t: "tie", 0: "tie", s: "skip",
  };

  let person = null;
  let queue = [];       // questions to come, the first of which is shown
  let back = [];        // answered ones, the last of which can be taken back
  let outbox = [];      // answers that the server does not have yet
  let shown = null, shownAt = 0, busy = false, fetching = false, exhausted = false, sending = false;
  let playing = !still.matches, ticker = null;

  const boxName = () => `volition-answers ${source} ${person}`;
  const keepBox = () => localStorage.setItem(boxName(), JSON.stringify(outbox));
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

  // What is shown ----------------------------------------------------------------------------

  function load(question) {
    question.images = question.sides.map((side) =>
      Array.from({ length: side.frames }, (_, number) => {
        const image = new Image();
        image.src = `sides/${side.name}/${number}.png`;
        image.alt = "";
        return image;
      }));
    question.ready = Promise.all(question.images.flat().map((image) => image.decode().catch(() => {})));
    return question;
  }

  function play() {
    clearInterval(ticker);
    const boards = [...document.querySelectorAll(".show")];
    const most = Math.max(...boards.map((board) => board.childElementCount));
    $("play").hidden = most < 2;
    $("play").firstChild.textContent = playing ? "Pause " : "Play ";
    boards.forEach((board) => board.classList.toggle("board", !playing && most > 1));
    if (most < 2 || !playing) return;
    let tick = 0;
    const rest = Math.round(REST_MS / FRAME_MS);
    const step = () => {
      for (const board of boards) {
        const frames = [...board.children];
        const place = Math.min(tick % (most + rest), frames.length - 1);
        frames.forEach((image, number) => image.classList.toggle("now", number === place));
      }
      tick += 1;
    };
    step();
    ticker = setInterval(step, FRAME_MS);
  }

  async function show() {
    const question = queue[0] ?? null;
    shown = null;
    $("desk").hidden = question === null;
    $("done").hidden = question !== null || !exhausted;
    $("undo").disabled = $("undo-last").disabled = back.length === 0;
    if (question === null) {
      if (exhausted && !$("done").hidden) $("done").focus({ preventScroll: true });
      return;
    }
    await question.ready;
    if (queue[0] !== question) return;
    document.querySelectorAll(".show").forEach((place, side) => {
      place.replaceChildren(...question.images[side]);
      question.images[side].forEach((image, number) => {
        image.classList.toggle("now", number === 0);
        image.alt = number === 0 ? (question.sides[side].frames > 1 ? "a clip" : "a state") : "";
      });
    });
    $("under").hidden = !question.principle;
    const words = question.principle ?? "";
    const ofOne = Object.keys(OF_ONE).find((prefix) => words.startsWith(prefix));
    $("under").querySelector("span").textContent =
      ofOne ? OF_ONE[ofOne] : question.veto ? "By this alone:" : "Under this principle:";
    $("under").querySelector("strong").textContent = words.slice(ofOne?.length ?? 0);
    play();
    shown = question;
    shownAt = performance.now();
  }

  // Answers ----------------------------------------------------------------------------------

  function put(question, choice, seconds) {
    outbox.push({ id: newId(), question: question.key, choice, seconds });
    keepBox();
    send();
  }

  function answer(choice) {
    if (shown === null) return;
    const question = shown;
    put(question, choice, Math.min(1e5, (performance.now() - shownAt) / 1000));
    const button = document.querySelector(`.choice[data-choice="${choice}"]`);
    if (button) {
      button.classList.add("taken");
      setTimeout(() => button.classList.remove("taken"), FLASH_MS);
    }
    back.push(question);
    queue.shift();
    if (queue.length < LOW) fetchMore();
    show();
  }

  function undo() {
    const question = back.pop();
    if (question === undefined) return;
    put(question, "undo", 0);
    queue.unshift(question.images ? question : load(question));
    show();
  }

  async function send() {
    if (sending || outbox.length === 0) return told();
    sending = true;
    const some = outbox.slice(0, TOGETHER);
    try {
      const response = await fetch("answers", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ person, answers: some }),
      });
      if (!response.ok) throw new Error((await response.text()).trim() || response.statusText);
      const tells = await response.json();
      const stored = new Set(tells.stored);
      outbox = outbox.filter((one) => !stored.has(one.id));
      keepBox();
      tell(tells);
      sending = false;
      send();
    } catch (error) {
      sending = false;
      told(error);
      setTimeout(send, RETRY_MS);
    }
  }

  function told(error) {
    const place = $("saved");
    place.classList.toggle("waiting", Boolean(error));
    const waiting = outbox.length === 1 ? "1 answer waits" : `${outbox.length} answers wait`;
    place.textContent = error
      ? `${waiting} in this browser: ${error.message}. It is tried again.`
      : outbox.length ? "" : "All answers are stored.";
  }

  async function fetchMore(first = false) {
    if (fetching) return;
    fetching = true;
    try {
      const held = queue.length + outbox.length;
      const address = `desk?person=${encodeURIComponent(person)}&ahead=${AHEAD + held}${first ? "&back=1" : ""}`;
      const response = await fetch(address);
      if (!response.ok) throw new Error((await response.text()).trim());
      const tells = await response.json();
      const waiting = new Set(outbox.filter((one) => one.choice !== "undo").map((one) => one.question));
      const known = new Set(queue.map((question) => question.key));
      const fresh = tells.next.filter((question) => !known.has(question.key) && !waiting.has(question.key));
      queue.push(...fresh.map(load));
      if (first) back = tells.back;
      exhausted = tells.next.length < AHEAD + held;
      tell(tells);
      told();
      fetching = false;
      if (shown === null) show();
    } catch (error) {
      fetching = false;
      told(error);
      setTimeout(() => fetchMore(first), RETRY_MS);
    }
  }

  function tell(told) {
    $("bar").max = Math.max(1, told.questions);
    $("bar").value = told.answered;
    const others = told.people.filter((name) => name !== person);
    const who = others.length ? ` Together with ${others.join(", ")}: ${told.by_anybody}.` : "";
    $("counts").textContent = `${told.answered} of ${told.questions} answered.${who}`;
    $("with-judge").textContent = inWords(told.with_judge);
    $("with-people").textContent = inWords(told.with_people);
    $("bar").setAttribute("aria-valuetext", `${told.answered} of ${told.questions} answered`);
  }

  function inWords({ same, of, interval }) {
    if (!of) return "not known yet";
    const percent = (share) => `${Math.round(100 * share)}%`;
    return `agree in ${percent(same / of)} (${same} of ${of}; 95% interval ${percent(interval[0])} to ${percent(interval[1])})`;
  }

  // Who, and by which keys -------------------------------------------------------------------

  async function begin(name) {
    person = name;
    localStorage.setItem("volition-person", person);
    outbox = JSON.parse(localStorage.getItem(boxName()) ?? "[]");
    $("name").hidden = true;
    $("standing").hidden = false;
    $("who").hidden = false;
    $("who").textContent = person;
    if ($("to-results")) $("to-results").href = `results?person=${encodeURIComponent(person)}`;
    document.activeElement?.blur();
    if (outbox.length) await send();
    await fetchMore(true);
  }

  $("name").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("person").value.trim().replace(/\s+/g, " ");
    if (name) begin(name);
  });
  $("who").addEventListener("click", () => {
    localStorage.removeItem("volition-person");
    location.reload();
  });
  document.querySelectorAll("[data-choice]").forEach((button) =>
    button.addEventListener("click", () => {
      answer(button.dataset.choice);
      button.blur();
    }));
  $("undo").addEventListener("click", undo);
  $("undo-last").addEventListener("click", undo);
  $("play").addEventListener("click", () => { playing = !playing; play(); });
  document.addEventListener("keydown", (event) => {
    if (person === null || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in KEYS) answer(KEYS[key]);
    else if (key === "u" || key === "Backspace") undo();
    else if (key === "p" && !$("play").hidden) $("play").click();
    else return;
    event.preventDefault();
  });
  window.addEventListener("online", send);

  const before = localStorage.getItem("volition-person");
  if (before) begin(before);
})();
