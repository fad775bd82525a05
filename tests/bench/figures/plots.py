"""Plots of experiment.csv by gnuplot: each as SVG and PNG."""
import os
import subprocess
import tempfile

STYLE = """
set terminal {terminal}
set output '{output}'
set grid lc rgb '#dddddd'
set key {key}
set border 3
set tics nomirror
set title '{title}'
set xlabel '{x}'
set ylabel '{y}'
"""
TERMINALS = {"svg": "svg size 800,500 font 'sans,13' background '#ffffff'", "png": "pngcairo size 1200,750 font 'sans,16' background '#ffffff'"}
COLOURS = ("#1b6ca8", "#c2571a", "#2a7f3f", "#8b3fa0", "#b3243c", "#666666")
PAPER = 110000  # operations a second: 32 clusters a side of 4 nodes, 256 nodes in all


class Plot:
    """`series`: {name: [(x, y)]}; `lines`: {name: a height that is drawn right across}; `bars`: x is a word."""

    def __init__(self, name, title, x, y, series, logx=False, logy=False, lines=None, bars=False, key="left top"):
        self.name, self.title, self.x, self.y, self.series = name, title, x, y, {n: p for n, p in series.items() if p}
        self.logx, self.logy, self.lines, self.bars, self.key = logx, logy, lines or {}, bars, key

    def script(self, kind, output):
        text = STYLE.format(terminal=TERMINALS[kind], output=output, title=self.title, x=self.x, y=self.y, key=self.key)
        text += f"set logscale x {self.logx}\n" if self.logx else ""
        text += "set format x '%.0s%c'\n" if "second" in self.x else ""
        if self.logx == 2:  # the values themselves: 65,536 is no 66 thousand to anybody
            ticks = sorted({int(x) for own in self.series.values() for x, _ in own})
            text += "set xtics rotate by -25 (" + ", ".join(f'"{x:,}" {x}' for x in ticks) + ")\nset rmargin 8\n"
        text += "set logscale y\n" if self.logy else "set yrange [0:*]\n"
        text += "set format y '%.0s%c'\n" if "second" in self.y else ""
        parts, blocks = [], ""
        if self.bars:
            text += "set style data histograms\nset style histogram clustered gap 1\nset style fill solid 0.85\nset xtics rotate by -25\n"
        for i, (name, points) in enumerate(self.series.items()):
            rows = "\n".join(f'"{x}" {y}' if self.bars else f"{x} {y}" for x, y in points)
            blocks += f"$d{i} << EOD\n{rows}\nEOD\n"
            colour = COLOURS[i % len(COLOURS)]
            parts.append(f"$d{i} using 2:xtic(1) lc rgb '{colour}' title '{name}'" if self.bars else
                         f"$d{i} using 1:2 with linespoints lw 2 pt 7 ps 0.7 lc rgb '{colour}' title '{name}'")
        parts += [f"{height} with lines dt 2 lc rgb '#444444' title '{name}'" for name, height in self.lines.items()]
        return f"{blocks}{text}plot {', '.join(parts)}\n"

    def draw(self, folder):
        """The files that were written; none without a point."""
        made = []
        for kind in TERMINALS if self.series else ():
            path = f"{folder}/{self.name}.{kind}"
            with tempfile.NamedTemporaryFile("w", suffix=".gnuplot") as f:
                f.write(self.script(kind, path))
                f.flush()
                done = subprocess.run(["gnuplot", f.name], capture_output=True, text=True, timeout=60)
            if done.returncode != 0 or not os.path.exists(path) or os.path.getsize(path) == 0:
                raise RuntimeError(f"gnuplot drew no {path}: {done.stderr.strip()[-300:]}")
            made.append(path)
        return made


def number(text):
    return float(text) if text != "" else 0.0


def points(rows, x, y, **wanted):
    found = [(number(r[x]), number(r[y])) for r in rows if all(str(r[k]) == str(v) for k, v in wanted.items())]
    return sorted(found)


def mixes_of(rows):
    return list(dict.fromkeys(r["mix"] for r in rows))


def by_cluster(rows, x, y):
    part = [r for r in rows if r["part"] == "users"]
    counts = sorted({int(r["clusters"]) for r in part})
    return {f"{n} cluster{'s' if n > 1 else ''} a side": points(part, x, y, clusters=n) for n in counts}


def plots(rows):
    """All plots for which there are rows."""
    users = [r for r in rows if r["part"] == "users"]
    mixes = [r for r in rows if r["part"] == "mixes"]
    zipf = [r for r in rows if r["part"] == "zipf"]
    faults = [r for r in rows if r["part"] == "faults"]
    load = [r for r in rows if r["part"] == "load" and r["offered"] not in ("", 0)]
    peak = [number(r["ops_per_second"]) for r in rows if r["part"] == "load" and r["offered"] in ("", 0)]
    by_users = {name: sorted(p, key=lambda xy: xy[0]) for name, p in by_cluster(users, "users", "ops_per_second").items()}
    over = {}
    for name in by_cluster(users, "users", "p50_ms"):
        n = int(name.split()[0])
        # In the order of users, not of throughput: the curve turns back where it is overloaded.
        own = sorted((r for r in users if int(r["clusters"]) == n), key=lambda r: int(r["users"]))
        over[name] = [(number(r["ops_per_second"]), number(r["p50_ms"])) for r in own]
    words = {m: [(f"{int(r['users']):,} users", number(r["ops_per_second"])) for r in mixes if r["mix"] == m] for m in mixes_of(mixes)}
    faulty = {m: [(r["faults"], number(r["ops_per_second"])) for r in faults if r["mix"] == m] for m in mixes_of(faults)}
    return [
        Plot("throughput-users", "GET, one machine with two cores: throughput over virtual users", "virtual users", "operations a second", by_users,
             logx=2, lines={"the paper, 256 machines": PAPER}),
        Plot("latency-throughput", "GET: median latency over throughput, users doubled from point to point", "operations a second",
             "median latency, ms", over, logy=True),
        Plot("cost-users", "GET: processor time of an operation, all processes", "virtual users", "us of processor an operation",
             by_cluster(users, "users", "us_per_op"), logx=2, logy=True, key="right top"),
        Plot("mixes", "Reads and writes, one cluster a side", "", "operations a second", words, bars=True, key="left top"),
        Plot("zipf", "Skewed keys, 32,768 users", "Zipf exponent (0: uniform)", "operations a second",
             {m: points(zipf, "zipf", "ops_per_second", mix=m) for m in mixes_of(zipf)}, key="right bottom"),
        Plot("faults", "One faulty node in each cluster", "", "operations a second", faulty, bars=True, key="right top"),
        Plot("latency-load", "GET: latency from the intended start, over offered load", "offered operations a second", "latency, ms",
             {"p50": points(load, "offered", "p50_ms"), "p99": points(load, "offered", "p99_ms")}, logx=10, logy=True),
        Plot("overload", "GET: what is done of what is offered", "offered operations a second", "operations a second",
             {"done": points(load, "offered", "ops_per_second")}, logx=10, lines={"the peak, closed loop": peak[0]} if peak else None),
    ]


def draw_all(rows, folder):
    os.makedirs(folder, exist_ok=True)
    return [path for plot in plots(rows) for path in plot.draw(folder)]
