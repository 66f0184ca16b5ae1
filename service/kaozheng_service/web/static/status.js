// Keeps the status page fresh: every 3 seconds the parts that changed are put in place of the old ones.
const PERIOD_MS = 3000;
const parts = document.getElementById("parts");
const lost = document.getElementById("lost");

async function refresh() {
  try {
    const answer = await fetch(parts.dataset.address, {
      headers: { Accept: "text/html" },
      cache: "no-store",
      signal: AbortSignal.timeout(10000),
    });
    if (answer.status === 401) location.reload(); // signed out meanwhile: the page itself leads to the sign-in
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    replaceChanged(new DOMParser().parseFromString(await answer.text(), "text/html"));
    lost.hidden = true;
  } catch {
    lost.querySelector("time").textContent = parts.querySelector("#part-foot time").textContent;
    lost.hidden = false;
  } finally {
    setTimeout(refresh, PERIOD_MS);
  }
}

// Only parts that differ are touched, so a pointer resting on a bar or a selection elsewhere is not disturbed.
function replaceChanged(fresh) {
  for (const part of fresh.querySelectorAll("[id^=part-]")) {
    const old = document.getElementById(part.id);
    if (old && old.outerHTML !== part.outerHTML) old.replaceWith(document.importNode(part, true));
  }
}

setTimeout(refresh, PERIOD_MS);
