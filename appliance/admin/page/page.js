// The admin console's one script: draws anew what the server drew, the plots, faults, the audit log, and asks for actions.
// Everything that a node says is put in as text, never as markup.
"use strict";

const EVERY_MS = 5000, SAMPLES = 180, WIDTH = 360, HEIGHT = 150, LEFT = 44, BOTTOM = 20, STYLES = 6;
const SVG = "http://www.w3.org/2000/svg";
let session = null, appliance = false;

const byId = (id) => document.getElementById(id);

function element(name, words = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(words)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, words, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(words)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function ask(path, body) {
  const options = { credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json", "X-CSRF-Token": session.csrf };
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const text = await answer.json();
  if (!answer.ok) throw new Error(text.error || `answer ${answer.status}`);
  return text;
}

// ---- clusters and nodes, as appliance/admin/admin_page.c draws them

function clusterCard(cluster) {
  const mood = cluster.may_lose > 0 ? "good" : cluster.up >= cluster.quorum ? "warn" : "bad";
  const members = cluster.nodes.map((node) => element("li", { class: node.up ? "up" : "down" },
    element("span", {}, node.name || `member ${node.member}`), ` ${node.state}${node.leads ? ", leads" : ""}${node.needed ? ", needed" : ""}`));
  return element("article", { class: `card ${mood}` }, element("h3", {}, `Cluster ${cluster.cluster}`),
    element("p", { class: "mood" }, element("strong", {}, `${cluster.up} of ${cluster.members} vote, ${cluster.quorum} decide.`),
      ` Can I lose another node? ${cluster.text}.`),
    element("p", {}, `View ${cluster.view}, height ${cluster.height}`), element("ul", { class: "members" }, ...members));
}

const mebibytes = (bytes) => ((bytes || 0) / 1048576).toFixed(1);
const size = (bytes) => bytes === undefined ? "?" :
  bytes >= 1000 * 1048576 ? `${(bytes / 1073741824).toFixed(1)}\u00a0GiB` : `${mebibytes(bytes)}\u00a0MiB`;
const milliseconds = (us) => ((us || 0) / 1000).toFixed(1);

function nodeRow(status) {
  const name = element("th", { role: "rowheader", scope: "row" }, status.node);
  const labels = [...document.querySelectorAll("[aria-labelledby=h-nodes] thead th")].map((head) => head.textContent);
  const { last } = status, old = (ms) => `${Math.floor(ms / 1000)} s ago`;
  const before = last ? ` Its last word, ${old(last.age_ms)}: ${last.phase || "?"}, height ${last.height ?? 0}.` : "";
  if (status.error)
    return element("tr", { role: "row" }, name, element("td", { role: "cell", colspan: String(labels.length - 1) }, status.error + before));
  const { queues = {}, commit_us: commit = {}, wal = {} } = status;
  const numbers = [status.height, milliseconds(commit.p50), milliseconds(commit.p99), queues.inputs_waiting, queues.blocks_open,
    size(status.resident_bytes), size(status.memory_limit_bytes), size(status.memory_budget_total_bytes), size(wal.bytes), size(wal.map_bytes)];
  const cause = status.phase === "retired" && status.retired_by ? `: ${status.retired_by}` : "";
  const phase = (status.phase || "?") + cause + (status.says ? `; calls itself ${status.says}` : "") +
    (status.age_ms >= 2000 ? `; as of ${old(status.age_ms)}` : "");
  return element("tr", { role: "row" }, name, element("td", { role: "cell", "data-label": labels[1] }, phase), ...numbers.map((n, i) =>
    element("td", { role: "cell", class: "number", "data-label": labels[i + 2] }, String(n ?? ""))));
}

// ---- other consoles, as appliance/admin/admin_peers_page.c draws them

function toldCard(cluster) {
  return element("article", { class: `card ${cluster.enough ? "told" : "bad"}` }, element("h3", {}, `Cluster ${cluster.cluster}`),
    element("p", { class: "mood" }, element("strong", {}, cluster.enough ? "As told:" : "Too few, as told:"), ` ${cluster.text}.`));
}

function peerRows(peer) {
  const labels = [...document.querySelectorAll("[aria-labelledby=h-peers] thead th")].map((head) => head.textContent);
  const row = (...cells) => element("tr", { role: "row" }, element("th", { role: "rowheader", scope: "row" }, peer.where), ...cells);
  const down = peer.up ? [] : [row(element("td", { role: "cell", colspan: String(labels.length - 1) }, peer.fault))];
  return [...down, ...peer.nodes.map((node) => row(...[`${Math.floor(node.age_ms / 1000)} s ago${peer.counts ? "" : ", too old to count"}`, node.node,
    node.cluster ?? "?", node.phase ?? "no answer to its console", node.height, node.view].map((text, i) =>
    element("td", { role: "cell", "data-label": labels[i + 1], ...(i >= 4 ? { class: "number" } : {}) }, String(text)))))];
}

async function peersDraw() {
  if (!byId("peers-section")) return;
  const { peers, clusters } = await ask("/api/v1/peers");
  byId("told").replaceChildren(...clusters.map(toldCard));
  byId("peers").replaceChildren(...peers.flatMap(peerRows));
}

// ---- decision queues

function queueRow(queue) {
  const labels = [...document.querySelectorAll("[aria-labelledby=h-queues] thead th")].map((head) => head.textContent);
  const numbers = [queue.sent, queue.waiting, queue.consumed, queue.hint, queue.held];
  return element("tr", { role: "row" }, element("th", { role: "rowheader", scope: "row" }, `${queue.cluster} with ${queue.with}`),
    element("td", { role: "cell", "data-label": labels[1], class: `queue mood ${queue.good ? "good" : "bad"}` }, element("span", {},
      element("strong", {}, queue.good ? "Green:" : "Red:"), ` ${queue.text}${queue.good ? "" : `, at ${queue.node}`}`)),
    ...numbers.map((n, i) => element("td", { role: "cell", class: "number", "data-label": labels[i + 2] }, String(n))));
}

// ---- plots: one line a cluster

function differences(samples) {
  const out = [];
  for (let i = 1; i < samples.length; i++) {
    const before = samples[i - 1], now = samples[i];
    const seconds = (now.at_ms - before.at_ms) / 1000, commits = now.commit_count - before.commit_count;
    if (!before.up || !now.up || seconds <= 0 || now.decisions < before.decisions) continue; // away, or begun anew
    out.push({ at: now.at_ms, rate: (now.decisions - before.decisions) / seconds, queue: now.inputs_waiting,
      commit: commits > 0 ? (now.commit_sum_us - before.commit_sum_us) / commits / 1000 : null });
  }
  return out;
}

// [{name, points: [[time, value], ...]}]: at each time the highest value of the cluster's nodes
function linesOf(history, clusterOf, what) {
  const clusters = new Map();
  for (const series of history.series) {
    const cluster = clusterOf.get(series.node);
    if (cluster === undefined) continue;
    if (!clusters.has(cluster)) clusters.set(cluster, new Map());
    for (const one of differences(series.samples)) {
      if (one[what] === null) continue;
      const slot = Math.round(one.at / history.sample_ms), old = clusters.get(cluster).get(slot);
      if (old === undefined || one[what] > old) clusters.get(cluster).set(slot, one[what]);
    }
  }
  return [...clusters].sort().map(([name, slots]) => ({ name, points: [...slots].sort((a, b) => a[0] - b[0]) }));
}

const short = (value) => value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1);

function plot(place, title, lines) {
  const all = lines.flatMap((line) => line.points);
  if (all.length === 0) {
    place.replaceChildren(element("p", { class: "faint" }, "Nothing yet: a value every five seconds."));
    return;
  }
  const first = Math.min(...all.map((p) => p[0])), last = Math.max(...all.map((p) => p[0]), first + 1);
  const top = Math.max(...all.map((p) => p[1]), 1);
  const x = (slot) => LEFT + (slot - first) / (last - first) * (WIDTH - LEFT - 6);
  const y = (value) => (HEIGHT - BOTTOM) - value / top * (HEIGHT - BOTTOM - 10);
  const now = lines.map((line) => `${line.name} ${line.points.length ? short(line.points.at(-1)[1]) : "no value"}`);
  const minutes = Math.max(1, Math.round((last - first) * EVERY_MS / 60000));
  const image = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img",
    "aria-label": `${title}. Newest: ${now.join(", ")}. Highest ${short(top)}.` },
    drawn("path", { class: "axis", d: `M${LEFT} 6V${HEIGHT - BOTTOM}H${WIDTH - 6}` }),
    drawn("text", { x: LEFT - 5, y: 16, "text-anchor": "end" }, short(top)),
    drawn("text", { x: LEFT - 5, y: HEIGHT - BOTTOM, "text-anchor": "end" }, "0"),
    drawn("text", { x: LEFT, y: HEIGHT - 5 }, `${minutes} min ago`), drawn("text", { x: WIDTH - 6, y: HEIGHT - 5, "text-anchor": "end" }, "now"));
  lines.forEach((line, i) => image.append(drawn("polyline", { class: `plot s${i % STYLES}`,
    points: [...line.points.slice(0, 1), ...line.points].map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ") })));
  const legend = element("ul", { class: "legend" }, ...now.map((text, i) => element("li", {},
    drawn("svg", { viewBox: "0 0 32 10", "aria-hidden": "true" }, drawn("path", { class: `plot s${i % STYLES}`, d: "M0 5H32" })), ` ${text}`)));
  place.replaceChildren(image, legend);
}

// ---- faults

function faultLines(node) {
  const name = node.node || node.socket, out = [];
  if (node.error) return [`${name}: ${node.error}`];
  for (const one of node.attackers || []) out.push(`${name}: ${one.attack} by ${one.peer}, ${one.count} times`);
  for (const [attack, count] of Object.entries(node.attacks || {}))
    if (!(node.attackers || []).some((one) => one.attack === attack)) out.push(`${name}: ${attack}, ${count} times`);
  if (node.damage_found > 0) out.push(`${name}: damage found ${node.damage_found} times, mended ${node.damage_repaired} times`);
  return out;
}

// Files of evidence convict by themselves, anywhere: heraclius evidence verify FILE.
function evidenceLines(node) {
  const place = (file) => `/api/v1/evidence/file?node=${encodeURIComponent(node.node)}&file=${encodeURIComponent(file)}`;
  return (node.files || []).map((one) => element("li", {}, `${node.node} keeps evidence: `,
    session.role === "view" || !session.tls ? one.file : element("a", { href: place(one.file), download: one.file }, one.file),
    `, ${one.bytes} bytes`));
}

// A late vote, a link that went down: counted, and no fault as long as it does not grow fast.
function droppedLine(node) {
  const dropped = Object.entries(node.dropped || {}).map(([cause, count]) => `${cause} ${count}`);
  return dropped.length ? [`${node.node}: ${dropped.join(", ")}`] : [];
}

// ---- exposure

function exposureCard(cluster) {
  const fields = cluster.fields.map((field) => element("li", { class: field.good ? "up" : "down" }, element("span", {}, field.field),
    ` ${field.good ? "green" : "red"}: ${field.text}${field.silent.length && field.value !== null ? ` (${field.silent.join(", ")})` : ""}`));
  return element("article", { class: `card ${cluster.good ? "good" : "bad"}` }, element("h3", {}, `Cluster ${cluster.cluster}`),
    element("p", { class: "mood" }, element("strong", {}, cluster.good ? "Green: " : "Red: "), cluster.text),
    element("p", { class: "faint" }, cluster.epoch === null ? "Members: those of the system file." : `Members: those of epoch ${cluster.epoch}.`),
    element("ul", { class: "members" }, ...fields));
}

function exposureDraw(exposure) {
  byId("exposure-text").className = `mood ${exposure.good ? "good" : "bad"}`;
  byId("exposure-text").replaceChildren(element("strong", {}, exposure.good ? "Green: " : "Red: "), exposure.text);
  byId("exposure").replaceChildren(...exposure.clusters.map(exposureCard));
  byId("refused").replaceChildren(...exposure.refused.map((one) => element("li", {}, `Not counted: ${one.file}: ${one.why}`)));
}

// ---- image and upgrade

function upgradeLines(seen) {
  const named = (slot) => `slot ${slot.slot}, release ${slot.number}${slot.label ? ` (${slot.label})` : ""}`, out = [];
  if (seen.age_ms >= 2000) out.push(`As of ${Math.floor(seen.age_ms / 1000)} s ago: init does not answer now.`);
  if (seen.running) out.push(`Runs: ${named(seen.running)}, ${seen.running.state === "trial" ? "on trial" : "blessed: it is kept"}.`);
  else out.push(`${seen.why.charAt(0).toUpperCase()}${seen.why.slice(1)}.`);
  const seconds = (ms) => Math.round(ms / 1000);
  if (seen.trial) out.push(`Its trial waits for ${seen.trial.waits_for}: ${seen.trial.text}. ${seconds(seen.trial.counted_ms)} of ${
    seconds(seen.trial.limit_ms)} s are counted; then the other image comes back.`);
  if (seen.running) out.push(seen.other ? `Other: ${named(seen.other)}, ${seen.other.state}: it ${seen.other.text}.` : "The other slot is empty.");
  if (seen.running && seen.next && seen.next !== seen.running.slot) out.push(`A restart is due: slot ${seen.next} is started next, on trial.`);
  if (seen.upload) out.push(`A release is ${seen.upload.state === "checking" ? "being verified and written" : "coming in"}: ${
    mebibytes(seen.upload.bytes)} of ${mebibytes(seen.upload.of_bytes)} MiB.`);
  const last = seen.last;
  if (last) out.push(`Last, ${new Date(last.time_ms).toISOString().replace("T", " ").slice(0, 19)} UTC: ${last.action} ${last.outcome}: ${
    last.name ? `${last.name}: ` : ""}${last.text}.`);
  return out;
}

async function upgradeDraw() {
  if (!appliance) return;
  const seen = await ask("/api/v1/upgrade");
  byId("upgrade-lines").replaceChildren(...upgradeLines(seen).map((line) => element("li", {}, line)));
  byId("upgrade").hidden = false;
  byId("upgrade-own").hidden = byId("actions").hidden || session.role !== "own" || !seen.running;
}

// The browser reads the file as it sends it.
async function releaseBring(event) {
  const file = event.target.files[0];
  event.target.disabled = true;
  try {
    if (!file) return;
    if (!await confirmed(`Hand over ${file.name}, ${mebibytes(file.size)} MiB? What runs is not touched; a restart starts it, on trial.`)) return;
    byId("upgraded").textContent = "It is handed over ...";
    const answer = await fetch("/api/v1/upgrade", { method: "POST", credentials: "same-origin", cache: "no-store", body: file,
      headers: { "Content-Type": "application/octet-stream", "X-CSRF-Token": session.csrf } });
    const said = await answer.json();
    byId("upgraded").textContent = answer.ok ? `Taken: ${said.text}.` : `Not taken: ${said.name ? `${said.name}: ` : ""}${said.error}`;
  } catch (error) {
    byId("upgraded").textContent = `Not taken: ${error.message}`;
  } finally {
    event.target.disabled = false;
    event.target.value = "";
  }
  refresh();
}

// ---- audit and actions

function auditRow(entry) {
  const when = new Date(entry.time_ms).toISOString().replace("T", " ").slice(0, 19);
  const labels = ["Time, UTC", "Who", "Action", "Outcome", "Detail"];
  return element("tr", { role: "row" }, ...[when, entry.who, entry.action, entry.outcome, entry.detail].map((text, i) =>
    element("td", { role: "cell", "data-label": labels[i] }, String(text))));
}

function confirmed(text) {
  return new Promise((resolve) => {
    const dialog = byId("sure");
    byId("sure-text").textContent = text;
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}

async function act(path, body, question) {
  try {
    if (question && !await confirmed(question)) return;
    await ask(path, body);
    byId("done").textContent = "Done.";
    if (path.endsWith("/session/end")) location.reload();
  } catch (error) {
    byId("done").textContent = `Not done: ${error.message}`;
  }
  refresh();
}

// A claim is binary, a card JSON: what is in the file tells which.
async function claimBring(event) {
  const file = event.target.files[0];
  if (!file) return;
  const bytes = new Uint8Array(await file.arrayBuffer());
  let body = { claim: btoa(String.fromCharCode(...bytes.slice(0, 4096))) };
  if (bytes[0] === 0x7b) {
    try {
      body = { card: JSON.parse(new TextDecoder().decode(bytes)) };
    } catch {
      body = {};
    }
  }
  await act("/api/v1/claims", body);
  event.target.value = "";
}

// ---- all of it

async function refresh() {
  try {
    const [clusters, nodes, queues, history, faults, evidence, exposure, audit] =
      await Promise.all(["clusters", "nodes", "queues", `history?newest=${SAMPLES}`, "faults", "evidence", "exposure", "audit"]
      .map((path) => ask(`/api/v1/${path}`)));
    byId("clusters").replaceChildren(...clusters.clusters.map(clusterCard));
    byId("nodes").replaceChildren(...nodes.nodes.map(nodeRow));
    byId("queues").replaceChildren(...queues.queues.map(queueRow));
    const clusterOf = new Map(nodes.nodes.filter((node) => node.node).map((node) => [node.node, node.cluster]));
    for (const what of ["rate", "commit", "queue"]) plot(byId(`p-${what}`), byId(`t-${what}`).textContent, linesOf(history, clusterOf, what));
    const lines = [...faults.nodes.flatMap(faultLines).map((line) => element("li", {}, line)), ...evidence.nodes.flatMap(evidenceLines)];
    byId("faults").replaceChildren(...(lines.length ? lines : [element("li", {}, "None.")]));
    const dropped = faults.nodes.flatMap(droppedLine);
    byId("dropped").replaceChildren(...(dropped.length ? dropped : ["None."]).map((line) => element("li", {}, line)));
    exposureDraw(exposure);
    byId("audit").replaceChildren(...audit.entries.map(auditRow));
    await peersDraw();
    await upgradeDraw();
    byId("audit-section").hidden = audit.entries.length === 0;
    byId("stale").hidden = true;
  } catch (error) {
    byId("stale").textContent = `No answer since ${new Date().toLocaleTimeString()} (${error.message}): what is shown may be old.`;
    byId("stale").hidden = false;
  }
}

async function begin() {
  session = await ask("/api/v1/session");
  appliance = (await fetch("/api/v1/upgrade", { credentials: "same-origin", cache: "no-store" })).status !== 503;
  byId("who").textContent = `${session.who}, may ${session.role}`;
  for (const section of document.querySelectorAll(".scripted")) section.hidden = false;
  byId("actions").hidden = !session.tls || session.role === "view" && !session.who.startsWith("session");
  byId("do-restart").hidden = session.role === "view";
  for (const button of document.querySelectorAll("button.own")) button.hidden = session.role !== "own";
  for (const one of document.querySelectorAll(".operate")) one.hidden = session.role === "view";
  byId("claim-file").addEventListener("change", claimBring);
  byId("release-file").addEventListener("change", releaseBring);
  byId("do-end").hidden = !session.who.startsWith("session");
  const cost = "Until this node votes again its cluster may lose one node less.";
  byId("do-restart").addEventListener("click", () => act("/api/v1/actions/restart", { program: "node" }, `Restart the node program? ${cost}`));
  byId("do-reboot").addEventListener("click", () => act("/api/v1/actions/reboot", { sure: true }, `Reboot this machine? ${cost}`));
  byId("do-halt").addEventListener("click", () => act("/api/v1/actions/halt", { sure: true },
    `Halt this machine? Somebody must switch it on again. ${cost}`));
  byId("do-rollback").addEventListener("click", () => act("/api/v1/actions/rollback", { sure: true },
    `Go back to the other image? The machine comes up with it, on trial. ${cost}`));
  byId("do-end").addEventListener("click", () => act("/api/v1/session/end", {}));
  await refresh();
  setInterval(refresh, EVERY_MS);
}

begin();
