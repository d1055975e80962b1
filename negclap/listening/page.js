"use strict";
(() => {
  const SIDES = ["A", "B"];
  const MAX_SHUFFLES = 200; // tries to find an order without the same text twice in a row
  const study = window.STUDY;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const players = SIDES.map(() => new Audio());
  let state, order;
  let plays, played, since; // current trial: starts per side, played to the end per side, time shown

  function load() {
    try {
      state = JSON.parse(localStorage.getItem(storageKey()));
    } catch {
      state = null; // damaged, or storage is blocked
    }
    if (!state || !Array.isArray(state.answers)) state = newRater();
    store();
    order = shuffle(state.rater);
  }

  function storageKey() {
    return `listening-${study.study}`;
  }

  function newRater() {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    const rater = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return { rater, begun: false, answers: [] };
  }

  function store() {
    try {
      localStorage.setItem(storageKey(), JSON.stringify(state));
    } catch {
      one("#no-storage").hidden = false;
    }
  }

  // Each rater gets a different order, which stays the same after a reload.
  function shuffle(rater) {
    let seed = [...rater].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 16777619), 2166136261);
    const random = () => { // mulberry32
      seed = (seed + 0x6d2b79f5) | 0;
      let x = Math.imul(seed ^ (seed >>> 15), seed | 1);
      x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
      return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
    };
    const trials = [...study.trials];
    for (let tries = 0; tries < MAX_SHUFFLES; tries++) {
      for (let i = trials.length - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        [trials[i], trials[j]] = [trials[j], trials[i]];
      }
      if (!trials.some((trial, i) => i && trial.text === trials[i - 1].text)) break;
    }
    return trials;
  }

  function show(id) {
    for (const section of all("main > section")) section.hidden = section.id !== id;
    const title = one(`#${id} h1`);
    if (title.tabIndex === -1 && title.hasAttribute("tabindex")) title.focus();
  }

  function showNext() {
    if (!state.begun) {
      one("#count").textContent = order.length;
      show("welcome");
    } else if (state.answers.length < order.length) {
      showTrial();
    } else {
      one("#saved").textContent = "";
      one("#another").hidden = true;
      show("end");
    }
  }

  function current() {
    return order[state.answers.length];
  }

  function showTrial() {
    const trial = current();
    const number = state.answers.length + 1;
    one("#place").textContent = `${number} of ${order.length}`;
    one("#progress").max = order.length;
    one("#progress").value = number - 1;
    one("#text").textContent = `“${trial.text}”`;
    plays = [0, 0];
    played = [false, false];
    since = performance.now();
    players.forEach((player, side) => {
      player.src = trial.clips[side];
      player.load();
    });
    one("#trial .save").hidden = !state.answers.length;
    show("trial");
    refresh();
  }

  function refresh() {
    SIDES.forEach((letter, side) => {
      const playing = !players[side].paused;
      const times = plays[side] > 1 ? ` (${plays[side]} plays)` : "";
      all(".play")[side].textContent = `${playing ? "❚❚ Pause" : "▶ Play"} ${letter}`;
      all(".played")[side].textContent =
        played[side] ? `✓ finished${times}` : "not finished yet";
      all(".choose")[side].setAttribute("aria-disabled", String(!ready()));
    });
    notify(
      ready() ? "Now choose a clip, or play them again." : "Play both clips to the end, then choose.",
    );
  }

  function ready() {
    return played.every(Boolean);
  }

  function notify(text, urgent = false) {
    const note = one("#note");
    if (note.textContent !== text) note.textContent = text;
    note.classList.toggle("urgent", urgent);
  }

  function toggle(side) {
    const player = players[side];
    if (!player.paused) {
      player.pause();
      return;
    }
    players[1 - side].pause();
    if (player.ended || player.currentTime === 0) plays[side] += 1;
    player.play().catch((error) => {
      if (error.name === "NotSupportedError") fail(player);
    });
  }

  function choose(side) {
    if (!ready()) {
      notify("Please play both clips to the end before you choose.", true);
      return;
    }
    players.forEach((player) => player.pause());
    state.answers.push({
      trial: current().trial,
      choice: SIDES[side],
      seconds: Math.round(performance.now() - since) / 1000,
      plays: { A: plays[0], B: plays[1] },
    });
    store();
    showNext();
  }

  function fail(player) {
    players.forEach((each) => each.pause());
    one("#reason").textContent = `The clip ${player.getAttribute("src")} could not be loaded.`;
    show("problem");
  }

  function save() {
    const answers = { study: study.study, rater: state.rater, answers: state.answers };
    const file = new Blob([JSON.stringify(answers, null, 1)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = `answers-${state.rater}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    const saved = `Saved as ${link.download}; look for it in your browser’s downloads.`;
    one("#saved").textContent = saved;
    notify(saved);
    one("#another").hidden = false;
  }

  function begin() {
    state.begun = true;
    store();
    showNext();
  }

  function startOver() {
    if (!confirm("Delete these answers from this device? Make sure that you have saved the file first.")) return;
    state = newRater();
    store();
    order = shuffle(state.rater);
    showNext();
  }

  function pressKey(event) {
    if (one("#trial").hidden || event.repeat) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const keys = { a: [choose, 0], arrowleft: [choose, 0], b: [choose, 1], arrowright: [choose, 1] };
    Object.assign(keys, { 1: [toggle, 0], 2: [toggle, 1] });
    const found = keys[event.key.toLowerCase()];
    if (!found) return;
    event.preventDefault();
    found[0](found[1]);
  }

  players.forEach((player, side) => {
    player.preload = "auto";
    player.addEventListener("play", refresh);
    player.addEventListener("pause", refresh);
    player.addEventListener("ended", () => {
      played[side] = true;
      refresh();
    });
    player.addEventListener("timeupdate", () => {
      all(".position")[side].value = player.currentTime / player.duration || 0;
    });
    player.addEventListener("emptied", () => {
      all(".position")[side].value = 0;
    });
    player.addEventListener("error", () => fail(player));
    all(".play")[side].addEventListener("click", () => toggle(side));
    all(".choose")[side].addEventListener("click", () => choose(side));
  });
  all(".save").forEach((button) => button.addEventListener("click", save));
  one("#begin").addEventListener("click", begin);
  one("#another").addEventListener("click", startOver);
  one("#retry").addEventListener("click", () => location.reload());
  document.addEventListener("keydown", pressKey);

  if (!study) {
    one("#reason").textContent = "The file trials.js could not be loaded.";
    show("problem");
    return;
  }
  load();
  showNext();
})();
