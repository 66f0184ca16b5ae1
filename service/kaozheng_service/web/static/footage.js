// Plays found footage by wall-clock time: a camera's clips one after another, gaps told and never jumped unseen.
const seatsByRoom = JSON.parse(document.getElementById("seats-by-room").textContent);
const roomField = document.querySelector("select[name=room]");
roomField.addEventListener("change", () => {
  document.getElementById("seats").replaceChildren(
    ...(seatsByRoom[roomField.value] ?? []).map((number) => new Option(number, number)),
  );
});

const data = document.getElementById("found");
if (data) play(JSON.parse(data.textContent));

function play(found) {
  const video = document.getElementById("video");
  const overlay = document.getElementById("overlay");
  const notice = document.getElementById("notice");
  const playButton = document.getElementById("play");
  const boxed = document.getElementById("boxed");
  const moment = Date.parse(found.at);
  const [begin, end] = [Date.parse(found.from), Date.parse(found.to)];
  const cameras = new Map(found.cameras.map((camera) => [camera.id, withTimes(camera)]));
  const clockForm = new Intl.DateTimeFormat("zh-CN", { timeZone: found.timezone, timeStyle: "medium", hourCycle: "h23" });
  const cursors = new Map([...document.querySelectorAll(".track")].map((track) => [track.dataset.camera, addCursor(track)]));
  let camera = null;
  let clip = null;
  let wall = moment;

  // Show a camera at a wall-clock moment; where it has no footage, say why.
  function show(id, at, playing) {
    camera = cameras.get(id);
    wall = Math.min(Math.max(at, begin), end - 1);
    const next = camera.clips.find((one) => one.from <= wall && wall < one.to);
    if (!next) {
      clip = null;
      video.removeAttribute("src");
      video.load();
      tell(absence(camera, wall));
    } else {
      tell("");
      const seconds = (wall - next.from) / 1000;
      if (next !== clip) {
        clip = next;
        video.src = next.url;
        video.addEventListener("loadedmetadata", () => { video.currentTime = seconds; }, { once: true });
      } else {
        video.currentTime = seconds;
      }
      video.playbackRate = Number(document.getElementById("speed").value);
      if (playing) video.play().catch(() => {});
    }
    drawBox();
    mark();
  }

  function absence(one, at) {
    if (one.refused) return "不能观看：还缺批准，见上方说明";
    const part = one.timeline.find((stretch) => stretch.from <= at && at < stretch.to);
    return part ? `${clockForm.format(at)} 没有录像：${part.words}` : `${clockForm.format(at)} 没有录像`;
  }

  function tell(text) {
    notice.textContent = text;
    notice.hidden = text === "";
  }

  function drawBox() {
    const [width, height] = camera.picture;
    overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
    overlay.replaceChildren();
    if (!camera.box || !clip || (boxed && !boxed.checked)) return;
    const [left, top, right, bottom] = camera.box;
    const stroke = width / 320;
    for (const kind of ["halo", "box"]) {
      overlay.append(shape("rect", {
        class: kind, x: left, y: top, width: right - left, height: bottom - top,
        "stroke-width": kind === "halo" ? stroke * 2.2 : stroke,
      }));
    }
    const size = width / 48;
    const label = shape("text", {
      x: Math.min(Math.max(left, 0) + stroke * 2, width - size * 5), y: Math.max(top - size * 0.4, size), "font-size": size,
    });
    label.textContent = `座位 ${found.seat}`;
    overlay.append(label);
  }

  // Everything on the page that depends on the camera or the moment.
  function mark() {
    document.getElementById("clock").textContent = clockForm.format(wall);
    const source = clip?.source;
    document.getElementById("which").textContent = source ? `${camera.id} ◇ 补录自 ${source}，不是本系统录制` : camera.id;
    document.getElementById("stage").classList.toggle("from-elsewhere", Boolean(source));
    playButton.textContent = video.paused ? "▶ 播放" : "⏸ 暂停";
    for (const [id, cursor] of cursors) {
      const x = `${(100 * (wall - begin)) / (end - begin)}%`;
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.classList.toggle("current", id === camera.id);
    }
    for (const one of document.querySelectorAll(".choice")) one.setAttribute("aria-pressed", String(one.dataset.camera === camera.id));
    for (const one of document.querySelectorAll(".scrub .camera")) one.classList.toggle("current", one.dataset.camera === camera.id);
    for (const one of document.querySelectorAll(".facts")) one.hidden = one.dataset.camera !== camera.id;
  }

  function follow() {
    if (!clip || video.seeking || video.readyState < 1) return;
    wall = Math.min(clip.from + video.currentTime * 1000, end);
    if (wall >= end) video.pause();
    mark();
  }

  function goOn() {
    if (!clip) return mark();
    // Backfilled footage reaches over the edges of its gap: whatever shows the next moment goes on, else the next clip.
    const after = clip.to + 50;
    const later = camera.clips.filter((one) => one.from >= clip.to - 50 && one !== clip).sort((one, two) => one.from - two.from);
    const next = camera.clips.find((one) => one !== clip && one.from <= after && after < one.to) ?? later[0];
    if (!next || next.from >= end) return mark();
    const between = absence(camera, (clip.to + next.from) / 2);
    const skipped = next.from - clip.to;
    show(camera.id, Math.max(next.from, Math.min(clip.to, next.to - 1)), true);
    if (skipped > 500) {
      tell(`${between}，已跳过 ${Math.round(skipped / 100) / 10} 秒`);
      setTimeout(() => { if (clip) tell(""); }, 6000);
    }
  }

  async function fail() {
    if (!clip) return;
    const url = clip.url;
    clip = null;
    let detail = "浏览器不能播放这段录像";
    const answer = await fetch(url, { headers: { Range: "bytes=0-0" } }).catch(() => null);
    if (!answer) detail = "与服务断开";
    else if (!answer.ok) detail = (await answer.json().catch(() => ({}))).detail ?? `HTTP ${answer.status}`;
    tell(`✕ 无法播放：${detail}`);
  }

  for (const one of document.querySelectorAll(".choice, .scrub .camera")) {
    one.addEventListener("click", () => show(one.dataset.camera, wall, !video.paused));
  }
  for (const track of document.querySelectorAll(".track")) {
    track.addEventListener("click", (event) => {
      const place = track.getBoundingClientRect();
      show(track.dataset.camera, begin + ((event.clientX - place.left) / place.width) * (end - begin), !video.paused);
    });
  }
  for (const one of document.querySelectorAll("[data-jump]")) {
    one.addEventListener("click", () => show(camera.id, wall + Number(one.dataset.jump) * 1000, !video.paused));
  }
  playButton.addEventListener("click", () => (video.paused ? video.play().catch(() => {}) : video.pause()));
  document.getElementById("stage").addEventListener("click", () => playButton.click());
  document.getElementById("moment").addEventListener("click", () => show(camera.id, moment, false));
  document.getElementById("speed").addEventListener("change", (event) => { video.playbackRate = Number(event.target.value); });
  document.getElementById("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.getElementById("stage").requestFullscreen();
  });
  boxed?.addEventListener("change", drawBox);
  video.addEventListener("timeupdate", follow);
  video.addEventListener("seeked", follow);
  video.addEventListener("play", mark);
  video.addEventListener("pause", mark);
  video.addEventListener("ended", goOn);
  video.addEventListener("error", fail);
  for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));

  show(found.shown ?? found.cameras[0].id, moment, false);
}

function withTimes(camera) {
  const parse = (part) => ({ ...part, from: Date.parse(part.from), to: Date.parse(part.to) });
  return { ...camera, clips: camera.clips.map(parse), timeline: camera.timeline.map(parse) };
}

function addCursor(track) {
  const cursor = shape("line", { class: "cursor", y1: 0, y2: 20 });
  track.querySelector("svg").append(cursor);
  return cursor;
}

function shape(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// The clipboard is closed to pages that came over plain http from another machine: there the text is selected.
async function copy(button) {
  const text = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "✓ 已复制";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "已选中，请按 Ctrl+C";
  }
}
