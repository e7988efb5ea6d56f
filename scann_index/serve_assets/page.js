// The page: type or speak, see and hear what is nearest. No library, nothing from elsewhere.
const $ = (id) => document.getElementById(id);
const form = $("search"), text = $("text"), microphone = $("microphone");
const names = new Map();
let limits = { seconds: 30, bytes: 8e6 };
let last = null;      // what was asked for last: { text } or { sound: Blob, name }
let pending = null;   // aborts the request under way
let recording = null;

const languageName = (code) => names.get(code) ?? code;
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

// ---- asking ----------------------------------------------------------------------------------

async function ask(query) {
  last = query;
  pending?.abort();
  const own = (pending = new AbortController());
  document.body.classList.add("busy");
  show("problem", "");
  $("status").textContent = query.sound ? "Listening to it…" : "Searching…";
  const filters = currentFilters();
  try {
    const response = query.sound
      ? await fetch(`search?${new URLSearchParams(filters)}`, {
          method: "POST", body: query.sound, headers: { "content-type": query.sound.type || "audio/wav" }, signal: own.signal })
      : await fetch("search", {
          method: "POST", body: JSON.stringify({ ...filters, text: query.text }),
          headers: { "content-type": "application/json" }, signal: own.signal });
    const result = await response.json();
    if (!response.ok) throw new Error(problemText(result));
    render(result, query);
  } catch (error) {
    if (error.name === "AbortError") return;
    $("answers").replaceChildren();
    $("status").textContent = "";
    show("problem", error instanceof TypeError ? "The server can’t be reached." : error.message);
  } finally {
    if (own === pending) document.body.classList.remove("busy");
  }
}

function problemText({ reason, detail }) {
  const known = {
    "too-big": "That file is too big", "too-long": "That is too long", "not-audio": "That is no sound I can read",
    "too-short": "That was too short", "empty-audio": "There is no sound in that", overloaded: "Too busy just now, try again",
  };
  return `${known[reason] ?? "That did not work"}: ${detail}.`;
}

function currentFilters() {
  const filters = { k: $("k").value };
  const modality = form.elements.modality.value;
  if (modality) filters.modality = modality;
  if ($("language").value) filters.language = $("language").value;
  const chosen = [...document.querySelectorAll("#language-boxes input:checked")].map((box) => box.value);
  if (chosen.length) filters.languages = chosen.join(",");
  return filters;
}

function show(id, words) {
  $(id).textContent = words;
  $(id).hidden = !words;
}

// ---- answers ---------------------------------------------------------------------------------

function render({ answers, milliseconds, query }, asked) {
  stop();
  $("tries").hidden = true;
  const took = Object.values(milliseconds).reduce((a, b) => a + b, 0);
  const about = asked.sound ? `${query.seconds} seconds of sound` : `“${query.text}”`;
  const count = answers.length === 1 ? "1 sentence" : `${answers.length} sentences`;
  const time = took < 1000 ? `${Math.round(took)} ms` : `${(took / 1000).toFixed(1)} s`;
  $("status").textContent = `${count} for ${about}, in ${time}`;
  $("spoken").hidden = !asked.sound;
  if (asked.sound) showSpoken(asked);
  $("answers").replaceChildren(...answers.map(card));
}

function showSpoken({ sound, name }) {
  const button = $("rendering").content.querySelector("button").cloneNode(true);
  button.classList.remove("small");
  playable(button, () => sound, name);
  const words = document.createElement("span");
  words.textContent = name;
  $("spoken").replaceChildren(button, words);
}

function card(answer, place) {
  const item = $("answer").content.cloneNode(true).firstElementChild;
  const [own, ...others] = answer.renderings;
  item.querySelector(".score b").textContent = answer.score.toFixed(2);
  item.querySelector(".score").title = `cosine ${answer.score}`;
  item.querySelector(".meter i").style.width = `${Math.max(0, Math.min(1, answer.score)) * 100}%`;
  const sentence = item.querySelector(".sentence");
  words(sentence, answer.text || own?.text || "(no transcript)", answer.language);
  item.querySelector(".language").textContent = languageName(answer.language);
  item.querySelector(".kind").textContent = answer.modality === "speech" ? "recording" : "text";
  const time = item.querySelector(".time");
  time.hidden = answer.start === null;
  if (!time.hidden) time.textContent = `heard at ${clock(answer.start)}`;
  item.querySelector(".id").textContent = answer.sentence_id;
  item.querySelector(".id").title = `sentence id ${answer.sentence_id}`;
  const label = `${languageName(answer.language)}: ${sentence.textContent}`;
  const audio = own?.language === answer.language ? own.audio : null;
  const button = item.querySelector(":scope > .play");
  if (audio) playable(button, audio, label);
  else button.remove();
  const details = item.querySelector("details");
  if (!others.length) details.remove();
  details.open = place === 0;
  details.querySelector("summary").textContent =
    others.length === 1 ? "in another language" : `in ${others.length} other languages`;
  details.querySelector("ul").append(...others.map(rendering));
  return item;
}

function rendering({ language, text, audio }) {
  const item = $("rendering").content.cloneNode(true).firstElementChild;
  item.querySelector(".name").textContent = languageName(language);
  words(item.querySelector(".words"), text || "(no transcript)", language);
  const button = item.querySelector("button");
  if (audio) playable(button, audio, `${languageName(language)}: ${text}`);
  else button.remove();
  return item;
}

function words(element, content, language) {
  element.textContent = content;
  element.lang = language;
  element.dir = "auto";
}

// ---- playing ---------------------------------------------------------------------------------

const player = new Audio();
let playing = null;

function playable(button, source, label) {
  button.setAttribute("aria-label", `Play ${label}`);
  button.title = "Play";
  button.addEventListener("click", () => (playing === button ? stop() : play(button, source)));
}

async function play(button, source) {
  stop();
  playing = button;
  mark(button, true);
  try {
    let sound = typeof source === "function" ? source() : null;
    if (!sound) {
      const response = await fetch(`audio/${source}`);
      if (!response.ok) throw new Error(problemText(await response.json()));
      sound = await response.blob();
    }
    if (playing !== button) return;
    player.src = URL.createObjectURL(sound);
    await player.play();
  } catch (error) {
    if (error.name === "AbortError") return;
    stop();
    show("problem", error.message);
  }
}

function stop() {
  if (playing) mark(playing, false);
  playing = null;
  player.pause();
  if (player.src) URL.revokeObjectURL(player.src);
}

function mark(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
  button.querySelector("use").setAttribute("href", pressed ? "#icon-pause" : "#icon-play");
}

player.addEventListener("ended", stop);

// ---- speaking --------------------------------------------------------------------------------

async function record() {
  stop();
  show("problem", "");
  if (!navigator.mediaDevices?.getUserMedia) {
    show("problem", "Browsers open the microphone only over https or on localhost. Send a sound file instead.");
    return;
  }
  let stream;
  try {
    // What helps a telephone call takes away from speech; the model has learned from plain recordings.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...plain } });
  } catch (error) {
    show("problem", error.name === "NotAllowedError"
      ? "The browser may not use the microphone; allow it for this page." : `No microphone: ${error.message}.`);
    return;
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule("assets/recorder.js");
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
  recording = { stream, context, blocks: [], levels: [], samples: 0, timer: 0 };
  node.port.onmessage = ({ data }) => heard(data);
  context.createMediaStreamSource(stream).connect(node);
  form.classList.add("recording");
  text.hidden = true;
  $("level").hidden = $("clock").hidden = false;
  switchMicrophone(true);
  $("status").textContent = "Recording. Press the button again to search.";
  recording.timer = setInterval(draw, 50);
}

function heard(block) {
  if (!recording) return;
  recording.blocks.push(block);
  recording.samples += block.length;
  recording.levels.push(Math.sqrt(block.reduce((sum, s) => sum + s * s, 0) / block.length));
  const rate = recording.context.sampleRate;
  const most = Math.min(limits.seconds - 0.2, (limits.bytes - 1000) / (2 * rate));
  if (recording.samples / rate >= most) finish();
}

function draw() {
  const canvas = $("level"), brush = canvas.getContext("2d");
  const seconds = recording.samples / recording.context.sampleRate;
  $("clock").textContent = `${clock(seconds)} / ${clock(limits.seconds)}`;
  brush.clearRect(0, 0, canvas.width, canvas.height);
  brush.fillStyle = getComputedStyle(canvas).color;
  const bars = Math.floor(canvas.width / 8), levels = recording.levels.slice(-bars);
  levels.forEach((level, i) => {
    const height = Math.max(4, Math.min(1, 2.2 * Math.sqrt(level)) * canvas.height);
    brush.globalAlpha = 0.35 + 0.65 * (i / levels.length);
    brush.beginPath();
    brush.roundRect((bars - levels.length + i) * 8, (canvas.height - height) / 2, 5, height, 2.5);
    brush.fill();
  });
}

function release() {
  const done = recording;
  recording = null;
  clearInterval(done.timer);
  done.stream.getTracks().forEach((track) => track.stop());
  done.context.close();
  form.classList.remove("recording");
  text.hidden = false;
  $("level").hidden = $("clock").hidden = true;
  switchMicrophone(false);
  $("status").textContent = "";
  return done;
}

function finish() {
  const { blocks, samples, context } = release();
  const sound = new Float32Array(samples);
  blocks.reduce((place, block) => (sound.set(block, place), place + block.length), 0);
  const speech = withoutSilence(sound, context.sampleRate);
  if (speech.length < context.sampleRate / 5) {
    show("problem", "I heard nothing: speak, then press the button again.");
    return;
  }
  text.value = "";
  remember("");
  ask({ sound: wav(speech, context.sampleRate), name: "what you said" });
}

function switchMicrophone(on) {
  microphone.setAttribute("aria-pressed", String(on));
  microphone.setAttribute("aria-label", on ? "Stop and search" : "Speak");
  microphone.title = on ? "Stop and search" : "Speak";
  microphone.querySelector("use").setAttribute("href", on ? "#icon-stop" : "#icon-mic");
}

// The silence before and after speech stands in no recording the model has learned from.
function withoutSilence(sound, rate) {
  const size = Math.round(rate / 50), levels = [];
  for (let start = 0; start + size <= sound.length; start += size) {
    let energy = 0;
    for (let i = start; i < start + size; i++) energy += sound[i] * sound[i];
    levels.push(Math.sqrt(energy / size));
  }
  const loudest = Math.max(0, ...levels);
  if (loudest < 0.002) return new Float32Array(0);
  const heard = (level) => level > 0.05 * loudest;
  const margin = 3, first = levels.findIndex(heard), end = levels.findLastIndex(heard) + 1;
  return sound.subarray(Math.max(0, first - margin) * size, (end + margin) * size);
}

function wav(sound, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * sound.length));
  const letters = (place, word) => [...word].forEach((c, i) => view.setUint8(place + i, c.charCodeAt(0)));
  letters(0, "RIFF");
  letters(8, "WAVEfmt ");
  letters(36, "data");
  const bytes = 2 * sound.length;
  [[4, 36 + bytes], [16, 16], [24, rate], [28, 2 * rate], [40, bytes]].forEach(([place, n]) => view.setUint32(place, n, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([place, n]) => view.setUint16(place, n, true));
  sound.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, sample)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

// ---- the form --------------------------------------------------------------------------------

function submit() {
  const words = text.value.trim();
  if (!words) return text.focus();
  remember(words);
  ask({ text: words });
}

function remember(words) {
  const address = words ? `?q=${encodeURIComponent(words)}` : location.pathname;
  if (words !== (new URLSearchParams(location.search).get("q") ?? "")) history.pushState(null, "", address);
}

function fromAddress() {
  const words = new URLSearchParams(location.search).get("q");
  text.value = words ?? "";
  if (words) ask({ text: words });
}

function sendFile(file) {
  if (!file) return;
  if (file.size > limits.bytes) return show("problem", problemText({
    reason: "too-big", detail: `${(file.size / 1e6).toFixed(1)} MB, the most is ${(limits.bytes / 1e6).toFixed(1)} MB` }));
  text.value = "";
  // A file whose type the browser doesn't know is judged by its bytes.
  const type = file.type.startsWith("audio/") ? file.type : "application/octet-stream";
  ask({ sound: new Blob([file], { type }), name: file.name });
}

form.addEventListener("submit", (event) => { event.preventDefault(); recording ? finish() : submit(); });
microphone.addEventListener("click", () => (recording ? finish() : record()));
$("file").addEventListener("change", ({ target }) => { sendFile(target.files[0]); target.value = ""; });
form.addEventListener("change", ({ target }) => {
  if (target === text || target.id === "file") return;
  showLanguages();
  if (last) ask(last);
});
$("all-languages").addEventListener("click", () => {
  document.querySelectorAll("#language-boxes input:checked").forEach((box) => (box.checked = false));
  form.dispatchEvent(new Event("change"));
});
window.addEventListener("popstate", fromAddress);
document.addEventListener("click", ({ target }) => { if (!$("languages").contains(target)) $("languages").open = false; });
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (recording) release();
    else if ($("languages").open) { $("languages").open = false; $("languages").firstElementChild.focus(); }
    else stop();
  } else if (event.altKey && event.code === "KeyS") {
    event.preventDefault();
    microphone.click();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    text.focus();
  }
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => { event.preventDefault(); sendFile(event.dataTransfer.files[0]); });

function showLanguages() {
  const chosen = [...document.querySelectorAll("#language-boxes input:checked")].map((box) => languageName(box.value));
  $("languages-shown").textContent =
    chosen.length === 0 ? "all languages" : chosen.length <= 2 ? chosen.join(", ") : `${chosen.length} languages`;
}

async function start() {
  const index = await (await fetch("index")).json();
  limits = index.limits;
  for (const { code, name } of [...index.query_languages, ...index.languages]) names.set(code, name);
  $("about").textContent = `${index.rows.toLocaleString("en")} rows · ${index.languages.length} languages`;
  for (const { code, name, text: texts, speech } of index.languages) {
    const label = document.createElement("label"), box = document.createElement("input");
    Object.assign(box, { type: "checkbox", value: code });
    label.title = `${texts.toLocaleString("en")} texts, ${speech.toLocaleString("en")} recordings`;
    label.append(box, name);
    $("language-boxes").append(label);
  }
  for (const { code, name } of index.query_languages) $("language").append(new Option(name, code));
  for (const input of form.elements.modality)
    input.disabled = Boolean(input.value) && !index.modalities.includes(input.value);
  for (const example of index.examples) {
    const button = document.createElement("button");
    button.type = "button";
    words(button, example.text, example.language);
    button.title = languageName(example.language);
    button.addEventListener("click", () => { text.value = example.text; submit(); });
    $("tries").append(button);
  }
  $("tries").hidden = !index.examples.length;
  document.body.dataset.ready = "true";
  fromAddress();
  if (!text.value) text.focus();
}

start().catch(() => show("problem", "The server can’t be reached."));
