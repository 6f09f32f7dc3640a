"use strict";
// All versions play at the same time, sample by sample in step, and all but the chosen one are mute. So a switch
// loads nothing, waits for nothing and keeps the position.
const find = (selector) => document.querySelector(selector);
const choices = [...document.querySelectorAll("input[name=version]")];
const [play, slider, time, match, loop, trouble] =
  ["#play", "#position", "#time", "#match", "#loop", "#trouble"].map(find);
const rate = Number(document.body.dataset.rate);
const seconds = Number(document.body.dataset.seconds);
const FADE = 0.003; // seconds; a sudden step would click

let context = null; // made when play is pressed first, for before that browsers refuse sound
let buffers = [];
let voices = []; // of each version that plays, its source and its gain
let last = null; // one of the sources that play; null while nothing does
let began = 0; // time of the context at which position 0 was, or would have been
let looping = false;
let rest = 0; // position while nothing plays

const chosen = () => choices.findIndex((choice) => choice.checked);
const level = (k) => (k !== chosen() ? 0 : match.checked ? Number(choices[k].dataset.gain) : 1);

function position() {
  if (!last) return rest;
  const passed = Math.max(0, context.currentTime - began);
  return looping ? passed % seconds : Math.min(passed, seconds);
}

function halt(at) {
  if (last) last.onended = null;
  for (const { source } of voices) source.stop();
  [voices, last, rest] = [[], null, at];
  play.textContent = "Play";
  show();
}

function start(at) {
  halt(at);
  // At the rate of the sounds, so that the browser converts what it plays once, at the end, with a good filter.
  context ??= new AudioContext({ sampleRate: rate });
  context.resume();
  const when = context.currentTime + 0.02;
  looping = loop.checked;
  voices = buffers.map((buffer, k) => {
    const source = new AudioBufferSourceNode(context, { buffer, loop: looping });
    const gain = new GainNode(context, { gain: level(k) });
    source.connect(gain).connect(context.destination);
    source.start(when, at);
    return { source, gain };
  });
  [began, last] = [when - at, voices[0].source];
  last.onended = () => halt(0);
  play.textContent = "Pause";
  requestAnimationFrame(follow);
}

const go = (at) => (last ? start(at) : halt(at));
const toggle = () => (last ? halt(position()) : start(rest < seconds ? rest : 0));

function listen() {
  voices.forEach(({ gain }, k) => gain.gain.setTargetAtTime(level(k), context.currentTime, FADE));
  for (const section of document.querySelectorAll(".version")) {
    section.classList.toggle("chosen", Number(section.dataset.version) === chosen());
  }
}

function show() {
  const at = position();
  slider.value = at;
  slider.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${seconds.toFixed(1)} seconds`);
  time.textContent = `${at.toFixed(1)} / ${seconds.toFixed(1)} s`;
  document.documentElement.style.setProperty("--played", at / seconds);
}

function follow() {
  if (!last) return;
  show();
  requestAnimationFrame(follow);
}

function choose(k) {
  choices[k].checked = true;
  listen();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const k = "123456789".indexOf(event.key);
  if (k >= 0 && k < choices.length) choose(k);
  else if (event.key === " " && !play.disabled && !event.target.closest("button, [type=checkbox]")) {
    if (!event.repeat) toggle();
  } else return;
  event.preventDefault();
});
play.addEventListener("click", toggle);
match.addEventListener("change", listen);
loop.addEventListener("change", () => last && start(position()));
slider.addEventListener("input", () => go(Number(slider.value)));
for (const choice of choices) choice.addEventListener("change", listen);
for (const plot of document.querySelectorAll(".plot")) {
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    if (!play.disabled) go((seconds * (event.clientX - box.left)) / box.width);
  });
}

async function decode(node) {
  const data = Uint8Array.from(atob(node.textContent), (letter) => letter.charCodeAt(0));
  return new OfflineAudioContext(1, 1, rate).decodeAudioData(data.buffer);
}

listen();
Promise.all([...document.querySelectorAll(".sound")].map(decode)).then(
  (decoded) => {
    buffers = decoded;
    play.disabled = false;
  },
  (error) => {
    trouble.textContent = `This browser cannot play the sounds: ${error.message || error}`;
    trouble.hidden = false;
  },
);
