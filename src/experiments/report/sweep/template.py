"""The page around a drawing of parallel coordinates: its style, and what makes it answer."""

from string import Template

_STYLE = """
body { margin: 12px; background: #fff; color: #222; font: 13px system-ui, sans-serif; }
h1 { margin: 0 0 4px; font-size: 16px; overflow-wrap: anywhere; }
p { margin: 2px 0; color: #555; }
svg { display: block; width: 100%; min-height: 400px; max-height: calc(100vh - 100px);
  user-select: none; }
text { font-size: 12px; fill: #333; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
.name { font-weight: 600; text-anchor: middle; }
.note { font-size: 10px; fill: #666; text-anchor: middle; }
.axis line { stroke: #555; pointer-events: none; }
.axis text { pointer-events: none; }
.hit { fill: transparent; cursor: ns-resize; touch-action: none; }
.brush { fill: #0072b2; fill-opacity: .25; stroke: #0072b2; pointer-events: none; }
.job, #top { fill: none; pointer-events: none; stroke-linejoin: round; }
.lost { stroke-dasharray: 5 4; }
.off { opacity: .03; }
#top { stroke-width: 3.5; opacity: 1; }
#tip { position: fixed; display: none; max-width: 340px; padding: 6px 9px; background: #fff;
  border: 1px solid #999; border-radius: 4px; box-shadow: 0 2px 8px #0003; pointer-events: none;
  white-space: pre-line; overflow-wrap: anywhere; }
"""

_SCRIPT = """
const svg = document.querySelector("svg"), [above, tip, count] =
  ["#top", "#tip", "#count"].map(id => document.querySelector(id));
const axes = [...svg.querySelectorAll(".axis")].map(group => (
  {group, x: +group.dataset.x, range: null, brush: group.querySelector(".brush")}));
const jobs = [...svg.querySelectorAll(".job")].map(line => (
  {line, ys: [...line.points].map(point => point.y), on: true}));
let dragged = null, start = 0;

function place(event) {
  return new DOMPoint(event.clientX, event.clientY)
    .matrixTransform(svg.getScreenCTM().inverse());
}
function filter() {
  for (const job of jobs) {
    job.on = axes.every(({range}, i) => !range || range[0] <= job.ys[i] && job.ys[i] <= range[1]);
    job.line.classList.toggle("off", !job.on);
  }
  count.textContent = `${jobs.filter(job => job.on).length} of ${jobs.length}`;
}
function nearest({x, y}) {
  const next = axes.findIndex(axis => axis.x > x);
  const i = next < 0 ? axes.length - 1 : Math.max(next, 1), width = axes[i].x - axes[i - 1].x;
  const part = Math.min(1, Math.max(0, (x - axes[i - 1].x) / width));
  let found = null, least = 10;
  for (const job of jobs) if (job.on) {
    const [from, to] = [job.ys[i - 1], job.ys[i]];
    const far = Math.abs(from + part * (to - from) - y) * width / Math.hypot(width, to - from);
    if (far <= least) [found, least] = [job, far];
  }
  return found;
}
function show(job, event) {
  tip.style.display = above.style.display = job ? "block" : "none";
  if (!job) return;
  for (const name of ["points", "stroke"]) above.setAttribute(name, job.line.getAttribute(name));
  tip.textContent = job.line.dataset.text;
  const {clientX: x, clientY: y} = event, {offsetWidth: width, offsetHeight: height} = tip;
  tip.style.left = `${x + 16 + width < innerWidth ? x + 16 : Math.max(0, x - 16 - width)}px`;
  tip.style.top = `${Math.max(0, Math.min(y + 12, innerHeight - height - 4))}px`;
}
function drag(y) {
  const range = [Math.min(start, y), Math.max(start, y)];
  dragged.range = range[1] - range[0] > 3 ? range : null;
  dragged.brush.setAttribute("y", range[0]);
  dragged.brush.setAttribute("height", dragged.range ? range[1] - range[0] : 0);
  filter();
}
svg.addEventListener("pointerdown", event => {
  dragged = axes.find(axis => axis.group.contains(event.target)) ?? null;
  if (!dragged) return;
  svg.setPointerCapture(event.pointerId);
  show(null);
  drag(start = place(event).y);
});
svg.addEventListener("pointermove", event => {
  const point = place(event);
  if (dragged) drag(point.y); else show(nearest(point), event);
});
for (const end of ["pointerup", "pointercancel"])
  svg.addEventListener(end, () => { dragged = null; });
svg.addEventListener("pointerleave", () => show(null));
"""

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>$style</style></head>
<body><h1>$title</h1>
<p>$legend. Shown: <span id="count">$count of $count</span>.</p>
<p>Point at a line to read it; drag along axes to keep the lines that cross there; click an axis
to have all of them again.</p>
$drawing
<div id="tip"></div><script>$script</script></body></html>
""")


def wrapped(drawing: str, *, title: str, legend: str, count: int) -> str:
    """Return the page of an SVG that has a group for each axis and a polyline for each job.

    All three texts are markup: whoever makes them has escaped the names in them.
    """
    return _PAGE.substitute(
        drawing=drawing, title=title, legend=legend, count=count, style=_STYLE, script=_SCRIPT
    )
